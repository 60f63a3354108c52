"""Corrections of the clock: what fell due after a moment is taken back, while nothing was decided on it.

A state keeps, for everything that fell due since its last event, the parts as they were before (`Undo`). An event that
has an effect forgets them: it was decided on what had fallen due. A version granted by itself is final, because its
number is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from processors.state import HolderState, Licence, Undo
from schemas import facts as f
from schemas.facts import Fact

DUE = "due:"  # begins the cause of everything that falls due by itself
_FINAL = (f.LicenceGranted, f.CaseGranted)


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
        state.cases[undo.case.key] = replace(undo.case, history=state.cases[undo.case.key].history)
    state.checks |= {check.key: check for check in undo.checks}
    state.filings |= undo.filings


def after(state: HolderState, moment: str) -> Sequence[Undo]:
    """Return what fell due after a moment, with nothing decided on it since."""
    return tuple(one for one in state.undo if one.moment > moment)


def is_correctable(state: HolderState, moment: str) -> bool:
    """Tell whether something fell due after a moment, and all of it can be taken back."""
    taken_back = after(state, moment)
    return bool(taken_back) and not any(one.final for one in taken_back)


def irrevocable(state: HolderState, moment: str) -> list[str]:
    """Return what happened to a holder after a moment and cannot be taken back, in words."""
    taken_back = after(state, moment)
    name = state.display or state.holder
    found = [f"{name}: 视为准予延续 / deemed renewed, {one.moment}" for one in taken_back if one.final]
    left = taken_back[0].upto if taken_back else state.upto
    if left > moment:
        found.append(f"{name}: 其后已有决定 / something was decided as of {left}")
    return found
