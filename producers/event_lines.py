"""Events in a file: one a line (JSON Lines), or as JSON documents that people and programs pretty-print.

JSON Lines are read in bounded memory: one line is held, and never more of it than may be valid. A file that begins
with `[`, or with an object that its first line does not close, is read whole and cut into its values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from schemas.canonical_json import MAX_BYTES
from schemas.errors import UsageError

MAX_DOCUMENT: Final = 64 << 20
"""Number of bytes that a JSON array or a pretty-printed file may have."""

_UTF8_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_CHUNK: Final = MAX_BYTES + 8  # a BOM, the longest valid line and its end
_BLANK: Final = " \t\r\n"


class InputLine(msgspec.Struct, frozen=True):
    """The text of one event. `number` is the line on which it begins, from 1; a text that is too long is cut, yet still
    over the limit."""

    number: int
    raw: bytes


def read_events(file: BinaryIO, where: str) -> Iterator[InputLine]:
    """Return the text of each event in an open file, in order; blank lines are left out but counted.

    A UTF-8 BOM at the start is no fault. A file in UTF-16 has no lines that bytes could show: it comes as one.
    Raises UsageError for a JSON document over `MAX_DOCUMENT` bytes.
    """
    given = _lines(file)
    first = next(given, None)
    if first is None:
        return
    second = next(given, None) if first.raw.lstrip()[:1] == b"{" else None
    if _is_document(first, second):
        start = [first] if second is None else [first, second]
        yield from _values(_whole(start, file, where), first.number)
        return
    yield first
    if second is not None:
        yield second
    yield from given


def _lines(file: BinaryIO) -> Iterator[InputLine]:
    number = 0
    while part := file.readline(_CHUNK):
        number += 1
        if number == 1:
            if part[:2] in _UTF16_BOMS or b"\0" in part[:4]:
                yield InputLine(1, part)
                return
            part = part.removeprefix(_UTF8_BOM)
        if not part.endswith(b"\n"):
            while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
                pass
        raw = part.removesuffix(b"\n").removesuffix(b"\r")
        if raw.strip():
            yield InputLine(number, raw)


def _is_document(first: InputLine, second: InputLine | None) -> bool:
    """Tell whether a file is one JSON document. No line of JSON Lines begins with `[`, a string or a closing brace."""
    if len(first.raw) > MAX_BYTES:
        return False
    start = first.raw.lstrip()[:1]
    return start == b"[" or (start == b"{" and second is not None and second.raw.lstrip()[:1] in (b'"', b"}"))


def _whole(start: list[InputLine], file: BinaryIO, where: str) -> bytes:
    """Return all bytes from the first value on, with the line ends between the lines that were read already."""
    gap = start[-1].number - start[0].number
    text = start[0].raw + b"\n" * gap + (start[1].raw if len(start) > 1 else b"") + b"\n"
    text += file.read(MAX_DOCUMENT + 1 - len(text))
    if len(text) > MAX_DOCUMENT:
        raise UsageError(
            f"JSON 文件超过 {MAX_DOCUMENT >> 20} MiB / a JSON document over {MAX_DOCUMENT >> 20} MiB",
            where=where,
            hint="每行一个事件，不限大小 / one event a line has no limit: jq -c '.[]' FILE",
        )
    return text


def _values(raw: bytes, number: int) -> Iterator[InputLine]:
    """Cut a JSON document into its values: the elements of an array, or the values that follow each other.

    Where the document breaks, the rest comes as one text, which is then rejected with its line.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        yield InputLine(number, raw[:_CHUNK])
        return
    decoder = json.JSONDecoder()
    array = text.lstrip(_BLANK)[:1] == "["
    place = text.index("[") + 1 if array else 0
    counted, line = 0, number
    between = _BLANK + "," if array else _BLANK
    while (place := _past(text, place, between)) < len(text) and not (array and text[place] == "]"):
        line += text.count("\n", counted, place)
        counted = place
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = len(text)
        yield InputLine(line, text[place:end].rstrip(_BLANK).encode()[:_CHUNK])
        place = end
    rest = text[place + 1 :].strip(_BLANK)
    if array and rest:
        yield InputLine(line + text.count("\n", counted, place), rest.encode()[:_CHUNK])


def _past(text: str, place: int, skipped: str) -> int:
    while place < len(text) and text[place] in skipped:
        place += 1
    return place
