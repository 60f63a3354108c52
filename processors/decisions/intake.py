"""Intake (受理): grounds for a refusal, and what is missing of an application.

An application that has just come in and one whose missing parts were supplied are judged by the same rules. The
register decides: competence for a licence or a known holder is judged by the division on record, never by the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from processors.context import DecisionContext, MustWait, at_window, for_case
from processors.decisions import grants, normalise, reasons
from processors.state import Case, Licence
from schemas import facts as f
from schemas.authorities import at_level, find
from schemas.calendar import add as add_workdays
from schemas.calendar import months_before, workday_calendar
from schemas.event_types import ApplicationSubmitted
from schemas.facts import ApplicantSeen, MaterialSeen, Reason
from schemas.identifiers import MOST_VERSIONS, compare
from schemas.item_types import ServiceItem
from schemas.licence import Product

_CLASSES_DEFERRED = ("", "A", "B")  # holders without a class too (容缺受理)
_LETTER_DAYS = 365  # a letter that was signed longer ago is asked for anew


def submitted(context: DecisionContext, data: ApplicationSubmitted, payload: dict[str, Any]) -> None:
    """Take in an application: open its case, then refuse it, ask for what is missing, or accept it.

    One whose source is not competent is refused without a case, so that it takes no id and blocks nobody.
    """
    key = compare(data.application_id)
    content = normalise.content(payload["data"])
    if repeats(context, key, content):
        return
    item = context.item(data.item)
    targets, grounds = _targets(context, data)
    products = normalise.products(data.products)
    opened = f.CaseOpened(
        case=key,
        application_id=data.application_id,
        content=content,
        item=data.item,
        item_digest=context.catalogue.digests.get(data.item, ""),
        action=data.action,
        applicant=normalise.applicant_seen(data.applicant, payload),
        filed_on=context.day,
        source=context.source,
        auth=payload.get("auth", "none"),
        window=data.window,
        channel=data.channel,
        targets=tuple(licence.key for licence in targets),
        products=products if item is None or item.products else (),
        materials=normalise.materials_seen(data.materials, payload),
        change=normalise.change(data, payload),
        unprintable=normalise.unprintable(payload),
    )
    grounds += _grounds(context, opened, item, targets, payload, products)
    open_case(context, opened, item, grounds)
    if item is not None and not grounds:
        judge(context, context.state.cases[key], item)


def repeats(context: DecisionContext, key: str, content: str) -> bool:
    """Tell whether an application id is taken: the same application changes nothing, another one is refused."""
    known = context.state.cases.get(key)
    closed = context.state.closed.get(key)
    if known is None and closed is None:
        return False
    same = content == known.content if known else closed is not None and content.startswith(closed.content)
    if same:
        context.write(f.EventRepeated(key))
    else:
        context.refuse_event(
            reasons.used_id(known.application_id if known else closed.name(key) if closed else key)
        )
    return True


def open_case(
    context: DecisionContext, opened: f.CaseOpened, item: ServiceItem | None, grounds: Sequence[Reason]
) -> None:
    """Open a case and refuse it where there are grounds; for want of competence nothing but the refusal is left."""
    incompetent = reasons.not_competent(context.source)
    if incompetent in grounds and context.rules >= 2:
        context.refuse_event(*grounds)
        return
    context.write(opened)
    if grounds or item is None:
        context.write(f.CaseRefused(opened.case, tuple(grounds)))


def judge(context: DecisionContext, case: Case, item: ServiceItem) -> None:
    """Ask for what is missing, or accept and, where nobody has to be waited for, grant."""
    late = deferred_of(context, case, item)
    missing, why = missing_of(context, case, item, late)
    if missing:
        ask(context, case, item, missing, why, late)
    else:
        grants.accept(context, case, item, late)


def ask(
    context: DecisionContext,
    case: Case,
    item: ServiceItem,
    missing: tuple[str, ...],
    why: tuple[Reason, ...],
    late: grants.Late,
) -> None:
    """Write the one notice of everything that is missing (一次性告知)."""
    due = add_workdays(context.today, item.limits.correction)
    digest = workday_calendar().digest
    context.write(
        f.CorrectionRequested(case.key, missing, due.on.isoformat(), due.fallback, digest, why, late)
    )


# ---- grounds for a refusal ----------------------------------------------------------------------------------


def _targets(context: DecisionContext, data: ApplicationSubmitted) -> tuple[list[Licence], list[Reason]]:
    """Return the licences that an action is about, and the grounds where they are not found."""
    if data.action == "new":
        return [], []
    names = _names(data)
    found: dict[str, Licence] = {}
    grounds: list[Reason] = []
    for number, granted_by in names:
        licence = context.licence_named(number, granted_by)
        if licence is None:
            grounds.append(reasons.not_the_holders(number or granted_by or ""))
        else:
            found[licence.key] = licence
    if data.action == "merge" and not all(licence.number for licence in found.values()):
        raise MustWait  # the licence that is kept may depend on the numbers, and the others name it
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
    context: DecisionContext,
    opened: f.CaseOpened,
    item: ServiceItem | None,
    targets: Sequence[Licence],
    payload: dict[str, Any],
    products: Sequence[Product],
) -> list[Reason]:
    """Return every reason for which this application is refused."""
    grounds: list[Reason] = []
    if item is None:
        grounds.append(reasons.unknown_item(opened.item))
    elif item.mode == "filing" or (item.mode == "consolidated" and opened.action == "new"):
        grounds.append(reasons.not_applied_for(item.code, "registration.submitted"))
    grounds += holder_grounds(context, opened.applicant, item, payload, targets)
    if item is None:
        return grounds
    changed = opened.change.products if opened.change and opened.change.products else ()
    grounds += _category_grounds(item, (*products, *changed))
    if opened.change and (opened.change.division or "").strip():
        grounds += _division_grounds(opened.change.division or "")
    grounds += [
        reasons.no_glyph({name: text})
        for name, text in opened.unprintable.items()
        if name.startswith("change.")
    ]
    grounds += context.barred(item.code, context.today)
    living = context.living_of(item.code) if opened.action == "new" else None
    if living:
        grounds.append(reasons.living_licence(reasons.naming(living)))
    open_one = context.open_case_of(item.code)
    if open_one:
        grounds.append(reasons.open_case(open_one.application_id))
    for licence in targets:
        grounds += _target_grounds(context, licence, item, opened.action)
    return grounds


def holder_grounds(
    context: DecisionContext,
    applicant: ApplicantSeen,
    item: ServiceItem | None,
    payload: dict[str, Any],
    targets: Sequence[Licence] = (),
) -> list[Reason]:
    """Return the grounds in the identifier, the kind of holder, the division, and the competence of the source."""
    grounds = []
    if not payload["who"]["id_ok"]:
        grounds.append(reasons.wrong_identifier(applicant.display))
    if item is not None and applicant.kind != item.holder:
        grounds.append(reasons.wrong_holder(item.holder))
    grounds += _division_grounds(applicant.division, item)
    if not at_window(context, context.source, item, applicant.division, targets):
        grounds.append(reasons.not_competent(context.source))
    return grounds


def _division_grounds(division: str, item: ServiceItem | None = None) -> list[Reason]:
    """Return the grounds in a division: an unknown one, or one above the level at which the item is issued."""
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


def late_grounds(context: DecisionContext, item: ServiceItem, before: Case, case: Case) -> list[Reason]:
    """Return the grounds that supplied parts can bring: an unknown category or division, or want of competence."""
    changed = case.change.products if case.change and case.change.products else ()
    division = case.applicant.division
    grounds = [*_category_grounds(item, (*case.products, *changed)), *_division_grounds(division, item)]
    came = division != before.applicant.division and find(division) is not None
    if came and not for_case(context, case.source, case, item):
        grounds.append(reasons.not_competent(case.source))
    return grounds


def _target_grounds(
    context: DecisionContext, licence: Licence, item: ServiceItem, action: str
) -> list[Reason]:
    name = reasons.naming(licence)
    if licence.item != item.code:
        return [reasons.not_of_item(name, item.code)]
    if not licence.living:
        return [reasons.not_living(name, licence.status)]
    if action != "surrender" and licence.now.version >= MOST_VERSIONS:
        return [reasons.no_more_versions(name)]
    if action == "renew":
        if licence.now.valid_until is None:
            return [reasons.no_end()]
        first = months_before(date.fromisoformat(licence.now.valid_until), item.renewal.earliest)
        if context.today < first:
            return [reasons.renew_from(first.isoformat())]
    return []


# ---- what is missing ----------------------------------------------------------------------------------------


def needed(item: ServiceItem, action: str) -> tuple[str, ...]:
    """Return the kinds of material that an action needs; nothing else may be asked."""
    if action == "new":
        return item.kinds
    kinds = ["application-form"]
    if action in ("extend", "renew", "merge") and "commitment-letter" in item.kinds:
        kinds.append("commitment-letter")
    return tuple(kinds)


def missing_of(
    context: DecisionContext, case: Case, item: ServiceItem, late: grants.Late
) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
    """Return everything that is missing of an application, and reasons for what needs words.

    Materials in `late` are waited for and are not missing.
    """
    here = here_of(context, case, item)
    missing = [kind for kind in needed(item, case.action) if kind not in late and kind not in here]
    if _needs_products(case, item):
        missing.append("products")
    contradictions = _contradictions(context, case)
    for field in ("name", "address", "division"):
        name = f"applicant.{field}"
        blank = not getattr(case.applicant, field).strip()
        if blank or field in contradictions or name in case.unprintable:
            missing.append(name)
    why = [reasons.contradicts(f"applicant.{field}") for field in contradictions]
    no_glyph = {name: text for name, text in case.unprintable.items() if name in missing}
    why += [reasons.no_glyph(no_glyph)] if no_glyph else []
    return tuple(missing), tuple(why)


def _needs_products(case: Case, item: ServiceItem) -> bool:
    if not item.products:
        return False
    asked = "products" in case.unprintable
    if case.action in ("new", "extend"):
        return asked or not case.products or any(not p.category for p in case.products)
    if case.change and case.change.products is not None:
        return asked or not case.change.products or any(not p.category for p in case.change.products)
    return False


def here_of(context: DecisionContext, case: Case, item: ServiceItem) -> set[str]:
    """Return the kinds of material that are here and good."""
    return {m.kind for m in case.materials if _counts(context, item, m)}


def _counts(context: DecisionContext, item: ServiceItem, material: MaterialSeen) -> bool:
    """Tell whether a material counts: its file as stated, not a promise, and signed in time where it must be.

    In time is not after the day of the event that brought it, and not more than a year before.
    """
    if material.deferred_until or material.evidence.get("file", "verified") != "verified":
        return False
    rule = item.material(material.kind)
    if rule is None or not rule.signed:
        return True
    if not material.signed_on or not material.came_on:
        return False
    age = date.fromisoformat(material.came_on) - date.fromisoformat(material.signed_on)
    return age.days >= 0 and (age.days <= _LETTER_DAYS or context.rules < 2)


def deferred_of(context: DecisionContext, case: Case, item: ServiceItem) -> grants.Late:
    """Return the late materials that may come (容缺受理) with their last days, settled when the application comes in."""
    promised = [m for m in case.materials if m.deferred_until]
    if not promised or context.state.credit_class not in _CLASSES_DEFERRED:
        return {}
    here, wanted, today = here_of(context, case, item), needed(item, case.action), context.day
    late = {}
    for material in promised:
        rule = item.material(material.kind)
        if rule is None or not rule.deferrable or material.deferred_until < today:
            continue
        if material.kind in wanted and material.kind not in here:
            late[material.kind] = material.deferred_until
    return late


def _contradictions(context: DecisionContext, case: Case) -> list[str]:
    """Return the fields in which the applicant differs from the register.

    For an action on a licence these are name, address and division; for any other application of a known holder the
    division alone, since it decides who is competent.
    """
    registers = [context.state.licences[key].now for key in case.targets]
    record = context.record
    folds = {**context.state.folds, **case.applicant.folds}
    found = []
    for field, ours in (("name", "holder_name"), ("address", "address"), ("division", "division")):
        said = getattr(case.applicant, field).strip()
        known = [getattr(grant, ours) for grant in registers]
        if record is not None and (
            case.action == "change" if registers else field == "division"
        ):  # another licence of the holder may have changed before this one
            known.append(getattr(record, field))
        if field == "division" and context.rules < 2:
            continue
        if said and known and not any(_same(field, folds, said, one) for one in known):
            found.append(field)
    return found


def _same(field: str, folds: dict[str, str], one: str, other: str) -> bool:
    if field != "division":
        return normalise.same(folds, one, other)
    found = find(one)
    return one == other or (found is not None and found == find(other))
