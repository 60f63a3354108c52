"""Dates and times of the product: working days, times of events, anniversaries. Dates are dates in China (UTC+8).

Working days follow the State Council's holidays and make-up days, and weekdays past the published years. The table
`data/workdays.csv` holds every day that differs from its weekday (`rest` for a weekday off, `work` for a weekend
worked). It is a copy of the package chinesecalendar, so that dates computed today are the same in every later
release; facts name its digest.
"""

from __future__ import annotations

import calendar
import csv
import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from schemas.canonical_json import shown
from schemas.errors import Rejected

CHINA: Final = timezone(timedelta(hours=8))
ONE_DAY: Final = timedelta(days=1)
_MARGIN_YEARS: Final = 40  # how far past the published years the table of working days reaches

Stops = tuple[tuple[str, str], ...]
"""Pauses of a limit: the ISO dates on which the clock was stopped and resumed."""


# ---- working days -------------------------------------------------------------------------------------------


class Calendar(NamedTuple):
    """The working days as ordinals, the published years, and the SHA-256 (hex) of the table they came from."""

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
    """Return the calendar in force, read once."""
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
    """Tell whether a day is a working day."""
    days = workday_calendar().workdays
    place = bisect_left(days, day.toordinal())
    if place == len(days):
        return day.weekday() < 5
    return days[place] == day.toordinal()


@lru_cache(maxsize=65536)
def add(start: date, count: int) -> DueDate:
    """Return the day on which `count` working days have passed; the start is not counted (行政许可法 art 82)."""
    table = workday_calendar()
    place = bisect_right(table.workdays, start.toordinal()) + count - 1
    if place < len(table.workdays):
        on = date.fromordinal(table.workdays[place]) if count > 0 else start
    else:
        on = _weekdays(start, count)
    return DueDate(on, on > table.last or start < table.first)


def add_with_stops(start: date, count: int, stops: Stops) -> DueDate:
    """Return the day after `count` working days that count (行政许可法 art 45).

    Days from the day after a stop to the day of its end do not count.
    """
    if not stops:
        return add(start, count)
    off = stopped_workdays(stops)
    extra = 0
    while True:
        due = add(start, count + extra)
        skipped = sum(1 for day in off if start < day <= due.on)
        if skipped == extra:
            return due
        extra = skipped


def stopped_workdays(stops: Iterable[tuple[str, str]]) -> set[date]:
    """Return the working days that do not count because of stops, each named once however many stops cover it."""
    off: set[date] = set()
    for first, last in stops:
        day = date.fromisoformat(first) + ONE_DAY
        while day <= date.fromisoformat(last):
            if is_workday(day):
                off.add(day)
            day += ONE_DAY
    return off


def _weekdays(start: date, count: int) -> date:
    """Return the day after `count` weekdays, five a week, for days past the table."""
    on = start
    while count > 0:
        on += ONE_DAY
        count -= on.weekday() < 5
    return on


@lru_cache(maxsize=65536)
def between(first: date, last: date) -> int:
    """Count the working days from `first` to `last`, both included; 0 where last is before first."""
    days = workday_calendar().workdays
    if last.toordinal() > days[-1]:
        start = max(first.toordinal(), days[-1] + 1)
        past = sum(date.fromordinal(n).weekday() < 5 for n in range(start, last.toordinal() + 1))
        return past + between(first, date.fromordinal(days[-1]))
    return max(0, bisect_right(days, last.toordinal()) - bisect_left(days, first.toordinal()))


# ---- times --------------------------------------------------------------------------------------------------

FIRST: Final = datetime(1990, 1, 1, tzinfo=CHINA)
TOLERANCE: Final = timedelta(minutes=5)

_FORM: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_ZONE: Final = re.compile(r"[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]")  # RFC 3339, 5.6: hours to 23, minutes to 59


def read_time(text: str, received_at: datetime, backdate_days: int | None = None) -> datetime:
    """Return the moment of an event, exact to the microsecond. Raises Rejected for a text that cannot be its time.

    `backdate_days` limits how long before `received_at` it may lie; None sets no limit.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise _no_time(text)
    day, clock, fraction, zone = found.groups()
    if zone is None:
        raise Rejected(
            "时间没有时区 / a time without a zone", hint="例如 / for example: 2018-09-10T09:12:00+08:00"
        )
    zone = "+00:00" if zone in "Zz" else zone
    if not _ZONE.fullmatch(zone):
        raise _no_time(text)
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{(fraction or '')[:7]}{zone}")
        early = moment < FIRST
    except (ValueError, OverflowError):
        raise _no_time(text) from None
    if early:
        raise Rejected("早于 1990 年 / before 1990", hint="检查年份 / check the year")
    if moment - received_at > TOLERANCE:
        raise Rejected(
            "晚于收到时间五分钟以上 / more than five minutes after it was received",
            hint="核对所填时刻与时钟 / check the moment that was given, and the clock",
        )
    check_backdate(moment, received_at, backdate_days)
    return moment


def check_backdate(moment: datetime, received_at: datetime, backdate_days: int | None) -> None:
    """Raise Rejected where an event is dated more than `backdate_days` before it was received (None: no limit)."""
    if backdate_days is not None and received_at - moment > timedelta(days=backdate_days):
        raise Rejected(
            f"早于收到时间 {backdate_days} 天以上 / more than {backdate_days} days before it was received",
            where="time",
            hint="检查日期；补录历史事件须在 settings.toml 中调大 backdate_days / "
            "check the date; to take in events of the past, raise backdate_days in settings.toml",
        )


def _no_time(text: str) -> Rejected:
    return Rejected(
        f"不是真实的时间：{shown(text)} / not a real time: {shown(text)}",
        hint="例如 / for example: 2018-09-10T09:12:00+08:00",
    )


@lru_cache(maxsize=16_384)
def moment(text: str) -> datetime:
    """Return the moment of an RFC 3339 text, in China's zone. Raises ValueError without a real time and zone."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r}")
    return found.astimezone(CHINA)


def time_text(at: datetime) -> str:
    """Return a moment as the product writes it: RFC 3339, +08:00, no more digits of a second than it has."""
    return at.astimezone(CHINA).isoformat()


def china_date(moment: datetime) -> date:
    """Return the date in China of a moment."""
    return moment.astimezone(CHINA).date()


@lru_cache(maxsize=65536)
def day_of(text: str) -> date:
    """Return the China date of an RFC 3339 time."""
    return china_date(datetime.fromisoformat(text))


def start_of(day: date) -> datetime:
    """Return 00:00:00 in China on a day."""
    return datetime.combine(day, time(), CHINA)


def end_of(day: date) -> datetime:
    """Return 23:59:59 in China on a day."""
    return datetime.combine(day, time(23, 59, 59), CHINA)


# ---- rules of dates -----------------------------------------------------------------------------------------


def anniversary(day: date, years: int) -> date:
    """Return the day `years` later; 29 February counts as 1 March where it does not exist."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def valid_until(valid_from: date, years: int) -> date:
    """Return the last day of a validity: the day before the anniversary of its first day."""
    return anniversary(valid_from, years) - ONE_DAY


def months_before(day: date, months: int) -> date:
    """Return the day `months` earlier by day number, or the last day of a shorter month."""
    index = day.year * 12 + day.month - 1 - months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def barred_until(since: date, years: int) -> date:
    """Return the last day of a bar of `years` that begins on `since`: the day before the anniversary."""
    return anniversary(since, years) - ONE_DAY
