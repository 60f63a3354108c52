"""Rows of a table file, `.xlsx` or CSV, under the header that is looked for.

CSV may be in UTF-8 (with or without a BOM), UTF-16 or GB18030, with comma, semicolon or TAB between its values. The
header is the first row, within the first ten that are not blank, in which the key column stands beside other columns
that are known; a title may stand above it. Of several sheets the first visible one with that header is read; the
names of others that have it too are told, so that nobody takes them for submitted.
"""

from __future__ import annotations

import codecs
import csv
import io
import mmap
import re
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Final

import msgspec

from producers.file_kinds import TEXT, XLSX, recognise
from producers.sheet_rows import SparseRow
from producers.table_cells import Cell, DateCell, ErrorCell, NumberCell, is_blank, is_inexact, plain_number
from producers.workbook import Workbook, Worksheet
from schemas.errors import DrawError, UsageError

Raw = bytes | mmap.mmap
NumberedRow = tuple[int, SparseRow]

SEPARATORS: Final = (",", ";", "\t")
HEADER_WITHIN: Final = 10
_BOM8: Final = codecs.BOM_UTF8
_STEP: Final = 1 << 20
_SEP_LINE: Final = re.compile(r"sep=.")
_NAMED: Final = "zhengzhao items template ITEM -o FILE.xlsx"


class Table(msgspec.Struct, frozen=True):
    """A table: its columns by position, the rows below the header with their numbers in the file, from 1.

    `columns` are folded, `header` is as it stands. `others` names further sheets with the same header, which are not
    read.
    """

    columns: dict[int, str]
    header: SparseRow
    rows: Iterator[NumberedRow]
    others: tuple[str, ...] = ()


def folded(name: str) -> str:
    """Return the name of a column as it is compared: NFKC, trimmed, lower case."""
    return unicodedata.normalize("NFKC", name).strip().strip("\ufeff\u200b").lower()


def read_table(raw: Raw, key: str, known: Collection[str], where: str) -> Table:
    """Read the table in a file.

    Raises UsageError for a file that is no table (it names what it is), one without a row that has the column `key`
    beside another of `known`, and one with a column twice.
    """
    return _sought(raw, key, frozenset(known), where)


def looks_like_table(start: bytes, key: str, known: Collection[str]) -> bool:
    """Tell whether the first bytes of a text file show a header with the column `key` beside another of `known`."""
    wide = start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    whole = start[: len(start) // 2 * 2] if wide else start[: start.rfind(b"\n") + 1] or start
    try:
        _text_table(whole, key, frozenset(known), "")
    except UsageError:
        return False
    return True


def _sought(raw: Raw, key: str, known: frozenset[str], where: str) -> Table:
    kind = recognise(bytes(raw) if raw[:2] == b"PK" else raw[:4096])
    if kind == XLSX:
        return _sheet_table(Workbook(bytes(raw), where), key, known, where)
    if kind != TEXT:
        raise UsageError(
            f"这不是表格，而是{kind.zh} / no table, but {kind.en}",
            where=where,
            hint=kind.hint or "提交 .xlsx 或 CSV / send .xlsx or CSV",
        )
    return _text_table(raw, key, known, where)


# ---- headers ------------------------------------------------------------------------------------------------


def _header(rows: list[NumberedRow], key: str, known: frozenset[str]) -> tuple[int, dict[int, str], int]:
    """Return the place of the header among rows, its columns, and how many of them are known; -1 where there is none."""
    for place, (_, row) in enumerate(rows):
        columns = {at: folded(cell) for at, cell in row.items() if not is_blank(cell)}
        found = {name for name in columns.values() if name in known}
        if key in found and len(found) > 1:
            return place, columns, len(found)
    return -1, {}, 0


def _checked(columns: dict[int, str], where: str) -> dict[int, str]:
    names = list(columns.values())
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"列重复：{twice} / the column {twice} stands twice",
            where=where,
            hint="删去一列 / delete one of them",
        )
    return columns


def _no_header(key: str, known: frozenset[str], where: str) -> UsageError:
    return UsageError(
        f"找不到表头：没有一行含有 {key} 等列 / no header: no row has the column {key} beside others that are known",
        where=where,
        hint=f"列名 / columns: {', '.join(sorted(known))}; {_NAMED}",
    )


def _sheet_table(book: Workbook, key: str, known: frozenset[str], where: str) -> Table:
    found: Table | None = None
    others: list[str] = []
    for sheet in book.sheets:
        table = _of_sheet(book, sheet, key, known, where) if sheet.visible else None
        if table is not None and found is None:
            found = table
        elif table is not None and next(table.rows, None) is not None:
            others.append(sheet.name)
    if found is None:
        raise _no_header(key, known, where)
    return msgspec.structs.replace(found, others=tuple(others))


def _of_sheet(book: Workbook, sheet: Worksheet, key: str, known: frozenset[str], where: str) -> Table | None:
    rows = book.rows(sheet)
    first = list(islice(rows, HEADER_WITHIN))
    place, columns, _ = _header(first, key, known)
    if place < 0:
        return None
    return Table(_checked(columns, where), first[place][1], chain(first[place + 1 :], rows))


# ---- CSV ----------------------------------------------------------------------------------------------------


def _text_table(raw: Raw, key: str, known: frozenset[str], where: str) -> Table:
    encoding = encoding_of(raw, where)
    separator = separator_of(raw, encoding, key, known)
    if separator is None:
        raise _no_header(key, known, where)
    rows = _records(raw, encoding, separator, where)
    first = list(islice(rows, HEADER_WITHIN))
    place, columns, _ = _header(first, key, known)
    return Table(_checked(columns, where), first[place][1], chain(first[place + 1 :], rows))


def separator_of(raw: Raw, encoding: str, key: str, known: frozenset[str]) -> str | None:
    """Return the separator with which a row of the beginning shows most known columns; None where none does."""
    best, most = None, 0
    for separator in SEPARATORS:
        rows: list[NumberedRow] = []
        with suppress(UsageError, UnicodeError):  # rows before a fault will do
            for row in islice(_records(raw[: 4 * _STEP], encoding, separator, ""), HEADER_WITHIN):
                rows.append(row)
        _, _, count = _header(rows, key, known)
        if count > most:
            best, most = separator, count
    return best


def _records(raw: Raw, encoding: str, separator: str, where: str) -> Iterator[NumberedRow]:
    """Yield the records that hold anything, with their numbers: the header is row 1, as a spreadsheet counts."""
    number = 0
    try:
        for number, record in enumerate(_reader(raw, encoding, separator), start=1):
            if number == 1 and len(record) < 3 and _SEP_LINE.fullmatch(separator.join(record)):
                continue
            row: SparseRow = {at: cell for at, cell in enumerate(record) if cell}
            if row:
                yield number, row
    except csv.Error as error:
        raise UsageError(
            f"第 {number + 1} 行不是 CSV / row {number + 1} is no CSV: {error}",
            where=where,
            hint="含引号的值加引号，其中的引号写两次 / quote a value that has a quote in it, and double that quote",
        ) from None


def _reader(raw: Raw, encoding: str, separator: str) -> Iterator[list[str]]:
    return csv.reader(
        io.TextIOWrapper(io.BytesIO(raw), encoding, newline=""), delimiter=separator, strict=True
    )


def encoding_of(raw: Raw, where: str) -> str:
    """Return the encoding of a text file: by its BOM, else UTF-8 where all of it is, else GB18030.

    Raises UsageError where it is none of them, with the line of the first wrong byte.
    """
    start = raw[:4]
    if start[:3] == _BOM8:
        encoding = "utf-8-sig"
    elif start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    elif len(start) == 4 and not start[1] and not start[3]:
        encoding = "utf-16-le"
    elif len(start) == 4 and not start[0] and not start[2]:
        encoding = "utf-16-be"
    else:
        encoding = "utf-8"
    wrong = _first_wrong(raw, encoding)
    if wrong is None:
        return encoding
    if encoding == "utf-8" and not _is_damaged_utf8(raw, wrong) and _first_wrong(raw, "gb18030") is None:
        return "gb18030"
    line = raw[:wrong].count(b"\n") + 1
    name = "UTF-16" if encoding.startswith("utf-16") else "UTF-8"
    raise UsageError(
        f"第 {line} 行有字节不属于 {name} / line {line} has bytes that are not {name}",
        where=where,
        hint="另存为 UTF-8 的 CSV 或 .xlsx / save it as CSV in UTF-8, or as .xlsx",
    )


def _first_wrong(raw: Raw, encoding: str) -> int | None:
    """Return a place at or shortly before the first byte that is not in an encoding; None where all are."""
    decoder = codecs.getincrementaldecoder(encoding)()
    for start in range(0, len(raw), _STEP):
        try:
            decoder.decode(raw[start : start + _STEP], start + _STEP >= len(raw))
        except UnicodeError as error:
            return min(start + getattr(error, "start", 0), len(raw) - 1)
    return None


def _is_damaged_utf8(raw: Raw, wrong: int) -> bool:
    """Tell whether a text is UTF-8 with some wrong bytes: GB18030 would read it too, as other characters."""
    text = raw[max(0, wrong - _STEP) : wrong + _STEP].decode("utf-8", "replace")
    replaced = text.count("\ufffd")
    return sum(c >= "\u0800" for c in text) - replaced > 2 * replaced


# ---- registers of a draw ------------------------------------------------------------------------------------


def plain_register(raw: Raw, columns: Collection[str], where: str) -> Iterator[bytes] | None:
    """Return a register as lines of CSV in UTF-8 with commas (RFC 4180, LF); None where it is that already.

    The first of `columns` must be in the header. Values stand as they are; of a workbook whole numbers stand in
    decimal, days in ISO 8601, truth values as `true` and `false`, as in Parquet. Raises UsageError for a file that is no
    table, DrawError for a value that has no one text: a fraction, a moment, an error, a number of more than 15 digits.
    """
    names = list(columns)
    key, known = names[0], frozenset(names)
    if recognise(bytes(raw) if raw[:2] == b"PK" else raw[:4096]) == TEXT:
        encoding = encoding_of(raw, where)
        separator = separator_of(raw, encoding, key, known)
        if encoding in ("utf-8", "utf-8-sig") and separator in (",", None):
            return None
        if separator is None:
            raise _no_header(key, known, where)
        return _rewritten(raw, encoding, separator, where)
    return _from_sheet(_sought(raw, key, known, where), known, where)


def _rewritten(raw: Raw, encoding: str, separator: str, where: str) -> Iterator[bytes]:
    line = _Line()
    try:
        for record in _reader(raw, encoding, separator):
            if record:
                yield line.of(record)
    except csv.Error as error:
        raise DrawError(f"不是 CSV / not CSV: {error}", where=where) from None


def _spelt(table: Table, at: int, known: frozenset[str]) -> str:
    """Return a column's name: as the register's rules spell it where they know it, else as it stands."""
    name = table.columns[at]
    return name if name in known else str(table.header[at]).strip()


def _from_sheet(table: Table, known: frozenset[str], where: str) -> Iterator[bytes]:
    line = _Line()
    places = sorted(table.columns)
    yield line.of([_spelt(table, at, known) for at in places])
    for number, row in table.rows:
        if all(is_blank(cell) for cell in row.values()):
            continue
        if unnamed := [at for at, cell in row.items() if at not in table.columns and not is_blank(cell)]:
            raise DrawError(
                f"值所在的列没有列名 / a value in a column without a name (column {unnamed[0] + 1})",
                where=f"{where}:{number}",
                hint="给该列命名，或清空 / name the column, or clear it",
            )
        yield line.of([_exact(row.get(at, ""), table.columns[at], f"{where}:{number}") for at in places])


def _exact(cell: Cell, column: str, where: str) -> str:
    """Return the one text of a cell."""
    fault = ""
    if isinstance(cell, NumberCell):
        try:
            text = plain_number(cell)
        except ValueError:
            text = str(cell)
        if not is_inexact(cell) and text.removeprefix("-").isdigit():
            return text
        fault = "数字没有唯一的文本 / a number without one text"
    elif isinstance(cell, DateCell) and len(cell) != len("2018-09-10"):
        fault = "时刻没有唯一的文本 / a moment without one text"
    elif isinstance(cell, ErrorCell):
        fault = "单元格有错误 / the cell holds an error"
    if fault:
        raise DrawError(
            f"{column}: {fault}: {cell}", where=where, hint="把该列设为文本格式 / format the column as text"
        )
    return str(cell)


class _Line:
    """A writer of single lines of CSV."""

    def __init__(self) -> None:
        self._out = io.StringIO()
        self._writer = csv.writer(self._out, lineterminator="\n")

    def of(self, values: list[str]) -> bytes:
        """Return a line of values."""
        self._out.seek(0)
        self._out.truncate()
        self._writer.writerow(values)
        return self._out.getvalue().encode("utf-8", "surrogatepass")
