"""Cells: days in every order that is not ambiguous, and ids that a spreadsheet has changed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import table_cells as cells
from producers.table_cells import Cell, DateCell, ErrorCell, NumberCell
from schemas.errors import Rejected
from schemas.identifiers import is_citizen_id

DAYS = st.dates(date(1927, 5, 18), date(2999, 12, 31))  # serials of five digits and more
WIDE = str.maketrans("0123456789/-.", "０１２３４５６７８９／－．")


def test_days_are_read_in_the_orders_of_china() -> None:
    """A table of spellings by hand."""
    for spelling in (
        "2018-09-09", "2018/9/9", "2018.9.9", "2018年9月9日", "2018 年 9 月 9 日", "２０１８－０９－０９", "２０１８／９／９",
        "2018-09-09 00:00:00", "2018-09-09T08:30:00", "2018/9/9 8:30", "20180909", " 2018-9-9 ", "2018‑09‑09", "2018−9−9",
        "43352", "'2018-09-09",
    ):  # fmt: skip
        assert cells.read_day(spelling, "signed_on") == "2018-09-09", spelling
    assert cells.read_day(NumberCell("43352"), "signed_on") == "2018-09-09"
    assert cells.read_day(NumberCell("4.3352E4"), "signed_on") == "2018-09-09"
    assert cells.read_day(NumberCell("43352.75"), "signed_on") == "2018-09-09"
    assert cells.read_day(DateCell("2018-09-09T08:30:00"), "signed_on") == "2018-09-09"


@pytest.mark.parametrize(
    "spelling",
    [
        "09/09/2018", "9.9.2018", "2018-9", "2018", "2018-02-30", "18-9-9", "2018-09-09+08:99", "0000-01-01", "今天",
        "0001-01-01", "1899-12-30", "3000-01-01", "9999-12-31", NumberCell("0"), NumberCell("2018"), NumberCell("1e9"),
        DateCell("1899-12-30"), ErrorCell("#N/A"), "#REF!",
    ],
)  # fmt: skip
def test_what_is_no_day_is_refused(spelling: Cell) -> None:
    """Ambiguous orders, days that are none, years alone, placeholders."""
    with pytest.raises(Rejected) as caught:
        cells.read_day(spelling, "signed_on")
    assert (caught.value.where, bool(caught.value.hint)) == ("signed_on", True)


@given(DAYS)
def test_every_spelling_of_a_day_is_the_same_day(day: date) -> None:
    """Serial numbers count from 30 December 1899."""
    serial = (day - date(1899, 12, 30)).days
    for spelling in (
        f"{day.year}/{day.month}/{day.day}",
        f"{day.year}.{day.month}.{day.day}".translate(WIDE),
        f"{day.year}年{day.month}月{day.day}日",
        str(serial),
        NumberCell(serial),
    ):
        assert cells.read_day(spelling, "d") == day.isoformat()


@given(st.integers(61, cells.LAST_SERIAL))
def test_serials_are_days_one_after_another(serial: int) -> None:
    """From 1 March 1900 on: before it Excel counts a 29 February that was none."""
    assert cells.serial_day(serial) - timedelta(days=serial - 61) == date(1900, 3, 1)
    assert cells.serial_day(1) == date(1900, 1, 1)


def test_ids_are_read_whatever_stands_around_them() -> None:
    """Full-width, marks that keep a cell text, invisible characters, spaces."""
    for spelling in (
        "9163000071040638XJ", "９１６３００００７１０４０６３８ＸＪ", "'9163000071040638XJ", '="9163000071040638XJ"',
        "\u200b9163000071040638XJ\t", "\u30009163000071040638XJ\u00a0",
    ):  # fmt: skip
        assert cells.read_holder_id(spelling, "id") == "9163000071040638XJ", spelling
    assert cells.read_id(NumberCell("20180001"), "application_id") == "20180001"
    assert cells.read_id(NumberCell("2.0180001E7"), "application_id") == "20180001"


@pytest.mark.parametrize(
    "cell",
    [
        "9.16E+17", "9.163E+17", "１.１０１Ｅ＋１７", "9.16300007104064E+017", NumberCell("9.16E+17"),
        NumberCell("916300000000000000"), NumberCell("1234567890123456"), NumberCell("1.5"), NumberCell("-3"),
        NumberCell("nan"), "916300007104063000", "110105194912310000",
    ],
)  # fmt: skip
def test_an_id_that_became_a_number_is_refused_with_that_reason(cell: Cell) -> None:
    """A spreadsheet keeps fifteen digits; what follows is lost."""
    with pytest.raises(Rejected, match=r"变成了数字.*turned this into a number"):
        cells.read_holder_id(cell, "id")


def test_an_id_that_ends_in_zeros_and_is_good_is_read() -> None:
    """Its check tells it from one that was cut off."""
    numbers = [f"1101051949123{n:02d}000" for n in range(32)]
    good = [number for number in numbers if is_citizen_id(number)]
    assert good
    assert [cells.read_holder_id(number, "id") for number in good] == good


def test_a_persons_number_is_masked_in_the_reason() -> None:
    """Nobody reads it in a log."""
    with pytest.raises(Rejected) as caught:
        cells.read_holder_id("110105194912310000", "id")
    assert "19491231" not in caught.value.message


def test_a_division_may_be_followed_by_its_name() -> None:
    """As the choice list of the template has it."""
    for spelling in ("630225", "630225 循化撒拉族自治县", "630225循化", "６３０２２５", NumberCell("630225")):
        assert cells.read_code(spelling, "division") == "630225"
    assert cells.read_code("630225100", "window") == "630225100"
    assert cells.read_code("6302251", "window") == "6302251"  # a rule of events refuses it


def test_a_name_stands_as_written() -> None:
    """Brackets keep their width; a line break becomes a space; a date or a cut number is refused."""
    assert cells.read_text(" 青海（循化）化肥\r\n有限公司 ", "name") == "青海（循化）化肥 有限公司"
    assert cells.read_text(NumberCell("500.50"), "detail") == "500.5"
    for cell in (DateCell("2018-03-02"), NumberCell("1e17"), ErrorCell("#NAME?")):
        with pytest.raises(Rejected) as caught:
            cells.read_text(cell, "site")
        assert caught.value.where == "site"
