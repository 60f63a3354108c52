"""Texts in byte order, faster than by comparing them.

To compare texts is to fetch them from all over memory, some twenty times each. So they are sorted by sixteen
bytes of each at once, as numbers; those that are alike so far by the twelve bytes behind these, and so on.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

_FIRST = 16  # bytes of a 128-bit number
_NEXT = 12  # the number of the group that is alike so far takes the other four
_ROUNDS = 6  # then what is still alike is compared as text: long, or the same
_SHIFT = pl.Series([2 ** (8 * _NEXT)], dtype=pl.UInt128)


class Order(NamedTuple):
    """`texts.gather(places)` is in byte order; `repeated` is a text that stands twice, if there is one."""

    places: pl.Series
    repeated: str | None


def byte_order(texts: pl.Series) -> Order:
    """The byte order of texts, and whether each stands once."""
    at = _common(texts)
    keys = _number(texts, at, _FIRST)
    order = keys.arg_sort()
    same = _like_before(keys.gather(order))
    at += _FIRST
    for _ in range(_ROUNDS):
        if not same.any():
            return Order(order, None)
        places, groups = _alike(same)
        rows = order.gather(places)
        keys = groups.cast(pl.UInt128) * _SHIFT + _number(texts.gather(rows), at, _NEXT)
        inner = keys.arg_sort()
        order = order.scatter(places, rows.gather(inner))
        same = same.scatter(places, _like_before(keys.gather(inner)))
        at += _NEXT
    return _compared(texts, order, same)


def _compared(texts: pl.Series, order: pl.Series, same: pl.Series) -> Order:
    places, _ = _alike(same)
    rows = order.gather(places)
    alike = texts.gather(rows)
    inner = alike.arg_sort()
    ordered = alike.gather(inner)
    twice = ordered.filter(_like_before(ordered))
    return Order(order.scatter(places, rows.gather(inner)), str(twice[0]) if len(twice) else None)


def _common(texts: pl.Series) -> int:
    """How many bytes all texts begin with alike."""
    low, high = texts.min(), texts.max()
    if not isinstance(low, str) or not isinstance(high, str):
        return 0
    first, last = low.encode(), high.encode()
    pairs = enumerate(zip(first, last, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(first), len(last)))


def _number(texts: pl.Series, at: int, size: int) -> pl.Series:
    """Some bytes of each text as a number; where it is shorter, NULs stand for the rest: they are below any other."""
    shortest = texts.str.len_bytes().min()
    if isinstance(shortest, int) and shortest < at + size:
        texts = texts + "\0" * (at + size - shortest)
    cut = texts.cast(pl.Binary).bin.slice(at, size)
    if size < _FIRST:
        cut = pl.Series([b"\0" * (_FIRST - size)]) + cut
    return cut.bin.reinterpret(dtype=pl.UInt128, endianness="big")


def _like_before(keys: pl.Series) -> pl.Series:
    return (keys == keys.shift(1)).fill_null(False)


def _alike(same: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The places that are alike with a neighbour, and of each the number of its group."""
    alike = same | same.shift(-1, fill_value=False)
    return alike.arg_true(), (~same).cum_sum().filter(alike)
