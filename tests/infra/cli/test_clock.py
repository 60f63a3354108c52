"""A wrong clock lets no licence expire: a tick far ahead needs the operator's word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from stage_app import FakeStageApp
from story import Events, Office, uscc

from infra.embedded.inbox import RECEIPT, last_receipt
from infra.kafka.inbox import LedgerClock, last_moments
from infra.kafka.records import Place
from infra.kafka.stages import ClockStage
from infra.readmodel.database import Database
from processors.route import ClockJumped, catalogue_entry, check_tick, tick
from schemas.items import load_catalogue
from schemas.ledger import encode_entry

NOW = datetime(2018, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(("hours", "refused"), [(0, False), (24, False), (25, True), (-240, False)])
def test_a_tick_more_than_a_day_ahead_is_refused(hours: int, refused: bool) -> None:
    """A first tick, one at once and one of the past are none of those."""
    at = NOW + timedelta(hours=hours)
    check_tick(at, 0)
    if refused:
        with pytest.raises(ClockJumped, match="more than a day"):
            check_tick(at, int(NOW.timestamp()))
    else:
        check_tick(at, int(NOW.timestamp()))


def test_the_operator_confirms_a_jump(tmp_path: Path) -> None:
    """Without that nothing is entered, `doctor` says so, and the licence stays valid."""
    office = Office(tmp_path)
    office.init()
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    office.tell(e)
    late = "2023-03-01T00:00:00+08:00"
    office.run("tick", "--at", late, code=2)
    assert "--confirm" in office.err
    (row,) = office.rows("licence", "list")
    assert row["status"] == "valid"
    findings = {row["name"]: row for row in office.rows("doctor", code=1)}
    assert findings["tick"]["ok"] is False
    office.run("tick", "--at", late, "--confirm")
    (row,) = office.rows("licence", "list")
    assert row["status"] == "expired"
    assert "tick" not in {row["name"] for row in office.rows("doctor", code=None)}


def test_the_operator_takes_a_wrong_tick_back(tmp_path: Path) -> None:
    """A lapsed case is open again, the correction is replayed, and the next tick compares with the right time."""
    office = Office(tmp_path)
    office.init()
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1), materials=[{"kind": "application-form"}])
    office.tell(e)
    right = "2018-03-02T00:00:00+08:00"
    office.run("tick", "--at", "2024-03-01T00:00:00+08:00", "--confirm")
    assert office.case("N-1")["state"] == "lapsed"
    office.run("tick", "--correct", right, code=2)  # without a reason
    said = office.json("tick", "--correct", right, "--reason", "时钟错误")
    assert said == {"corrected": True, "to": right, "irrevocable": []}
    assert office.case("N-1")["state"] == "correction-requested"
    office.run("tick", "--at", "2018-03-02T08:00:00+08:00")
    office.run("tick", "--at", "2018-03-09T08:00:00+08:00", code=2)
    office.run("replay", "--into", tmp_path / "again", "--decide")


def test_what_was_published_on_a_wrong_tick_is_listed(tmp_path: Path) -> None:
    """A status list that says expired is signed and dated: nothing is taken back, exit 1."""
    office = Office(tmp_path)
    office.init()
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    office.tell(e)
    office.run("tick", "--at", "2024-03-01T00:00:00+08:00", "--confirm")
    said = office.json("tick", "--correct", "2018-03-02T00:00:00+08:00", "--reason", "时钟错误", code=1)
    assert (said["corrected"], [line.split(" ")[2:4] for line in said["irrevocable"]]) == (
        False,
        [["status", "list"]],
    )
    (row,) = office.rows("licence", "list")
    assert row["status"] == "expired"


def test_a_clock_that_ran_ahead_of_the_machine_stops_the_tick(tmp_path: Path) -> None:
    """The last receipt is compared by the running time of the machine, whatever the clock says."""
    office = Office(tmp_path)
    office.init()
    office.run("tick", "--at", "2018-03-02T12:00:00+08:00")
    with Database(office.data / "zhengzhao.sqlite") as db, db.transaction():
        before = last_receipt(db)
        assert before is not None
        ago = before.at - timedelta(days=2)  # as if the clock had been set two days forward since
        db.set_meta(RECEIPT, f"{ago.isoformat()} {before.seconds} {before.start}")
        db.set_meta("clock", "0")
    office.run("tick", code=2)
    assert "--confirm" in office.err
    findings = {row["name"]: row for row in office.rows("doctor", code=1)}
    assert findings["tick"]["ok"] is False
    office.run("tick", "--confirm")
    office.run("tick")


def test_the_clock_of_a_worker_stops_at_a_jump_and_goes_on_when_it_is_set() -> None:
    """The wall clock is compared with the running time since the last tick."""
    steady = [100.0]
    clock = ClockStage(FakeStageApp(), 60, steady=lambda: steady[0])  # type: ignore[arg-type]
    assert not clock.jumped(NOW)  # nothing to compare with yet
    clock._last, clock._since = NOW, 100.0
    steady[0] = 160.0
    assert clock.jumped(NOW + timedelta(days=2200))
    assert not clock.jumped(NOW + timedelta(minutes=1))
    steady[0] += 86_400 * 3  # it was paused: the time has passed indeed
    assert not clock.jumped(NOW + timedelta(days=3))


def test_the_clock_of_a_worker_starts_where_the_ledger_vouches_for_it() -> None:
    """A first tick may be a day past the last moment decided; after a jump the operator's tick has to be there."""
    said: list[str] = []
    clock = ClockStage(FakeStageApp(), 60, refused=said.append)  # type: ignore[arg-type]
    last = int(NOW.timestamp())
    assert clock.vouched(NOW, 0)  # nothing was decided yet
    assert clock.vouched(NOW + timedelta(hours=23), last)
    assert not clock.vouched(NOW + timedelta(hours=25), last)
    assert "past the last moment decided" in said[-1]
    clock._last = NOW
    assert not clock.vouched(NOW + timedelta(hours=2), last)
    assert clock.vouched(NOW + timedelta(hours=2), last + 7200)
    assert said[-1] == ""


def test_ticks_of_others_on_kafka_are_compared_with_the_ledger() -> None:
    """A tick a day ahead is refused until the ledger has gone on, at which one looks every ten seconds."""
    steady, decided = [100.0], [NOW]
    clock = LedgerClock(lambda: int(decided[0].timestamp()), lambda: steady[0])
    clock.check(NOW + timedelta(hours=23))
    ahead = NOW + timedelta(hours=25)
    with pytest.raises(ClockJumped, match="more than a day"):
        clock.check(ahead)
    decided[0] = ahead
    with pytest.raises(ClockJumped):
        clock.check(ahead)
    steady[0] += 10
    clock.check(ahead)


class ShortLedger:
    """Two partitions of a ledger in memory, read as those of a broker."""

    def __init__(self, partitions: dict[int, list[bytes]]) -> None:
        self.partitions = partitions
        self.positions: Mapping[Place, int] = {}
        self.read = 0

    def ends(self) -> dict[Place, int]:
        return {("ledger", n): len(entries) for n, entries in self.partitions.items()}

    def seek(self, positions: Mapping[Place, int]) -> None:
        self.positions = positions

    def up_to(self, ends: Mapping[Place, int]) -> Iterator[list[SimpleNamespace]]:
        for place, end in ends.items():
            entries = self.partitions[place[1]][max(0, self.positions[place]) : end]
            self.read += len(entries)
            yield [SimpleNamespace(partition=place[1], value=raw) for raw in entries]


def test_the_last_moment_is_found_behind_many_answers() -> None:
    """Entries that tell no time hide none, however many there are; a partition with a moment at its end is short to read."""
    told = encode_entry(tick(NOW, NOW, "clock", "internal"))
    nothing = encode_entry(catalogue_entry(load_catalogue(), NOW))
    ledger = ShortLedger({3: [told, *[nothing] * 450], 4: [nothing] * 900 + [told], 5: [nothing]})
    assert {3: int(NOW.timestamp()), 4: int(NOW.timestamp()), 5: 0} == last_moments(ledger)
    assert ledger.read < 1300
