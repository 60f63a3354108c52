"""The handlers of `evolve` for facts of cases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from processors.kept import with_line
from processors.state import Case, Happening, HolderState
from schemas import facts as f
from schemas.facts import Fact, Reason


def text_of(reasons: tuple[Reason, ...]) -> str:
    """Return reasons as a history shows them."""
    return "；".join(map(str, reasons))


def write_line(
    state: HolderState, fact: Fact, key: str, detail: str = "", event: str = "", /, **new: Any
) -> None:
    """Add a line to a case\'s history and replace what is new; the event is the fact\'s type unless given."""
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
