"""A projection: the facts of all partitions folded into a data file like the embedded engine's.

It keeps its positions in the same transaction as what it read, so it may be killed at any time, lost, or kept by
several processes at once: whoever comes second finds the positions moved and skips what is there.

The register for queries on Kafka: the projection, caught up to the ends found when the query began.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from infra.kafka import topics
from infra.kafka.connection import Connection, parse
from infra.kafka.progress import undecided
from infra.kafka.records import Place, Reader, cluster_id, decode_facts, decode_letter, encode_fact
from infra.metrics import StageMetrics
from infra.readmodel.database import Database
from infra.readmodel.lists import EmbeddedRegister
from infra.readmodel.projector import Projector, due_in_part, renew
from infra.settings import Settings
from processors.queries.listings import WholeRegister
from schemas.errors import BrokerUnavailable
from schemas.facts import Fact
from schemas.ledger import EventEntry, decode_entry, partition_of

log = logging.getLogger(__name__)
_TOPICS = (topics.FACTS, topics.DEAD_LETTERS)
_LETTERS = "CREATE TABLE IF NOT EXISTS kafka_letters (id TEXT PRIMARY KEY, seq INTEGER, topic TEXT, key TEXT, sealed INTEGER)"
_PREFIX = "at:"
_POLL = 0.5  # seconds
_LOOK = 5.0  # seconds between two looks at the ends of the topics, and for the answer
_PAUSE = 2.0  # seconds after a fault
_STOPPED = 10.0  # seconds for the thread to end


class Projection:
    """A projection in a file."""

    def __init__(self, path: Path) -> None:
        self.db = Database(path, create=True)
        self.db.db.execute(_LETTERS)
        self.db.db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is read again
        renew(self.db)

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
        """Fold records in, and move the positions, in one transaction."""
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
    """Read up to the ends that are there now; return how many records are left when the time is over."""
    ends = reader.ends()
    reader.seek(projection.positions())
    for records in reader.up_to(ends, seconds=seconds):
        projection.take(records)
    return reader.behind(ends)


class Following:
    """A projection that a thread keeps up to date until `close`.

    Faults of broker and disk are waited out: what was read before stays, and reading goes on where it stopped.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection = parse(settings.broker or "")
        self._ended = threading.Event()
        self._path: Path | None = None
        self.behind = 0  # records that were there at the last look and are not read yet
        self.fault = ""  # why nothing is read at the moment
        self._thread = threading.Thread(target=self._run, name="projection", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join(_STOPPED)

    @property
    def alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def metrics(self) -> StageMetrics:
        """Return how far behind it is, as the figures of the stage `project`."""
        found = StageMetrics("project", timed=False)
        found.lag = lambda: self.behind
        found.healthy = lambda: self.alive and not self.fault
        return found

    @property
    def caught_up(self) -> bool:
        """Tell whether everything that was there at the start has been read."""
        return self._path is not None

    @property
    def path(self) -> Path:
        """Return the file of the projection. Raises BrokerUnavailable until it has caught up once."""
        if self._path is None:
            raise BrokerUnavailable(
                f"查询库尚在追赶，余 {self.behind} 条 / the projection is catching up, {self.behind} records are left",
                where=self._connection.bootstrap,
                hint=self.fault or "稍后重试 / try again later",
            )
        return self._path

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                path = path_of(self._settings, self._connection)
                with closing(Projection(path)) as projection, Reader(self._connection, _TOPICS) as reader:
                    self._follow(projection, reader)
            except Exception as error:  # the thread goes on whatever it was: the next round begins anew
                if str(error) != self.fault:
                    log.warning("the projection waits: %s", error)
                self.fault = str(error)
                self._ended.wait(_PAUSE)

    def _follow(self, projection: Projection, reader: Reader) -> None:
        reader.seek(projection.positions())
        ends, looked = reader.ends(), time.monotonic()
        if not any(topic == topics.FACTS for topic, _ in ends):
            raise BrokerUnavailable("主题尚未建立 / the topics are not there yet", hint="zhengzhao worker")
        while not self._ended.is_set():
            self.behind = reader.behind(ends)
            self.fault = ""
            if not self.behind:
                self._path = projection.db.path
            if records := reader.poll(_POLL):
                projection.take(records)
            if time.monotonic() - looked > _LOOK:  # a broker that is away is noticed by this question alone
                ends, looked = reader.ends(_LOOK), time.monotonic()


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
def open_kafka_register(settings: Settings, following: Following | None = None) -> Iterator[WholeRegister]:
    """Return the register: that of `following` as it stands, else one that is caught up first.

    Catching up says on standard error how far behind it is where 10 s did not do.
    """
    path = following.path if following else _caught_up_path(settings)
    register = EmbeddedRegister(path, partial(_entries, settings))
    try:
        with register.moment():
            yield register
    finally:
        register.close()


def _caught_up_path(settings: Settings) -> Path:
    projection, behind = open_caught_up(settings, parse(settings.broker or ""), PATIENCE)
    projection.close()
    if behind:
        sys.stderr.write(
            f"warning: this answer is {behind} records behind the broker / 查询结果落后 {behind} 条记录\n"
            "hint: `zhengzhao worker --project` keeps it up to date\n"
        )
    return projection.db.path


def _entries(settings: Settings, holder: str, ids: set[str]) -> dict[str, EventEntry]:
    """Return the entries of these ids, read from the holder's partition of the ledger."""
    found: dict[str, EventEntry] = {}
    place = (topics.LEDGER, partition_of(holder))
    with Reader(parse(settings.broker or ""), [topics.LEDGER]) as reader:
        ends = reader.ends()
        reader.seek({one: end for one, end in ends.items() if one != place})
        for records in reader.up_to({place: ends.get(place, 0)}):
            for record in records:
                if record.partition == place[1] and isinstance(
                    entry := decode_entry(record.value), EventEntry
                ):
                    found |= {entry.id: entry} if entry.id in ids else {}
    return found


def unsettled(settings: Settings) -> int:
    """Count the events and records present now that are not decided and published after a while.

    0 where what a query answers next includes all of them.
    """
    if left := undecided(settings, seconds=SETTLING):
        return left
    projection, behind = open_caught_up(settings, parse(settings.broker or ""), SETTLING)
    projection.close()
    return behind
