"""Events as an agency writes them: each passes the door, whatever it says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import agency_events
from producers.agency_events import Named, Sender
from schemas.events import parse_event

AT = datetime(2018, 4, 2, 2, 0, tzinfo=UTC)
SENDER = Sender("urn:agency:630000:market-regulation", AT, "e-1")
HOLDER = "9163000071040638XJ"
LICENCE = Named(number="(青)XK13-001-00001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def entered(event: dict[str, Any]) -> str:
    """The type under which the door takes an event in."""
    return parse_event(json.dumps(event).encode(), NOW).type_name


@pytest.mark.parametrize("command", sorted(agency_events.ORDERS))
@pytest.mark.parametrize("named", [LICENCE, Named(granted_by="QH-1")])
def test_every_order_passes_the_door(command: str, named: Named) -> None:
    """Named either way, with what its kind needs."""
    more: dict[str, Any] = {}
    if command == "suspend":
        more["until"] = date(2018, 6, 1)
    if command == "rescind":
        more["deceit"] = False
    event = agency_events.order(SENDER, command, named, HOLDER, "依法", **more)
    assert entered(event) == agency_events.ORDERS[command]
    assert event["data"]["decided_on"] == "2018-04-02"
    assert ("licence_number" in event["data"]) is (named.number is not None)


def test_the_day_of_a_decision_is_chinas() -> None:
    """18:00 UTC is the next day in China; a day that is told counts."""
    late = SENDER._replace(at=AT + timedelta(hours=16))
    assert agency_events.order(late, "revoke", LICENCE, HOLDER, "x")["data"]["decided_on"] == "2018-04-03"
    told = agency_events.order(late, "revoke", LICENCE, HOLDER, "x", decided_on=date(2018, 3, 1))
    assert told["data"]["decided_on"] == "2018-03-01"


@pytest.mark.parametrize("action", ["extend", "change", "renew", "reissue", "merge", "surrender"])
def test_every_application_passes_the_door(action: str) -> None:
    """With the materials that the action needs: the letter again only for extend, renew and merge."""
    names = [LICENCE, Named(number="(青)XK13-001-00002")] if action == "merge" else [LICENCE]
    materials = agency_events.materials_of(action, date(2018, 4, 2), "李四")
    event = agency_events.application(
        SENDER, "A-1", action, "industrial-product-licence", names, {"kind": "enterprise", "id": HOLDER},
        window="630225", channel="window", materials=materials,
        products=[{"category": "化肥"}] if action == "extend" else None,
        change={"name": "新名"} if action == "change" else None,
    )  # fmt: skip
    assert entered(event) == "application.submitted"
    assert len(materials) == (2 if action in ("extend", "renew", "merge") else 1)
    assert agency_events.materials_of(action) == [{"kind": "application-form"}]


@given(
    kind=st.sampled_from(["received", "claimed", "returned", "corrected"]),
    answers=st.none() | st.dictionaries(st.sampled_from("abc"), st.integers(0, 9) | st.booleans()),
)
def test_every_filing_passes_the_door(kind: str, answers: dict[str, Any] | None) -> None:
    """What is not said stands nowhere in the event."""
    event = agency_events.filing(SENDER, kind, "R-1:tax", HOLDER, "tax", answers=answers)
    assert entered(event) == f"filing.{kind}"
    assert ("answers" in event["data"]) is (answers is not None)
    assert "reason" not in event["data"]
