"""Progress: the inputs that are done, partition by partition, in order.

Kafka remembers one number for each partition: everything below it is done. Inputs are begun one after the other
without a hole, since a hole is a record that was fetched and lost on its way, and finished in any order; what is
committed never passes one that is not. Faust's own bookkeeping is not used for it: it takes a message that it
skipped after a rebalance for done, and passes a single unfinished one at the head.

(None of the topics that stages read is compacted or written in transactions: their offsets have no holes.)

`drain` on Kafka waits until nothing is under way; the workers do the work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import faust
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from infra.kafka import topics
from infra.kafka.connection import Connection, client, parse
from infra.kafka.outbox import offset_of
from infra.kafka.records import Place, Reader, decode_edition_record
from infra.parts import Parts
from infra.settings import Settings
from processors.topology import TOPOLOGY
from schemas.errors import BrokerUnavailable, TransientError
from schemas.ports import Store

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


GROUPS = {
    stage.name: (stage.consumes.topic,)
    for stage in TOPOLOGY
    if stage.name in ("route", "decide", "number", "issue")
}
"""The stages that commit offsets, with the topics that they consume."""
_STEP = 0.5


class Backlog:
    """The distance of each stage from the ends of the topics that it consumes."""

    def __init__(self, connection: Connection, inboxes: Iterable[str] = ()) -> None:
        """Connect; `inboxes` are the topics that agencies have of their own. Raises BrokerUnavailable."""
        self._groups = {**GROUPS, "route": (topics.INBOX, *inboxes)}
        try:
            self._admin = KafkaAdminClient(**client(connection), bootstrap_timeout_ms=20_000)
        except KafkaError as error:
            raise BrokerUnavailable(
                f"消息服务没有应答 / the broker does not answer: {error!r}",
                where=connection.bootstrap,
                hint="zhengzhao stack status",
            ) from error
        self._reader = Reader(connection, [name for names in self._groups.values() for name in names])

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._admin.close()

    def ends(self) -> dict[Place, int]:
        """Return the ends of everything that a stage reads."""
        return self._reader.ends()

    def lags(self, ends: dict[Place, int]) -> dict[str, int]:
        """Return for each stage how many inputs before these ends are not committed."""
        return {stage: self._lag(stage, names, ends) for stage, names in self._groups.items()}

    def committed(self, stage: str) -> dict[Place, int]:
        """Return the committed offsets of a stage."""
        group = f"{topics.APP_ID}-{stage}"
        try:
            found = self._admin.list_group_offsets(group)
        except KafkaError:
            return {}  # a group that never committed
        offsets = found.get(group, found)
        return {(tp.topic, tp.partition): max(0, meta.offset) for tp, meta in offsets.items()}

    def _lag(self, stage: str, names: tuple[str, ...], ends: dict[Place, int]) -> int:
        committed = self.committed(stage)
        return sum(max(0, end - committed.get(place, 0)) for place, end in ends.items() if place[0] in names)


def waiting(settings: Settings) -> dict[str, int]:
    """Return stage → number of inputs that wait for it; only the stages where some do."""
    backlog = Backlog(parse(settings.broker or ""), settings.inboxes)
    try:
        return {stage: lag for stage, lag in backlog.lags(backlog.ends()).items() if lag}
    finally:
        backlog.close()


def undecided(settings: Settings, *, seconds: float) -> int:
    """Wait until everything that is there now is decided, and return how many inputs are left after `seconds`."""
    backlog = Backlog(parse(settings.broker or ""), settings.inboxes)
    deadline = time.monotonic() + seconds
    try:
        # The events that `route` has taken in must stand in the ledger before its end is read.
        for stage in ("route", "decide"):
            ends = backlog.ends()
            while left := backlog.lags(ends)[stage]:
                if time.monotonic() >= deadline:
                    return left
                time.sleep(_STEP)
        return 0
    finally:
        backlog.close()


def editions_missing(settings: Settings, store: Store) -> list[str]:
    """Return the status lists whose latest edition was published and is not stored yet."""
    latest: dict[str, str] = {}
    with Reader(parse(settings.broker or ""), [topics.EDITIONS]) as reader:
        reader.seek({})
        for records in reader.up_to(reader.ends()):
            for record in records:
                edition = decode_edition_record(record.value)
                if edition.objects:
                    latest[edition.record.name] = edition.objects[-1][0]
    return [name for name, key in latest.items() if not store.exists(key)]


def wait_until_idle(
    parts: Parts, say: Callable[[str], None] = lambda _: None, *, seconds: float = 600
) -> None:
    """Wait until every stage has committed everything and nothing came in the meantime.

    Raises TransientError where nothing moves for `seconds`, which means that no worker runs some stage.
    """
    settings = parts.settings
    backlog = Backlog(parse(settings.broker or ""), settings.inboxes)
    try:
        moved, before, quiet = time.monotonic(), None, False
        ends: dict[Place, int] = {}
        while not quiet:
            last, ends = ends, backlog.ends()
            lags = backlog.lags(ends)
            # A stage commits after its messages are acknowledged, so with unchanged ends nothing is under way.
            quiet = last == ends and not any(lags.values())
            if lags != before:
                moved, before = time.monotonic(), lags
                if any(lags.values()):
                    say("尚余 / left: " + ", ".join(f"{stage} {n}" for stage, n in lags.items() if n))
            if time.monotonic() - moved > seconds:
                raise TransientError(
                    f"{seconds:.0f} 秒内没有进展 / nothing moved for {seconds:.0f} s, left: {lags}",
                    hint="检查每个环节是否有 worker / check that a worker runs each stage",
                )
            if quiet and (missing := editions_missing(settings, parts.store)):
                say(f"尚余状态列表 / left: {len(missing)} status lists to be stored")
                quiet = False
            if not quiet:
                time.sleep(_STEP)
    finally:
        backlog.close()
