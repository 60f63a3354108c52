"""`decide` and `publish` on Kafka: ledger → facts, grants, and what the world outside hears of them.

One record per holder is state and outbox; the outbox keeps facts and grants, since the rest follows from facts.

The catalogue in force is part of each partition's state: it came through that partition of the ledger.

`publish` on Kafka: facts → the topics that the world outside reads. The same fact again is the same event.

It has no state and reads only what `decide` has just written, so it runs there: a loop of its own would fetch every
fact from the broker once more.

States written by a release with another form of state, rebuilt from the facts that led to them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
from faust.types import TP

from infra import issue_worker
from infra.kafka import topics
from infra.kafka.connection import Connection
from infra.kafka.faust_app import StageApp
from infra.kafka.outbox import Codec, Outbox, Record, Send, decode, encode, offset_of
from infra.kafka.reading import Reader
from infra.kafka.records import (
    NumberClaimed,
    SerialSeen,
    ToNumber,
    decode_entry,
    decode_facts,
    encode_entry,
    send_facts,
    send_to_number,
)
from infra.kafka.stage import StageLoop
from processors import state as states
from processors.decide import contradicts, decide
from processors.decisions.due import next_due
from processors.evolve import apply
from processors.publish import outbound
from processors.state import HolderState
from schemas import facts as f
from schemas.errors import Rejected
from schemas.facts import Fact
from schemas.items import Catalogue, from_json
from schemas.ledger import LEDGER_PARTITIONS, Entry, partition_of

_encode = msgspec.json.Encoder().encode


def tell(facts: Iterable[Fact]) -> Iterator[Send]:
    """What the world outside hears of facts; internal ones stay inside."""
    for fact in facts:
        if (told := outbound(fact)) is not None:
            yield Send(told[0], fact.holder.encode(), _encode(told[1]))


def tell_again(sends: Iterable[Send]) -> Iterator[Send]:
    """What follows from the facts among messages that are sent again."""
    for send in sends:
        if send.topic == topics.FACTS:
            yield from tell(decode_facts(send.value))


def is_old(raw: bytes) -> bool:
    """Whether a record's state has another form than this release's."""
    return decode(raw).schema != states.STATE_SCHEMA


def rebuild(old: Mapping[bytes, bytes], facts: Iterable[Fact]) -> dict[bytes, bytes]:
    """The records of these holders with states of this release: offsets and outboxes stay as they are.

    `facts` are those of all holders in their order, some twice; what an outbox has still to tell counts too.
    """
    folded = {key: states.initial(key.decode()) for key in old}
    told = {key: set[str]() for key in old}

    def take(fact: Fact) -> None:
        key = fact.holder.encode()
        if key in folded and fact.id not in told[key]:
            told[key].add(fact.id)
            apply(folded[key], fact)

    for fact in facts:
        take(fact)
    rebuilt = {}
    for key, raw in old.items():
        record = decode(raw)
        for pending in record.pending:
            for send in pending.sends:
                if send.topic == topics.FACTS:
                    for fact in decode_facts(send.value):
                        take(fact)
        state = folded[key]
        fresh = Record(states.STATE_SCHEMA, states.encode(state), record.pending, next_due(state) or "")
        rebuilt[key] = encode(offset_of(raw), fresh)
    return rebuilt


def rebuild_from(connection: Connection, old: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """As `rebuild`, with the facts that the broker has now."""

    def facts() -> Iterable[Fact]:
        with Reader(connection, [topics.FACTS]) as reader:
            reader.seek({})
            for records in reader.up_to(reader.ends()):
                for record in records:
                    yield from decode_facts(record.value)

    return rebuild(old, facts())


log = logging.getLogger(__name__)
_CHUNK = 100  # holders that a tick wakes before others get a turn
_MARK_EVERY = 200  # entries that may change nothing before the position is noted all the same
_POSITION = b"position"
_CATALOGUE = b"catalogue"
CATALOGUE_KEY = _CATALOGUE + b":%d"

_HOLDERS: Codec[HolderState] = Codec(
    states.STATE_SCHEMA,
    lambda key: states.initial(key.decode()),
    states.encode,
    states.decode,
    next_due,
)
_RAW: Codec[bytes] = Codec(1, lambda _: b"", lambda raw: raw, lambda raw: raw)
_TABLE: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "partitions": LEDGER_PARTITIONS}


class Deciding(StageLoop):
    """The only one who decides for the holders of its partitions."""

    name = "decide"
    topic = topics.LEDGER

    def __init__(self, app: StageApp, connection: Connection) -> None:
        super().__init__(app)
        self._connection = connection
        self.holders: Any = app.Table(topics.HOLDERS_TABLE[1], **_TABLE)
        self.catalogues: Any = app.Table(topics.CATALOGUES_TABLE[1], **_TABLE)
        self._partitions: dict[int, Partition] = {}
        app.prepare, app.starts = self._prepare, self._starts

    async def handle(self, event: Any) -> list[Any]:
        waiting = []
        for sends in self._partitions[event.message.partition].steps(event, self.dead):
            waiting += await self.loop.send(sends)
            self.check(event)
        return waiting

    async def _prepare(self) -> None:
        """Takes the recovered tables over."""
        mine = [tp for tp in self.loop.consumer.assignment() if tp.topic == self.topic]
        progress = self.loop.consumer.progress
        partitions = {
            tp.partition: Partition(
                tp.partition, self.holders, self.catalogues, partial(progress.position, tp)
            )
            for tp in mine
        }
        old: dict[bytes, bytes] = {}
        for n, (key, raw) in enumerate(list(self.holders.items())):
            if (one := partitions.get(partition_of(key.decode()))) is not None:
                if is_old(raw):
                    old[key] = raw
                else:
                    one.holders.restore(key, raw)
            if n % 1000 == 0:
                await asyncio.sleep(0)
        if old:
            log.warning("states of another release: %d are rebuilt from facts", len(old))
            for key, raw in (await asyncio.to_thread(rebuild_from, self._connection, old)).items():
                partitions[partition_of(key.decode())].holders.renew(key, raw)
        for key, raw in list(self.catalogues.items()):
            if (one := partitions.get(int(key.rpartition(b":")[2]))) is not None:
                one.catalogues.restore(key, raw)
        for one in partitions.values():
            one.holders.restored()
            one.catalogues.restored()
        self._partitions = partitions

    def _starts(self, committed: Mapping[TP, int]) -> dict[TP, int]:
        """A partition whose state is behind what is committed is read again from there."""
        return {
            tp: min(offset, self._partitions[tp.partition].newest + 1)
            for tp, offset in committed.items()
            if tp.topic == self.topic and tp.partition in self._partitions
        }


class Partition:
    """One partition of the ledger: its holders, and its catalogue in force."""

    def __init__(self, number: int, holders: Any, catalogues: Any, committed: Any) -> None:
        self._number = number
        self.holders: Outbox[HolderState] = Outbox(holders, _HOLDERS, committed)
        self.catalogues: Outbox[bytes] = Outbox(catalogues, _RAW, committed)
        self._in_force: Catalogue | None = None
        self._papers: dict[str, bytes] = {}

    @property
    def newest(self) -> int:
        """The last offset that this partition's state reflects."""
        return max(self.holders.newest, self.catalogues.newest)

    def steps(self, event: Any, dead: Any) -> Iterator[list[Send]]:
        """What the ledger entry in an event has to send, in portions."""
        offset = event.message.offset
        yield self._again(offset)
        try:
            entry = decode_entry(event.message.value)
        except (msgspec.DecodeError, TypeError) as error:
            yield [dead(event, error)]
            return
        if entry.kind == "tick":
            yield from self._tick(entry, offset, event, dead)
        elif entry.kind == "catalogue":
            yield self._catalogue(entry, offset)
        else:
            yield self._one(entry, entry.holder.encode(), offset, event, dead)
        if offset - self.newest >= _MARK_EVERY:
            yield self._store_raw(_POSITION, offset, b"")

    def _again(self, offset: int) -> list[Send]:
        """An input that was applied before: its records and messages once more."""
        sends: list[Send] = []
        for outbox, table in (
            (self.holders, topics.HOLDERS_TABLE),
            (self.catalogues, topics.CATALOGUES_TABLE),
        ):
            for key, (record, before) in outbox.again(offset).items():
                sends += [Send(topics.changelog(table), key, record, self._number), *before]
                sends += tell_again(before)
        return sends

    def _tick(self, entry: Entry, offset: int, event: Any, dead: Any) -> Iterator[list[Send]]:
        due = self.holders.due(str(entry.payload["time"]))
        for n in range(0, len(due), _CHUNK):
            yield [send for key in due[n : n + _CHUNK] for send in self._one(entry, key, offset, event, dead)]

    def _one(self, entry: Entry, key: bytes, offset: int, event: Any, dead: Any) -> list[Send]:
        told: list[Send] = []
        try:
            applied = self.holders.apply(key, offset, lambda state: self._step(state, entry, told))
        except (
            Exception
        ) as error:  # a fault of ours, or content that nobody foresaw: kept, and no other waits
            one = msgspec.structs.replace(entry, holder=key.decode())
            return [dead(event, error, encode_entry(one))]
        if applied is None:
            return []
        record, sends = applied
        return [Send(topics.changelog(topics.HOLDERS_TABLE), key, record, self._number), *sends, *told]

    def _step(
        self, state: HolderState, entry: Entry, told: list[Send]
    ) -> tuple[HolderState, tuple[Send, ...]] | None:
        if contradicts(state, entry):
            raise Rejected(
                "同一来源和编号的事件内容不同 / the same source and id came before with other content",
                where="id", hint="另用编号发送 / send it under an id of its own",
            )  # fmt: skip
        decision = decide(state, entry, self._catalogue_in_force())
        if not decision.facts:
            return None
        told += tell(decision.facts)
        grants = (send for fact in decision.facts for send in self._grants(fact))
        return decision.state, (*send_facts(decision.facts), *grants)

    def _grants(self, fact: Fact) -> Iterator[Send]:
        body = fact.body
        if isinstance(body, f.LicenceGranted):
            yield send_to_number(ToNumber(body.grant, self._paper(body.grant.item_digest)))
        elif isinstance(body, f.NumberAsked):
            yield send_to_number(NumberClaimed(fact.holder, body.number, body.series, body.serial))
        elif isinstance(body, f.ImportRecorded) and body.serial is not None:
            yield send_to_number(SerialSeen(fact.id, body.grant.series, body.serial))

    def _catalogue(self, entry: Entry, offset: int) -> list[Send]:
        self._in_force = None
        return self._store_raw(_CATALOGUE, offset, encode_entry(entry))

    def _store_raw(self, name: bytes, offset: int, raw: bytes) -> list[Send]:
        key = b"%s:%d" % (name, self._number)
        applied = self.catalogues.apply(key, offset, lambda _: (raw, ()))
        if applied is None:
            return []
        return [Send(topics.changelog(topics.CATALOGUES_TABLE), key, applied[0], self._number)]

    def _catalogue_in_force(self) -> Catalogue:
        if self._in_force is None:
            raw = self.catalogues.state(b"%s:%d" % (_CATALOGUE, self._number))
            self._in_force = from_json(decode_entry(raw).payload)
            self._papers = {
                digest: issue_worker.encode_paper(self._in_force.items[code])
                for code, digest in self._in_force.digests.items()
            }
        return self._in_force

    def _paper(self, item_digest: str) -> bytes:
        # a version granted by a catalogue of before names an item that is no longer in force only where a case was
        # opened under it; decide always takes the item in force
        self._catalogue_in_force()
        return self._papers[item_digest]
