"""A small PDF writer: takes pages as typst wrote them, adds objects, and writes one single revision.

Not an incremental update: a signed file with one revision has nothing that an attacker or an accident could
have put before, between or after. What typst writes is plain (PDF 1.7, one cross-reference table, no object
streams), so the additions are insertions at known places; anything unexpected raises RendererChanged.

Streams that we add are not compressed: zlib's output differs between its versions, and a licence must be
rebuilt byte for byte on any machine.

Drawings on a page, as page operators of a PDF: the picture of the official seal, and the QR.

The seal (公章) is a red ring with the authority's name around a star, drawn from the font's outlines, so that it needs no
font in the file and adds no text to the page. It decorates; the signature counts. One picture is kept for each authority
and place.

The QR has error level M (it survives a white spot of a tenth of its area) where that takes at most 93 modules a side,
as for usual credentials (up to some 520 bytes); a larger one has level L, with which 700 bytes take 93 modules. With
the margin that is 101 modules, at least 3.15 pixels each at 150 dpi in the box of 54 mm; below three pixels readers miss
some symbols.

The mask is fixed: the digits of a signed number look random, so every mask does equally well, and trying all eight takes
seven times as long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import cos, pi, sin
from typing import NamedTuple

import zint

from issuance import fonts
from schemas.errors import LintError, ZhengzhaoError


class RendererChanged(ZhengzhaoError):
    """The renderer's output does not have the form that this writer knows."""


class Rendered(NamedTuple):
    """A document as the renderer wrote it, taken apart; its first page is the one that grows."""

    body: bytes  # header and all objects before the catalogue
    offsets: tuple[int, ...]  # of objects 1, 2, … in `body`; the catalogue is the next number
    catalogue: bytes  # entries of the catalogue's dictionary
    info: int  # object number of the document information
    page: int  # object number of the first page
    contents: tuple[int, int]  # where the first page's /Contents reference starts and ends in `body`
    resources: int  # object number of the first page's resources


_TAIL = re.compile(
    rb"(\d+) 0 obj\n<<(/Type/Catalog[^\n]*)>>\nendobj\n"
    rb"xref\n0 (\d+)\n((?:\d{10} \d{5} [fn] *\r?\n)+)"
    rb"trailer\n<<[^\n]*?/Info (\d+) 0 R[^\n]*>>\nstartxref\n\d+\n%%EOF\s*$"
)
_KIDS = re.compile(rb"<</Type/Pages/Count \d+/Kids\[(\d+) 0 R")
_CONTENTS = re.compile(rb"/Contents (\d+ 0 R)")
_RESOURCES = re.compile(rb"/Resources (\d+) 0 R")
_MEDIA_BOX = re.compile(rb"/MediaBox(\[[^\]]*\])")
_REFERENCE = re.compile(rb"(\d+) 0 R")


def take_apart(pdf: bytes) -> Rendered:
    """Find the places where the writer adds. Raises RendererChanged for any other form."""
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
    resources = _RESOURCES.search(body, offsets[page - 1], offsets[page])
    if contents is None or resources is None:
        raise RendererChanged("the first page has no contents or no resources of its own")
    return Rendered(body, offsets[:-1], catalogue, int(info), page, contents.span(1), int(resources[1]))


def first_number(rendered: Rendered) -> int:
    """Return the number of the first added object: the catalogue's, which moves to the end."""
    return len(rendered.offsets) + 1


class FormXObject:
    """The first page of a document as a form XObject with all that it needs, to be drawn in other documents."""

    def __init__(self, pdf: bytes) -> None:
        rendered = take_apart(pdf)
        page = _object(rendered, rendered.page)
        box = _MEDIA_BOX.search(page)
        contents = int(rendered.body[slice(*rendered.contents)].split()[0])
        drawing = _object(rendered, contents)
        if box is None or not drawing.startswith(b"<</Length"):
            raise RendererChanged("the form's page has no box or no plain contents")
        entries = b"<</Type/XObject/Subtype/Form/BBox%s/Resources %d 0 R" % (box[1], rendered.resources)
        parts = {contents: entries + drawing[2:]}
        waiting = [rendered.resources]
        while waiting:
            number = waiting.pop()
            if number not in parts:
                parts[number] = _object(rendered, number)
                waiting += map(int, _REFERENCE.findall(_dictionary(parts[number])))
        self._places = {number: place for place, number in enumerate(parts)}
        self._parts = tuple(parts.values())
        self._numbered: dict[int, tuple[bytes, ...]] = {}

    def objects(self, first: int) -> tuple[bytes, ...]:
        """Return the form (the first of them) and what it needs, numbered from `first`."""
        if first not in self._numbered:
            self._numbered[first] = tuple(self._renumbered(part, first) for part in self._parts)
        return self._numbered[first]

    def _renumbered(self, part: bytes, first: int) -> bytes:
        head = _dictionary(part)
        renumbered = _REFERENCE.sub(lambda found: b"%d 0 R" % (first + self._places[int(found[1])]), head)
        return renumbered + part[len(head) :]


def _object(rendered: Rendered, number: int) -> bytes:
    start = rendered.offsets[number - 1]
    end = rendered.offsets[number] if number < len(rendered.offsets) else len(rendered.body)
    return rendered.body[start:end].removeprefix(b"%d 0 obj\n" % number).removesuffix(b"\nendobj\n")


def _dictionary(part: bytes) -> bytes:
    """Return an object without its stream."""
    return part[: part.find(b"\nstream\n")] if b"\nstream\n" in part else part


class Addition(NamedTuple):
    """Objects that are added to a document."""

    objects: Sequence[bytes]  # numbered from `first_number(rendered)`
    catalogue: bytes  # further entries
    annotations: bytes  # references, on the first page
    before: int  # object number of the contents drawn before the first page's own
    after: int  # … and after it
    forms: bytes  # name and reference of each form that those contents draw
    file_id: bytes  # 16 bytes


def write(rendered: Rendered, addition: Addition) -> bytes:
    """Return the whole file."""
    start, end = rendered.contents
    resources = rendered.body.index(b"<<", rendered.offsets[rendered.resources - 1]) + 2
    if b"/XObject" in _object(rendered, rendered.resources):
        raise RendererChanged("the first page draws forms or images already")
    contents = b"[%d 0 R %s %d 0 R]/Annots[%s]" % (
        addition.before,
        rendered.body[start:end],
        addition.after,
        addition.annotations,
    )
    inserted = ((start, end, contents), (resources, resources, b"/XObject<<%s>>" % addition.forms))
    parts, offsets = _insert(rendered, sorted(inserted))
    position = sum(map(len, parts))
    catalogue = b"<<%s%s>>" % (rendered.catalogue, addition.catalogue)
    root = first_number(rendered) + len(addition.objects)
    for number, content in enumerate((*addition.objects, catalogue), first_number(rendered)):
        written = b"%d 0 obj\n%s\nendobj\n" % (number, content)
        offsets.append(position)
        parts.append(written)
        position += len(written)
    parts.append(b"xref\n0 %d\n0000000000 65535 f\r\n" % (root + 1))
    parts.append("".join(f"{offset:010d} 00000 n\r\n" for offset in offsets).encode())
    parts.append(
        b"trailer\n<</Size %d/Root %d 0 R/Info %d 0 R/ID[<%s><%s>]>>\nstartxref\n%d\n%%%%EOF\n"
        % (root + 1, root, rendered.info, *(2 * (addition.file_id.hex().encode(),)), position)
    )
    return b"".join(parts)


def _insert(rendered: Rendered, inserted: Sequence[tuple[int, int, bytes]]) -> tuple[list[bytes], list[int]]:
    """Return the body in parts with the insertions, and where its objects come to lie."""
    parts, offsets, done = [], list(rendered.offsets), 0
    for start, end, content in inserted:
        parts += [rendered.body[done:start], content]
        done = end
        shift = len(content) - (end - start)
        for place, original in enumerate(rendered.offsets):
            if original >= start:
                offsets[place] += shift
    return [*parts, rendered.body[done:]], offsets


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """Return a stream object, not compressed."""
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(data), data)


def text(value: str) -> bytes:
    """Return a text string in UTF-16 with its mark, written in hex, so that any character is safe."""
    return b"<feff%s>" % value.encode("utf-16-be").hex().encode()


def date(seconds: int) -> bytes:
    """Return a PDF date in UTC, from Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("(D:%Y%m%d%H%M%SZ)").encode()


_RED = "0.80 0.07 0.09"
_ARC = 235  # degrees that a long name takes


@lru_cache(maxsize=512)
def draw_emblem(name: str, x: float, y: float, radius: float) -> bytes:
    """Return page operators that draw the seal of `name` around (x, y), in points."""
    ring = radius * 0.045
    parts = [
        f"q 1 0 0 1 {x:g} {y:g} cm {_RED} rg {_RED} RG",
        f"{ring:.3f} w {_circle(radius - ring / 2)} S",
        f"{_star(radius * 0.32)} f",
        *_letters(name, radius),
        "Q\n",
    ]
    return "\n".join(parts).encode()


def _circle(radius: float) -> str:
    k = radius * 0.5523
    r = f"{radius:.3f}"
    q = f"{k:.3f}"
    return (
        f"{r} 0 m {r} {q} {q} {r} 0 {r} c -{q} {r} -{r} {q} -{r} 0 c "
        f"-{r} -{q} -{q} -{r} 0 -{r} c {q} -{r} {r} -{q} {r} 0 c h"
    )


def _star(radius: float) -> str:
    points = []
    for corner in range(10):
        reach = radius if corner % 2 == 0 else radius * 0.382
        angle = pi / 2 + corner * pi / 5
        points.append(f"{reach * cos(angle):.3f} {reach * sin(angle):.3f}")
    return f"{points[0]} m {' '.join(point + ' l' for point in points[1:])} h"


def _letters(name: str, radius: float) -> list[str]:
    """Draw each character turned so that its foot points to the centre."""
    letters = [char for char in name if not char.isspace()]
    count = max(len(letters), 1)
    step = min(22.0, _ARC / count) * pi / 180
    size = min(radius * 0.30, radius * 0.62 * step * 0.98)  # no wider than its part of the arc
    height = size * 1.18  # seal letters are taller than wide
    foot = radius * 0.90 - height * 0.88
    drawn = []
    for place, char in enumerate(letters):
        try:
            glyph = fonts.outline(char)
        except KeyError:
            continue
        angle = pi / 2 + (count - 1) * step / 2 - place * step
        across, up = size / 1000, height / 1000
        turn = angle - pi / 2
        a, b, c, d = across * cos(turn), across * sin(turn), -up * sin(turn), up * cos(turn)
        shift = glyph.advance / 2
        e = foot * cos(angle) - shift * a + 120 * c
        f = foot * sin(angle) - shift * b + 120 * d
        drawn.append(f"q {a:.6f} {b:.6f} {c:.6f} {d:.6f} {e:.3f} {f:.3f} cm\n{glyph.operators}\nf Q")
    return drawn


LEVEL_L, LEVEL_M = 1, 2
MOST_MODULES = 93  # a side; with the margin 101 in 54 mm
MASK = 4
STRIDE = 144  # bytes that zint keeps for a row of modules
QUIET = 4  # modules of margin that the standard asks for
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Symbol(NamedTuple):
    """A QR symbol: `side` modules square, rows packed most significant bit first, 1 = dark."""

    side: int
    rows: tuple[bytes, ...]


def encode_qr(text: str, *, robust: bool = True) -> Symbol:
    """Return the symbol of a text: `robust` at level M where there is room, else at level L.

    Raises LintError for a text that does not fit.
    """
    if robust:
        try:
            symbol = _symbol(text, LEVEL_M)
        except LintError:
            return _symbol(text, LEVEL_L)
        if symbol.side <= MOST_MODULES:
            return symbol
    return _symbol(text, LEVEL_L)


def _symbol(text: str, level: int) -> Symbol:
    symbol = zint.Symbol()
    symbol.symbology = zint.Symbology.QRCODE
    symbol.option_1 = level
    symbol.option_3 = MASK << 8
    try:
        symbol.encode(text)
    except Exception as error:  # The binding raises bare kinds of RuntimeError.
        raise LintError(
            f"二维码放不下 {len(text)} 个字符 / the QR cannot hold {len(text)} characters: {error}"
        ) from error
    side = symbol.width
    packed = bytes(symbol.encoded_data).translate(_REVERSED)
    used = (side + 7) // 8
    return Symbol(side, tuple(packed[row * STRIDE : row * STRIDE + used] for row in range(side)))


def draw_qr(symbol: Symbol, left: float, bottom: float, size: float) -> bytes:
    """Return page operators that draw the symbol with its quiet zone into a square of `size` points.

    An inline image of one bit a module, in hex: a drawn rectangle for each run of modules would be twenty times
    as large.
    """
    module = size / (symbol.side + 2 * QUIET)
    inner = module * symbol.side
    return (
        b"q 1 1 1 rg %g %g %g %g re f 0 g %.4f 0 0 %.4f %.4f %.4f cm BI/W %d/H %d/IM true/D[1 0]/F/AHx ID %s> EI Q\n"
        % (
            left,
            bottom,
            size,
            size,
            inner,
            inner,
            left + QUIET * module,
            bottom + QUIET * module,
            symbol.side,
            symbol.side,
            b"".join(symbol.rows).hex().encode(),
        )
    )
