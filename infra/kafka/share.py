"""Holds processes to a share of a core, so that one machine can show what several of them would do.

A worker that has used more than its share of the time so far is stopped until it has not; its issuing processes count
as its own. Broker and store are not held.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

import psutil

T = TypeVar("T")
_STEP = 0.02
_AHEAD = 0.05  # seconds of CPU that may be used in advance


class Held:
    """Inside the block each of these processes, with its children, uses at most `share` of one core."""

    def __init__(self, pids: Sequence[int], share: float) -> None:
        self._share = share
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._hold, args=(pid,), daemon=True) for pid in pids]

    def __enter__(self) -> Held:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _hold(self, pid: int) -> None:
        begun, before = time.monotonic(), used(pid)
        stopped = False
        while not self._ended.wait(_STEP):
            over = used(pid) - before > self._share * (time.monotonic() - begun) + _AHEAD
            if over != stopped:
                stopped = over
                _tell(pid, signal.SIGSTOP if stopped else signal.SIGCONT)
        _tell(pid, signal.SIGCONT)


def used(pid: int) -> float:
    """CPU seconds that a process and its children have used so far."""
    return sum(_of_family(pid, lambda process: float(sum(process.cpu_times()[:2]))))


def _tell(pid: int, number: signal.Signals) -> None:
    _of_family(pid, lambda process: process.send_signal(number))


def _of_family(pid: int, act: Callable[[psutil.Process], T]) -> list[T]:
    found: list[T] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(act(one))
    return found
