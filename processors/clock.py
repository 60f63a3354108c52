"""Limits in working days, and the time that does not count towards them (行政许可法 art 45)."""

from __future__ import annotations

from datetime import date

from schemas import workdays
from schemas.dates import ONE_DAY

Stops = tuple[tuple[str, str], ...]  # China dates on which the clock was stopped and went on again


def due_with_stops(start: date, count: int, stops: Stops) -> workdays.Due:
    """The day after `count` working days that count; those from the day after a stop to its end do not."""
    if not stops:
        return workdays.add(start, count)
    off: set[date] = set()
    for first, last in stops:
        day = date.fromisoformat(first) + ONE_DAY
        while day <= date.fromisoformat(last):
            if workdays.is_workday(day):
                off.add(day)
            day += ONE_DAY
    extra = 0
    while True:
        due = workdays.add(start, count + extra)
        skipped = sum(1 for day in off if start < day <= due.on)
        if skipped == extra:
            return due
        extra = skipped
