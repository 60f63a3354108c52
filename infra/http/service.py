"""Start and end of the service: engine, intake thread, server; they end in the opposite order."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import uvicorn

from infra.bootstrap import Installation
from infra.delivery.postman import Postman, PostRound
from infra.http.app import Service
from infra.http.callers import Tokens, protocol
from infra.http.drainer import TICK_SECONDS, DecidingProcess, Drainer, ExternalDrainer, daily_collection
from infra.http.intake_thread import IntakeThread
from infra.http.limits import RequestLimits
from infra.http.lookups import Lookups
from infra.settings import Settings
from schemas.errors import UsageError

_HERE: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_CONNECTIONS: Final = 500
_STOP_SECONDS: Final = 20


@contextmanager
def service(
    settings: Settings,
    *,
    limits: RequestLimits | None = None,
    host: str = "127.0.0.1",
    allowed: frozenset[str] = frozenset(),
    tick_seconds: float = TICK_SECONDS,
    deciding: bool = True,
) -> Iterator[Service]:
    """Open the service without a server around it.

    On Kafka the workers decide; the service sends events to them and follows what they did. `allowed` are further host
    names under which it is called (behind a proxy, say); with any of them a token is always needed. `tick_seconds` is
    the time between two ticks. Without `deciding` it only takes events in. Raises KeysMissing or Held where the data
    folder cannot be served.
    """
    if settings.on_kafka:
        _check_kafka(settings)
    limits = limits or RequestLimits()
    wake = threading.Event()
    with ExitStack() as opened:

        def installation() -> Installation:
            return opened.enter_context(Installation(settings))  # one for each thread that works on its own

        intake = IntakeThread(installation(), limits.waiting, wake)
        asked = installation()
        following = asked.follow() if settings.on_kafka else None
        drainer: DecidingProcess = ExternalDrainer(following)
        if deciding and not settings.on_kafka:
            drainer = Drainer(installation(), wake, tick_seconds=tick_seconds, busy=lambda: intake.busy)
            drainer.start()
            opened.callback(drainer.close)
        elif settings.on_kafka:
            opened.enter_context(daily_collection(installation(), lambda text: print(text, file=sys.stderr)))
        intake.start()
        opened.callback(intake.close)
        lookups = Lookups(asked, limits=limits)
        opened.callback(lookups.close)
        here = is_loopback(host)
        built = Service(
            lookups,
            intake,
            drainer,
            Tokens(settings.data),
            limits=limits,
            hosts=(_HERE | {host.lower()} | allowed) if here or allowed else frozenset(),
            open_here=here and not allowed,
            proxies=settings.proxies,
        )
        opened.callback(built.portal.close)
        if settings.mail or settings.webhook:
            office = installation()
            postman = Postman(office, office.notices, office.register, built.portal.accounts.addresses_of)
            opened.callback(PostRound(postman).close)
        yield built


def _check_kafka(settings: Settings) -> None:
    if settings.store is None:
        raise UsageError(
            "设有 ZHENGZHAO_BROKER 时还须设 ZHENGZHAO_STORE / with ZHENGZHAO_BROKER the service needs ZHENGZHAO_STORE",
            hint="ZHENGZHAO_STORE=s3://KEY:SECRET@HOST:PORT/BUCKET；zhengzhao stack up",
        )
    # A broker that is away is told once, by us; the library would tell it with a traceback each time.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def serve(built: Service, listening: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first."""
    server_of(built).run(sockets=[listening])


def server_of(built: Service) -> uvicorn.Server:
    """Return a server for the service, not yet running; its `should_exit` ends it in another thread."""
    built.lookups.warm()
    config = uvicorn.Config(
        built.app(),
        access_log=False,  # paths name holders
        proxy_headers=False,  # `Callers` believes the proxies that the settings name, and no other
        log_level="warning",
        lifespan="off",
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_STOP_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
        http=protocol(built.limits, built.callers.is_proxy),
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the process alive after a signal so that intake thread and engine end in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # Python delivers signals to the main thread only.
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises UsageError where address or port cannot be used."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=512)
        # asyncio sets this for sockets whose protocol is named alone; without it each answer would wait 40 ms.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"无法监听 {host}:{port} / cannot listen on {host}:{port}: {reason}",
            hint="--port N, --host ADDRESS",
        ) from None


def is_loopback(host: str) -> bool:
    """Tell if only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
