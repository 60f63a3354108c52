"""多证合一: one registration, its filings, and what the departments say of them.

Registered particulars (登记事项): what the fields of a consolidated item put on its certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processors.context import DecisionContext
from processors.decisions import grants, intake, normalise, orders, reasons
from processors.state import Case, Filing, Licence
from schemas import facts as f
from schemas.authorities import competent_for_application, competent_in_division, find
from schemas.event_types import FilingEvent, RegistrationSubmitted
from schemas.facts import Reason
from schemas.identifiers import compare
from schemas.item_types import FieldRule, ServiceItem


def consolidated(context: DecisionContext) -> ServiceItem | None:
    """Return the item of the consolidated certificate."""
    return next((i for i in context.catalogue.items.values() if i.mode == "consolidated"), None)


def submitted(context: DecisionContext, data: RegistrationSubmitted, payload: dict[str, Any]) -> None:
    """Take in a registration with its chosen filings."""
    item = consolidated(context)
    key = compare(data.application_id)
    content = normalise.content(payload["data"])
    if intake.repeats(context, key, content):
        return
    code = item.code if item else "business-licence"
    living = context.living_of(code)
    answers, conflicts = _collected(data)
    opened = f.CaseOpened(
        case=key,
        application_id=data.application_id,
        content=content,
        item=code,
        item_digest=context.catalogue.digests.get(code, ""),
        action="new",
        applicant=normalise.applicant_seen(data.applicant, payload),
        filed_on=context.day,
        source=context.source,
        auth=payload.get("auth", "none"),
        window=str(payload["data"].get("window") or ""),
        channel=str(payload["data"].get("channel") or ""),
        targets=(living.key,) if living else (),
        materials=normalise.materials_seen(data.materials, payload),
        chosen=tuple(dict.fromkeys(choice.item for choice in data.items)),
        answers=answers,
        conflicts=conflicts,
        unprintable=normalise.unprintable(payload),
    )
    grounds = _grounds(context, opened, item, payload, [living] if living else [])
    intake.open_case(context, opened, item, grounds)
    if item is not None and not grounds:
        judge(context, context.state.cases[key], item)


def judge(context: DecisionContext, case: Case, item: ServiceItem) -> None:
    """Ask for what is missing, or accept and grant."""
    late = intake.deferred_of(context, case, item)
    missing, why = missing_of(context, case, item, late)
    if missing:
        intake.ask(context, case, item, missing, why, late)
    else:
        grants.accept(context, case, item, late)


def _grounds(
    context: DecisionContext,
    opened: f.CaseOpened,
    item: ServiceItem | None,
    payload: dict[str, Any],
    targets: list[Licence],
) -> list[Reason]:
    if item is None:
        return [reasons.unknown_item(opened.item)]
    grounds = intake.holder_grounds(context, opened.applicant, item, payload, targets)
    for code in opened.chosen:
        chosen = context.item(code)
        if chosen is None:
            grounds.append(reasons.unknown_item(code))
        elif chosen.mode != "filing":
            grounds.append(reasons.not_applied_for(code, "application.submitted"))
    grounds += context.barred(item.code, context.today)
    open_case = context.open_case_of(item.code)
    if open_case:
        grounds.append(reasons.open_case(open_case.application_id))
    return grounds


def missing_of(
    context: DecisionContext, case: Case, item: ServiceItem, late: grants.Late
) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
    """Return what `intake.missing_of` finds and the fields that the chosen items ask for, each once."""
    missing, why = intake.missing_of(context, case, item, late)
    unfit = grants.unprintable(item, case.answers)
    no_glyph = {
        name: text
        for name, text in case.unprintable.items()
        if name.removeprefix("fields.") in {rule.name for rule in item.fields}
    }
    asked = fields_of(context, not_pushed(context, case.chosen), item)
    double = [rule.name for rule in asked if rule.name in case.conflicts]
    fields = [
        f"fields.{rule.name}"
        for rule in asked
        if rule.name in (*double, *unfit)
        or f"fields.{rule.name}" in no_glyph
        or (rule.required and _blank(case.answers.get(rule.name)))
    ]
    grounds = [reasons.contradictory(double)] if double else []
    grounds += [reasons.unprintable(unfit)] if unfit else []
    grounds += [reasons.no_glyph(no_glyph)] if no_glyph else []
    return (*missing, *fields), (*why, *grounds)


def vanished(context: DecisionContext, case: Case) -> list[Reason]:
    """Return chosen items that the catalogue in force has no more, since the registration came in."""
    return [reasons.unknown_item(code) for code in case.chosen if context.item(code) is None]


def not_pushed(context: DecisionContext, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Return the chosen items whose filing this holder does not have yet: only they are pushed, and asked about."""
    pushed = {filing.ref.item for filing in context.state.filings.values()}
    return tuple(code for code in chosen if code not in pushed)


def fields_of(context: DecisionContext, chosen: tuple[str, ...], item: ServiceItem) -> list[FieldRule]:
    """Return the fields of the certificate and its chosen filings, each name once; required where any item requires it."""
    found: dict[str, FieldRule] = {}
    for source in (item, *(context.catalogue.items[c] for c in chosen if c in context.catalogue.items)):
        for rule in source.fields:
            if rule.name not in found or (rule.required and not found[rule.name].required):
                found[rule.name] = rule
    return list(found.values())


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _collected(data: RegistrationSubmitted) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return one value for each field over `shared` and all answers, and the fields that got two different ones."""
    answers: dict[str, Any] = {}
    conflicts: dict[str, None] = {}
    for given in (data.shared or {}, *(choice.answers or {} for choice in data.items)):
        for name, value in given.items():
            if _blank(value):
                continue
            value = value.strip() if isinstance(value, str) else value
            if name in answers and answers[name] != value:
                conflicts[name] = None
            answers.setdefault(name, value)
    return answers, tuple(conflicts)


def answered(case: Case, shared: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return answers and conflicts after a supplement: of what was asked for, the value supplied later counts."""
    asked = {name.removeprefix("fields.") for name in case.missing if name.startswith("fields.")}
    came = {name: value for name, value in shared.items() if name in asked and not _blank(value)}
    return {**case.answers, **came}, tuple(name for name in case.conflicts if name not in came)


# ---- filings ------------------------------------------------------------------------------------------------


def moved(context: DecisionContext, data: FilingEvent) -> None:
    """Move a filing for its department, or correct one that it returned."""
    filing = context.state.filings.get(compare(data.filing_id))
    if filing is None:
        context.refuse_event(reasons.unknown_filing(data.filing_id))
        return
    grounds = _filing_grounds(context, filing, data)
    state = orders.MOVES.get((filing.state, context.event))
    if state is None:
        grounds.append(reasons.filing_state(filing.state, context.event))
    if grounds or state is None:
        context.refuse_event(*grounds)
        return
    if context.event == "filing.corrected":
        item = context.item(filing.ref.item)
        if item is None:  # the catalogue has it no more: its days and fields are not known
            context.refuse_event(reasons.unknown_item(filing.ref.item))
            return
        answers = {**filing.answers, **{k: v for k, v in (data.answers or {}).items() if not _blank(v)}}
        grants.push_filing(context, filing.ref, filing.case, item, answers, filing.round + 1)
        return
    context.write(f.FilingMoved(compare(data.filing_id), state, data.reason or "", filing.ref))


def _filing_grounds(context: DecisionContext, filing: Filing, data: FilingEvent) -> list[Reason]:
    if context.event != "filing.corrected" and data.department != filing.ref.department:
        return [reasons.anothers_filing(data.department)]
    if context.event == "filing.corrected":
        item = consolidated(context)
        division = context.state.division
        own = context.source.split(":")[2]
        good = item is not None and competent_for_application(
            context.source, item, division if find(division) else own
        )
    else:
        good = competent_in_division(context.source, filing.ref.department, context.state.division)
    return [] if good else [reasons.not_competent(context.source)]
