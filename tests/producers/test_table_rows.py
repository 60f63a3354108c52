"""Table files: encodings, separators, headers, sheets; registers of a draw as plain CSV."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import date, datetime
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import ENCODINGS, saved

from producers.table_rows import encoding_of, looks_like_table, plain_register, read_table
from schemas.errors import DrawError, UsageError

TARGETS = ("id", "name", "division", "credit_class")
ROWS = [["1", "青海第1厂", "630225", "A"], ["2", '乙, "丙"; 丁', "630225", ""]]


def text_of(*rows: list[str], separator: str = ",", end: str = "\r\n") -> str:
    """CSV as the standard library writes it."""
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator=end).writerows([list(TARGETS), *rows])
    return out.getvalue()


def sheet_of(*rows: list[Any]) -> bytes:
    """A register as a workbook."""
    book = openpyxl.Workbook()
    for row in [list(TARGETS), *rows]:
        book.active.append(row)
    return saved(book)


def read(raw: bytes) -> list[tuple[int, list[str]]]:
    """Rows by number, in the order of the columns."""
    table = read_table(raw, "id", TARGETS, "t")
    places = {name: at for at, name in table.columns.items()}
    return [(n, [str(row.get(places[name], "")) for name in TARGETS]) for n, row in table.rows]


@pytest.mark.parametrize("encoding", [*ENCODINGS, "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_encoding_and_separator_reads_the_same(encoding: str, separator: str, end: str) -> None:
    """Values that hold the other separators and quotes stand as they are."""
    assert read(text_of(*ROWS, separator=separator, end=end).encode(encoding)) == [(2, ROWS[0]), (3, ROWS[1])]


def test_blank_lines_count_and_are_no_rows() -> None:
    """A row has the number that a spreadsheet shows; a quoted line break is within a row."""
    raw = b'id,name,division,credit_class\n\n1,"a\nb",630225,A\n,,,\n2,c,630225,B\n'
    assert read(raw) == [(3, ["1", "a\nb", "630225", "A"]), (5, ["2", "c", "630225", "B"])]


def test_a_title_and_a_line_for_excel_may_stand_above_the_header() -> None:
    """`sep=;` is how Excel is told of a separator; the header is looked for within ten rows."""
    assert read(("sep=;\n检查对象名录\n\n" + text_of(*ROWS, separator=";")).encode()) == [
        (5, ROWS[0]),
        (6, ROWS[1]),
    ]
    with pytest.raises(UsageError, match="no header"):
        read(("题\n" * 10 + text_of(*ROWS)).encode())


def test_column_names_are_read_whatever_their_width() -> None:
    """And with spaces or capitals."""
    table = read_table("ＩＤ, Name ,division\n1,a,630225\n".encode(), "id", TARGETS, "t")
    assert table.columns == {0: "id", 1: "name", 2: "division"}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"a,b\n1,2\n", "no header"),
        (b"id,name,id\n1,2,3\n", "stands twice"),
        (b'id,name\n1,"a"b\n', "row 2 is no CSV"),
        (b'id,name\n1,"a\n', "is no CSV"),
        (gzip.compress(b"id,name\n", mtime=0), "no table, but a gzip file"),
        (b"%PDF-1.7\n", "no table, but a PDF"),
        (b'{"id":"1"}\n', "no table, but JSON"),
        ("id,name\n1,甲乙丙丁戊己庚辛\n".encode() + b"2,\xff\n", "line 3 has bytes that are not UTF-8"),
        (b"id,name\n1,\xff\xff\xff\n", "bytes that are not UTF-8"),
        ("id,name\n".encode("utf-16") + b"\x00", "bytes that are not UTF-16"),
    ],
)
def test_a_file_that_is_no_table_is_named_with_a_hint(raw: bytes, said: str) -> None:
    """Nothing is guessed: UTF-8 with a wrong byte is not taken for GB18030, which would read other characters."""
    with pytest.raises(UsageError, match=said) as caught:
        read(raw)
    assert (caught.value.where, bool(caught.value.hint)) == ("t", True)


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=4, max_size=40))
def test_the_encoding_of_chinese_text_is_found(text: str) -> None:
    """GB18030 and UTF-8 are told apart by their bytes, where no BOM tells them."""
    assert encoding_of(text.encode(), "t") == "utf-8"
    assert encoding_of(text.encode("utf-16"), "t") == "utf-16"


def test_gb18030_is_found_in_running_text() -> None:
    """Also where it stands far behind plain ASCII."""
    raw = b"id,name\n" + b"1,a\n" * 500_000 + "2,青海省化肥厂，在循化县\n".encode("gb18030")
    assert encoding_of(raw, "t") == "gb18030"


def test_the_first_visible_sheet_with_the_header_is_read() -> None:
    """Others with rows under the same header are named, hidden ones passed by."""
    book = openpyxl.Workbook()
    book.active.title = "说明"
    book.active.append(["id", "编号"])
    for title, name, state in (("旧", "old", "hidden"), ("甲", "one", "visible"), ("乙", "two", "visible")):
        sheet = book.create_sheet(title)
        sheet.sheet_state = state
        sheet.append(list(TARGETS))
        sheet.append(["1", name, "630225", "A"])
    table = read_table(saved(book), "id", TARGETS, "t")
    assert [row[1] for _, row in table.rows] == ["one"]
    assert table.others == ("乙",)


def test_a_table_is_told_from_events() -> None:
    """By its first lines, cut anywhere."""
    for encoding in ENCODINGS:
        raw = text_of(*ROWS * 200).encode(encoding)
        assert looks_like_table(raw[:1000], "id", TARGETS)
    assert not looks_like_table(b'{"specversion":"1.0","id":"1","name":"x"}\n', "id", TARGETS)
    assert not looks_like_table(b"", "id", TARGETS)


# ---- registers ----------------------------------------------------------------------------------------------


def plain(raw: bytes) -> str | None:
    """A register as plain CSV; None where it is that already."""
    lines = plain_register(raw, TARGETS, "R")
    return None if lines is None else b"".join(lines).decode()


def test_plain_csv_stands_as_it_is() -> None:
    """Also with a BOM, with values that a table would fold, and with faults that the draw's own reader names."""
    for text in (text_of(*ROWS), text_of([" １ ", "'=x", "", "9.16E+17"]), "id;name,\n1,2\n", "a,b\n"):
        assert plain(text.encode()) is None
        assert plain(text.encode("utf-8-sig")) is None


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=0x9FFF, exclude_categories=("Cc", "Cs")), max_size=8), min_size=4, max_size=4),
        max_size=5,
    )
)  # fmt: skip
def test_a_register_has_the_same_values_in_every_form(rows: list[list[str]]) -> None:
    """So its digest is the same: nothing is folded, trimmed or left out."""
    wanted = text_of(*rows, end="\n")
    for separator in (",", ";", "\t"):
        for encoding in ("utf-16", "gb18030"):
            raw = text_of(["9", "青海省化肥厂，在循化县", "x", ""], *rows, separator=separator).encode(
                encoding
            )
            assert plain(raw) == text_of(["9", "青海省化肥厂，在循化县", "x", ""], *rows, end="\n")
    for separator in (";", "\t"):
        found = plain(text_of(*rows, separator=separator).encode())
        assert found == wanted


def test_a_workbook_has_one_text_for_each_value() -> None:
    """Whole numbers in decimal, days ISO, truth values in lower case, as in Parquet; blank rows are none."""
    raw = sheet_of([1, "甲", 630225, None], [None, None, " ", None], ["2", date(2018, 9, 9), "630225", True])
    assert plain(raw) == "id,name,division,credit_class\n1,甲,630225,\n2,2018-09-09,630225,true\n"


@pytest.mark.parametrize("value", [1.5, 916300000000000000, datetime(2018, 9, 9, 8, 30), "=1+1"])
def test_a_value_without_one_text_is_refused(value: Any) -> None:
    """Fractions, cut numbers, moments, formulas without a value; the row is named."""
    with pytest.raises(DrawError) as caught:
        plain(sheet_of(["1", "a", "630225", "A"], ["2", value, "630225", "A"]))
    assert caught.value.where == "R:3"
    assert caught.value.message.startswith("name: ")


def test_a_value_in_a_column_without_a_name_is_refused() -> None:
    """An empty column is none: spreadsheets keep its width only."""
    book = openpyxl.Workbook()
    for row in (["id", "name", None, "division"], ["1", "a", None, "630225"]):
        book.active.append(row)
    assert plain(saved(book)) == "id,name,division\n1,a,630225\n"
    book.active["C2"] = "x"
    with pytest.raises(DrawError, match="without a name"):
        plain(saved(book))


def test_further_columns_of_a_register_keep_their_names() -> None:
    """Strata are made by them."""
    book = openpyxl.Workbook()
    for row in (["ID", "name", "类别 Kind"], ["1", "a", "拍卖"]):
        book.active.append(row)
    assert plain(saved(book)) == "id,name,类别 Kind\n1,a,拍卖\n"
