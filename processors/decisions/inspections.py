"""Inspections: the check after the grant (后置现场核查), random ones, complaints; and what a failed one leads to.

A visit that a draw ordered (双随机抽查) is made by the inspectors drawn, whatever its target holds here. `route` writes
into the entry what the draw's papers say, so that the same entry is decided alike everywhere.
"""

from __future__ import annotations

from typing import Any

from processors.context import DecisionContext
from processors.decisions import orders, reasons
from processors.state import Licence
from schemas import facts as f
from schemas.authorities import competent_in_division, source_of
from schemas.event_types import InspectionRecorded, InspectionsPublished
from schemas.facts import Reason
from schemas.identifiers import compare

MIN_INSPECTORS = 2


def recorded(context: DecisionContext, data: InspectionRecorded, sent: dict[str, Any]) -> None:
    """Record an inspection; a false commitment or a failed check of a commitment item ends the licence."""
    drawn = sent.get("drawn", {})
    if data.licence_number is None and data.granted_by is None:
        _recorded_of_target(context, data, drawn)
        return
    licence = context.licence_named(data.licence_number, data.granted_by)
    if licence is None:
        context.refuse_event(reasons.not_the_holders(data.licence_number or data.granted_by or ""))
        return
    grounds = _grounds(context, licence, data) + _of_draw(context, data, drawn, licence)
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
        _taken(data, drawn, licence.key, check=check, order_to_correct=not ends and not data.passed)
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


def published(context: DecisionContext, data: InspectionsPublished, sent: dict[str, Any]) -> None:
    """Record that the draw's authority published results; the day is the event's, so that nobody dates it back."""
    drawn = sent.get("drawn", {})
    day = context.event_day
    if not drawn:
        context.refuse_event(reasons.unknown_draw(data.draw))
    elif context.source != drawn["authority"]:
        context.refuse_event(reasons.not_competent(context.source))
    elif data.published_on != day:
        context.refuse_event(reasons.other_day(day.isoformat()))
    else:
        context.write(f.ResultsPublished(data.draw, data.digest, day.isoformat(), data.count or 0))


def _recorded_of_target(context: DecisionContext, data: InspectionRecorded, drawn: dict[str, Any]) -> None:
    """Record the visit of a target that holds no licence here: it leads to nothing but its result."""
    grounds = _of_draw(context, data, drawn, None)
    if drawn and not _may_record(context.source, drawn):
        grounds.append(reasons.not_competent(context.source))
    grounds += _of_record(context, data)
    if grounds:
        context.refuse_event(*grounds)
    else:
        context.write(_taken(data, drawn, "", order_to_correct=not data.passed))


def _taken(
    data: InspectionRecorded, drawn: dict[str, Any], licence: str, *, check: str = "", order_to_correct: bool
) -> f.InspectionTaken:
    known: dict[str, str] = drawn.get("inspectors", {})
    return f.InspectionTaken(
        inspection=compare(data.inspection_id),
        inspection_id=data.inspection_id,
        kind=data.kind,
        licence=licence,
        inspectors=tuple(i.id for i in data.inspectors),
        inspected_on=data.inspected_on.isoformat(),
        result=data.result,
        passed=data.passed,
        commitment_false=data.commitment_false,
        findings=data.findings or "",
        check=check,
        order_to_correct=order_to_correct,
        draw=data.draw or "",
        target="" if licence else data.target or "",
        visit=drawn.get("visit", ""),
        departments=tuple(known.get(compare(i.id)) or i.department for i in data.inspectors) if drawn else (),
    )


def _of_draw(
    context: DecisionContext, data: InspectionRecorded, drawn: dict[str, Any], licence: Licence | None
) -> list[Reason]:
    """Return what speaks against the record of a drawn visit: no such draw, another target, other inspectors."""
    if data.draw is None:
        return []
    if not drawn:
        return [reasons.unknown_draw(data.draw)]
    named = data.target or data.licence_number or ""
    own = (licence.number, context.state.holder) if licence else (named,)
    if not drawn.get("visit") or compare(drawn["target"]) not in map(compare, own):
        return [reasons.not_drawn(named)]
    grounds = [reasons.not_sent(i.id) for i in data.inspectors if compare(i.id) not in drawn["inspectors"]]
    if compare(drawn["visit"]) in context.state.inspections:
        grounds.append(reasons.known_inspection(drawn["visit"]))
    return grounds


def _may_record(source: str, drawn: dict[str, Any]) -> bool:
    """Return True for a department of the draw, in the authority's division or below it."""
    agency, authority = source_of(source), source_of(drawn["authority"])
    return (
        agency is not None
        and authority is not None
        and agency.department in drawn["departments"]
        and authority.division in (agency.division, agency.division[:4] + "00", agency.division[:2] + "0000")
    )


def _grounds(context: DecisionContext, licence: Licence, data: InspectionRecorded) -> list[Reason]:
    grounds = []
    item = context.item(licence.item)
    departments = item.deciding if item else (licence.now.authority.department,)
    if not any(competent_in_division(context.source, d, licence.now.division) for d in departments):
        grounds.append(reasons.not_competent(context.source))
    return grounds + _of_record(context, data)


def _of_record(context: DecisionContext, data: InspectionRecorded) -> list[Reason]:
    grounds = []
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
