"""When a person may be erased, and who looked."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from story import Events, ric
from world import World

from infra.cli.sending import fresh_id
from infra.persons.access_log import Accesses
from processors.queries.access import last_day, reasons_to_keep
from processors.queries.listings import CaseFilter, Listings, marks_of
from processors.state import HolderState
from schemas.errors import TransientError

PERSON = ric(7)
CLOCK = "urn:agency:630000:clock"


def applied(e: Events, *, approved: bool, decision: str = "approve", **over: Any) -> None:
    e.apply(
        "2018-03-01T09:00:00+08:00", "P-7", PERSON, item="special-equipment-operator",
        applicant={"kind": "person", "id": PERSON, "name": "李某", "address": "西宁", "division": "630102"},
        materials=[{"kind": "application-form"}, {"kind": "examination-record"}], products=..., window="630102",
    )  # fmt: skip
    if approved:
        review = {
            "application_id": "P-7", "holder_id": PERSON, "department": "market-regulation", "officer": "o",
            "decision": decision, **over,
        }  # fmt: skip
        e.add("application.reviewed", "2018-03-01T10:00:00+08:00", review)


def state(e: Events) -> HolderState:
    return World().tell(e.lines).state(PERSON)


def kept(found: HolderState, today: str, years: int = 3) -> str:
    return " ".join(keep.reason for keep in reasons_to_keep(found, years, date.fromisoformat(today)))


def test_an_open_case_keeps() -> None:
    """Whatever the year."""
    e = Events()
    applied(e, approved=False)
    assert "open case: P-7" in kept(state(e), "2090-01-01")


def test_a_living_licence_keeps_until_the_register_knows_its_end() -> None:
    """An end that no tick has told is no end."""
    e = Events()
    applied(e, approved=True)
    assert "living licence" in kept(state(e), "2090-01-01")
    e.add("clock.ticked", "2022-03-01T00:00:00+08:00", {}, CLOCK)
    ended = state(e)
    assert last_day(ended) == date(2022, 3, 1)
    assert "3" in kept(ended, "2025-02-28")
    assert kept(ended, "2025-03-01") == ""
    assert kept(ended, "2022-03-01", years=0) == ""


def test_a_bar_in_force_keeps() -> None:
    """Else it could be evaded by an erasure."""
    e = Events()
    applied(e, approved=True, decision="reject", false_material=True)
    barred = state(e)
    assert "bar in force" in kept(barred, "2019-02-28", years=0)
    assert kept(barred, "2019-03-01", years=1) == ""


def test_a_licence_that_is_being_issued_keeps() -> None:
    """Its page needs the name."""
    e = Events()
    applied(e, approved=True)
    world = World(prompt=False).tell(e.lines)
    assert "still being issued" in kept(world.state(PERSON), "2090-01-01")


def test_looks_at_persons_are_recorded_and_at_others_not(tmp_path: Path) -> None:
    """In their order, with those at everyone; of an enterprise there is no line."""
    log = Accesses(tmp_path, by="甲")
    assert log.of("p:1") == []
    log.record("9163000071040638XJ", "holder show")
    assert not (tmp_path / "accesses.db").exists()
    for person, what in (("p:1", "case show"), ("p:2", "case show"), ("*", "licence list"), ("p:1", "x")):
        log.record(person, what, "P-7")
    assert [(row.by, row.what) for row in log.of("p:1")] == [
        ("甲", "case show"),
        ("甲", "licence list"),
        ("甲", "x"),
    ]
    assert (tmp_path / "accesses.db").stat().st_mode & 0o777 == 0o600


def test_many_look_at_once(tmp_path: Path) -> None:
    """No look is lost, and none fails."""
    log = Accesses(tmp_path, by="甲")
    threads = [threading.Thread(target=lambda: [log.record("p:1", "x") for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.of("p:1")) == 40


def test_a_look_that_cannot_be_recorded_fails(tmp_path: Path) -> None:
    """Then nothing is shown."""
    (tmp_path / "accesses.db").write_bytes(
        b"no database at all, but a text that is long enough to be read" * 20
    )
    with pytest.raises(TransientError, match="nothing is shown"):
        Accesses(tmp_path, by="甲").record("p:1", "x")


class FakeRegister:
    """A register over states in memory."""

    def __init__(self, world: World) -> None:
        self._world = world

    def marks(self, prefix: str) -> list[str]:
        found = {mark for state in self._world.states.values() for mark in marks_of(state)}
        return sorted(mark for mark in found if mark.startswith(prefix))

    def states(self, start: str = "", marks: Any = None) -> Any:
        return iter([self._world.states[key] for key in sorted(self._world.states)])


def test_lists_say_once_that_persons_were_seen() -> None:
    """One look for the whole list, and none where it holds enterprises only."""
    e = Events()
    applied(e, approved=True)
    world = World().tell(e.lines)
    looks: list[tuple[str, ...]] = []
    listings = Listings(FakeRegister(world), lambda *look: looks.append(look))  # type: ignore[arg-type]
    (row,) = listings.cases(CaseFilter())
    assert row["holder_id"] == f"{PERSON[:3]}{'*' * 11}{PERSON[-4:]}"
    assert looks == [("*", "case list", "")]
    assert "李某" not in str(row)


def test_fresh_ids_are_in_the_order_of_time_and_never_alike() -> None:
    """26 characters, as a ULID has."""
    from datetime import UTC, datetime

    early, late = datetime(2018, 1, 1, tzinfo=UTC), datetime(2018, 1, 1, 0, 0, 1, tzinfo=UTC)
    ids = [fresh_id(early) for _ in range(100)]
    assert len(set(ids)) == 100
    assert max(ids) < fresh_id(late)
    assert {len(one) for one in ids} == {26}
