"""What is published of status lists, for who keeps watch over them: editions, and what one of them says."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas import cose
from schemas.errors import VerificationError
from schemas.status_list import MAX_REASONS_CWT, REASONS, REASONS_CWT, VALID, read_reason, status_at
from schemas.trust import TrustStore
from verification.credential import china, signing_key
from verification.status import Candidate, Listed, read_candidate

_WORDS = ("valid", "invalid", "suspended", "reserved")


class Entry(msgspec.Struct, frozen=True):
    """A place of a list that is not valid."""

    index: int
    status: str
    reason: str | None
    date: str | None
    version_in_force: int | None


def summary(candidate: Candidate, trust: TrustStore) -> dict[str, Any]:
    """One edition as a row; VerificationError where it cannot be verified."""
    listed = read_candidate(candidate, trust)
    found = [status_at(listed.packed, index) for index in range(4 * len(listed.packed))]
    return {
        "list": listed.uri.rpartition("/")[2],
        "uri": listed.uri,
        "edition": listed.edition,
        "issued_at": china(listed.issued_at).isoformat(),
        "expires": china(listed.expires).isoformat(),
        "invalid": found.count(1),
        "suspended": found.count(2),
        "key": candidate.where,
    }


def entries(candidate: Candidate, trust: TrustStore) -> list[Entry]:
    """Each place that is not valid, with its reason; VerificationError where the edition cannot be verified."""
    listed = read_candidate(candidate, trust)
    reasons = _reasons(listed, trust)
    made = []
    for index in range(4 * len(listed.packed)):
        status = status_at(listed.packed, index)
        if status != VALID:
            reason = read_reason(reasons, index)
            text = (reason.text, reason.date, reason.version) if reason else (None, None, None)
            made.append(Entry(index, reason.status if reason else _WORDS[status], *text))
    return made


def _reasons(listed: Listed, trust: TrustStore) -> cose.Value:
    data = listed.candidate.reasons()
    if data is None:
        return {}
    signed = cose.read_sign1(data, type_=REASONS_CWT, max_bytes=MAX_REASONS_CWT)
    signing_key(signed, trust, "status")
    claims = cose.decode(signed.payload, max_bytes=MAX_REASONS_CWT)
    if not isinstance(claims, dict):
        raise VerificationError("the reasons are no map")
    return claims.get(REASONS)
