"""Times and dates as people type them on the command line: RFC 3339, or less of it in China time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from schemas.errors import UsageError
from schemas.times import CHINA

_HINT = "2018-09-10T09:12:00+08:00, or 2018-09-10; without a zone it is China time"


def now() -> datetime:
    """The wall clock, in China time, in whole seconds."""
    return datetime.now(UTC).astimezone(CHINA).replace(microsecond=0)


def read_moment(text: str, option: str) -> datetime:
    """A moment; a date alone means its last second in China. UsageError for anything else."""
    try:
        if len(text) == len("2018-09-10"):
            return datetime.combine(date.fromisoformat(text), time(23, 59, 59), CHINA)
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=CHINA)
        return moment.astimezone(CHINA)
    except (ValueError, OverflowError):
        raise UsageError(f"no time: {text!r} / 不是时间", where=option, hint=_HINT) from None


def read_start(text: str, option: str) -> datetime:
    """A moment; a date alone means its first second in China. UsageError for anything else."""
    moment = read_moment(text, option)
    return moment.replace(hour=0, minute=0, second=0) if len(text) == len("2018-09-10") else moment
