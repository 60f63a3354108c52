"""Intake (受理): what is asked of an application, what is missing of it, and when it is refused.

The same questions are put to an application that has just come in and to one whose missing parts were supplied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from processors.context import DecisionContext, MustWait
from processors.decisions import grants, normalise, reasons
from processors.state import Case, Licence
from schemas import facts as f
from schemas.authorities import at_level, competent_for_application, find
from schemas.calendar import add as add_workdays
from schemas.calendar import months_before, workday_calendar
from schemas.event_types import ApplicationSubmitted
from schemas.facts import ApplicantSeen, MaterialSeen, Reason
from schemas.identifiers import compare
from schemas.item_types import ServiceItem
from schemas.licence import Product

_CLASSES_DEFERRED = ("", "A", "B")  # holders without a class too (容缺受理)


def submitted(desk: DecisionContext, data: ApplicationSubmitted, payload: dict[str, Any]) -> None:
    """An application comes in."""
    key = compare(data.application_id)
    content = normalise.content(payload["data"])
    known = desk.state.cases.get(key)
    if known is not None:
        if known.content == content:
            desk.write(f.EventRepeated(key))
        else:
            desk.refuse_event(reasons.used_id(known.application_id))
        return
    item = desk.item(data.item)
    targets, grounds = _targets(desk, data)
    products = normalise.products(data.products)
    opened = f.CaseOpened(
        case=key,
        application_id=data.application_id,
        content=content,
        item=data.item,
        item_digest=desk.catalogue.digests.get(data.item, ""),
        action=data.action,
        applicant=normalise.applicant_seen(data.applicant, payload),
        filed_on=desk.day,
        source=desk.source,
        auth=payload.get("auth", "none"),
        window=data.window,
        channel=data.channel,
        targets=tuple(licence.key for licence in targets),
        products=products if item is None or item.products else (),
        materials=normalise.materials_seen(data.materials, payload),
        change=normalise.change(data),
    )
    grounds += _grounds(desk, opened, item, targets, payload, products)
    desk.write(opened)
    if grounds or item is None:
        desk.write(f.CaseRefused(key, tuple(grounds)))
        return
    judge(desk, desk.state.cases[key], item)


def judge(desk: DecisionContext, case: Case, item: ServiceItem) -> None:
    """Asks for what is missing, or accepts and, where nobody has to be waited for, grants."""
    late = deferred_of(desk, case, item)
    missing, why = missing_of(desk, case, item, late)
    if missing:
        ask(desk, case, item, missing, why, late)
    else:
        grants.accept(desk, case, item, late)


def ask(
    desk: DecisionContext,
    case: Case,
    item: ServiceItem,
    missing: tuple[str, ...],
    why: tuple[Reason, ...],
    late: grants.Late,
) -> None:
    """The one notice of everything that is missing (一次性告知)."""
    due = add_workdays(desk.today, item.limits.correction)
    digest = workday_calendar().digest
    desk.write(f.CorrectionRequested(case.key, missing, due.on.isoformat(), due.fallback, digest, why, late))


# ---- grounds for a refusal ----------------------------------------------------------------------------------


def _targets(desk: DecisionContext, data: ApplicationSubmitted) -> tuple[list[Licence], list[Reason]]:
    """The licences that an action is about, and why not where there are none."""
    if data.action == "new":
        return [], []
    names = _names(data)
    found: dict[str, Licence] = {}
    grounds: list[Reason] = []
    for number, granted_by in names:
        licence = desk.licence_named(number, granted_by)
        if licence is None:
            grounds.append(reasons.not_the_holders(number or granted_by or ""))
        else:
            found[licence.key] = licence
    if data.action == "merge" and not all(licence.number for licence in found.values()):
        raise MustWait  # which one is kept may hang on the numbers, and the others name the one that is
    if data.action == "merge" and len(found) < 2 and not grounds:
        grounds.append(reasons.merge_needs_two())
    return list(found.values()), grounds


def _names(data: ApplicationSubmitted) -> list[tuple[str | None, str | None]]:
    if data.action == "merge":
        if data.licence_numbers:
            return [(number, None) for number in data.licence_numbers]
        by = data.granted_by if isinstance(data.granted_by, tuple) else (data.granted_by,)
        return [(None, one) for one in by if one]
    by_one = data.granted_by[0] if isinstance(data.granted_by, tuple) else data.granted_by
    return [(data.licence_number, by_one)]


def _grounds(
    desk: DecisionContext,
    opened: f.CaseOpened,
    item: ServiceItem | None,
    targets: Sequence[Licence],
    payload: dict[str, Any],
    products: Sequence[Product],
) -> list[Reason]:
    """Every reason for which this application is refused."""
    grounds: list[Reason] = []
    if item is None:
        grounds.append(reasons.unknown_item(opened.item))
    elif item.mode == "filing" or (item.mode == "consolidated" and opened.action == "new"):
        grounds.append(reasons.not_applied_for(item.code, "registration.submitted"))
    grounds += holder_grounds(desk, opened.applicant, item, payload)
    if item is None:
        return grounds
    changed = opened.change.products if opened.change and opened.change.products else ()
    grounds += _category_grounds(item, (*products, *changed))
    if opened.change and (opened.change.division or "").strip():
        grounds += _division_grounds(opened.change.division or "")
    grounds += desk.barred(item.code, desk.today)
    living = desk.living_of(item.code) if opened.action == "new" else None
    if living:
        grounds.append(reasons.living_licence(reasons.naming(living)))
    open_case = desk.open_case_of(item.code)
    if open_case:
        grounds.append(reasons.open_case(open_case.application_id))
    for licence in targets:
        grounds += _target_grounds(desk, licence, item, opened.action)
    return grounds


def holder_grounds(
    desk: DecisionContext, applicant: ApplicantSeen, item: ServiceItem | None, payload: dict[str, Any]
) -> list[Reason]:
    """Identifier, kind of holder, division, competence of the source."""
    grounds = []
    if not payload["who"]["id_ok"]:
        grounds.append(reasons.wrong_identifier(applicant.display))
    if item is not None and applicant.kind != item.holder:
        grounds.append(reasons.wrong_holder(item.holder))
    division = applicant.division.strip()
    grounds += _division_grounds(division, item)
    if item is not None and not _competent(desk, item, division):
        grounds.append(reasons.not_competent(desk.source))
    return grounds


def _competent(desk: DecisionContext, item: ServiceItem, division: str) -> bool:
    """Without a division that is known, only the department can be looked at."""
    own = desk.source.split(":")[2] if desk.source.count(":") >= 3 else ""
    return competent_for_application(desk.source, item, division if find(division) else own)


def _division_grounds(division: str, item: ServiceItem | None = None) -> list[Reason]:
    """A division that is none, or lies above the level at which the item is issued."""
    code = division.strip()
    if not code:
        return []
    if find(code) is None:
        return [reasons.unknown_division(code)]
    if item is not None and item.mode != "filing" and at_level(code, item.level) is None:
        return [reasons.no_authority(code, item.level)]
    return []


def _category_grounds(item: ServiceItem, named: Iterable[Product]) -> list[Reason]:
    unknown = dict.fromkeys(p.category for p in named if p.category and item.category(p.category) is None)
    return [reasons.unknown_category(name) for name in unknown]


def late_grounds(item: ServiceItem, before: Case, case: Case) -> list[Reason]:
    """What supplied parts can still bring: an unknown category or division, a source that is not competent for it."""
    changed = case.change.products if case.change and case.change.products else ()
    division = case.applicant.division
    grounds = [*_category_grounds(item, (*case.products, *changed)), *_division_grounds(division, item)]
    came = division != before.applicant.division and find(division) is not None
    if came and not competent_for_application(case.source, item, division):
        grounds.append(reasons.not_competent(case.source))
    return grounds


def _target_grounds(desk: DecisionContext, licence: Licence, item: ServiceItem, action: str) -> list[Reason]:
    name = reasons.naming(licence)
    if licence.item != item.code:
        return [reasons.not_of_item(name, item.code)]
    if not licence.living:
        return [reasons.not_living(name, licence.status)]
    if action == "renew":
        if licence.now.valid_until is None:
            return [reasons.no_end()]
        first = months_before(date.fromisoformat(licence.now.valid_until), item.renewal.earliest)
        if desk.today < first:
            return [reasons.renew_from(first.isoformat())]
    return []


# ---- what is missing ----------------------------------------------------------------------------------------


def needed(item: ServiceItem, action: str) -> tuple[str, ...]:
    """The kinds of material that an action needs; nothing else may be asked."""
    if action == "new":
        return item.kinds
    kinds = ["application-form"]
    if action in ("extend", "renew", "merge") and "commitment-letter" in item.kinds:
        kinds.append("commitment-letter")
    return tuple(kinds)


def missing_of(
    desk: DecisionContext, case: Case, item: ServiceItem, late: grants.Late
) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
    """Everything that is missing of an application, and the reasons that need words; `late` is waited for."""
    here = here_of(case, item)
    missing = [kind for kind in needed(item, case.action) if kind not in late and kind not in here]
    if _needs_products(case, item):
        missing.append("products")
    contradictions = _contradictions(desk, case)
    for field in ("name", "address", "division"):
        if not getattr(case.applicant, field).strip() or field in contradictions:
            missing.append(f"applicant.{field}")
    why = tuple(reasons.contradicts(f"applicant.{field}") for field in contradictions)
    return tuple(missing), why


def _needs_products(case: Case, item: ServiceItem) -> bool:
    if not item.products:
        return False
    if case.action in ("new", "extend"):
        return not case.products or any(not p.category for p in case.products)
    if case.change and case.change.products is not None:
        return not case.change.products or any(not p.category for p in case.change.products)
    return False


def here_of(case: Case, item: ServiceItem) -> set[str]:
    """The kinds of material that are here and good."""
    return {m.kind for m in case.materials if _counts(item, m)}


def _counts(item: ServiceItem, material: MaterialSeen) -> bool:
    """Signed where it must be, not after the day of the event that brought it, its file as said, not a promise."""
    if material.deferred_until or material.evidence.get("file", "verified") != "verified":
        return False
    rule = item.material(material.kind)
    if rule is None or not rule.signed:
        return True
    return "" < material.signed_on <= material.came_on


def deferred_of(desk: DecisionContext, case: Case, item: ServiceItem) -> grants.Late:
    """Late materials that may come by a day (容缺受理): kind → last day. Settled when the application comes in."""
    promised = [m for m in case.materials if m.deferred_until]
    if not promised or desk.state.credit_class not in _CLASSES_DEFERRED:
        return {}
    here, wanted, today = here_of(case, item), needed(item, case.action), desk.day
    late = {}
    for material in promised:
        rule = item.material(material.kind)
        if rule is None or not rule.deferrable or material.deferred_until < today:
            continue
        if material.kind in wanted and material.kind not in here:
            late[material.kind] = material.deferred_until
    return late


def _contradictions(desk: DecisionContext, case: Case) -> list[str]:
    """Fields in which the applicant differs from the register, for an action on a licence."""
    registers = [desk.state.licences[key].now for key in case.targets]
    if not registers:
        return []
    found = []
    for field, ours in (("name", "holder_name"), ("address", "address")):
        said = getattr(case.applicant, field).strip()
        known = [getattr(grant, ours) for grant in registers]
        if case.action == "change":  # another licence of the holder may have changed before this one
            known.append(getattr(desk.state, field))
        if said and not any(_same(said, one) for one in known):
            found.append(field)
    return found


def _same(one: str, other: str) -> bool:
    return compare(one) == compare(other) if not one.startswith("sealed:") else one == other
