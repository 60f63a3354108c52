"""Promised and kept: the published example, and figures recomputed by hand from the facts of small stories."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace
from story import PROVINCE, Events, ric, uscc
from world import World

from processors.queries.promises import TYPES, Wanted, figures, fold, totals
from schemas.facts import Fact
from schemas.item_types import Limits
from schemas.items import catalogue_of, load_catalogue

# 23 items of a prefecture with their statutory and promised working days, as they add up to the published example
PUBLISHED = {f"item-{n}": pair for n, pair in enumerate([(3, 20)] * 13 + [(5, 15)] * 8 + [(3, 15), (3, 15)])}
PREFECTURE = "urn:agency:630200:market-regulation"
HALL = "urn:agency:630225:service-hall"
FORM = [{"kind": "application-form"}]


def row(world: World, item: str, wanted: Wanted = Wanted()) -> dict[str, Any]:  # noqa: B008
    """The one row of an item."""
    found = figures(fold(world.facts, world.catalogue), world.catalogue, wanted)
    rows = [r for r in found["rows"] if r["item"] == item]
    assert len(rows) == 1
    return rows[0]


def test_the_published_example() -> None:
    """23 items, 410 → 85 working days: 79.3 %."""
    assert len(PUBLISHED) == 23
    assert totals(PUBLISHED) == (410, 85, 0.793)
    model = load_catalogue().items["food-workshop-licence"]
    items = [
        replace(model, code=code, limits=Limits(promised, statutory))
        for code, (promised, statutory) in PUBLISHED.items()
    ]
    catalogue = catalogue_of(items)
    total = figures(fold((), catalogue), catalogue)["total"]
    assert [total[k] for k in ("items", "statutory", "promised", "compression")] == [23, 410, 85, 0.793]
    assert total["kept_rate"] is None


def test_commitment_items_are_decided_at_once() -> None:
    """Three complete applications: 0 days each, all in time; a refused one and one that waits are told apart."""
    e = Events()
    for n in range(3):
        e.apply(f"2018-09-1{n}T10:00:00+08:00", f"A{n}", uscc(n))
    e.apply("2018-09-12T10:00:00+08:00", "A3", uscc(3)[:-1] + ("0" if uscc(3)[-1] != "0" else "1"))
    e.apply("2018-09-12T10:00:00+08:00", "A4", uscc(4), materials=FORM)
    found = row(World().tell(e.lines), "industrial-product-licence")
    assert (found["statutory"], found["promised"], found["compression"]) == (60, 3, 0.95)
    assert (found["measured"], found["kept"], found["kept_rate"]) == (3, 3, 1.0)
    assert (found["median_days"], found["p95_days"]) == (0.0, 0)
    assert (found["granted"], found["refused"], found["open"]) == (3, 1, 1)
    assert (found["authority"], found["authority_name"]) == (PROVINCE, "青海省市场监督管理局")
    assert (found["materials_before"], found["materials_after"]) == (9, 3)


def operator(e: Events, n: int, time: str) -> str:
    """An application of a person for the operator's certificate."""
    person = ric(n)
    applicant = {"kind": "person", "id": person, "name": "某某", "address": "积石镇", "division": "630225"}
    materials = [{"kind": "application-form"}, {"kind": "examination-record"}]
    data = {
        "application_id": f"P{n}",
        "item": "special-equipment-operator",
        "action": "new",
        "applicant": applicant,
        "materials": materials,
        "channel": "window",
        "window": "630225",
    }
    e.add("application.submitted", time, data, HALL)
    return person


def about(e: Events, kind: str, time: str, n: int, person: str, **more: Any) -> None:
    e.add(f"application.{kind}", time, {"application_id": f"P{n}", "holder_id": person, **more}, PREFECTURE)


def review(e: Events, time: str, n: int, person: str, decision: str = "approve") -> None:
    about(
        e, "reviewed", time, n, person, department="market-regulation", officer="officer-1", decision=decision
    )


def test_reviews_are_counted_in_working_days() -> None:
    """By hand, promised 1 day: same day 0, Saturday worked 1, over the holidays 2, stopped 1, rejected 5."""
    e = Events()
    for n, (filed, decided, decision) in enumerate(
        [
            ("2018-09-10", "2018-09-10", "approve"),
            ("2018-09-28", "2018-09-29", "approve"),  # a Saturday that was worked
            ("2018-09-29", "2018-10-08", "approve"),  # 30 September worked, then the national holidays
            ("2018-09-10", "2018-09-17", "reject"),
        ]
    ):
        person = operator(e, n, f"{filed}T09:00:00+08:00")
        review(e, f"{decided}T15:00:00+08:00", n, person, decision)
    person = operator(e, 7, "2018-09-10T09:00:00+08:00")
    about(e, "clock-stopped", "2018-09-10T10:00:00+08:00", 7, person, cause="testing")
    about(e, "clock-resumed", "2018-09-13T10:00:00+08:00", 7, person, cause="testing")
    review(e, "2018-09-14T10:00:00+08:00", 7, person)
    found = row(World().tell(e.lines), "special-equipment-operator")
    # days: 0, 1, 2, 5, and 4 − 3 = 1
    assert (found["median_days"], found["p95_days"]) == (1.0, 5)
    assert (found["measured"], found["kept"], found["kept_rate"]) == (5, 3, 0.6)
    assert (found["granted"], found["refused"]) == (4, 1)
    assert found["authority"] == PREFECTURE


def test_an_open_case_past_its_promise_is_not_kept() -> None:
    """Nobody can improve the rate by not deciding; what the applicant took back does not count."""
    e = Events()
    operator(e, 1, "2018-09-10T09:00:00+08:00")
    two = operator(e, 2, "2018-09-10T09:00:00+08:00")
    about(e, "withdrawn", "2018-09-11T09:00:00+08:00", 2, two)
    operator(e, 3, "2018-09-20T09:00:00+08:00")
    found = row(World().tell(e.lines), "special-equipment-operator")
    assert (found["measured"], found["kept"], found["open"], found["ended"]) == (1, 0, 2, 1)


@pytest.mark.parametrize(
    ("wanted", "measured"),
    [
        (Wanted(date(2018, 9, 11), date(2018, 9, 11)), 1),
        (Wanted(date(2018, 9, 11)), 2),
        (Wanted(None, date(2018, 9, 10)), 1),
        (Wanted(division="630000"), 3),
        (Wanted(items=("industrial-product-licence",)), 3),
    ],
)
def test_what_is_asked_for(wanted: Wanted, measured: int) -> None:
    """Period by day of decision, both ends counted; division and those below; item."""
    e = Events()
    for n in range(3):
        e.apply(f"2018-09-1{n}T10:00:00+08:00", f"A{n}", uscc(n))
    assert row(World().tell(e.lines), "industrial-product-licence", wanted)["measured"] == measured


def test_another_division_sees_nothing() -> None:
    """A county has no part in what the province decided."""
    e = Events()
    e.apply("2018-09-10T10:00:00+08:00", "A", uscc(1))
    world = World().tell(e.lines)
    assert (
        figures(fold(world.facts, world.catalogue), world.catalogue, Wanted(division="630225"))["rows"] == []
    )


def registration(e: Events) -> None:
    applicant = {
        "kind": "enterprise",
        "id": uscc(5),
        "name": "青海五店",
        "address": "积石镇",
        "division": "630225",
    }
    shared = {
        "recycled-goods": "废钢铁",
        "site-address": "积石镇二号",
        "legal-representative": "法定代表人",
        "seal-kinds": "公章",
    }
    data = {
        "application_id": "R",
        "applicant": applicant,
        "items": [{"item": "recycling-filing"}, {"item": "seal-engraving-filing"}],
        "shared": shared,
        "materials": FORM,
    }
    e.add("registration.submitted", "2018-09-10T09:00:00+08:00", data, HALL)


def filing(
    e: Events, kind: str, time: str, item: str, department: str, source: str = "", **more: Any
) -> None:
    data = {"filing_id": f"R:{item}", "holder_id": uscc(5), "department": department, **more}
    e.add(f"filing.{kind}", time, data, source or f"urn:agency:630225:{department}")


def test_filings_are_measured_from_push_to_answer() -> None:
    """Promised 7 days: one claimed the next day; one returned after 9, corrected and claimed the same day."""
    e = Events()
    registration(e)
    filing(e, "claimed", "2018-09-11T09:00:00+08:00", "recycling-filing", "commerce")
    seal = ("seal-engraving-filing", "public-security")
    filing(e, "returned", "2018-09-21T09:00:00+08:00", *seal, reason="印章种类不明")
    filing(
        e,
        "corrected",
        "2018-09-25T09:00:00+08:00",
        *seal,
        source=HALL,
        answers={"seal-kinds": "公章、财务章"},
    )
    filing(e, "claimed", "2018-09-25T12:00:00+08:00", *seal)
    world = World().tell(e.lines)
    one, two = row(world, "recycling-filing"), row(world, "seal-engraving-filing")
    assert (one["authority"], one["kept"], one["measured"], one["median_days"]) == (
        "urn:agency:630225:commerce", 1, 1, 1.0,
    )  # fmt: skip
    assert (two["kept"], two["measured"], two["granted"], two["refused"]) == (1, 2, 1, 1)
    assert two["median_days"] == 4.5  # 9 and 0
    assert row(world, "business-licence")["kept_rate"] == 1.0


def test_the_order_of_holders_changes_nothing() -> None:
    """Facts of different holders mixed in any way, and only the types asked for: the same table."""
    e = Events()
    for n in range(6):
        e.apply(f"2018-09-{10 + n}T10:00:00+08:00", f"A{n}", uscc(n))
        review(e, "2018-09-27T10:00:00+08:00", n, operator(e, n, "2018-09-20T09:00:00+08:00"))
    world = World().tell(e.lines)
    expected = figures(fold(world.facts, world.catalogue), world.catalogue)
    by_holder: dict[str, list[Fact]] = {}
    for fact in world.facts:
        if fact.type in TYPES:
            by_holder.setdefault(fact.holder, []).append(fact)
    chance = random.Random(1)
    for _ in range(5):
        queues = [list(reversed(facts)) for facts in by_holder.values()]
        mixed = []
        while queues := [q for q in queues if q]:
            mixed.append(chance.choice(queues).pop())
        assert figures(fold(mixed, world.catalogue), world.catalogue) == expected
