"""多证合一: one registration, its filings, and what the departments say of them.

Registered particulars (登记事项): what the fields of a consolidated item put on its certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processors.context import DecisionContext
from processors.decisions import grants, intake, lifecycle, normalise, reasons
from processors.state import Case, Filing
from schemas import facts as f
from schemas.authorities import competent_for_application, competent_in_division, find
from schemas.event_types import FilingEvent, RegistrationSubmitted
from schemas.facts import Reason
from schemas.identifiers import compare
from schemas.item_types import FieldRule, ServiceItem


def consolidated(desk: DecisionContext) -> ServiceItem | None:
    """The item of the consolidated certificate."""
    return next((i for i in desk.catalogue.items.values() if i.mode == "consolidated"), None)


def submitted(desk: DecisionContext, data: RegistrationSubmitted, payload: dict[str, Any]) -> None:
    """A registration with its chosen filings."""
    item = consolidated(desk)
    key = compare(data.application_id)
    content = normalise.content(payload["data"])
    known = desk.state.cases.get(key)
    if known is not None:
        if known.content == content:
            desk.write(f.EventRepeated(key))
        else:
            desk.refuse_event(reasons.used_id(known.application_id))
        return
    code = item.code if item else "business-licence"
    living = desk.living_of(code)
    answers, conflicts = _collected(data)
    opened = f.CaseOpened(
        case=key,
        application_id=data.application_id,
        content=content,
        item=code,
        item_digest=desk.catalogue.digests.get(code, ""),
        action="new",
        applicant=normalise.applicant_seen(data.applicant, payload),
        filed_on=desk.day,
        source=desk.source,
        auth=payload.get("auth", "none"),
        window=str(payload["data"].get("window") or ""),
        channel=str(payload["data"].get("channel") or ""),
        targets=(living.key,) if living else (),
        materials=normalise.materials_seen(data.materials, payload),
        chosen=tuple(dict.fromkeys(choice.item for choice in data.items)),
        answers=answers,
        conflicts=conflicts,
    )
    grounds = _grounds(desk, opened, item, payload)
    desk.write(opened)
    if grounds or item is None:
        desk.write(f.CaseRefused(key, tuple(grounds)))
        return
    judge(desk, desk.state.cases[key], item)


def judge(desk: DecisionContext, case: Case, item: ServiceItem) -> None:
    """Asks for what is missing, or accepts and grants."""
    late = intake.deferred_of(desk, case, item)
    missing, why = missing_of(desk, case, item, late)
    if missing:
        intake.ask(desk, case, item, missing, why, late)
    else:
        grants.accept(desk, case, item, late)


def _grounds(
    desk: DecisionContext, opened: f.CaseOpened, item: ServiceItem | None, payload: dict[str, Any]
) -> list[Reason]:
    if item is None:
        return [reasons.unknown_item(opened.item)]
    grounds = intake.holder_grounds(desk, opened.applicant, item, payload)
    for code in opened.chosen:
        chosen = desk.item(code)
        if chosen is None:
            grounds.append(reasons.unknown_item(code))
        elif chosen.mode != "filing":
            grounds.append(reasons.not_applied_for(code, "application.submitted"))
    grounds += desk.barred(item.code, desk.today)
    open_case = desk.open_case_of(item.code)
    if open_case:
        grounds.append(reasons.open_case(open_case.application_id))
    return grounds


def missing_of(
    desk: DecisionContext, case: Case, item: ServiceItem, late: grants.Late
) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
    """As `intake.missing_of`, and the fields that every chosen item asks for, each once."""
    missing, why = intake.missing_of(desk, case, item, late)
    unfit = grants.unprintable(item, case.answers)
    asked = fields_of(desk, not_pushed(desk, case.chosen), item)
    double = [rule.name for rule in asked if rule.name in case.conflicts]
    fields = [
        f"fields.{rule.name}"
        for rule in asked
        if rule.name in (*double, *unfit) or (rule.required and _blank(case.answers.get(rule.name)))
    ]
    grounds = [reasons.contradictory(double)] if double else []
    grounds += [reasons.unprintable(unfit)] if unfit else []
    return (*missing, *fields), (*why, *grounds)


def vanished(desk: DecisionContext, case: Case) -> list[Reason]:
    """Chosen items that the catalogue in force has no more, since the registration came in."""
    return [reasons.unknown_item(code) for code in case.chosen if desk.item(code) is None]


def not_pushed(desk: DecisionContext, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The chosen items whose filing this holder does not have yet: only they are pushed, and asked about."""
    pushed = {filing.ref.item for filing in desk.state.filings.values()}
    return tuple(code for code in chosen if code not in pushed)


def fields_of(desk: DecisionContext, chosen: tuple[str, ...], item: ServiceItem) -> list[FieldRule]:
    """The fields of the certificate and its chosen filings, each name once; required where any item requires it."""
    found: dict[str, FieldRule] = {}
    for source in (item, *(desk.catalogue.items[c] for c in chosen if c in desk.catalogue.items)):
        for rule in source.fields:
            if rule.name not in found or (rule.required and not found[rule.name].required):
                found[rule.name] = rule
    return list(found.values())


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _collected(data: RegistrationSubmitted) -> tuple[dict[str, Any], tuple[str, ...]]:
    """One value for each field over `shared` and all answers, and the fields that got two different ones."""
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
    """Answers and conflicts after a supplement: of what was asked for, the value supplied later counts."""
    asked = {name.removeprefix("fields.") for name in case.missing if name.startswith("fields.")}
    came = {name: value for name, value in shared.items() if name in asked and not _blank(value)}
    return {**case.answers, **came}, tuple(name for name in case.conflicts if name not in came)


# ---- filings ------------------------------------------------------------------------------------------------


def moved(desk: DecisionContext, data: FilingEvent) -> None:
    """A department on its filing, or the correction of one that it returned."""
    filing = desk.state.filings.get(compare(data.filing_id))
    if filing is None:
        desk.refuse_event(reasons.unknown_filing(data.filing_id))
        return
    grounds = _filing_grounds(desk, filing, data)
    state = lifecycle.MOVES.get((filing.state, desk.event))
    if state is None:
        grounds.append(reasons.filing_state(filing.state, desk.event))
    if grounds or state is None:
        desk.refuse_event(*grounds)
        return
    if desk.event == "filing.corrected":
        item = desk.item(filing.ref.item)
        if item is None:  # the catalogue has it no more: its days and fields are not known
            desk.refuse_event(reasons.unknown_item(filing.ref.item))
            return
        answers = {**filing.answers, **{k: v for k, v in (data.answers or {}).items() if not _blank(v)}}
        grants.push_filing(desk, filing.ref, filing.case, item, answers, filing.round + 1)
        return
    desk.write(f.FilingMoved(compare(data.filing_id), state, data.reason or "", filing.ref))


def _filing_grounds(desk: DecisionContext, filing: Filing, data: FilingEvent) -> list[Reason]:
    if desk.event != "filing.corrected" and data.department != filing.ref.department:
        return [reasons.anothers_filing(data.department)]
    if desk.event == "filing.corrected":
        item = consolidated(desk)
        division = desk.state.division
        own = desk.source.split(":")[2]
        good = item is not None and competent_for_application(
            desk.source, item, division if find(division) else own
        )
    else:
        good = competent_in_division(desk.source, filing.ref.department, desk.state.division)
    return [] if good else [reasons.not_competent(desk.source)]
