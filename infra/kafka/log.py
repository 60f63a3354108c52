"""`log` on Kafka: one worker gives places in the transparency log and publishes its head.

The order of the log is the topic `zhengzhao.log`: an entry's place is that of its first record. Whoever writes there,
twice or at once with another, changes no place, since tiles are made of what is read back. The worker to whom the one
partition of that topic is assigned adds what facts, editions of status lists, service items and the trust folder lead
to, writes tiles to the store, and publishes the head after them. A worker that takes over reads the order from the
topic and goes on behind the published head; what its predecessor had written is written again with the same bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from infra.draw.store import DrawStore
from infra.kafka import topics
from infra.kafka.connection import Connection, parse
from infra.kafka.faust_app import StageApp
from infra.kafka.outbox import Send
from infra.kafka.publisher import send_all
from infra.kafka.records import (
    Place,
    PublishedEdition,
    Reader,
    cluster_id,
    decode_edition_record,
    decode_facts,
)
from infra.kafka.stage import PollingLoop
from infra.parts import Parts
from infra.transparency.client import read_head
from infra.transparency.installation import draw_entries, sequencer_of, trust_editions
from infra.transparency.sequencer import Sequencer, SqliteOrder
from infra.transparency.tiles import StoredLog
from issuance.status_lists import Published
from processors import topology
from processors.transparency import catalogue_logged, entries_of
from schemas.errors import StoreUnavailable, VerificationError
from schemas.ledger import CatalogueEntry, decode_entry
from schemas.ports import ReplacingStore
from schemas.signatures import STATUS_LIST_CWT, decode, read_sign1
from schemas.status_list import MAX_LIST_CWT, SUBJECT, EditionName, edition_key
from schemas.transparency.entries import LogEntry, StatusEntry, read_entry
from schemas.transparency.notes import read_checkpoint, read_note

log = logging.getLogger(__name__)
_PAPER_SECONDS = 30.0  # a draw's paper is published within so long, or not handed out
_INTERVAL = 1.0  # seconds between two looks
_POSITIONS = "CREATE TABLE IF NOT EXISTS positions (topic TEXT, partition INTEGER, place INTEGER, PRIMARY KEY (topic, partition))"
_SOURCES = (topics.FACTS, topics.CATALOGUE)


class LogWriting(PollingLoop):
    """The loop that writes the log as long as the partition is ours."""

    stage = topology.stage("log")
    interval = _INTERVAL
    pause = 5.0
    transient = (*PollingLoop.transient, VerificationError)
    waiting = "the transparency log waits"

    def __init__(self, app: StageApp, parts: Parts, connection: Connection, folder: Path) -> None:
        self._writer = LogWriter(parts, connection, folder)
        super().__init__(app, self._writer)

    @property
    def topic(self) -> str:
        """Return the topic whose one partition is the order, and decides which worker writes."""
        return topics.LOGGED

    async def look(self) -> None:
        if entries := await self.in_thread(self._writer.poll):
            await asyncio.gather(*await self.loop.send(map(send_logged, entries)))
            await self.in_thread(self._writer.written)
            self.metrics.handled(None)


def send_logged(entry: LogEntry) -> Send:
    """Return an entry as a message for the order of the log."""
    return Send(topics.LOGGED, b"", entry.to_bytes(), 0)


def recorded_order(connection: Connection) -> list[bytes]:
    """Return the order of the log as the topic gives it: an entry's place is that of its first record."""
    order: dict[str, bytes] = {}
    with Reader(connection, [topics.LOGGED]) as written:
        written.seek({})
        for records in written.up_to(written.ends()):
            for entry in (entry for record in records for entry in _entries(record.value)):
                order.setdefault(entry.id, entry.to_bytes())
    return list(order.values())


def log_papers(parts: Parts) -> None:
    """Write the papers of the data folder's draws into the order of the log, and wait until they are published.

    Raises StoreUnavailable where no worker does so in time.
    """
    if not parts.trust.log_keys or not isinstance(parts.store, ReplacingStore):
        return
    log_files = StoredLog(parts.store)
    missing = _unpublished(log_files, draw_entries(DrawStore(parts.settings.data)))
    send_all(parse(parts.settings.broker or ""), map(send_logged, missing))
    deadline = time.monotonic() + _PAPER_SECONDS
    while missing := _unpublished(log_files, missing):
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                "日志未能及时收录抽查文书 / the log did not take in the draw's papers in time",
                where=topics.LOGGED,
                hint="运行带 log 环节的工作进程 / run a worker with the stage `log`; the paper is on record in DIR/draws",
            )
        time.sleep(_INTERVAL)


def _unpublished(log_files: StoredLog, entries: list[LogEntry]) -> list[LogEntry]:
    if not entries or log_files.head() is None:
        return entries
    published = {raw for _, raw in read_head(log_files).entries()}
    return [entry for entry in entries if entry.to_bytes() not in published]


class LogWriter:
    """The writer of the log; it runs in one thread, and nothing in it is shared."""

    def __init__(self, parts: Parts, connection: Connection, folder: Path) -> None:
        self._parts = parts
        self._connection = connection
        self._folder = folder
        self._open: _Open | None = None

    def poll(self) -> list[LogEntry]:
        """Publish what has a place, and return the entries that have none yet."""
        if not self._parts.trust.log_keys or not isinstance(self._parts.store, ReplacingStore):
            return []
        if self._open is None:
            path = self._folder / f"log-{cluster_id(self._connection)}.sqlite"
            self._open = _Open(self._parts, self._parts.store, self._connection, path)
        return self._open.poll()

    def written(self) -> None:
        """Note that what the last `poll` returned is on the broker."""
        if self._open is not None:
            self._open.note_positions()

    def close(self) -> None:
        """Close every connection and file; the next `poll` begins anew."""
        if self._open is not None:
            self._open.close()
            self._open = None


class _Open:
    def __init__(self, parts: Parts, store: ReplacingStore, connection: Connection, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._parts = parts
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute(
            "PRAGMA journal_mode=WAL"
        )  # the topic has it all, so nothing here need be durable
        self._database.execute(_POSITIONS)
        self._order = SqliteOrder(self._database)
        self._stored = StoredLog(store)
        self._sequencer: Sequencer | None = None
        self._written = Reader(connection, [topics.LOGGED])
        self._sources = Reader(connection, _SOURCES)
        self._edition_records = Reader(connection, [topics.EDITIONS])
        self._last: dict[str, Published] = {}  # list → its latest edition
        positions = self._positions()
        self._written.seek(positions)
        self._sources.seek(positions)
        self._edition_records.seek({})  # which of two editions counts follows from all before

    def close(self) -> None:
        for part in (self._written, self._sources, self._edition_records, self._database):
            part.close()

    def poll(self) -> list[LogEntry]:
        self._read_back()
        if untold := self._untold():
            return untold
        if self._order.size():
            self._publisher().publish()
        found = [
            *trust_editions(self._parts.settings.trust, 0),
            *self._from_sources(),
            *self._from_editions(),
        ]
        fresh = {entry.id: entry for entry in found if self._order.index_of(entry.id) is None}
        if not fresh:
            self.note_positions()
        return list(fresh.values())

    def note_positions(self) -> None:
        """Note how far facts were read: everything before has its place."""
        self._note(self._sources.positions())

    def _read_back(self) -> None:
        """Give places by the topic: that of an entry is its first record's."""
        for records in self._written.up_to(self._written.ends()):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._order.append(entry for record in records for entry in _entries(record.value))
                self._note(self._written.positions())
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise

    def _untold(self) -> list[LogEntry]:
        """Return what a published log has beyond the order: after an import it is told to the topic anew, in its order."""
        note, have = self._stored.head(), self._order.size()
        if note is None or read_checkpoint(read_note(note)).size <= have:
            return []
        published = [raw for _, raw in read_head(self._stored).entries()]
        if list(self._order.read(0, have)) != published[:have]:
            return []  # The sequencer says what is wrong.
        return [read_entry(raw) for raw in published[have:]]

    def _publisher(self) -> Sequencer:
        if self._sequencer is None or not self._sequencer.is_current():
            self._sequencer = sequencer_of(
                self._parts.settings, self._parts.trust, self._order, self._stored, self._parts.signer
            )
        return self._sequencer

    def _from_sources(self) -> Iterable[LogEntry]:
        for records in self._sources.up_to(self._sources.ends()):
            for record in records:
                if record.topic == topics.FACTS:
                    for fact in decode_facts(record.value):
                        yield from entries_of(fact)
                else:
                    entry = decode_entry(record.value)
                    if isinstance(entry, CatalogueEntry):
                        yield catalogue_logged(entry)

    def _from_editions(self) -> Iterable[LogEntry]:
        for records in self._edition_records.up_to(self._edition_records.ends()):
            for record in records:
                yield from self._edition(decode_edition_record(record.value))

    def _edition(self, edition: PublishedEdition) -> Iterable[LogEntry]:
        """Return the entry of an edition that follows the latest one; another one was published by nobody."""
        record = edition.record
        if self._last.get(record.name) != record.last:
            return
        self._last[record.name] = record.published
        if edition.objects:
            listed = edition.objects[-1][1]
        else:  # An import stores the objects itself, before it tells the record.
            name = EditionName(record.published.issued_at, record.published.number)
            listed = self._parts.store.get(edition_key(record.name, name))
        signed = read_sign1(listed, type_=STATUS_LIST_CWT, max_bytes=MAX_LIST_CWT)
        claims = decode(signed.payload, max_bytes=MAX_LIST_CWT)
        if isinstance(claims, dict) and isinstance(uri := claims.get(SUBJECT), str):
            yield StatusEntry(uri, record.published.issued_at, hashlib.sha256(listed).hexdigest())

    def _positions(self) -> dict[Place, int]:
        rows = self._database.execute("SELECT topic, partition, place FROM positions")
        return {(topic, int(number)): int(place) for topic, number, place in rows}

    def _note(self, positions: dict[Place, int]) -> None:
        rows = [(topic, number, place) for (topic, number), place in positions.items()]
        self._database.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)


def _entries(raw: bytes) -> Iterable[LogEntry]:
    try:
        yield read_entry(raw)
    except VerificationError as error:
        log.error("a record of %s is no entry: %s", topics.LOGGED, error)
