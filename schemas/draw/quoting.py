"""Whether a CSV file keeps to RFC 4180 where programs read other things differently: quotes and line ends.

A quoted field begins right behind a comma or a line end and ends right before one. A register of millions of
quoted fields is looked at in blocks, as numbers, without touching a field.
"""

from __future__ import annotations

import mmap
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import accumulate
from operator import and_

import polars as pl
import pyarrow as pa

from schemas.errors import DrawError

BOM = b"\xef\xbb\xbf"
_BLOCK = 4 << 20
_QUOTE, _BEFORE, _BEHIND = ord('"'), list(b',\n"'), list(b',\r\n"')


def check_quoting(content: mmap.mmap, where: str, *, block: int = _BLOCK) -> None:
    """DrawError for a quote that no field begins or ends with, and for a CR that no LF follows.

    Quotes open and close by turns; one right behind a closing one is a doubled quote's second, and opens again.
    """
    if content.find(b"\r") >= 0:
        _check_line_ends(content, where, block)
    if content.find(b'"') >= 0 and (wrong := _first_fault(content, block)) is not None:
        line = content[:wrong].count(b"\n") + 1
        raise DrawError(
            "a quote that RFC 4180 does not allow / 引号用法不合规范",
            where=f"{where}:{line}",
            hint='a field with `"` in it is quoted, and each `"` in it doubled',
        )


def _check_line_ends(content: mmap.mmap, where: str, size: int) -> None:
    for start in range(0, len(content), size):
        block = content[start : start + size + 1]  # one byte on, for an LF there
        own = block[:size]
        pairs = own.count(b"\r\n") + (own.endswith(b"\r") and block[size:] == b"\n")
        if own.count(b"\r") != pairs:
            raise DrawError(
                "a CR without LF / 含有单独的回车符", where=where, hint="lines end in LF or CR LF"
            )


def _first_fault(content: mmap.mmap, size: int) -> int | None:
    """Where the quote stands that opens the first wrong field, or None."""
    starts = range(_start(content), len(content), size)
    with ThreadPoolExecutor(2) as pool:
        counts = pool.map(lambda start: _count(content[start : start + size]), starts)
        before = list(accumulate(counts, initial=0))
        faults = pool.map(lambda n: _fault(content, starts[n], size, before[n] % 2), range(len(starts)))
        wrong = next((fault for fault in faults if fault is not None), None)
    if wrong is None and before[-1] % 2:
        return content.rfind(b'"')
    return wrong


def _start(content: mmap.mmap) -> int:
    return len(BOM) if content[: len(BOM)] == BOM else 0


def _fault(content: mmap.mmap, start: int, size: int, inside: int) -> int | None:
    """The first fault of a block, which begins inside of quotes (1) or outside (0)."""
    ahead = content[start - 1 : start] if start > _start(content) else b"\n"  # as if a line had ended
    block = ahead + content[start : start + size]
    behind = content[start + size : start + size + 1] or b"\n"
    each = _numbers(block + behind)
    quotes = (each.slice(1, len(block) - 1) == _QUOTE).arg_true() + 1
    opening, closing = quotes.gather_every(2, inside), quotes.gather_every(2, 1 - inside)
    wrong_opening = opening.filter(_none_of(each.gather(opening - 1), _BEFORE)).min()
    wrong_closing = closing.filter(_none_of(each.gather(closing + 1), _BEHIND)).min()
    found = []
    if isinstance(wrong_opening, int):
        found.append(start - 1 + wrong_opening)
    if isinstance(wrong_closing, int):
        found.append(content.rfind(b'"', 0, start - 1 + wrong_closing))
    return min(found, default=None)


def _numbers(data: bytes) -> pl.Series:
    """Bytes as numbers, without copying them."""
    return pl.Series(pa.UInt8Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)]))


def _count(data: bytes) -> int:
    return int((_numbers(data) == _QUOTE).sum())


def _none_of(numbers: pl.Series, allowed: list[int]) -> pl.Series:
    return reduce(and_, (numbers != one for one in allowed))
