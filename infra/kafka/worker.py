"""A worker: one process with the Faust loops of its stages, and an HTTP site for liveness, readiness and metrics.

It ends on SIGTERM after committing what is done; the worker that takes over does again what was under way. It ends with
1 when a loop cannot go on, so that the supervisor starts it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web
from aiokafka.errors import KafkaError

from infra.agencies import require_whole
from infra.kafka.connection import Connection, parse
from infra.kafka.inbox import ensure_catalogue, last_catalogue
from infra.kafka.projection import PATIENCE, Following, open_caught_up
from infra.kafka.stage import StageLoop
from infra.kafka.stages import Options, build
from infra.kafka.topics import ensure_topics
from infra.metrics import EXPOSITION, Metrics
from infra.parts import Parts
from issuance.page import require_tested_packages
from schemas.errors import TransientError, UsageError
from schemas.items import Catalogue

log = logging.getLogger(__name__)
T = TypeVar("T")
_STOP_SECONDS = 20
_START_PAUSE = 2.0
_SAID_AGAIN = 30.0  # seconds before a library may say the same again


def departments(catalogue: Catalogue) -> set[str]:
    """Return the departments that get a topic of filings of their own."""
    return {item.department for item in catalogue.items.values() if item.mode == "filing"}


def run_worker(parts: Parts, options: Options, *, http: tuple[str, int] | None, replication: int) -> int:
    """Run until SIGTERM or SIGINT and return the exit code."""
    settings = parts.settings
    if not settings.broker or not settings.store:
        raise UsageError(
            "工作进程需要消息服务与存储 / a worker needs a broker and a store",
            hint="设置 ZHENGZHAO_BROKER 与 ZHENGZHAO_STORE / set ZHENGZHAO_BROKER and ZHENGZHAO_STORE; `zhengzhao stack up` prints both",
        )
    require_tested_packages()
    require_whole(settings)
    _logging()
    connection = parse(settings.broker)
    catalogue = parts.catalogue

    def prepare() -> None:
        ensure_topics(connection, departments(catalogue), settings.inboxes, replication=replication)
        if "route" in options.stages:
            _check_hosts(parts, connection)
            ensure_catalogue(connection, catalogue)
        _ = parts.persons  # opened here, since the store may be away

    _patiently(prepare)
    return _patiently(lambda: asyncio.run(_run(parts, options, connection, http)))


def _check_hosts(parts: Parts, connection: Connection) -> None:
    """Refuse a catalogue that gives an authority another host than its licences have; one in force was let in before.

    Raises UsageError; TransientError where the licences could not be read to their end yet.
    """
    recorded = last_catalogue(connection)
    if recorded is None or recorded.payload.digest == parts.catalogue.digest:
        return
    projection, behind = open_caught_up(parts.settings, connection, PATIENCE)
    projection.close()
    if behind:
        raise TransientError(
            f"主机尚未核对，落后 {behind} 条 / the hosts are not compared yet, {behind} records behind"
        )
    parts.check_hosts()


def _patiently(act: Callable[[], T]) -> T:
    """Try again as long as broker or store are away."""
    while True:
        try:
            return act()
        except (TransientError, KafkaError) as error:
            log.warning("the worker cannot start yet: %s", error)
            time.sleep(_START_PAUSE)


async def _run(
    parts: Parts,
    options: Options,
    connection: Connection,
    http: tuple[str, int] | None,
) -> int:
    stages = build(parts, options, connection)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    following = [Following(parts.settings)] if "project" in options.stages else []
    site = await _serve(stages, following, http, stop) if http else None
    try:
        await asyncio.gather(*(stage.app.start() for stage in stages))
        log.info("worker ready: %s", ", ".join(stage.name for stage in stages))
        while not stop.is_set() and not any(stage.app.crashed for stage in stages):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.5)
        return 0 if stop.is_set() else 1
    finally:
        for projection in following:
            projection.close()
        await _stop(stages)
        if site is not None:
            await site.cleanup()


async def _stop(stages: list[StageLoop]) -> None:
    async def one(stage: StageLoop) -> None:
        with contextlib.suppress(asyncio.TimeoutError, Exception):  # the process ends in any case
            await asyncio.wait_for(stage.app.stop(), _STOP_SECONDS)
        await stage.close()

    await asyncio.gather(*(one(stage) for stage in stages))


async def _serve(
    stages: list[StageLoop], following: list[Following], http: tuple[str, int], stop: asyncio.Event
) -> web.AppRunner:
    async def live(_: web.Request) -> web.Response:
        crashed = [stage.name for stage in stages if stage.app.crashed]
        return web.json_response({"live": not crashed, "crashed": crashed}, status=503 if crashed else 200)

    async def ready(_: web.Request) -> web.Response:
        waiting = [stage.name for stage in stages if not is_ready(stage)]
        good = not waiting and not stop.is_set()
        return web.json_response({"ready": good, "waiting": waiting}, status=200 if good else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=figures.text(), headers={"Content-Type": EXPOSITION})

    figures = Metrics(lambda: [*(stage.metrics for stage in stages), *(also.metrics() for also in following)])
    site = web.Application()
    site.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", metrics)])
    runner = web.AppRunner(site, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, *http).start()
    except OSError as error:
        await runner.cleanup()
        raise UsageError(
            f"健康与指标端口无法打开 / the port for health and metrics cannot be opened: {error}",
            hint="--http HOST:PORT",
        ) from error
    return runner


def is_ready(stage: StageLoop) -> bool:
    """Tell whether a stage is a member of its group, with its tables recovered."""
    app = stage.app
    return bool(app.started and not app.crashed and not app.rebalancing and app.flow_control.is_active())


def _logging() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("infra").setLevel(logging.INFO)
    for noisy in ("mode", "faust"):  # timers overlap on a busy machine, which needs no action
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.getLogger("kafka").setLevel(logging.ERROR)
    logging.getLogger("infra.kafka.faust_app").setLevel(
        logging.WARNING
    )  # Faust logs under its subclasses' module
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Seldom())


class _Seldom(logging.Filter):
    """Passes a message of a client library once in a while: without a broker they repeat it a hundred times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(("aiokafka", "kafka", "faust", "mode")):
            return True
        key, now = (record.name, str(record.msg)[:60]), time.monotonic()
        if now - self._said.get(key, -_SAID_AGAIN) < _SAID_AGAIN:
            return False
        self._said[key] = now
        return True
