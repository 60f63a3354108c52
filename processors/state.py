"""The state of one holder: a fold over its facts. Parts are frozen; `evolve` replaces them."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.facts import (
    ApplicantSeen,
    CaseState,
    ChangeSeen,
    FilingState,
    LicenceStatus,
    MaterialSeen,
    Reason,
)
from schemas.licence import FilingRef, Grant, HolderKind, Product

STATE_SCHEMA = 4  # stored state of another number is rebuilt from facts
# What the state of one holder keeps of the past; facts keep everything, and queries read it there.
MOST_REFUSALS = 50  # the last refusals of a holder, a case or a licence
MOST_LINES = 300  # of the history of a case or a licence
MOST_CLOSED = 20  # cases that ended without a licence
MOST_KNOWN = 2_000  # such cases of which only id, content and end are known
MOST_CHECKS = 100  # checks that are done
MOST_INSPECTIONS = 2_000  # ids of inspections, which may not come twice
MOST_FOLDS = 100  # sealed texts of a person with another folded form
MOST_SEEN = 2_000  # the last events that had an effect and are known again by their id
MOST_SEEN_REFUSED = (
    500  # the last refused events, known apart so that many of them push out none with an effect
)
MOST_WAITING = 100  # entries that wait for a number
MOST_WAITING_BYTES = 256 * 1024


class Happening(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a history."""

    time: str
    event: str
    detail: str = ""


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """An application on its way."""

    key: str
    application_id: str
    content: str
    item: str
    action: str
    state: CaseState
    applicant: ApplicantSeen
    filed_on: str
    source: str
    auth: str
    window: str = ""
    channel: str = ""
    targets: tuple[str, ...] = ()
    products: tuple[Product, ...] = ()
    materials: tuple[MaterialSeen, ...] = ()
    change: ChangeSeen | None = None
    chosen: tuple[str, ...] = ()
    answers: dict[str, Any] = {}
    conflicts: tuple[str, ...] = ()
    unprintable: dict[str, str] = {}
    missing: tuple[str, ...] = ()
    deferred: dict[str, str] = {}
    approvals: tuple[str, ...] = ()
    complete_on: str = ""
    promised: str = ""
    statutory: str = ""
    correction: str = ""
    fallback: bool = False
    clocks: dict[str, str] = {}  # cause → since; running stops
    stopped: tuple[tuple[str, str], ...] = ()  # ended stops: first and last day that do not count
    alarmed: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    licence: str = ""
    closed_at: str = ""
    history: tuple[Happening, ...] = ()

    @property
    def open(self) -> bool:
        """Tell whether it can still be decided."""
        return self.state in ("correction-requested", "accepted")


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of a licence and how far it has come."""

    grant: Grant
    identifier: str = ""
    status_list: str = ""
    status_index: int = -1
    object_key: str = ""


class Unissued(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version that could not be issued, the last day for its certificate, and whether that was told to have passed."""

    version: int
    due: str
    alarmed: bool = False


class Licence(msgspec.Struct, frozen=True, omit_defaults=True):
    """A licence with its versions, the first of an imported one being version 0."""

    key: str
    item: str
    versions: tuple[Version, ...]
    status: LicenceStatus = "valid"
    number: str = ""
    until: str = ""  # last day of a suspension
    decision: str = ""  # 撤回, 撤销 or 吊销 that ended it: the status it had then
    annulled: bool = False
    followed_by: str = ""  # after an annulled decision: the licence that makes it good
    merged_into: str = ""
    unissued: tuple[Unissued, ...] = ()
    history: tuple[Happening, ...] = ()

    @property
    def now(self) -> Grant:
        """Return the grant of the version in force."""
        return self.versions[-1].grant

    def version(self, number: int) -> Version | None:
        """Return the version of a number, or None where there is none."""
        return next((v for v in self.versions if v.grant.version == number), None)

    @property
    def living(self) -> bool:
        """Tell whether it is valid or suspended."""
        return self.status in ("valid", "suspended")

    @property
    def shown_status(self) -> str:
        """Return the status as it is shown: `unissued` where the page could not be made, so nobody holds the licence."""
        failed = any(one.version == self.now.version for one in self.unissued)
        return "unissued" if failed and self.status == "valid" else self.status


class Bar(msgspec.Struct, frozen=True, omit_defaults=True):
    """No application for an item from `since` to `until`, both counted."""

    item: str
    since: str
    until: str
    ground: Reason
    licence: str = ""


class OnSiteCheck(msgspec.Struct, frozen=True, omit_defaults=True):
    """An on-site check or another inspection. `state`: scheduled, overdue, passed, failed."""

    key: str
    licence: str
    kind: str
    due: str
    state: str
    inspection_id: str = ""


class Filing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A filing and where it stands with its department."""

    ref: FilingRef
    case: str
    state: FilingState
    pushed_on: str
    yellow: str
    red: str
    answers: dict[str, Any] = {}
    round: int = 1
    alarmed: tuple[str, ...] = ()
    reason: str = ""


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event that had no effect."""

    time: str
    event: str
    reasons: tuple[Reason, ...]
    source: str = ""


class ClosedCase(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A case that ended without a licence and of which the state keeps no more; its id stays taken.

    `content` is the beginning of the digest of its content.
    """

    content: str
    state: CaseState
    application_id: str = ""  # where it was spelt otherwise than the key

    def name(self, key: str) -> str:
        """Return the application id as first sent."""
        return self.application_id or key


class Undo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parts of a state before something fell due, so that a corrected clock can take it back.

    A licence stands here without versions and history. `final`: a version was granted, whose number is given.
    """

    moment: str  # the due moment
    upto: str
    licence: Licence | None = None
    case: Case | None = None
    checks: tuple[OnSiteCheck, ...] = ()
    filings: dict[str, Filing] = {}
    final: bool = False


class HolderState(msgspec.Struct, omit_defaults=True):
    """Everything that is known of one holder."""

    holder: str
    kind: HolderKind | None = None
    display: str = ""
    name: str = ""
    address: str = ""
    division: str = ""
    credit_class: str = ""
    upto: str = ""  # the moment as of which the last thing was decided
    cases: dict[str, Case] = {}
    licences: dict[str, Licence] = {}
    checks: dict[str, OnSiteCheck] = {}
    filings: dict[str, Filing] = {}
    bars: tuple[Bar, ...] = ()
    refused: tuple[Refusal, ...] = ()
    inspections: tuple[str, ...] = ()
    seen: dict[str, str] = {}  # key of an event → digest of its content
    waiting: tuple[dict[str, Any], ...] = ()
    asked: str = ""  # the number for whose answer the first of `waiting` waits
    folds: dict[
        str, str
    ] = {}  # sealed name or address of a person → its sealed folded form, where they differ
    undo: tuple[Undo, ...] = ()  # what fell due since the last event, oldest first
    corrected: int = 0  # how often the clock was corrected for this holder
    closed: dict[str, ClosedCase] = {}
    seen_refused: dict[str, str] = {}  # as `seen`, of events that had no effect
    pruned: bool = False  # something that queries show stands in the facts alone
    whole: bool = False  # nothing is left out: for queries, never stored
    schema: int = STATE_SCHEMA

    def copy(self) -> HolderState:
        """Return a copy whose containers may be changed; the parts in them are frozen."""
        return HolderState(
            self.holder, self.kind, self.display, self.name, self.address, self.division, self.credit_class, self.upto,
            dict(self.cases), dict(self.licences), dict(self.checks), dict(self.filings),
            self.bars, self.refused, self.inspections, dict(self.seen), self.waiting, self.asked,
            self.folds, self.undo, self.corrected, dict(self.closed), dict(self.seen_refused), self.pruned,
            self.whole, self.schema,
        )  # fmt: skip


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(HolderState).decode


def initial(holder: str, *, whole: bool = False) -> HolderState:
    """Return the state of a holder of whom nothing is known; a `whole` one will keep everything, for queries."""
    return HolderState(holder, whole=whole)


def seen_content(state: HolderState, key: str) -> str | None:
    """Return the digest of the content with which an event came before, by the key of its id."""
    return state.seen.get(key) or state.seen_refused.get(key)


def version_of(state: HolderState, case: Case) -> int:
    """Return the number of the version to which a case led, or -1 where there is none."""
    return next(
        (
            v.grant.version
            for v in state.licences[case.licence].versions
            if v.grant.application_id == case.application_id
        ),
        -1,
    )
