"""Dead letters on Kafka: read in the projection, and returned to the topic that the stage consumes where they failed.

A letter that was returned is recorded as such; the same failure again opens it again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from infra.kafka import topics
from infra.kafka.connection import Connection, parse
from infra.kafka.outbox import Send
from infra.kafka.projection import PATIENCE, Projection, open_caught_up
from infra.kafka.publisher import send_all
from infra.kafka.records import (
    LetterRecord,
    decode_question,
    send_entry,
    send_job,
    send_letter,
    send_question,
)
from infra.parts import Parts
from infra.persons.keys import PersonsStore
from infra.readmodel.lists import (
    chosen_letters,
    closing_note,
    mark_closed,
    mark_returned,
    open_letters,
    stored_content,
)
from processors import stages
from processors.topology import returns_to
from schemas.ledger import TickEntry, decode_entry, encode_entry, partition_of
from schemas.licence import decode_job


class KafkaLetters:
    """The letter box of an installation on Kafka."""

    def __init__(self, projection: Projection, connection: Connection, persons: PersonsStore) -> None:
        self._db = projection.db
        self._connection = connection
        self._persons = persons

    def letters(self) -> Iterator[dict[str, Any]]:
        """Yield the open letters, oldest first."""
        return open_letters(self._db)

    def content(self, letter: int) -> bytes:
        """Return the original bytes of a letter."""
        raw = stored_content(self._db, letter)
        return self._persons.open_file(raw) if self._row(letter)[3] else raw

    def retry(self, wanted: Sequence[int] = ()) -> int:
        """Send letters back (all that are open, or those wanted) and return how many."""
        chosen = chosen_letters(self._db, wanted)
        for row in chosen:
            send_all(self._connection, self._back(row))
            with self._db.transaction():
                mark_returned(self._db, row["letter"])
        return len(chosen)

    def close(self, letter: int, reason: str) -> None:
        """End a letter for good and record the reason. Raises NotFound for one that is not open."""
        (row,) = chosen_letters(self._db, [letter])
        send_all(self._connection, [self._ended(row, "closed", closing_note(reason))])
        with self._db.transaction():
            mark_closed(self._db, letter, reason)

    def _ended(self, row: dict[str, Any], state: str, hint: str) -> Send:
        """Return the record that ends an open letter."""
        letter_id, topic, key, sealed = self._row(row["letter"])
        stored = stored_content(self._db, row["letter"])
        record = LetterRecord(
            id=letter_id, time=row["time"], place=row["place"], error=row["error"], hint=hint,
            at=row["at"], topic=topic, key=key, content=base64.b64encode(stored).decode(), state=state,
            sealed=bool(sealed),
        )  # fmt: skip
        return send_letter(record)

    def _back(self, row: dict[str, Any]) -> list[Send]:
        letter_id, topic, key, _ = self._row(row["letter"])
        # The key of a sealed letter is not kept; any other key will do.
        messages = returned(row["place"], topic, (key or letter_id).encode(), self.content(row["letter"]))
        return [*messages, self._ended(row, "returned", row["hint"])]

    def _row(self, letter: int) -> tuple[str, str, str, int]:
        sql = "SELECT id, topic, key, sealed FROM kafka_letters WHERE seq = ?"
        found: tuple[str, str, str, int] = self._db.db.execute(sql, (letter,)).fetchone()
        return found


def returned(place: str, topic: str, key: bytes, raw: bytes) -> list[Send]:
    """Return the messages that bring back the content of a letter."""
    stream = returns_to(place)
    if stream is stages.LEDGER:
        entry = decode_entry(raw)
        return [_to_one(entry)] if isinstance(entry, TickEntry) else list(send_entry(entry))
    if stream is stages.GRANTS:
        return [send_question(decode_question(raw))]
    if stream is stages.NUMBERED:
        return [send_job(decode_job(raw))]
    return [Send(topic, key, raw)]


def _to_one(entry: TickEntry) -> Send:
    """Return a tick that failed for one holder to that holder's partition, for all holders there."""
    again = msgspec.structs.replace(entry, holder="")
    return Send(topics.LEDGER, b"", encode_entry(again), partition_of(entry.holder))


@contextmanager
def open_kafka_letters(parts: Parts) -> Iterator[KafkaLetters]:
    """Open the letter box, caught up with the broker."""
    connection = parse(parts.settings.broker or "")
    projection, _ = open_caught_up(parts.settings, connection, PATIENCE)
    try:
        yield KafkaLetters(projection, connection, parts.persons)
    finally:
        projection.close()
