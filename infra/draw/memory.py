"""A party's memory of announcements: two of one number, or one beside the known chain, are a fork.

The memory is a file of the party (or the supervisor), by default beside its secret. It has for each announcement
that was signed the authority, the sequence, the digest, and the digest of the one before.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from infra.draw.files import write_whole
from schemas.draw.documents import Announcement
from schemas.errors import DrawError, UsageError

MEMORY_FILE = "draw-memory.json"


class _Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    authority: str
    sequence: int
    digest: str
    previous: str


class _Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    announcements: list[_Known] = []


@contextmanager
def remembering(path: Path, announcement: Announcement) -> Iterator[None]:
    """Check an announcement against the memory, and remember it where the block succeeds.

    Raise DrawError for a fork, UsageError where the file is not a memory. Nothing is written after an error.
    """
    own = _Known(
        announcement.plan.authority, announcement.sequence, announcement.digest, announcement.previous
    )
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _read(path)
        _refuse_fork(own, known)
        yield
        if own not in known:
            write_whole(path, msgspec.json.encode(_Memory([*known, own])), private=True)


def _read(path: Path) -> list[_Known]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Memory).announcements
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"不是公告记忆文件 / not a memory of announcements: {error}",
            where=str(path),
            hint="--memory FILE",
        ) from None


def _refuse_fork(own: _Known, known: list[_Known]) -> None:
    for other in known:
        if other.authority != own.authority:
            continue
        apart = own.sequence - other.sequence
        if (
            (apart == 0 and other.digest != own.digest)
            or (apart == 1 and own.previous != other.digest)
            or (apart == -1 and other.previous != own.digest)
        ):
            raise DrawError(
                f"公告链分叉：与已签的第 {other.sequence} 号公告（{other.digest[:16]}…）不衔接 / a fork: this announcement "
                f"does not fit number {other.sequence} ({other.digest[:16]}…), which was signed before",
                hint="do not sign; show both announcements to the other parties and the supervisor",
            )
