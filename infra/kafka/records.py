"""The records of the internal topics, as bytes and back (JSON, except jobs for `issue`), and the merged ledger.

`merge` brings the partitions of the ledger into one order. Entries of a holder stay in their order. Ticks and
catalogues stand in every partition and act as barriers: what precedes one in any partition precedes it in the merged
order, where it stands once.

Reading topics to their ends without a group: for projections, replay and export.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from infra.kafka import topics
from infra.kafka.connection import Connection, client
from infra.kafka.outbox import Send
from infra.pool import Failure
from issuance.status_lists import EditionRecord
from processors.stages import FACTS, GRANTS, LEDGER, NUMBERED, Outbound, Produced, Question, Stream, series_of
from schemas import facts as f
from schemas.canonical_json import derived_id
from schemas.errors import BrokerUnavailable
from schemas.facts import Fact
from schemas.ledger import (
    LEDGER_PARTITIONS,
    CorrectedEntry,
    Entry,
    TickEntry,
    decode_entry,
    encode_entry,
    partition_of,
)
from schemas.licence import Job, encode_job

encode_fact = f.encode
_FACTS_BYTES = 1 << 20  # of one record of facts; a single fact may be larger


_encode = msgspec.json.Encoder().encode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_question: Callable[[bytes], Question] = msgspec.json.Decoder(Question).decode


class LetterRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dead letter: an input that failed permanently, its stage, the reason, and its original bytes.

    `content` is base64. Content from outside may name a person, so it is encrypted with the installation's secret
    (`sealed`) and the record's key is left out. `state` `returned` closes the letter of the same id.
    """

    id: str
    time: str
    place: str  # the stage
    error: str = ""
    hint: str = ""
    at: str = ""  # topic, partition and offset, or the field
    topic: str = ""
    key: str = ""
    content: str = ""
    state: str = "open"
    sealed: bool = False
    v: int = 1

    @property
    def raw(self) -> bytes:
        """Return the original bytes (encrypted where `sealed`)."""
        return base64.b64decode(self.content)


decode_letter = msgspec.json.Decoder(LetterRecord).decode


def letter(
    place: str,
    message: Any,
    time: str,
    failure: Failure,
    raw: bytes | None = None,
    seal: Callable[[bytes], bytes] | None = None,
) -> LetterRecord:
    """Return the letter for a message that failed in a stage, or for the part `raw` of what it led to.

    The same failure gives the same id.
    """
    at = f"{message.topic}[{message.partition}]@{message.offset}"
    content = raw if raw is not None else message.value or b""
    return LetterRecord(
        id=derived_id("letter", place, at, *([hashlib.sha256(raw).hexdigest()] if raw is not None else [])),
        time=time,
        place=place,
        error=f"{failure.where}: {failure.message}" if failure.where else failure.message,
        hint=failure.hint,
        at=at,
        topic=message.topic,
        key="" if seal else (message.key or b"").decode("utf-8", "replace"),
        content=base64.b64encode(seal(content) if seal else content).decode(),
        sealed=seal is not None,
    )


def send_letter(one: LetterRecord) -> Send:
    """Return a dead letter as a message."""
    return Send(topics.DEAD_LETTERS, one.id.encode(), _encode(one))


def send_entry(entry: Entry) -> tuple[Send, ...]:
    """Return the messages for an entry: one to its holder's partition of the ledger, or one to every partition."""
    raw = encode_entry(entry)
    if entry.holder:
        return (Send(topics.LEDGER, entry.holder.encode(), raw, partition_of(entry.holder)),)
    return tuple(Send(topics.LEDGER, b"", raw, partition) for partition in range(LEDGER_PARTITIONS))


def send_facts(facts: Sequence[Fact]) -> Iterator[Send]:
    """Yield the facts that one input led to for one holder, in as few records as the size limit allows."""
    portion: list[bytes] = []
    for fact in facts:
        raw = encode_fact(fact)
        if portion and sum(map(len, portion)) + len(raw) > _FACTS_BYTES:
            yield _facts_record(fact.holder, portion)
            portion = []
        portion.append(raw)
    if portion:
        yield _facts_record(facts[0].holder, portion)


def _facts_record(holder: str, portion: list[bytes]) -> Send:
    return Send(topics.FACTS, holder.encode(), b"[" + b",".join(portion) + b"]", partition_of(holder))


def decode_facts(raw: bytes) -> list[Fact]:
    """Return the facts in a record; an earlier release wrote a single one instead of a list."""
    if raw.startswith(b"["):
        return [f.decode(bytes(one)) for one in _list(raw)]
    return [f.decode(raw)]


def send_question(question: Question) -> Send:
    """Return a grant or a question for `number`, in the partition of its series."""
    series = series_of(question)
    return Send(topics.GRANTS, series.encode(), _encode(question), topics.series_partition(series))


def send_job(job: Job) -> Send:
    """Return a numbered grant for `issue`."""
    return Send(topics.NUMBERED, job.numbered.grant.grant_id.encode(), encode_job(job))


def send_outside(told: Outbound) -> Send:
    """Return a CloudEvent for the topics that the world outside reads."""
    return Send(told.topic, told.holder.encode(), _encode(told.event))


_SENDERS: dict[Stream, Callable[[Any], Iterable[Send]]] = {
    FACTS: lambda facts: send_facts(facts),
    GRANTS: lambda questions: map(send_question, questions),
    NUMBERED: lambda jobs: map(send_job, jobs),
    LEDGER: lambda entries: (send for entry in entries for send in send_entry(entry)),
}


def sends(produced: Produced) -> Iterator[Send]:
    """Yield what a step returned as messages for the topics of its streams."""
    for stream, records in produced.streams():
        yield from _SENDERS[stream](records)


class PublishedEdition(msgspec.Struct, frozen=True):
    """An edition of a status list as published: its record, its objects, and the facts that were folded for it."""

    record: EditionRecord
    objects: tuple[tuple[str, bytes], ...]
    upto: dict[str, int]  # partition of the facts → offset of the next one
    v: int = 1


encode_edition_record = msgspec.msgpack.Encoder().encode
decode_edition_record = msgspec.msgpack.Decoder(PublishedEdition).decode


class MergedLine(NamedTuple):
    """A ledger entry and its stored bytes."""

    entry: Entry
    raw: bytes


def merge(partitions: Mapping[int, Iterable[bytes]]) -> Iterator[MergedLine]:
    """Yield the entries of all partitions in one order."""
    sources = {n: iter(rows) for n, rows in sorted(partitions.items())}
    told: set[str] = set()
    waiting: dict[int, MergedLine] = {}
    while sources:
        for n in [n for n in sources if n not in waiting]:
            for raw in sources[n]:
                line = MergedLine(decode_entry(raw), raw)
                if line.entry.holder:
                    yield line
                elif line.entry.id not in told:
                    waiting[n] = line
                    break
            else:
                del sources[n]
        if waiting:
            # Two clocks that ran at once may have written two ticks in different orders: the earlier one counts first.
            barrier = min(waiting.values(), key=_moment)
            told.add(barrier.entry.id)
            yield barrier
            for n in [n for n, line in waiting.items() if line.entry.id in told]:
                del waiting[n]


def _moment(line: MergedLine) -> tuple[str, str, str]:
    entry = line.entry
    if isinstance(entry, TickEntry):
        return "1", entry.payload.time, entry.received_at
    if isinstance(entry, CorrectedEntry):
        return "2", "", entry.received_at  # after the tick that it corrects
    return "0", "", entry.received_at  # a catalogue precedes the first event, so it never waits for a tick


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

    def ends(self, seconds: float = 30) -> dict[Place, int]:
        """Return the ends as they are now: the offset that the next record of each partition will get.

        Raises BrokerUnavailable where the broker does not say so in `seconds`.
        """
        try:
            ends = self._consumer.end_offsets(self._partitions, timeout_ms=int(seconds * 1000))
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
        """Yield the records up to these ends, in portions; stop early where the time runs out."""
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


def cluster_id(connection: Connection, seconds: float = 20) -> str:
    """Return the id of the Kafka cluster: another one remembers other events."""
    try:
        admin = KafkaAdminClient(**client(connection), bootstrap_timeout_ms=int(min(20, seconds) * 1000))
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
