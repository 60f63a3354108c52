"""The catalogue in force on Kafka: in every partition of the ledger, before any event that it decides.

A worker that routes compares its own catalogue with the last one recorded and writes the new one first. Workers
of one installation therefore have to have the same item files; the last one started wins.
"""

from __future__ import annotations

from datetime import UTC, datetime

from infra.kafka.connection import Connection
from infra.kafka.outbox import Send
from infra.kafka.publisher import send_all
from infra.kafka.reading import Reader
from infra.kafka.topics import CATALOGUE
from infra.kafka.wire import decode_entry, encode_entry, send_entry
from processors.route import catalogue_entry
from schemas.items import Catalogue, to_json
from schemas.ledger import Entry


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
