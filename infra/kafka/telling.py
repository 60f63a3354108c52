"""`publish` on Kafka: facts → the topics that the world outside reads. The same fact again is the same event.

It has no state and reads only what `decide` has just written, so it runs there: a loop of its own would fetch every
fact from the broker once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from infra.kafka import topics
from infra.kafka.outbox import Send
from infra.kafka.wire import decode_facts
from processors.outbound import outbound
from schemas.facts import Fact

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
