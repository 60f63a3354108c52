"""A wrong tick is taken back while nothing was decided on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from story import PROVINCE, Events, uscc
from world import World

from processors.evolve_cases import irrevocable
from processors.route import ClockJumped, RunningTime, check_running, correction, tick
from processors.stages import refold

H = uscc(1)
APPLIED = "2018-03-01T10:00:00+08:00"
RIGHT = "2018-03-02T00:00:00+08:00"
WRONG = "2024-06-01T00:00:00+08:00"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def ticked(world: World, text: str = WRONG) -> World:
    world.take(tick(moment(text), moment(text), "clock", "internal"))
    return world


def corrected(world: World) -> World:
    world.take(correction(moment(RIGHT), moment(RIGHT), "时钟错误"))
    return world


def granted() -> World:
    e = Events()
    e.apply(APPLIED, "N", H)
    return World().tell(e.lines)


def incomplete() -> World:
    e = Events()
    e.apply(APPLIED, "N", H, materials=[{"kind": "application-form"}])
    return World().tell(e.lines)


def test_an_expiry_by_a_wrong_tick_is_taken_back_and_comes_again_in_its_time() -> None:
    """State, deadlines and the moment decided are those of before; the facts of both expiries stand."""
    world = granted()
    before = world.state(H)
    assert "expired" == ticked(world).licences(H)[0]["status"]
    after = corrected(world).state(H)
    [licence] = after.licences.values()
    assert ("valid", before.upto, before.checks) == (licence.status, after.upto, after.checks)
    assert "clock.corrected" == licence.history[-1].event
    assert "expired" == ticked(world).licences(H)[0]["status"]
    ids = [fact.id for fact in world.facts if fact.type == "licence.status"]
    assert (2, 2) == (len(ids), len(set(ids)))
    assert world.state(H) == refold(world.facts)[world.key(H)]


def test_a_lapsed_case_is_open_again() -> None:
    """What was missing can then be supplied as if the tick had never been."""
    world = incomplete()
    assert "lapsed" == ticked(world).case(H, "N")["state"]
    assert "correction-requested" == corrected(world).case(H, "N")["state"]
    e = Events()
    e.lines = [{}] * 9
    e.add(
        "application.materials-supplied", "2018-03-02T10:00:00+08:00",
        {"application_id": "N", "holder_id": H, "materials": [
            {"kind": "commitment-letter", "signed_on": "2018-03-02"}, {"kind": "business-licence"}]},
        PROVINCE,
    )  # fmt: skip
    assert "issued" == world.tell(e.lines[9:]).case(H, "N")["state"]


def test_what_was_decided_on_a_wrong_tick_stays_and_is_named() -> None:
    """An event that had an effect was decided on it; one that was refused had none."""
    e = Events()
    e.apply("2018-03-01T11:00:00+08:00", "M", H)
    refused = ticked(granted())
    data = {"granted_by": "X", "holder_id": H, "ground": "依法", "decided_on": "2018-03-01"}
    other = Events()
    other.add("licence.revoked", "2018-03-01T12:00:00+08:00", data, PROVINCE)
    other.lines[0]["id"] = "refused"
    refused.tell(other.lines)
    assert ([], "valid") == (
        irrevocable(refused.state(H), RIGHT),
        corrected(refused).licences(H)[0]["status"],
    )
    again = ticked(granted())
    e.lines[0]["id"] = "another"
    again.tell(e.lines)
    assert "expired" == corrected(again).licences(H)[0]["status"]
    [said] = irrevocable(again.state(H), RIGHT)
    assert "something was decided" in said


def test_a_correction_concerns_nothing_that_fell_due_before_it() -> None:
    """What rightly fell due stays."""
    world = ticked(incomplete())
    world.take(correction(moment("2023-01-01T00:00:00+08:00"), moment(WRONG), "时钟错误"))
    assert "lapsed" == world.case(H, "N")["state"]


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "start", "refused"),
    [(0.5, "a", False), (1.5, "a", True), (1.5, "b", False), (60_000, "a", True), (-5, "a", False)],
)
def test_a_tick_over_an_hour_past_the_running_time_is_refused(
    ahead: float, start: str, refused: bool
) -> None:
    """After a new start of the machine its running time says nothing."""
    before = RunningTime(NOW, 100.0, "a")
    at = NOW + timedelta(hours=ahead, seconds=60)
    now = RunningTime(at, 160.0, start)
    if refused:
        with pytest.raises(ClockJumped, match="running time"):
            check_running(at, now, before)
    else:
        check_running(at, now, before)
