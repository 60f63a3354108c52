"""The archive of one machine in one file: ledger, facts, objects and trust folder, but nothing that can sign.

The file is a tar of plain files: `header.json`, `zhengzhao.sqlite` (a consistent copy, taken while others write),
`persons.db` (keys of persons, wrapped, so that they open nothing without the installation's secret; only where there
are persons), `trust/…`, `objects/…`, and under `folder/…` what follows from nothing: settings, agency register, tokens'
digests, accounts, accesses, draws and their registers, departments, outbox, further items, the order of the public log.
`keys/` and `secret/` are never in it. An import is verified by replay before it counts.

Reading a data folder that may not be written, such as an auditor's copy on a read-only medium.

The data files are SQLite in WAL mode, which a reader has to be able to write beside. So they are copied, with what
still stands in their logs, to a temporary folder, in which the objects and the trust folder are links to the copy.
Nothing that can sign is copied.
"""

from __future__ import annotations

import copy
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from infra.agencies import IMPORTING, check_guards
from infra.embedded.engine import decider
from infra.failpoints import failpoint
from infra.parts import Parts
from infra.persons.keys import DATABASE, SECRET, PersonsStore
from infra.readmodel.database import Database
from infra.recovery.replay import ReplayReport, replay
from infra.recovery.unpack import (
    BESIDE,
    DATABASES,
    FILES,
    FOLDERS,
    HEADER,
    SQLITE,
    Say,
    complete,
    described,
    unpack,
)
from infra.settings import Settings
from infra.stores.folder import FolderStore
from infra.transparency.installation import ORDER_FILE
from infra.transparency.sequencer import SqliteOrder
from schemas.errors import UsageError, ZhengzhaoError
from schemas.transparency.entries import read_entry


def export_log(
    parts: Parts,
    target: Path,
    say: Say = lambda *_: None,
    *,
    beside: Path | None = None,
    order: Sequence[bytes] | None = None,
) -> dict[str, object]:
    """Write the archive and return its header. Raises UsageError where the file exists.

    `beside` is the folder with settings and registers, where the data lie elsewhere; `order` that of the log, where it
    is recorded elsewhere than in that folder.
    """
    if target.exists():
        raise UsageError(
            "文件已存在 / the file exists", where=str(target), hint="另用新文件名 / name a new file"
        )
    if not target.parent.is_dir():
        raise UsageError(
            "没有这个目录 / there is no such folder", where=str(target.parent), hint="先建目录 / make it"
        )
    settings, store = parts.settings, parts.store
    # The copies lie beside the archive, where there has to be room anyway.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        copy, draft = Path(scratch) / SQLITE, Path(scratch) / "archive"
        beside = beside or settings.data
        kept = dict(_beside(beside, Path(scratch)))  # the log's order first: it may lag behind the facts
        if order is not None:
            kept[ORDER_FILE] = _order_file(order, Path(scratch) / f"told-{ORDER_FILE}")
        with Database(settings.database) as db:
            check_guards(settings, db)
            db.db.execute("VACUUM INTO ?", (str(copy),))
        # On Kafka the persons' keys lie in the store too; in the archive they are a part of their own.
        keys = [key for key in store.list() if not key.startswith(("persons/", "probe/"))]
        header = described(copy, len(keys))
        with draft.open("wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                _add(tar, HEADER, msgspec.json.encode(header))
                _add_file(tar, SQLITE, copy)
                persons = _persons(_persons_file(parts, Path(scratch)), Path(scratch))
                if persons is not None:
                    _add_file(tar, DATABASE, persons)
                for path in sorted(p for p in settings.trust.rglob("*") if p.is_file()):
                    _add_file(tar, f"trust/{path.relative_to(settings.trust).as_posix()}", path)
                for name, path in kept.items():
                    _add_file(tar, f"{BESIDE}{name}", path)
                for n, key in enumerate(keys, 1):
                    _add(tar, f"objects/{key}", store.get(key))
                    say("objects", n, len(keys))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    return msgspec.structs.asdict(header)


def import_log(parts: Parts, source: Path, say: Say = lambda *_: None) -> ReplayReport:
    """Bring an archive into a data folder without data, once replay has found it whole; otherwise nothing stays.

    Keys and the installation's secret may lie there already, since they are never part of an archive.
    """
    settings = parts.settings
    if settings.database.exists():
        raise UsageError(
            "目录中已有数据 / the folder has data already",
            where=str(settings.data),
            hint="导入到新的 / import into a new --data DIR",
        )
    with decider(settings.data, "log import", wait=0):
        left = emptied(settings.data)
        with tempfile.TemporaryDirectory(prefix=IMPORTING, dir=settings.data) as scratch:
            staged = Settings(Path(scratch) / "data", workers=settings.workers)
            unpack(source, staged.data, say)
            secret = settings.data / SECRET.parent
            if secret.is_dir():  # with it replay can open what is sealed
                (staged.data / SECRET.parent).symlink_to(secret.absolute())
            with parts.over(staged) as staged_parts:
                report = _replayed(staged_parts, Path(scratch) / "again", source, say)
            # A log that is some seconds behind the facts catches up afterwards.
            if all(finding.what == "log" for finding in report.findings):
                with Database(staged.database) as db:
                    complete(db)
                    db.db.execute("PRAGMA journal_mode = DELETE")  # one file again, to be moved
                _take_over(staged, parts, say)
                for folder in left:
                    folder.rmdir()
    return report


def emptied(data: Path) -> list[Path]:
    """Empty what killed imports have left in a data folder; the folders themselves stay until an import is whole."""
    left = [path for path in data.glob(f"{IMPORTING}*") if path.is_dir()]
    for folder in left:
        for inner in folder.iterdir():
            shutil.rmtree(inner)
    return left


def _replayed(staged: Parts, into: Path, source: Path, say: Say) -> ReplayReport:
    try:
        return replay(staged, into, say=say)
    except (ZhengzhaoError, OSError):
        raise
    except Exception as error:  # a forged data file may break anything
        raise UsageError(
            f"存档内容无法读取 / what is in the archive cannot be read: {type(error).__name__}",
            where=str(source),
            hint="重新导出 / export it again",
        ) from None


def _beside(folder: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Yield names and files of a data folder that an archive takes along; databases as consistent copies."""
    for name in DATABASES:
        if (folder / name).is_file():
            with closing(sqlite3.connect(folder / name)) as db:
                db.execute("VACUUM INTO ?", (str(scratch / f"copy-{name}"),))
            yield name, scratch / f"copy-{name}"
    for name in FILES:
        if (folder / name).is_file():
            yield name, folder / name
    for name in FOLDERS:
        for path in sorted(p for p in (folder / name).rglob("*") if p.is_file()):
            inner = path.relative_to(folder)
            if not any(part.startswith(".") for part in inner.parts):
                yield inner.as_posix(), path


def _order_file(order: Sequence[bytes], path: Path) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        SqliteOrder(db).append(map(read_entry, order))
    return path


def place_beside(staged: Path, folder: Path, *, keep: bool = False) -> None:
    """Put what an archive took along into a data folder.

    Where another file is there it raises UsageError and writes nothing; with `keep` that file stays.
    """
    names = [n for n in (*FILES, *DATABASES) if (staged / n).is_file()]
    names += [
        path.relative_to(staged).as_posix()
        for name in FOLDERS
        for path in sorted((staged / name).rglob("*"))
        if path.is_file()
    ]
    names = [name for name in names if not (keep and (folder / name).exists())]
    for write in (False, True):
        for name in names:
            _place(staged / name, folder / name, move=write)


def _take_over(staged: Settings, parts: Parts, say: Say) -> None:
    """Move the objects first and the data file last, because without that file nothing counts."""
    settings = parts.settings
    place_beside(staged.data, settings.data)
    if settings.store is None and not settings.objects.exists() and staged.objects.exists():
        staged.objects.rename(settings.objects)
    objects, store = FolderStore(staged.objects), parts.store
    keys = list(objects.list())
    for n, key in enumerate(keys, 1):
        store.put(key, objects.get(key))
        say("objects", n, len(keys))
    files = [
        DATABASE,
        *(p.relative_to(staged.data).as_posix() for p in staged.trust.rglob("*") if p.is_file()),
    ]
    for name in files:
        if (staged.data / name).exists():
            _place(staged.data / name, settings.data / name)
    failpoint("import-before-data")
    staged.database.replace(settings.database)


def _place(staged: Path, path: Path, *, move: bool = True) -> None:
    """Move a file into the data folder. Raise UsageError where another one is there; without `move` only look.

    An import that is killed leaves no part of a file, which the next one would take for somebody else's.
    """
    if path.exists():
        if path.read_bytes() != staged.read_bytes():
            raise UsageError(
                "已有不同的文件 / another file is there",
                where=str(path),
                hint="导入到新目录 / import into a new folder",
            )
        return
    if move:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.chmod(0o644 if path.suffix == ".pem" else 0o600)
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        staged.replace(path)
        failpoint("import-among-files")


def _persons_file(parts: Parts, scratch: Path) -> Path:
    """Return the file of the persons' keys; keys that workers share are gathered into one."""
    settings = parts.settings
    if settings.shared_persons is None:
        return settings.data / DATABASE
    folder = scratch / "persons"
    folder.mkdir()
    (folder / SECRET.parent).symlink_to((settings.data / SECRET.parent).absolute())
    gathered = PersonsStore(folder)
    for pseudonym, wrapped in parts.persons.wrapped():
        gathered.restore(pseudonym, wrapped)
    gathered.close()
    return folder / DATABASE


def _persons(path: Path, scratch: Path) -> Path | None:
    """Copy the persons' keys; return None where there are none, so that no secret is needed to import."""
    if not path.is_file():
        return None
    copy = scratch / DATABASE
    with closing(sqlite3.connect(path)) as db:
        if not db.execute("SELECT count(*) FROM keys").fetchone()[0]:
            return None
        db.execute("VACUUM INTO ?", (str(copy),))
    return copy


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    _append(tar, name, len(content), io.BytesIO(content))


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> None:
    with path.open("rb") as file:
        _append(tar, name, path.stat().st_size, file)


def _append(tar: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    tar.addfile(member, content)
    tar.members.clear()  # type: ignore[attr-defined]  # else they gather in memory


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
