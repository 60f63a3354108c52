"""Dead letters on Kafka: read in the projection, returned to where they failed.

What failed at the door goes back to the inbox, what failed to be decided to the ledger, a grant to the grants, a
job to `issue`. A letter that was returned is told as such; the same failure again opens it again.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from infra import issue_worker
from infra.embedded import letters
from infra.kafka import topics
from infra.kafka.connection import Connection, parse
from infra.kafka.outbox import Send
from infra.kafka.projection import PATIENCE, Projection, open_caught_up
from infra.kafka.publisher import send_all
from infra.kafka.records import (
    LetterRecord,
    decode_entry,
    decode_to_number,
    send_entry,
    send_letter,
    send_to_number,
)
from infra.persons import open_persons
from infra.persons.keys import PersonsStore
from infra.settings import Settings
from schemas.errors import NotFound
from schemas.ledger import Entry, partition_of


class KafkaLetters:
    """The letter box of an installation on Kafka."""

    def __init__(self, projection: Projection, connection: Connection, persons: PersonsStore) -> None:
        self._db = projection.db
        self._connection = connection
        self._persons = persons

    def letters(self) -> Iterator[dict[str, Any]]:
        """The open letters, oldest first."""
        return letters.letters(self._db)

    def content(self, letter: int) -> bytes:
        """The original bytes of a letter."""
        raw = letters.content(self._db, letter)
        return self._persons.open_file(raw) if self._row(letter)[3] else raw

    def retry(self, wanted: Sequence[int] = ()) -> int:
        """Sends letters back (all that are open, or those wanted); how many."""
        open_ones = [row for row in self.letters() if not wanted or row["letter"] in wanted]
        for number in set(wanted) - {row["letter"] for row in open_ones}:
            raise NotFound(
                "没有这封死信 / no such open letter", where=str(number), hint="zhengzhao letters list"
            )
        for row in open_ones:
            send_all(self._connection, self._back(row))
            with self._db.transaction():
                self._db.db.execute("UPDATE letters SET state = 'returned' WHERE seq = ?", (row["letter"],))
        return len(open_ones)

    def _back(self, row: dict[str, Any]) -> list[Send]:
        raw, stored = self.content(row["letter"]), letters.content(self._db, row["letter"])
        letter_id, topic, key, sealed = self._row(row["letter"])
        closed = LetterRecord(
            id=letter_id, time=row["time"], place=row["place"], error=row["error"], hint=row["hint"],
            at=row["at"], topic=topic, key=key, content=base64.b64encode(stored).decode(), state="returned",
            sealed=bool(sealed),
        )  # fmt: skip
        # the key of a sealed letter is not kept: any other does
        key = key or letter_id
        return [*returned(row["place"], topic, key.encode(), raw), send_letter(closed)]

    def _row(self, letter: int) -> tuple[str, str, str, int]:
        sql = "SELECT id, topic, key, sealed FROM kafka_letters WHERE seq = ?"
        found: tuple[str, str, str, int] = self._db.db.execute(sql, (letter,)).fetchone()
        return found


def returned(place: str, topic: str, key: bytes, raw: bytes) -> list[Send]:
    """What brings back the content of a letter."""
    if place == "decide":
        entry = decode_entry(raw)
        return list(send_entry(entry)) if entry.kind != "tick" else [_to_one(entry, raw)]
    if place == "number":
        return [send_to_number(decode_to_number(raw))]
    if place == "issue":
        return [Send(topics.NUMBERED, issue_worker.decode_job(raw).numbered.grant.grant_id.encode(), raw)]
    return [Send(topic, key, raw)]


def _to_one(entry: Entry, raw: bytes) -> Send:
    """A tick that one holder could not take comes back to that holder's partition, for all who are there."""
    again = msgspec.structs.replace(entry, holder="")
    return Send(topics.LEDGER, b"", msgspec.json.encode(again), partition_of(entry.holder))


@contextmanager
def open_kafka_letters(settings: Settings) -> Iterator[KafkaLetters]:
    """The letter box, caught up with the broker."""
    connection = parse(settings.broker or "")
    projection, _ = open_caught_up(settings, connection, PATIENCE)
    persons = open_persons(settings.data, settings.shared_persons)
    try:
        yield KafkaLetters(projection, connection, persons)
    finally:
        persons.close()
        projection.close()
