"""Rows that others look up, made from facts: cases by id, licences by number, places in status lists.

Both engines and `replay` use these functions, so that one fact means one thing everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from processors.state import Licence
from schemas.calendar import china_date
from schemas.facts import LicenceStatusChanged
from schemas.status_list import INVALID, SUSPENDED, StatusReason

_WORDS = {
    "suspended": "暂扣 / suspended",
    "withdrawn": "撤回 / withdrawn",
    "rescinded": "撤销 / rescinded",
    "revoked": "吊销 / revoked",
    "cancelled": "注销 / cancelled",
    "expired": "到期 / expired",
}


class TopicPosition(NamedTuple):
    """A place in a status list that does not say `valid`; `reason` None: it does."""

    list: str
    place: int
    status: int
    reason: StatusReason | None


def ending(body: LicenceStatusChanged, time: str) -> StatusReason | None:
    """Why a licence is not valid after this fact, decided at `time`; None where it is valid again."""
    if body.status == "valid":
        return None
    parts = [_WORDS[body.status], body.ground, body.legal_basis]
    if body.merged_into:
        parts.append(f"并入 / merged into {body.merged_into}")
    if body.until:
        parts.append(f"至 / until {body.until}")
    date = body.decided_on or china_date(datetime.fromisoformat(time)).isoformat()
    return StatusReason(body.status, "；".join(part for part in parts if part), date)


def places(licence: Licence, why: StatusReason | None) -> Iterator[TopicPosition]:
    """Yield what the status lists say of each version that has a place; `why` is what `ending` returned last."""
    last = licence.versions[-1].grant.version
    for version, following in zip(licence.versions, (*licence.versions[1:], None), strict=True):
        if version.status_index < 0:
            continue
        if following is not None:
            date = following.grant.issued_on
            text = "被新版本取代 / replaced by a later version"
            reason = StatusReason("replaced", text, date, last if licence.living else None)
            yield TopicPosition(version.status_list, version.status_index, INVALID, reason)
        elif why is None or licence.status == "valid":
            yield TopicPosition(version.status_list, version.status_index, 0, None)
        else:
            status = SUSPENDED if licence.status == "suspended" else INVALID
            yield TopicPosition(version.status_list, version.status_index, status, why)
