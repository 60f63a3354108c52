"""The status of a licence at a moment, by the edition of its list that was in force.

A source finds candidates; here they are verified. An edition that should be in force but cannot be verified makes the
status unknown: an older one in its place would hide later changes. `summary` and `entries` show published editions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from schemas import signatures
from schemas.errors import VerificationError
from schemas.status_list import (
    EDITION,
    EXPIRES,
    INVALID,
    ISSUED_AT,
    MAX_LIST_CWT,
    MAX_REASONS_CWT,
    OF_LIST,
    REASONS,
    REASONS_CWT,
    STATUS_LIST,
    SUBJECT,
    VALID,
    EditionName,
    StatusReason,
    read_reason,
    status_at,
    unpack,
)
from schemas.trust import TrustStore
from verification.credential import check_key_time, china, signing_key


class Candidate(msgspec.Struct, frozen=True):
    """An edition as a source found it: its place, its bytes, and a function that reads the reasons beside it.

    `named` holds time and number from the file's name, where the source chose by name.
    """

    where: str
    data: bytes
    reasons: Callable[[], bytes | None]
    named: EditionName | None = None


class StatusSource(Protocol):
    """A source of editions."""

    def candidates(self, uri: str, at: int) -> list[Candidate]:
        """Return the editions of list `uri` among which is the one in force at `at` (Unix seconds), if there is one.

        Raises VerificationError where the source cannot be read.
        """
        ...


class Found(msgspec.Struct, frozen=True):
    """A status by the edition in force: 0 valid, 1 invalid, 2 suspended.

    `reason` belongs to a status other than valid; `doubt` says why there is none that can be believed.
    """

    status: int
    where: str
    issued_at: int
    reason: StatusReason | None
    doubt: str


class Listed(msgspec.Struct, frozen=True):
    """A verified edition; `packed` is the inflated list, times are Unix seconds."""

    candidate: Candidate
    uri: str
    issued_at: int
    expires: int
    edition: int
    packed: bytes


def find_status(source: StatusSource, uri: str, index: int, at: datetime, trust: TrustStore) -> Found:
    """Return the status at position `index` of list `uri` at a moment.

    Raises VerificationError where no edition is in force, or the one in force cannot be verified.
    """
    seconds = int(at.timestamp())
    read = [read_candidate(candidate, trust) for candidate in source.candidates(uri, seconds)]
    fitting = [listed for listed in read if listed.uri == uri and listed.issued_at <= seconds]
    if not fitting:
        raise VerificationError(
            f"没有该时间之前的状态列表 / no edition of {uri} from before {at.isoformat()}"
        )
    listed = max(fitting, key=lambda one: (one.issued_at, one.edition))
    if seconds >= listed.expires:
        end = china(listed.expires).isoformat()
        raise VerificationError(
            f"状态列表在该时间已过期 / the last edition of {uri} was in force until {end}, not at {at.isoformat()}"
        )
    status = status_at(listed.packed, index)
    reason, doubt = None, ""
    if status:
        try:
            reason = _reason(listed, index, trust)
        except VerificationError as error:
            doubt = str(error)  # The list alone decides; the reasons explain it.
    return Found(status, listed.candidate.where, listed.issued_at, reason, doubt)


def read_candidate(candidate: Candidate, trust: TrustStore) -> Listed:
    """Verify an edition. Raise VerificationError with its place and its fault."""
    try:
        listed = _verified(candidate, trust)
    except VerificationError as error:
        raise VerificationError(f"{candidate.where}: {error}") from None
    if candidate.named not in (None, EditionName(listed.issued_at, listed.edition)):
        raise VerificationError(
            f"文件名属于另一期状态列表 / {candidate.where}: the file's name is that of another edition"
        )
    return listed


def _verified(candidate: Candidate, trust: TrustStore) -> Listed:
    signed = signatures.read_sign1(candidate.data, type_=signatures.STATUS_LIST_CWT, max_bytes=MAX_LIST_CWT)
    key = signing_key(signed, trust, "status")
    claims = signatures.decode(signed.payload, max_bytes=MAX_LIST_CWT)
    names = (SUBJECT, EXPIRES, ISSUED_AT, EDITION, STATUS_LIST)
    match [claims.get(name) for name in names] if isinstance(claims, dict) else None:
        case [str(uri), int(expires), int(issued_at), int(edition), listed]:
            pass
        case _:
            raise VerificationError("不是状态列表的内容 / not the claims of a status list")
    if not 0 < issued_at < expires < 1 << 37:
        raise VerificationError("状态列表的时间超出范围 / the times of the status list are out of range")
    check_key_time(key, issued_at)
    return Listed(candidate, uri, issued_at, expires, edition, unpack(listed))


def _reason(listed: Listed, index: int, trust: TrustStore) -> StatusReason | None:
    """Return the reason from the map beside the list, if there is one. Raise VerificationError for another list's map."""
    data = listed.candidate.reasons()
    if data is None:
        return None
    signed = signatures.read_sign1(data, type_=REASONS_CWT, max_bytes=MAX_REASONS_CWT)
    key = signing_key(signed, trust, "status")
    claims = signatures.decode(signed.payload, max_bytes=MAX_REASONS_CWT)
    digest = hashlib.sha256(listed.candidate.data).digest()
    if not isinstance(claims, dict) or claims.get(SUBJECT) != listed.uri or claims.get(OF_LIST) != digest:
        raise VerificationError(
            "理由表不属于这份状态列表 / the reasons beside the list belong to another one"
        )
    check_key_time(key, listed.issued_at)
    return read_reason(claims.get(REASONS), index)


_WORDS = ("valid", "invalid", "suspended", "reserved")


class StatusDetail(msgspec.Struct, frozen=True):
    """A position of a list whose status is not valid."""

    index: int
    status: str
    reason: str | None
    date: str | None
    version_in_force: int | None


def summary(candidate: Candidate, trust: TrustStore) -> dict[str, Any]:
    """Return one edition as a row. Raise VerificationError where it cannot be verified."""
    listed = read_candidate(candidate, trust)
    found = [status_at(listed.packed, index) for index in range(_places(listed, _reasons(listed, trust)))]
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


def living(data: bytes, trust: TrustStore) -> int:
    """Count the places of an edition that are not invalid. Raise VerificationError for an unverifiable edition."""
    listed = read_candidate(Candidate("status", data, lambda: None), trust)
    return sum(status_at(listed.packed, index) != INVALID for index in range(4 * len(listed.packed)))


def entries(candidate: Candidate, trust: TrustStore) -> list[StatusDetail]:
    """Return each position that is not valid, with its reason. Raise VerificationError for an unverifiable edition."""
    listed = read_candidate(candidate, trust)
    reasons = _reasons(listed, trust)
    made = []
    for index in range(_places(listed, reasons)):
        status = status_at(listed.packed, index)
        if status != VALID:
            reason = read_reason(reasons, index)
            text = (reason.text, reason.date, reason.version) if reason else (None, None, None)
            made.append(StatusDetail(index, reason.status if reason else _WORDS[status], *text))
    return made


def _places(listed: Listed, reasons: signatures.Value) -> int:
    """Count the places of a list without the spare ones that fill its last byte: invalid, and without a reason."""
    last = 4 * len(listed.packed)
    known = reasons if isinstance(reasons, dict) else {}
    while last % 4 != 1 and last and status_at(listed.packed, last - 1) == INVALID and last - 1 not in known:
        last -= 1
    return last


def _reasons(listed: Listed, trust: TrustStore) -> signatures.Value:
    data = listed.candidate.reasons()
    if data is None:
        return {}
    signed = signatures.read_sign1(data, type_=REASONS_CWT, max_bytes=MAX_REASONS_CWT)
    signing_key(signed, trust, "status")
    claims = signatures.decode(signed.payload, max_bytes=MAX_REASONS_CWT)
    if not isinstance(claims, dict):
        raise VerificationError("the reasons are no map")
    return claims.get(REASONS)
