"""Orders of an authority on a licence: 暂扣, 撤回, 撤销, 吊销, 注销, and what lifts them.

The table `TRANSITIONS` says what an order does: status × event → status. An event that is not in it is refused by an
event. Who may give an order follows from the licence's authority.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from msgspec.structs import replace

from processors.context import DecisionContext, MustAsk
from processors.decisions import normalise, reasons
from processors.state import Licence
from schemas import facts as f
from schemas.authorities import (
    competent_as_authority,
    competent_in_division,
    find,
    issuing_authority,
    named_on,
)
from schemas.calendar import barred_until
from schemas.canonical_json import derived_id
from schemas.event_types import (
    DecisionAnnulled,
    HolderClassified,
    LicenceImported,
    LicenceOrder,
    LicenceRescinded,
    LicenceSuspended,
)
from schemas.facts import ApplicantSeen, FilingState, LicenceStatus, Reason
from schemas.identifiers import compare
from schemas.item_types import ServiceItem
from schemas.items import place_of
from schemas.licence import Authority, Grant

LIVING: tuple[LicenceStatus, ...] = ("valid", "suspended")
ENDED: tuple[LicenceStatus, ...] = ("withdrawn", "rescinded", "revoked", "expired")

TRANSITIONS: dict[tuple[LicenceStatus, str], LicenceStatus] = {
    **{(status, "licence.suspended"): "suspended" for status in LIVING},
    ("suspended", "licence.resumed"): "valid",
    **{(status, "licence.withdrawn"): "withdrawn" for status in LIVING},
    **{(status, "licence.rescinded"): "rescinded" for status in LIVING},
    **{(status, "licence.revoked"): "revoked" for status in LIVING},
    **{(status, "licence.cancelled"): "cancelled" for status in (*LIVING, *ENDED)},
}

DUE: dict[tuple[LicenceStatus, str], LicenceStatus] = {
    ("suspended", "suspension ends"): "valid",
    **{(status, "validity ends"): "expired" for status in LIVING},
}

MOVES: dict[tuple[FilingState, str], FilingState] = {
    ("pushed", "filing.received"): "received",
    ("pushed", "filing.claimed"): "claimed",
    ("received", "filing.claimed"): "claimed",
    ("pushed", "filing.returned"): "returned",
    ("received", "filing.returned"): "returned",
    ("returned", "filing.corrected"): "pushed",
}

BAR_YEARS = 3  # after 撤销 for deceit (行政许可法 art 79) and after 吊销 (the regulations of the item)
FALSE_MATERIAL_YEARS = 1  # after a rejection for false material (行政许可法 art 78)


def after(status: LicenceStatus, event: str) -> LicenceStatus | None:
    """Return the status after an event, or None where the event does not apply."""
    return TRANSITIONS.get((status, event))


def table() -> str:
    """Return the table of a licence as Markdown, for `docs/lifecycle.md`."""
    rows = [(status, f"`{event}`", then) for (status, event), then in TRANSITIONS.items()]
    rows += [(status, f"*{event}*", then) for (status, event), then in DUE.items()]
    return _markdown(("status", "event", "next"), rows)


def filing_table() -> str:
    """Return the table of a filing."""
    rows = [(state, f"`{event}`", then) for (state, event), then in MOVES.items()]
    return _markdown(("state", "event", "next"), rows)


def bar_table() -> str:
    """Return the table of what bars an application, and for how many years."""
    return _markdown(
        ("after", "years"),
        [
            (
                "`licence.rescinded` with `deceit: true`, or an inspection with `commitment_false: true`",
                BAR_YEARS,
            ),
            ("`licence.revoked`", BAR_YEARS),
            ("a rejection with `false_material: true`", FALSE_MATERIAL_YEARS),
        ],
    )


def tables() -> str:
    """Return the tables of `docs/lifecycle.md`, which `python -m processors.decisions.orders` prints."""
    parts = (("Licence", table()), ("Filing", filing_table()), ("Bars", bar_table()))
    return "\n".join(f"### {name}\n\n{rows}" for name, rows in parts)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


Order = LicenceOrder | LicenceRescinded | LicenceSuspended


def ordered(context: DecisionContext, data: Order) -> None:
    """Carry out an order of an authority on a licence."""
    licence = context.licence_named(data.licence_number, data.granted_by)
    if licence is None:
        context.refuse_event(reasons.not_the_holders(data.licence_number or data.granted_by or ""))
        return
    status, grounds = _outcome(context, licence, data)
    if grounds:
        context.refuse_event(*grounds, licence=licence.key)
        return
    decided_on = data.decided_on.isoformat()
    if status in ("valid", "suspended"):
        until = data.until.isoformat() if isinstance(data, LicenceSuspended) else ""
        context.write(
            f.LicenceStatusChanged(
                licence.key, status, context.event, data.ground, data.legal_basis or "", decided_on, until
            )
        )
        return
    deceit = isinstance(data, LicenceRescinded) and data.deceit
    end(
        context,
        licence,
        status,
        context.event,
        data.ground,
        data.legal_basis or "",
        decided_on,
        deceit=deceit,
    )


def _outcome(context: DecisionContext, licence: Licence, data: Order) -> tuple[LicenceStatus, list[Reason]]:
    grounds = []
    if not competent_as_authority(context.source, licence.now.authority):
        grounds.append(reasons.not_competent(context.source))
    if data.decided_on > context.event_day:
        grounds.append(reasons.in_the_future("decided_on"))
    if isinstance(data, LicenceSuspended) and data.until < context.event_day:
        grounds.append(reasons.until_before())
    status = after(licence.status, context.event)
    if status is None:
        grounds.append(_not_from(licence, context.event))
    return status or licence.status, grounds


def _not_from(licence: Licence, event: str) -> Reason:
    if licence.living:
        return reasons.not_suspended(reasons.naming(licence))
    if licence.status == "cancelled" and event == "licence.cancelled":
        return reasons.closed_already(reasons.naming(licence))
    return reasons.ended_for_good(reasons.naming(licence), licence.status)


def end(
    context: DecisionContext,
    licence: Licence,
    status: LicenceStatus,
    event: str,
    ground: str,
    legal_basis: str = "",
    decided_on: str = "",
    *,
    deceit: bool = False,
    merged_into: str = "",
) -> None:
    """End a licence; impose the bar that follows, and refuse the open case on it."""
    decided_on = decided_on or context.day
    was_living = licence.living
    context.write(
        f.LicenceStatusChanged(
            licence.key, status, event, ground, legal_basis, decided_on, "", deceit, merged_into
        )
    )
    if status == "revoked" or (status == "rescinded" and deceit):
        ground_of_bar = reasons.revoked() if status == "revoked" else reasons.rescinded_for_deceit()
        bar(
            context,
            licence.item,
            date.fromisoformat(decided_on),
            BAR_YEARS,
            ground_of_bar,
            licence.key,
        )
    if was_living:
        for case in list(context.state.cases.values()):
            if case.open and licence.key in case.targets:
                context.write(f.CaseRefused(case.key, (reasons.licence_ended(status),)))


def bar(
    context: DecisionContext, item: str, since: date, years: int, ground: Reason, licence: str = ""
) -> None:
    """Bar applications for an item until the day before the anniversary."""
    until = barred_until(since, years).isoformat()
    context.write(f.BarImposed(item, since.isoformat(), until, ground, licence))


def annulled(context: DecisionContext, data: DecisionAnnulled) -> None:
    """Lift a decision after a review or a court ruling: the bar goes, and the holder gets a new licence."""
    licence = context.licence_named(data.licence_number, data.granted_by)
    if licence is None:
        context.refuse_event(reasons.not_the_holders(data.licence_number or data.granted_by or ""))
        return
    grounds = _annul_grounds(context, licence, data)
    if grounds:
        context.refuse_event(*grounds, licence=licence.key)
        return
    context.write(f.AnnulmentRecorded(licence.key, data.ground, data.decided_on.isoformat()))
    key = derived_id("annulled", licence.key)
    today = context.day
    made = replace(
        licence.now,
        grant_id=derived_id(key, 1),
        licence_id=key,
        version=1,
        number=None,
        authority=named_on(
            licence.now.authority, context.item(licence.item), today, context.catalogue.directory
        ),
        issued_on=today,
        valid_from=today,
        decided_at=context.time,
    )
    case = compare(licence.now.application_id) if licence.now.application_id else ""
    context.write(f.LicenceGranted(made, case, "annulled", licence.key))


def _annul_grounds(context: DecisionContext, licence: Licence, data: DecisionAnnulled) -> list[Reason]:
    grounds = []
    if not competent_as_authority(context.source, licence.now.authority):
        grounds.append(reasons.not_competent(context.source))
    if data.decided_on > context.event_day:
        grounds.append(reasons.in_the_future("decided_on"))
    if not licence.decision:
        grounds.append(reasons.nothing_to_annul(reasons.naming(licence)))
    elif licence.annulled:
        grounds.append(reasons.annulled_already(reasons.naming(licence)))
    old_end = licence.now.valid_until
    if old_end is not None and context.day > old_end:
        grounds.append(reasons.after_old_end(old_end))
    return grounds


def imported(context: DecisionContext, data: LicenceImported, payload: dict[str, Any]) -> None:
    """Enter a licence issued elsewhere as version 0, where its number is nobody else's."""
    item = context.item(data.item)
    holder = normalise.applicant_seen(data.holder, payload)
    number = compare(data.licence_number)
    grounds = []
    if item is None or item.mode == "filing":
        grounds.append(reasons.unknown_item(data.item))
    elif holder.kind != item.holder:
        grounds.append(reasons.wrong_holder(item.holder))
    if not payload["who"]["id_ok"]:
        grounds.append(reasons.wrong_identifier(holder.display))
    if find(holder.division) is None:
        grounds.append(reasons.unknown_division(holder.division))
    authority = _authority(context, item, holder.division, data.issued_on)
    if authority is not None and not competent_as_authority(context.source, authority):
        grounds.append(reasons.not_competent(context.source))
    elif context.rules >= 2 and context.state.licences and _contradicts_record(context, holder):
        recorded = _authority(context, item, context.state.division, data.issued_on)
        if recorded is None or not competent_as_authority(context.source, recorded):
            grounds += [reasons.contradicts_record(), reasons.not_competent(context.source)]
    if any(licence.number == number for licence in context.state.licences.values()):
        grounds.append(reasons.known_number(number))
    end_of_it = data.valid_until or date.max
    if not data.issued_on <= end_of_it >= data.valid_from:
        grounds.append(reasons.dates_out_of_order())
    products = normalise.products(data.products)
    if item is not None:
        grounds += [
            reasons.unknown_category(p.category)
            for p in products
            if item.products and not item.category(p.category)
        ]
    if grounds or item is None or authority is None:
        context.refuse_event(*(grounds or [reasons.unknown_division(holder.division)]))
        return
    if context.free is None:
        raise MustAsk(number, place_of(number, context.catalogue))
    if not context.free:
        context.refuse_event(reasons.anothers_number(number))
        return
    no_glyph = normalise.unprintable(payload)
    if no_glyph:
        context.refuse_event(reasons.no_glyph(no_glyph))
        return
    key = derived_id("imported", context.state.holder, number)
    digits = item.number.digits if item.number else 5
    series, serial = _series(number, digits)
    made = Grant(
        grant_id=derived_id(key, 0), licence_id=key, version=0, item=item.code,
        item_digest=context.catalogue.digests[item.code], application_id="", holder=context.state.holder,
        holder_kind=holder.kind, holder_id=holder.display, holder_name=holder.name, address=holder.address,
        division=holder.division, authority=authority, issued_on=data.issued_on.isoformat(),
        valid_from=data.valid_from.isoformat(), valid_until=data.valid_until.isoformat() if data.valid_until else None, decided_at=context.time,
        series=series, digits=digits, type_code=item.type_code, number=number, products=products,
    )  # fmt: skip
    context.write(f.ImportRecorded(made, serial, holder.folds))


def _authority(
    context: DecisionContext, item: ServiceItem | None, division: str, on: date
) -> Authority | None:
    """Return the authority that issues an item in a known division on a day; None where there is none."""
    if item is None or find(division) is None:
        return None
    return issuing_authority(item, division, on.isoformat(), context.catalogue.directory)


def _contradicts_record(context: DecisionContext, holder: ApplicantSeen) -> bool:
    """Tell whether an import says another name, address or division of a known holder than the register."""
    state = context.state
    folds = {**state.folds, **holder.folds}
    return not (
        find(holder.division) == find(state.division)
        and normalise.same(folds, holder.name, state.name)
        and normalise.same(folds, holder.address, state.address)
    )


def _series(number: str, digits: int) -> tuple[str, int | None]:
    """Return the series of an imported number and its serial; the whole number and None where it is of no series."""
    head, tail = number[:-digits], number[-digits:]
    return (head, int(tail)) if head and tail.isascii() and tail.isdigit() else (number, None)


def classified(context: DecisionContext, data: HolderClassified) -> None:
    """Record the credit class of a holder."""
    if not competent_in_division(context.source, "market-regulation", context.state.division):
        context.refuse_event(reasons.not_competent(context.source))
        return
    context.write(f.ClassRecorded(data.credit_class, context.display))


if __name__ == "__main__":
    sys.stdout.write(tables())
