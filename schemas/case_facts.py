"""Facts about cases and filings: what became of an application, and of the filings that it asked for."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.licence import FilingRef, HolderKind, Product

CaseState = Literal["correction-requested", "accepted", "refused", "withdrawn", "lapsed", "granted", "issued"]
FilingState = Literal["pushed", "received", "claimed", "returned"]


class Reason(msgspec.Struct, frozen=True):
    """A reason that a person can read."""

    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.zh} / {self.en}"


class FactBody(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """The content of a fact; its tag is the type of the fact."""


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
    """The applicant of a case; a person's texts are sealed, `display` is the USCC or the mask."""

    kind: HolderKind
    display: str
    name: str = ""
    address: str = ""
    division: str = ""
    folds: dict[str, str] = {}  # sealed text → its sealed folded form, where the two differ


class ChangeSeen(msgspec.Struct, frozen=True, omit_defaults=True):
    """The particulars that a change asks for; None where one stays."""

    name: str | None = None
    address: str | None = None
    division: str | None = None
    products: tuple[Product, ...] | None = None
    folds: dict[str, str] = {}  # as in ApplicantSeen


class CaseOpened(FactBody, frozen=True, tag="case.opened"):
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
    unprintable: dict[str, str] = {}  # field that is missing because of it → the characters that no font has


class CaseRefused(FactBody, frozen=True, tag="case.refused"):
    """The application is refused, with every reason."""

    case: str
    reasons: tuple[Reason, ...]


class CorrectionRequested(FactBody, frozen=True, tag="case.correction-requested"):
    """The one notice of everything that is missing (一次性告知)."""

    case: str
    missing: tuple[str, ...]
    due: str
    fallback: bool = False  # weekdays counted past the published calendar
    calendar: str = ""
    reasons: tuple[Reason, ...] = ()
    deferred: dict[str, str] = {}  # kind → last day (容缺受理)


class MaterialsTaken(FactBody, frozen=True, tag="case.materials-supplied"):
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


class CaseAccepted(FactBody, frozen=True, tag="case.accepted"):
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


class CaseCompleted(FactBody, frozen=True, tag="case.completed"):
    """The last late material of an accepted application has come: limits run from `complete_on`."""

    case: str
    complete_on: str
    promised: str
    statutory: str
    fallback: bool = False
    calendar: str = ""


class ClockStopped(FactBody, frozen=True, tag="case.clock-stopped"):
    """Time that does not count begins the day after `on` (行政许可法 art 45)."""

    case: str
    clock: str
    on: str


class ClockResumed(FactBody, frozen=True, tag="case.clock-resumed"):
    """Time counts again from the day after `on`; the limits as they now are."""

    case: str
    clock: str
    on: str
    promised: str = ""
    statutory: str = ""
    fallback: bool = False


class CaseReviewed(FactBody, frozen=True, tag="case.reviewed"):
    """A department has approved or rejected."""

    case: str
    department: str
    officer: str
    decision: str
    grounds: str = ""
    false_material: bool = False


class CaseGranted(FactBody, frozen=True, tag="case.granted"):
    """The application led to this version of this licence; version 0 where it ended one (surrender)."""

    case: str
    licence: str
    version: int
    deemed: bool = False


class CaseWithdrawn(FactBody, frozen=True, tag="case.withdrawn"):
    """The applicant took it back."""

    case: str
    reason: str = ""


class CaseLapsed(FactBody, frozen=True, tag="case.lapsed"):
    """A deferred material did not come in time, so the case ended."""

    case: str
    reasons: tuple[Reason, ...]


class CaseOverdue(FactBody, frozen=True, tag="case.overdue"):
    """A limit passed without a decision: an alarm, once."""

    case: str
    limit: Literal["promised", "statutory"]
    due: str


class FilingPushed(FactBody, frozen=True, tag="filing.pushed"):
    """A filing was pushed to its department, or again after a correction."""

    filing: FilingRef
    case: str
    pushed_on: str
    yellow: str
    red: str
    answers: dict[str, Any] = {}
    round: int = 1


class FilingMoved(FactBody, frozen=True, tag="filing.moved"):
    """The department received, claimed or returned a filing."""

    filing_id: str  # compared
    state: FilingState
    reason: str = ""
    filing: FilingRef | None = None


class FilingOverdue(FactBody, frozen=True, tag="filing.overdue"):
    """A filing waits past its yellow or red day: an alarm, once each."""

    filing_id: str
    colour: Literal["yellow", "red"]
    due: str
    round: int = 1
    filing: FilingRef | None = None  # whose department is alarmed; absent in facts of before
