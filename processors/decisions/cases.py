"""Events of an open case: supplements, withdrawal, review, stops of the clock.

Limits in working days, and the time that does not count towards them (行政许可法 art 45).
"""

from __future__ import annotations

from datetime import date
from typing import Any

from msgspec.structs import replace

from processors.context import DecisionContext, for_case
from processors.decisions import grants, intake, normalise, orders, reasons, registrations
from processors.state import Case
from schemas import facts as f
from schemas.authorities import competent_for_review, issuing_authority
from schemas.calendar import add_with_stops
from schemas.event_types import ApplicationReviewed, ApplicationWithdrawn, ClockChanged, MaterialsSupplied
from schemas.facts import ApplicantSeen
from schemas.identifiers import compare
from schemas.item_types import ServiceItem
from schemas.licence import Authority


def _open_case(context: DecisionContext, application_id: str) -> tuple[Case, ServiceItem] | None:
    """Return the open case of an event; refuse the event and return None where there is none."""
    case = context.case(application_id)
    if case is None:
        key = compare(application_id)
        if (closed := context.state.closed.get(key)) is not None:
            context.refuse_event(reasons.not_open(closed.state), case=key)
        else:
            context.refuse_event(reasons.unknown_case(application_id))
        return None
    item = context.item(case.item)
    if not case.open or item is None:
        context.refuse_event(
            reasons.not_open("granted" if case.state == "issued" else case.state), case=case.key
        )
        return None
    return case, item


def _at_window(context: DecisionContext, case: Case, item: ServiceItem) -> bool:
    """Tell whether the source may act for the applicant of this case; refuse the event where not."""
    if for_case(context, context.source, case, item):
        return True
    context.refuse_event(reasons.not_competent(context.source), case=case.key)
    return False


def supplied(context: DecisionContext, data: MaterialsSupplied, payload: dict[str, Any]) -> None:
    """Take something of what was missing. Parts shorten the list; nothing is ever added to it."""
    found = _open_case(context, data.application_id)
    if found is None:
        return
    case, item = found
    applicant = _completed(case, data, payload)
    if not _at_window(context, replace(case, applicant=applicant), item):
        return
    if not case.missing and not case.deferred:
        context.refuse_event(reasons.nothing_missing(), case=case.key)
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
        answers=answers, conflicts=conflicts, unprintable=_unprintable(case, data, payload),
    )  # fmt: skip
    grounds = [*intake.late_grounds(context, item, case, trial), *registrations.vanished(context, case)]
    if grounds:
        context.write(f.CaseRefused(case.key, tuple(grounds)))
        return
    missing_of = registrations.missing_of if item.mode == "consolidated" else intake.missing_of
    still, _ = missing_of(context, trial, item, case.deferred)
    missing = tuple(name for name in case.missing if name in still)
    here = intake.here_of(context, trial, item)
    deferred = {kind: day for kind, day in case.deferred.items() if kind not in here}
    context.write(
        f.MaterialsTaken(
            case.key,
            applicant,
            goods,
            trial.materials,
            missing,
            deferred,
            answers,
            conflicts,
            changed,
            trial.unprintable,
        )
    )
    now = context.state.cases[case.key]
    if case.state == "correction-requested" and not missing:
        grants.accept(context, now, item, deferred)
    elif case.state == "accepted" and not deferred:
        context.write(f.CaseCompleted(case.key, *grants.limits(context, item, now.stopped)))
        grants.grant_if_ready(context, context.state.cases[case.key], item)


def _unprintable(case: Case, data: MaterialsSupplied, payload: dict[str, Any]) -> dict[str, str]:
    """Return what still has a character that no font has, once the parts that were asked for have come."""
    came = {f"applicant.{name}" for name in ("name", "address") if getattr(data.applicant, name, None)}
    came |= {"products"} if data.products else set()
    came |= {f"fields.{name}" for name in data.shared or {}}
    came &= set(case.missing)
    left = {name: text for name, text in case.unprintable.items() if name not in came}
    return left | {name: text for name, text in normalise.unprintable(payload).items() if name in came}


def _completed(case: Case, data: MaterialsSupplied, payload: dict[str, Any]) -> ApplicantSeen:
    """Return the applicant with the parts that were missing and have come."""
    if data.applicant is None:
        return case.applicant
    parts = {
        part: normalise.division(getattr(data.applicant, part))
        if part == "division"
        else (getattr(data.applicant, part) or "").strip()
        for part in ("name", "address", "division")
        if f"applicant.{part}" in case.missing
    }
    folds = {**case.applicant.folds, **normalise.folds(payload)}
    return replace(case.applicant, folds=folds, **{key: value for key, value in parts.items() if value})


def withdrawn(context: DecisionContext, data: ApplicationWithdrawn) -> None:
    """Withdraw an application for its applicant."""
    found = _open_case(context, data.application_id)
    if found and _at_window(context, *found):
        context.write(f.CaseWithdrawn(found[0].key, data.reason or ""))


def reviewed(context: DecisionContext, data: ApplicationReviewed) -> None:
    """Record a department's review; the first rejection refuses the case."""
    found = _under_review(context, data.application_id, data.department)
    if found is None:
        return
    case, item = found
    if data.decision == "approve" and data.department in case.approvals:
        context.refuse_event(reasons.reviewed_already(data.department), case=case.key)
        return
    false_material = data.decision == "reject" and bool(data.false_material)
    grounds = data.grounds or ""
    context.write(
        f.CaseReviewed(case.key, data.department, data.officer, data.decision, grounds, false_material)
    )
    if data.decision == "approve":
        grants.grant_if_ready(context, context.state.cases[case.key], item)
        return
    context.write(f.CaseRefused(case.key, (reasons.rejected(data.department, grounds),)))
    if false_material:
        orders.bar(
            context, case.item, context.event_day, orders.FALSE_MATERIAL_YEARS, reasons.false_material()
        )


def _under_review(
    context: DecisionContext, application_id: str, department: str | None
) -> tuple[Case, ServiceItem] | None:
    """Return the case that a department of the item may act on; refuse the event and return None where there is none."""
    found = _open_case(context, application_id)
    if found is None:
        return None
    case, item = found
    grounds = []
    issuer = _issuer(context, case, item)
    named = department or context.source.rsplit(":", 1)[-1]
    if issuer is None or not competent_for_review(context.source, named, item, issuer):
        grounds.append(reasons.not_competent(context.source))
    if item.mode != "review" or case.action in ("reissue", "surrender"):
        grounds.append(reasons.not_reviewed())
    elif case.state != "accepted":
        grounds.append(reasons.not_complete())
    if grounds:
        context.refuse_event(*grounds, case=case.key)
        return None
    return found


def _issuer(context: DecisionContext, case: Case, item: ServiceItem) -> Authority | None:
    if case.targets:
        return context.state.licences[case.targets[0]].now.authority
    return issuing_authority(item, case.applicant.division)


def clock_stopped(context: DecisionContext, data: ClockChanged) -> None:
    """Stop the clock for a hearing, testing or expert review: the days from tomorrow do not count."""
    found = _under_review(context, data.application_id, None)
    if found is None:
        return
    if data.cause in found[0].clocks:
        context.refuse_event(reasons.clock_stopped(), case=found[0].key)
        return
    context.write(f.ClockStopped(found[0].key, data.cause, context.day))


def clock_resumed(context: DecisionContext, data: ClockChanged) -> None:
    """Resume the clock: today does not count, tomorrow does."""
    found = _under_review(context, data.application_id, None)
    if found is None:
        return
    case, item = found
    since = case.clocks.get(data.cause)
    if since is None:
        context.refuse_event(reasons.clock_runs(), case=case.key)
        return
    stops = (*case.stopped, (since, context.day))
    today = context.day
    if not case.complete_on:  # a late material is still to come: no limit runs yet
        context.write(f.ClockResumed(case.key, data.cause, today))
        return
    complete_on = date.fromisoformat(case.complete_on)
    promised = add_with_stops(complete_on, item.limits.promised, stops)
    statutory = add_with_stops(complete_on, item.limits.statutory, stops)
    fallback = promised.fallback or statutory.fallback
    context.write(
        f.ClockResumed(
            case.key, data.cause, today, promised.on.isoformat(), statutory.on.isoformat(), fallback
        )
    )
