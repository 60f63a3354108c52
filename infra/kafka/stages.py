"""The stages that a worker can run, in the order of `processors.topology`, and how each is built."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from infra import issuing
from infra.kafka import topics
from infra.kafka.clock import Clock
from infra.kafka.connection import Connection
from infra.kafka.deciding import Deciding
from infra.kafka.faust_app import StageApp, make_app
from infra.kafka.issuing import Issuing
from infra.kafka.numbering import Numbering
from infra.kafka.routing import Router, Routing
from infra.kafka.stage import StageLoop
from infra.persons_store import PersonsStore
from infra.settings import Settings
from processors.route import route
from schemas.errors import Rejected, UsageError
from schemas.events import Event, parse_event
from schemas.ledger import Auth, Entry

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
        "issue": lambda: Issuing(app("issue"), issuing.recipe(settings), settings.workers),
        "status": lambda: _status(settings, options, connection, app("status")),
        "clock": lambda: Clock(app("clock"), options.tick),
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
    from infra.kafka.listing import Listing

    return Listing(app, settings, connection, options.folder)


def worker_folder(settings: Settings, name: str) -> Path:
    """Where a worker keeps its tables and projections; safe to lose."""
    safe = hashlib.sha256(name.encode()).hexdigest()[:8] if name else "default"
    return settings.data / "worker" / (f"{name}-{safe}" if name.isalnum() else safe)
