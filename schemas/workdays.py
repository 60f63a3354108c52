"""Working days in China: the State Council's holidays and make-up days, weekdays past the published years.

The table `data/workdays.csv` holds every day that differs from its weekday (`rest` for a weekday off, `work` for a
weekend worked). It is a copy of the package chinesecalendar, written by `python -m schemas.workdays`, so that dates
computed today are the same in every later release; facts name its digest.
"""

from __future__ import annotations

import csv
import hashlib
from bisect import bisect_left, bisect_right
from datetime import date, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

_DAY = timedelta(days=1)
_MARGIN_YEARS = 40  # how far past the published years the table of working days reaches


class Calendar(NamedTuple):
    """A table of working days as ordinals, the published years, and the digest of what they came from."""

    workdays: tuple[int, ...]
    first: date
    last: date
    digest: str


class Due(NamedTuple):
    """A date counted in working days; `fallback` says that weekdays counted past the published calendar."""

    on: date
    fallback: bool


@lru_cache(maxsize=1)
def calendar() -> Calendar:
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
    days = calendar().workdays
    place = bisect_left(days, day.toordinal())
    if place == len(days):
        return day.weekday() < 5
    return days[place] == day.toordinal()


@lru_cache(maxsize=65536)
def add(start: date, count: int) -> Due:
    """The day on which `count` working days have passed; the start is not counted (行政许可法 art 82)."""
    table = calendar()
    place = bisect_right(table.workdays, start.toordinal()) + count - 1
    if place < len(table.workdays):
        on = date.fromordinal(table.workdays[place]) if count > 0 else start
    else:
        on = _weekdays(start, count)
    return Due(on, on > table.last or start < table.first)


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
    days = calendar().workdays
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
