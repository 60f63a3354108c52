"""Starting and stopping the service: the engine first, then the door, then the server; back in the same order."""

from __future__ import annotations

import ipaddress
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import uvicorn

from infra.http.app import Service
from infra.http.drainer import TICK_SECONDS, DecidingProcess, Elsewhere, Office
from infra.http.intake_thread import Door
from infra.http.limits import RequestLimits
from infra.http.lookups import Lookups
from infra.http.slow_clients import protocol
from infra.http.tokens import Tokens
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
    """The service without a server around it. KeysMissing or Held where the folder cannot be served.

    With further host names (a proxy in front, say) nobody counts as sitting at this machine. Without `deciding`
    it only takes in.
    """
    limits = limits or RequestLimits()
    wake = threading.Event()
    door = Door(settings, limits.waiting, wake)
    with ExitStack() as opened:
        office: DecidingProcess = Elsewhere()
        if deciding:
            office = Office(settings, wake, tick_seconds=tick_seconds, busy=lambda: door.busy)
            office.start()
            opened.callback(office.close)
        door.start()
        opened.callback(door.close)
        desk = Lookups(settings)
        opened.callback(desk.close)
        here = is_loopback(host)
        yield Service(
            desk,
            door,
            office,
            Tokens(settings.data),
            limits=limits,
            hosts=(_HERE | {host.lower()} | allowed) if here or allowed else frozenset(),
            open_here=here and not allowed,
        )


def serve(built: Service, listening: socket.socket) -> None:
    """Serves until the process is told to stop; requests under way are answered first."""
    config = uvicorn.Config(
        built.app(),
        access_log=False,  # paths name holders
        log_level="warning",
        lifespan="off",
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_STOP_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
        http=protocol(built.limits),
    )
    _Server(config).run(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn's server that leaves the process alive after a signal, so that engine and door end in their order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are the main thread's
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
    """A socket that listens; UsageError where that cannot be."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"无法监听 {host}:{port} / cannot listen on {host}:{port}: {reason}",
            hint="--port N, --host ADDRESS",
        ) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
