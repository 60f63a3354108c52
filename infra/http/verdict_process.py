"""The process that verifies files of strangers: one child for each file, with hard limits of time and memory.

It is started with a bare environment, so that neither passphrase nor the credentials of a store are within reach of
a decoder that a hostile file has taken over. It loads the verifier once and forks for each file. What the verifier
asks of the status lists goes through the pipe to the service, which alone knows the store. A child that takes too long is
ended here, so that this process, whose start takes a second, stays for the next file.

A frame is one byte (its kind), eight bytes (the length) and the content. To here: `J` a job; answers `V` (bytes),
`N` (no such key), `K` (keys), `X` (the store failed). From here: `G` get a key, `L` list keys, `R` the verdict,
`F` a failure, `D` the child died of its limits; `S` at the start, when the verifier is loaded.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from infra.bootstrap import read_trust
from infra.pool import describe
from schemas.errors import StoreUnavailable
from schemas.trust import TrustStore
from verification.status_sources import Stored
from verification.verify import verify_bytes

MEMORY_BYTES: Final = 1 << 30
MAX_FRAME: Final = 80 << 20
HEAD: Final = 9


class VerdictJob(msgspec.Struct):
    """A file to verify as of a moment, and where the trust folder lies; `lists`: there are published lists.

    `cpu` and `seconds` are its limits, `nice` how far it stands back behind others.
    """

    content: bytes
    name: str
    at: datetime
    trust: str
    lists: bool
    cpu: int
    seconds: float
    nice: int


def main() -> int:
    """Verify one file after the other until standard input ends; return the exit code."""
    trusted = _Trust()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The service ends this process by itself.
    _send(b"S", b"")
    while (frame := _receive()) is not None:
        kind, content = frame
        if kind != b"J":
            return 2
        job = msgspec.msgpack.decode(content, type=VerdictJob)
        try:
            trust = trusted.read(Path(job.trust))
        except Exception as error:
            _send(b"F", msgspec.json.encode(describe(error)))
            continue
        child = os.fork()
        if not child:
            _verify(job, trust)
            os._exit(0)
        if not _ended_well(child, job.seconds):
            _send(b"D", b"")
    return 0


def _ended_well(child: int, seconds: float) -> bool:
    """Wait for a child, end it where its time is over, and tell if it came to its end by itself."""
    poll = select.poll()
    handle = os.pidfd_open(child)
    poll.register(handle, select.POLLIN)
    if not poll.poll(seconds * 1000):
        os.kill(child, signal.SIGKILL)
    os.close(handle)
    return os.waitpid(child, 0)[1] == 0


class _Trust:
    """The trust folder, read again when its list has changed."""

    def __init__(self) -> None:
        self._stamp: tuple[str, int] | None = None
        self._trust: TrustStore | None = None

    def read(self, folder: Path) -> TrustStore:
        stamp = (str(folder), (folder / "trust.json").stat().st_mtime_ns)
        if self._trust is None or self._stamp != stamp:
            self._stamp, self._trust = stamp, read_trust(folder)
        return self._trust


def _verify(job: VerdictJob, trust: TrustStore) -> None:
    """Verify in the child. It ends with status 1 where it cannot even say what failed."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (job.cpu, job.cpu))
        os.nice(job.nice)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        lists = Stored(_list, _get) if job.lists else None
        verdict = verify_bytes(job.content, name=job.name, trust=trust, status=lists, at=job.at)
        _send(b"R", msgspec.json.encode(verdict.to_json()))
    except MemoryError:
        os._exit(1)
    except BaseException as error:
        _send(b"F", msgspec.json.encode(describe(error)))


def _get(key: str) -> bytes | None:
    kind, content = _ask(b"G", key)
    return None if kind == b"N" else content


def _list(prefix: str) -> list[str]:
    _, content = _ask(b"L", prefix)
    return msgspec.json.decode(content, type=list[str])


def _ask(kind: bytes, text: str) -> tuple[bytes, bytes]:
    _send(kind, text.encode())
    answer = _receive()
    if answer is None or answer[0] == b"X":
        raise StoreUnavailable("对象存储故障 / the object store failed")
    return answer


def _send(kind: bytes, content: bytes) -> None:
    sys.stdout.buffer.write(kind + len(content).to_bytes(8) + content)
    sys.stdout.buffer.flush()


def _receive() -> tuple[bytes, bytes] | None:
    head = _exactly(HEAD)
    if head is None:
        return None
    content = _exactly(int.from_bytes(head[1:]))
    return None if content is None else (head[:1], content)


def _exactly(size: int) -> bytes | None:
    """Read from the descriptor itself: what a buffer of this process held would be lost to its children."""
    parts: list[bytes] = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    sys.exit(main())
