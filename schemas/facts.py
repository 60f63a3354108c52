"""Facts: what was decided. State, artefacts and every figure are a fold of them; nothing else is remembered.

A fact has an id made of its cause, so that the same decision made again is the same fact. What a person reads
(reasons) stands in it, Chinese and English. Facts of what falls due have a cause made of the due thing itself: which
event or tick woke it leaves no trace.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.ledger import CURRENT, upcast, upcast_within
from schemas.licence import FilingRef, Grant, HolderKind, Issued, Product

LicenceStatus = Literal["valid", "suspended", "withdrawn", "rescinded", "revoked", "cancelled", "expired"]
CaseState = Literal["correction-requested", "accepted", "refused", "withdrawn", "lapsed", "granted", "issued"]
FilingState = Literal["pushed", "received", "claimed", "returned"]


class Reason(msgspec.Struct, frozen=True):
    """A reason that a person can read."""

    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.zh} / {self.en}"


class _Body(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """What a fact says; the tag is its type."""


class MaterialSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """A material as it counted: `evidence` keeps what a later 撤销 needs (text digest, signatory)."""

    kind: str
    uri: str = ""
    sha256: str = ""
    signed_on: str = ""
    deferred_until: str = ""
    evidence: dict[str, str] = {}
    came_on: str = ""  # China date of the event that brought it


class ApplicantSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who applies; a person's texts are sealed, `display` is the USCC or the mask."""

    kind: HolderKind
    display: str
    name: str = ""
    address: str = ""
    division: str = ""
    folds: dict[str, str] = {}  # sealed text → its sealed folded form, where the two differ


class ChangeSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the holder becomes; None where it stays."""

    name: str | None = None
    address: str | None = None
    division: str | None = None
    products: tuple[Product, ...] | None = None
    folds: dict[str, str] = {}  # as of ApplicantSeen


class CaseOpened(_Body, frozen=True, tag="case.opened"):
    """An application came in. `content` is the digest by which the same application is known again."""

    case: str  # compared application id
    application_id: str  # as first sent
    content: str
    item: str
    item_digest: str
    action: str
    applicant: ApplicantSeen
    filed_on: str  # China date
    source: str
    auth: str
    window: str = ""
    channel: str = ""
    targets: tuple[str, ...] = ()  # licence ids
    products: tuple[Product, ...] = ()
    materials: tuple[MaterialSeen, ...] = ()
    change: ChangeSeen | None = None
    chosen: tuple[str, ...] = ()  # filing items
    answers: dict[str, Any] = {}
    conflicts: tuple[str, ...] = ()  # fields with two different values
    unprintable: dict[str, str] = {}  # what is missing because of it → the characters that no font has


class CaseRefused(_Body, frozen=True, tag="case.refused"):
    """The application is refused, with every reason."""

    case: str
    reasons: tuple[Reason, ...]


class CorrectionRequested(_Body, frozen=True, tag="case.correction-requested"):
    """The one notice of everything that is missing (一次性告知)."""

    case: str
    missing: tuple[str, ...]
    due: str
    fallback: bool = False  # weekdays counted past the published calendar
    calendar: str = ""
    reasons: tuple[Reason, ...] = ()
    deferred: dict[str, str] = {}  # kind → last day (容缺受理)


class MaterialsTaken(_Body, frozen=True, tag="case.materials-supplied"):
    """Something of what was missing came; `missing` is what is left, `deferred` the late materials left."""

    case: str
    applicant: ApplicantSeen
    products: tuple[Product, ...]
    materials: tuple[MaterialSeen, ...]
    missing: tuple[str, ...] = ()
    deferred: dict[str, str] = {}
    answers: dict[str, Any] = {}
    conflicts: tuple[str, ...] = ()
    change: ChangeSeen | None = None
    unprintable: dict[str, str] = {}


class CaseAccepted(_Body, frozen=True, tag="case.accepted"):
    """The application is accepted (受理); limits run from `complete_on`, whose day is not counted.

    Where late materials are waited for (容缺受理) it is not complete yet: `complete_on` and limits are empty until
    the last one has come and `CaseCompleted` gives them.
    """

    case: str
    complete_on: str = ""
    promised: str = ""
    statutory: str = ""
    fallback: bool = False
    calendar: str = ""
    deferred: dict[str, str] = {}  # kind → last day (容缺受理)


class CaseCompleted(_Body, frozen=True, tag="case.completed"):
    """The last late material of an accepted application has come: limits run from `complete_on`."""

    case: str
    complete_on: str
    promised: str
    statutory: str
    fallback: bool = False
    calendar: str = ""


class ClockStopped(_Body, frozen=True, tag="case.clock-stopped"):
    """Time that does not count begins the day after `on` (行政许可法 art 45)."""

    case: str
    clock: str
    on: str


class ClockResumed(_Body, frozen=True, tag="case.clock-resumed"):
    """Time counts again from the day after `on`; the limits as they now are."""

    case: str
    clock: str
    on: str
    promised: str = ""
    statutory: str = ""
    fallback: bool = False


class CaseReviewed(_Body, frozen=True, tag="case.reviewed"):
    """A department has approved or rejected."""

    case: str
    department: str
    officer: str
    decision: str
    grounds: str = ""
    false_material: bool = False


class CaseGranted(_Body, frozen=True, tag="case.granted"):
    """The application led to this version of this licence; version 0 where it ended one (surrender)."""

    case: str
    licence: str
    version: int
    deemed: bool = False


class CaseWithdrawn(_Body, frozen=True, tag="case.withdrawn"):
    """The applicant took it back."""

    case: str
    reason: str = ""


class CaseLapsed(_Body, frozen=True, tag="case.lapsed"):
    """What was to be supplied did not come in time."""

    case: str
    reasons: tuple[Reason, ...]


class CaseOverdue(_Body, frozen=True, tag="case.overdue"):
    """A limit passed without a decision: an alarm, once."""

    case: str
    limit: Literal["promised", "statutory"]
    due: str


class LicenceGranted(_Body, frozen=True, tag="licence.granted"):
    """A version of a licence was decided."""

    grant: Grant
    case: str = ""
    action: str = ""  # no other default: what is omitted must not depend on which object a text is
    replaces: str = ""  # annulled decision: the licence that this one makes good


class ImportRecorded(_Body, frozen=True, tag="licence.imported"):
    """A licence issued elsewhere entered the register as version 0."""

    grant: Grant
    serial: int | None = None  # where the number is of a series of ours
    folds: dict[str, str] = {}  # as of ApplicantSeen


class LicenceNumbered(_Body, frozen=True, tag="licence.numbered"):
    """What `number` gave a version."""

    licence: str
    version: int
    number: str
    identifier: str
    status_list: str
    status_index: int


class LicenceIssued(_Body, frozen=True, tag="licence.issued"):
    """What `issue` did for a version: enough to build its object again."""

    issued: Issued


class IssueFailed(_Body, frozen=True, tag="licence.issue-failed"):
    """A version could not be numbered or issued, by itself; it waits in the dead letters for `letters retry`."""

    licence: str
    version: int
    due: str  # last day for the certificate (行政许可法 art 44)
    fallback: bool = False
    calendar: str = ""


class CertificateOverdue(_Body, frozen=True, tag="licence.certificate-overdue"):
    """A version that could not be issued had no certificate by its last day: an alarm, once."""

    licence: str
    version: int
    due: str


class LicenceStatusChanged(_Body, frozen=True, tag="licence.status"):
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


class AnnulmentRecorded(_Body, frozen=True, tag="licence.annulled"):
    """撤回, 撤销 or 吊销 of this licence was lifted; its bar with it."""

    licence: str
    ground: str
    decided_on: str


class BarImposed(_Body, frozen=True, tag="bar.imposed"):
    """No application of this holder for this item from `since` to `until`, both counted."""

    item: str
    since: str
    until: str
    ground: Reason
    licence: str = ""


class CheckScheduled(_Body, frozen=True, tag="check.scheduled"):
    """An on-site check (后置现场核查) is due."""

    check: str
    licence: str
    due: str
    sites: tuple[str, ...] = ()


class CheckOverdue(_Body, frozen=True, tag="check.overdue"):
    """The check was not recorded by its day: an alarm, once."""

    check: str
    due: str


class InspectionTaken(_Body, frozen=True, tag="inspection.recorded"):
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


class FilingPushed(_Body, frozen=True, tag="filing.pushed"):
    """A filing was pushed to its department, or again after a correction."""

    filing: FilingRef
    case: str
    pushed_on: str
    yellow: str
    red: str
    answers: dict[str, Any] = {}
    round: int = 1


class FilingMoved(_Body, frozen=True, tag="filing.moved"):
    """The department received, claimed or returned a filing."""

    filing_id: str  # compared
    state: FilingState
    reason: str = ""
    filing: FilingRef | None = None


class FilingOverdue(_Body, frozen=True, tag="filing.overdue"):
    """A filing waits past its yellow or red day: an alarm, once each."""

    filing_id: str
    colour: Literal["yellow", "red"]
    due: str
    round: int = 1
    filing: FilingRef | None = None  # whose department is alarmed; absent in facts of before


class ClassRecorded(_Body, frozen=True, tag="holder.classified"):
    """The holder's credit class."""

    credit_class: str
    display: str = ""  # USCC or mask


class EventRefused(_Body, frozen=True, tag="event.refused"):
    """An event had no effect, and why."""

    event: str
    reasons: tuple[Reason, ...]
    source: str
    licence: str = ""
    case: str = ""
    display: str = ""  # USCC or mask of the holder that it named


class EventRepeated(_Body, frozen=True, tag="event.repeated"):
    """The same application again: nothing changes."""

    case: str


class EventWaits(_Body, frozen=True, tag="event.waits"):
    """An entry that names a number not known yet waits, and everything of this holder behind it."""

    entry: dict[str, Any]


class NumberAsked(_Body, frozen=True, tag="number.asked"):
    """Whether the number of an import is free is asked of the writer of its series; the import waits for the answer."""

    number: str  # compared
    series: str
    serial: int | None = None  # where the number is of a series of ours


class EventReleased(_Body, frozen=True, tag="event.released"):
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
    | FilingPushed
    | FilingMoved
    | FilingOverdue
    | ClassRecorded
    | EventRefused
    | EventRepeated
    | EventWaits
    | NumberAsked
    | EventReleased
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
        """The fact's type, `case.granted` for example."""
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
