"""The state of a holder is bounded: history lies in facts, where queries find it."""

from __future__ import annotations

import pytest
from story import Events, uscc
from world import World

from processors.queries import views
from processors.stages import refold
from processors.state import MOST_CLOSED, MOST_WAITING, HolderState, encode
from schemas.facts import EventRefused, EventWaits
from schemas.identifiers import MOST_VERSIONS
from schemas.ledger import EventEntry

H = uscc(1)
STRANGER = "urn:agency:632801:market-regulation"
FORM = [{"kind": "application-form"}]


def at(n: int) -> str:
    return (
        f"2018-03-{2 + n // 3600 // 10:02d}T{10 + n // 3600 % 10:02d}:{n // 60 % 60:02d}:{n % 60:02d}+08:00"
    )


def whole(world: World) -> HolderState:
    return refold(world.facts, whole=True)[world.key(H)]


def junk(count: int) -> Events:
    """Applications that are refused, withdrawn ones, orders of strangers and supplements of unknown cases, in turn."""
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N", H)
    for n in range(count):
        match n % 4:
            case 0:
                e.apply(at(n), f"JUNK-{n}", H, item=f"unknown-item-{n}")
            case 1:
                e.apply(at(n), f"JUNK-{n}", H, materials=FORM, action="extend", granted_by="N")
            case 2:
                e.add("application.withdrawn", at(n), {"application_id": f"JUNK-{n - 1}", "holder_id": H})
            case _:
                order = {"granted_by": "N", "holder_id": H, "ground": "x" * 200, "decided_on": "2018-03-01"}
                e.add("licence.revoked", at(n), order, STRANGER)
    return e


@pytest.fixture(scope="module")
def flooded() -> World:
    """A holder with one licence and 10,000 junk events."""
    return World().tell(junk(10_000).lines)


def test_ten_thousand_junk_events_leave_a_small_state(flooded: World) -> None:
    """What is stored stays below 300 kB; the licence is what it was."""
    state = flooded.state(H)
    assert len(encode(state)) < 300_000
    assert ("valid", True) == (flooded.licences(H)[0]["status"], state.pruned)
    assert MOST_CLOSED >= sum(case.state in ("refused", "withdrawn") for case in state.cases.values())


def test_the_size_does_not_grow_with_further_junk(flooded: World) -> None:
    """Half as many events leave a state of the same size, within a tenth."""
    half = len(encode(World().tell(junk(5_000).lines).state(H)))
    assert abs(len(encode(flooded.state(H))) - half) < half / 10


def test_queries_show_what_the_state_left_out(flooded: World) -> None:
    """Every refusal, and the case that was closed first, with its whole history."""
    full = whole(flooded)
    assert 2_500 == sum(one.event == "licence.revoked" for one in full.refused)
    row = views.case_row(full, full.cases["JUNK-0"], flooded.persons.open)
    assert ("refused", ["submitted", "refused"]) == (row.state, [line.event for line in row.history])
    assert "JUNK-0" not in flooded.state(H).cases


def test_a_closed_case_keeps_its_id_and_stays_closed() -> None:
    """Its application again changes nothing, another one under its id is refused, and nothing is supplied to it."""
    e = junk(200)
    world = World().tell(e.lines)
    assert "JUNK-4" in world.state(H).closed
    first = next(one for one in e.lines if one["data"].get("application_id") == "JUNK-4")
    before = len(world.facts)
    again = Events()
    again.lines = [{}] * 5000
    again.add("application.submitted", "2018-04-01T10:00:00+08:00", first["data"], first["source"])
    again.apply("2018-04-01T11:00:00+08:00", "JUNK-4", H)
    again.add(
        "application.materials-supplied", "2018-04-01T12:00:00+08:00",
        {"application_id": "JUNK-4", "holder_id": H, "materials": FORM},
    )  # fmt: skip
    world.tell(again.lines[5000:])
    new = [fact for fact in world.facts[before:] if not fact.cause.startswith("due:")]
    assert ["event.repeated", "event.refused", "event.refused"] == [fact.type for fact in new]
    said = [str(fact.body.reasons[0]) for fact in new if isinstance(fact.body, EventRefused)]
    assert ["JUNK-4" in said[0], "not open (refused)" in said[1]] == [True, True]


def test_not_everything_may_wait_for_a_number() -> None:
    """Beyond a limit an event is refused and has to come again; what waits is decided in its order."""
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N", H)
    order = {
        "licence_number": "(青)XK99-009-99999",
        "holder_id": H,
        "ground": "x",
        "decided_on": "2018-03-01",
    }
    for n in range(MOST_WAITING + 7):
        e.add("licence.revoked", at(n), order, STRANGER)
    world = World(prompt=False).tell(e.lines)
    assert MOST_WAITING == len(world.state(H).waiting)
    kinds = [type(fact.body) for fact in world.facts]
    assert (MOST_WAITING, 7) == (kinds.count(EventWaits), kinds.count(EventRefused))
    world.settle()
    assert 0 == len(world.state(H).waiting)
    assert all(isinstance(one, EventEntry) or one.holder for one in world.ledger)


def test_a_licence_has_as_many_versions_as_its_identifier_can_number() -> None:
    """The thousandth is refused with what to do, before it is granted; a surrender is not, and a new licence follows."""
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N", H)
    for n in range(1, MOST_VERSIONS + 1):
        e.apply(at(n), f"R-{n}", H, action="reissue", granted_by="N", products=..., materials=FORM)
    e.apply(at(2000), "S", H, action="surrender", granted_by="N", products=..., materials=FORM)
    e.apply(at(2001), "N-2", H)
    world = World().tell(e.lines)
    refused = world.case(H, f"R-{MOST_VERSIONS}")
    assert ("refused", True) == (refused["state"], "999" in str(refused["reason"]))
    assert ["cancelled", "valid"] == [row["status"] for row in world.licences(H)]
    assert MOST_VERSIONS == world.licences(H)[0]["version"]
