"""Grants: what a decided application becomes, and the endings that are no order.

`issued_on` = `valid_from` = the China date of the decision, for every version (contract, §2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from processors.context import DecisionContext
from processors.decisions import orders, reasons
from processors.state import Case, Licence
from schemas import calendar
from schemas import facts as f
from schemas.authorities import issuing_authority, named_on, province
from schemas.calendar import ONE_DAY, valid_until
from schemas.canonical_json import derived_id
from schemas.facts import Reason
from schemas.identifiers import compare
from schemas.item_types import ServiceItem
from schemas.licence import MAX_PARTICULAR, FilingRef, Grant, Particular, Product

Late = dict[str, str]  # kind of a material that may come late → its last day (容缺受理)


def accept(context: DecisionContext, case: Case, item: ServiceItem, late: Late) -> None:
    """Accept an application that lacks nothing: limits run unless something comes late; grant it where nobody is waited for."""
    grounds = _still_good(context, case)
    if grounds:
        context.write(f.CaseRefused(case.key, grounds))
    elif late:
        context.write(f.CaseAccepted(case.key, deferred=late))
    else:
        context.write(f.CaseAccepted(case.key, *limits(context, item, ())))
        grant_if_ready(context, context.state.cases[case.key], item)


def limits(
    context: DecisionContext, item: ServiceItem, stops: calendar.Stops
) -> tuple[str, str, str, bool, str]:
    """Return today as the day on which an application became complete, its limits, and how they were counted."""
    promised = calendar.add_with_stops(context.today, item.limits.promised, stops)
    statutory = calendar.add_with_stops(context.today, item.limits.statutory, stops)
    return (
        context.day,
        promised.on.isoformat(),
        statutory.on.isoformat(),
        promised.fallback or statutory.fallback,
        calendar.workday_calendar().digest,
    )


def grant_if_ready(context: DecisionContext, case: Case, item: ServiceItem) -> None:
    """Grant an accepted application once late materials are here and every department has approved."""
    waits_for_review = item.mode == "review" and case.action not in ("reissue", "surrender")
    if case.deferred or (waits_for_review and set(item.deciding) - set(case.approvals)):
        return
    grounds = _still_good(context, case)
    if grounds:
        context.write(f.CaseRefused(case.key, grounds))
    else:
        grant(context, case, item)


def _still_good(context: DecisionContext, case: Case) -> tuple[Reason, ...]:
    """Return the grounds that may have arisen since intake: a bar, or a licence that came by another way (一企一证)."""
    if case.action != "new":
        return ()
    grounds = context.barred(case.item, context.today)
    living = context.living_of(case.item)
    if living and context.catalogue.items[case.item].mode != "consolidated":
        grounds.append(reasons.living_licence(reasons.naming(living)))
    return tuple(grounds)


def grant(context: DecisionContext, case: Case, item: ServiceItem, *, deemed: bool = False) -> None:
    """Grant a case: first version, next version, or the end that was asked for."""
    targets = [context.state.licences[key] for key in case.targets]
    if case.action == "surrender":
        _surrender(context, case, targets[0])
    elif case.action == "new":
        _first(context, case, item)
    elif case.action == "merge":
        _merge(context, case, targets)
    else:
        _next(context, case, item, targets[0], deemed)


def _first(context: DecisionContext, case: Case, item: ServiceItem) -> None:
    if item.mode == "consolidated":
        living = context.living_of(item.code)
        if living:
            _push(context, case, item)
            now = living.now
            new: dict[str, object] = {
                "filings": _filings(context, now.filings, case),
                "particulars": particulars_of(item, case.answers, now.particulars),
            }
            _version(context, case, living, new)
            return
    made = new_grant(context, case, item)
    if item.mode == "consolidated":
        _push(context, case, item)
        made = replace(
            made, filings=_filings(context, (), case), particulars=particulars_of(item, case.answers)
        )
    context.write(f.LicenceGranted(made, case.key, case.action))
    context.write(f.CaseGranted(case.key, made.licence_id, 1))
    if item.check:
        _schedule(context, case, made.licence_id, item, tuple(dict.fromkeys(p.site for p in case.products)))


def new_grant(context: DecisionContext, case: Case, item: ServiceItem) -> Grant:
    """Return version 1 of a new licence of an item."""
    directory = context.catalogue.directory
    authority = issuing_authority(item, case.applicant.division, context.day, directory)
    assert authority is not None  # intake has looked at the division
    assert item.number is not None  # the item loader asks for it
    state = context.state
    licence_id = derived_id("licence", state.holder, case.key, item.code)
    category = item.category(case.products[0].category) if case.products else None
    short = province(authority.division, directory)["short"]
    series = _series(item.number.prefix, short, authority.division, category.code if category else "")
    return Grant(
        grant_id=derived_id(licence_id, 1),
        licence_id=licence_id,
        version=1,
        item=item.code,
        item_digest=context.catalogue.digests[item.code],
        application_id=case.application_id,
        holder=state.holder,
        holder_kind=case.applicant.kind,
        holder_id=case.applicant.display,
        holder_name=case.applicant.name,
        address=case.applicant.address,
        division=case.applicant.division,
        authority=authority,
        issued_on=context.day,
        valid_from=context.day,
        valid_until=_end(context.today, item.validity_years),
        decided_at=context.time,
        series=series,
        digits=item.number.digits,
        type_code=item.type_code,
        products=case.products,
        certificate_days=item.limits.certificate,
    )


@lru_cache(maxsize=4096)
def _series(prefix: str, short: str, division: str, category: str) -> str:
    return prefix.format(province=short, division=division, category=category)


@lru_cache(maxsize=4096)
def _end(first: date, years: int | None) -> str | None:
    return valid_until(first, years).isoformat() if years else None


def _next(context: DecisionContext, case: Case, item: ServiceItem, licence: Licence, deemed: bool) -> None:
    now = licence.now
    if case.action == "extend":
        added = tuple(p for p in case.products if p not in now.products)
        new_sites = tuple(
            dict.fromkeys(
                p.site
                for p in added
                if p.site and compare(p.site) not in {compare(q.site) for q in now.products}
            )
        )
        _version(context, case, licence, {"products": (*now.products, *dict.fromkeys(added))})
        if item.check and item.check.new_site and new_sites:
            _schedule(context, case, licence.key, item, new_sites)
    elif case.action == "change":
        assert case.change is not None  # the contract rejects a change with nothing in it
        change = {
            "holder_name": case.change.name,
            "address": case.change.address,
            "division": case.change.division,
            "products": case.change.products,
        }
        new = {key: _trimmed(value) for key, value in change.items() if value}
        _version(context, case, licence, new)
    elif case.action == "renew":
        old_end = date.fromisoformat(now.valid_until or "")
        until = _end(old_end + ONE_DAY, item.validity_years)  # none where only an imported licence had an end
        _version(context, case, licence, {"valid_until": until}, deemed=deemed)
    else:
        _version(context, case, licence, {})


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _version(
    context: DecisionContext, case: Case, licence: Licence, new: dict[str, object], *, deemed: bool = False
) -> None:
    """Grant the next version: same number, and what is not named in `new` as it was."""
    made = next_grant(context, licence, case.application_id, new)
    context.write(f.LicenceGranted(made, case.key, case.action))
    context.write(f.CaseGranted(case.key, licence.key, made.version, deemed))


def next_grant(
    context: DecisionContext, licence: Licence, application_id: str, new: dict[str, object]
) -> Grant:
    """Return the grant of a licence's next version, dated today."""
    version = licence.now.version + 1
    today = context.day
    item = context.item(licence.item)
    return replace(
        licence.now,
        grant_id=derived_id(licence.key, version),
        version=version,
        application_id=application_id,
        item_digest=context.catalogue.digests.get(licence.item, licence.now.item_digest),
        authority=named_on(licence.now.authority, item, today, context.catalogue.directory),
        issued_on=today,
        valid_from=today,
        decided_at=context.time,
        number=licence.number or None,
        certificate_days=item.limits.certificate if item else licence.now.certificate_days,
        **new,
    )


def _merge(context: DecisionContext, case: Case, targets: list[Licence]) -> None:
    """Merge licences: the one issued first takes all products and the earliest end, the others are cancelled and name it."""
    base, *others = sorted(targets, key=lambda x: (x.versions[0].grant.issued_on, x.number, x.key))
    products = _union(licence.now.products for licence in (base, *others))
    ends = [licence.now.valid_until for licence in targets if licence.now.valid_until]
    _version(context, case, base, {"products": products, "valid_until": min(ends) if ends else None})
    name = base.number or base.now.application_id
    for licence in others:
        orders.end(
            context,
            licence,
            "cancelled",
            "merge",
            str(reasons.merge_target(name)),
            merged_into=name,
        )


def _union(lists: Iterable[tuple[Product, ...]]) -> tuple[Product, ...]:
    return tuple(dict.fromkeys(product for products in lists for product in products))


def _surrender(context: DecisionContext, case: Case, licence: Licence) -> None:
    context.write(f.CaseGranted(case.key, licence.key, 0))
    orders.end(context, licence, "cancelled", "surrender", "持证人申请注销 / surrendered by the holder")


def _schedule(
    context: DecisionContext, case: Case, licence: str, item: ServiceItem, sites: tuple[str, ...]
) -> None:
    assert item.check is not None
    due = context.today + timedelta(days=item.check.days)
    check = f"{case.application_id}:check"
    context.write(f.CheckScheduled(check, licence, due.isoformat(), tuple(s for s in sites if s)))


# ---- particulars of a consolidated certificate --------------------------------------------------------------


def text_of(value: Any) -> str | None:
    """Return a value as it is printed, or None for what is neither text nor number, or is too long."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return text if len(text) <= MAX_PARTICULAR else None


def unprintable(item: ServiceItem, answers: Mapping[str, Any]) -> list[str]:
    """Return the fields of the item whose value cannot stand on its certificate."""
    return [rule.name for rule in item.fields if rule.name in answers and text_of(answers[rule.name]) is None]


def particulars_of(
    item: ServiceItem, answers: Mapping[str, Any], before: tuple[Particular, ...] = ()
) -> tuple[Particular, ...]:
    """Return the particulars in the order of the item's fields; what was not given again stays as it was `before`."""
    known = {particular.name: particular.value for particular in before}
    given = {rule.name: text_of(answers[rule.name]) for rule in item.fields if rule.name in answers}
    texts = known | {name: text for name, text in given.items() if text}
    return tuple(
        Particular(rule.name, rule.label.zh, texts[rule.name]) for rule in item.fields if rule.name in texts
    )


# ---- filings of a consolidated certificate ------------------------------------------------------------------


def _push(context: DecisionContext, case: Case, item: ServiceItem) -> None:
    """Push one filing for each chosen item that was not pushed for this holder before."""
    pushed = {filing.ref.item for filing in context.state.filings.values()}
    for code in dict.fromkeys(case.chosen):
        chosen = context.catalogue.items[code]
        if code in pushed:
            continue
        ref = FilingRef(f"{case.application_id}:{code}", code, chosen.name.zh, chosen.department)
        answers = {rule.name: case.answers[rule.name] for rule in chosen.fields if rule.name in case.answers}
        push_filing(context, ref, case.key, chosen, answers, 1)


def push_filing(
    context: DecisionContext,
    ref: FilingRef,
    case: str,
    item: ServiceItem,
    answers: dict[str, object],
    round_: int,
) -> None:
    """Push a filing to its department, with its yellow and red days."""
    yellow = calendar.add(context.today, item.yellow_days).on.isoformat()
    red = calendar.add(context.today, item.red_days).on.isoformat()
    context.write(f.FilingPushed(ref, case, context.day, yellow, red, answers, round_))


def _filings(context: DecisionContext, before: tuple[FilingRef, ...], case: Case) -> tuple[FilingRef, ...]:
    """Return the filings that stand on the certificate: those of before and every one chosen now, each once."""
    chosen = [x.ref for x in context.state.filings.values() if x.ref.item in case.chosen]
    return tuple({ref.item: ref for ref in (*chosen, *before)}[i] for i in _order(before, chosen))


def _order(before: tuple[FilingRef, ...], chosen: list[FilingRef]) -> list[str]:
    return list(dict.fromkeys([*(r.item for r in before), *(r.item for r in chosen)]))
