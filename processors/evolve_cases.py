"""The handlers of `evolve` for facts of cases, and the rules on what a state keeps of the past.

A state keeps a bounded part of the past, which is enough for decisions. All of it lies in facts; queries fold them where
`pruned` says that a state does not have everything.

A corrected clock takes back what fell due after a moment, while nothing was decided on it. For that a state keeps, for
everything that fell due since its last event, the parts as they were before (`Undo`). An event with an effect drops them,
since it was decided on what had fallen due. A version granted by itself is final, because its number is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from processors.state import (
    MOST_CHECKS,
    MOST_CLOSED,
    MOST_FOLDS,
    MOST_INSPECTIONS,
    MOST_KNOWN,
    MOST_LINES,
    MOST_REFUSALS,
    MOST_SEEN,
    MOST_SEEN_REFUSED,
    Case,
    ClosedCase,
    Happening,
    HolderState,
    Licence,
    Undo,
)
from schemas import facts as f
from schemas.facts import Fact, Reason

DUE = "due:"  # begins the cause of everything that falls due by itself
CONTENT_LENGTH = 16  # characters of the digest of a closed case's content
_ENDED = ("refused", "withdrawn", "lapsed")
_DONE = ("passed", "failed")
_REFUSED = "refused:"
_FINAL = (f.LicenceGranted, f.CaseGranted)


def trim(state: HolderState) -> None:
    """Leave out of a state whatever is more than it keeps; a whole one keeps everything."""
    if state.whole:
        return
    if len(state.cases) > MOST_CLOSED:
        _close_cases(state)
    if len(state.checks) > MOST_CHECKS:
        _drop_checks(state)
    if len(state.refused) > MOST_REFUSALS:
        state.refused, state.pruned = state.refused[-MOST_REFUSALS:], True
    if len(state.inspections) > MOST_INSPECTIONS:
        state.inspections = state.inspections[-MOST_INSPECTIONS:]
    if len(state.folds) > MOST_FOLDS:
        _drop_folds(state)


def _close_cases(state: HolderState) -> None:
    ended = [case for case in state.cases.values() if case.state in _ENDED]
    for case in sorted(ended, key=lambda one: one.closed_at)[: max(0, len(ended) - MOST_CLOSED)]:
        spelt = case.application_id if case.application_id != case.key else ""
        state.closed[case.key] = ClosedCase(case.content[:CONTENT_LENGTH], case.state, spelt)
        del state.cases[case.key]
        state.pruned = True
    while len(state.closed) > MOST_KNOWN:
        del state.closed[next(iter(state.closed))]


def _drop_checks(state: HolderState) -> None:
    done = [check for check in state.checks.values() if check.state in _DONE]
    for check in sorted(done, key=lambda one: one.due)[: max(0, len(done) - MOST_CHECKS)]:
        del state.checks[check.key]
        state.pruned = True


def _drop_folds(state: HolderState) -> None:
    """Drop the oldest folded forms, but none of a name or address on record."""
    used = {state.name, state.address}
    used |= {text for x in state.licences.values() for text in (x.now.holder_name, x.now.address)}
    used |= {text for c in state.cases.values() for text in (c.applicant.name, c.applicant.address)}
    spare = [text for text in state.folds if text not in used]
    dropped = set(spare[: len(state.folds) - MOST_FOLDS])
    state.folds = {text: folded for text, folded in state.folds.items() if text not in dropped}


def remember(state: HolderState, key: str, content: str, *, refused: bool) -> None:
    """Remember an event by the key of its id, with its content; refused ones are remembered apart."""
    if not refused:
        state.seen[key] = content
    elif key not in state.seen:
        state.seen_refused[key] = content
    for known, most in ((state.seen, MOST_SEEN), (state.seen_refused, MOST_SEEN_REFUSED)):
        if len(known) > most:
            del known[next(iter(known))]


def with_line(state: HolderState, history: tuple[Happening, ...], line: Happening) -> tuple[Happening, ...]:
    """Return a history with one more line; of too many refusals, or lines, the oldest but the first goes."""
    if not state.whole:
        refusal = line.event.startswith(_REFUSED)
        refusals = [n for n, one in enumerate(history) if one.event.startswith(_REFUSED)] if refusal else []
        if len(refusals) >= MOST_REFUSALS:
            history, state.pruned = history[: refusals[0]] + history[refusals[0] + 1 :], True
        elif len(history) >= MOST_LINES:
            history, state.pruned = history[:1] + history[2:], True
    return (*history, line)


def undo_of(state: HolderState, fact: Fact) -> Undo:
    """Return the parts of a state that a fact about something due is about to change."""
    body = fact.body
    one = Undo(fact.time, state.upto)
    match body:
        case f.LicenceStatusChanged(licence=key):
            checks = tuple(check for check in state.checks.values() if check.licence == key)
            return replace(one, licence=_bare(state.licences[key]), checks=checks)
        case f.CertificateOverdue(licence=key):
            return replace(one, licence=_bare(state.licences[key]))
        case f.CaseLapsed(case=key) | f.CaseRefused(case=key) | f.CaseOverdue(case=key):
            return replace(one, case=replace(state.cases[key], history=()))
        case f.CheckOverdue(check=key):
            return replace(one, checks=(state.checks[key],))
        case f.FilingOverdue(filing_id=key):
            return replace(one, filings={key: state.filings[key]})
    return replace(one, final=isinstance(body, _FINAL))


def _bare(licence: Licence) -> Licence:
    return replace(licence, versions=(), history=())


def restore(state: HolderState, undo: Undo) -> None:
    """Put the parts of a state back as they were; histories keep their lines."""
    if undo.licence is not None:
        before, now = undo.licence, state.licences[undo.licence.key]
        state.licences[before.key] = replace(before, versions=now.versions, history=now.history)
    if undo.case is not None:
        ended = state.cases.get(undo.case.key)
        history = ended.history if ended else ()
        state.cases[undo.case.key] = replace(undo.case, history=history)
        state.closed.pop(undo.case.key, None)
    state.checks |= {check.key: check for check in undo.checks}
    state.filings |= undo.filings


def due_after(state: HolderState, moment: str) -> Sequence[Undo]:
    """Return what fell due after a moment, with nothing decided on it since."""
    return tuple(one for one in state.undo if one.moment > moment)


def is_correctable(state: HolderState, moment: str) -> bool:
    """Tell whether something fell due after a moment, and all of it can be taken back."""
    taken_back = due_after(state, moment)
    return bool(taken_back) and not any(one.final for one in taken_back)


def irrevocable(state: HolderState, moment: str) -> list[str]:
    """Return what happened to a holder after a moment and cannot be taken back, in words."""
    taken_back = due_after(state, moment)
    name = state.display or state.holder
    found = [f"{name}: 视为准予延续 / deemed renewed, {one.moment}" for one in taken_back if one.final]
    left = taken_back[0].upto if taken_back else state.upto
    if left > moment:
        found.append(f"{name}: 其后已有决定 / something was decided as of {left}")
    return found


def text_of(reasons: tuple[Reason, ...]) -> str:
    """Return reasons as a history shows them."""
    return "；".join(map(str, reasons))


def write_line(
    state: HolderState, fact: Fact, key: str, detail: str = "", event: str = "", /, **new: Any
) -> None:
    """Add a line to a case's history and replace what is new; the event is the fact\'s type unless given."""
    case = state.cases[key]
    line = Happening(fact.time, event or fact.type.removeprefix("case."), detail)
    state.cases[key] = replace(case, history=with_line(state, case.history, line), **new)


def _opened(state: HolderState, fact: Fact, b: f.CaseOpened) -> None:
    line = Happening(fact.time, "submitted", f"{b.source} ({b.auth})")
    state.cases[b.case] = Case(
        key=b.case, application_id=b.application_id, content=b.content, item=b.item, action=b.action,
        state="correction-requested", applicant=b.applicant, filed_on=b.filed_on, source=b.source, auth=b.auth,
        window=b.window, channel=b.channel, targets=b.targets, products=b.products, materials=b.materials,
        change=b.change, chosen=b.chosen, answers=b.answers, conflicts=b.conflicts, unprintable=b.unprintable,
        history=(line,),
    )  # fmt: skip
    state.display = state.display or b.applicant.display
    keep_folds(state, b.applicant.folds, b.change.folds if b.change else {})
    if not state.licences and not state.name:  # an applicant's own words are shown until something is decided
        state.kind, state.name, state.address = b.applicant.kind, b.applicant.name, b.applicant.address


def keep_folds(state: HolderState, *folds: dict[str, str]) -> None:
    """Remember the folded forms of a person's sealed texts, for comparisons with later ones."""
    for one in folds:
        if one:
            state.folds = {**state.folds, **one}


def _refused(state: HolderState, fact: Fact, b: f.CaseRefused) -> None:
    write_line(
        state, fact, b.case, text_of(b.reasons),
        state="refused", reasons=b.reasons, closed_at=fact.time, products=(), change=None, answers={},
    )  # fmt: skip


def _correction(state: HolderState, fact: Fact, b: f.CorrectionRequested) -> None:
    detail = ", ".join(b.missing) + (f"；{text_of(b.reasons)}" if b.reasons else "")
    write_line(
        state, fact, b.case, detail,
        missing=b.missing, correction=b.due, fallback=b.fallback, reasons=b.reasons, deferred=b.deferred,
    )  # fmt: skip


def _supplied(state: HolderState, fact: Fact, b: f.MaterialsTaken) -> None:
    detail = f"仍缺 / still missing: {', '.join(b.missing)}" if b.missing else "齐全 / complete"
    write_line(
        state, fact, b.case, detail,
        applicant=b.applicant, products=b.products, materials=b.materials, missing=b.missing,
        deferred=b.deferred, answers=b.answers, conflicts=b.conflicts, change=b.change, unprintable=b.unprintable,
    )  # fmt: skip
    keep_folds(state, b.applicant.folds)


def _accepted(state: HolderState, fact: Fact, b: f.CaseAccepted) -> None:
    detail = "；".join(
        [
            *(f"容缺 / deferred: {kind} ≤ {day}" for kind, day in b.deferred.items()),
            *(
                ["节假日尚未公布，按周一至周五计 / past the published holidays weekdays count"]
                if b.fallback
                else []
            ),
        ]
    )
    fallback = state.cases[b.case].fallback or b.fallback
    write_line(
        state, fact, b.case, detail,
        state="accepted", complete_on=b.complete_on, promised=b.promised, statutory=b.statutory,
        deferred=b.deferred, missing=(), reasons=(), fallback=fallback,
    )  # fmt: skip
    if not state.licences:  # an accepted application says who the holder is until a licence does
        applicant = state.cases[b.case].applicant
        state.kind, state.display = applicant.kind, applicant.display
        state.name, state.address, state.division = applicant.name, applicant.address, applicant.division


def _completed(state: HolderState, fact: Fact, b: f.CaseCompleted) -> None:
    fallback = state.cases[b.case].fallback or b.fallback
    write_line(
        state, fact, b.case, "齐全 / complete",
        complete_on=b.complete_on, promised=b.promised, statutory=b.statutory, fallback=fallback,
    )  # fmt: skip


def _stopped(state: HolderState, fact: Fact, b: f.ClockStopped) -> None:
    clocks = {**state.cases[b.case].clocks, b.clock: b.on}
    write_line(state, fact, b.case, b.clock, clocks=clocks)


def _resumed(state: HolderState, fact: Fact, b: f.ClockResumed) -> None:
    case = state.cases[b.case]
    clocks = {cause: since for cause, since in case.clocks.items() if cause != b.clock}
    stop = (case.clocks[b.clock], b.on)
    write_line(
        state, fact, b.case, b.clock,
        clocks=clocks, stopped=(*case.stopped, stop), promised=b.promised, statutory=b.statutory,
        fallback=case.fallback or b.fallback,
    )  # fmt: skip


def _reviewed(state: HolderState, fact: Fact, b: f.CaseReviewed) -> None:
    case = state.cases[b.case]
    approvals = (*case.approvals, b.department) if b.decision == "approve" else case.approvals
    write_line(state, fact, b.case, f"{b.department}: {b.decision} {b.grounds}".strip(), approvals=approvals)


def _case_granted(state: HolderState, fact: Fact, b: f.CaseGranted) -> None:
    detail = "视为准予延续 / deemed renewed" if b.deemed else ""
    write_line(state, fact, b.case, detail, state="granted", licence=b.licence, closed_at=fact.time)


def _withdrawn(state: HolderState, fact: Fact, b: f.CaseWithdrawn) -> None:
    write_line(state, fact, b.case, b.reason, state="withdrawn", closed_at=fact.time)


def _lapsed(state: HolderState, fact: Fact, b: f.CaseLapsed) -> None:
    write_line(
        state, fact, b.case, text_of(b.reasons), state="lapsed", reasons=b.reasons, closed_at=fact.time
    )


def _overdue(state: HolderState, fact: Fact, b: f.CaseOverdue) -> None:
    alarmed = (*state.cases[b.case].alarmed, b.limit)
    write_line(state, fact, b.case, f"{b.limit} {b.due}", alarmed=alarmed)


HANDLERS: dict[type, Callable[[HolderState, Fact, Any], None]] = {
    f.CaseOpened: _opened,
    f.CaseRefused: _refused,
    f.CorrectionRequested: _correction,
    f.MaterialsTaken: _supplied,
    f.CaseAccepted: _accepted,
    f.CaseCompleted: _completed,
    f.ClockStopped: _stopped,
    f.ClockResumed: _resumed,
    f.CaseReviewed: _reviewed,
    f.CaseGranted: _case_granted,
    f.CaseWithdrawn: _withdrawn,
    f.CaseLapsed: _lapsed,
    f.CaseOverdue: _overdue,
}
