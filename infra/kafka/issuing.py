"""`issue` on Kafka: numbered grants → signed, stored licences. The stage has no state and issues several at once.

Only workers with this stage or `status` hold keys. A transient failure of store or disk is tried again with growing
pauses and holds back what comes after it; a job that fails permanently goes to the dead letters and keeps its number.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
import time
from concurrent.futures import Future
from typing import Any

import msgspec

from infra import issue_worker
from infra.kafka.faust_app import StageApp
from infra.kafka.outbox import Send
from infra.kafka.records import sends
from infra.kafka.stage import StageLoop
from infra.pool import Failure, Pool, Recipe, Result, cores
from processors import topology
from processors.stages import failed_step, issued_step
from schemas.errors import ZhengzhaoError
from schemas.licence import decode_job

log = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0
_POLL = 0.05


class Issuing(StageLoop):
    """The loop that takes jobs as long as there is room, and reports each when its object is stored."""

    stage = topology.stage("issue")

    def __init__(self, app: StageApp, recipe: Recipe, workers: int) -> None:
        super().__init__(app)
        self._pool = PoolThread(recipe, workers, self._waits)
        self._room = asyncio.Semaphore(self._pool.room)
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.close)

    async def _take(self, event: Any) -> None:
        await self._room.acquire()
        ticket = await self.loop.begin(event)
        if ticket is None:
            self._room.release()
            return
        task = asyncio.create_task(self._issue(event, ticket))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _issue(self, event: Any, ticket: Any) -> None:
        try:
            messages = await self._done(event)
        finally:
            self._room.release()
        # The object is stored, whichever worker owns the partition by now; reporting it twice changes nothing.
        self.loop.finish(event, ticket, await self.loop.send(messages))

    async def _done(self, event: Any) -> list[Send]:
        raw = event.message.value or b""
        try:
            grant = decode_job(raw).numbered.grant
        except msgspec.MsgspecError as error:
            return [self.dead(event, error)]
        result = await asyncio.wrap_future(self._pool.submit(raw))
        if result.failure is not None:
            return [self.dead(event, result.failure.error()), *sends(failed_step(grant))]
        return list(sends(issued_step(grant, issue_worker.decode_issued(result.output))))

    def _waits(self, failure: Failure) -> None:
        self.metrics.retries += 1
        log.warning("issue waits: %s", failure.message)


class PoolThread:
    """The pool of processes behind a thread of its own: it takes jobs from the event loop and returns futures."""

    def __init__(self, recipe: Recipe, workers: int, waits: Any) -> None:
        self._recipe = recipe
        self._workers = workers
        self._waits = waits
        self._jobs: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        self._open: dict[int, tuple[bytes, Any]] = {}
        self._numbers = itertools.count()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def room(self) -> int:
        """Return how many jobs may be under way."""
        return (self._workers or cores()) * 12

    def submit(self, job: bytes) -> Any:
        """Return a future of the job's result; transient failures never end it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="issue-pool", daemon=True)
            self._thread.start()
        number, future = next(self._numbers), Future[Result]()
        self._open[number] = (job, future)
        self._jobs.put((number, job))
        return future

    def close(self) -> None:
        """End the processes; the next owner of the partition does again what was under way."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(15)

    def _run(self) -> None:
        pause, hold_until = _FIRST_PAUSE, 0.0
        again: list[tuple[int, bytes]] = []
        with Pool(self._recipe, self._workers) as pool:
            while not self._closing.is_set():
                try:
                    self._feed(pool, len(again) > 0)
                    if again and time.monotonic() >= hold_until:
                        pool.submit(again)
                        again = []
                    results = pool.results(_POLL)
                except ZhengzhaoError as error:  # the task cannot be built: no keys, the store is away
                    results = []
                    self._waits(Failure(type(error).__name__, error.message, error.hint))
                    time.sleep(min(pause, 2.0))
                for result in results:
                    if result.failure is not None and result.failure.surroundings:
                        again.append((result.job, self._open[result.job][0]))
                        hold_until = time.monotonic() + pause
                        pause = min(_LONGEST_PAUSE, pause * 1.5)
                        self._waits(result.failure)
                    else:
                        pause = _FIRST_PAUSE
                        self._resolve(result)

    def _feed(self, pool: Pool, holding: bool) -> None:
        """Hand new jobs to the pool; while it holds, they wait in the queue."""
        if holding:
            time.sleep(_POLL)
            return
        try:
            jobs = [self._jobs.get(timeout=None if len(pool) else _POLL)] if not len(pool) else []
        except queue.Empty:
            return
        while not self._jobs.empty():
            jobs.append(self._jobs.get())
        pool.submit(jobs)

    def _resolve(self, result: Result) -> None:
        _, future = self._open.pop(result.job)
        if not future.cancelled():
            future.set_result(result)
