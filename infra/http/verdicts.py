"""Verdicts on files of strangers, made in processes with a bare environment and hard limits.

A picture of a few kilobytes can keep a decoder busy for minutes. So the service never decodes one itself: it hands
the file to a process (`infra.http.verdict_process`), which ends its child when the time is over, and replaces a process
that does not.

Pictures and PDFs have two efforts: a short one that does for nearly every honest file, and a long one for the few that
need it, in a place of its own and behind everybody else. So files made to be slow hold honest ones up for a moment only.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

import msgspec

from infra.http.problems import Problem
from infra.http.verdict_process import HEAD, MAX_FRAME, VerdictJob
from infra.pool import Failure
from schemas.errors import NotFound
from schemas.ports import Store

_ROOT: Final = Path(__file__).resolve().parents[2]
_START_SECONDS: Final = 30.0
_GRACE: Final = 2.0  # seconds that a process has to end its child, before it is ended itself


class Effort(NamedTuple):
    """Limits for one file: CPU seconds, seconds on the clock, and how far it stands back behind others (`nice`)."""

    cpu: int
    seconds: float
    nice: int


SHORT: Final = Effort(1, 4.0, 5)
LONG_NICE: Final = 15
LONG_CPU: Final = 8


class Overrun(Problem):
    """A file that took too much time or memory: 503."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "文件处理超过时间或内存限制 / the file took too much time or memory",
            hint="缩小或重新拍摄图片后再试 / try again with a smaller picture, or a new one",
            retry_after=30,
        )


class Verdicts:
    """Processes that verify, one for each of `size` calls at once; further calls wait for a free one."""

    def __init__(self, trust: Path, store: Store, *, size: int, seconds: float) -> None:
        self._trust = trust
        self._store = store
        self._seconds = seconds
        self._closed = False
        self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)  # started when it is first needed

    def verdict(
        self, content: bytes, name: str, at: datetime, *, lists: bool, effort: Effort | None = None
    ) -> dict[str, Any]:
        """Return the verdict on a file as of a moment; `lists`: published status lists are consulted.

        `effort` is the long one where none is given. Raises Overrun where the file takes too long, ZhengzhaoError where it or the trust folder is unusable.
        """
        process = self._idle.get()
        try:
            if self._closed:
                raise Problem(503, retry_after=10)
            process = process or _Process()
            allowed = effort or Effort(LONG_CPU, self._seconds, LONG_NICE)
            job = VerdictJob(content, name, at, str(self._trust), lists, *allowed)
            found = process.verdict(job, self._store, allowed.seconds + _GRACE)
        except (Overrun, OSError) as error:
            if process is not None:
                process.kill()
                process = None
            raise error if isinstance(error, Overrun) else Overrun() from error
        finally:
            self._idle.put(process)
        if found is None:
            raise Overrun
        return found

    def warm(self, count: int) -> None:
        """Start so many processes ahead, so that the first callers need not wait for them; returns at once."""
        idle = [self._idle.get() for _ in range(count)]

        def start() -> None:
            for process in idle:
                with suppress(OSError, Overrun):
                    process = process or (None if self._closed else _Process())
                self._idle.put(process)

        threading.Thread(target=start, name="warm", daemon=True).start()

    def close(self) -> None:
        """End the processes; a call under way ends at its time limit."""
        self._closed = True
        for _ in range(self._idle.qsize()):
            with suppress(queue.Empty):
                if (process := self._idle.get_nowait()) is not None:
                    process.kill()
                self._idle.put(None)


class _Process:
    def __init__(self) -> None:
        bare = {"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(_ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "infra.http.verdict_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=bare,
            cwd="/",
            start_new_session=True,
        )
        self._in = cast("BinaryIO", self._process.stdin)
        self._out = cast("BinaryIO", self._process.stdout).fileno()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._receive(time.monotonic() + _START_SECONDS)  # it says that the verifier is loaded

    def verdict(self, job: VerdictJob, store: Store, seconds: float) -> dict[str, Any] | None:
        """Return the verdict, None where the file met its limits. Raises Overrun where the process itself did not answer."""
        end = time.monotonic() + seconds
        self._send(b"J", msgspec.msgpack.encode(job))
        fault: Exception | None = None
        while True:
            kind, content = self._receive(end)
            if kind == b"R":
                return cast("dict[str, Any]", msgspec.json.decode(content))
            if kind == b"F":
                raise fault or msgspec.json.decode(content, type=Failure).error()
            if kind == b"D":
                return None
            try:
                self._answer(kind, content.decode(), store)
            except Exception as error:
                fault = error
                self._send(b"X", b"")

    def _answer(self, kind: bytes, key: str, store: Store) -> None:
        if not key.startswith("status/"):  # the verifier asks for nothing else
            raise NotFound("未找到对象 / no such object", where=key[:100])
        if kind == b"L":
            self._send(b"K", msgspec.json.encode(list(store.list(key))))
            return
        try:
            self._send(b"V", store.get(key))
        except NotFound:
            self._send(b"N", b"")

    def _send(self, kind: bytes, content: bytes) -> None:
        self._in.write(kind + len(content).to_bytes(8) + content)
        self._in.flush()

    def _receive(self, end: float) -> tuple[bytes, bytes]:
        head = self._exactly(HEAD, end)
        size = int.from_bytes(head[1:])
        if size > MAX_FRAME:
            raise Overrun
        return head[:1], self._exactly(size, end)

    def _exactly(self, size: int, end: float) -> bytes:
        parts: list[bytes] = []
        while size:
            ready = self._poll.poll(max(0.0, end - time.monotonic()) * 1000)
            part = os.read(self._out, min(size, 1 << 20)) if ready else b""
            if not part:
                raise Overrun
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def kill(self) -> None:
        """End the process with the child that it forked."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
