"""Memory of when a file was first submitted, so that the same file makes the same events again.

A table has no time of its own, and its events need one. The moment of the first submission is written into the data
folder, under the file's SHA-256, before any of its events is taken in: after a crash the events carry that moment
again and count as duplicates.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Final

from schemas.errors import UsageError

FOLDER: Final = "submitted"
"""Folder of the data folder that holds one small file for each table."""


def first_time(data: Path, digest: str, at: datetime, *, fixed: bool = False) -> datetime:
    """Return the moment at which a file with this hex SHA-256 was first submitted, which is `at` if it is new.

    With `fixed` the caller names the moment: it is returned, and remembered where none was. Raises UsageError where
    what is remembered cannot be read.
    """
    path = data / FOLDER / digest
    try:
        remembered = datetime.fromisoformat(path.read_text("ascii").strip())
    except FileNotFoundError:
        _write(path, at)
        return at
    except ValueError:
        raise UsageError(
            "首次提交时间无法读取 / the time of the first submission cannot be read",
            where=str(path),
            hint="以 --at 指明时间 / name the time with --at",
        ) from None
    return at if fixed else remembered


def _write(path: Path, at: datetime) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="ascii") as file:
        file.write(at.isoformat())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
