"""Intake of events over HTTP: one thread writes all that wait in one transaction and answers when it is durable.

An answer is never ahead of the disk, and many small requests share one flush.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
import orjson

from infra.agencies import check_proof, load_register
from infra.bootstrap import Installation
from infra.embedded.inbox import EmbeddedInbox
from infra.http.problems import Problem, is_full, of_error, out_of_room
from processors.queries.access import Principal
from producers.files import Accepted, Outcome
from schemas.agencies import AgencyRegister
from schemas.canonical_json import MAX_BYTES, loads
from schemas.errors import Rejected, TransientError, ZhengzhaoError
from schemas.events import Event, is_clean, parse_event, read_event
from schemas.ledger import Auth

_GROUP_BYTES: Final = 4 * 1024 * 1024  # of events in one transaction, about
_MOMENT: Final = 0.1  # seconds
Taken = Accepted | Problem
_Found = list[tuple[str, Event | Problem]] | Problem


class _Job(msgspec.Struct):
    raw: bytes
    batch: bool
    principal: Principal | None
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[list[tuple[str, Taken]]]
    limit: int


class IntakeThread:
    """The thread that takes events in. `take` may be called from any task; `close` answers all that came before."""

    def __init__(self, installation: Installation, most_waiting: int, wake: threading.Event) -> None:
        self._installation = installation
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._most = most_waiting
        self._waiting = 0
        self._answered_at = 0.0
        self._wake = wake
        self._auth: dict[int, Auth] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._ready: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def start(self) -> None:
        """Open the data file. Raises the error that keeps it from opening."""
        self._thread.start()
        if (fault := self._ready.get()) is not None:
            raise fault

    def close(self) -> None:
        """Take in what waits, then end."""
        self._closing = True
        self._jobs.put(None)
        self._thread.join()

    @property
    def waiting(self) -> int:
        """Return the number of requests that wait for the ledger."""
        return self._waiting

    @property
    def alive(self) -> bool:
        """Tell if the thread runs."""
        return self._thread.is_alive()

    @property
    def busy(self) -> bool:
        """Tell if a request waits, or one did a moment ago: a client that sends in a row needs a moment in between."""
        return self._waiting > 0 or time.monotonic() - self._answered_at < _MOMENT

    async def take(
        self, raw: bytes, principal: Principal | None, *, batch: bool = False, limit: int = 1000
    ) -> list[tuple[str, Taken]]:
        """Take in an event, or a batch of at most `limit`; return the id of each with its outcome.

        Raises Problem where the whole request is unusable, too much waits, or the disk fails; then nothing was kept.
        """
        if self._waiting >= self._most or self._closing:
            raise Problem(503, hint="稍后原样重发 / send the same again later", retry_after=1)
        loop = asyncio.get_running_loop()
        job = _Job(raw, batch, principal, loop, loop.create_future(), limit)
        self._waiting += 1
        try:
            self._jobs.put(job)
            return await job.done
        finally:
            self._waiting -= 1
            self._answered_at = time.monotonic()

    def _run(self) -> None:
        try:
            with self._installation.embedded_inbox(lambda event: self._auth[id(event)]) as inbox:
                self._ready.put(None)
                while (job := self._jobs.get()) is not None:
                    self._group(inbox, self._gather(job))
        except BaseException as error:  # raised again in the thread that starts it
            self._ready.put(error)

    def _gather(self, first: _Job) -> list[_Job]:
        jobs, size = [first], len(first.raw)
        while size < _GROUP_BYTES:
            try:
                more = self._jobs.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._jobs.put(None)
                break
            jobs.append(more)
            size += len(more.raw)
        return jobs

    def _group(self, inbox: EmbeddedInbox, jobs: list[_Job]) -> None:
        received_at = datetime.now(UTC)
        self._auth.clear()
        read: list[tuple[_Job, _Found]] = []
        try:
            register = load_register(self._installation.settings.data)
            read = [(job, self._read(job, received_at, register)) for job in jobs]
            events = [
                e for _, found in read if isinstance(found, list) for _, e in found if isinstance(e, Event)
            ]
            outcomes = iter(inbox.take(events, received_at) if events else ())
        except (
            Exception
        ) as error:  # the thread goes on: those who wait get the error, and later requests may succeed
            fault = _fault(error)
            for job, found in read or [(job, fault) for job in jobs]:
                self._answer(job, found if isinstance(found, Problem) else fault)
            return
        if events:
            self._wake.set()
        for job, found in read:
            if isinstance(found, Problem):
                self._answer(job, found)
            else:
                self._answer(job, [(name, _outcome(e, outcomes)) for name, e in found])

    def _read(self, job: _Job, at: datetime, register: AgencyRegister) -> _Found:
        """Return the events of a request, each read or refused; a Problem where the request is no batch at all."""
        try:
            if not job.batch:
                return [self._admit(job, lambda: parse_event(job.raw, at), at, register)]
            values = loads(job.raw, max_bytes=len(job.raw), max_depth=33)
            if not isinstance(values, list) or len(values) > job.limit:
                return Problem(
                    400,
                    f"不是至多 {job.limit} 个事件的数组 / not an array of at most {job.limit} events",
                    hint="application/cloudevents-batch+json",
                )
            controls, small = not is_clean(job.raw), len(job.raw) <= MAX_BYTES
            return [
                self._admit(job, partial(_event, value, at, controls, small), at, register, name=_name(value))
                for value in values
            ]
        except Rejected as error:
            return Problem(400, error.message, hint=error.hint, where=error.where)
        except Exception as error:  # spoils no other request
            return _fault(error)

    def _admit(
        self, job: _Job, read: Callable[[], Event], at: datetime, register: AgencyRegister, name: str = ""
    ) -> tuple[str, Event | Problem]:
        try:
            event = read()
            name = event.id
            self._auth[id(event)] = self._authenticated(job.principal, event, at, register)
        except Rejected as error:
            return name, of_error(error)
        except Problem as problem:
            return name, problem
        return name, event

    def _authenticated(
        self, principal: Principal | None, event: Event, at: datetime, register: AgencyRegister
    ) -> Auth:
        auth = check_proof(self._installation.settings, event, at, register)
        if principal is None:
            if auth == "proof":
                return auth
            raise Problem(401, hint="需要令牌或签名 / a token, or a proof by a registered key")
        if principal.kind == "enterprise" or (
            principal.kind == "agency" and principal.subject != event.source
        ):
            raise Problem(403, "不能以此来源发送 / this caller may not send for this source", where="source")
        return "token" if auth == "none" and principal.kind == "agency" else auth

    @staticmethod
    def _answer(job: _Job, answer: list[tuple[str, Taken]] | Problem) -> None:
        def settle() -> None:
            if job.done.cancelled():
                return  # The client went away; what was taken in stays.
            if isinstance(answer, Problem):
                job.done.set_exception(answer)
            else:
                job.done.set_result(answer)

        job.loop.call_soon_threadsafe(settle)


def _fault(error: Exception) -> Problem:
    """Return the problem of an error that no event caused: a transient failure, or a fault of ours, which is logged."""
    if isinstance(error, TransientError) or is_full(error):
        return of_error(error) if isinstance(error, ZhengzhaoError) else out_of_room()
    what = f"{error}\nhint: {error.hint}" if isinstance(error, ZhengzhaoError) else type(error).__name__
    print(f"error: intake: {what}", file=sys.stderr, flush=True)
    return Problem(500, hint="查看服务日志 / see the log of the service")


def _name(value: Any) -> str:
    return str(value.get("id", ""))[:256] if isinstance(value, dict) else ""


def _event(value: Any, at: datetime, controls: bool, small: bool) -> Event:
    """Read an event of a batch. `controls`: control characters may be in it; `small`: the whole batch is within the limit."""
    if not isinstance(value, dict):
        raise Rejected(
            "不是 JSON 对象 / not a JSON object", hint="一个事件是一个 JSON 对象 / one event is one object"
        )
    if not small and len(orjson.dumps(value)) > MAX_BYTES:
        raise Rejected(
            f"超过 {MAX_BYTES} 字节 / over {MAX_BYTES} bytes",
            hint="分成多个事件 / split it into several events",
        )
    return read_event(value, at, controls=controls)


def _outcome(event: Event | Problem, outcomes: Any) -> Taken:
    if isinstance(event, Problem):
        return event
    outcome: Outcome = next(outcomes)
    return of_error(outcome) if isinstance(outcome, Rejected) else outcome
