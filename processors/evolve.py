"""`evolve(state, fact) -> state`: one handler for each type of fact, those of cases in `evolve_cases`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from processors import evolve_cases
from processors.evolve_cases import (
    DUE,
    due_after,
    keep_folds,
    remember,
    restore,
    text_of,
    trim,
    undo_of,
    with_line,
    write_line,
)
from processors.state import (
    Bar,
    Case,
    Filing,
    Happening,
    HolderState,
    Licence,
    OnSiteCheck,
    Refusal,
    Unissued,
    Version,
)
from schemas import facts as f
from schemas.calendar import day_of
from schemas.facts import Fact
from schemas.identifiers import compare
from schemas.licence import Grant

_DECIDE_NOTHING = frozenset(
    (
        f.LicenceNumbered, f.LicenceIssued, f.IssueFailed, f.CertificateOverdue,
        f.EventWaits, f.EventRepeated, f.NumberAsked, f.ClockCorrected,
    )
)  # fmt: skip
_NO_EFFECT = frozenset((f.EventRefused, f.EventRepeated, f.EventWaits))
KEY_LENGTH = 32  # of an entry id: the key of the event; what follows is the digest of its content


def fold(state: HolderState, facts: Iterable[Fact]) -> HolderState:
    """Return the state after facts; the one given is not changed."""
    state = state.copy()
    for fact in facts:
        apply(state, fact)
    return state


def evolve(state: HolderState, fact: Fact) -> HolderState:
    """Return the state after one fact."""
    return fold(state, (fact,))


def apply(state: HolderState, fact: Fact) -> None:
    """Apply a fact to a state that nobody else holds."""
    kind = type(fact.body)
    if fact.cause.startswith(DUE):
        state.undo = (*state.undo, undo_of(state, fact))
    elif ":" not in fact.cause and kind not in _NO_EFFECT:
        state.undo = ()  # an event was decided on it
    if fact.time > state.upto and kind not in _DECIDE_NOTHING:
        state.upto = fact.time
    if ":" not in fact.cause and kind is not f.EventWaits:
        key, content = fact.cause[:KEY_LENGTH], fact.cause[KEY_LENGTH:]
        remember(state, key, content, refused=kind is f.EventRefused)
    _HANDLERS[kind](state, fact, fact.body)
    trim(state)


def _licence(state: HolderState, fact: Fact, key: str, event: str, detail: str = "", /, **new: Any) -> None:
    licence = state.licences[key]
    line = Happening(fact.time, event, detail)
    state.licences[key] = replace(licence, history=with_line(state, licence.history, line), **new)


def _granted(state: HolderState, fact: Fact, b: f.LicenceGranted) -> None:
    grant = b.grant
    line = Happening(fact.time, "granted", f"{b.action}, v{grant.version}{_late(b)}")
    old = state.licences.get(grant.licence_id)
    known = any(licence.living for licence in state.licences.values())
    if old is None:
        new = Licence(
            grant.licence_id, grant.item, (Version(grant),), number=grant.number or "", history=(line,)
        )
    else:
        history = with_line(state, old.history, line)
        new = replace(old, versions=(*old.versions, Version(grant)), history=history)
    state.licences[grant.licence_id] = new
    state.kind, state.display = grant.holder_kind, grant.holder_id
    first = b.action == "new" and not known
    if first or b.action == "change" or not state.name:  # other grants repeat what the register says
        _register(state, grant)
    if b.replaces:
        state.licences[b.replaces] = replace(state.licences[b.replaces], followed_by=grant.licence_id)
        if b.case in state.cases:
            state.cases[b.case] = replace(state.cases[b.case], licence=grant.licence_id)


def _late(b: f.LicenceGranted | f.ImportRecorded) -> str:
    """Return a note on the receipt of an event that was dated on another day; empty for any other."""
    if not b.received or day_of(b.told) == day_of(b.received):
        return ""
    return f"；收件于 / received {b.received}"


def _register(state: HolderState, grant: Grant) -> None:
    state.kind, state.display = grant.holder_kind, grant.holder_id
    state.name, state.address, state.division = grant.holder_name, grant.address, grant.division


def _imported(state: HolderState, fact: Fact, b: f.ImportRecorded) -> None:
    grant = b.grant
    line = Happening(fact.time, "imported", _late(b).removeprefix("；"))
    known = bool(state.licences)
    state.licences[grant.licence_id] = Licence(
        grant.licence_id, grant.item, (Version(grant),), number=grant.number or "", history=(line,)
    )
    keep_folds(state, b.folds)
    if not known:
        _register(state, grant)


def _numbered(state: HolderState, fact: Fact, b: f.LicenceNumbered) -> None:
    versions = tuple(
        replace(v, identifier=b.identifier, status_list=b.status_list, status_index=b.status_index)
        if v.grant.version == b.version
        else v
        for v in state.licences[b.licence].versions
    )
    state.licences[b.licence] = replace(state.licences[b.licence], versions=versions, number=b.number)


def _issued(state: HolderState, fact: Fact, b: f.LicenceIssued) -> None:
    issued = b.issued
    versions = tuple(
        replace(v, object_key=issued.object_key) if v.grant.version == issued.version else v
        for v in state.licences[issued.licence_id].versions
    )
    licence = state.licences[issued.licence_id]
    left = tuple(u for u in licence.unissued if u.version != issued.version)
    state.licences[issued.licence_id] = replace(licence, versions=versions, unissued=left)
    for case in _granted_cases(state, issued.licence_id, issued.version):
        line = Happening(fact.time, "issued", issued.number)
        state.cases[case.key] = replace(case, state="issued", history=with_line(state, case.history, line))


def _granted_cases(state: HolderState, licence: str, version: int) -> list[Case]:
    """Return the cases that led to a version and wait for it to be issued.

    A case whose licence was ended and made good by another in the meantime still waits for its own version, since a
    worker may be behind.
    """
    grant = next(v.grant for v in state.licences[licence].versions if v.grant.version == version)
    if version == 1 and any(other.followed_by == licence for other in state.licences.values()):
        return []
    return [
        case
        for case in state.cases.values()
        if case.state == "granted" and case.application_id == grant.application_id
    ]


def _issue_failed(state: HolderState, fact: Fact, b: f.IssueFailed) -> None:
    unissued = (*state.licences[b.licence].unissued, Unissued(b.version, b.due))
    _licence(state, fact, b.licence, "issue-failed", f"v{b.version}", unissued=unissued)
    for case in _granted_cases(state, b.licence, b.version):
        write_line(state, fact, case.key, "", "issue-failed", fallback=case.fallback or b.fallback)


def _certificate_overdue(state: HolderState, fact: Fact, b: f.CertificateOverdue) -> None:
    unissued = tuple(
        replace(u, alarmed=True) if u.version == b.version else u for u in state.licences[b.licence].unissued
    )
    _licence(state, fact, b.licence, "certificate-overdue", f"v{b.version} {b.due}", unissued=unissued)
    for case in _granted_cases(state, b.licence, b.version):
        write_line(state, fact, case.key, f"certificate {b.due}", "overdue")


def _status(state: HolderState, fact: Fact, b: f.LicenceStatusChanged) -> None:
    if b.status not in ("valid", "suspended"):
        _close_checks(state, fact, b.licence)
    licence = state.licences[b.licence]
    decision = b.status if b.status in ("withdrawn", "rescinded", "revoked") else licence.decision
    detail = " ".join(
        part for part in (b.ground, b.legal_basis, b.decided_on, f"→ {b.until}" if b.until else "") if part
    )
    _licence(
        state, fact, b.licence, b.event, detail,
        status=b.status, until=b.until, decision=decision, merged_into=b.merged_into or licence.merged_into,
    )  # fmt: skip


def _close_checks(state: HolderState, fact: Fact, licence: str) -> None:
    """Drop the open checks of a licence that has ended, and name each in its history."""
    for key, check in list(state.checks.items()):
        if check.licence == licence and check.state in ("scheduled", "overdue"):
            del state.checks[key]
            _licence(state, fact, licence, "check.dropped", f"{key} {check.due} ({check.state})")


def _annulled(state: HolderState, fact: Fact, b: f.AnnulmentRecorded) -> None:
    _licence(state, fact, b.licence, "decision.annulled", f"{b.ground} {b.decided_on}", annulled=True)
    state.bars = tuple(bar for bar in state.bars if bar.licence != b.licence)


def _barred(state: HolderState, fact: Fact, b: f.BarImposed) -> None:
    state.bars = (*state.bars, Bar(b.item, b.since, b.until, b.ground, b.licence))


def _scheduled(state: HolderState, fact: Fact, b: f.CheckScheduled) -> None:
    state.checks[b.check] = OnSiteCheck(b.check, b.licence, "post-issuance", b.due, "scheduled")


def _check_overdue(state: HolderState, fact: Fact, b: f.CheckOverdue) -> None:
    state.checks[b.check] = replace(state.checks[b.check], state="overdue")


def _inspected(state: HolderState, fact: Fact, b: f.InspectionTaken) -> None:
    outcome = "passed" if b.passed and not b.commitment_false else "failed"
    key = b.check or b.inspection
    due = state.checks[key].due if key in state.checks else b.inspected_on
    state.checks[key] = OnSiteCheck(key, b.licence, b.kind, due, outcome, b.inspection_id)
    state.inspections = (*state.inspections, b.inspection)
    order = "，责令改正 / order to correct" if b.order_to_correct else ""
    if b.visit and compare(b.visit) != b.inspection:
        state.inspections = (*state.inspections, compare(b.visit))
    if b.licence:
        _licence(
            state, fact, b.licence, "inspection.recorded", f"{b.inspection_id}: {b.result} ({outcome}){order}"
        )


def _published(state: HolderState, fact: Fact, b: f.ResultsPublished) -> None:
    """Change nothing: a publication concerns a draw, and only the event is remembered."""


def _pushed(state: HolderState, fact: Fact, b: f.FilingPushed) -> None:
    key = compare(b.filing.filing_id)
    state.filings[key] = Filing(
        b.filing, b.case, "pushed", b.pushed_on, b.yellow, b.red, answers=b.answers, round=b.round
    )


def _moved(state: HolderState, fact: Fact, b: f.FilingMoved) -> None:
    state.filings[b.filing_id] = replace(state.filings[b.filing_id], state=b.state, reason=b.reason)


def _filing_overdue(state: HolderState, fact: Fact, b: f.FilingOverdue) -> None:
    filing = state.filings[b.filing_id]
    state.filings[b.filing_id] = replace(filing, alarmed=(*filing.alarmed, b.colour))


def _classified(state: HolderState, fact: Fact, b: f.ClassRecorded) -> None:
    state.credit_class = b.credit_class
    state.display = state.display or b.display


def _event_refused(state: HolderState, fact: Fact, b: f.EventRefused) -> None:
    state.refused = (*state.refused, Refusal(fact.time, b.event, b.reasons, b.source))
    state.display = state.display or b.display
    line = Happening(fact.time, f"refused:{b.event}", text_of(b.reasons))
    if b.licence in state.licences:
        licence = state.licences[b.licence]
        state.licences[b.licence] = replace(licence, history=with_line(state, licence.history, line))
    if b.case in state.cases:
        case = state.cases[b.case]
        state.cases[b.case] = replace(case, history=with_line(state, case.history, line))


def _repeated(state: HolderState, fact: Fact, b: f.EventRepeated) -> None:
    """Change nothing: of an application that came again only the event is remembered."""


def _waits(state: HolderState, fact: Fact, b: f.EventWaits) -> None:
    state.waiting = (*state.waiting, b.entry)


def _asked(state: HolderState, fact: Fact, b: f.NumberAsked) -> None:
    state.asked = b.number


def _released(state: HolderState, fact: Fact, b: f.EventReleased) -> None:
    state.waiting, state.asked = state.waiting[1:], ""


def _clock_corrected(state: HolderState, fact: Fact, b: f.ClockCorrected) -> None:
    taken_back = due_after(state, b.to)
    for one in reversed(taken_back):
        restore(state, one)
        if one.licence is not None:
            _licence(state, fact, one.licence.key, fact.type, b.reason)
        if one.case is not None:
            write_line(state, fact, one.case.key, b.reason)
    state.undo = state.undo[: len(state.undo) - len(taken_back)]
    state.upto = taken_back[0].upto if taken_back else state.upto
    state.corrected += 1


_HANDLERS: dict[type, Callable[[HolderState, Fact, Any], None]] = {
    **evolve_cases.HANDLERS,
    f.LicenceGranted: _granted,
    f.ImportRecorded: _imported,
    f.LicenceNumbered: _numbered,
    f.LicenceIssued: _issued,
    f.IssueFailed: _issue_failed,
    f.CertificateOverdue: _certificate_overdue,
    f.LicenceStatusChanged: _status,
    f.AnnulmentRecorded: _annulled,
    f.BarImposed: _barred,
    f.CheckScheduled: _scheduled,
    f.CheckOverdue: _check_overdue,
    f.InspectionTaken: _inspected,
    f.ResultsPublished: _published,
    f.FilingPushed: _pushed,
    f.FilingMoved: _moved,
    f.FilingOverdue: _filing_overdue,
    f.ClassRecorded: _classified,
    f.EventRefused: _event_refused,
    f.EventRepeated: _repeated,
    f.EventWaits: _waits,
    f.NumberAsked: _asked,
    f.EventReleased: _released,
    f.ClockCorrected: _clock_corrected,
}
