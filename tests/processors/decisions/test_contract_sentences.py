"""Sentences of the contract about intake, one by one, that have no other table."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from story import PROVINCE, Events, ric, uscc
from world import RECEIVED, World

from processors.route import route
from processors.state import MOST_REFUSALS, encode
from schemas.events import parse_event

H, P = uscc(1), ric(7)
DAY = "2018-03-01T10:00:00+08:00"
FORM = [{"kind": "application-form"}]
OPERATOR = "special-equipment-operator"


def who(**over: Any) -> dict[str, Any]:
    return {
        "kind": "enterprise",
        "id": H,
        "name": "青海一厂",
        "address": "积石镇",
        "division": "630225",
        **over,
    }


def full(signed_on: str = "2018-03-01") -> list[dict[str, Any]]:
    letter = {"kind": "commitment-letter", "signed_on": signed_on}
    return [*FORM, letter, {"kind": "business-licence"}]


def granted(**over: Any) -> Events:
    e = Events()
    e.apply(DAY, "N", H, applicant=who(**over), materials=full())
    return e


@pytest.mark.parametrize(
    ("signed_on", "state"),
    [
        ("2018-03-01", "issued"),
        ("2017-03-01", "issued"),  # 365 days before
        ("2017-02-28", "correction-requested"),  # 366 days before
        ("1970-01-01", "correction-requested"),
        ("2018-03-02", "correction-requested"),
    ],
)
def test_the_age_of_a_letter(signed_on: str, state: str) -> None:
    """A letter signed after the event's date or more than 365 days before it is missing."""
    e = Events()
    e.apply(DAY, "N", H, applicant=who(), materials=full(signed_on))
    row = World().tell(e.lines).case(H, "N")
    assert (state, [] if state == "issued" else ["commitment-letter"]) == (row["state"], row["missing"])


@pytest.mark.parametrize(
    ("registered", "stated"),
    [("青海马场", "青海⻢场"), ("青海（西宁）厂", "青海 (西宁) 厂"), ("买买提·艾力商行", "买买提•艾力商行")],
)
def test_a_name_that_looks_the_same_contradicts_nothing(registered: str, stated: str) -> None:
    """Names of enterprises are compared as a reader sees them."""
    e = granted(name=registered)
    e.apply("2018-03-02T10:00:00+08:00", "A", H, action="reissue", applicant=who(name=stated), materials=FORM,
            products=..., granted_by="N")  # fmt: skip
    assert "issued" == World().tell(e.lines).case(H, "A")["state"]


def _operator(e: Events, time: str, app: str, name: str, **over: Any) -> None:
    applicant = {"kind": "person", "id": P, "name": name, "address": "积石镇", "division": "630225"}
    e.apply(time, app, P, item=OPERATOR, applicant=applicant, products=..., **over)


@pytest.mark.parametrize(
    ("stated", "missing"),
    [("买买提•艾力", []), ("买买提 ‧ 艾力", []), ("买买提·艾山", ["applicant.name"])],
)
def test_names_of_persons_are_compared_as_those_of_enterprises(stated: str, missing: list[str]) -> None:
    """A person's name is sealed and compared all the same by what a reader sees."""
    e = Events()
    e.add(
        "licence.imported",
        DAY,
        {
            "holder": {"kind": "person", "id": P, "name": "买买提·艾力", "address": "积石镇", "division": "630225"},
            "licence_number": "SE-1", "item": OPERATOR, "issued_on": "2016-01-01", "valid_from": "2016-01-01",
            "valid_until": "2020-12-31",
        },
        PROVINCE,
    )  # fmt: skip
    _operator(
        e, "2018-03-02T10:00:00+08:00", "A", stated, action="reissue", licence_number="SE-1", materials=FORM
    )
    world = World().tell(e.lines)
    row = world.case(P, "A")
    assert missing == row["missing"]
    assert "买买提" not in str(world.facts)


def test_an_import_may_have_no_end() -> None:
    """`valid_until` null or absent: no end; nothing expires, and there is nothing to renew."""
    for value in ({}, {"valid_until": None}):
        e = Events()
        data = {
            "holder": who(), "licence_number": "(青)XK99-009-00001", "item": "industrial-product-licence",
            "products": [{"category": "化肥"}], "issued_on": "2016-01-01", "valid_from": "2016-01-01", **value,
        }  # fmt: skip
        e.add("licence.imported", DAY, data, PROVINCE)
        e.add("clock.ticked", "2039-01-01T00:00:00+08:00", {}, "urn:agency:630000:clock")
        [licence] = World().tell(e.lines).licences(H)
        assert (None, "valid") == (licence["valid_until"], licence["status"])


def test_dates_at_their_limits_raise_nothing() -> None:
    """The last date of the contract is a date like any other in every field."""
    e = Events()
    data = {
        "holder": who(), "licence_number": "(青)XK99-009-00001", "item": "industrial-product-licence",
        "products": [{"category": "化肥"}], "issued_on": "1900-01-01", "valid_from": "1900-01-01",
        "valid_until": "2999-12-31",
    }  # fmt: skip
    e.add("licence.imported", DAY, data, PROVINCE)
    order = {
        "licence_number": "(青)XK99-009-00001",
        "holder_id": H,
        "ground": "依法",
        "decided_on": "1900-01-01",
    }
    e.add("licence.suspended", "2018-03-02T10:00:00+08:00", {**order, "until": "2999-12-31"}, PROVINCE)
    e.apply("2018-03-03T10:00:00+08:00", "R", H, action="reissue", applicant=who(), materials=FORM, products=...,
            licence_number="(青)XK99-009-00001")  # fmt: skip
    world = World().tell(e.lines)
    assert ("suspended", "2999-12-31") == (
        world.licences(H)[0]["status"],
        world.licences(H)[0]["valid_until"],
    )
    assert "issued" == world.case(H, "R")["state"]


def test_full_width_digits_of_a_division_are_read() -> None:
    """A division in full-width digits is the division."""
    e = granted(division="６３０２２５")
    assert ("issued", "630225") == (
        World().tell(e.lines).case(H, "N")["state"],
        World().tell(e.lines).state(H).division,
    )


def test_refusals_do_not_fill_the_state() -> None:
    """After many refused events the state holds the last of them, and stays small."""
    e = granted()
    for n in range(1000):
        time = f"2018-03-02T{10 + n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}+08:00"
        data = {"granted_by": "N", "holder_id": H, "ground": "依法", "decided_on": "2018-03-02"}
        e.add("licence.revoked", time, data, "urn:agency:632801:market-regulation")
    world = World().tell(e.lines)
    state = world.state(H)
    assert MOST_REFUSALS == len(state.refused)
    assert len(encode(state)) < 250_000
    [licence] = state.licences.values()
    assert ("granted", MOST_REFUSALS) == (
        licence.history[0].event,
        sum(line.event.startswith("refused:") for line in licence.history),
    )


def test_a_certificate_that_fails_shows_in_the_case() -> None:
    """A granted case whose certificate could not be made says so."""
    world = World()
    world.unissuable.add("N")
    row = world.tell(granted().lines).case(H, "N")
    assert "granted" == row["state"]
    assert "could not be made" in row["reason"]


def _entry(name: str, kind: str = "enterprise", number: str = H) -> Any:
    e = Events()
    applicant = {"kind": kind, "id": number, "name": name, "address": "积石镇", "division": "630225"}
    e.apply(DAY, "N", number, applicant=applicant, materials=full())
    raw = msgspec.json.encode(e.lines[0])

    def unprintable(text: str) -> str:
        return "".join(dict.fromkeys(c for c in text if c in "𪚥Łź😀"))

    return route(parse_event(raw, RECEIVED), RECEIVED, PROVINCE, "none", World().persons, None, unprintable)


def test_what_no_font_has_stands_in_the_entry() -> None:
    """The entry names the characters of an enterprise, and of a person, whose name is sealed, their places."""
    assert {"applicant.name": "𪚥 (U+2A6A5) 😀 (U+1F600)"} == _entry("李𪚥😀厂").payload.unprintable
    personal = _entry("李𪚥", "person", P)
    assert {"applicant.name": "第 2 字 / character 2"} == personal.payload.unprintable
    assert "𪚥".encode() not in msgspec.json.encode(personal)
    assert {} == _entry("青海一厂").payload.unprintable
