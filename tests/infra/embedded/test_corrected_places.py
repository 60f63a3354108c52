"""A corrected clock takes back what a status list was about to say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from story import Events, uscc
from world import World

from infra.readmodel.database import Database
from infra.readmodel.projector import Projector, due_in_part
from processors.route import correction, tick
from schemas import facts as f

WRONG, RIGHT = datetime(2024, 3, 1, tzinfo=UTC), datetime(2018, 3, 1, 12, tzinfo=UTC)


def test_places_are_what_they_were_before_the_wrong_tick(tmp_path: Path) -> None:
    """A licence that expired by the tick says nothing again, a suspended one says again why."""
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    e.apply("2018-03-01T11:00:00+08:00", "N-2", uscc(2))
    order = {"granted_by": "N-2", "holder_id": uscc(2), "ground": "整改", "decided_on": "2018-03-01"}
    e.add("licence.suspended", "2018-03-01T12:00:00+08:00", {**order, "until": "2018-09-01"})
    world = World().tell(e.lines)
    with Database(tmp_path / "zhengzhao.sqlite", create=True) as db:

        def places() -> list[tuple[object, ...]]:
            told = db.head()[0]
            projector = Projector(db, due_in_part)
            with db.transaction():
                for fact in world.facts[told:]:
                    db.add_facts([(0, fact.id, fact.holder, fact.type, f.encode(fact))])
                    projector.fold([fact])
                projector.write()
            rows = "SELECT list, place, status, reason FROM places ORDER BY list, place"
            return db.db.execute(rows).fetchall()

        before = places()
        world.take(tick(WRONG, WRONG, "clock", "internal"))
        wrong = places()
        world.take(correction(RIGHT, WRONG, "时钟错误"))
        assert (before, [2], [1, 1]) == (places(), [row[2] for row in before], [row[2] for row in wrong])
