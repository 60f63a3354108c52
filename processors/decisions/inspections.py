"""Inspections: the check after the grant (后置现场核查), random ones, complaints; and what a failed one leads to."""

from __future__ import annotations

from processors.context import DecisionContext
from processors.decisions import orders, reasons
from processors.state import Licence
from schemas import facts as f
from schemas.authorities import competent_in_division
from schemas.event_types import InspectionRecorded
from schemas.facts import Reason
from schemas.identifiers import compare

MIN_INSPECTORS = 2


def recorded(context: DecisionContext, data: InspectionRecorded) -> None:
    """Record an inspection; a false commitment or a failed check of a commitment item ends the licence."""
    licence = context.licence_named(data.licence_number, data.granted_by)
    if licence is None:
        context.refuse_event(reasons.not_the_holders(data.licence_number or data.granted_by or ""))
        return
    grounds = _grounds(context, licence, data)
    if grounds:
        context.refuse_event(*grounds, licence=licence.key)
        return
    item = context.item(licence.item)
    commitment = item is not None and item.mode == "commitment"
    ends = (
        licence.living
        and commitment
        and (data.commitment_false or (data.kind == "post-issuance" and not data.passed))
    )
    check = _settled(context, licence) if data.kind == "post-issuance" else ""
    context.write(
        f.InspectionTaken(
            inspection=compare(data.inspection_id),
            inspection_id=data.inspection_id,
            kind=data.kind,
            licence=licence.key,
            inspectors=tuple(i.id for i in data.inspectors),
            inspected_on=data.inspected_on.isoformat(),
            result=data.result,
            passed=data.passed,
            commitment_false=data.commitment_false,
            findings=data.findings or "",
            check=check,
            order_to_correct=not ends and not data.passed,
        )
    )
    if ends:
        ground = f"后置核查不合格或承诺不实：{data.result} / failed check or false commitment"
        orders.end(
            context,
            context.state.licences[licence.key],
            "rescinded",
            "inspection.recorded",
            ground,
            decided_on=context.event_day.isoformat(),
            deceit=data.commitment_false,
        )


def _grounds(context: DecisionContext, licence: Licence, data: InspectionRecorded) -> list[Reason]:
    grounds = []
    item = context.item(licence.item)
    departments = item.deciding if item else (licence.now.authority.department,)
    if not any(competent_in_division(context.source, d, licence.now.division) for d in departments):
        grounds.append(reasons.not_competent(context.source))
    if len({compare(i.id) for i in data.inspectors}) < MIN_INSPECTORS:
        grounds.append(reasons.too_few_inspectors())
    if compare(data.inspection_id) in context.state.inspections:
        grounds.append(reasons.known_inspection(data.inspection_id))
    return grounds


def _settled(context: DecisionContext, licence: Licence) -> str:
    """Return the scheduled check that an inspection settles: the earliest that is open."""
    waiting = [
        c
        for c in context.state.checks.values()
        if c.licence == licence.key and c.state in ("scheduled", "overdue")
    ]
    return min(waiting, key=lambda c: (c.due, c.key)).key if waiting else ""
