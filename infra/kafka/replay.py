"""`replay` of a Kafka run: the topics are copied into a data file, which is replayed like the embedded engine's.

In that file every edition of a status list comes right after the facts that it was made from. The states to compare
with are those in the changelog of `decide`, which are the live ones.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from infra.kafka import topics
from infra.kafka.connection import Connection, parse
from infra.kafka.log import recorded_order
from infra.kafka.outbox import broken_links, decode, offset_of
from infra.kafka.progress import wait_until_idle
from infra.kafka.projection import Projection
from infra.kafka.publisher import send_all
from infra.kafka.records import Place, PublishedEdition, Reader, decode_edition_record, merge, send_entry
from infra.parts import Parts
from infra.readmodel.database import Database, RecordedItems
from infra.readmodel.lists import follows_last, irrevocable_after, record_edition
from infra.readmodel.projector import FORM
from infra.recovery.archive import export_log
from infra.recovery.replay import BY_HOLDER, LEDGER_FAULTS, ReplayReport, Say, prepare
from infra.recovery.replay import replay as replay_file
from infra.settings import Settings
from infra.transparency.tiles import StoredLog
from processors.state import STATE_SCHEMA
from schemas.agencies import AgencyRegister
from schemas.ledger import CatalogueEntry, CorrectedEntry
from schemas.ports import ReplacingStore
from schemas.transparency.notes import read_checkpoint, read_note

_HEAD_SECONDS = 12.0
_ROWS = "CREATE TABLE copied (partition INTEGER, offset INTEGER, entry BLOB, PRIMARY KEY (partition, offset))"


def replay_kafka(
    parts: Parts, into: Path, *, decide: bool, say: Say, register: AgencyRegister | None = None
) -> ReplayReport:
    """Replay what the broker has recorded, once the workers have nothing under way."""
    prepare(into)
    with copied(parts, say) as copy_of:
        read_order = partial(recorded_order, parse(parts.settings.broker or ""))
        return replay_file(copy_of, into, decide=decide, register=register, say=say, read_order=read_order)


def export_kafka(parts: Parts, file: Path, say: Say) -> dict[str, object]:
    """Write what the broker has recorded into one archive, the order of the log included; return its header."""
    connection = parse(parts.settings.broker or "")
    with copied(parts, say) as copy_of:
        order = recorded_order(connection)
        _wait_for_head(parts, len(order))
        return export_log(copy_of, file, say, beside=parts.settings.data, order=order)


def _wait_for_head(parts: Parts, size: int) -> None:
    """Wait some seconds until the published log is as long as its order."""
    deadline = time.monotonic() + _HEAD_SECONDS
    while isinstance(parts.store, ReplacingStore) and time.monotonic() < deadline:
        head = StoredLog(parts.store).head()
        if (read_checkpoint(read_note(head)).size if head else 0) >= size:
            return
        time.sleep(0.5)


def correct_kafka_clock(parts: Parts, entry: CorrectedEntry, say: Callable[[str], None]) -> list[str]:
    """Write a correction of the clock into every partition, once nothing is under way.

    Nothing is written where something cannot be taken back: that is returned, in words.
    """
    with copied(parts) as one, Database(one.settings.database) as db:
        found = irrevocable_after(db, datetime.fromisoformat(entry.payload.time))
    if not found:
        send_all(parse(parts.settings.broker or ""), send_entry(entry))
        wait_until_idle(parts, say)
    return found


@contextmanager
def copied(parts: Parts, say: Say = lambda *_: None) -> Iterator[Parts]:
    """Open parts whose data file is a copy of what the broker has recorded, once nothing is under way."""
    settings = parts.settings
    wait_until_idle(parts)
    settings.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="copy-", dir=settings.data) as folder:
        one = _Copied(settings, Path(folder) / "zhengzhao.sqlite")
        copy(parse(settings.broker or ""), one.database, say)
        with parts.over(one) as made:
            yield made


class _Copied(Settings):
    """The settings, with another data file."""

    def __init__(self, settings: Settings, path: Path) -> None:
        super().__init__(
            settings.data, broker=settings.broker, store=settings.store, passphrase=None,
            require_proof=settings.require_proof, items=settings.items, workers=settings.workers,
            inboxes=settings.inboxes,
        )  # fmt: skip
        self._path = path

    @property
    def database(self) -> Path:
        return self._path


def copy(connection: Connection, path: Path, say: Say = lambda *_: None) -> None:
    """Copy ledger, facts, editions and live states into a data file at `path`."""
    projection = Projection(path)
    try:
        _facts(connection, projection, say)
        _ledger(connection, projection.db, say)
        _states(connection, projection.db)
    finally:
        projection.close()


def _facts(connection: Connection, projection: Projection, say: Say) -> None:
    with Reader(connection, [topics.FACTS]) as facts:
        facts.seek({})
        ends = facts.ends()
        for edition in _editions(connection):
            wanted: dict[Place, int] = {(topics.FACTS, int(n)): at for n, at in edition.upto.items()}
            _take_up_to(facts, projection, wanted)
            _edition(projection.db, edition)
        _take_up_to(facts, projection, ends)
        say("facts", projection.db.head()[0], projection.db.head()[0])


def _take_up_to(facts: Reader, projection: Projection, ends: dict[Place, int]) -> None:
    """Fold records exactly up to these offsets; records fetched beyond them stay for later."""
    for records in facts.up_to(ends):
        wanted = [r for r in records if r.offset < ends.get((r.topic, r.partition), 0)]
        projection.take(wanted)
        if len(wanted) < len(records):
            facts.rewind(projection.positions(), {(r.topic, r.partition) for r in records})


def _editions(connection: Connection) -> Iterator[PublishedEdition]:
    with Reader(connection, [topics.EDITIONS]) as editions:
        editions.seek({})
        for records in editions.up_to(editions.ends()):
            for record in records:
                yield decode_edition_record(record.value)


def _edition(db: Database, edition: PublishedEdition) -> None:
    """Record an edition, unless another one had taken its place already."""
    if follows_last(db, edition.record):
        with db.transaction():
            record_edition(db, edition.record)


def _ledger(connection: Connection, db: Database, say: Say) -> None:
    db.db.execute(_ROWS)
    with Reader(connection, [topics.LEDGER]) as ledger:
        ledger.seek({})
        for records in ledger.up_to(ledger.ends()):
            with db.transaction():
                db.db.executemany(
                    "INSERT OR REPLACE INTO copied VALUES (?, ?, ?)",
                    [(r.partition, r.offset, r.value) for r in records],
                )
    partitions = [int(row[0]) for row in db.db.execute("SELECT DISTINCT partition FROM copied")]
    db.set_meta(LEDGER_FAULTS, msgspec.json.encode(_faults(connection, db, partitions)).decode())
    items, count = RecordedItems(db), 0
    with db.transaction():
        for line in merge({n: _rows(db, n) for n in partitions}):
            db.append([(line.entry.kind, line.entry.holder, line.raw)])
            if isinstance(line.entry, CatalogueEntry):
                items.enter(line.entry)
            count += 1
        db.set_meta("position", str(count))
        db.set_meta(BY_HOLDER, "1")
    db.db.execute("DROP TABLE copied")
    say("ledger", count, count)


def _faults(connection: Connection, db: Database, partitions: Iterable[int]) -> list[str]:
    """Return the places where the ledger is not what `decide` read, by the links that it kept with the states."""
    links: dict[int, dict[int, bytes]] = {}
    for table in (topics.HOLDERS_TABLE, topics.CATALOGUES_TABLE):
        for key, (partition, raw) in _live(connection, table).items():
            if key and (link := decode(raw).link):
                links.setdefault(partition, {})[offset_of(raw)] = link
    return [
        f"{topics.LEDGER}[{n}] {first}…{last}"
        for n in partitions
        for first, last in broken_links(_placed(db, n), links.get(n, {}))
    ]


def _rows(db: Database, partition: int) -> Iterator[bytes]:
    return (raw for _, raw in _placed(db, partition))


def _placed(db: Database, partition: int) -> Iterator[tuple[int, bytes]]:
    after = -1
    sql = "SELECT offset, entry FROM copied WHERE partition = ? AND offset > ? ORDER BY offset LIMIT 500"
    while rows := db.db.execute(sql, (partition, after)).fetchall():
        for offset, entry in rows:
            yield int(offset), bytes(entry)
            after = offset


def _states(connection: Connection, db: Database) -> None:
    """Replace the states that the fold gave by the live ones."""
    with db.transaction():
        db.db.execute("DELETE FROM states")
        db.db.executemany(
            "INSERT INTO states VALUES (?, ?, NULL)",
            ((key.decode(), decode(raw).state) for key, raw in live_records(connection).items()),
        )
        db.set_meta(FORM, str(STATE_SCHEMA))


def live_records(connection: Connection) -> dict[bytes, bytes]:
    """Return each holder's record that reflects the latest input, from the changelog of `decide`."""
    return {key: raw for key, (_, raw) in _live(connection, topics.HOLDERS_TABLE).items()}


def _live(connection: Connection, table: tuple[str, str]) -> dict[bytes, tuple[int, bytes]]:
    """Return the newest record of each key of a table of `decide`, with its partition."""
    newest: dict[bytes, tuple[int, bytes]] = {}
    with Reader(connection, [topics.changelog(table)]) as changelog:
        changelog.seek({})
        for records in changelog.up_to(changelog.ends()):
            for record in records:
                known = newest.get(record.key)
                if known is None or offset_of(record.value) >= offset_of(known[1]):
                    newest[record.key] = (record.partition, record.value)
    return newest
