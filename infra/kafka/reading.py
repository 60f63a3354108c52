"""Reading topics to their ends without a group: for projections, replay and export."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from infra.kafka.connection import Connection, client
from schemas.errors import BrokerUnavailable

Place = tuple[str, int]  # topic, partition
_MAX_FETCH = 8 * 1024 * 1024


class Reader:
    """A consumer over fixed topics, every partition, from given positions on."""

    def __init__(self, connection: Connection, topics: Iterable[str]) -> None:
        self._where = connection.bootstrap
        try:
            self._consumer = KafkaConsumer(
                **client(connection),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_poll_records=2000,
                fetch_max_bytes=4 * _MAX_FETCH,
                max_partition_fetch_bytes=_MAX_FETCH,
                bootstrap_timeout_ms=10_000,
            )
            self._partitions = [
                TopicPartition(topic, n)
                for topic in topics
                for n in sorted(self._consumer.partitions_for_topic(topic) or ())
            ]
            self._consumer.assign(self._partitions)
        except KafkaError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def seek(self, positions: Mapping[Place, int]) -> None:
        """Go on from these positions; a partition without one from its beginning."""
        for partition in self._partitions:
            if (offset := positions.get((partition.topic, partition.partition), 0)) > 0:
                self._consumer.seek(partition, offset)
            else:
                self._consumer.seek_to_beginning(partition)

    def ends(self) -> dict[Place, int]:
        """Return the ends as they are now: the offset that the next record of each partition will get."""
        try:
            ends = self._consumer.end_offsets(self._partitions)
        except KafkaError as error:
            raise self._failed(error) from error
        return {(p.topic, p.partition): offset for p, offset in ends.items()}

    def positions(self) -> dict[Place, int]:
        """Return the position in each partition."""
        return {(p.topic, p.partition): self._position(p) for p in self._partitions}

    def behind(self, ends: Mapping[Place, int]) -> int:
        """Count the records that are left up to these ends."""
        return sum(max(0, end - place) for end, place in self._pairs(ends))

    def poll(self, seconds: float) -> list[Any]:
        """Return the next records of all partitions; of one partition in order."""
        try:
            found = self._consumer.poll(timeout_ms=int(seconds * 1000))
        except KafkaError as error:
            raise self._failed(error) from error
        return [record for records in found.values() for record in records]

    def up_to(self, ends: Mapping[Place, int], *, seconds: float | None = None) -> Iterator[list[Any]]:
        """Return the records up to these ends, in portions; ends early where the time runs out."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while self.behind(ends) and (deadline is None or time.monotonic() < deadline):
            if records := self.poll(0.5):
                yield records

    def rewind(self, positions: Mapping[Place, int], places: Iterable[Place]) -> None:
        """Go back, in some partitions, to where these positions are."""
        wanted = set(places)
        for partition in self._partitions:
            if (partition.topic, partition.partition) in wanted:
                self._consumer.seek(partition, positions.get((partition.topic, partition.partition), 0))

    def _pairs(self, ends: Mapping[Place, int]) -> Iterator[tuple[int, int]]:
        for partition in self._partitions:
            yield ends.get((partition.topic, partition.partition), 0), self._position(partition)

    def _position(self, partition: TopicPartition) -> int:
        try:
            position: int | None = self._consumer.position(partition)
        except KafkaError as error:
            raise self._failed(error) from error
        if position is None:  # it has to be asked for, and nobody answers
            raise self._failed(TimeoutError("no position"))
        return position

    def _failed(self, error: Exception) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"the broker does not answer: {error!r}", where=self._where, hint="zhengzhao stack status"
        )


def cluster_id(connection: Connection) -> str:
    """Return the id of the Kafka cluster: another one remembers other events."""
    try:
        admin = KafkaAdminClient(**client(connection), bootstrap_timeout_ms=20_000)
        try:
            return str(admin.describe_cluster()["cluster_id"])
        finally:
            admin.close()
    except KafkaError as error:
        raise BrokerUnavailable(
            f"the broker does not answer: {error!r}",
            where=connection.bootstrap,
            hint="zhengzhao stack status",
        ) from error
