"""Rules of dates: anniversaries, months, ends of validity. All dates are dates in China (UTC+8)."""

from __future__ import annotations

import calendar
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from schemas.times import CHINA, china_date

ONE_DAY = timedelta(days=1)


def moment(text: str) -> datetime:
    """An RFC 3339 time as a moment in China's zone."""
    return datetime.fromisoformat(text).astimezone(CHINA)


def time_text(at: datetime) -> str:
    """A moment as the product writes it: RFC 3339, +08:00, no more digits of a second than it has."""
    return at.astimezone(CHINA).isoformat()


@lru_cache(maxsize=65536)
def day_of(text: str) -> date:
    """The China date of an RFC 3339 time."""
    return china_date(datetime.fromisoformat(text))


def start_of(day: date) -> datetime:
    """00:00:00 in China."""
    return datetime.combine(day, time(), CHINA)


def end_of(day: date) -> datetime:
    """23:59:59 in China."""
    return datetime.combine(day, time(23, 59, 59), CHINA)


def anniversary(day: date, years: int) -> date:
    """The same day `years` on; 29 February counts as 1 March where it does not exist."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def valid_until(valid_from: date, years: int) -> date:
    """The last day of a validity: the day before the anniversary of its first day."""
    return anniversary(valid_from, years) - ONE_DAY


def months_before(day: date, months: int) -> date:
    """`months` earlier by day number, or the last day of a shorter month."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def barred_until(since: date, years: int) -> date:
    """The last day of a bar of `years` that begins on `since`."""
    return anniversary(since, years) - ONE_DAY
