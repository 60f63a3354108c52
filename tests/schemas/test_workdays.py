"""Working days: holidays, make-up days, and weekdays past the published years."""

from __future__ import annotations

from datetime import date, timedelta

import chinese_calendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workdays_table import TABLE, table

from schemas.calendar import add, between, is_workday, workday_calendar

FEW = settings(max_examples=80, deadline=None)
DAYS = st.dates(date(2004, 1, 1), date(2070, 12, 31))


def test_the_table_is_written_by_its_script() -> None:
    """The shipped table is, byte for byte, what the script makes of chinesecalendar."""
    assert table() == TABLE.read_text(encoding="utf-8")


def test_the_table_is_that_of_chinesecalendar() -> None:
    """Every day of the published years is the working or rest day that the package says."""
    table = workday_calendar()
    day, different = table.first, []
    while day <= table.last:
        if is_workday(day) != chinese_calendar.is_workday(day):
            different.append(day)
        day += timedelta(days=1)
    assert different == []
    assert (table.first, table.last) == (date(2004, 1, 1), date(2026, 12, 31))
    assert len(table.digest) == 64


@pytest.mark.parametrize(
    ("start", "count", "on", "fallback"),
    [
        ("2018-09-10", 3, "2018-09-13", False),
        ("2018-09-28", 1, "2018-09-29", False),  # a Saturday worked
        ("2018-09-28", 2, "2018-09-30", False),  # a Sunday worked
        ("2018-09-30", 1, "2018-10-08", False),  # the national holidays
        ("2018-09-28", 0, "2018-09-28", False),
        ("2026-12-31", 1, "2027-01-01", True),  # a Friday: past the published years only weekends rest
        ("2003-12-31", 1, "2004-01-02", True),
        ("2068-01-06", 5, "2068-01-13", True),
    ],
)
def test_days_on_the_calendar(start: str, count: int, on: str, fallback: bool) -> None:
    """The start is not counted; what lies past the calendar says so."""
    due = add(date.fromisoformat(start), count)
    assert (due.on.isoformat(), due.fallback) == (on, fallback)


@FEW
@given(DAYS, st.integers(1, 90))
def test_adding_and_counting_agree(start: date, count: int) -> None:
    """From the day after the start to the due day there are `count` working days, and it is one itself."""
    due = add(start, count).on
    assert is_workday(due)
    assert between(start + timedelta(days=1), due) == count


@FEW
@given(DAYS, st.integers(0, 30), st.integers(0, 30))
def test_counts_add_up(start: date, first: int, second: int) -> None:
    """Two counts one after the other are one count."""
    if first:
        assert add(add(start, first).on, second).on == add(start, first + second).on


def test_nothing_between_a_later_and_an_earlier_day() -> None:
    """An interval that ends before it begins holds no working day."""
    assert between(date(2018, 9, 11), date(2018, 9, 10)) == 0
