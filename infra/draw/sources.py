"""Register files as frames of text columns: CSV (RFC 4180) and Parquet, whole or in batches.

Two readers must agree on the content of a file, this one and `verify_draw.py` (Python's `csv`). So nothing is
guessed and nothing repaired: a stray quote, a short or long row, a lone CR are refused.

A quoted field begins right behind a comma or a line end and ends right before one. The quotes of a register are
checked in blocks of bytes, without parsing a field.
"""

from __future__ import annotations

import csv
import io
import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import accumulate
from operator import and_
from pathlib import Path
from tempfile import NamedTemporaryFile

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from producers.table_rows import plain_register
from schemas.draw.encoding import CONTROL
from schemas.errors import DrawError, UsageError

BOM = b"\xef\xbb\xbf"
_QUOTING_BLOCK = 4 << 20
_QUOTE, _BEFORE, _BEHIND = ord('"'), list(b',\n"'), list(b',\r\n"')


def check_quoting(content: mmap.mmap, where: str, *, block: int = _QUOTING_BLOCK) -> None:
    """Raise DrawError for a quote that no field begins or ends with, and for a CR that no LF follows.

    Quotes open and close by turns; a quote right behind a closing one is the second of a doubled quote.
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
        block = content[start : start + size + 1]  # One further byte shows an LF behind a CR at the end.
        own = block[:size]
        pairs = own.count(b"\r\n") + (own.endswith(b"\r") and block[size:] == b"\n")
        if own.count(b"\r") != pairs:
            raise DrawError(
                "a CR without LF / 含有单独的回车符", where=where, hint="lines end in LF or CR LF"
            )


def _first_fault(content: mmap.mmap, size: int) -> int | None:
    """Return the offset of the quote that opens the first wrong field, or None."""
    starts = range(_start(content), len(content), size)
    with ThreadPoolExecutor(2) as pool:
        counts = pool.map(lambda start: _count(content[start : start + size]), starts)
        each = list(counts)
        before = list(accumulate(each, initial=0))
        quoted = (n for n in range(len(starts)) if each[n])  # A block without quotes has no wrong one.
        faults = pool.map(lambda n: _fault(content, starts[n], size, before[n] % 2), quoted)
        wrong = next((fault for fault in faults if fault is not None), None)
    if wrong is None and before[-1] % 2:
        return content.rfind(b'"')
    return wrong


def _start(content: mmap.mmap) -> int:
    return len(BOM) if content[: len(BOM)] == BOM else 0


def _fault(content: mmap.mmap, start: int, size: int, inside: int) -> int | None:
    """Return the first fault of a block, which begins inside of quotes (1) or outside (0)."""
    ahead = (
        content[start - 1 : start] if start > _start(content) else b"\n"
    )  # The file begins as if a line had ended.
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
    """Return bytes as numbers, without copying them."""
    return pl.Series(pa.UInt8Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)]))


def _count(data: bytes) -> int:
    return int((_numbers(data) == _QUOTE).sum())


def _none_of(numbers: pl.Series, allowed: list[int]) -> pl.Series:
    return reduce(and_, (numbers != one for one in allowed))


BATCH_ROWS = 4_000_000  # These need about 1.5 GB; a bigger register goes through a folder on disk.
WHOLE_BYTES = 600 << 20  # A CSV up to this size is read at once, on all cores.
_BLOCK = 16 << 20


def read_frames(
    path: Path,
    columns: Sequence[str],
    *,
    batch_rows: int = BATCH_ROWS,
    whole_bytes: int = WHOLE_BYTES,
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a register file, every column as text, in at least one frame (perhaps without rows).

    `columns` are those that a register of its kind must have. Workbooks (`.xlsx`) and CSV in other encodings or with
    other separators are rewritten as plain CSV first. Raise UsageError where the file is absent, empty or damaged,
    DrawError where it breaks a rule.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(
            f"无法读取 / cannot read it: {error.strerror}", where=str(path), hint="check the path"
        ) from None
    if not magic:
        raise UsageError(
            "the file is empty / 文件为空", where=str(path), hint="CSV with a header, or Parquet"
        )
    if magic == b"PAR1":
        yield from _parquet(path, batch_rows)
    elif _is_plain(path, columns):
        yield from _csv(path, str(path), batch_rows, whole=size <= whole_bytes)
    else:
        yield from _rewritten(path, columns, batch_rows, whole_bytes)


def _is_plain(path: Path, columns: Sequence[str]) -> bool:
    """Return True where a file begins as CSV in UTF-8 with commas, by its header and its first mebibyte."""
    with path.open("rb") as file:
        start = file.read(1 << 20)
    try:
        text = (start[: start.rfind(b"\n") + 1] or start).decode("utf-8-sig")
        header = next((line for line in text.splitlines() if line), "")
        return columns[0] in next(csv.reader([header]), []) and "\0" not in header
    except (UnicodeDecodeError, csv.Error):
        return False


def _rewritten(
    path: Path, columns: Sequence[str], batch_rows: int, whole_bytes: int
) -> Iterator[pl.DataFrame]:
    """Yield the rows of a workbook or of CSV in another form, by way of a temporary file of plain CSV."""
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        lines = plain_register(content, columns, str(path))
    except UsageError:
        if content[:2] == b"PK" or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise
        lines = None  # The reader of plain CSV names the column that is missing, or the line that is wrong.
    if lines is None:
        yield from _csv(path, str(path), batch_rows, whole=len(content) <= whole_bytes)
        return
    with NamedTemporaryFile(prefix="zhengzhao-register-", suffix=".csv") as plain:
        plain.writelines(lines)
        plain.flush()
        size = plain.tell()
        yield from _csv(Path(plain.name), str(path), batch_rows, whole=size <= whole_bytes)


def check_columns(columns: list[str], where: str) -> None:
    """Raise DrawError where a column occurs twice or its name has control characters."""
    for column in columns:
        if CONTROL.search(column):
            raise DrawError(f"列名有控制字符 / column {column!r} has control characters", where=where)
        if columns.count(column) > 1:
            raise DrawError(f"列重复 / the column {column!r} stands twice", where=where)


# --- CSV


def _csv(path: Path, where: str, batch_rows: int, *, whole: bool) -> Iterator[pl.DataFrame]:
    with path.open("rb") as file:
        content = mmap.mmap(
            file.fileno(), 0, access=mmap.ACCESS_READ
        )  # The file is unmapped with its last reader.
    check_quoting(content, where)
    columns, start = _header(content, where)
    check_columns(columns, where)
    content.madvise(mmap.MADV_DONTNEED)  # Its pages would count as memory twice, beside Arrow's own mapping.
    # Arrow maps the file itself: its threads may let go of a buffer after the interpreter has begun to end, and memory
    # that Python owns would then end the process by SIGABRT.
    buffer = pa.memory_map(str(path)).read_buffer().slice(start)
    try:
        if whole:
            yield _whole(buffer, columns)
        else:
            yield from _batches(buffer, columns, batch_rows)
    except pa.ArrowInvalid as error:
        raise _csv_error(content, len(columns), error, where) from None


def _options(columns: list[str]) -> tuple[pa.csv.ReadOptions, pa.csv.ConvertOptions]:
    names = [f"c{n}" for n in range(len(columns))]
    read = pa.csv.ReadOptions(block_size=_BLOCK, column_names=names)
    types = dict.fromkeys(names, pa.string())
    return read, pa.csv.ConvertOptions(column_types=types, strings_can_be_null=False)


def _whole(buffer: pa.Buffer, columns: list[str]) -> pl.DataFrame:
    if not _has_rows(buffer):
        return _empty(columns)
    read, convert = _options(columns)
    table = pa.csv.read_csv(pa.BufferReader(buffer), read_options=read, convert_options=convert)
    return _frame(table, columns)


def _batches(buffer: pa.Buffer, columns: list[str], batch_rows: int) -> Iterator[pl.DataFrame]:
    if not _has_rows(buffer):
        yield _empty(columns)
        return
    read, convert = _options(columns)
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in pa.csv.open_csv(pa.BufferReader(buffer), read_options=read, convert_options=convert):
        held.append(batch)
        count += batch.num_rows
        if count >= batch_rows:
            yield _frame(pa.Table.from_batches(held), columns)
            held, count = [], 0
    if held:
        yield _frame(pa.Table.from_batches(held), columns)


def _frame(table: pa.Table, columns: list[str]) -> pl.DataFrame:
    frame = pl.from_arrow(table, rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    frame.columns = columns  # Arrow's own names would lose an empty one, which polars replaces by `column_4`.
    return frame


def _empty(columns: list[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))


def _has_rows(buffer: pa.Buffer) -> bool:
    """Return True where more than blank lines follows; Arrow refuses a CSV without rows."""
    return bool(memoryview(buffer)[: 1 << 20].tobytes().strip(b"\r\n")) or bool(
        len(buffer) > 1 << 20 and buffer.to_pybytes().strip(b"\r\n")
    )


def _header(content: mmap.mmap, where: str) -> tuple[list[str], int]:
    """Return the columns, and the offset of the first row."""
    start = len(BOM) if content[:3] == BOM else 0
    while True:
        end = content.find(b"\n", start)
        line = content[start : end if end >= 0 else len(content)].removesuffix(b"\r")
        start = end + 1 if end >= 0 else len(content)
        if line:
            break
        if end < 0:
            raise UsageError(
                "文件没有表头 / the file has no header", where=where, hint="the first line names the columns"
            )
    try:
        return next(csv.reader(io.StringIO(line.decode(), newline=""), strict=True)), start
    except (UnicodeDecodeError, csv.Error):
        raise DrawError("表头不是 UTF-8 编码的 CSV / the header is not CSV in UTF-8", where=where) from None


def _csv_error(content: mmap.mmap, width: int, error: pa.ArrowInvalid, where: str) -> DrawError:
    """Build the error with the wrong line. Arrow's own message would quote the row, which may name a person."""
    content.seek(0)
    try:
        rows = csv.reader(io.TextIOWrapper(io.BytesIO(content.read()), "utf-8-sig", newline=""), strict=True)
        for row in rows:
            if row and len(row) != width:
                found = "short" if len(row) < width else "long"
                return DrawError(
                    f"a {found} row: {len(row)} of {width} values / 列数不符",
                    where=f"{where}:{rows.line_num}",
                )
    except UnicodeDecodeError as wrong:
        return DrawError(f"not UTF-8 (byte {wrong.start}) / 不是 UTF-8 编码", where=where)
    except csv.Error as wrong:
        return DrawError(f"不是 CSV / not CSV: {wrong}", where=f"{where}:{rows.line_num}")
    return DrawError(f"不是 CSV / not CSV: {str(error).partition(': ')[0]}", where=where)


# --- Parquet


def _parquet(path: Path, batch_rows: int) -> Iterator[pl.DataFrame]:
    where = str(path)
    try:
        with pa.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            check_columns(schema.names, where)
            for field in schema:
                _check_type(field, where)
            if file.metadata.num_rows <= batch_rows:
                plain = all(_is_text(field.type) for field in schema)
                yield _read_text(path, where) if plain else _text_frame(file.read(), where)
                return
            held: list[pa.RecordBatch] = []
            for batch in file.iter_batches(min(batch_rows, 1_000_000)):
                held.append(batch)
                if sum(b.num_rows for b in held) >= batch_rows:
                    yield _text_frame(pa.Table.from_batches(held), where)
                    held = []
            if held:
                yield _text_frame(pa.Table.from_batches(held), where)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"不是 Parquet 文件 / not a Parquet file: {str(error).splitlines()[0]}", where=where
        ) from None


def _read_text(path: Path, where: str) -> pl.DataFrame:
    """Read a file of text columns without a copy of each value."""
    try:
        return pl.read_parquet(path).fill_null("")
    except pl.exceptions.PolarsError:
        raise DrawError(
            "列不是 UTF-8，或数据损坏 / a column is not UTF-8, or its pages are damaged", where=where
        ) from None


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _check_type(field: pa.Field, where: str) -> None:
    kind = _plain(field.type)
    other = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_date, pa.types.is_null)
    if not _is_text(kind) and not any(test(kind) for test in other):
        raise DrawError(
            f"列的类型没有唯一的文本形式 / column {field.name!r} is {field.type}, which has no unique text form",
            where=where,
            hint="text, whole numbers, booleans and dates; write anything else as text",
        )


def _text_frame(table: pa.Table, where: str) -> pl.DataFrame:
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = _plain(column.type)
        if pa.types.is_dictionary(column.type):
            column = column.cast(kind)
        if pa.types.is_date64(kind):
            column = column.cast(pa.date32())
        if _is_text(kind):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid:
                raise DrawError(f"列不是 UTF-8 / column {name!r} is not UTF-8", where=where) from None
        columns[name] = column
    frame = pl.from_arrow(pa.table(columns), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    frame.columns = table.column_names
    return frame.with_columns(pl.all().cast(pl.String).fill_null(""))
