"""The digest of a register: SHA-256 of its rows in byte order, each a line of values joined by TAB.

`LC_ALL=C sort rows.tsv | sha256sum` says the same. Sums or XORs of row hashes would be quicker and can be
forged. Since every row ends in LF, and no value has a character below the space, rows with their LF sort as
rows without it, and the sorted column's own buffer is the text to hash.

What does not fit into memory is spilled as sorted runs, and merged by ranges: from all runs the rows between
two splitters are read, sorted and hashed; the splitters come from samples of every run, so that no order of
the file makes a range too big.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pyarrow as pa

TAB, LF = b"\t", b"\n"
_FORBIDDEN = bytes(set(range(0x20)) - {9, 10}) + b"\x7f"
_C1 = re.compile(rb"\xc2[\x80-\x9f]")  # U+0080 to U+009F in UTF-8
_SLICE = 400_000  # rows handed on at once
_SAMPLES = 512  # per run


class ControlCharacter(ValueError):
    """A value has a control character (category Cc)."""


def lines(frame: pl.DataFrame) -> pl.Series:
    """Each row as the line that is hashed, with its LF."""
    values: list[pl.Expr] = []
    for name in frame.columns:
        values += [pl.col(name), pl.lit("\t")]
    return frame.select(pl.concat_str([*values[:-1], pl.lit("\n")]).alias("line"))["line"]


def in_order(texts: pl.Series) -> pl.Series:
    """Texts in byte order.

    What costs time is to fetch texts from all over memory. So they are put nearly in order by eight bytes
    of each, copied in that order once, and only then sorted: half the time of sorting at once.
    """
    low, high = texts.min(), texts.max()
    if not isinstance(low, str) or not isinstance(high, str):
        return texts
    pairs = enumerate(zip(low.encode(), high.encode(), strict=False))
    common = next((n for n, (a, b) in pairs if a != b), 0)  # all texts begin with these bytes
    bytes_ = texts.cast(pl.Binary).bin.slice(common, 8)
    keys = bytes_.bin.reinterpret(dtype=pl.UInt64, endianness="big")
    nearly = texts.rechunk().gather(keys.arg_sort())
    with ThreadPoolExecutor(2) as pool:
        copies = list(pool.map(pl.Series.to_arrow, _pieces(nearly)))
    copied = pl.from_arrow(pa.chunked_array(copies))
    assert isinstance(copied, pl.Series)
    return copied.sort()


def _pieces(series: pl.Series) -> list[pl.Series]:
    return [series.slice(start, _SLICE) for start in range(0, len(series), _SLICE)]


class LineHash:
    """SHA-256 over lines in order, with a check that no value has a control character."""

    def __init__(self, columns: int) -> None:
        self._sha = hashlib.sha256()
        self._tabs = columns - 1

    def update(self, ordered: pl.Series) -> None:
        """Adds lines that are in order already."""
        with ThreadPoolExecutor(2) as pool:
            for text in pool.map(self._checked, _pieces(ordered)):
                self._sha.update(text)

    def hexdigest(self) -> str:
        """The digest of all lines so far."""
        return self._sha.hexdigest()

    def _checked(self, piece: pl.Series) -> bytes:
        text = _bytes(piece.to_arrow())
        rows = len(piece)
        plain = text.count(LF) == rows and text.count(TAB) == rows * self._tabs
        if not plain or len(text.translate(None, _FORBIDDEN)) != len(text) or _C1.search(text):
            raise ControlCharacter
        return text


def _bytes(array: pa.Array) -> bytes:
    """The texts of an Arrow string array, one after the other."""
    if not len(array):
        return b""
    array = array.cast(pa.large_string())
    offsets = memoryview(array.buffers()[1]).cast("q")
    first, last = offsets[array.offset], offsets[array.offset + len(array)]
    return bytes(memoryview(array.buffers()[2])[first:last])


class SortedSpill:
    """Texts beyond memory, given back in byte order."""

    def __init__(self, folder: Path, rows_at_once: int) -> None:
        self._folder = folder
        self._rows_at_once = rows_at_once
        self._runs: list[Path] = []
        self._samples: list[str] = []
        self._count = 0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, texts: pl.Series) -> None:
        """Sorts and writes one run."""
        ordered = in_order(texts)
        step = max(1, len(ordered) // _SAMPLES)
        self._samples += ordered.gather_every(step).to_list()
        path = self._folder / f"run-{len(self._runs)}.arrow"
        schema = pa.schema([("text", pa.large_string())])
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for piece in _pieces(ordered):
                writer.write_batch(pa.record_batch([piece.to_arrow().cast(pa.large_string())], schema=schema))
        self._runs.append(path)
        self._count += len(ordered)

    def ordered(self, progress: Callable[[int], None] = lambda rows: None) -> Iterator[pl.Series]:
        """All texts in byte order, a range at a time."""
        runs = [_Run(path) for path in self._runs]
        begins = [0] * len(runs)
        for splitter in [*self._splitters(), None]:
            ends = [run.find(splitter) for run in runs]
            parts = [p for run, b, e in zip(runs, begins, ends, strict=True) for p in run.slice(b, e)]
            begins = ends
            if parts:
                series = pl.from_arrow(pa.chunked_array(parts))
                assert isinstance(series, pl.Series)
                yield in_order(series)
                progress(len(series))

    def _splitters(self) -> list[bytes]:
        ranges = -(-self._count // self._rows_at_once)
        ordered = sorted(text.encode() for text in self._samples)
        return [ordered[len(ordered) * n // ranges] for n in range(1, ranges)]


class _Run:
    """One sorted run, mapped: nothing of it is in memory before it is asked for."""

    def __init__(self, path: Path) -> None:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._batches = [reader.get_batch(n).column(0) for n in range(reader.num_record_batches)]
        self._count = sum(len(batch) for batch in self._batches)

    def find(self, splitter: bytes | None) -> int:
        """How many texts are below the splitter."""
        if splitter is None:
            return self._count
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._at(middle) < splitter:
                low = middle + 1
            else:
                high = middle
        return low

    def slice(self, begin: int, end: int) -> Iterator[pa.Array]:
        for number, batch in enumerate(self._batches):
            first = max(begin - number * _SLICE, 0)
            last = min(end - number * _SLICE, len(batch))
            if first < last:
                yield batch.slice(first, last - first)

    def _at(self, index: int) -> bytes:
        text: str = self._batches[index // _SLICE][index % _SLICE].as_py()
        return text.encode()
