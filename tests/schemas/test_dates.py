"""Rules of dates: anniversaries, months, validity, China's day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.calendar import (
    anniversary,
    barred_until,
    day_of,
    end_of,
    moment,
    months_before,
    start_of,
    time_text,
    valid_until,
)

DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))
FEW = settings(max_examples=80, deadline=None)


@pytest.mark.parametrize(
    ("first", "years", "last"),
    [
        ("2018-09-12", 5, "2023-09-11"),
        ("2016-02-29", 5, "2021-02-28"),  # the anniversary is 1 March
        ("2016-02-29", 4, "2020-02-28"),
        ("2017-03-01", 3, "2020-02-29"),
        ("2018-01-01", 5, "2022-12-31"),
    ],
)
def test_validity_ends_the_day_before_the_anniversary(first: str, years: int, last: str) -> None:
    """First day and years give the last day."""
    assert valid_until(date.fromisoformat(first), years).isoformat() == last


@pytest.mark.parametrize(
    ("day", "months", "earlier"),
    [
        ("2023-09-11", 6, "2023-03-11"),
        ("2023-08-31", 6, "2023-02-28"),
        ("2024-08-31", 6, "2024-02-29"),
        ("2023-03-31", 12, "2022-03-31"),
        ("2024-02-29", 12, "2023-02-28"),
        ("2023-01-15", 1, "2022-12-15"),
    ],
)
def test_months_go_by_day_number(day: str, months: int, earlier: str) -> None:
    """The same day number, or the last day of a shorter month."""
    assert months_before(date.fromisoformat(day), months).isoformat() == earlier


@FEW
@given(DAYS, st.integers(1, 20))
def test_a_validity_is_whole_years(first: date, years: int) -> None:
    """The day after the end is the anniversary; a renewal of it lasts just as long; bars count alike."""
    last = valid_until(first, years)
    assert last + timedelta(days=1) == anniversary(first, years)
    assert barred_until(first, years) == last
    assert (last - first).days in range(365 * years - 1, 366 * years + 1)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2018-09-10T09:12:00+08:00", "2018-09-10"),
        ("2018-09-10T15:59:59Z", "2018-09-10"),
        ("2018-09-10T16:00:00Z", "2018-09-11"),
        ("2018-12-31T23:30:00-05:00", "2019-01-01"),
    ],
)
def test_the_day_is_that_in_china(text: str, day: str) -> None:
    """A moment anywhere has one date in China."""
    assert day_of(text).isoformat() == day
    assert moment(time_text(moment(text))) == moment(text)
    assert time_text(moment(text)).endswith("+08:00")


@FEW
@given(DAYS)
def test_a_day_has_both_ends(day: date) -> None:
    """A day begins at 00:00:00 and ends at 23:59:59 in China."""
    assert time_text(start_of(day)) == f"{day.isoformat()}T00:00:00+08:00"
    assert time_text(end_of(day)) == f"{day.isoformat()}T23:59:59+08:00"
