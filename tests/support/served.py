"""Servers on 127.0.0.1 for tests, each on a port that the system gives, ended with the test."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from infra.http.app import Service
from infra.http.service import listen, server_of


def given_port() -> int:
    """Return a free port that the system gives, for an address that has to be known before its server starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application; yield its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        with until_stopped(
            uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off")), listener
        ):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def serving_service(built: Service) -> Iterator[int]:
    """Serve a service as `zhengzhao run` does, in a thread that has ended before the service closes; yield the port."""
    with listen("127.0.0.1", 0) as listening, until_stopped(server_of(built), listening):
        yield listening.getsockname()[1]


@contextlib.contextmanager
def until_stopped(server: uvicorn.Server, listening: socket.socket) -> Iterator[None]:
    """Run a server in a thread until the block ends."""
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = server.force_exit = True
        thread.join(30)
        assert not thread.is_alive()


@contextlib.contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """Serve the files below a folder; yield the address."""
    with serving(Starlette(routes=[Mount("/", StaticFiles(directory=folder))])) as address:
        yield address
