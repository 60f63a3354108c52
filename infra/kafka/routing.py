"""`route` on Kafka: inbox → ledger. No state: an event may come under any key, in any partition, from any client.

The moment of receipt is the broker's stamp of the record, so that a record read twice is routed the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from infra.kafka import topics
from infra.kafka.faust_app import StageApp
from infra.kafka.stage import StageLoop
from infra.kafka.wire import send_entry
from schemas.errors import SurroundingsError
from schemas.ledger import Entry

Router = Callable[[bytes, datetime, str], Entry]
"""From an event's bytes, the moment of its receipt and the topic that it came by to its ledger entry.

Rejected where it may not enter.
"""


class Routing(StageLoop):
    """Checks, stamps, and writes to the partition of the holder."""

    name = "route"
    topic = topics.INBOX

    def __init__(
        self,
        app: StageApp,
        router: Router,
        seal: Callable[[bytes], bytes],
        inboxes: Iterable[str] = (),
    ) -> None:
        self.more_topics = tuple(sorted(inboxes))
        super().__init__(app)
        self.seal = seal
        self._router = router

    async def handle(self, event: Any) -> list[Any]:
        received = datetime.fromtimestamp(event.message.timestamp, UTC)
        raw = event.message.value or b""

        async def routed() -> Entry:
            # a new person's key is looked up in the store: not on the event loop
            return await asyncio.to_thread(self._router, raw, received, event.message.topic)

        try:
            entry = await self.patiently(event, routed)
        except SurroundingsError:
            raise
        except Exception as error:  # whatever it is, the event fails by itself and must stay findable
            return await self.loop.send([self.dead(event, error)])
        self.check(event)
        return await self.loop.send(send_entry(entry))
