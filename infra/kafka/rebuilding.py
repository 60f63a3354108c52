"""States written by a release with another form of state, rebuilt from the facts that led to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from infra.kafka import topics
from infra.kafka.connection import Connection
from infra.kafka.outbox import Record, decode, encode, offset_of
from infra.kafka.reading import Reader
from infra.kafka.wire import decode_facts
from processors import state as states
from processors.due import next_due
from processors.evolve import apply
from schemas.facts import Fact


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
