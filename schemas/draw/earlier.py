"""Rotation: who was drawn for the same item within twelve months is left out (同一事项一年不重复抽查)."""

from __future__ import annotations

import calendar
import hashlib
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import msgspec

from schemas.draw.documents import Announcement, Transcript, read_announcement, read_transcript
from schemas.draw.encoding import read_file
from schemas.draw.frame import drawn_in
from schemas.draw.plan import Plan, day
from schemas.errors import DrawError

MONTHS = 12


class Earlier(msgspec.Struct, frozen=True):
    """An earlier transcript with the SHA-256 of its file, as announcements name it."""

    digest: str
    transcript: Transcript
    announcement: Announcement
    where: str = ""


def read_earlier(path: Path) -> Earlier:
    """An earlier transcript from its file; its signature is for the caller to check."""
    data = read_file(path)
    transcript = read_transcript(data, str(path))
    announcement = read_announcement(bytes(transcript.announcement), str(path))
    if announcement.digest != transcript.announcement_digest:
        raise DrawError("公告与其摘要不符 / its announcement is not the one of its digest", where=str(path))
    return Earlier(hashlib.sha256(data).hexdigest(), transcript, announcement, str(path))


def months_later(start: date, months: int) -> date:
    """The same day so many months on, or the last day of a shorter month."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def counts_for(plan: Plan, earlier: Plan) -> bool:
    """Whether an earlier draw keeps its targets out of this one: same item, begun less than twelve months before."""
    begins, began = (day(p.period[0], "period") for p in (plan, earlier))
    return plan.item == earlier.item and begins < months_later(began, MONTHS)


def left_out(plan: Plan, earlier: Iterable[Earlier]) -> dict[str, str]:
    """The targets that stay out because of earlier draws, with the reason; of several draws the latest counts."""
    found: dict[str, str] = {}
    for past in sorted(earlier, key=lambda e: (e.announcement.plan.period[0], e.digest)):
        if counts_for(plan, past.announcement.plan):
            reason = drawn_in(past.transcript.announcement_digest)
            found.update((d.id, reason) for stratum in past.transcript.strata for d in stratum.drawn)
    return found
