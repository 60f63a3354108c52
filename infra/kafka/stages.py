"""The stages that a worker runs, in the order of `processors.topology`; the loops of `route` and `clock` stand here.

`route` has no state: an event may come under any key, in any partition, from any client. The moment of receipt is the
broker's stamp of the record, so a record that is read twice is routed the same.

`clock` ticks once a minute for every partition of the ledger. The worker to whom the one partition of `zhengzhao.clock`
is assigned does it; when that worker dies, the group gives the partition to another. Two workers that tick at once
change nothing, since a tick is named after its minute.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from infra import issue_worker
from infra.kafka import topics
from infra.kafka.connection import Connection, parse
from infra.kafka.deciding import Deciding
from infra.kafka.faust_app import StageApp, make_app
from infra.kafka.inbox import ATTESTED, Attestations, LedgerClock, last_moment, note_refused
from infra.kafka.issuing import Issuing
from infra.kafka.log import LogWriting
from infra.kafka.numbering import Numbering
from infra.kafka.records import send_entry
from infra.kafka.stage import StageLoop
from infra.kafka.status import StatusPublishing
from infra.parts import Parts
from infra.persons.keys import installation_secret
from infra.settings import BACKDATE_DAYS, Settings
from processors import topology
from processors.route import MOST_AHEAD, route, tick
from processors.topology import TOPOLOGY
from schemas.calendar import time_text
from schemas.errors import Rejected, TransientError, UsageError
from schemas.events import Event, parse_event, with_data
from schemas.ledger import Auth, Entry, TickEntry

Router = Callable[[bytes, datetime, str, Mapping[str, bytes]], Entry]
"""Turn an event's bytes, the moment of its receipt, its topic and its headers into its ledger entry.

Raises Rejected where the event may not enter.
"""

_PROVEN: Final[tuple[Auth, ...]] = ("proof", "session", "internal")


class Routing(StageLoop):
    """The loop that checks events, stamps them, and writes them to the partition of their holder."""

    stage = topology.stage("route")

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
        value = event.message.value or b""
        headers = {name: text or b"" for name, text in dict(event.message.headers or ()).items()}
        whole: bytes | None = None  # an event in binary mode, with the attributes from its headers

        async def routed() -> Entry:
            # The key of a new person is looked up in the store, which would block the event loop.
            raw = value if whole is None else whole
            return await asyncio.to_thread(self._router, raw, received, event.message.topic, headers)

        try:
            whole = from_binary(value, headers)
            entry = await self.patiently(event, routed)
        except TransientError:
            raise
        except Exception as error:  # the event fails permanently, whatever the error, and must stay findable
            return await self.loop.send([self.dead(event, error, whole)])
        self.check(event)
        return await self.loop.send(send_entry(entry))


def from_binary(value: bytes, headers: Mapping[str, bytes]) -> bytes | None:
    """Return the structured form of a record in binary mode: attributes in `ce_` headers, the data as its value.

    None for a record in structured mode (CloudEvents Kafka binding 1.0, 3.2 and 3.3). Raises Rejected.
    """
    kind = headers.get("content-type", b"")
    given = {name.removeprefix("ce_"): text for name, text in headers.items() if name.startswith("ce_")}
    if not given or kind.startswith(b"application/cloudevents"):
        return None
    if kind:
        given["datacontenttype"] = kind
    try:
        return with_data({name: text.decode() for name, text in given.items()}, value)
    except UnicodeDecodeError:
        raise Rejected("消息头不是 UTF-8 / a header is not UTF-8", where="ce_", hint="UTF-8") from None


log = logging.getLogger(__name__)
SOURCE = "urn:agency:000000:clock"
_STEP = 1.0
_MOST_AHEAD = 3600.0  # seconds; a tick lets licences expire for good
_LOOK_SECONDS = 10.0  # between two looks at the ledger while ticks have stopped


class ClockStage(StageLoop):
    """The loop that ticks at each full period of the wall clock."""

    stage = topology.stage("clock")

    def __init__(
        self,
        app: StageApp,
        seconds: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
        decided: Callable[[], int] = lambda: 0,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(app)
        self._seconds = seconds
        self._decided = decided  # the last moment decided, as the ledger has it
        self._refused = refused  # takes the reason why ticks have stopped; empty where they go on
        self._problem = ""
        self._look_at = 0.0
        self._now = now
        self._steady = steady
        self._since = 0.0  # steady seconds at the last tick
        self._last: datetime | None = None
        app.timer(interval=_STEP)(self._maybe)

    async def handle(self, event: Any) -> list[Any]:
        """Skip the event: nobody of ours writes to this topic."""
        return []

    async def _maybe(self) -> None:
        if not self.loop.consumer.owns(self.topic):
            return
        moment = self.moment(self._now())
        if moment == self._last:
            return
        if (self._last is None or self.jumped(moment)) and not await self._confirmed(moment):
            return
        sends = send_entry(tick(moment, moment, SOURCE, "internal"))
        await asyncio.gather(*await self.loop.send(sends))
        self._last, self._since = moment, self._steady()
        self.metrics.handled(None)

    async def _confirmed(self, moment: datetime) -> bool:
        if self._steady() < self._look_at:
            return False
        self._look_at = self._steady() + _LOOK_SECONDS
        return self.vouched(moment, await asyncio.to_thread(self._decided))

    def vouched(self, moment: datetime, last: int) -> bool:
        """Tell whether the last moment decided (Unix seconds) vouches for one that no running time gives; log a stop once.

        The first tick may be a day past it; after a jump an hour, which an operator's `tick --confirm` gives.
        """
        most = _MOST_AHEAD if self._last is not None else MOST_AHEAD.total_seconds()
        ahead = moment.timestamp() - last if last else 0.0
        problem = ""
        if ahead > most:
            problem = f"{time_text(moment)} is {ahead:.0f} s past the last moment decided"
        if problem and not self._problem:
            log.error("ticks stop: %s; set the clock, or: zhengzhao tick --confirm", problem)
        self._problem = problem
        self._refused(problem)
        return not problem

    def jumped(self, moment: datetime) -> bool:
        """Tell whether the wall clock is over an hour ahead of the running time since the last tick."""
        if self._last is None:
            return False
        return (moment - self._last).total_seconds() - (self._steady() - self._since) > _MOST_AHEAD

    def moment(self, now: datetime) -> datetime:
        """Return the start of the current period, which is the same for every clock."""
        return now.replace(microsecond=0) - timedelta(seconds=int(now.timestamp()) % self._seconds)


_LOOPS: Mapping[str, type[StageLoop]] = {
    "route": Routing,
    "clock": ClockStage,
    "decide": Deciding,
    "number": Numbering,
    "issue": Issuing,
    "status": StatusPublishing,
    "log": LogWriting,
}
RUNS: Final[Mapping[str, type[StageLoop]]] = {
    **_LOOPS,
    **{also.name: loop for loop in _LOOPS.values() for also in loop.also_runs},
}
"""The loop that runs each stage of the topology."""

PROJECT: Final = "project"  # keeps the read model of this worker up to date; no stage
DEFAULT_STAGES: Final = tuple(stage.name for stage in TOPOLOGY if stage.name in _LOOPS)
STAGES: Final = (*DEFAULT_STAGES, PROJECT)
SIGNING: Final = {"issue", "status", "log"}  # stages that need keys


class Options(msgspec.Struct, frozen=True):
    """The set-up of a worker: its stages, `tables` in `memory` or `rocksdb`, `tick` in seconds."""

    stages: tuple[str, ...] = DEFAULT_STAGES
    tables: str = "memory"
    standbys: int = 0
    tick: int = 60
    folder: Path = Path()


def check_stages(named: str) -> tuple[str, ...]:
    """Return the stages in a text like `route,decide`. Raises UsageError for an unknown one."""
    found = tuple(dict.fromkeys(part.strip() for part in named.split(",") if part.strip()))
    unknown = [stage for stage in found if stage not in STAGES]
    if unknown or not found:
        raise UsageError(
            f"未知的环节 / unknown stage: {unknown[0]}" if unknown else "未指定环节 / no stage is named",
            hint=", ".join(STAGES),
        )
    return found


def build(parts: Parts, options: Options, connection: Connection) -> list[StageLoop]:
    """Build the Faust loops of the stages named, in the order of the topology."""

    settings = parts.settings

    def app(stage: str) -> StageApp:
        return make_app(
            stage,
            topics.APP_ID,
            connection,
            options.folder,
            store="rocksdb://?driver=rocksdict" if options.tables == "rocksdb" else "memory://",
            standbys=options.standbys,
        )

    builders: dict[str, Callable[[StageApp], StageLoop]] = {
        "route": lambda made: Routing(made, router(parts), parts.persons.seal_file, settings.inboxes),
        "clock": lambda made: ClockStage(
            made,
            options.tick,
            decided=lambda: last_moment(connection),
            refused=partial(note_refused, settings),
        ),
        "decide": lambda made: Deciding(made, connection),
        "number": Numbering,
        "issue": lambda made: Issuing(made, issue_worker.recipe(settings), settings.workers),
        "status": lambda made: StatusPublishing(made, parts, connection, options.folder),
        "log": lambda made: LogWriting(made, parts, connection, options.folder),
    }
    wanted = [stage.name for stage in TOPOLOGY if stage.name in _LOOPS and stage.name in options.stages]
    return [builders[name](app(name)) for name in wanted]


def router(parts: Parts) -> Router:
    """Build the router from the functions that the inbox of the embedded engine uses too."""
    settings = parts.settings
    attested = Attestations(installation_secret(settings.data))
    # An installation that takes stories of the past takes their clock too.
    bounded = settings.backdate_days is not None and settings.backdate_days <= BACKDATE_DAYS
    clock = LedgerClock(lambda: last_moment(parse(settings.broker or "")))

    def routed(raw: bytes, received_at: datetime, topic: str, headers: Mapping[str, bytes]) -> Entry:
        event = parse_event(raw, received_at, settings.backdate_days)
        said = attested.read(headers.get(ATTESTED, b""), raw) if topic == topics.INBOX else None
        foreign = said is None
        if said is not None and settings.require_proof and said.auth not in _PROVEN:
            said = None  # the event's own proof decides
        auth = said.auth if said is not None else parts.authenticate(event)
        principal, auth = known_by(topic, event, settings.inboxes, auth)
        if said is not None and said.account:
            principal = said.account
        entry = route(
            event, received_at, principal, auth, parts.persons, parts.check_upload, parts.missing_glyphs,
            parts.drawn_visit,
        )  # fmt: skip
        if bounded and foreign and isinstance(entry, TickEntry):
            clock.check(event.time)
        return entry

    return routed


def known_by(topic: str, event: Event, inboxes: Mapping[str, str], auth: Auth) -> tuple[str, Auth]:
    """Return the sender of an event and how it is authenticated. Raises Rejected on another agency's topic."""
    if topic not in inboxes:
        return event.source, auth
    if event.source != inboxes[topic]:
        raise Rejected(
            f"来源与主题不符 / the topic {topic} belongs to {inboxes[topic]}", where="source",
            hint="请发往该来源自己的主题 / send it to the topic of its own source",
        )  # fmt: skip
    return (f"topic:{topic}", "topic") if auth == "none" else (event.source, auth)


def worker_folder(settings: Settings, name: str) -> Path:
    """Return the folder of a worker's tables and projections, which are safe to lose."""
    safe = hashlib.sha256(name.encode()).hexdigest()[:8] if name else "default"
    return settings.data / "worker" / (f"{name}-{safe}" if name.isalnum() else safe)
