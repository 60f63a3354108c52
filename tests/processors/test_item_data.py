"""What an item file alone decides: the months of a renewal, the days for a certificate."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from story import Events, ric, uscc
from world import World

from schemas.item_types import Renewal
from schemas.items import Catalogue, catalogue_of, load_catalogue

FORM = [{"kind": "application-form"}]
LETTER = {"kind": "commitment-letter"}


def catalogue(code: str, renewal: Renewal) -> Catalogue:
    """The shipped items, one of them with months of its own."""
    items = [
        replace(item, renewal=renewal) if item.code == code else item
        for item in load_catalogue().items.values()
    ]
    return catalogue_of(items)


@pytest.mark.parametrize(("day", "state"), [("2023-02-27", "refused"), ("2023-02-28", "issued")])
def test_when_a_renewal_is_heard_is_data(day: str, state: str) -> None:
    """Six months before the end instead of twelve; the reason names the first day."""
    e = Events()
    e.apply("2018-09-01T10:00:00+08:00", "N", uscc(1))
    e.apply(
        f"{day}T10:00:00+08:00", "A", uscc(1), action="renew", granted_by="N", products=...,
        materials=[*FORM, {**LETTER, "signed_on": day}],
    )  # fmt: skip
    world = World(catalogue=catalogue("industrial-product-licence", Renewal(6, 3))).tell(e.lines)
    case = world.case(uscc(1), "A")
    assert state == case["state"]
    assert ("2023-02-28" in (case["reason"] or "")) is (state == "refused")


HALL = "urn:agency:630225:service-hall"


def registration(shared: dict[str, str]) -> Events:
    """A registration with one filing."""
    applicant = {
        "kind": "enterprise",
        "id": uscc(4),
        "name": "青海一店",
        "address": "积石镇",
        "division": "630225",
    }
    data = {
        "application_id": "R", "applicant": applicant, "items": [{"item": "recycling-filing"}], "shared": shared,
        "materials": FORM,
    }  # fmt: skip
    e = Events()
    e.add("registration.submitted", "2018-03-05T09:00:00+08:00", data, HALL)
    return e


def without(code: str) -> Catalogue:
    """The shipped items but one."""
    return catalogue_of([item for item in load_catalogue().items.values() if item.code != code])


def test_a_filing_whose_item_is_gone_is_not_pushed_again() -> None:
    """The correction is refused by an event that says why; nothing fails."""
    e = registration({"recycled-goods": "废钢铁", "site-address": "积石镇二号"})
    about = {"filing_id": "R:recycling-filing", "holder_id": uscc(4), "department": "commerce"}
    e.add("filing.returned", "2018-03-06T09:00:00+08:00", about, "urn:agency:630225:commerce")
    world = World().tell(e.lines)
    world.catalogue = without("recycling-filing")
    world.send(e.add("filing.corrected", "2018-03-07T09:00:00+08:00", about, HALL))
    holder = world.holder(uscc(4))
    assert [x["state"] for x in holder["filings"]] == ["returned"]
    assert "recycling-filing" in holder["refused"][-1]["reason"]


def test_a_registration_whose_item_is_gone_is_refused() -> None:
    """When what was missing comes, the chosen item is known no more."""
    e = registration({"recycled-goods": "废钢铁"})
    world = World().tell(e.lines)
    world.catalogue = without("recycling-filing")
    supplied = {"application_id": "R", "holder_id": uscc(4), "shared": {"site-address": "积石镇二号"}}
    world.send(e.add("application.materials-supplied", "2018-03-06T09:00:00+08:00", supplied, HALL))
    case = world.case(uscc(4), "R")
    assert case["state"] == "refused"
    assert "recycling-filing" in case["reason"]


@pytest.mark.parametrize(("protected", "status"), [(6, "expired"), (3, "valid")])
def test_until_when_a_renewal_protects_is_data(protected: int, status: str) -> None:
    """Filed four months before the end and not decided: deemed renewed where three months are enough."""
    person = ric(3)
    data: dict[str, Any] = {
        "item": "special-equipment-operator",
        "applicant": {
            "kind": "person",
            "id": person,
            "name": "某某",
            "address": "积石镇",
            "division": "630225",
        },
        "materials": [*FORM, {"kind": "examination-record"}],
        "products": ...,
    }
    e = Events()
    e.apply("2018-09-01T10:00:00+08:00", "N", person, **data)
    review = {
        "application_id": "N",
        "holder_id": person,
        "department": "market-regulation",
        "officer": "o",
        "decision": "approve",
    }
    e.add("application.reviewed", "2018-09-03T10:00:00+08:00", review, "urn:agency:630200:market-regulation")
    e.apply(
        "2022-05-02T10:00:00+08:00",
        "A",
        person,
        **data | {"action": "renew", "granted_by": "N", "materials": FORM},
    )
    e.add("clock.ticked", "2022-10-01T10:00:00+08:00", {}, "urn:agency:630000:clock")
    world = World(catalogue=catalogue("special-equipment-operator", Renewal(12, protected))).tell(e.lines)
    assert [row["status"] for row in world.licences(person)] == [status]


def test_the_limit_of_a_certificate_is_data() -> None:
    """Five working days instead of ten: 2018-09-03, a Monday, to the 10th; what cannot be issued alarms after it."""
    items = load_catalogue().items
    item = items["industrial-product-licence"]
    shorter = replace(item, limits=replace(item.limits, certificate=5))
    world = World(catalogue=catalogue_of([*(i for i in items.values() if i is not item), shorter]))
    world.unissuable = {"N"}
    e = Events()
    e.apply("2018-09-03T10:00:00+08:00", "N", uscc(1))
    for day in ("2018-09-10", "2018-09-11"):
        e.add("clock.ticked", f"{day}T00:00:00+08:00", {}, "urn:agency:630000:clock")
    world.tell(e.lines)
    world.settle()
    assert world.case(uscc(1), "N")["certificate_due"] == "2018-09-10"
    history = world.case(uscc(1), "N")["history"]
    assert [(h["time"][:10], h["detail"]) for h in history if h["event"] == "overdue"] == [
        ("2018-09-11", "certificate 2018-09-10")
    ]
