"""Times of events: RFC 3339 with a zone; dates of the product are dates in China (UTC+8)."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Final

from schemas.errors import Rejected
from schemas.strict_json import shown

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
