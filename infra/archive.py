"""Everything that one machine knows in one file: ledger, facts, objects, trust folder; never what can sign.

A tar of plain files: `header.json`, `zhengzhao.sqlite` (a consistent copy, taken while others write),
`persons.db` (keys of persons, wrapped: without the installation's secret they open nothing; only where there are
any), `trust/…`, `objects/…`. An import is verified by replay before it counts.
"""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO

from infra.archive_complete import complete
from infra.engines.database import Database
from infra.engines.lock import decider
from infra.persons_store import DATABASE, SECRET, PersonsStore, open_persons
from infra.replay import Report, replay
from infra.settings import Settings
from infra.stores import open_store
from infra.stores.folder import FolderStore
from schemas.errors import UsageError
from schemas.ports import checked_key

FORMAT = "zhengzhao-log-1"
_SQLITE = "zhengzhao.sqlite"
_HEADER = "header.json"

Say = Callable[[str, int, int], None]


def export_log(settings: Settings, target: Path, say: Say = lambda *_: None) -> dict[str, object]:
    """Writes the archive; what stands in its header. Never overwrites a file."""
    if target.exists():
        raise UsageError("文件已存在 / the file exists", where=str(target), hint="name a new file")
    with tempfile.TemporaryDirectory(prefix="zhengzhao-export-") as scratch:
        copy = Path(scratch) / _SQLITE
        with Database(settings.database) as db:
            db.db.execute("VACUUM INTO ?", (str(copy),))
        with Database(copy) as db:
            facts, chain = db.head()
            entries = db.db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        store = open_store(settings.store, settings.objects)
        # on Kafka the persons' keys lie in the store too: they go into persons.db
        keys = [key for key in store.list() if not key.startswith(("persons/", "probe/"))]
        header = {
            "format": FORMAT,
            "entries": entries,
            "facts": facts,
            "chain": chain.hex(),
            "objects": len(keys),
        }
        draft = target.with_name(f".{target.name}.part")
        try:
            with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
                _add(tar, _HEADER, json.dumps(header).encode())
                _add(tar, _SQLITE, copy.read_bytes())
                persons = _persons(_persons_file(settings, Path(scratch)), Path(scratch))
                if persons is not None:
                    _add(tar, DATABASE, persons)
                for path in sorted(p for p in settings.trust.rglob("*") if p.is_file()):
                    _add(tar, f"trust/{path.relative_to(settings.trust).as_posix()}", path.read_bytes())
                for n, key in enumerate(keys, 1):
                    _add(tar, f"objects/{key}", store.get(key))
                    say("objects", n, len(keys))
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    return header


def import_log(settings: Settings, source: Path, say: Say = lambda *_: None) -> Report:
    """Brings an archive into a data folder without data, once replay has found it whole; else nothing stays.

    Keys and the installation's secret may lie there already: they are never part of an archive.
    """
    if settings.database.exists():
        raise UsageError(
            "目录中已有数据 / the folder has data already",
            where=str(settings.data),
            hint="import into a new --data DIR",
        )
    with (
        decider(settings.data, "log import", wait=0),
        tempfile.TemporaryDirectory(prefix=".import-", dir=settings.data) as scratch,
    ):
        staged = Settings(Path(scratch) / "data", workers=settings.workers)
        _unpack(staged.data, source, say)
        secret = settings.data / SECRET.parent
        if secret.is_dir():  # with it replay can open what is sealed
            (staged.data / SECRET.parent).symlink_to(secret.absolute())
        report = replay(staged, Path(scratch) / "again", say=say)
        if not report.findings:
            with Database(staged.database) as db:
                complete(db)
                db.db.execute("PRAGMA journal_mode = DELETE")  # one file again, to be moved
            _take_over(staged, settings, say)
        return report


def _take_over(staged: Settings, settings: Settings, say: Say) -> None:
    """Objects first, the data file last: until that is there, nothing is."""
    objects = FolderStore(staged.objects)
    store = open_store(settings.store, settings.objects)
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
            _place(settings.data / name, (staged.data / name).read_bytes())
    staged.database.replace(settings.database)


def _unpack(folder: Path, source: Path, say: Say) -> None:
    store = FolderStore(folder / "objects")
    folder.mkdir()
    try:
        with tarfile.open(source, "r:") as tar:
            total = 0
            for n, (name, file) in enumerate(_members(tar, source)):
                if name == _HEADER:
                    total = _header(file.read(1 << 20), source)
                elif name.startswith("objects/"):
                    store.put(checked_key(name.removeprefix("objects/")), file.read())
                else:
                    _place(folder / name, file.read())
                say("objects", n, total)
    except tarfile.TarError as error:
        raise UsageError(
            f"不是存档 / this is no archive: {error}", where=str(source), hint="zhengzhao log export FILE"
        ) from None
    if not (folder / _SQLITE).exists():
        raise UsageError("存档不完整 / the archive is not whole", where=str(source), hint="export it again")


def _members(tar: tarfile.TarFile, source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    first = True
    for member in tar:
        path = PurePosixPath(member.name)
        known = member.name in (_HEADER, _SQLITE, DATABASE) or path.parts[0] in ("trust", "objects")
        file = tar.extractfile(member) if member.isreg() else None
        if (
            not known
            or path.is_absolute()
            or ".." in path.parts
            or file is None
            or (first and member.name != _HEADER)
        ):
            raise UsageError(f"存档中有异物 / no part of an archive: {member.name[:80]!r}", where=str(source))
        first = False
        yield member.name, file


def _header(raw: bytes, source: Path) -> int:
    try:
        header = json.loads(raw)
        if header["format"] != FORMAT:
            raise ValueError(header["format"])
        return int(header["objects"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            "不是本版能读的存档 / no archive that this release reads", where=str(source), hint=FORMAT
        ) from None


def _place(path: Path, content: bytes) -> None:
    """A file of the data folder; what is there already must be the same."""
    if path.exists():
        if path.read_bytes() != content:
            raise UsageError(
                "已有不同的文件 / another file is there", where=str(path), hint="import into a new folder"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600 if path.name == DATABASE else 0o644)
    path.write_bytes(content)


def _persons_file(settings: Settings, scratch: Path) -> Path:
    """Where the persons' keys lie as a file; those that are shared are gathered into one."""
    if settings.shared_persons is None:
        return settings.data / DATABASE
    folder = scratch / "persons"
    folder.mkdir()
    (folder / SECRET.parent).symlink_to((settings.data / SECRET.parent).absolute())
    shared, gathered = open_persons(settings.data, settings.shared_persons), PersonsStore(folder)
    for pseudonym, wrapped in shared.wrapped():
        gathered.restore(pseudonym, wrapped)
    gathered.close()
    shared.close()
    return folder / DATABASE


def _persons(path: Path, scratch: Path) -> bytes | None:
    """A copy of the persons' keys; None where there are none, so that the other machine needs no secret of ours."""
    if not path.is_file():
        return None
    copy = scratch / DATABASE
    with closing(sqlite3.connect(path)) as db:
        if not db.execute("SELECT count(*) FROM keys").fetchone()[0]:
            return None
        db.execute("VACUUM INTO ?", (str(copy),))
    return copy.read_bytes()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o600
    tar.addfile(member, io.BytesIO(content))
