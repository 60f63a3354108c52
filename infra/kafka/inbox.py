"""The door on Kafka: events that passed it go to the inbox; `route` looks at them again.

What this data folder has sent is remembered (source and id → content), so that an interrupted file goes on where
it stopped, and what was sent before counts as a duplicate. What others sent is only known behind the ledger.

The catalogue in force on Kafka: in every partition of the ledger, before any event that it decides.

A worker that routes compares its own catalogue with the last one recorded and writes the new one first. Workers
of one installation therefore have to have the same item files; the last one started wins.
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
from infra.kafka.reading import Reader, cluster_id
from infra.kafka.records import decode_entry, encode_entry, send_entry
from infra.kafka.topics import CATALOGUE
from infra.settings import Settings
from processors.route import catalogue_entry, entry_id
from producers.files import Accepted, Outcome
from schemas.calendar import time_text
from schemas.errors import Rejected, TransientError
from schemas.events import Event
from schemas.items import Catalogue, to_json
from schemas.ledger import Entry

_SENT = "CREATE TABLE IF NOT EXISTS sent (event TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID"
_encode = msgspec.json.Encoder().encode


class KafkaInbox:
    """Sends events; those of one holder stay in order."""

    def __init__(self, publisher: Publisher, remembered: Path) -> None:
        self._publisher = publisher
        remembered.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(remembered, timeout=60, isolation_level=None)
            self._db.execute(_SENT)
        except sqlite3.Error as error:
            raise TransientError(
                f"what was sent cannot be remembered: {error}", where=str(remembered)
            ) from error

    def close(self) -> None:
        """Closes the memory."""
        self._db.close()

    def take(self, events: Sequence[Event], received_at: datetime) -> list[Outcome]:
        outcomes: list[Outcome] = []
        new: dict[str, str] = {}
        for event in events:
            key = entry_id(event)[:32]
            known = new.get(key) or self._known(key)
            if known is None:
                new[key] = event.content_digest
                self._publisher.send(event.holder_id or "", _encode(event.raw))
                outcomes.append(Accepted())
            elif known == event.content_digest:
                outcomes.append(Accepted(duplicate=True))
            else:
                outcomes.append(_other_content())
        self._publisher.flush()  # every one acknowledged: only then is it remembered
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?)", new.items())
        self._db.execute("COMMIT")
        return outcomes

    def _known(self, key: str) -> str | None:
        row = self._db.execute("SELECT digest FROM sent WHERE event = ?", (key,)).fetchone()
        return str(row[0]) if row else None


@contextmanager
def open_kafka_inbox(settings: Settings) -> Iterator[KafkaInbox]:
    """The inbox of the broker that the settings name."""
    connection = parse(settings.broker or "")
    with Publisher(connection) as publisher:
        inbox = KafkaInbox(publisher, settings.data / "sent" / f"{cluster_id(connection)}.db")
        try:
            yield inbox
        finally:
            inbox.close()


def send_kafka_tick(settings: Settings, at: datetime) -> None:
    """Tells the time, through the inbox like any clock."""
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


def _other_content() -> Rejected:
    return Rejected(
        "同一来源、同一编号的事件已收过，内容不同 / an event of this source and id came before with other content",
        where="id",
        hint="新的事件用新的编号 / give a new event a new id",
    )


def ensure_catalogue(connection: Connection, catalogue: Catalogue) -> bool:
    """Writes the catalogue into the ledger where another one is in force; True where it was written."""
    recorded = last_catalogue(connection)
    if recorded is not None and recorded.payload["digest"] == catalogue.digest:
        return False
    entry = catalogue_entry(to_json(catalogue), datetime.now(UTC))
    send_all(connection, send_entry(entry))  # into every partition first: then nobody writes it again
    send_all(connection, [Send(CATALOGUE, b"catalogue", encode_entry(entry))])
    return True


def last_catalogue(connection: Connection) -> Entry | None:
    """The catalogue entry written last; None before the first."""
    last: Entry | None = None
    with Reader(connection, [CATALOGUE]) as reader:
        reader.seek({})
        for records in reader.up_to(reader.ends()):
            last = decode_entry(records[-1].value)
    return last
