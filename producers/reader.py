"""The processes that read PDFs: started when first needed, kept, one paper each at a time, replaced when they end."""

from __future__ import annotations

import atexit
import queue
import subprocess
import sys
from contextlib import suppress
from typing import BinaryIO, Final, cast

_KEPT: Final = 4  # idle readers
_idle: queue.LifoQueue[_Reader] = queue.LifoQueue()


class _Reader:
    """A process that loads the parser once and forks for each paper (`producers.extract`)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "producers.extract"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._asked = cast("BinaryIO", self._process.stdin)
        self._told = cast("BinaryIO", self._process.stdout)

    def ask(self, pdf: bytes) -> bytes | None:
        """The answer; None where the process is gone."""
        try:
            self._asked.write(len(pdf).to_bytes(8) + pdf)
            self._asked.flush()
            length = self._told.read(8)
            answer = self._told.read(int.from_bytes(length))
        except OSError:
            return None
        return answer if len(length) == 8 else None

    def close(self) -> None:
        with suppress(OSError):
            self._process.communicate(timeout=5)


def ask(pdf: bytes) -> bytes:
    """What a reader says of a PDF; empty where none could say anything."""
    for fresh in (False, True):
        reader = _reader(fresh)
        if (answer := reader.ask(pdf)) is not None:
            _back(reader)
            return answer
        reader.close()
    return b""


def _reader(fresh: bool) -> _Reader:
    with suppress(queue.Empty):
        if not fresh:
            return _idle.get_nowait()
    return _Reader()


def _back(reader: _Reader) -> None:
    if _idle.qsize() < _KEPT:
        _idle.put(reader)
    else:
        reader.close()


@atexit.register
def _close() -> None:
    with suppress(queue.Empty):
        while True:
            _idle.get_nowait().close()
