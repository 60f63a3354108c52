"""The catalogue in force on Kafka: in every partition of the ledger, before any event that it decides.

A worker that routes compares its own catalogue with the last one recorded and writes the new one first. Workers
of one installation therefore have to have the same item files; the last one started wins.
"""

from __future__ import annotations

from datetime import UTC, datetime

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from infra.kafka.connection import Connection
from infra.kafka.topics import CATALOGUE
from infra.kafka.wire import decode_entry, encode_entry, send_entry
from processors.route import catalogue_entry
from schemas.errors import BrokerUnavailable
from schemas.items import Catalogue, to_json
from schemas.ledger import Entry


def ensure_catalogue(connection: Connection, catalogue: Catalogue) -> bool:
    """Writes the catalogue into the ledger where another one is in force; True where it was written."""
    try:
        recorded = last_catalogue(connection)
        if recorded is not None and recorded.payload["digest"] == catalogue.digest:
            return False
        entry = catalogue_entry(to_json(catalogue), datetime.now(UTC))
        producer = KafkaProducer(
            **connection.client, enable_idempotence=True, acks="all", max_request_size=8 * 1024 * 1024
        )
        try:
            sent = [
                producer.send(s.topic, s.value, key=s.key, partition=s.partition) for s in send_entry(entry)
            ]
            for future in sent:
                future.get(timeout=60)
            producer.send(CATALOGUE, encode_entry(entry), key=b"catalogue").get(timeout=60)
        finally:
            producer.close()
    except KafkaError as error:
        raise BrokerUnavailable(
            f"the catalogue could not be recorded: {error!r}", where=connection.bootstrap
        ) from error
    return True


def last_catalogue(connection: Connection) -> Entry | None:
    """The catalogue entry written last; None before the first."""
    consumer = KafkaConsumer(
        **connection.client, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=16 * 1024 * 1024,
    )  # fmt: skip
    try:
        partition = TopicPartition(CATALOGUE, 0)
        consumer.assign([partition])
        end = consumer.end_offsets([partition])[partition]
        consumer.seek_to_beginning(partition)
        last: Entry | None = None
        while consumer.position(partition) < end:
            for records in consumer.poll(timeout_ms=1000).values():
                for record in records:
                    last = decode_entry(record.value)
        return last
    finally:
        consumer.close()
