"""`decide` and `publish` on Kafka: ledger → facts, grants, and the topics that the world outside reads.

One record per holder is state and outbox; the outbox keeps facts and grants, since the rest follows from facts. The
catalogue in force is part of each partition's state, because it came through that partition of the ledger.

`publish` has no state and reads only what `decide` has just written, so it runs here; a loop of its own would fetch
every fact from the broker once more. The same fact again is the same event. The departments read their own topics of
filings, so nothing else runs `deliver`.

A state that a release with another form of state wrote is rebuilt from the facts that led to it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import msgspec
from faust.types import TP

from infra.kafka import topics
from infra.kafka.connection import Connection
from infra.kafka.faust_app import StageApp
from infra.kafka.outbox import Codec, InputChain, Outbox, Record, Send, decode, encode, offset_of
from infra.kafka.records import Reader, decode_facts, send_outside, sends
from infra.kafka.stage import StageLoop
from processors import state as states
from processors import topology
from processors.decisions.due import next_due
from processors.stages import decide_step, publish_step, refold
from processors.state import HolderState
from schemas.facts import Fact
from schemas.items import Catalogue, from_record
from schemas.ledger import (
    LEDGER_PARTITIONS,
    CatalogueEntry,
    CorrectedEntry,
    Entry,
    TickEntry,
    decode_entry,
    encode_entry,
    partition_of,
)
from schemas.licence import issuance_item


def published_again(messages: Iterable[Send]) -> Iterator[Send]:
    """Yield what the world outside hears of the facts among messages that are sent again."""
    for message in messages:
        if message.topic == topics.FACTS:
            yield from map(send_outside, publish_step(decode_facts(message.value)))


def is_old(raw: bytes) -> bool:
    """Tell whether a record's state has another form than this release's."""
    return decode(raw).schema != states.STATE_SCHEMA


def rebuild(old: Mapping[bytes, bytes], facts: Iterable[Fact]) -> dict[bytes, bytes]:
    """Return the records of these holders with states of this release; offsets and outboxes stay as they are.

    `facts` are those of all holders in their order, some twice. Facts that an outbox has still to send count too.
    """
    records = {key: decode(raw) for key, raw in old.items()}
    unsent = (
        fact
        for record in records.values()
        for pending in record.pending
        for send in pending.sends
        if send.topic == topics.FACTS
        for fact in decode_facts(send.value)
    )
    folded = refold(fact for fact in chain(facts, unsent) if fact.holder.encode() in old)
    rebuilt = {}
    for key, record in records.items():
        state = folded.get(key.decode()) or states.initial(key.decode())
        due = next_due(state) or ""
        fresh = Record(states.STATE_SCHEMA, states.encode(state), record.pending, due, record.link)
        rebuilt[key] = encode(offset_of(old[key]), fresh)
    return rebuilt


def rebuild_from(connection: Connection, old: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Do as `rebuild` does, with the facts that the broker has now."""

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
    """The loop that alone decides for the holders of its partitions."""

    stage = topology.stage("decide")
    also_runs = (topology.stage("publish"), topology.stage("deliver"))

    def __init__(self, app: StageApp, connection: Connection) -> None:
        super().__init__(app)
        self._connection = connection
        self.holders: Any = app.Table(topics.HOLDERS_TABLE[1], **_TABLE)
        self.catalogues: Any = app.Table(topics.CATALOGUES_TABLE[1], **_TABLE)
        self._partitions: dict[int, Partition] = {}
        app.prepare, app.starts = self._prepare, self._starts

    async def handle(self, event: Any) -> list[Any]:
        waiting = []
        for messages in self._partitions[event.message.partition].steps(event, self.dead):
            waiting += await self.loop.send(messages)
            self.check(event)
        return waiting

    async def _prepare(self) -> None:
        """Take the recovered tables over."""
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
            log.info("states of another release: %d are rebuilt from facts", len(old))
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
        """Return where to read from: a partition whose state is behind what is committed is read again."""
        return {
            tp: min(offset, self._partitions[tp.partition].newest + 1)
            for tp, offset in committed.items()
            if tp.topic == self.topic and tp.partition in self._partitions
        }


class Partition:
    """The state of one partition of the ledger: its holders, and its catalogue in force."""

    def __init__(self, number: int, holders: Any, catalogues: Any, committed: Any) -> None:
        self._number = number
        self.holders: Outbox[HolderState] = Outbox(holders, _HOLDERS, committed)
        self.catalogues: Outbox[bytes] = Outbox(catalogues, _RAW, committed)
        self._chain: InputChain | None = None
        self._link = b""  # the chain up to the entry being decided
        self._in_force: Catalogue | None = None
        self._papers: dict[str, bytes] = {}

    @property
    def newest(self) -> int:
        """Return the last offset that this partition's state reflects."""
        return max(self.holders.newest, self.catalogues.newest)

    def steps(self, event: Any, dead: Any) -> Iterator[list[Send]]:
        """Yield what the ledger entry in an event has to send, in portions."""
        offset = event.message.offset
        yield self._again(offset)
        if self._chain is None:
            kept = ((box.newest, box.newest_link) for box in (self.holders, self.catalogues))
            self._chain = InputChain(*max(kept))
        self._link = self._chain.take(offset, event.message.value or b"")
        try:
            entry = decode_entry(event.message.value)
        except (msgspec.DecodeError, TypeError) as error:
            yield [dead(event, error)]
            return
        if isinstance(entry, TickEntry):
            yield from self._tick(entry, offset, event, dead)
        elif isinstance(entry, CatalogueEntry):
            yield self._catalogue(entry, offset)
        elif isinstance(entry, CorrectedEntry):
            for key in self.holders.every_key():
                if partition_of(key.decode()) == self._number:
                    yield self._one(entry, key, offset, event, dead)
        else:
            yield self._one(entry, entry.holder.encode(), offset, event, dead)
        if offset - self.newest >= _MARK_EVERY:
            yield self._store_raw(_POSITION, offset, b"")

    def _again(self, offset: int) -> list[Send]:
        """Return the records and messages of an input that was applied before, to be sent once more."""
        messages: list[Send] = []
        for outbox, table in (
            (self.holders, topics.HOLDERS_TABLE),
            (self.catalogues, topics.CATALOGUES_TABLE),
        ):
            for key, (record, before) in outbox.again(offset).items():
                messages += [Send(topics.changelog(table), key, record, self._number), *before]
                messages += published_again(before)
        return messages

    def _tick(self, entry: TickEntry, offset: int, event: Any, dead: Any) -> Iterator[list[Send]]:
        due = self.holders.due(entry.payload.time)
        for n in range(0, len(due), _CHUNK):
            yield [send for key in due[n : n + _CHUNK] for send in self._one(entry, key, offset, event, dead)]

    def _one(self, entry: Entry, key: bytes, offset: int, event: Any, dead: Any) -> list[Send]:
        facts: list[Fact] = []
        try:
            applied = self.holders.apply(
                key,
                offset,
                lambda state: self._step(state, entry, facts, partial(dead, event)),
                self._link,
            )
        except Exception as error:
            # A fault of ours, or content that nobody foresaw: the entry is kept, and no other one waits for it.
            one = msgspec.structs.replace(entry, holder=key.decode())
            return [dead(event, error, encode_entry(one))]
        if applied is None:
            return []
        record, messages = applied
        changelog = Send(topics.changelog(topics.HOLDERS_TABLE), key, record, self._number)
        return [changelog, *messages, *map(send_outside, publish_step(facts))]

    def _step(
        self, state: HolderState, entry: Entry, facts: list[Fact], dead: Callable[[Exception, bytes], Send]
    ) -> tuple[HolderState, tuple[Send, ...]] | None:
        after, produced = decide_step(state, entry, self._catalogue_in_force(), self._paper)
        if not produced.facts:
            return None
        facts += produced.facts
        letters = (dead(error, encode_entry(one)) for one, error in produced.failed)
        return after, (*sends(produced), *letters)

    def _catalogue(self, entry: CatalogueEntry, offset: int) -> list[Send]:
        self._in_force = None
        return self._store_raw(_CATALOGUE, offset, encode_entry(entry))

    def _store_raw(self, name: bytes, offset: int, raw: bytes) -> list[Send]:
        key = b"%s:%d" % (name, self._number)
        applied = self.catalogues.apply(key, offset, lambda _: (raw, ()), self._link)
        if applied is None:
            return []
        return [Send(topics.changelog(topics.CATALOGUES_TABLE), key, applied[0], self._number)]

    def _catalogue_in_force(self) -> Catalogue:
        if self._in_force is None:
            entry = decode_entry(self.catalogues.state(b"%s:%d" % (_CATALOGUE, self._number)))
            assert isinstance(entry, CatalogueEntry)  # `_catalogue` stores nothing else there
            self._in_force = from_record(entry.payload)
            self._papers = {
                digest: issuance_item(self._in_force.items[code])
                for code, digest in self._in_force.digests.items()
            }
        return self._in_force

    def _paper(self, item_digest: str) -> bytes:
        self._catalogue_in_force()
        return self._papers[item_digest]  # `decide` always grants by the item in force
