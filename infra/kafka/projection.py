"""A projection: the facts of all partitions folded into a data file like the embedded engine's.

It keeps its positions in the same transaction as what it read, so it may be killed at any time, lost, or kept by
several processes at once: whoever comes second finds the positions moved and skips what is there.

The register for queries on Kafka: the projection, caught up to the ends found when the query began.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.kafka import topics
from infra.kafka.backlog import undecided
from infra.kafka.connection import Connection, parse
from infra.kafka.records import Place, Reader, cluster_id, decode_facts, decode_letter, encode_fact
from infra.readmodel.database import Database
from infra.readmodel.lists import EmbeddedRegister
from infra.readmodel.projector import Projector, due_in_part, renew_marks
from infra.settings import Settings
from processors.queries.listings import Register
from schemas.errors import TransientError
from schemas.facts import Fact

log = logging.getLogger(__name__)
_TOPICS = (topics.FACTS, topics.DEAD_LETTERS)
_LETTERS = "CREATE TABLE IF NOT EXISTS kafka_letters (id TEXT PRIMARY KEY, seq INTEGER, topic TEXT, key TEXT, sealed INTEGER)"
_PREFIX = "at:"


class Projection:
    """A projection in a file."""

    def __init__(self, path: Path) -> None:
        self.db = Database(path, create=True)
        self.db.db.execute(_LETTERS)
        renew_marks(self.db)
        self.db.db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is read again

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def positions(self) -> dict[Place, int]:
        """Up to where it has read: the offset of the next record of each partition."""
        found = {}
        rows = self.db.db.execute("SELECT name, value FROM meta WHERE name LIKE 'at:%'")
        for name, value in rows:
            topic, _, partition = str(name).removeprefix(_PREFIX).rpartition(":")
            found[topic, int(partition)] = int(value)
        return found

    def take(self, records: Sequence[Any]) -> None:
        """Fold records in, and moves the positions, in one transaction."""
        with self.db.transaction():
            known = self.positions()
            fresh = [r for r in records if r.offset >= known.get((r.topic, r.partition), 0)]
            self._facts(fact for r in fresh if r.topic == topics.FACTS for fact in decode_facts(r.value))
            for record in fresh:
                if record.topic == topics.DEAD_LETTERS:
                    self._letter(record.value)
                known[record.topic, record.partition] = record.offset + 1
            self.db.db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [
                    (f"{_PREFIX}{topic}:{partition}", str(known[topic, partition]))
                    for topic, partition in {(r.topic, r.partition) for r in fresh}
                ],
            )

    def _facts(self, facts: Iterable[Fact]) -> None:
        """Each fact once: a stage that began again may have told it twice."""
        projector = Projector(self.db, due_in_part)
        for fact in facts:
            if self.db.add_facts([(0, fact.id, fact.holder, fact.type, encode_fact(fact))]):
                projector.fold([fact])
        projector.write()

    def _letter(self, raw: bytes) -> None:
        letter, db = decode_letter(raw), self.db.db
        row = db.execute("SELECT seq FROM kafka_letters WHERE id = ?", (letter.id,)).fetchone()
        if row is not None:
            db.execute(
                "UPDATE letters SET state = ?, hint = ? WHERE seq = ?", (letter.state, letter.hint, row[0])
            )
            return
        done = db.execute(
            "INSERT INTO letters (time, place, error, hint, at, ref, content, state) VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
            (letter.time, letter.place, letter.error, letter.hint, letter.at, letter.raw, letter.state),
        )
        db.execute(
            "INSERT INTO kafka_letters VALUES (?, ?, ?, ?, ?)",
            (letter.id, done.lastrowid, letter.topic, letter.key, letter.sealed),
        )


def path_of(settings: Settings, connection: Connection) -> Path:
    """Return the path of the projection for queries; another cluster has another one."""
    return settings.data / "projection" / f"{cluster_id(connection)}.sqlite"


def catch_up(projection: Projection, reader: Reader, *, seconds: float | None = None) -> int:
    """Read up to the ends that are there now; how many records are left when the time is over."""
    ends = reader.ends()
    reader.seek(projection.positions())
    for records in reader.up_to(ends, seconds=seconds):
        projection.take(records)
    return reader.behind(ends)


def keep_up(settings: Settings, connection: Connection, ended: threading.Event) -> None:
    """Keep the projection up to date until `ended`; faults of broker and disk are waited out."""
    while not ended.is_set():
        try:
            projection = Projection(path_of(settings, connection))
            try:
                with Reader(connection, _TOPICS) as reader:
                    reader.seek(projection.positions())
                    while not ended.is_set():
                        if records := reader.poll(0.5):
                            projection.take(records)
            finally:
                projection.close()
        except TransientError as error:
            log.warning("the projection waits: %s", error)
            ended.wait(2)


def open_caught_up(settings: Settings, connection: Connection, seconds: float) -> tuple[Projection, int]:
    """Return the projection, caught up to the ends found now, and how many records it is behind them."""
    projection = Projection(path_of(settings, connection))
    try:
        with Reader(connection, _TOPICS) as reader:
            behind = catch_up(projection, reader, seconds=seconds)
    except BaseException:
        projection.close()
        raise
    return projection, behind


SETTLING = 10.0  # seconds for what was there to be decided and told
PATIENCE = 10.0  # seconds of catching up before a query says how far behind it is


@contextmanager
def open_kafka_register(settings: Settings) -> Iterator[Register]:
    """Return the register; says on standard error how far behind it is where 10 s did not do."""
    projection, behind = open_caught_up(settings, parse(settings.broker or ""), PATIENCE)
    path = projection.db.path
    projection.close()
    if behind:
        sys.stderr.write(
            f"warning: this answer is {behind} records behind the broker / 查询结果落后 {behind} 条记录\n"
            "hint: `zhengzhao worker --project` keeps it up to date\n"
        )
    register = EmbeddedRegister(path)
    try:
        with register.moment():
            yield register
    finally:
        register.close()


def unsettled(settings: Settings) -> int:
    """Count the events and records present now that are not decided and published after a while.

    0 where what a query answers next includes all of them.
    """
    if left := undecided(settings, seconds=SETTLING):
        return left
    projection, behind = open_caught_up(settings, parse(settings.broker or ""), SETTLING)
    projection.close()
    return behind
