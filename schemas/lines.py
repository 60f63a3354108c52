"""A file of events, line by line, in bounded memory: one line is held, and never more of it than may be valid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from schemas.strict_json import MAX_BYTES

_UTF8_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_CHUNK: Final = MAX_BYTES + 8  # a BOM, the longest valid line and its end


class Line(msgspec.Struct, frozen=True):
    """`number` counts from 1. Of a line that is too long `raw` is the beginning, still over the limit."""

    number: int
    raw: bytes


def lines(file: BinaryIO) -> Iterator[Line]:
    """The lines of an open file without their ends; blank ones are left out, but counted.

    A UTF-8 BOM at the start is no fault. A file in UTF-16 has no lines that bytes could show: it comes as one.
    """
    number = 0
    while part := file.readline(_CHUNK):
        number += 1
        if number == 1:
            if part[:2] in _UTF16_BOMS or b"\0" in part[:4]:
                yield Line(1, part)
                return
            part = part.removeprefix(_UTF8_BOM)
        if not part.endswith(b"\n"):
            while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
                pass
        raw = part.removesuffix(b"\n").removesuffix(b"\r")
        if raw.strip():
            yield Line(number, raw)
