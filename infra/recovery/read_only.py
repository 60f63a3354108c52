"""Reading a data folder that may not be written, such as an auditor's copy on a read-only medium.

The data files are SQLite in WAL mode, which a reader has to be able to write beside. So they are copied, with what
still stands in their logs, to a temporary folder, in which the objects and the trust folder are links to the copy.
Nothing that can sign is copied.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.settings import Settings

_SKIPPED: Final = frozenset({"keys"})


def is_read_only(folder: Path) -> bool:
    """Tell if a folder cannot be written by this process."""
    return folder.is_dir() and (
        not os.access(folder, os.W_OK) or bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    )


@contextmanager
def readable(settings: Settings, *, copied: bool | None = None) -> Iterator[Settings]:
    """Give settings over a folder that can be read like any other; the same ones where it can be written.

    `copied` decides in the place of `is_read_only`.
    """
    if not (is_read_only(settings.data) if copied is None else copied):
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="zhengzhao-audit-") as name:
        folder = Path(name)
        for path in settings.data.iterdir():
            if path.name in _SKIPPED:
                continue
            if path.is_dir() and path.name != "secret":
                (folder / path.name).symlink_to(path.resolve(), target_is_directory=True)
            elif path.is_dir():
                shutil.copytree(path, folder / path.name)
            else:
                shutil.copyfile(path, folder / path.name)
        shadow = copy.copy(settings)
        shadow.data = folder
        yield shadow
