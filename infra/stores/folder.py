"""Objects as files below a folder.

A write goes to a file of its own, is flushed to the disk, and gets its name by a hard link: the link fails
where the name exists, so of two writers one wins, and a name never stands for half an object. Files are
read-only and the owner's alone. What a killed process left under `.writing` is swept by the next writer.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from schemas.errors import NotFound, ObjectDiffers, StoreUnavailable
from schemas.ports import checked_key

_WRITING = ".writing"
_STALE_SECONDS = 3600
_counter = itertools.count()


class FolderStore:
    """The store of the embedded engine: the file `root/<key>`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        try:
            if not self._same(path, data, key):
                self._write(path, data)
                if not self._same(path, data, key):
                    raise StoreUnavailable("对象未能保存 / the object was not kept", where=key)
        except OSError as error:
            raise self._unavailable(error, key) from error

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound("未找到对象 / no such object", where=key) from None
        except OSError as error:
            raise self._unavailable(error, key) from error

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def list(self, prefix: str = "") -> Iterator[str]:
        # Only the folder that the prefix names is walked: status lists are asked for on every verification.
        start = self._root / prefix.rpartition("/")[0]
        keys = (
            (Path(folder) / name).relative_to(self._root).as_posix()
            for folder, _, names in os.walk(start)
            for name in names
        )
        return iter(sorted(k for k in keys if k.startswith(prefix) and not k.startswith(_WRITING)))

    def written_at(self, key: str) -> float:
        """Return the moment at which an object was written, in Unix seconds. Raises NotFound."""
        try:
            return self._path(key).stat().st_mtime
        except FileNotFoundError:
            raise NotFound("未找到对象 / no such object", where=key) from None

    def refresh(self, key: str, data: bytes) -> None:
        """Let an object count as written now, see `infra.stores.Erasing`."""
        try:
            os.utime(self._path(key))
        except FileNotFoundError:
            self.put(key, data)
        except OSError as error:
            raise self._unavailable(error, key) from error

    def erase(self, key: str) -> bool:
        """Delete an object for good, see `infra.stores.Erasing`; return False where there is none."""
        path = self._path(key)
        try:
            path.unlink()
            _flush_folder(path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unavailable(error, key) from error
        return True

    def replace(self, key: str, data: bytes) -> None:
        """Put an object in the place of the one before; a crash leaves the old one or the new one, on the disk."""
        path = self._path(key)
        try:
            self._write(path, data, put=os.replace)
        except OSError as error:
            raise self._unavailable(error, key) from error

    def sweep(self) -> None:
        """Remove what killed writers left behind."""
        for path in (self._root / _WRITING).glob("*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _same(self, path: Path, data: bytes, key: str) -> bool:
        try:
            stored = path.read_bytes()
        except FileNotFoundError:
            return False
        if stored != data:
            raise ObjectDiffers(
                "该键已有不同内容 / the key holds other bytes",
                where=key,
                hint="对象只写一次 / an object is written once",
            )
        return True

    def _write(self, path: Path, data: bytes, put: Callable[[Path, Path], None] = os.link) -> None:
        writing = self._root / _WRITING / f"{os.getpid()}-{next(_counter)}"
        for folder in (writing.parent, path.parent):
            _private_folder(folder)
        try:
            with open(os.open(writing, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o400), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                put(writing, path)
            _flush_folder(path.parent)
        finally:
            writing.unlink(missing_ok=True)

    def _unavailable(self, error: OSError, key: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"对象存储故障 / the object store failed: {error.strerror or error}",
            where=str(self._root / key),
            hint="检查磁盘空间与目录权限；没有丢失，恢复后继续 / check free space and permissions; nothing is lost, and work goes on when there is room",
        )


def _private_folder(folder: Path) -> None:
    """Make a folder and those above it, which the owner alone may enter."""
    if not folder.is_dir():
        _private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
