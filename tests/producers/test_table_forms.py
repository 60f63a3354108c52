"""Templates and exports: what a clerk fills in, and what nobody can smuggle a formula through."""

from __future__ import annotations

import csv
import io
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import ROW, SENT, item, one, saved

from producers.table_writer import csv_text, template, xlsx_bytes
from producers.tables import columns_of, read_applications
from schemas.errors import UsageError
from schemas.identifiers import quoted
from schemas.items import load_catalogue

DIVISIONS = [("630000", "青海省"), ("630225", "循化撒拉族自治县")]
APPLIED_FOR = [i.code for i in load_catalogue().items.values() if i.mode != "filing"]


def opened(code: str = "industrial-product-licence") -> Any:
    """A template as openpyxl sees it."""
    return openpyxl.load_workbook(io.BytesIO(template(item(code), DIVISIONS, "xlsx")))


def choices(book: Any) -> dict[str, list[str]]:
    """The choice list of each column that has one."""
    sheet = book.worksheets[0]
    found = {}
    for rule in sheet.data_validations.dataValidation:
        name, _, cells = rule.formula1.partition("!")
        column = sheet[1][openpyxl.utils.cell.range_boundaries(str(rule.sqref))[0] - 1].value
        values = book[name][cells.replace("$", "")]
        found[column] = [line[0].value for line in values] if isinstance(values, tuple) else [values.value]
    return found


@pytest.mark.parametrize("code", APPLIED_FOR)
def test_a_template_has_the_columns_of_its_item(code: str) -> None:
    """In both forms, and no row."""
    columns = columns_of(item(code))
    sheet = opened(code).worksheets[0]
    assert [cell.value for cell in sheet[1]] == list(columns)
    assert sheet.max_row == 1
    text = template(item(code), DIVISIONS, "csv").decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text))) == [list(columns)]


def test_choices_are_listed() -> None:
    """Actions, the item's kind of holder, divisions with their names, the item's categories."""
    found = choices(opened())
    assert found["action"] == ["new", "extend", "change", "renew", "reissue", "merge", "surrender"]
    assert found["kind"] == ["enterprise"]
    assert found["division"] == ["630000 青海省", "630225 循化撒拉族自治县"]
    assert found["category"] == [c.name for c in item().categories]
    assert "category" not in choices(opened("business-licence"))


def test_columns_are_text_and_explained() -> None:
    """So no id becomes a number; a sheet explains each column in Chinese and English."""
    book = opened("business-licence")
    [columns] = book.worksheets[0].column_dimensions.values()
    wanted = columns_of(item("business-licence"))
    assert (columns.number_format, columns.min, columns.max) == ("@", 1, len(wanted))
    guide = {line[0].value: [cell.value for cell in line] for line in book.worksheets[1].iter_rows()}
    for name in wanted:
        assert all(guide[name][2:4]), name
    assert book.worksheets[2].sheet_state == "hidden"


def test_a_template_has_no_formula_and_the_same_bytes_each_time() -> None:
    """Nothing in it depends on the clock."""
    raw = template(item(), DIVISIONS, "xlsx")
    assert template(item(), DIVISIONS, "xlsx") == raw
    for sheet in opened().worksheets:
        assert not [cell for line in sheet.iter_rows() for cell in line if cell.data_type == "f"]


def test_an_unfilled_template_has_no_application() -> None:
    """The explanations are not taken for rows."""
    for form in ("xlsx", "csv"):
        with pytest.raises(UsageError, match="no application"):
            read_applications(template(item(), DIVISIONS, form), item(), SENT, "t")  # type: ignore[arg-type]


def test_a_filing_has_no_template() -> None:
    """Filings belong to a registration."""
    with pytest.raises(UsageError, match="filing"):
        template(item("seal-engraving-filing"), DIVISIONS, "csv")


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(DIVISIONS),
    st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=20),
    st.sampled_from([c.name for c in item().categories]),
)
def test_a_filled_template_gives_what_was_filled_in(
    division: tuple[str, str], name: str, category: str
) -> None:
    """Values from the choice lists and typed ones."""
    book = opened()
    sheet = book.worksheets[0]
    filled = {**ROW, "name": name, "division": " ".join(division), "category": category}
    for cell in sheet[1]:
        sheet.cell(2, cell.column).value = filled.get(cell.value)
    data = one(saved(book))
    assert data["applicant"] == {
        **{k: ROW[k] for k in ("kind", "id", "address")},
        "name": name,
        "division": division[0],
    }
    assert data["products"] == [{"category": category, "site": ROW["site"], "detail": ROW["detail"]}]


# ---- exports ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "－1", "\u3000@x"]
)
def test_a_cell_that_begins_like_a_formula_is_quoted(text: str) -> None:
    """By an apostrophe, which a spreadsheet takes for "this is text"."""
    assert quoted(text) == "'" + text


@given(st.text())
def test_nothing_else_is_changed(text: str) -> None:
    """And nothing begins like a formula afterwards."""
    after = quoted(text)
    assert after in (text, "'" + text)
    assert not after.strip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))


def test_exported_csv_is_what_a_spreadsheet_opens() -> None:
    """A BOM, quoted texts, numbers as numbers, nothing for None."""
    text = csv_text(["name", "=x"], [["=cmd|' /C calc'!A0", -5], ['甲, "乙"', None]])
    assert text.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(text[1:]))) == [
        ["name", "'=x"], ["'=cmd|' /C calc'!A0", "-5"], ['甲, "乙"', ""],
    ]  # fmt: skip


def test_exported_workbooks_hold_texts_as_texts() -> None:
    """Unchanged, and never a formula, a number or a link; the same bytes each time."""
    rows = [["=1+1", "9163000071040638XJ", "http://example.org/", 5, None]]
    raw = xlsx_bytes("结果 results", list("abcde"), rows)
    assert xlsx_bytes("结果 results", list("abcde"), rows) == raw
    sheet = openpyxl.load_workbook(io.BytesIO(raw))["结果 results"]
    cells = [(cell.value, cell.data_type) for cell in sheet[2]]
    assert cells == [("=1+1", "s"), (rows[0][1], "s"), (rows[0][2], "s"), (5, "n"), (None, "n")]
    assert sheet["C2"].hyperlink is None
