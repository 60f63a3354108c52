"""The status of a licence: which edition of its list was in force at a moment, and what it says.

A source gives the editions that may be the one; here they are verified. One that should be in force but cannot
be verified makes the status unknown: an older one in its place would hide what has changed since.

What is published of status lists, for who keeps watch over them: editions, and what one of them says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import msgspec

from schemas import cose
from schemas.errors import VerificationError
from schemas.status_list import (
    EDITION,
    EXPIRES,
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
    """An edition as a source has it: where it lies, its bytes, and how to get at the reasons beside it.

    `named` is what the file's name says of it, where the source chose by name.
    """

    where: str
    data: bytes
    reasons: Callable[[], bytes | None]
    named: EditionName | None = None


class StatusSource(Protocol):
    """Where editions come from."""

    def candidates(self, uri: str, at: int) -> list[Candidate]:
        """The editions among which the one of list `uri` in force at `at` (Unix seconds) is, if there is one.

        VerificationError where the source cannot tell.
        """
        ...


class Found(msgspec.Struct, frozen=True):
    """What the edition in force says: 0 valid, 1 invalid, 2 suspended.

    `reason` stands where it is not valid and the reasons are there, `doubt` where those cannot be believed.
    """

    status: int
    where: str
    issued_at: int
    reason: StatusReason | None
    doubt: str


class Listed(msgspec.Struct, frozen=True):
    """An edition that was verified; `packed` is the inflated list, times are Unix seconds."""

    candidate: Candidate
    uri: str
    issued_at: int
    expires: int
    edition: int
    packed: bytes


def find_status(source: StatusSource, uri: str, index: int, at: datetime, trust: TrustStore) -> Found:
    """The status in place `index` of list `uri` at a moment.

    VerificationError where no edition is in force or the one that is cannot be verified: it is unknown then.
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
            doubt = str(error)  # the list alone decides; the reasons only explain
    return Found(status, listed.candidate.where, listed.issued_at, reason, doubt)


def read_candidate(candidate: Candidate, trust: TrustStore) -> Listed:
    """Verifies an edition; VerificationError names its place and what is wrong."""
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
    signed = cose.read_sign1(candidate.data, type_=cose.STATUS_LIST_CWT, max_bytes=MAX_LIST_CWT)
    key = signing_key(signed, trust, "status")
    claims = cose.decode(signed.payload, max_bytes=MAX_LIST_CWT)
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
    """The reason, where the map beside the list is there; VerificationError where it is not the list's own."""
    data = listed.candidate.reasons()
    if data is None:
        return None
    signed = cose.read_sign1(data, type_=REASONS_CWT, max_bytes=MAX_REASONS_CWT)
    key = signing_key(signed, trust, "status")
    claims = cose.decode(signed.payload, max_bytes=MAX_REASONS_CWT)
    digest = hashlib.sha256(listed.candidate.data).digest()
    if not isinstance(claims, dict) or claims.get(SUBJECT) != listed.uri or claims.get(OF_LIST) != digest:
        raise VerificationError(
            "理由表不属于这份状态列表 / the reasons beside the list belong to another one"
        )
    check_key_time(key, listed.issued_at)
    return read_reason(claims.get(REASONS), index)


_WORDS = ("valid", "invalid", "suspended", "reserved")


class StatusDetail(msgspec.Struct, frozen=True):
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


def entries(candidate: Candidate, trust: TrustStore) -> list[StatusDetail]:
    """Each place that is not valid, with its reason; VerificationError where the edition cannot be verified."""
    listed = read_candidate(candidate, trust)
    reasons = _reasons(listed, trust)
    made = []
    for index in range(4 * len(listed.packed)):
        status = status_at(listed.packed, index)
        if status != VALID:
            reason = read_reason(reasons, index)
            text = (reason.text, reason.date, reason.version) if reason else (None, None, None)
            made.append(StatusDetail(index, reason.status if reason else _WORDS[status], *text))
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
