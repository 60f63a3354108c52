"""Events to the inbox: idempotent, acknowledged by all replicas, a delivery report for each.

One holder's events go to one partition, in the order in which they were handed over; the partition follows
from the holder in the compared form. (Anybody else may use any key: `route` reads every partition.)
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError

from infra.kafka.connection import Connection, client, denied
from infra.kafka.outbox import Send
from infra.kafka.topics import INBOX
from schemas.errors import BrokerUnavailable, ZhengzhaoError

INBOX_PARTITIONS = 12
_IN_FLIGHT = 5000
_MAX_MESSAGE = 4 * 1024 * 1024


class Delivered(msgspec.Struct, frozen=True):
    """The place where the broker put an event."""

    partition: int
    offset: int


def inbox_partition(holder: str) -> int:
    """Return the partition for a holder's events (compared id; empty for the clock's)."""
    return hashlib.sha256(holder.encode()).digest()[1] % INBOX_PARTITIONS


def inbox_key(holder: str) -> bytes:
    """Return a key that names nobody: a person's number stays out of keys."""
    return hashlib.sha256(b"inbox\0" + holder.encode()).hexdigest()[:16].encode()


class Publisher:
    """A producer with a bounded number of events under way; leaving the block waits for all of them."""

    def __init__(self, connection: Connection, *, topic: str = INBOX, seconds: float = 120) -> None:
        self._topic = topic
        self._free = threading.Semaphore(_IN_FLIGHT)
        self._failed: Exception | None = None
        try:
            self._producer = KafkaProducer(
                **client(connection),
                enable_idempotence=True,
                acks="all",
                linger_ms=5,
                batch_size=128 * 1024,
                max_request_size=_MAX_MESSAGE,
                delivery_timeout_ms=int(seconds * 1000),
                request_timeout_ms=int(min(30, seconds / 2) * 1000),
                max_block_ms=int(seconds * 1000),
                bootstrap_timeout_ms=int(min(30, seconds) * 1000),
                allow_auto_create_topics=False,
            )
        except KafkaError as error:
            raise _unavailable(connection, error) from error
        self._connection = connection

    def send(
        self,
        holder: str,
        raw: bytes,
        report: Callable[[Delivered], None] = lambda _: None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Hand an event over; wait where too many are under way. `report` is called when it is safe.

        Raises BrokerUnavailable as soon as any event before was not taken within the time.
        """
        self._free.acquire()
        self._raise()
        try:
            future = self._producer.send(
                self._topic,
                raw,
                key=inbox_key(holder),
                headers=list(headers),
                partition=inbox_partition(holder),
            )
        except KafkaError as error:
            self._free.release()
            raise _unavailable(self._connection, error) from error
        future.add_callback(lambda metadata: self._reported(report, metadata))
        future.add_errback(self._refused)

    def flush(self) -> None:
        """Wait until every event is acknowledged."""
        try:
            self._producer.flush()
        except KafkaError as error:
            raise _unavailable(self._connection, error) from error
        self._raise()

    def close(self) -> None:
        """Wait for what is under way, unless an event was refused, and close the connection."""
        self._producer.close(timeout=30 if self._failed is None else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    def _reported(self, report: Callable[[Delivered], None], metadata: Any) -> None:
        self._free.release()
        report(Delivered(metadata.partition, metadata.offset))

    def _refused(self, error: Exception) -> None:
        self._failed = self._failed or error
        self._free.release()

    def _raise(self) -> None:
        if self._failed is not None:
            raise _unavailable(self._connection, self._failed) from self._failed


def send_all(connection: Connection, sends: Iterable[Send]) -> None:
    """Send messages to any topic and wait until all are acknowledged."""
    try:
        producer = KafkaProducer(
            **client(connection), enable_idempotence=True, acks="all", max_request_size=2 * _MAX_MESSAGE,
            bootstrap_timeout_ms=20_000,
        )  # fmt: skip
        try:
            sent = [producer.send(s.topic, s.value, key=s.key, partition=s.partition) for s in sends]
            for future in sent:
                future.get(timeout=60)
        finally:
            producer.close()
    except KafkaError as error:
        raise _unavailable(connection, error) from error


def _unavailable(connection: Connection, error: Exception) -> ZhengzhaoError:
    return denied(connection, error) or BrokerUnavailable(
        f"the broker did not take the events: {error!r}",
        where=connection.bootstrap,
        hint="is Kafka running (zhengzhao stack status)? call the same command again: it goes on where it stopped",
    )
