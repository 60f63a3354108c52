"""Files of a request: one as it is, or several as multipart/form-data (RFC 7578).

The body is cut by searching for its boundary, which takes no longer for hostile bodies than for honest ones.

Batches of events: a JSON array cut into the bytes of its elements, before any element is read.

Each element is then read on its own, by the strict rules for one event, so that a key twice, NaN or a lone surrogate
in one of them refuses that one and no neighbour (CloudEvents JSON batch format, 1.0).
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final

from python_multipart.multipart import parse_options_header

from infra.http.problems import Problem

MAX_PAPERS: Final = 20
_MAX_PARTS: Final = 100  # files and other fields
_MAX_HEAD: Final = 8192  # bytes before the content of a part
_HINT: Final = "application/pdf, multipart/form-data"


def check_papers_type(content_type: str) -> None:
    """Refuse a body that cannot be papers, before it is read. Raises Problem 415."""
    kind, options = parse_options_header(content_type[:1000])
    if kind != b"application/pdf" and not (kind == b"multipart/form-data" and options.get(b"boundary")):
        raise Problem(415, hint=_HINT)


def papers_of(raw: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """Return name and bytes of each paper.

    Raises Problem 415 for another media type, 400 without a paper, 413 for more than `MAX_PAPERS`.
    """
    kind, options = parse_options_header(content_type[:1000])
    if kind == b"application/pdf":
        papers = [("paper.pdf", raw)] if raw else []
    elif kind == b"multipart/form-data" and options.get(b"boundary"):
        papers = _files(raw, options[b"boundary"])
    else:
        raise Problem(415, hint=_HINT)
    if not papers:
        raise Problem(400, "没有文件 / the request contains no file", hint=_HINT)
    if len(papers) > MAX_PAPERS:
        raise Problem(413, f"多于 {MAX_PAPERS} 份 / more than {MAX_PAPERS} papers")
    return papers


def only_file(raw: bytes, content_type: str) -> bytes:
    """Return the one file of a multipart body. Raises Problem 400 where there is none, or several."""
    _, options = parse_options_header(content_type[:1000])
    files = _files(raw, options.get(b"boundary", b""))
    if len(files) != 1:
        raise Problem(400, "应恰有一个文件 / exactly one file is expected", hint="multipart/form-data")
    return files[0][1]


def _files(raw: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    if not boundary or len(boundary) > 200:
        raise _broken()
    mark = b"--" + boundary
    # An empty line before the first boundary makes all of them look alike.
    pieces = (b"\r\n" + raw).split(b"\r\n" + mark, _MAX_PARTS + 1)
    if len(pieces) > _MAX_PARTS + 1:
        raise Problem(413, f"多于 {_MAX_PARTS} 部分 / more than {_MAX_PARTS} parts")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise _broken()
    found = [_file(piece) for piece in pieces[1:-1]]
    return [one for one in found if one is not None]


def _file(part: bytes) -> tuple[str, bytes] | None:
    """Return name and content of a part; None where it is no file, or an empty one."""
    start = part.find(b"\r\n")
    end = part.find(b"\r\n\r\n", start, start + _MAX_HEAD) if start >= 0 else -1
    if end < 0 or part[:start].strip(b" \t"):
        raise _broken()
    for line in part[start + 2 : end].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            _, options = parse_options_header(value)
            content = part[end + 4 :]
            if b"filename" in options and content:
                return options[b"filename"].decode("utf-8", "replace")[:100] or "paper.pdf", content
    return None


def _broken() -> Problem:
    return Problem(400, "multipart 不完整 / broken multipart", hint=_HINT)


_BATCH_HINT: Final = "application/cloudevents-batch+json"
_SPACE: Final = re.compile(r"[ \t\r\n]*")
# It only finds where values end, and so takes whatever the strict reading refuses later with a better reason.
_SCANNER: Final = json.JSONDecoder(strict=False, parse_int=float)
_MAX_ID: Final = 256


def elements(raw: bytes, most: int) -> list[bytes]:
    """Return the bytes of each element of a JSON array.

    Raises Problem 400 where it is not an array of at most `most` elements.
    """
    # In Latin-1 each byte is one character, so that an element in a broken encoding spoils no other one.
    text = raw.removeprefix(codecs.BOM_UTF8).decode("latin-1")
    place = _after_space(text, 0)
    if text[place : place + 1] != "[":
        raise _not_a_batch(most)
    found: list[bytes] = []
    place = _after_space(text, place + 1)
    if text[place : place + 1] != "]":
        while True:
            end = _end_of_value(text, place, most)
            found.append(text[place:end].encode("latin-1"))
            if len(found) > most:
                raise _not_a_batch(most)
            place = _after_space(text, end)
            mark = text[place : place + 1]
            if mark == "]":
                break
            if mark != ",":
                raise _not_a_batch(most)
            place = _after_space(text, place + 1)
    if _after_space(text, place + 1) != len(text):
        raise _not_a_batch(most)
    return found


def element_id(raw: bytes) -> str:
    """Return the id that an element claims, so that its refusal can name it; empty where there is none."""
    try:
        value: Any = _SCANNER.decode(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ""
    claimed = value.get("id") if isinstance(value, dict) else None
    if not isinstance(claimed, str):
        return ""
    return claimed[:_MAX_ID].encode("utf-8", "replace").decode()


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match is not None  # it matches nothing, too
    return match.end()


def _end_of_value(text: str, place: int, most: int) -> int:
    try:
        _, end = _SCANNER.raw_decode(text, place)
    except (ValueError, RecursionError):
        raise _not_a_batch(most) from None
    return end


def _not_a_batch(most: int) -> Problem:
    return Problem(
        400, f"不是至多 {most} 个事件的数组 / not an array of at most {most} events", hint=_BATCH_HINT
    )
