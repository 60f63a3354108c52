"""The data of every inbound event, one frozen struct per shape; the types are listed at the end.

Types, enumerations and dates are checked by the structs themselves, the rules that a marker names
(`Meta(extra={"rule": …})`) by `schemas.event_rules`. Without these rules the structs also read events that
`route` has sealed: a pseudonym is an id, a sealed name is longer than a clear one. A field of type
`X | None` is optional (null counts as absent); fields that are not known here are no fault.

The official texts for the result of a random inspection (双随机抽查).

Systems number them differently, so the text is what counts: three published lists, taken together.
"""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from importlib import resources
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

Id = Annotated[
    str,
    Meta(
        extra={"rule": "id"},
        description="1 to 64 letters and digits of any script and . _ - : ( ) 〔 〕, after NFKC and trimming; "
        "the first a letter, a digit or an opening bracket",
    ),
]
FilingId = Annotated[
    str,
    Meta(
        extra={"rule": "filing-id"},
        description="as every id; one that was made here, `<application_id>:<item>`, is longer than 64 characters "
        "where the application's is long",
    ),
]
InspectionId = Annotated[
    str,
    Meta(
        extra={"rule": "inspection-id"},
        description="as every id; one that was made here, `<application_id>:check`, is longer than 64 characters "
        "where the application's is long",
    ),
]
Short = Annotated[str, Meta(extra={"rule": "short"}, extra_json_schema={"maxLength": 200})]
Name = Annotated[
    str,
    Meta(
        extra={"rule": "name"},
        extra_json_schema={"maxLength": 200},
        description="a blank one is a correction later; one of characters that show nothing is rejected",
    ),
]
FullName = Annotated[
    str,
    Meta(
        extra={"rule": "full-name"},
        extra_json_schema={"maxLength": 200},
        description="at least one visible character",
    ),
]
Free = Annotated[str, Meta(extra={"rule": "free"}, description="line feed, CR LF and tab may stand in it")]
Digest = Annotated[
    str,
    Meta(
        extra={"rule": "digest"},
        extra_json_schema={"pattern": "^[0-9a-f]{64}$"},
        description="SHA-256 in hex",
    ),
]
DrawnTarget = Annotated[
    str, Meta(extra={"rule": "target"}, description="the target's id as the draw's register writes it")
]
Window = Annotated[
    str,
    Meta(
        extra={"rule": "window"},
        extra_json_schema={"pattern": "^[0-9]{6}([0-9]{3}([0-9]{3})?)?$"},
        description="where the application entered: county, township or village",
    ),
]
Uri = Annotated[
    str,
    Meta(extra={"rule": "uri"}, extra_json_schema={"pattern": "^store:uploads/[0-9a-f]{64}$"}),
]
Answer = str | int | float | bool | None
Answers = dict[str, Answer]

HolderKind = Literal["enterprise", "person"]
Action = Literal["new", "extend", "change", "renew", "reissue", "merge", "surrender"]
Decision = Literal["approve", "reject"]
ClockCause = Literal["hearing", "testing", "expert-review"]
InspectionKind = Literal["post-issuance", "random", "complaint"]
CreditClass = Literal["A", "B", "C", "D"]


class _Data(msgspec.Struct, frozen=True, omit_defaults=True):
    """The base of the data of all events."""


class ProductIn(_Data, frozen=True):
    """A product with the site that makes it."""

    category: str
    site: Short | None = None
    detail: Short | None = None


Products = Annotated[
    tuple[ProductIn, ...], Meta(extra={"rule": "products"}, extra_json_schema={"maxItems": 200})
]


class Applicant(_Data, frozen=True):
    """The applicant (申请人): a name, address or division that is absent or blank is a correction later."""

    kind: HolderKind
    id: Id
    name: Name | None = None
    address: Short | None = None
    division: str | None = None


class ApplicantPart(_Data, frozen=True):
    """The parts of an applicant that were missing."""

    kind: HolderKind | None = None
    id: Id | None = None
    name: Name | None = None
    address: Short | None = None
    division: str | None = None


class HolderIn(_Data, frozen=True):
    """The holder of a licence that another system issued."""

    kind: HolderKind
    id: Id
    name: FullName
    address: Short
    division: str


class Material(_Data, frozen=True):
    """A paper of an application (申请材料); one that is `deferred_until` a day may come later (容缺)."""

    kind: str
    uri: Uri | None = None
    sha256: str | None = None
    signed_on: date | None = None
    deferred_until: date | None = None


class Change(_Data, frozen=True):
    """The particulars that the holder asks to change; `products` are all that shall remain."""

    name: Name | None = None
    address: Short | None = None
    division: str | None = None
    products: Products | None = None


class ApplicationSubmitted(_Data, frozen=True):
    """An application (申请). All actions but `new` name a licence, or the application that led to it."""

    application_id: Id
    item: str
    action: Action
    applicant: Applicant
    materials: tuple[Material, ...]
    channel: str
    window: Window
    products: Products | None = None
    change: Change | None = None
    licence_number: Id | None = None
    licence_numbers: tuple[Id, ...] | None = None
    granted_by: Id | tuple[Id, ...] | None = None
    shared: Answers | None = None


class MaterialsSupplied(_Data, frozen=True):
    """An answer to a correction notice (补正通知)."""

    application_id: Id
    holder_id: Id
    materials: tuple[Material, ...] | None = None
    products: Products | None = None
    applicant: ApplicantPart | None = None
    shared: Answers | None = None


class ApplicationWithdrawn(_Data, frozen=True):
    """The applicant takes the application back."""

    application_id: Id
    holder_id: Id
    reason: Free | None = None


class ApplicationReviewed(_Data, frozen=True):
    """A department has examined the application (审查)."""

    application_id: Id
    holder_id: Id
    department: str
    officer: str
    decision: Decision
    grounds: Free | None = None
    false_material: bool | None = None


class ClockChanged(_Data, frozen=True):
    """Time that does not count towards the limits begins or ends (听证、检测、专家评审)."""

    application_id: Id
    holder_id: Id
    cause: ClockCause


class FilingChoice(_Data, frozen=True):
    """A filing item that the registration chooses, with the answers that it alone asks for."""

    item: str
    answers: Answers | None = None


class RegistrationSubmitted(_Data, frozen=True):
    """A registration with its filings at once (多证合一); `shared` answers are collected once."""

    application_id: Id
    applicant: Applicant
    items: tuple[FilingChoice, ...]
    materials: tuple[Material, ...]
    shared: Answers | None = None


class FilingEvent(_Data, frozen=True):
    """A department on a filing (备案) that was pushed to it, or the correction of one that it returned."""

    filing_id: FilingId
    holder_id: Id
    department: str
    reason: Free | None = None
    answers: Answers | None = None


class Inspector(_Data, frozen=True):
    """A person who inspected, with the department that sent them."""

    id: Id
    department: str


class InspectionRecorded(_Data, frozen=True):
    """An inspection (检查) and its result; for a `random` one an official text.

    A visit that a draw ordered names the announcement's digest as `draw`. A target without a licence here is named by
    `target`, in place of a licence and its holder.
    """

    inspection_id: InspectionId
    kind: InspectionKind
    inspectors: tuple[Inspector, ...]
    inspected_on: date
    result: str
    passed: bool
    commitment_false: bool
    holder_id: Id | None = None
    licence_number: Id | None = None
    granted_by: Id | None = None
    findings: Free | None = None
    draw: Digest | None = None
    target: DrawnTarget | None = None


class InspectionsPublished(_Data, frozen=True):
    """The results of a draw's visits were published (公示): the SHA-256 of the published table, and the day."""

    draw: Digest
    digest: Digest
    published_on: date
    count: int | None = None


class _Order(_Data, frozen=True):
    holder_id: Id
    ground: str
    decided_on: date
    licence_number: Id | None = None
    granted_by: Id | None = None
    legal_basis: str | None = None


class LicenceOrder(_Order, frozen=True):
    """撤回, 吊销, 注销, or the end of a suspension."""


class LicenceRescinded(_Order, frozen=True, kw_only=True):
    """撤销; `deceit`: the holder got the licence by deceit or bribery."""

    deceit: bool


class LicenceSuspended(_Order, frozen=True, kw_only=True):
    """暂扣; `until` is its last day."""

    until: date


class DecisionAnnulled(_Data, frozen=True):
    """A review or a court lifts 撤回, 撤销 or 吊销 (复议、判决)."""

    holder_id: Id
    ground: str
    decided_on: date
    licence_number: Id | None = None
    granted_by: Id | None = None


class LicenceImported(_Data, frozen=True):
    """A licence of another system enters the register."""

    holder: HolderIn
    licence_number: Id
    item: str
    issued_on: date
    valid_from: date
    valid_until: date | None = None  # no end where it is null or absent
    products: Products | None = None


class HolderClassified(_Data, frozen=True):
    """The credit class of a holder (信用分类)."""

    holder_id: Id
    credit_class: CreditClass


class ClockTicked(_Data, frozen=True):
    """The envelope's `time` is the time."""


EventData = (
    ApplicationSubmitted
    | MaterialsSupplied
    | ApplicationWithdrawn
    | ApplicationReviewed
    | ClockChanged
    | RegistrationSubmitted
    | FilingEvent
    | InspectionRecorded
    | InspectionsPublished
    | LicenceOrder
    | LicenceRescinded
    | LicenceSuspended
    | DecisionAnnulled
    | LicenceImported
    | HolderClassified
    | ClockTicked
)

PREFIX: Final = "zhengzhao."
SUFFIX: Final = ".v1"

EVENT_TYPES: Final[dict[str, type[Any]]] = {
    "application.submitted": ApplicationSubmitted,
    "application.materials-supplied": MaterialsSupplied,
    "application.withdrawn": ApplicationWithdrawn,
    "application.reviewed": ApplicationReviewed,
    "application.clock-stopped": ClockChanged,
    "application.clock-resumed": ClockChanged,
    "registration.submitted": RegistrationSubmitted,
    "filing.received": FilingEvent,
    "filing.claimed": FilingEvent,
    "filing.returned": FilingEvent,
    "filing.corrected": FilingEvent,
    "inspection.recorded": InspectionRecorded,
    "inspections.published": InspectionsPublished,
    "licence.withdrawn": LicenceOrder,
    "licence.rescinded": LicenceRescinded,
    "licence.revoked": LicenceOrder,
    "licence.cancelled": LicenceOrder,
    "licence.suspended": LicenceSuspended,
    "licence.resumed": LicenceOrder,
    "decision.annulled": DecisionAnnulled,
    "licence.imported": LicenceImported,
    "holder.classified": HolderClassified,
    "clock.ticked": ClockTicked,
}


@cache
def official_results() -> frozenset[str]:
    """Return every text that a `random` inspection may have as its `result`."""
    raw = resources.files("schemas").joinpath("data/inspection_result_codes.json").read_text(encoding="utf-8")
    return frozenset(text for scheme in json.loads(raw).values() for text in scheme.values())
