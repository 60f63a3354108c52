"""One process decides at a time in a data folder; readers and `submit` never wait for it.

The lock is the kernel's, so that it ends with its process, however that ends. The file tells who holds it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import UsageError

WAIT_SECONDS = 600.0
_STEP = 0.2


class Held(UsageError):
    """Another process decides in this data folder."""


@contextmanager
def decider(
    data: Path,
    purpose: str,
    *,
    wait: float = WAIT_SECONDS,
    say: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Holds the folder for deciding; waits its turn up to `wait` seconds. Held where that is not enough.

    A holder whose purpose is `run` does not end by itself: nobody waits for that one.
    """
    data.mkdir(parents=True, exist_ok=True)
    handle = os.open(data / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(handle, wait, say, sleep)
        os.truncate(handle, 0)
        os.pwrite(handle, f"{purpose} (process {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, wait: float, say: Callable[[str], None], sleep: Callable[[float], None]) -> None:
    waited = 0.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace") or "another process"
        if holder.startswith("run ") or waited >= wait:
            raise Held(
                f"the data folder is in use: {holder} / 数据目录正被另一进程使用",
                hint="`zhengzhao run` 会自行处理；否则等待或结束它 / `zhengzhao run` processes by itself; otherwise wait for it, or end it",
            )
        if waited == 0:
            say(f"waiting for {holder} / 等待另一进程")
        sleep(_STEP)
        waited += _STEP
