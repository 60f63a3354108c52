"""The base of every stage's loop: its subscription, its dead letters, and patience with transient failures.

Progress: the inputs that are done, partition by partition, in order.

Kafka remembers one number for each partition: everything below it is done. Inputs are begun one after the other
without a hole, since a hole is a record that was fetched and lost on its way, and finished in any order; what is
committed never passes one that is not. Faust's own bookkeeping is not used for it: it takes a message that it
skipped after a rebalance for done, and passes a single unfinished one at the head.

(None of the topics that stages read is compacted or written in transactions: their offsets have no holes.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from infra.kafka.faust_app import GONE, Loop, StageApp
from infra.kafka.outbox import Send
from infra.kafka.records import letter, send_letter
from infra.metrics import StageMetrics
from infra.pool import describe
from processors.topology import Stage
from schemas.errors import TransientError, ZhengzhaoError

log = logging.getLogger(__name__)
T = TypeVar("T")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0


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
            waiting = await self.handle(event)
        except Stale:
            self.loop.drop()
            return
        self.loop.finish(event, ticket, waiting)

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
        time = datetime.fromtimestamp(event.message.timestamp, UTC).isoformat(timespec="milliseconds")
        return send_letter(letter(self.name, event.message, time, failure, raw, self.seal))

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
