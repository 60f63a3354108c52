"""The base of every stage's loop: its subscription, its dead letters, and patience with transient failures.

Progress: the inputs that are done, partition by partition, in order.

Kafka remembers one number for each partition: everything below it is done. Inputs are begun one after the other
without a hole, since a hole is a record that was fetched and lost on its way, and finished in any order; what is
committed never passes one that is not. Faust's own bookkeeping is not used for it: it takes a message that it
skipped after a rebalance for done, and passes a single unfinished one at the head.

A batch with a wrong checksum or a broken compression: the client library raises at it each time it is fetched, so one of
them would end every worker at every start. Here it yields a record without content for each offset of the batch, the first
with the batch's bytes, which becomes a dead letter.

(None of the topics that stages read is compacted or written in transactions: their offsets have no holes.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

import msgspec
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord
from crc32c import crc32c

from infra.kafka.faust_app import GONE, Loop, StageApp
from infra.kafka.outbox import Send
from infra.kafka.records import letter, send_letter
from infra.metrics import StageMetrics
from infra.pool import describe
from processors.topology import Stage
from schemas.errors import Rejected, TransientError, ZhengzhaoError

log = logging.getLogger(__name__)
T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0


_HEAD: Final = 12  # bytes of a batch before what its length counts: base offset, length
# Places in the header of a batch (message format 2).
_MAGIC, _CHECKSUM, _CHECKED, _DELTA, _TIME = 16, slice(17, 21), 21, slice(23, 27), slice(35, 43)
_MOST: Final = 1_000_000  # records in a batch
_LATEST: Final = 253_402_300_799_999  # milliseconds, 9999-12-31


class Unreadable(bytes):
    """The bytes of a batch that cannot be decoded; empty for its records after the first. `reason` says why."""

    reason: str = ""


class SlicedRecords:
    """The batches of a fetched portion, one by one, each with its bytes at hand (`current`)."""

    def __init__(self, raw: bytes) -> None:
        self._raw = bytes(raw)
        self._place = 0
        self.current = b""

    def size_in_bytes(self) -> int:
        """Return the size of the portion."""
        return len(self._raw)

    def has_next(self) -> bool:
        """Tell whether another whole batch follows."""
        return self._place + _HEAD <= len(self._raw) and self._place + self._size() <= len(self._raw)

    def next_batch(self) -> Any:
        """Return the next batch. Raises what the decoder raises."""
        size = self._size()
        self.current = self._raw[self._place : self._place + size]
        self._place += size
        return MemoryRecords(self.current).next_batch()

    def next_offset(self) -> int | None:
        """Return the first offset of the batch that follows; None where the portion ends."""
        return (
            int.from_bytes(self._raw[self._place : self._place + 8], signed=True) if self.has_next() else None
        )

    def _size(self) -> int:
        length = int.from_bytes(self._raw[self._place + 8 : self._place + _HEAD], signed=True)
        return _HEAD + max(0, length)


class ForgivingRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of a fetched portion, with markers in the place of those that cannot be decoded."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Any]:
        while True:
            try:
                yield from super()._unpack_records()
                return
            except Exception as error:  # whatever a decoder raises at bytes that are none of its own
                yield from self._unreadable(error)

    def _unreadable(self, error: Exception) -> Iterator[Any]:
        raw, following = self._records.current, self._records.next_offset()
        first = int.from_bytes(raw[:8], signed=True)
        for offset in range(max(first, self.next_fetch_offset), _last(raw, following) + 1):
            value = Unreadable(raw if offset == first else b"")
            value.reason = f"{type(error).__name__}: {error}"
            self.next_fetch_offset = offset + 1
            yield ConsumerRecord(
                self._tp.topic,
                self._tp.partition,
                offset,
                _time(raw),
                0,
                None,
                value,
                None,
                -1,
                len(value),
                (),
            )


def _last(batch: bytes, following: int | None) -> int:
    """Return the last offset that is passed with a batch: never one of the batch that follows.

    What the batch itself says of its length counts where its checksum holds; else it is passed record by record, since a
    wrong number would skip good records.
    """
    first = int.from_bytes(batch[:8], signed=True)
    if following is not None:
        return max(first, min(following - 1, first + _MOST))
    whole = batch[_MAGIC : _MAGIC + 1] == b"\x02" and crc32c(batch[_CHECKED:]) == int.from_bytes(
        batch[_CHECKSUM]
    )
    delta = int.from_bytes(batch[_DELTA], signed=True) if whole else 0
    return first + (delta if 0 <= delta < _MOST else 0)


def _time(batch: bytes) -> int:
    """Return the time of a batch, in milliseconds; 0 where it is none."""
    moment = int.from_bytes(batch[_TIME], signed=True)
    return moment if 0 <= moment <= _LATEST else 0


# The client builds its records from these two names.
fetcher.MemoryRecords = SlicedRecords
fetcher.PartitionRecords = ForgivingRecords


class StageLoop:
    """One stage of a worker; subclasses implement `handle`.

    `also_runs` names stages that have no loop of their own because this one runs them too.
    """

    stage: Stage
    also_runs: tuple[Stage, ...] = ()
    more_topics: tuple[str, ...] = ()
    seal: Callable[[bytes], bytes] | None = None  # encrypts dead letters that may name a person

    def __init__(self, app: StageApp) -> None:
        self.app = app
        self.name = self.stage.name
        self.metrics = StageMetrics(self.name)
        self.loop = Loop(app, self.metrics)
        self.metrics.lag = self._lag
        self.metrics.healthy = lambda: not app.crashed
        self._names = (self.topic, *self.more_topics)
        channel = app.topic(
            *self._names, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )

        async def run(stream: Any) -> None:
            async for event in stream.noack().events():
                self.loop.busy = True
                try:
                    await self._take(event)
                except Exception as error:
                    # Faust would start the loop anew behind this event, but nothing may pass one that is not done.
                    log.exception("%s cannot go on", self.name)
                    await app.crash(error)
                    return
                finally:
                    self.loop.busy = False

        app.agent(channel, name=f"{self.name}-loop")(run)

    @property
    def topic(self) -> str:
        """Return the topic whose partitions are assigned to the loop."""
        return self.stage.consumes.topic

    async def handle(self, event: Any) -> list[Any]:
        """Process an event and return futures of everything that it sent."""
        raise NotImplementedError

    async def close(self) -> None:
        """End what the stage runs beside the loop."""

    async def _take(self, event: Any) -> None:
        ticket = await self.loop.begin(event)
        if ticket is None:
            return
        try:
            waiting = await (
                self._bury(event) if isinstance(event.message.value, Unreadable) else self.handle(event)
            )
        except Stale:
            self.loop.drop()
            return
        self.loop.finish(event, ticket, waiting)

    async def _bury(self, event: Any) -> list[Any]:
        """Send the dead letter of a batch that cannot be read; its records after the first are part of it."""
        batch: Unreadable = event.message.value
        if not batch:
            return []
        error = Rejected(
            f"消息无法解码 / the record cannot be decoded: {batch.reason}"[:500],
            hint="请发送方重新发送；核对压缩方式与存储 / let the sender send it again; check codec and disk",
        )
        return await self.loop.send([self.dead(event, error, bytes(batch))])

    async def patiently(self, event: Any, act: Callable[[], Awaitable[T]]) -> T:
        """Try again, with growing pauses, as long as failures are transient; the partition waits meanwhile."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await act()
            except (TransientError, OSError) as error:
                self.metrics.retries += 1
                log.warning("%s waits: %s", self.name, error)
            await asyncio.sleep(pause)
            self.check(event)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def check(self, event: Any) -> None:
        """Raise Stale when the last rebalance gave the event's partition to another worker."""
        if not self.loop.is_current(event):
            raise Stale

    def dead(self, event: Any, error: Exception, raw: bytes | None = None) -> Send:
        """Return the dead letter of an event that fails permanently."""
        self.metrics.dead_letters += 1
        failure = describe(error)
        if not isinstance(error, ZhengzhaoError):
            failure = msgspec.structs.replace(failure, message=f"{failure.kind}: {failure.message}")
        log.warning("%s: dead letter: %s", self.name, failure.message)
        moment = datetime.fromtimestamp(event.message.timestamp, UTC).isoformat(timespec="milliseconds")
        return send_letter(letter(self.name, event.message, moment, failure, raw, self.seal))

    def _lag(self) -> int:
        if not self.app.started:
            return 0
        consumer, total = self.loop.consumer, 0
        with contextlib.suppress(*GONE):
            for tp in consumer.assignment():
                if tp.topic in self._names:
                    total += max(0, consumer.end_of(tp) - consumer.progress.position(tp))
        return total


class Stale(Exception):
    """An event was fetched before a rebalance; the new owner of its partition reads it again."""


class Poller(Protocol):
    """A worker's reader and writer beside its loop; only one thread uses it, since it opens data files."""

    def close(self) -> None:
        """Close every connection and file; the next call opens them anew."""
        ...


class PollingLoop(StageLoop):
    """A stage that no input drives: it looks at intervals, as long as the one partition of its topic is ours."""

    interval: float  # seconds between two looks
    pause: float  # seconds after a transient failure
    transient: tuple[type[Exception], ...] = (TransientError, OSError)
    waiting: str  # words of the warning while a failure lasts

    def __init__(self, app: StageApp, poller: Poller) -> None:
        super().__init__(app)
        self._poller = poller
        self._busy = False
        self._not_before = 0.0
        self._thread = ThreadPoolExecutor(1, self.name)
        app.timer(interval=self.interval)(self._maybe)

    async def handle(self, event: Any) -> list[Any]:
        """Skip the event: the partition only decides which worker looks."""
        return []

    async def close(self) -> None:
        await self.in_thread(self._poller.close)
        self._thread.shutdown()

    async def in_thread(self, act: Callable[[], T]) -> T:
        """Run an act of the poller in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    async def look(self) -> None:
        """Look once, and send what is found."""
        raise NotImplementedError

    async def _maybe(self) -> None:
        mine = self.loop.consumer.owns(self.topic)
        if self._busy or time.monotonic() < self._not_before:
            return
        self._busy = True
        try:
            await (self.look() if mine else self.in_thread(self._poller.close))
        except self.transient as error:
            self.metrics.retries += 1
            log.warning("%s: %s", self.waiting, error)
            self._not_before = time.monotonic() + self.pause  # beginning anew reads everything again
            await self.in_thread(self._poller.close)
        finally:
            self._busy = False
