"""The digest of a register: SHA-256 of its rows in byte order, each a line of values joined by TAB.

`LC_ALL=C sort rows.tsv | sha256sum` gives the same digest. Sums or XORs of row hashes would be quicker but can be
forged. Since every row ends in LF, and no value has a character below the space, rows with their LF sort as
rows without it, and the sorted column's own buffer is the text to hash.

Rows that do not fit into memory are spilled as sorted runs and merged by ranges: the rows of all runs between
two splitters are read, sorted and hashed. The splitters come from samples of every run, so that no order of
the file makes a range too big.

Comparing texts fetches each of them from memory about twenty times. So texts are sorted by sixteen bytes at once, as
numbers; texts that are equal so far are sorted by the next twelve bytes, and so on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa

_FIRST = 16  # Bytes of a 128-bit number.
_NEXT = 12  # The number of the group of equal prefixes takes the other four bytes.
_ROUNDS = 6  # After so many rounds texts that are still equal (long or identical) are compared as texts.
_SHIFT = pl.Series([2 ** (8 * _NEXT)], dtype=pl.UInt128)


class RowOrder(NamedTuple):
    """A byte order: `texts.gather(places)` is sorted; `repeated` is a text that occurs twice, if there is one."""

    places: pl.Series
    repeated: str | None


def byte_order(texts: pl.Series) -> RowOrder:
    """Return the byte order of texts, and a text that occurs twice."""
    at = _common(texts)
    keys = _number(texts, at, _FIRST)
    order = keys.arg_sort()
    same = _like_before(keys.gather(order))
    at += _FIRST
    for _ in range(_ROUNDS):
        if not same.any():
            return RowOrder(order, None)
        places, groups = _alike(same)
        rows = order.gather(places)
        keys = groups.cast(pl.UInt128) * _SHIFT + _number(texts.gather(rows), at, _NEXT)
        inner = keys.arg_sort()
        order = order.scatter(places, rows.gather(inner))
        same = same.scatter(places, _like_before(keys.gather(inner)))
        at += _NEXT
    return _compared(texts, order, same)


def _compared(texts: pl.Series, order: pl.Series, same: pl.Series) -> RowOrder:
    places, _ = _alike(same)
    rows = order.gather(places)
    alike = texts.gather(rows)
    inner = alike.arg_sort()
    ordered = alike.gather(inner)
    twice = ordered.filter(_like_before(ordered))
    return RowOrder(order.scatter(places, rows.gather(inner)), str(twice[0]) if len(twice) else None)


def _common(texts: pl.Series) -> int:
    """Return the length in bytes of the common prefix of all texts."""
    low, high = texts.min(), texts.max()
    if not isinstance(low, str) or not isinstance(high, str):
        return 0
    first, last = low.encode(), high.encode()
    pairs = enumerate(zip(first, last, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(first), len(last)))


def _number(texts: pl.Series, at: int, size: int) -> pl.Series:
    """Return some bytes of each text as a number; NULs, which are below all other bytes, pad shorter texts."""
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
    """Return the places that equal a neighbour, and the number of the group of each."""
    alike = same | same.shift(-1, fill_value=False)
    return alike.arg_true(), (~same).cum_sum().filter(alike)


DEL, _C1_LEAD = b"\x7f", b"\xc2"
_C1 = re.compile(rb"\xc2[\x80-\x9f]")  # U+0080 to U+009F in UTF-8.
_SLICE = 40_000  # Rows handed on at once; a piece of this size stays in the processor's cache.
_SAMPLES = 512  # Samples of each run.
_BATCH = 50_000  # Rows of a run that are read at once.


class ControlCharacter(ValueError):
    """The error of a value with a control character (category Cc)."""


def lines(frame: pl.DataFrame) -> pl.Series:
    """Return each row as the line that is hashed, with its LF."""
    values: list[pl.Expr] = []
    for name in frame.columns:
        values += [pl.col(name), pl.lit("\t")]
    return frame.select(pl.concat_str([*values[:-1], pl.lit("\n")]).alias("line"))["line"].rechunk()


class LineHash:
    """A SHA-256 over lines in order that checks that no value has a control character."""

    def __init__(self, columns: int) -> None:
        self._sha = hashlib.sha256()
        self._ends = columns  # The number of TABs and LFs of a line.

    def update(self, texts: pl.Series, places: pl.Series | None = None) -> None:
        """Add lines that are in order already, or that `places` puts in order."""
        starts = range(0, len(texts), _SLICE)
        with ThreadPoolExecutor(1) as pool:  # The next piece is gathered while one is hashed.
            fetched = (pool.submit(self._piece, texts, places, start) for start in starts)
            ahead = next(fetched, None)
            while ahead is not None:
                text, ahead = ahead.result(), next(fetched, None)
                self._sha.update(text)

    def hexdigest(self) -> str:
        """Return the digest of all lines so far."""
        return self._sha.hexdigest()

    def _piece(self, texts: pl.Series, places: pl.Series | None, start: int) -> bytes:
        if places is None:
            return self._checked(texts.slice(start, _SLICE))
        return self._checked(texts.gather(places.slice(start, _SLICE)))

    def _checked(self, piece: pl.Series) -> bytes:
        """Return the text of some lines. Raise ControlCharacter where it has others than its TABs and LFs."""
        text = _bytes(piece.to_arrow())
        each = pa.UInt8Array.from_buffers(pa.uint8(), len(text), [None, pa.py_buffer(text)])
        low = int((pl.Series(each) < 0x20).sum())
        if low != len(piece) * self._ends or DEL in text or (_C1_LEAD in text and _C1.search(text)):
            raise ControlCharacter
        return text


def _bytes(array: pa.Array) -> bytes:
    """Return the texts of an Arrow string array, concatenated."""
    if not len(array):
        return b""
    array = array.cast(pa.large_string())
    offsets = memoryview(array.buffers()[1]).cast("q")
    first, last = offsets[array.offset], offsets[array.offset + len(array)]
    return bytes(memoryview(array.buffers()[2])[first:last])


class SortedSpill:
    """Texts beyond memory, returned in byte order."""

    def __init__(self, folder: Path, rows_at_once: int) -> None:
        self._folder = folder
        self._rows_at_once = rows_at_once
        self._runs: list[Path] = []
        self._samples: list[str] = []
        self._count = 0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, texts: pl.Series) -> None:
        """Sort and write one run."""
        ordered = texts.gather(byte_order(texts).places)
        step = max(1, len(ordered) // _SAMPLES)
        self._samples += ordered.gather_every(step).to_list()
        path = self._folder / f"run-{len(self._runs)}.arrow"
        schema = pa.schema([("text", pa.large_string())])
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for start in range(0, len(ordered), _BATCH):
                piece = ordered.slice(start, _BATCH)
                writer.write_batch(pa.record_batch([piece.to_arrow().cast(pa.large_string())], schema=schema))
        self._runs.append(path)
        self._count += len(ordered)

    def ordered(self, progress: Callable[[int], None] = lambda rows: None) -> Iterator[pl.Series]:
        """Yield all texts in byte order, a range at a time."""
        runs = [_Run(path) for path in self._runs]
        for splitter in [*self._splitters(), None]:
            parts = [part for run in runs for part in run.below(splitter)]
            if parts:
                series = pl.from_arrow(pa.chunked_array(parts))
                assert isinstance(series, pl.Series)
                del parts
                yield series.gather(byte_order(series).places)
                progress(len(series))

    def _splitters(self) -> list[bytes]:
        ranges = -(-self._count // self._rows_at_once)
        ordered = sorted(text.encode() for text in self._samples)
        return [ordered[len(ordered) * n // ranges] for n in range(1, ranges)]


class _Run:
    """One sorted run, read from its start to its end; one batch of it is in memory.

    It is read, not mapped, since mapped pages would count as memory of this process.
    """

    def __init__(self, path: Path) -> None:
        self._reader = pa.ipc.open_file(pa.OSFile(str(path)))
        self._next = 0
        self._batch: pa.Array = pa.array([], pa.large_string())

    def below(self, splitter: bytes | None) -> Iterator[pa.Array]:
        """Yield the texts from here on that are below the splitter (None: all)."""
        while True:
            found = self._count_below(splitter)
            if found:
                yield self._batch.slice(0, found)
            if found < len(self._batch):
                self._batch = self._batch.slice(found)
                return
            if self._next == self._reader.num_record_batches:
                self._batch = self._batch.slice(found)
                return
            self._batch = self._reader.get_batch(self._next).column(0)
            self._next += 1

    def _count_below(self, splitter: bytes | None) -> int:
        batch = self._batch
        if splitter is None:
            return len(batch)
        low, high = 0, len(batch)
        while low < high:
            middle = (low + high) // 2
            if batch[middle].as_py().encode() < splitter:
                low = middle + 1
            else:
                high = middle
        return low
