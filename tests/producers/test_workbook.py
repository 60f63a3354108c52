"""Workbooks: every value as other readers see it, and nothing that a hostile one can ask for."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest
import python_calamine
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import saved

from producers.sheet_rows import SparseRow
from producers.table_cells import UNCOMPUTED, DateCell, ErrorCell, NumberCell, TruthCell
from producers.workbook import Workbook
from schemas.errors import UsageError

SHEET = "xl/worksheets/sheet1.xml"


def rows(raw: bytes, sheet: int = 0) -> list[tuple[int, SparseRow]]:
    """The rows of a sheet."""
    book = Workbook(raw, "t.xlsx")
    return list(book.rows(book.sheets[sheet]))


def book_of(*lines: list[Any]) -> bytes:
    """A workbook by openpyxl."""
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    return saved(book)


def by_xlsxwriter(lines: list[list[Any]]) -> bytes:
    """A workbook by XlsxWriter, which shares strings where openpyxl writes them in place."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
    book.set_properties({"created": datetime(2018, 1, 1)})  # the same bytes at any time
    sheet = book.add_worksheet()
    for r, line in enumerate(lines):
        for c, value in enumerate(line):
            if isinstance(value, str):
                sheet.write_string(r, c, value)
            elif value is not None:
                sheet.write(r, c, value)
    book.close()
    return out.getvalue()


def by_openpyxl(lines: list[list[Any]]) -> bytes:
    """A workbook by openpyxl, texts never as formulas."""
    book = openpyxl.Workbook()
    for r, line in enumerate(lines, start=1):
        for c, value in enumerate(line, start=1):
            if isinstance(value, str):
                book.active.cell(r, c).value = value
                book.active.cell(r, c).data_type = "s"
            elif value is not None:
                book.active.cell(r, c, value)
    return saved(book)


def edited(raw: bytes, part: str, edit: Callable[[bytes], bytes]) -> bytes:
    """A workbook with one part changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, edit(old.read(name)) if name == part else old.read(name))
    return out.getvalue()


def test_values_keep_what_they_were() -> None:
    """Text, numbers, days, moments, truth values; a blank cell is none."""
    [(number, row)] = rows(
        book_of(["化肥", 630225, 1.5, date(2018, 9, 9), datetime(2018, 9, 9, 8, 30), True, None, "末"])
    )
    assert number == 1
    assert row == {
        0: "化肥", 1: "630225", 2: "1.5", 3: "2018-09-09", 4: "2018-09-09T08:30:00", 5: "true", 7: "末",
    }  # fmt: skip
    assert [type(row[at]) for at in range(6)] == [str, NumberCell, NumberCell, DateCell, DateCell, TruthCell]


def test_a_formula_counts_by_its_stored_value() -> None:
    """It is never computed; without a value that is told, and an error is one."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.write_formula(0, 0, '="甲"&"乙"', None, "甲乙")
    sheet.write_formula(0, 1, "=1/0", None, "#DIV/0!")
    sheet.write_formula(0, 2, "=A2", None, 7)
    book.close()
    [(_, row)] = rows(out.getvalue())
    assert row == {0: "甲乙", 1: "#DIV/0!", 2: "7"}
    assert isinstance(row[1], ErrorCell)
    assert rows(book_of(["=1+1"]))[0][1][0] is UNCOMPUTED


def test_rich_text_escapes_and_phonetic_guides() -> None:
    """Runs are joined, `_x000A_` is a line feed, a guide to reading is no part of the text."""
    raw = edited(
        by_xlsxwriter([["text"]]),
        "xl/sharedStrings.xml",
        lambda _: (
            '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><r><t>甲</t></r>'
            "<r><t xml:space='preserve'> 乙_x000A_</t></r><rPh sb='0' eb='1'><t>jia</t></rPh></si></sst>"
        ).encode(),
    )
    assert rows(raw)[0][1] == {0: "甲 乙\n"}


def test_a_prefix_before_every_element_changes_nothing() -> None:
    """Some programs write `<x:row>`."""

    def prefixed(part: bytes) -> bytes:
        return re.sub(rb"<(/?)([a-zA-Z]+)", rb"<\1x:\2", part).replace(b"xmlns=", b"xmlns:x=")

    plain = book_of(["a", 1, date(2018, 9, 9)], ["b"])
    assert rows(edited(plain, SHEET, prefixed)) == rows(plain)


def test_days_count_from_1904_where_the_workbook_says_so() -> None:
    """Old Macintosh workbooks do."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "date_1904": True})
    book.add_worksheet().write_datetime(
        0, 0, datetime(2018, 9, 9), book.add_format({"num_format": "yyyy/m/d"})
    )
    book.close()
    assert rows(out.getvalue())[0][1] == {0: "2018-09-09"}


@pytest.mark.parametrize(
    ("code", "is_date"),
    [
        ('yyyy"年"m"月"d"日"', True),
        ("yyyy/m/d;@", True),
        ("[$-804]yyyy-mm-dd", True),
        ("[h]:mm", True),
        ("0.00E+00", False),
        ('0"days"', False),
        ("[Red]0", False),
        ("General", False),
        (r"0\d", False),
    ],
)
def test_a_format_shows_whether_a_number_is_a_date(code: str, is_date: bool) -> None:
    """Words in quotes, colours and escaped letters are no date."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    book.add_worksheet().write_number(0, 0, 43352.5, book.add_format({"num_format": code}))
    book.close()
    assert isinstance(rows(out.getvalue())[0][1][0], DateCell) is is_date


def test_a_cell_merged_downwards_stands_in_every_row_that_has_others() -> None:
    """As it looks on the screen; a row with nothing else stays blank."""
    book = openpyxl.Workbook()
    for line in (["A-1", "甲"], [None, "乙"], [None, None], ["A-2", "丙"]):
        book.active.append(line)
    book.active.merge_cells("A1:A3")
    assert rows(saved(book)) == [(1, {0: "A-1", 1: "甲"}), (2, {0: "A-1", 1: "乙"}), (4, {0: "A-2", 1: "丙"})]


def test_hidden_sheets_are_known_as_such() -> None:
    """In the order of the workbook."""
    book = openpyxl.Workbook()
    book.create_sheet("隐藏").sheet_state = "hidden"
    assert [(s.name, s.visible) for s in Workbook(saved(book), "t").sheets] == [
        ("Sheet", True),
        ("隐藏", False),
    ]


# ---- what hostile workbooks ask for -------------------------------------------------------------------------


def test_cells_at_the_corners_are_two_cells() -> None:
    """A reader that fills the rectangle between them asks for half a terabyte."""
    raw = edited(
        book_of(["x"], [None, 1]),
        SHEET,
        lambda part: part.replace(b'<row r="2"', b'<row r="1048576"').replace(b'r="B2"', b'r="XFD1048576"'),
    )
    assert rows(raw) == [(1, {0: "x"}), (1048576, {16383: "1"})]


def test_a_part_that_unpacks_to_too_much_is_refused() -> None:
    """Counted while it is unpacked: the archive's own figures are not believed."""
    raw = edited(
        book_of(["x"]), SHEET, lambda part: part.replace(b"<sheetData>", b" " * (4 << 20) + b"<sheetData>")
    )
    assert len(raw) < 40_000
    book = Workbook(raw, "t", max_unpacked=3 << 20)
    with pytest.raises(UsageError, match="too large"):
        list(book.rows(book.sheets[0]))


@pytest.mark.parametrize(
    "edit",
    [
        lambda part: b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa">]>' + part.partition(b"?>")[2],
        lambda part: part[: len(part) // 2],
        lambda part: part.replace(b't="n"', b't="s"').replace(b"<v>1</v>", b"<v>77</v>"),
        lambda part: part.replace(b'<row r="2"', b'<row r="1"'),
        lambda part: part.replace(b'r="A1"', b'r="ZZZ1"'),
        lambda part: part.replace(b'<row r="1"', b'<row r="9999999"'),
    ],
)  # fmt: skip
def test_a_damaged_sheet_is_refused(edit: Callable[[bytes], bytes]) -> None:
    """Declarations of types, cut ends, strings that are not there, rows that go back, columns beyond the last."""
    with pytest.raises(UsageError, match="damaged"):
        rows(edited(book_of(["x", 1], ["y"]), SHEET, edit))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_change_of_bytes_ends_in_another_error(data: st.DataObject) -> None:
    """A workbook reads, or is refused with a reason."""
    raw = bytearray(by_xlsxwriter([["application_id", "id"], ["A-1", 1, date(2018, 9, 9)]]))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=8)):
        raw[at] = data.draw(st.integers(0, 255))
    with suppress(UsageError):
        book = Workbook(bytes(raw), "t")
        for sheet in book.sheets:
            list(book.rows(sheet))


TEXTS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=12
)
VALUES = st.one_of(
    st.none(),
    TEXTS,
    st.integers(-(10**12), 10**12),
    st.floats(-1e9, 1e9, allow_nan=False),
    st.booleans(),
    st.dates(date(1901, 1, 1), date(2999, 12, 31)),
)


@pytest.mark.parametrize("write", [by_openpyxl, by_xlsxwriter])
@settings(max_examples=40, deadline=None)
@given(lines=st.lists(st.lists(VALUES, max_size=6), max_size=6))
def test_two_readers_agree(write: Callable[[list[list[Any]]], bytes], lines: list[list[Any]]) -> None:
    """Whatever two writers write, this reader and calamine read the same values in the same places."""
    raw = write(lines)
    theirs = {}
    sheet = python_calamine.CalamineWorkbook.from_object(io.BytesIO(raw)).get_sheet_by_index(0)
    for r, found in enumerate(sheet.to_python(skip_empty_area=False), start=1):
        theirs |= {(r, c): value for c, value in enumerate(found) if value != ""}
    ours = {(r, c): cell for r, row in rows(raw) for c, cell in row.items()}
    assert set(ours) == set(theirs)
    for place, cell in ours.items():
        assert _value(cell) == theirs[place]


def _value(cell: str) -> Any:
    if isinstance(cell, NumberCell):
        return float(cell)
    if isinstance(cell, DateCell):
        return date.fromisoformat(cell)
    return cell == "true" if isinstance(cell, TruthCell) else str(cell)
