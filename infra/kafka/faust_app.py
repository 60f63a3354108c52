"""A stage as a Faust loop: consume, apply, send, and commit only what is safe.

Every stage has an application of its own (`zhengzhao-<stage>`, for ever: the name is the consumer group and
part of the changelog's), so that a worker may run any of them and a rebalance of one leaves the others alone.

Faust does membership, assignment, fetching, tables with their recovery and standbys, and producing. It does not
commit: `progress.py` says why, and `Consumer` does it instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import faust
from aiokafka.errors import IllegalStateError
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from infra.kafka.connection import Connection
from infra.kafka.outbox import Send
from infra.kafka.progress import OffsetProgress, OutboxTable, Ticket
from infra.metrics import StageMetrics

GONE = (AssertionError, ConsumerNotStarted, IllegalStateError, KeyError)
"""What the client libraries raise about a partition that a rebalance has just taken away."""

log = logging.getLogger(__name__)

SESSION_SECONDS = 10.0  # a worker that died is noticed after this; Faust's default would be a minute
# After a restart of the broker a leader that knows no partition yet may distribute a group; this corrects it.
_METADATA_SECONDS = 20
_LINGER_SECONDS = 0.02  # more records a request: each request costs both sides as much as several records
_LOOK_AGAIN = 5.0  # seconds without a record before a partition is looked at again
_IN_FLIGHT = 2000  # inputs of a stage whose messages the broker has not acknowledged yet
_MAX_MESSAGE = 4 * 1024 * 1024


async def _nothing() -> None:
    return None


def _as_committed(committed: Mapping[TP, int]) -> dict[TP, int]:
    return dict(committed)


class StageApp(faust.App):
    """An application with two hooks after an assignment, when its tables are recovered and nothing is read yet.

    `prepare` takes the tables over; `starts` says where to read from, given what is committed.
    """

    prepare: Callable[[], Awaitable[None]] = staticmethod(_nothing)
    starts: Callable[[Mapping[TP, int]], dict[TP, int]] = staticmethod(_as_committed)


class Consumer(driver.Consumer):
    """Commits what `progress` says is done, and starts each partition where its state needs it."""

    def __post_init__(self, *args: Any, **kwargs: Any) -> None:
        self.progress: OffsetProgress[TP] = OffsetProgress()
        self._resumed_later: set[TP] = set()

    def ack(self, message: Any) -> bool:
        """Faust thinks that it is done with a message; we know better when it is."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the offsets below which everything is safe."""
        try:
            assigned = self.assignment()
        except ConsumerNotStarted:
            return False
        offsets = {tp: n for tp, n in self.progress.committable().items() if tp in assigned}
        if not offsets or not await self._commit(offsets):
            return False
        self.progress.committed(offsets)
        self.app.tables.on_commit(offsets)
        return True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await super().on_partitions_revoked(revoked)
        self.progress.forget(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._resumed_later = set()
        self.progress.forget_all()  # what was begun before this assignment is begun again after it
        await super().on_partitions_assigned(assigned, generation_id)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Keep the partitions of streams paused until Faust's queues are open.

        Faust fetches again, seeks, and empties its queues when it opens them: a record that came in between
        would be gone until the next rebalance.
        """
        changelogs = {tp for tp in tps if self._is_changelog_tp(tp)}
        self._resumed_later |= set(tps) - changelogs
        super().resume_partitions(changelogs)

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        self._resumed_later -= set(tps)
        super().pause_partitions(tps)

    def resume_flow(self) -> None:
        if self.app.flow_control.is_active() and not self.app.in_recovery:
            super().resume_partitions(self._resumed_later)
            self._resumed_later = set()
        super().resume_flow()

    def end_of(self, tp: TP) -> int:
        """Return the end of a partition as last fetched; 0 where a rebalance has just taken it away."""
        try:
            return self.highwater(tp) or 0
        except GONE:
            return 0

    def owns(self, topic: str) -> bool:
        """Tell whether a partition of a topic is assigned to this worker now."""
        try:
            return any(tp.topic == topic for tp in self.assignment())
        except GONE:
            return False

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """Return fetched records; none where a rebalance takes a partition away while they are gathered.

        Records of other partitions that are lost with it are read again, since the loop notices the hole.
        """
        try:
            return await super()._getmany(active_partitions, timeout)
        except GONE as error:
            log.info("fetched records were dropped during a rebalance: %r", error)
            return {}

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Start reading at the committed offset, or before it where a state is behind."""
        found = await super().seek_to_committed()
        committed = {tp: n for tp, n in found.items() if n is not None and n >= 0}
        self.progress.committed(committed)
        starts = self.app.starts(committed)  # type: ignore[attr-defined]
        places = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
        first = await self.earliest_offsets(*places) if places else {}
        reading = {}
        for tp in places:
            start = max(starts.get(tp, 0), first.get(tp, 0) or 0)
            if start < committed.get(tp, 0):
                log.info("%s[%d]: state is behind: reads again from %d", tp.topic, tp.partition, start)
            # a second seek in between two assignments goes on where it was
            reading[tp] = self.progress.start(tp, start)
            await self._seek(tp, reading[tp])
        return {**committed, **reading}


def make_app(
    stage: str,
    app_id: str,
    connection: Connection,
    folder: Path,
    *,
    store: str = "memory://",
    standbys: int = 0,
    commit_seconds: float = 0.5,
) -> StageApp:
    """Return the Faust application of a stage."""
    data = folder / stage
    data.mkdir(parents=True, exist_ok=True)
    app = StageApp(
        f"{app_id}-{stage}",
        broker=connection.faust_url,
        broker_credentials=connection.faust_credentials,
        ssl_context=connection.ssl,
        datadir=str(data),
        store=store,
        Table=OutboxTable,
        autodiscover=False,
        web_enabled=False,
        processing_guarantee="at_least_once",
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=SESSION_SECONDS / 4,
        broker_request_timeout=30.0,
        broker_commit_interval=commit_seconds,
        broker_max_poll_records=500,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_MAX_MESSAGE,
        consumer_metadata_max_age_ms=_METADATA_SECONDS * 1000,
        producer_max_request_size=2 * _MAX_MESSAGE,
        producer_acks=-1,
        producer_linger=_LINGER_SECONDS,
        stream_wait_empty=False,  # what is under way at a rebalance is done again by the next owner
        stream_buffer_maxsize=1024,
        table_standby_replicas=standbys,
        topic_disable_leader=True,
        topic_allow_declare=False,  # topics are made by `ensure_topics`, with the settings they must have
    )
    app.transport.Consumer = Consumer  # type: ignore[misc]

    async def assigned(*_: Any, **__: Any) -> None:
        await app.prepare()

    app.on_rebalance_complete.connect(assigned, weak=False)
    return app


class Loop:
    """Hands over what an input causes, and marks the input as done when the broker has it all."""

    def __init__(self, app: StageApp, metrics: StageMetrics) -> None:
        self.app = app
        self.metrics = metrics
        self._free = asyncio.Semaphore(_IN_FLIGHT)
        self._taken = time.monotonic()
        self._read_again_at: dict[TP, float] = {}
        self.busy = False  # whether the loop is at an event, and not waiting for one
        app.timer(interval=1.0)(self._watch)
        metrics.under_way = lambda: self.consumer.progress.under_way if app.started else 0

    @property
    def consumer(self) -> Consumer:
        return self.app.consumer  # type: ignore[return-value]

    def is_current(self, event: Any) -> bool:
        """Return whether the event was fetched since the last rebalance; older ones belong to somebody else."""
        return bool(event.message.generation_id == self.app.consumer_generation_id)

    async def begin(self, event: Any) -> Ticket | None:
        """Wait for room, then take the event under way; None where that is somebody else's, or was ours before."""
        await self._free.acquire()
        self._taken = time.monotonic()
        tp, offset = event.message.tp, event.message.offset
        if self.is_current(event):
            if (ticket := self.consumer.progress.begin(tp, offset)) is not None:
                return ticket
            expected = self.consumer.progress.expected()[tp]
            if offset > expected:
                await self._read_again(tp, expected, "records were lost on their way")
        self._free.release()
        return None

    async def _read_again(self, tp: TP, offset: int, why: str) -> None:
        now = time.monotonic()
        if now - self._read_again_at.get(tp, 0.0) > _LOOK_AGAIN:
            self._read_again_at[tp] = now
            log.info("%s[%d]: %s: reads again from %d", tp.topic, tp.partition, why, offset)
            with contextlib.suppress(*GONE):  # the new owner of the partition reads it
                await self.consumer.seek(tp, offset)

    async def _watch(self) -> None:
        """Read records again that are on the broker and never arrived."""
        idle = time.monotonic() - self._taken > _LOOK_AGAIN
        if self.busy or not idle or self.app.rebalancing or not self.app.flow_control.is_active():
            return
        for tp, offset in self.consumer.progress.expected().items():
            if self.consumer.end_of(tp) > offset:
                await self._read_again(tp, offset, "nothing arrives")

    async def send(self, sends: Iterable[Send]) -> list[Any]:
        """Hand messages to the producer, in order; the results are futures of their acknowledgement."""
        return [
            await self.app.producer.send(
                send.topic, send.key, send.value, partition=send.partition, timestamp=None, headers=None
            )
            for send in sends
        ]

    def finish(self, event: Any, ticket: Ticket, waiting: list[Any]) -> None:
        """Close the ticket once everything handed over is acknowledged."""
        message = event.message

        def delivered(failed: BaseException | None) -> None:
            self._free.release()
            if failed is None:
                self.consumer.progress.done(message.tp, ticket)
                self.metrics.handled(message.timestamp)
            else:
                # the broker refused for longer than the producer waits: start again from what is committed
                self._tasks.add(task := asyncio.get_running_loop().create_task(self._crash(failed)))
                task.add_done_callback(self._tasks.discard)

        _when_all(waiting, delivered)

    def drop(self) -> None:
        """Free the place of a ticket whose event belongs to another worker."""
        self._free.release()

    _tasks: ClassVar[set[asyncio.Task[None]]] = set()

    async def _crash(self, error: BaseException) -> None:
        log.error("what a stage sent was not acknowledged: %r", error)
        await self.app.crash(error)


def _when_all(futures: list[Any], call: Callable[[BaseException | None], None]) -> None:
    left = len(futures)
    if not left:
        call(None)
        return
    failed: BaseException | None = None

    def one(future: Any) -> None:
        nonlocal left, failed
        left -= 1
        failed = failed or (asyncio.CancelledError() if future.cancelled() else future.exception())
        if left == 0:
            call(failed)

    for future in futures:
        future.add_done_callback(one)
