"""Intake of events over HTTP: threads read and authenticate, one thread writes all that wait in one transaction.

An answer is never ahead of the disk, and many small requests share one flush. Requests without a token are read by a
thread of their own, so that junk from anybody delays no agency that has one.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from infra.agencies import check_proof, load_register
from infra.bootstrap import Installation
from infra.http.multipart import element_id, elements
from infra.http.problems import Problem, is_full, of_error, out_of_room
from processors.queries.access import Principal
from producers.files import Accepted, Inbox, Outcome
from schemas.agencies import AgencyRegister
from schemas.errors import Rejected, TransientError, ZhengzhaoError
from schemas.events import Event, parse_event
from schemas.ledger import Auth

_GROUP_EVENTS: Final = 4000  # in one transaction, about
_MOMENT: Final = 0.1  # seconds
Taken = Accepted | Problem


class _Read(msgspec.Struct):
    """One event of a request: its id, what it is or why it is refused, and how it was authenticated."""

    name: str
    event: Event | Problem
    auth: Auth = "none"
    account: str = ""


class _Job(msgspec.Struct):
    read: list[_Read]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[list[tuple[str, Taken]]]


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
        self._accounts: dict[int, str] = {}
        self._closing = False
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="read")
        self._strangers = ThreadPoolExecutor(1, thread_name_prefix="read-unproved")
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
        self._readers.shutdown(wait=True)
        self._strangers.shutdown(wait=True, cancel_futures=True)
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
        self,
        raw: bytes,
        principal: Principal | None,
        *,
        batch: bool = False,
        limit: int = 1000,
        made_here: bool = False,
        account: str = "",
    ) -> list[tuple[str, Taken]]:
        """Take in an event, or a batch of at most `limit`; return the id of each with its outcome.

        `made_here` says that this service made the event from papers of an authenticated caller: the installation's
        intake key signs it. `account` says whose session on our pages it came from. Raises Problem where the whole
        request is unusable, too much waits, or the disk fails; then
        nothing was kept.
        """
        if self._waiting >= self._most or self._closing:
            raise Problem(503, hint="稍后原样重发 / send the same again later", retry_after=1)
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            readers = self._strangers if principal is None else self._readers
            read = await loop.run_in_executor(
                readers, self._read, raw, principal, limit if batch else 0, made_here, account
            )
            if not any(isinstance(one.event, Event) for one in read):
                return [(one.name, one.event) for one in read if isinstance(one.event, Problem)]
            job = _Job(read, loop, loop.create_future())
            self._jobs.put(job)
            return await job.done
        finally:
            self._waiting -= 1
            self._answered_at = time.monotonic()

    # --- reading: in the threads of readers

    def _read(
        self, raw: bytes, principal: Principal | None, limit: int, made_here: bool, account: str
    ) -> list[_Read]:
        """Return the events of a request, each read or refused. Raises Problem where the whole is unusable."""
        try:
            register = load_register(self._installation.settings.data)
            at = datetime.now(UTC)
            parts = elements(raw, limit) if limit else [raw]
            if account:
                return [self._of_session(self._installation.sign_at_intake(p), at, account) for p in parts]
            return [self._admit(part, principal, at, register, made_here) for part in parts]
        except Problem:
            raise
        except Exception as error:
            raise _fault(error) from error

    @staticmethod
    def _of_session(raw: bytes, at: datetime, account: str) -> _Read:
        """Return an event of a session: who logged in is known, so no proof is asked for."""
        try:
            event = parse_event(raw, at)
            return _Read(event.id, event, "session", account)
        except Rejected as error:
            return _Read(element_id(raw), of_error(error))

    def _admit(
        self, raw: bytes, principal: Principal | None, at: datetime, register: AgencyRegister, made_here: bool
    ) -> _Read:
        name = ""
        try:
            event = parse_event(self._installation.sign_at_intake(raw) if made_here else raw, at)
            name = event.id
            return _Read(name, event, self._authenticated(principal, event, at, register, made_here))
        except Rejected as error:
            return _Read(name or element_id(raw), of_error(error))
        except Problem as problem:
            return _Read(name, problem)

    def _authenticated(
        self,
        principal: Principal | None,
        event: Event,
        at: datetime,
        register: AgencyRegister,
        made_here: bool,
    ) -> Auth:
        settings = self._installation.settings
        unsigned = made_here and event.proof is None and not settings.require_proof
        auth: Auth = "none" if unsigned else check_proof(settings, event, at, register)
        if principal is None:
            if auth == "proof":
                return auth
            raise Problem(401, hint="需要令牌或签名 / a token, or a proof by a registered key")
        if principal.kind == "enterprise" or (
            principal.kind == "agency" and principal.subject != event.source
        ):
            raise Problem(403, "不能以此来源发送 / this caller may not send for this source", where="source")
        spoke = made_here or auth == "none"  # The intake key signs for the caller, whom the token names.
        return "token" if spoke and principal.kind == "agency" else auth

    # --- writing: in the one thread that holds the ledger

    def _run(self) -> None:
        try:
            with self._installation.service_inbox(
                lambda event: self._auth[id(event)],
                lambda event: self._accounts.get(id(event)) or event.source,
            ) as inbox:
                self._ready.put(None)
                while (job := self._jobs.get()) is not None:
                    self._group(inbox, self._gather(job))
        except BaseException as error:  # raised again in the thread that starts it
            self._ready.put(error)

    def _gather(self, first: _Job) -> list[_Job]:
        jobs, size = [first], len(first.read)
        while size < _GROUP_EVENTS:
            try:
                more = self._jobs.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._jobs.put(None)
                break
            jobs.append(more)
            size += len(more.read)
        return jobs

    def _group(self, inbox: Inbox, jobs: list[_Job]) -> None:
        read = [one for job in jobs for one in job.read if isinstance(one.event, Event)]
        self._auth = {id(one.event): one.auth for one in read}
        self._accounts = {id(one.event): one.account for one in read if one.account}
        try:
            taken = inbox.take([one.event for one in read if isinstance(one.event, Event)], datetime.now(UTC))
        except (
            Exception
        ) as error:  # the thread goes on: those who wait get the error, and later requests may succeed
            fault = _fault(error)
            for job in jobs:
                self._answer(job, fault)
            return
        self._wake.set()
        outcomes = iter(taken)
        for job in jobs:
            self._answer(job, [(one.name, _outcome(one.event, outcomes)) for one in job.read])

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


def _outcome(event: Event | Problem, outcomes: Any) -> Taken:
    if isinstance(event, Problem):
        return event
    outcome: Outcome = next(outcomes)
    return of_error(outcome) if isinstance(outcome, Rejected) else outcome
