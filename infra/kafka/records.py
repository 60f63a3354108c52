"""The records of the internal topics, as bytes and back (JSON, except jobs for `issue`), and the merged ledger.

`merge` brings the partitions of the ledger into one order. Entries of a holder stay in their order. Ticks and
catalogues stand in every partition and act as barriers: what precedes one in any partition precedes it in the merged
order, where it stands once.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from infra.kafka import topics
from infra.kafka.outbox import Send
from infra.pool import Failure
from issuance.status_lists import EditionRecord
from processors.publish import Outbound
from processors.stages import Produced, Question, series_of
from processors.streams import FACTS, GRANTS, LEDGER, NUMBERED, Stream
from schemas import facts as f
from schemas.canonical_json import derived_id
from schemas.facts import Fact
from schemas.ledger import LEDGER_PARTITIONS, Entry, TickEntry, decode_entry, encode_entry, partition_of
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
    return "0", "", entry.received_at  # a catalogue precedes the first event, so it never waits for a tick
