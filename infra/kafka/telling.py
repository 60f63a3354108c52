"""`publish` on Kafka: facts → the topics that the world outside reads. The same fact again is the same event."""

from __future__ import annotations

from typing import Any

import msgspec

from infra.kafka import topics
from infra.kafka.outbox import Send
from infra.kafka.stage import StageLoop
from infra.kafka.wire import decode_fact
from processors.outbound import outbound

SOURCE = "urn:zhengzhao:installation"
_encode = msgspec.json.Encoder().encode


class Telling(StageLoop):
    """Tells outside what was decided; internal facts stay inside."""

    name = "publish"
    topic = topics.FACTS

    async def handle(self, event: Any) -> list[Any]:
        try:
            told = outbound(decode_fact(event.message.value or b""), SOURCE)
        except Exception as error:
            return await self.loop.send([self.dead(event, error)])
        if told is None:
            return []
        topic, cloud_event = told
        return await self.loop.send([Send(topic, event.message.key or b"", _encode(cloud_event))])
