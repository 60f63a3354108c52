"""From facts to what others look up: cases by id, licences by number, places in status lists.

Both engines and `replay` use these functions, so that one fact means one thing everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from processors.state import Licence
from schemas.facts import LicenceStatusChanged
from schemas.status_list import INVALID, SUSPENDED, Reason
from schemas.times import china_date

_WORDS = {
    "suspended": "暂扣 / suspended",
    "withdrawn": "撤回 / withdrawn",
    "rescinded": "撤销 / rescinded",
    "revoked": "吊销 / revoked",
    "cancelled": "注销 / cancelled",
    "expired": "到期 / expired",
}


class Place(NamedTuple):
    """A place in a status list that does not say `valid`; `reason` None: it does."""

    list: str
    place: int
    status: int
    reason: Reason | None


def ending(body: LicenceStatusChanged, time: str) -> Reason | None:
    """Why a licence is not valid after this fact, decided at `time`; None where it is valid again."""
    if body.status == "valid":
        return None
    parts = [_WORDS[body.status], body.ground, body.legal_basis]
    if body.merged_into:
        parts.append(f"并入 / merged into {body.merged_into}")
    if body.until:
        parts.append(f"至 / until {body.until}")
    date = body.decided_on or china_date(datetime.fromisoformat(time)).isoformat()
    return Reason(body.status, "；".join(part for part in parts if part), date)


def places(licence: Licence, why: Reason | None) -> Iterator[Place]:
    """What the status lists say of each version that has a place; `why` as `ending` gave it last."""
    last = licence.versions[-1].grant.version
    for version, following in zip(licence.versions, (*licence.versions[1:], None), strict=True):
        if version.status_index < 0:
            continue
        if following is not None:
            date = following.grant.issued_on
            text = "被新版本取代 / replaced by a later version"
            reason = Reason("replaced", text, date, last if licence.living else None)
            yield Place(version.status_list, version.status_index, INVALID, reason)
        elif why is None or licence.status == "valid":
            yield Place(version.status_list, version.status_index, 0, None)
        else:
            status = SUSPENDED if licence.status == "suspended" else INVALID
            yield Place(version.status_list, version.status_index, status, why)
