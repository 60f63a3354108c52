"""The inbox on Kafka: `submit` sends events to it, and `route` checks them again.

The events that this data folder has sent are remembered (source and id → content), so that an interrupted file
continues where it stopped, and an event that was sent before counts as a duplicate. Events that others sent are known
only behind the ledger.

The catalogue in force stands in every partition of the ledger, before any event that it decides. A worker that routes
compares its own catalogue with the last one recorded and writes the new one first. Workers of one installation
therefore need the same item files; the last one started wins.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from infra.kafka.connection import Connection, parse
from infra.kafka.outbox import Send
from infra.kafka.publisher import Publisher, send_all
from infra.kafka.records import Reader, cluster_id, send_entry
from infra.kafka.topics import CATALOGUE
from infra.settings import Settings
from processors.route import catalogue_entry, entry_id
from processors.stages import is_duplicate
from producers.files import Accepted, Outcome
from schemas.calendar import check_backdate, time_text
from schemas.errors import Rejected, TransientError
from schemas.events import Event
from schemas.items import Catalogue
from schemas.ledger import CatalogueEntry, decode_entry, encode_entry

_SENT = "CREATE TABLE IF NOT EXISTS sent (event TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID"
_encode = msgspec.json.Encoder().encode


class KafkaInbox:
    """The sender of events to the inbox; those of one holder stay in order."""

    def __init__(self, publisher: Publisher, remembered: Path, backdate_days: int | None = None) -> None:
        self._publisher = publisher
        self._backdate_days = backdate_days
        remembered.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(remembered, timeout=60, isolation_level=None)
            self._db.execute(_SENT)
        except sqlite3.Error as error:
            raise TransientError(
                f"发送记录无法写入 / the record of sent events cannot be written: {error}",
                where=str(remembered),
            ) from error

    def close(self) -> None:
        """Close the record of sent events."""
        self._db.close()

    def take(self, events: Sequence[Event], received_at: datetime) -> list[Outcome]:
        """Send new events to the inbox and return the outcome of each."""
        outcomes: list[Outcome] = []
        new: dict[str, str] = {}
        for event in events:
            key = entry_id(event)[:32]
            try:
                duplicate = is_duplicate(new.get(key) or self._known(key), event.content_digest)
                if not duplicate:
                    check_backdate(event.time, received_at, self._backdate_days)
            except Rejected as error:
                outcomes.append(error)
                continue
            if not duplicate:
                new[key] = event.content_digest
                self._publisher.send(event.holder_id or "", _encode(event.raw))
            outcomes.append(Accepted(duplicate=duplicate))
        self._publisher.flush()  # an event is remembered only once the broker has acknowledged it
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?)", new.items())
        self._db.execute("COMMIT")
        return outcomes

    def _known(self, key: str) -> str | None:
        row = self._db.execute("SELECT digest FROM sent WHERE event = ?", (key,)).fetchone()
        return str(row[0]) if row else None


@contextmanager
def open_kafka_inbox(settings: Settings) -> Iterator[KafkaInbox]:
    """Open the inbox of the broker that the settings name."""
    connection = parse(settings.broker or "")
    with Publisher(connection) as publisher:
        inbox = KafkaInbox(
            publisher, settings.data / "sent" / f"{cluster_id(connection)}.db", settings.backdate_days
        )
        try:
            yield inbox
        finally:
            inbox.close()


def send_kafka_tick(settings: Settings, at: datetime) -> None:
    """Send a tick through the inbox, as any clock does."""
    moment = time_text(at)
    event = {
        "specversion": "1.0",
        "id": f"tick-{moment}",
        "source": "urn:agency:000000:clock",
        "type": "zhengzhao.clock.ticked.v1",
        "time": moment,
        "data": {},
    }
    with Publisher(parse(settings.broker or "")) as publisher:
        publisher.send("", _encode(event))


def ensure_catalogue(connection: Connection, catalogue: Catalogue) -> bool:
    """Write the catalogue into the ledger where another one is in force; return True where it was written."""
    recorded = last_catalogue(connection)
    if recorded is not None and recorded.payload.digest == catalogue.digest:
        return False
    entry = catalogue_entry(catalogue, datetime.now(UTC))
    send_all(connection, send_entry(entry))  # into every partition first, so that nobody writes it again
    send_all(connection, [Send(CATALOGUE, b"catalogue", encode_entry(entry))])
    return True


def last_catalogue(connection: Connection) -> CatalogueEntry | None:
    """Return the catalogue entry written last; None before the first."""
    last: CatalogueEntry | None = None
    with Reader(connection, [CATALOGUE]) as reader:
        reader.seek({})
        for records in reader.up_to(reader.ends()):
            entry = decode_entry(records[-1].value)
            last = entry if isinstance(entry, CatalogueEntry) else last
    return last
