"""Taking an archive apart: nobody has vouched for it yet, so nothing in it is believed.

A plain tar, no compression: it can hold no more than it weighs (sparse members are refused). Names are those that
`log export` writes and no others; the data file has our tables and nothing that acts by itself; the header says
how much has to be there, so that an archive that was cut short is noticed.

What follows from ledger and facts, filled in again: an archive from Kafka carries those alone.

Series and the numbers given come from what `number` told the ledger, the events seen from the ledger's event ids, the
jobs still to do from versions that are numbered and not issued, the due index from the states.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import msgspec

from infra import issue_worker
from infra.embedded.writer import Items, decode_entry
from infra.persons.keys import DATABASE
from infra.readmodel.database import Database
from infra.stores.folder import FolderStore
from processors import number as numbers
from processors import state as states
from processors.decisions.due import next_due
from schemas import facts as f
from schemas.errors import TransientError, UsageError
from schemas.ledger import Entry
from schemas.licence import Numbered
from schemas.ports import checked_key

FORMAT: Final = "zhengzhao-log-1"
SQLITE: Final = "zhengzhao.sqlite"
HEADER: Final = "header.json"
_OBJECTS: Final = "objects/"
_TRUST: Final = re.compile(
    r"trust/(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,2}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
)
_MOST: Final = {
    HEADER: 1 << 16,
    SQLITE: 1 << 40,
    DATABASE: 1 << 40,
    "trust": 1 << 20,
    _OBJECTS: 1 << 26,
}  # bytes

Say = Callable[[str, int, int], None]


class Header(msgspec.Struct, frozen=True):
    """What has to be in an archive; `chain` is the last link of the facts' chain, in hex."""

    format: str
    entries: int
    facts: int
    chain: str
    objects: int


def described(database: Path, objects: int) -> Header:
    """The header of an archive of a data file and so many objects."""
    with Database(database) as db:
        facts, chain = db.head()
        entries = db.db.execute("SELECT count(*) FROM ledger").fetchone()[0]
    return Header(FORMAT, entries, facts, chain.hex(), objects)


def unpack(source: Path, folder: Path, say: Say) -> None:
    """The parts of an archive as a data folder; UsageError for what is none, or not whole."""
    store = FolderStore(folder / "objects")
    folder.mkdir()
    header: Header | None = None
    objects = 0
    try:
        with tarfile.open(source, "r:") as tar:
            for member, file in _members(tar, source):
                name = member.name
                if header is None:
                    header = _header(name, file, source)
                elif name.startswith(_OBJECTS):
                    store.put(checked_key(name.removeprefix(_OBJECTS)), file.read())
                    objects += 1
                    say("objects", objects, header.objects)
                else:
                    _write(folder / name, file)
    except (tarfile.TarError, EOFError) as error:
        raise UsageError(
            f"不是存档，或不完整 / this is no archive, or not whole: {error}",
            where=str(source),
            hint="zhengzhao log export FILE",
        ) from None
    if header is None or not (folder / SQLITE).exists():
        raise _cut(source)
    _check(folder / SQLITE, source, header, objects)


def _members(tar: tarfile.TarFile, source: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # else they gather in memory
        most = _MOST.get(_kind(member.name), -1)
        file = tar.extractfile(member) if member.isreg() and not member.issparse() else None
        if file is None or not 0 <= member.size <= most:
            raise UsageError(
                f"存档中有异物 / no part of an archive: {member.name[:80]!a}",
                where=str(source),
                hint="zhengzhao log export FILE",
            )
        yield member, file


def _kind(name: str) -> str:
    if name.startswith(_OBJECTS):
        return _OBJECTS
    return "trust" if _TRUST.fullmatch(name) else name


def _header(name: str, file: IO[bytes], source: Path) -> Header:
    try:
        if name != HEADER:
            raise ValueError(name)
        header = msgspec.json.decode(file.read(), type=Header)
        if header.format != FORMAT:
            raise ValueError(header.format)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise UsageError(
            "不是本版能读的存档 / no archive that this release reads", where=str(source), hint=FORMAT
        ) from None
    return header


def _write(path: Path, file: IO[bytes]) -> None:
    """A part that stands once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if path.name == DATABASE else 0o644
        )
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise UsageError(
            "存档中一物两份 / a part stands twice", where=path.name, hint="重新导出 / export it again"
        ) from None
    with os.fdopen(handle, "wb") as out:
        shutil.copyfileobj(file, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())


def _check(path: Path, source: Path, header: Header, objects: int) -> None:
    """The data file is sound, ours, and as long as the header says."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            sound = [row[0] for row in db.execute("PRAGMA quick_check(1)")] == ["ok"]
            kinds = {row[0] for row in db.execute("SELECT DISTINCT type FROM sqlite_master")}
    except (sqlite3.Error, UnicodeDecodeError):
        sound, kinds = False, set()
    if not sound or not kinds <= {"table", "index"}:  # no trigger, no view
        raise UsageError(
            "存档中的数据文件无法使用 / no usable data file in the archive",
            where=str(source),
            hint="重新导出 / export it again",
        )
    try:
        found = described(path, objects)
    except (sqlite3.Error, TransientError, TypeError, ValueError):  # tables of another form
        raise _cut(source) from None
    if found != header:
        raise _cut(source)


def _cut(source: Path) -> UsageError:
    return UsageError(
        "存档不完整 / the archive is not whole", where=str(source), hint="重新导出 / export it again"
    )


_IMPORTS = "SELECT CAST(fact AS BLOB) FROM facts WHERE type IN ('licence.imported', 'number.asked')"


def complete(db: Database) -> None:
    """Fills in what is missing; where everything is there, nothing changes."""
    if db.db.execute("SELECT 1 FROM seen LIMIT 1").fetchone() is not None:
        return  # an archive of the embedded engine: nothing is missing
    with db.transaction():
        rebuilt = _Rebuilt()
        for _, raw in db.entries(0, -1):
            rebuilt.take(decode_entry(raw))
        for (raw,) in db.db.execute(_IMPORTS):
            rebuilt.take_imported(f.decode(raw))
        rebuilt.write(db)
        for holder, raw in db.db.execute("SELECT holder, state FROM states").fetchall():
            due = next_due(states.decode(raw))
            db.db.execute("UPDATE states SET due = ? WHERE holder = ?", (due, holder))


class _Rebuilt:
    def __init__(self) -> None:
        self._seen: list[tuple[str, str]] = []
        self._series: dict[str, numbers.Series] = {}
        self._given: dict[str, str] = {}
        self._claims: dict[str, tuple[str, str]] = {}  # imported number → holder, series
        self._free: set[tuple[str, str]] = set()  # holder and number, where the answer was yes
        self._open: dict[str, Numbered] = {}  # grant id → numbered, not issued yet
        self._catalogue = ""
        self._clock = 0

    def take(self, entry: Entry) -> None:
        if entry.kind == "event":
            self._seen.append((entry.id[:32], entry.id[32:]))
        if entry.kind in ("event", "tick"):
            self._clock = max(self._clock, int(datetime.fromisoformat(entry.payload["time"]).timestamp()))
        elif entry.kind == "catalogue":
            self._catalogue = str(entry.payload["digest"])
        elif entry.kind == "numbered":
            self._take_numbered(msgspec.convert(entry.payload, Numbered))
        elif entry.kind == "claimed" and entry.payload["free"]:
            self._free.add((entry.holder, entry.payload["number"]))
        elif entry.kind == "issued":
            self._open.pop(str(entry.payload["grant_id"]), None)

    def take_imported(self, fact: f.Fact) -> None:
        if isinstance(fact.body, f.ImportRecorded):
            name = fact.body.grant.series
            self._series[name] = numbers.imported(self._of(name), fact.body.serial)
        elif isinstance(fact.body, f.NumberAsked) and (fact.holder, fact.body.number) in self._free:
            name, serial = fact.body.series, fact.body.serial
            self._claims[fact.body.number] = fact.holder, name
            if serial is not None:
                self._series[name] = numbers.imported(self._of(name), serial)

    def write(self, db: Database) -> None:
        items = Items(db)
        db.db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", self._seen)
        rows = [(name, msgspec.json.encode(series)) for name, series in self._series.items()]
        db.db.executemany("INSERT OR REPLACE INTO series VALUES (?, ?)", rows)
        db.db.executemany("INSERT OR REPLACE INTO given VALUES (?, ?)", self._given.items())
        claims = [(number, *claim) for number, claim in self._claims.items()]
        db.db.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", claims)
        jobs = [
            (issue_worker.encode_job(one, items.paper(one.grant.item_digest)),) for one in self._open.values()
        ]
        db.db.executemany("INSERT INTO outbox (job) VALUES (?)", jobs)
        db.set_meta("catalogue", self._catalogue)
        db.set_meta("clock", str(self._clock))

    def _take_numbered(self, numbered: Numbered) -> None:
        grant = numbered.grant
        series = numbers.imported(self._of(grant.series), numbered.serial or None)
        part = int(numbered.status_list.rpartition("-")[2]) - 1
        place = part * numbers.LIST_CAPACITY + numbered.status_index + 1
        self._series[grant.series] = msgspec.structs.replace(
            series, next_status=max(series.next_status, place)
        )
        self._given[grant.licence_id] = numbered.number
        self._open[grant.grant_id] = numbered

    def _of(self, name: str) -> numbers.Series:
        return self._series.get(name) or numbers.Series(name)
