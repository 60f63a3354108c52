"""What an item file alone decides: the months of a renewal."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from story import Events, ric, uscc
from world import World

from schemas.items import Catalogue, Renewal, catalogue_of, load_catalogue

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
