"""A writer of a log in a process of its own, so that it can be killed: `python -m log_writer FOLDER COUNT STEP`."""

from __future__ import annotations

import sys
from pathlib import Path

from logs import TestLog, licences

from infra.stores.folder import FolderStore


def open_folder(folder: Path) -> TestLog:
    """Open the log of a folder."""
    return TestLog(folder, store=FolderStore(folder / "objects"))


def write(folder: Path, count: int, step: int) -> None:
    """Bring licences 1 to `count` into the log, `step` under each head; entries that are there already are no fault."""
    log = open_folder(folder)
    for start in range(1, count + 1, step):
        log.add(licences(min(step, count + 1 - start), start=start))


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
