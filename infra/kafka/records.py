"""What the internal topics carry, as bytes and back. JSON, except a job for `issue`.

One order for the ledger of many partitions.

Entries of a holder stay in their order. What concerns everyone (ticks, catalogues) stands in every partition; it is
a barrier: what came before it in any partition comes before it here, and it comes once.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from infra.kafka import topics
from infra.kafka.outbox import Send
from infra.pool import Failure
from schemas import facts as f
from schemas.canonical_json import derived_id
from schemas.facts import Fact
from schemas.ledger import LEDGER_PARTITIONS, Entry, Kind, partition_of
from schemas.licence import Grant

encode_entry = msgspec.json.Encoder().encode
decode_entry = msgspec.json.Decoder(Entry).decode
encode_fact = f.encode
_FACTS_BYTES = 1 << 20  # of one record of facts; a single fact may be larger


class ToNumber(msgspec.Struct, frozen=True, tag="grant"):
    """A grant for `number`; `paper` is what `issue` needs of its service item."""

    grant: Grant
    paper: bytes


class SerialSeen(msgspec.Struct, frozen=True, tag="imported"):
    """An imported licence has this serial of a series: the series goes on after it."""

    id: str
    series: str
    serial: int


class NumberClaimed(msgspec.Struct, frozen=True, tag="claimed"):
    """A holder would import this number: the ledger is told whether it is free."""

    holder: str
    number: str
    series: str
    serial: int | None = None


def send_failed(grant: Grant) -> tuple[Send, ...]:
    """That a version could not be numbered or issued, on its way to the ledger."""
    told = {"licence_id": grant.licence_id, "version": grant.version}
    return send_entry(back("failed", grant.grant_id, grant.holder, told))


Question = ToNumber | SerialSeen | NumberClaimed
_encode = msgspec.json.Encoder().encode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_to_number: Callable[[bytes], Question] = msgspec.json.Decoder(Question).decode


class LetterRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dead letter: what failed by itself, where, why, with its original bytes.

    `content` is base64; `sealed` where it may name a person, as what comes from outside does: then it is encrypted
    with the installation's secret, and the record's key is left out. `state` `returned` closes the letter with the
    same id.
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
        """The original bytes."""
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
    """The letter for a message that failed in a stage; the same message gives the same id."""
    at = f"{message.topic}[{message.partition}]@{message.offset}"
    content = raw if raw is not None else message.value or b""
    return LetterRecord(
        id=derived_id("letter", place, at),
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
    """A letter on its way."""
    return Send(topics.DEAD_LETTERS, one.id.encode(), _encode(one))


def send_entry(entry: Entry) -> tuple[Send, ...]:
    """An entry on its way to its holder's partition of the ledger, or to every one."""
    raw = encode_entry(entry)
    if entry.holder:
        return (Send(topics.LEDGER, entry.holder.encode(), raw, partition_of(entry.holder)),)
    return tuple(Send(topics.LEDGER, b"", raw, partition) for partition in range(LEDGER_PARTITIONS))


def send_facts(facts: Sequence[Fact]) -> Iterator[Send]:
    """The facts that one input led to for one holder, in as few records as are not too large."""
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
    """The facts in a record: a list, or (of an earlier release) a single one."""
    if raw.startswith(b"["):
        return [f.decode(bytes(one)) for one in _list(raw)]
    return [f.decode(raw)]


def back(kind: Kind, grant_id: str, holder: str, payload: dict[str, Any]) -> Entry:
    """What `number` and `issue` tell the ledger. It carries no time of ours: the same again is the same."""
    return Entry(derived_id(kind, grant_id), kind, holder, "", payload, principal=kind, auth="internal")


def send_to_number(one: Question) -> Send:
    """A grant or a question on its way to `number`, in the partition of its series."""
    series = one.grant.series if isinstance(one, ToNumber) else one.series
    return Send(topics.GRANTS, series.encode(), _encode(one), topics.series_partition(series))


class MergedLine(NamedTuple):
    """An entry and its bytes."""

    entry: Entry
    raw: bytes


def merge(partitions: Mapping[int, Iterable[bytes]]) -> Iterator[MergedLine]:
    """The entries of all partitions in one order."""
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
            # two schedulers that ran at once may have told two ticks in two orders: the earlier one first
            barrier = min(waiting.values(), key=_moment)
            told.add(barrier.entry.id)
            yield barrier
            for n in [n for n, line in waiting.items() if line.entry.id in told]:
                del waiting[n]


def _moment(line: MergedLine) -> tuple[str, str, str]:
    entry = line.entry
    # a catalogue stands before the first event: it never waits for a tick
    return ("0" if entry.kind == "catalogue" else "1", str(entry.payload.get("time", "")), entry.received_at)
