"""Progress: the inputs that are done, partition by partition, in order.

Kafka remembers one number for each partition: everything below it is done. Inputs are begun one after the other
without a hole, since a hole is a record that was fetched and lost on its way, and finished in any order; what is
committed never passes one that is not. Faust's own bookkeeping is not used for it: it takes a message that it
skipped after a rebalance for done, and passes a single unfinished one at the head.

(None of the topics that stages read is compacted or written in transactions: their offsets have no holes.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import faust

from infra.kafka.outbox import offset_of

P = TypeVar("P")


class Ticket:
    """One input under way."""

    __slots__ = ("done", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.done = False


class OffsetProgress(Generic[P]):
    """Tickets for the inputs of each partition (`P` names a topic and a partition)."""

    def __init__(self) -> None:
        self._open: dict[P, deque[Ticket]] = {}
        self._expected: dict[P, int] = {}
        self._next: dict[P, int] = {}
        self._committed: dict[P, int] = {}

    def start(self, partition: P, offset: int) -> int:
        """Set the offset where reading starts, unless it is set; return the offset that is expected next."""
        return self._expected.setdefault(partition, offset)

    def expected(self) -> dict[P, int]:
        """Partition → the offset that is to be begun next."""
        return dict(self._expected)

    def begin(self, partition: P, offset: int) -> Ticket | None:
        """Begin an input; return None where it was begun before, or another one has to come first."""
        if self._expected.setdefault(partition, offset) != offset:
            return None
        self._expected[partition] = offset + 1
        ticket = Ticket(offset)
        self._open.setdefault(partition, deque()).append(ticket)
        return ticket

    def done(self, partition: P, ticket: Ticket) -> None:
        """Everything that follows from the input is safe. Of a partition given away since: no effect."""
        ticket.done = True
        queue = self._open.get(partition)
        while queue and queue[0].done:
            self._next[partition] = queue.popleft().offset + 1

    def committable(self) -> dict[P, int]:
        """Partition → the offset that can be committed, where it is higher than what was."""
        return {p: n for p, n in self._next.items() if n > self._committed.get(p, -1)}

    def committed(self, offsets: dict[P, int]) -> None:
        """Take over committed offsets: ours, or those of the worker that had the partition before."""
        for partition, offset in offsets.items():
            self._committed[partition] = max(offset, self._committed.get(partition, 0))

    def position(self, partition: P) -> int:
        """Return the committed offset as far as we know; 0 where nothing is."""
        return self._committed.get(partition, 0)

    def forget(self, partitions: Iterable[P]) -> None:
        """Give up partitions that are assigned to another worker now."""
        for partition in partitions:
            self._open.pop(partition, None)
            self._expected.pop(partition, None)
            self._next.pop(partition, None)
            self._committed.pop(partition, None)

    def forget_all(self) -> None:
        """Partitions are given out anew: nothing of before counts."""
        self._open.clear()
        self._expected.clear()
        self._next.clear()
        self._committed.clear()

    @property
    def under_way(self) -> int:
        """Inputs begun and not done."""
        return sum(len(queue) for queue in self._open.values())


class OutboxTable(faust.Table):  # type: ignore[type-arg]
    """A table that leaves it to the loop to send its changelog, together with what else an input causes.

    Of two records of a key the one that reflects the later input counts, in whatever order they were
    written: a worker that was paused, lost its partition and wakes up may still write an old one.
    """

    def on_key_set(self, key: Any, value: Any) -> None:
        """Do nothing, since the loop sends what it stores."""

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        newest: dict[Any, Any] = {}
        for event in batch:
            key, value = event.key, event.message.value
            known = newest[key].message.value if key in newest else self._stored(key)
            if known is None or value is None or offset_of(value) >= offset_of(known):
                newest[key] = event
        super().apply_changelog_batch(list(newest.values()))

    def _stored(self, key: Any) -> bytes | None:
        try:
            return self.data[key]  # type: ignore[no-any-return]
        except KeyError:
            return None
