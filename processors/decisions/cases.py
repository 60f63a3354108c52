"""What happens to an open case: supplements, withdrawal, review, stops of the clock.

Limits in working days, and the time that does not count towards them (行政许可法 art 45).
"""

from __future__ import annotations

from datetime import date
from typing import Any

from msgspec.structs import replace

from processors.context import DecisionContext
from processors.decisions import grants, intake, lifecycle, normalise, orders, reasons, registrations
from processors.state import Case
from schemas import facts as f
from schemas.authorities import competent_for_application, competent_for_review, find, issuing_authority
from schemas.calendar import add_with_stops
from schemas.event_types import ApplicationReviewed, ApplicationWithdrawn, ClockChanged, MaterialsSupplied
from schemas.facts import ApplicantSeen
from schemas.item_types import ServiceItem
from schemas.licence import Authority


def _open_case(desk: DecisionContext, application_id: str) -> tuple[Case, ServiceItem] | None:
    """The open case of an event; refuses the event and gives None where there is none."""
    case = desk.case(application_id)
    if case is None:
        desk.refuse_event(reasons.unknown_case(application_id))
        return None
    item = desk.item(case.item)
    if not case.open or item is None:
        desk.refuse_event(
            reasons.not_open("granted" if case.state == "issued" else case.state), case=case.key
        )
        return None
    return case, item


def _window(desk: DecisionContext, case: Case, item: ServiceItem, division: str) -> bool:
    """Whether the source may take in papers for this case; refuses the event where not."""
    own = desk.source.split(":")[2]
    if competent_for_application(desk.source, item, division if find(division) else own):
        return True
    desk.refuse_event(reasons.not_competent(desk.source), case=case.key)
    return False


def supplied(desk: DecisionContext, data: MaterialsSupplied, payload: dict[str, Any]) -> None:
    """Something of what was missing comes. Parts shorten the list; nothing is ever added to it."""
    found = _open_case(desk, data.application_id)
    if found is None:
        return
    case, item = found
    applicant = _completed(case, data)
    if not _window(desk, case, item, applicant.division):
        return
    if not case.missing and not case.deferred:
        desk.refuse_event(reasons.nothing_missing(), case=case.key)
        return
    wanted = {*case.missing, *case.deferred}
    came = tuple(m for m in normalise.materials_seen(data.materials, payload) if m.kind in wanted)
    goods = (
        normalise.products(data.products) if data.products and "products" in case.missing else case.products
    )
    changed = case.change
    if changed and changed.products is not None and goods is not case.products:
        changed, goods = replace(changed, products=goods), case.products
    answers, conflicts = registrations.answered(case, data.shared or {})
    trial = replace(
        case, applicant=applicant, products=goods, change=changed, materials=(*case.materials, *came),
        answers=answers, conflicts=conflicts,
    )  # fmt: skip
    grounds = [*intake.late_grounds(item, case, trial), *registrations.vanished(desk, case)]
    if grounds:
        desk.write(f.CaseRefused(case.key, tuple(grounds)))
        return
    missing_of = registrations.missing_of if item.mode == "consolidated" else intake.missing_of
    still, _ = missing_of(desk, trial, item, case.deferred)
    missing = tuple(name for name in case.missing if name in still)
    here = intake.here_of(trial, item)
    deferred = {kind: day for kind, day in case.deferred.items() if kind not in here}
    desk.write(
        f.MaterialsTaken(
            case.key, applicant, goods, trial.materials, missing, deferred, answers, conflicts, changed
        )
    )
    now = desk.state.cases[case.key]
    if case.state == "correction-requested" and not missing:
        grants.accept(desk, now, item, deferred)
    elif case.state == "accepted" and not deferred:
        desk.write(f.CaseCompleted(case.key, *grants.limits(desk, item, now.stopped)))
        grants.grant_if_ready(desk, desk.state.cases[case.key], item)


def _completed(case: Case, data: MaterialsSupplied) -> ApplicantSeen:
    """The applicant with the parts that were missing and have come."""
    if data.applicant is None:
        return case.applicant
    parts = {
        part: (getattr(data.applicant, part) or "").strip()
        for part in ("name", "address", "division")
        if f"applicant.{part}" in case.missing
    }
    return replace(case.applicant, **{key: value for key, value in parts.items() if value})


def withdrawn(desk: DecisionContext, data: ApplicationWithdrawn) -> None:
    """The applicant takes the application back."""
    found = _open_case(desk, data.application_id)
    if found and _window(desk, found[0], found[1], found[0].applicant.division):
        desk.write(f.CaseWithdrawn(found[0].key, data.reason or ""))


def reviewed(desk: DecisionContext, data: ApplicationReviewed) -> None:
    """A department approves or rejects; the first rejection refuses."""
    found = _under_review(desk, data.application_id, data.department)
    if found is None:
        return
    case, item = found
    if data.decision == "approve" and data.department in case.approvals:
        desk.refuse_event(reasons.reviewed_already(data.department), case=case.key)
        return
    false_material = data.decision == "reject" and bool(data.false_material)
    grounds = data.grounds or ""
    desk.write(
        f.CaseReviewed(case.key, data.department, data.officer, data.decision, grounds, false_material)
    )
    if data.decision == "approve":
        grants.grant_if_ready(desk, desk.state.cases[case.key], item)
        return
    desk.write(f.CaseRefused(case.key, (reasons.rejected(data.department, grounds),)))
    if false_material:
        orders.bar(desk, case.item, desk.event_day, lifecycle.FALSE_MATERIAL_YEARS, reasons.false_material())


def _under_review(
    desk: DecisionContext, application_id: str, department: str | None
) -> tuple[Case, ServiceItem] | None:
    """The case that a department of the item may act on; refuses the event and gives None where not."""
    found = _open_case(desk, application_id)
    if found is None:
        return None
    case, item = found
    grounds = []
    issuer = _issuer(desk, case, item)
    named = department or desk.source.rsplit(":", 1)[-1]
    if issuer is None or not competent_for_review(desk.source, named, item, issuer):
        grounds.append(reasons.not_competent(desk.source))
    if item.mode != "review" or case.action in ("reissue", "surrender"):
        grounds.append(reasons.not_reviewed())
    elif case.state != "accepted":
        grounds.append(reasons.not_complete())
    if grounds:
        desk.refuse_event(*grounds, case=case.key)
        return None
    return found


def _issuer(desk: DecisionContext, case: Case, item: ServiceItem) -> Authority | None:
    if case.targets:
        return desk.state.licences[case.targets[0]].now.authority
    return issuing_authority(item, case.applicant.division)


def clock_stopped(desk: DecisionContext, data: ClockChanged) -> None:
    """Hearing, testing or expert review begins: the days from tomorrow do not count."""
    found = _under_review(desk, data.application_id, None)
    if found is None:
        return
    if data.cause in found[0].clocks:
        desk.refuse_event(reasons.clock_stopped(), case=found[0].key)
        return
    desk.write(f.ClockStopped(found[0].key, data.cause, desk.day))


def clock_resumed(desk: DecisionContext, data: ClockChanged) -> None:
    """It ends: today does not count, tomorrow does."""
    found = _under_review(desk, data.application_id, None)
    if found is None:
        return
    case, item = found
    since = case.clocks.get(data.cause)
    if since is None:
        desk.refuse_event(reasons.clock_runs(), case=case.key)
        return
    stops = (*case.stopped, (since, desk.day))
    today = desk.day
    if not case.complete_on:  # a late material is still to come: no limit runs yet
        desk.write(f.ClockResumed(case.key, data.cause, today))
        return
    complete_on = date.fromisoformat(case.complete_on)
    promised = add_with_stops(complete_on, item.limits.promised, stops)
    statutory = add_with_stops(complete_on, item.limits.statutory, stops)
    fallback = promised.fallback or statutory.fallback
    desk.write(
        f.ClockResumed(
            case.key, data.cause, today, promised.on.isoformat(), statutory.on.isoformat(), fallback
        )
    )
