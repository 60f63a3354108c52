"""A pool of processes for what costs time: setting pages, signing, rebuilding.

Each worker builds its task once and keeps it (fonts, compilers, keys), then takes jobs in small bundles. A
worker that dies (out of memory, killed, a crash in a library) takes nothing with it: what it had not answered
goes to another one; a job that kills two workers is reported as failed by itself. Workers leave the interrupt
key to the main process and end when that one is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

import schemas.errors
from schemas.errors import TransientError, ZhengzhaoError

Task = Callable[[bytes], bytes]
_BUNDLE = 4
_FAULT_HINT = "程序缺陷，请报告；更新后执行 letters retry / a fault of the program, please report it; after an update: zhengzhao letters retry"
_LIVES = 3  # workers that a job may kill before it counts as failed by itself


class Failure(msgspec.Struct, frozen=True):
    """Why a job gave no result. `kind` is the class of the error; `surroundings`: trying again may help."""

    kind: str
    message: str
    hint: str = ""
    where: str = ""
    surroundings: bool = False

    def error(self) -> ZhengzhaoError:
        """Return the failure as an error of `schemas.errors`, of the same class where it was one."""
        made = getattr(schemas.errors, self.kind, None)
        if not (isinstance(made, type) and issubclass(made, ZhengzhaoError)):
            return ZhengzhaoError(f"{self.kind}: {self.message}", hint=self.hint, where=self.where)
        return made(self.message, hint=self.hint, where=self.where)


class Result(msgspec.Struct, frozen=True):
    """The outcome of a job: `output`, or a failure."""

    job: int
    output: bytes = b""
    failure: Failure | None = None


class Recipe(msgspec.Struct, frozen=True):
    """The recipe for a worker's task: `module:function`, called with `arguments`."""

    builder: str
    arguments: tuple[Any, ...] = ()

    def build(self) -> Task:
        """Return the task itself; KeysMissing and the like where it cannot be built."""
        module, _, name = self.builder.partition(":")
        return getattr(importlib.import_module(module), name)(*self.arguments)  # type: ignore[no-any-return]


def describe(error: BaseException) -> Failure:
    """Return an exception as it travels between processes."""
    if isinstance(error, ZhengzhaoError):
        return Failure(
            type(error).__name__, error.message, error.hint, error.where, isinstance(error, TransientError)
        )
    transient = isinstance(error, (OSError, MemoryError))
    return Failure(type(error).__name__, str(error), "" if transient else _FAULT_HINT, surroundings=transient)


def perform(task: Task, job: int, data: bytes) -> Result:
    """Do one job here; whatever it raises becomes a failure, so that nothing is lost."""
    try:
        return Result(job, task(data))
    except Exception as error:
        return Result(job, failure=describe(error))


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """Workers over one recipe. Use as a context manager; `submit` and `results` from one thread."""

    def __init__(self, recipe: Recipe, workers: int = 0) -> None:
        self._recipe = recipe
        self._size = workers or cores()
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._deaths: dict[int, int] = {}
        self._stillborn = 0  # workers in a row that died before they answered anything
        self._failed: list[Result] = []  # failures found while feeding, not given out yet

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Return the jobs that have no result yet."""
        return len(self._waiting) + sum(len(w.jobs) for w in self._workers)

    @property
    def room(self) -> int:
        """Return how many jobs the pool takes before it would only pile them up."""
        return max(0, self._size * _BUNDLE * 3 - len(self))

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [w.process.pid or 0 for w in self._workers]

    def submit(self, jobs: Iterable[tuple[int, bytes]]) -> None:
        """Take jobs in, each with a number of its own."""
        self._waiting.extend(jobs)
        self._feed()

    def results(self, timeout: float | None = None) -> list[Result]:
        """Return the jobs that ended; wait up to `timeout` seconds (None: until there is one)."""
        self._feed()
        if self._failed or not len(self):
            found, self._failed = self._failed, []
            return found
        found = []
        ready = wait([w.pipe for w in self._workers], timeout)
        for worker in [w for w in self._workers if w.pipe in ready]:
            found += self._drain(worker)
        self._feed()
        return found

    def map(self, jobs: Iterable[tuple[int, bytes]]) -> Iterator[Result]:
        """Return the results of many jobs, in no order, holding only a few of them at once."""
        source = iter(jobs)
        more = True
        while more or len(self):
            while more and self.room:
                job = next(source, None)
                if job is None:
                    more = False
                else:
                    self._waiting.append(job)
            yield from self.results()

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(5)
        self._workers.clear()

    def _feed(self) -> None:
        while self._waiting:
            worker = min(self._workers, key=lambda w: len(w.jobs), default=None)
            if (worker is None or worker.jobs) and len(self._workers) < self._size:
                worker = self._start()
            if worker is None or len(worker.jobs) >= 2 * _BUNDLE:
                return
            bundle = [self._waiting.popleft() for _ in range(min(_BUNDLE, len(self._waiting)))]
            # a job that killed a worker goes alone: whatever dies next is its doing
            if any(job in self._deaths for job, _ in bundle):
                self._waiting.extendleft(reversed(bundle[1:]))
                bundle = bundle[:1]
                if worker.jobs:
                    self._waiting.appendleft(bundle[0])
                    return
            worker.jobs.update(bundle)
            try:
                worker.pipe.send(bundle)
            except OSError:
                self._failed += self._bury(worker)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._recipe), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _drain(self, worker: _Worker) -> list[Result]:
        found: list[Result] = []
        try:
            while True:
                answer = worker.pipe.recv()
                if isinstance(answer, Failure):  # the task could not even be built
                    self._waiting.extendleft(worker.jobs.items())
                    worker.jobs.clear()
                    self._workers.remove(worker)
                    raise answer.error()
                worker.jobs.pop(answer.job, None)
                worker.answered, self._stillborn = True, 0
                self._deaths.pop(answer.job, None)
                found.append(answer)
                if not worker.pipe.poll():
                    return found
        except (EOFError, OSError):
            return found + self._bury(worker)

    def _bury(self, worker: _Worker) -> list[Result]:
        self._workers.remove(worker)
        worker.process.join(5)
        left = list(worker.jobs.items())
        failed: list[Result] = []
        self._stillborn += not worker.answered
        if self._stillborn > _LIVES * self._size * 2:
            raise TransientError(
                f"the issuing processes die as they start (exit {worker.process.exitcode})",
                hint="zhengzhao doctor; look at memory and at the limits of this account",
            )
        if left:
            # jobs are done in order: the first without an answer is the one that was being done
            job, _ = left[0]
            self._deaths[job] = self._deaths.get(job, 0) + 1
            if self._deaths[job] >= _LIVES:
                code = worker.process.exitcode
                failed.append(
                    Result(job, failure=Failure("WorkerDied", f"workers die of this job (exit {code})"))
                )
                left = left[1:]
                del self._deaths[job]
        self._waiting.extendleft(reversed(left))
        return failed


class _Worker:
    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe
        self.jobs: dict[int, bytes] = {}
        self.answered = False


def _work(pipe: Connection, recipe: Recipe) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):  # the main process is gone: so are we
        try:
            task = recipe.build()
        except Exception as error:
            pipe.send(describe(error))
            return
        while True:
            for job, data in pipe.recv():
                pipe.send(perform(task, job, data))
