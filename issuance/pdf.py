"""A small PDF writer: takes the page as typst wrote it, adds objects, and writes one single revision.

Not an incremental update: a signed file with one revision has nothing that an attacker or an accident could
have put before, between or after. What typst writes is plain (PDF 1.7, one cross-reference table, no object
streams), so the additions are insertions at known places; anything unexpected raises RendererChanged.

Streams that we add are not compressed: zlib's output differs between its versions, and a licence must be
rebuilt byte for byte on any machine.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from schemas.errors import ZhengzhaoError


class RendererChanged(ZhengzhaoError):
    """The renderer's output does not have the form that this writer knows."""


class Rendered(NamedTuple):
    """The page as the renderer wrote it, taken apart."""

    body: bytes  # header and all objects before the catalogue
    offsets: tuple[int, ...]  # of objects 1, 2, … in `body`; the catalogue is the next number
    catalogue: bytes  # entries of the catalogue's dictionary
    info: int  # object number of the document information
    page: int  # object number of the first page
    page_entries: tuple[int, int]  # where the first page's /Contents reference starts and ends in `body`


_TAIL = re.compile(
    rb"(\d+) 0 obj\n<<(/Type/Catalog[^\n]*)>>\nendobj\n"
    rb"xref\n0 (\d+)\n((?:\d{10} \d{5} [fn] *\r?\n)+)"
    rb"trailer\n<<[^\n]*?/Info (\d+) 0 R[^\n]*>>\nstartxref\n\d+\n%%EOF\s*$"
)
_KIDS = re.compile(rb"<</Type/Pages/Count \d+/Kids\[(\d+) 0 R")
_CONTENTS = re.compile(rb"/Contents (\d+ 0 R)")


def take_apart(pdf: bytes) -> Rendered:
    """Finds the places where the writer adds. Raises RendererChanged for any other form."""
    start = pdf.rfind(b"\nxref\n")
    found = _TAIL.search(pdf, pdf.rfind(b" 0 obj\n", 0, start) - 10) if start > 0 else None
    if found is None:
        raise RendererChanged("the page has no plain cross-reference table")
    number, catalogue, size, table, info = found.groups()
    offsets = tuple(int(line[:10]) for line in table.splitlines()[1:])
    if int(size) != int(number) + 1 or len(offsets) != int(number) or list(offsets) != sorted(offsets):
        raise RendererChanged("the objects of the page are not in order")
    body = pdf[: found.start(1)]
    kids = _KIDS.match(body, body.find(b"<<", offsets[0]))
    if kids is None:
        raise RendererChanged("the first object of the page is not its page tree")
    page = int(kids[1])
    contents = _CONTENTS.search(body, offsets[page - 1], offsets[page])
    if contents is None:
        raise RendererChanged("the first page has no contents")
    return Rendered(body, offsets[:-1], catalogue, int(info), page, contents.span(1))


class Extended(NamedTuple):
    """A page to which objects, page contents, annotations and catalogue entries are added."""

    rendered: Rendered
    objects: tuple[bytes, ...]  # numbered from `first_number(rendered)`
    catalogue: bytes  # further entries
    annotations: bytes  # references
    before: int  # object number of the contents drawn before the page's own
    after: int  # … and after it
    file_id: bytes  # 16 bytes


def first_number(rendered: Rendered) -> int:
    """The number of the first added object: the catalogue's, which moves to the end."""
    return len(rendered.offsets) + 1


def write(extended: Extended) -> bytes:
    """The whole file."""
    rendered = extended.rendered
    start, end = rendered.page_entries
    insertion = b"[%d 0 R %s %d 0 R]/Annots[%s]" % (
        extended.before,
        rendered.body[start:end],
        extended.after,
        extended.annotations,
    )
    shift = len(insertion) - (end - start)
    parts = [rendered.body[:start], insertion, rendered.body[end:]]
    offsets = [offset if offset < start else offset + shift for offset in rendered.offsets]
    position = len(rendered.body) + shift
    catalogue = b"<<%s%s>>" % (rendered.catalogue, extended.catalogue)
    root = first_number(rendered) + len(extended.objects)
    for number, content in enumerate((*extended.objects, catalogue), first_number(rendered)):
        written = b"%d 0 obj\n%s\nendobj\n" % (number, content)
        offsets.append(position)
        parts.append(written)
        position += len(written)
    parts.append(b"xref\n0 %d\n0000000000 65535 f\r\n" % (root + 1))
    parts.append("".join(f"{offset:010d} 00000 n\r\n" for offset in offsets).encode())
    parts.append(
        b"trailer\n<</Size %d/Root %d 0 R/Info %d 0 R/ID[<%s><%s>]>>\nstartxref\n%d\n%%%%EOF\n"
        % (root + 1, root, rendered.info, *(2 * (extended.file_id.hex().encode(),)), position)
    )
    return b"".join(parts)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A stream object, not compressed."""
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(data), data)


def text(value: str) -> bytes:
    """A text string in UTF-16 with its mark, written in hex, so that any character is safe."""
    return b"<feff%s>" % value.encode("utf-16-be").hex().encode()


def date(seconds: int) -> bytes:
    """A PDF date in UTC, from Unix seconds."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("(D:%Y%m%d%H%M%SZ)").encode()
