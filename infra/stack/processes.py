"""Background processes that outlive the command that started them, each known by a record on disk.

A record holds the process id *and* the moment at which the process started, so that an id that the system
has given to somebody else since is never mistaken for ours, and never ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from schemas.errors import TransientError, UsageError


class Server(msgspec.Struct, frozen=True):
    """A process that we started. `started` is its start in seconds since 1970, as the system tells it."""

    name: str
    pid: int
    started: float
    ports: dict[str, int]
    log: str


def running(folder: Path, name: str) -> Server | None:
    """Return the server of this name recorded in `folder`, if that very process still lives."""
    try:
        server = msgspec.json.decode(_record(folder, name).read_bytes(), type=Server)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return server if _process(server) else None


def start(
    name: str, command: Sequence[str], *, folder: Path, ports: Mapping[str, int], cwd: Path | None = None
) -> Server:
    """Start `command` in a session of its own, output into `folder/<name>.log`, and records it."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("ab") as out:
        child = subprocess.Popen(
            list(command),
            cwd=cwd or folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, child.pid, psutil.Process(child.pid).create_time(), dict(ports), str(log))
    record = _record(folder, name)
    draft = record.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.encode(server))
    draft.replace(record)
    return server


def wait_until(ready: Callable[[], bool], server: Server, *, seconds: float) -> None:
    """Wait until `ready()`; raises SurroundingsError when the process ends first or time runs out."""
    deadline = time.monotonic() + seconds
    while not ready():
        if _process(server) is None:
            raise TransientError(
                f"服务启动时退出 / {server.name} ended while it started; its last lines: {tail(server.log)}",
                hint=f"read {server.log}",
            )
        if time.monotonic() > deadline:
            raise TransientError(
                f"服务没有应答 / {server.name} did not answer within {seconds:.0f} s",
                hint=f"read {server.log}",
            )
        time.sleep(0.2)


def stop(folder: Path, name: str, *, seconds: float = 20) -> bool:
    """End the recorded process, gently first; False where none of ours was running."""
    server = running(folder, name)
    if server is not None and (process := _process(server)) is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            try:
                process.wait(seconds)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(seconds)
    _record(folder, name).unlink(missing_ok=True)
    return server is not None


def require_free(ports: Mapping[str, int], *, option: str, seconds: float = 3) -> None:
    """Raise UsageError naming the first port on 127.0.0.1 that somebody else listens on.

    A server that was just killed needs a moment until the system has taken its sockets away.
    """
    deadline = time.monotonic() + seconds
    for use, port in ports.items():
        while (error := _taken(port)) is not None:
            if time.monotonic() > deadline:
                raise UsageError(
                    f"port {port} ({use}) on 127.0.0.1 is taken: {error}",
                    hint=f"end what listens there, or choose another with {option}",
                )
            time.sleep(0.1)


def _taken(port: int) -> Exception | None:
    with socket.socket() as probe:
        # a server's own sockets that linger after its end are no reason to refuse
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return error
    return None


def answers(port: int) -> bool:
    """Return whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tail(log: str, lines: int = 3) -> str:
    """Return the last lines of a log as one line."""
    try:
        text = Path(log).read_text(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return " / ".join(text.strip().splitlines()[-lines:]) or "(empty log)"


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}.process.json"


def _process(server: Server) -> psutil.Process | None:
    with contextlib.suppress(ChildProcessError):  # a child of ours that has ended must not look alive
        os.waitpid(server.pid, os.WNOHANG)
    try:
        process = psutil.Process(server.pid)
        alive = abs(process.create_time() - server.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if alive else None
