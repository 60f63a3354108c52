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
from pathlib import Path
from typing import IO, Final

import msgspec

from infra.embedded.writer import TableBook
from infra.persons.keys import DATABASE
from infra.readmodel.database import Database, RecordedItems
from infra.stores.folder import FolderStore
from processors import state as states
from processors.decisions.due import next_due
from processors.evolve import KEY_LENGTH
from processors.stages import NumberClaimed, SerialSeen, recall
from schemas import facts as f
from schemas.errors import TransientError, UsageError
from schemas.ledger import (
    CatalogueEntry,
    ClaimedEntry,
    Entry,
    EventEntry,
    IssuedEntry,
    NumberedEntry,
    clock_after,
    decode_entry,
)
from schemas.licence import Job, Numbered, encode_job
from schemas.ports import checked_key

FORMAT: Final = "zhengzhao-log-1"
SQLITE: Final = "zhengzhao.sqlite"
HEADER: Final = "header.json"
_OBJECTS: Final = "objects/"
_TRUST: Final = re.compile(
    r"trust/(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/){0,2}[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}"
)
BESIDE: Final = "folder/"  # parts of the data folder that follow from nothing
FILES: Final = ("settings.toml", "agencies.json", "tokens.json", "departments.toml")
DATABASES: Final = ("accesses.db", "accounts.db", "deliveries.db", "letters.db", "log.sqlite")
FOLDERS: Final = ("draws", "registers", "outbox", "items", "divisions", "authorities", "calendar")
_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f/\\.][^\x00-\x1f\x7f/\\]{0,200}")
_MOST: Final = {
    BESIDE: 1 << 32,
    HEADER: 1 << 16,
    SQLITE: 1 << 40,
    DATABASE: 1 << 40,
    "trust": 1 << 20,
    _OBJECTS: 1 << 26,
}  # bytes

Say = Callable[[str, int, int], None]


class Header(msgspec.Struct, frozen=True):
    """The header that an archive must have.

    `chain` is the last link of the facts' chain, `ledger` of the ledger's (empty where no entry has one), in hex.
    """

    format: str
    entries: int
    facts: int
    chain: str
    objects: int
    ledger: str = ""


def described(database: Path, objects: int) -> Header:
    """Return the header of an archive of a data file and so many objects."""
    with Database(database) as db:
        facts, chain = db.head()
        entries = db.db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        _, ledger = db.ledger_head()
    return Header(FORMAT, entries, facts, chain.hex(), objects, ledger.hex())


def unpack(source: Path, folder: Path, say: Say) -> None:
    """Write the parts of an archive as a data folder. Raise UsageError for what is none, or not whole."""
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
                    _write(folder / name.removeprefix(BESIDE), file)
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
    if name.startswith(BESIDE):
        first, *more = name.removeprefix(BESIDE).split("/")
        file = first in (*FILES, *DATABASES) and not more
        inside = first in FOLDERS and 0 < len(more) < 5 and all(map(_PLAIN.fullmatch, more))
        return BESIDE if file or inside else name
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
    """Write a part, which an archive may hold only once. Raise UsageError for a second one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644 if path.suffix == ".pem" else 0o600
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
    """Check that the data file is sound, ours, and as long as the header says."""
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
    """Fill in what is missing; where everything is there, nothing changes."""
    if db.db.execute("SELECT 1 FROM seen LIMIT 1").fetchone() is not None:
        return  # an archive of the embedded engine: nothing is missing
    with db.transaction():
        rebuilt = _Rebuilt(db)
        for _, raw in db.entries(0, -1):
            rebuilt.take(decode_entry(raw))
        for (raw,) in db.db.execute(_IMPORTS):
            rebuilt.take_imported(f.decode(raw))
        rebuilt.write()
        for holder, raw in db.db.execute("SELECT holder, state FROM states").fetchall():
            due = next_due(states.decode(raw))
            db.db.execute("UPDATE states SET due = ? WHERE holder = ?", (due, holder))


class _Rebuilt:
    """Tables that follow from ledger and facts."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._book = TableBook(db)
        self._seen: list[tuple[str, str]] = []
        self._free: set[tuple[str, str]] = set()  # holder and number, where the answer was yes
        self._open: dict[str, Numbered] = {}  # grant id → numbered, not issued yet
        self._catalogue = ""
        self._clock = 0

    def take(self, entry: Entry) -> None:
        """Take an entry of the ledger into account."""
        if isinstance(entry, EventEntry):
            self._seen.append((entry.id[:KEY_LENGTH], entry.id[KEY_LENGTH:]))
        self._clock = clock_after(self._clock, entry)
        if isinstance(entry, CatalogueEntry):
            self._catalogue = entry.payload.digest
        elif isinstance(entry, NumberedEntry):
            recall(self._book, entry.payload)
            self._open[entry.payload.grant.grant_id] = entry.payload
        elif isinstance(entry, ClaimedEntry) and entry.payload.free:
            self._free.add((entry.holder, entry.payload.number))
        elif isinstance(entry, IssuedEntry):
            self._open.pop(entry.payload.grant_id, None)

    def take_imported(self, fact: f.Fact) -> None:
        """Take a fact about an imported number into account, once every entry was taken."""
        body = fact.body
        if isinstance(body, f.ImportRecorded) and body.serial is not None:
            recall(self._book, SerialSeen(fact.id, body.grant.series, body.serial))
        elif isinstance(body, f.NumberAsked) and (fact.holder, body.number) in self._free:
            recall(self._book, NumberClaimed(fact.holder, body.number, body.series, body.serial))

    def write(self) -> None:
        """Write the tables; call it inside a transaction."""
        db, items = self._db.db, RecordedItems(self._db)
        db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", self._seen)
        self._book.write()
        jobs = (Job(one, items.paper(one.grant.item_digest)) for one in self._open.values())
        db.executemany("INSERT INTO outbox (job) VALUES (?)", ((encode_job(job),) for job in jobs))
        self._db.set_meta("catalogue", self._catalogue)
        self._db.set_meta("clock", str(self._clock))
