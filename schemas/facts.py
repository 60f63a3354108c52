"""Facts: what was decided. State, artefacts and every figure are a fold of them; nothing else is kept.

The id of a fact is made of its cause, so the same decision made again is the same fact. Reasons stand in it in Chinese
and English. A fact about something that fell due has a cause made of that due date, so it does not depend on which event
or tick came first.

Here stand the facts about licences (grants, numbers, objects, status, bars, checks) and about holders and entries; those
about cases and filings stand in `schemas.case_facts`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.case_facts import (
    ApplicantSeen,
    CaseAccepted,
    CaseCompleted,
    CaseGranted,
    CaseLapsed,
    CaseOpened,
    CaseOverdue,
    CaseRefused,
    CaseReviewed,
    CaseState,
    CaseWithdrawn,
    ChangeSeen,
    ClockResumed,
    ClockStopped,
    CorrectionRequested,
    FactBody,
    FilingMoved,
    FilingOverdue,
    FilingPushed,
    FilingState,
    MaterialSeen,
    MaterialsTaken,
    Reason,
)
from schemas.ledger import CURRENT, upcast, upcast_within
from schemas.licence import Grant, Issued

LicenceStatus = Literal["valid", "suspended", "withdrawn", "rescinded", "revoked", "cancelled", "expired"]


class LicenceGranted(FactBody, frozen=True, tag="licence.granted"):
    """A version of a licence was decided."""

    grant: Grant
    case: str = ""
    action: str = ""  # no other default: what is omitted must not depend on which object a text is
    replaces: str = ""  # annulled decision: the licence that this one makes good
    told: str = ""  # the time that the event states, by which the licence is dated
    received: str = (
        ""  # the moment of its receipt; both are empty in older facts, and where a grant fell due by itself
    )


class ImportRecorded(FactBody, frozen=True, tag="licence.imported"):
    """A licence issued elsewhere entered the register as version 0."""

    grant: Grant
    serial: int | None = None  # where the number is of a series of ours
    folds: dict[str, str] = msgspec.field(default_factory=dict)  # as in ApplicantSeen
    told: str = ""  # as in LicenceGranted
    received: str = ""


class LicenceNumbered(FactBody, frozen=True, tag="licence.numbered"):
    """A version has its number, identifier and place in a status list."""

    licence: str
    version: int
    number: str
    identifier: str
    status_list: str
    status_index: int


class LicenceIssued(FactBody, frozen=True, tag="licence.issued"):
    """A version is in the store; the fact holds enough to build its object again."""

    issued: Issued


class IssueFailed(FactBody, frozen=True, tag="licence.issue-failed"):
    """A version could not be numbered or issued, by itself; it waits in the dead letters for `letters retry`."""

    licence: str
    version: int
    due: str  # last day for the certificate (行政许可法 art 44)
    fallback: bool = False
    calendar: str = ""


class CertificateOverdue(FactBody, frozen=True, tag="licence.certificate-overdue"):
    """A version that could not be issued had no certificate by its last day: an alarm, once."""

    licence: str
    version: int
    due: str


class LicenceStatusChanged(FactBody, frozen=True, tag="licence.status"):
    """A licence is suspended, resumed or ended. `event` says by what."""

    licence: str
    status: LicenceStatus
    event: str
    ground: str = ""
    legal_basis: str = ""
    decided_on: str = ""
    until: str = ""
    deceit: bool = False
    merged_into: str = ""


class AnnulmentRecorded(FactBody, frozen=True, tag="licence.annulled"):
    """撤回, 撤销 or 吊销 of this licence was lifted; its bar with it."""

    licence: str
    ground: str
    decided_on: str


class BarImposed(FactBody, frozen=True, tag="bar.imposed"):
    """No application of this holder for this item from `since` to `until`, both counted."""

    item: str
    since: str
    until: str
    ground: Reason
    licence: str = ""


class CheckScheduled(FactBody, frozen=True, tag="check.scheduled"):
    """An on-site check (后置现场核查) is due."""

    check: str
    licence: str
    due: str
    sites: tuple[str, ...] = ()


class CheckOverdue(FactBody, frozen=True, tag="check.overdue"):
    """The check was not recorded by its day: an alarm, once."""

    check: str
    due: str


class InspectionTaken(FactBody, frozen=True, tag="inspection.recorded"):
    """An inspection was recorded; `check` is the scheduled check that it settles."""

    inspection: str  # compared id
    inspection_id: str  # as first sent
    kind: str
    licence: str
    inspectors: tuple[str, ...]
    inspected_on: str
    result: str
    passed: bool
    commitment_false: bool
    findings: str = ""
    check: str = ""
    order_to_correct: bool = False
    draw: str = ""  # digest of the announcement whose draw ordered the visit
    target: str = ""  # of a draw, where it holds no licence here
    visit: str = ""  # the id under which the draw expects the result
    departments: tuple[str, ...] = ()  # of the inspectors, as the draw's register has them


class ResultsPublished(FactBody, frozen=True, tag="inspections.published"):
    """The results of a draw's visits were published on a day, as the table of this SHA-256."""

    draw: str
    digest: str
    published_on: str
    count: int = 0


__all__ = [
    "INTERNAL",
    "AnnulmentRecorded",
    "ApplicantSeen",
    "BarImposed",
    "Body",
    "CaseAccepted",
    "CaseCompleted",
    "CaseGranted",
    "CaseLapsed",
    "CaseOpened",
    "CaseOverdue",
    "CaseRefused",
    "CaseReviewed",
    "CaseState",
    "CaseWithdrawn",
    "CertificateOverdue",
    "ChangeSeen",
    "CheckOverdue",
    "CheckScheduled",
    "ClassRecorded",
    "ClockCorrected",
    "ClockResumed",
    "ClockStopped",
    "CorrectionRequested",
    "EventRefused",
    "EventReleased",
    "EventRepeated",
    "EventWaits",
    "Fact",
    "FilingMoved",
    "FilingOverdue",
    "FilingPushed",
    "FilingState",
    "ImportRecorded",
    "InspectionTaken",
    "IssueFailed",
    "LicenceGranted",
    "LicenceIssued",
    "LicenceNumbered",
    "LicenceStatus",
    "LicenceStatusChanged",
    "MaterialSeen",
    "MaterialsTaken",
    "NumberAsked",
    "Reason",
    "ResultsPublished",
    "decode",
    "encode",
]


class ClassRecorded(FactBody, frozen=True, tag="holder.classified"):
    """The holder's credit class."""

    credit_class: str
    display: str = ""  # USCC or mask


class EventRefused(FactBody, frozen=True, tag="event.refused"):
    """An event had no effect, and why."""

    event: str
    reasons: tuple[Reason, ...]
    source: str
    licence: str = ""
    case: str = ""
    display: str = ""  # USCC or mask of the holder that it named


class EventRepeated(FactBody, frozen=True, tag="event.repeated"):
    """A repeated application: nothing changes."""

    case: str


class EventWaits(FactBody, frozen=True, tag="event.waits"):
    """An entry that names a number not known yet waits, and everything of this holder behind it."""

    entry: dict[str, Any]


class NumberAsked(FactBody, frozen=True, tag="number.asked"):
    """A question to the writer of a series: is the number of an import free? The import waits for the answer."""

    number: str  # compared
    series: str
    serial: int | None = None  # where the number is of a series of ours


class ClockCorrected(FactBody, frozen=True, tag="clock.corrected"):
    """The operator corrected the clock: what fell due for the holder after `to` is taken back."""

    to: str
    reason: str


class EventReleased(FactBody, frozen=True, tag="event.released"):
    """The first waiting entry is decided now."""


Body = (
    CaseOpened
    | CaseRefused
    | CorrectionRequested
    | MaterialsTaken
    | CaseAccepted
    | CaseCompleted
    | ClockStopped
    | ClockResumed
    | CaseReviewed
    | CaseGranted
    | CaseWithdrawn
    | CaseLapsed
    | CaseOverdue
    | LicenceGranted
    | ImportRecorded
    | LicenceNumbered
    | LicenceIssued
    | IssueFailed
    | CertificateOverdue
    | LicenceStatusChanged
    | AnnulmentRecorded
    | BarImposed
    | CheckScheduled
    | CheckOverdue
    | InspectionTaken
    | ResultsPublished
    | FilingPushed
    | FilingMoved
    | FilingOverdue
    | ClassRecorded
    | EventRefused
    | EventRepeated
    | EventWaits
    | NumberAsked
    | EventReleased
    | ClockCorrected
)
INTERNAL = (EventWaits, NumberAsked, EventReleased, EventRepeated)  # they concern nobody outside


class Fact(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fact. `cause` is the ledger entry's id, or `due:…` of what fell due; `time` the moment as decided."""

    id: str
    cause: str
    holder: str
    time: str
    body: Body
    v: int = 1

    @property
    def type(self) -> str:
        """Return the fact's type, `case.granted` for example."""
        return str(self.body.__struct_config__.tag)


encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Fact).decode


def decode(raw: bytes) -> Fact:
    """Read the stored JSON of a fact of this release or an earlier one.

    Raises msgspec.DecodeError for what is no fact, UsageError for a fact of a later release.
    """
    try:
        fact = _read(raw)
    except msgspec.ValidationError:
        old = msgspec.json.decode(raw, type=dict[str, Any])
        if (new := _upcast(old)) == old:
            raise
        return _read(encode(new))
    return fact if _is_current(fact) else _read(encode(_upcast(msgspec.json.decode(raw))))


def _is_current(fact: Fact) -> bool:
    if fact.v != CURRENT["fact"]:
        return False
    if isinstance(fact.body, LicenceGranted | ImportRecorded):
        return fact.body.grant.v == CURRENT["grant"]
    return fact.body.issued.v == CURRENT["issued"] if isinstance(fact.body, LicenceIssued) else True


def _upcast(record: dict[str, Any]) -> dict[str, Any]:
    record = upcast("fact", record)
    body = record.get("body")
    return {**record, "body": upcast_within(body)} if isinstance(body, dict) else record
