"""A release with another form of state reads what the one before wrote."""

from typing import Any

from story import Events, uscc
from world import World

from infra.kafka import topics
from infra.kafka.deciding import is_old, published_again, rebuild
from infra.kafka.outbox import Codec, Outbox, Pending, Record, decode, encode, offset_of
from infra.kafka.records import decode_facts, encode_fact, send_facts, send_outside
from processors import state as states
from processors.stages import publish_step


def told() -> World:
    """A holder with a licence and a second one without."""
    events = Events()
    events.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    events.apply("2018-03-01T10:00:00+08:00", "N-2", uscc(2), materials=[{"kind": "application-form"}])
    return World().tell(events.lines)


def record(key: str, offset: int, pending: tuple[Any, ...] = ()) -> tuple[bytes, bytes]:
    """A record whose state this release cannot read."""
    return key.encode(), encode(offset, Record(states.STATE_SCHEMA + 1, b"\xc1", pending))


def test_states_are_rebuilt_from_facts_offsets_and_outboxes_stay() -> None:
    """Facts told twice count once; facts that the outbox has still to tell count too."""
    world = told()
    mine = [fact for fact in world.facts if fact.holder == uscc(1)]
    pending = (Pending(7, tuple(send_facts(mine[-1:]))),)
    old = dict([record(uscc(1), 7, pending), record(uscc(2), 4)])
    assert all(map(is_old, old.values()))
    rebuilt = rebuild(
        old, [*world.facts[:3], *world.facts[:2], *(f for f in world.facts[3:] if f != mine[-1])]
    )
    assert {k: states.decode(decode(raw).state) for k, raw in rebuilt.items()} == {
        holder.encode(): world.states[holder] for holder in (uscc(1), uscc(2))
    }
    assert [offset_of(rebuilt[uscc(n).encode()]) for n in (1, 2)] == [7, 4]
    assert decode(rebuilt[uscc(1).encode()]).pending == pending


def test_a_renewed_record_counts_until_it_is_written() -> None:
    """The table keeps the old bytes; the next input of the holder writes the new ones."""
    key, old = record("x", 3)
    codec: Codec[bytes] = Codec(1, lambda _: b"", bytes, bytes)
    table = {key: old}
    box = Outbox(table, codec, lambda: 4)
    box.renew(key, encode(3, Record(1, b"good")))
    box.restored()
    assert (box.state(key), table[key], box.newest) == (b"good", old, 3)
    box.apply(key, 4, lambda state: (state + b"+", ()))
    assert decode(table[key]).state == b"good+"


def test_facts_travel_as_a_list_and_single_ones_are_read() -> None:
    """What one input led to is one record; an earlier release wrote each fact by itself."""
    facts = [fact for fact in told().facts if fact.holder == uscc(1)]
    (record,) = send_facts(facts)
    assert decode_facts(record.value) == facts
    assert [decode_facts(encode_fact(fact)) for fact in facts] == [[fact] for fact in facts]


def test_what_is_told_outside_follows_from_what_is_sent_again() -> None:
    """Of an outbox only facts and grants are kept; the outbound events come out the same."""
    facts = [fact for fact in told().facts if fact.holder == uscc(1)]
    first = [send_outside(one) for one in publish_step(facts)]
    assert list(published_again(send_facts(facts))) == first
    assert {send.topic for send in first} >= {topics.CASES, topics.LICENCES}
