"""The scheduler: one tick a minute for every partition of the ledger, from one worker, whoever that is.

Who has the one partition of `zhengzhao.clock` ticks; when that worker dies, the group gives the partition to
another. Two who tick at once (one was paused) change nothing: a tick is named after its minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.kafka import topics
from infra.kafka.faust_app import StageApp
from infra.kafka.stage import StageLoop
from infra.kafka.wire import send_entry
from processors.route import tick

log = logging.getLogger(__name__)
SOURCE = "urn:agency:000000:clock"
_STEP = 1.0


class Clock(StageLoop):
    """Ticks at each full period of the wall clock."""

    name = "clock"
    topic = topics.CLOCK

    def __init__(
        self, app: StageApp, seconds: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(app)
        self._seconds = seconds
        self._now = now
        self._last: datetime | None = None
        app.timer(interval=_STEP)(self._maybe)

    async def handle(self, event: Any) -> list[Any]:
        """Nothing is ever written to this topic; what somebody wrote all the same is passed."""
        return []

    async def _maybe(self) -> None:
        if not any(tp.topic == self.topic for tp in self.loop.consumer.assignment()):
            return
        moment = self.moment(self._now())
        if moment == self._last:
            return
        sends = send_entry(tick(moment, moment, SOURCE, "internal"))
        await asyncio.gather(*await self.loop.send(sends))
        self._last = moment
        self.metrics.handled(None)

    def moment(self, now: datetime) -> datetime:
        """The last full period: the same for every clock."""
        return now.replace(microsecond=0) - timedelta(seconds=int(now.timestamp()) % self._seconds)
