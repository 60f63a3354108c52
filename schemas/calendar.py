"""Working days in China: the State Council's holidays and make-up days, weekdays past the published years.

The table `data/workdays.csv` holds every day that differs from its weekday (`rest` for a weekday off, `work` for a
weekend worked). It is a copy of the package chinesecalendar, written by `python -m schemas.calendar`, so that dates
computed today are the same in every later release; facts name its digest.

Times of events: RFC 3339 with a zone; dates of the product are dates in China (UTC+8).

Rules of dates: anniversaries, months, ends of validity. All dates are dates in China (UTC+8).
"""

from __future__ import annotations

import calendar
import csv
import hashlib
import re
from bisect import bisect_left, bisect_right
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from schemas.canonical_json import shown
from schemas.errors import Rejected

_DAY = timedelta(days=1)
_MARGIN_YEARS = 40  # how far past the published years the table of working days reaches


class Calendar(NamedTuple):
    """A table of working days as ordinals, the published years, and the digest of what they came from."""

    workdays: tuple[int, ...]
    first: date
    last: date
    digest: str


class DueDate(NamedTuple):
    """A date counted in working days; `fallback` says that weekdays counted past the published calendar."""

    on: date
    fallback: bool


@lru_cache(maxsize=1)
def workday_calendar() -> Calendar:
    """The calendar in force, read once."""
    raw = (files("schemas") / "data" / "workdays.csv").read_bytes()
    rows = list(csv.DictReader(raw.decode().splitlines()))
    differs = {date.fromisoformat(row["date"]): row["kind"] == "work" for row in rows}
    first, last = date(min(differs).year, 1, 1), date(max(differs).year, 12, 31)
    said = {day.toordinal(): works for day, works in differs.items()}
    table = range(
        date(first.year - 15, 1, 1).toordinal(), date(last.year + _MARGIN_YEARS + 1, 1, 1).toordinal()
    )
    days = tuple(n for n in table if said.get(n, (n - 1) % 7 < 5))  # day 1 was a Monday
    return Calendar(days, first, last, hashlib.sha256(raw).hexdigest())


def is_workday(day: date) -> bool:
    """Whether a day is a working day."""
    days = workday_calendar().workdays
    place = bisect_left(days, day.toordinal())
    if place == len(days):
        return day.weekday() < 5
    return days[place] == day.toordinal()


@lru_cache(maxsize=65536)
def add(start: date, count: int) -> DueDate:
    """The day on which `count` working days have passed; the start is not counted (行政许可法 art 82)."""
    table = workday_calendar()
    place = bisect_right(table.workdays, start.toordinal()) + count - 1
    if place < len(table.workdays):
        on = date.fromordinal(table.workdays[place]) if count > 0 else start
    else:
        on = _weekdays(start, count)
    return DueDate(on, on > table.last or start < table.first)


def _weekdays(start: date, count: int) -> date:
    """Past the table only weekdays count: five a week."""
    on = start
    while count > 0:
        on += _DAY
        count -= on.weekday() < 5
    return on


@lru_cache(maxsize=65536)
def between(first: date, last: date) -> int:
    """How many working days lie from `first` to `last`, both counted; 0 where last is before first."""
    days = workday_calendar().workdays
    if last.toordinal() > days[-1]:
        start = max(first.toordinal(), days[-1] + 1)
        past = sum(date.fromordinal(n).weekday() < 5 for n in range(start, last.toordinal() + 1))
        return past + between(first, date.fromordinal(days[-1]))
    return max(0, bisect_right(days, last.toordinal()) - bisect_left(days, first.toordinal()))


def _write() -> None:
    """Writes the table anew from chinesecalendar."""
    import chinese_calendar  # type: ignore[import-untyped]
    from chinese_calendar.constants import holidays, workdays  # type: ignore[import-untyped]

    kinds = {d: "rest" for d in holidays if d.weekday() < 5} | {
        d: "work" for d in workdays if d.weekday() >= 5
    }
    assert all((kind == "work") == chinese_calendar.is_workday(d) for d, kind in kinds.items())
    lines = ["date,kind", *(f"{d.isoformat()},{kind}" for d, kind in sorted(kinds.items()))]
    with open("schemas/data/workdays.csv", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    _write()


CHINA: Final = timezone(timedelta(hours=8))
FIRST: Final = datetime(1990, 1, 1, tzinfo=CHINA)
TOLERANCE: Final = timedelta(minutes=5)

_FORM: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)


def read_time(text: str, received_at: datetime) -> datetime:
    """The moment of an event, exact to the microsecond; Rejected for what cannot be its time."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise _no_time(text)
    day, clock, fraction, zone = found.groups()
    if zone is None:
        raise Rejected(
            "时间没有时区 / a time without a zone", hint="例如 / for example: 2018-09-10T09:12:00+08:00"
        )
    zone = "+00:00" if zone in "Zz" else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{(fraction or '')[:7]}{zone}")
        early = moment < FIRST
    except (ValueError, OverflowError):
        raise _no_time(text) from None
    if early:
        raise Rejected("早于 1990 年 / before 1990", hint="检查年份 / look at the year")
    if moment - received_at > TOLERANCE:
        raise Rejected(
            "晚于收到时间五分钟以上 / more than five minutes after it was received",
            hint="校准时钟 / set the sender's clock",
        )
    return moment


def china_date(moment: datetime) -> date:
    """The date in China of a moment."""
    return moment.astimezone(CHINA).date()


def _no_time(text: str) -> Rejected:
    return Rejected(
        f"不是真实的时间：{shown(text)} / no real time: {shown(text)}",
        hint="例如 / for example: 2018-09-10T09:12:00+08:00",
    )


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
