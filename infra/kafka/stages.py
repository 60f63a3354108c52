"""The stages that a worker can run, in the order of `processors.topology`, and how each is built.

`route` on Kafka: inbox → ledger. No state: an event may come under any key, in any partition, from any client.

The moment of receipt is the broker's stamp of the record, so that a record read twice is routed the same.

The scheduler: one tick a minute for every partition of the ledger, from one worker, whoever that is.

Who has the one partition of `zhengzhao.clock` ticks; when that worker dies, the group gives the partition to
another. Two who tick at once (one was paused) change nothing: a tick is named after its minute.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from infra import issue_worker
from infra.kafka import topics
from infra.kafka.connection import Connection
from infra.kafka.deciding import Deciding
from infra.kafka.faust_app import StageApp, make_app
from infra.kafka.issuing import Issuing
from infra.kafka.numbering import Numbering
from infra.kafka.records import send_entry
from infra.kafka.stage import StageLoop
from infra.persons.keys import PersonsStore
from infra.settings import Settings
from processors.route import route, tick
from schemas.errors import Rejected, TransientError, UsageError
from schemas.events import Event, parse_event
from schemas.ledger import Auth, Entry

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
        except TransientError:
            raise
        except Exception as error:  # whatever it is, the event fails by itself and must stay findable
            return await self.loop.send([self.dead(event, error)])
        self.check(event)
        return await self.loop.send(send_entry(entry))


log = logging.getLogger(__name__)
SOURCE = "urn:agency:000000:clock"
_STEP = 1.0


class ClockStage(StageLoop):
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


STAGES = ("route", "decide", "number", "issue", "status", "clock", "project")
DEFAULT_STAGES = STAGES[:-1]
SIGNING = {"issue", "status"}  # stages that need keys


class Options(msgspec.Struct, frozen=True):
    """How a worker is set up. `tables`: `memory` or `rocksdb`; `tick` in seconds."""

    stages: tuple[str, ...] = DEFAULT_STAGES
    tables: str = "memory"
    standbys: int = 0
    tick: int = 60
    folder: Path = Path()


def check_stages(named: str) -> tuple[str, ...]:
    """The stages in a text like `route,decide`; UsageError for an unknown one."""
    found = tuple(dict.fromkeys(part.strip() for part in named.split(",") if part.strip()))
    unknown = [stage for stage in found if stage not in STAGES]
    if unknown or not found:
        raise UsageError(
            f"unknown stage: {unknown[0]}" if unknown else "no stage is named", hint=", ".join(STAGES)
        )
    return found


def build(
    settings: Settings, options: Options, connection: Connection, persons: PersonsStore
) -> list[StageLoop]:
    """The Faust loops of the stages named; `project` is none of them."""

    def app(stage: str) -> StageApp:
        return make_app(
            stage,
            topics.APP_ID,
            connection,
            options.folder,
            store="rocksdb://?driver=rocksdict" if options.tables == "rocksdb" else "memory://",
            standbys=options.standbys,
        )

    builders: dict[str, Callable[[], StageLoop]] = {
        "route": lambda: Routing(
            app("route"), router(settings, persons), persons.seal_file, settings.inboxes
        ),
        "decide": lambda: Deciding(app("decide"), connection),
        "number": lambda: Numbering(app("number")),
        "issue": lambda: Issuing(app("issue"), issue_worker.recipe(settings), settings.workers),
        "status": lambda: _status(settings, options, connection, app("status")),
        "clock": lambda: ClockStage(app("clock"), options.tick),
    }
    return [builders[stage]() for stage in options.stages if stage in builders]


def router(settings: Settings, persons: PersonsStore) -> Router:
    """How an event's bytes become a ledger entry: the same functions as the embedded engine's door."""
    from infra.bootstrap import authenticator, upload_checker

    authenticate, files = authenticator(settings), upload_checker(settings, persons)

    def routed(raw: bytes, received_at: datetime, topic: str) -> Entry:
        event = parse_event(raw, received_at)
        principal, auth = known_by(topic, event, settings.inboxes, authenticate(event))
        return route(event, received_at, principal, auth, persons, files)

    return routed


def known_by(topic: str, event: Event, inboxes: Mapping[str, str], auth: Auth) -> tuple[str, Auth]:
    """Who sent an event, and how that is known. Only one source may speak through an agency's own topic."""
    if topic not in inboxes:
        return event.source, auth
    if event.source != inboxes[topic]:
        raise Rejected(
            f"来源与主题不符 / the topic {topic} is that of {inboxes[topic]}", where="source",
            hint="send it to the topic of its own source",
        )  # fmt: skip
    return (f"topic:{topic}", "topic") if auth == "none" else (event.source, auth)


def _status(settings: Settings, options: Options, connection: Connection, app: StageApp) -> StageLoop:
    from infra.kafka.status import Listing

    return Listing(app, settings, connection, options.folder)


def worker_folder(settings: Settings, name: str) -> Path:
    """Where a worker keeps its tables and projections; safe to lose."""
    safe = hashlib.sha256(name.encode()).hexdigest()[:8] if name else "default"
    return settings.data / "worker" / (f"{name}-{safe}" if name.isalnum() else safe)
