"""The log of an installation on one machine: what is published there gets its place, and soon a head over it.

Entries are made of the record: facts, editions of status lists and of the trust folder, service items, papers of
draws. How far each was read stands beside the order; since the same content is one entry, reading it twice changes
nothing. The order lies in a file of its own (`log.sqlite`), which can be made again from the tiles.
"""

from __future__ import annotations

import fcntl
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from infra.draw.store import DrawStore
from infra.readmodel.database import Database
from infra.settings import Settings
from infra.transparency.client import LogReader, WitnessClient
from infra.transparency.sequencer import Head, LogOrder, NoteSigner, Sequencer, SqliteOrder
from infra.transparency.tiles import StoredLog
from issuance.signer import ED25519, Signer
from issuance.status_lists import decode_edition
from processors.transparency import PUBLISHED, catalogue_logged, entries_of
from schemas import facts
from schemas.errors import NotFound, UsageError
from schemas.ledger import CatalogueEntry, decode_entry
from schemas.ports import ReplacingStore, Store
from schemas.status_list import EditionName, edition_key
from schemas.transparency.entries import (
    AnnouncementEntry,
    LogEntry,
    ReplacementEntry,
    StatusEntry,
    TranscriptEntry,
    TrustEntry,
    VoidEntry,
    read_entry,
)
from schemas.transparency.notes import VerifierKey, read_checkpoint, read_note
from schemas.trust import TrustKey, TrustStore

ORDER_FILE: Final = "log.sqlite"
_LOCK_FILE: Final = ".log-lock"
_AT_ONCE: Final = 2_000  # rows of the record in one transaction
_POSITIONS: Final = (
    "CREATE TABLE IF NOT EXISTS positions (name TEXT PRIMARY KEY, place INTEGER NOT NULL, seen TEXT NOT NULL)"
)
_START: Final = (0, "")


class InstallationLog:
    """The writer's side of the log of a data folder; `signer` is asked for when a head is signed."""

    def __init__(
        self, settings: Settings, trust: TrustStore, store: ReplacingStore, signer: Callable[[], Signer]
    ) -> None:
        """Open the order. Raises UsageError where the trust folder has no key for a log."""
        self._settings = settings
        self._trust = trust
        self._store = store
        self._signer = signer
        self._stored = StoredLog(store)
        _newest(trust)
        self._database = sqlite3.connect(
            _made(settings.data) / ORDER_FILE, timeout=60, isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(_POSITIONS)
        self.order = SqliteOrder(self._database)
        self._writer: Sequencer | None = None

    def close(self) -> None:
        """Close the order."""
        self._database.close()

    def take(self, db: Database | None) -> int:
        """Give a place to everything that is on record by now; return how many entries are new.

        `db` is the record of the embedded engine, None where there is none yet.
        """
        with self._locked():
            self._recover()
            count = self._once("trust", self._trust_editions)
            if db is not None:
                count += self._once("catalogue", lambda after: _catalogues(db, after[0]))
                count += self._every("facts", lambda after: _facts(db, after), _is_past(db))
                count += self._every("editions", lambda after: self._editions(db, after[0]), lambda _: True)
            return count + len(self.order.append(draw_entries(DrawStore(self._settings.data))))

    def publish(self) -> Head:
        """Bring what has a place under a published head.

        Raises VerificationError where order, tiles and head do not agree, StoreUnavailable where the store fails.
        """
        with self._locked():
            return self._sequencer().publish()

    def prove(self, identity: str) -> bytes:
        """Return the proof (tlog-proof) of the entry with this id. Raises NotFound where no head has it yet."""
        with self._locked():
            return self._sequencer().prove(identity).to_bytes()

    # --- the one writer

    def _sequencer(self) -> Sequencer:
        self._recover()
        if self._writer is None or not self._writer.is_current():
            self._writer = sequencer_of(self._settings, self._trust, self.order, self._stored, self._signer)
        return self._writer

    def _recover(self) -> None:
        """Make a lost order again from the published tiles."""
        note = self._stored.head()
        if note is None or self.order.size():
            return
        head = read_checkpoint(read_note(note))
        self._stored.edge(head)
        entries = LogReader(self._stored, head, note).entries()
        self.order.append(read_entry(raw) for _, raw in entries)
        self._writer = None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the log: commands and the service write it one after the other."""
        with (self._settings.data / _LOCK_FILE).open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    # --- how far the record was read

    def _every(
        self,
        name: str,
        read: Callable[[tuple[int, str]], tuple[list[LogEntry], tuple[int, str]] | None],
        is_past: Callable[[tuple[int, str]], bool],
    ) -> int:
        """Read a part of the record to its end, step by step; from its beginning where it is another one now."""
        after, count = self._position(name), 0
        if not is_past(after):
            after = _START
        while (found := read(after)) is not None:
            entries, after = found
            count += self._append(name, entries, after)
        return count

    def _once(
        self, name: str, read: Callable[[tuple[int, str]], tuple[list[LogEntry], tuple[int, str]] | None]
    ) -> int:
        found = read(self._position(name))
        return 0 if found is None else self._append(name, *found)

    def _append(self, name: str, entries: Iterable[LogEntry], after: tuple[int, str]) -> int:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            count = len(self.order.append(entries))
            self._database.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", (name, *after))
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        return count

    def _position(self, name: str) -> tuple[int, str]:
        row = self._database.execute("SELECT place, seen FROM positions WHERE name = ?", (name,)).fetchone()
        return (int(row[0]), str(row[1])) if row else _START

    # --- the record

    def _trust_editions(self, after: tuple[int, str]) -> tuple[list[LogEntry], tuple[int, str]] | None:
        found = trust_editions(self._settings.trust, after[0])
        return ([*found], (found[-1].sequence, "")) if found else None

    def _editions(self, db: Database, after: int) -> tuple[list[LogEntry], tuple[int, str]] | None:
        found = list(islice(edition_entries(db, self._store, after), _AT_ONCE))
        return ([entry for _, entry in found], (found[-1][0], "")) if found else None


def log_of(
    settings: Settings, trust: TrustStore, store: Store, signer: Callable[[], Signer]
) -> InstallationLog | None:
    """Return the log of an installation, None where it has none: no key for one, or its streams are on a broker."""
    if settings.on_kafka or not trust.log_keys or not isinstance(store, ReplacingStore):
        return None
    return InstallationLog(settings, trust, store, signer)


def sequencer_of(
    settings: Settings, trust: TrustStore, order: LogOrder, stored: StoredLog, signer: Callable[[], Signer]
) -> Sequencer:
    """Return the writer of an installation's log, with the witnesses of its settings.

    Raises UsageError without a key for a log, VerificationError where head, tiles and order do not agree.
    """
    key, verifier = _newest(trust)
    return Sequencer(
        order,
        stored,
        NoteSigner(verifier.name, verifier.public, lambda data: signer().sign(key.kid, ED25519, data)),
        [WitnessClient(each.address, each.key) for each in settings.log.witnesses],
        settings.log.needed,
        tuple(former for _, former in trust.log_keys if former != verifier),
    )


def edition_entries(db: Database, store: Store, after: int) -> Iterator[tuple[int, StatusEntry]]:
    """Yield the entries of the editions of status lists that came after a place, with theirs, up to one not stored yet."""
    sql = "SELECT e.seq, e.edition, l.uri FROM editions e JOIN lists l ON l.name = e.list WHERE e.seq > ? ORDER BY e.seq"
    for seq, raw, uri in db.db.execute(sql, (after,)).fetchall():
        record = decode_edition(raw)
        issued = record.published
        try:
            stored = store.get(edition_key(record.name, EditionName(issued.issued_at, issued.number)))
        except NotFound:
            return
        yield int(seq), StatusEntry(uri, issued.issued_at, hashlib.sha256(stored).hexdigest())


def logged_edition(data: Path) -> int:
    """Return the number of the newest edition of the trust folder that the log of a data folder has; 0 without one."""
    if not (data / ORDER_FILE).is_file():
        return 0
    with closing(sqlite3.connect(f"file:{data / ORDER_FILE}?mode=ro", uri=True)) as database:
        row = database.execute("SELECT place FROM positions WHERE name = 'trust'").fetchone()
    return 0 if row is None else int(row[0])


def trust_editions(folder: Path, after: int) -> list[TrustEntry]:
    """Return the entries of the editions of a trust folder that came after one."""
    found = []
    for path in sorted((folder / "editions").glob("trust-*.json")):
        number = path.stem.removeprefix("trust-")
        if number.isdecimal() and int(number) > after:
            found.append(TrustEntry(int(number), hashlib.sha256(path.read_bytes()).hexdigest()))
    return found


def draw_entries(draws: DrawStore) -> list[LogEntry]:
    """Return the entries of all papers of draws. Raises DrawError where a chain is broken."""
    found: list[LogEntry] = []
    for link in draws.every():
        announcement = link.announcement
        authority, sequence = announcement.plan.authority, announcement.sequence
        found.append(AnnouncementEntry(authority, sequence, announcement.digest))
        if link.void:
            found.append(VoidEntry(authority, sequence, _digest(link.void)))
        if link.transcript:
            found.append(TranscriptEntry(authority, sequence, _digest(link.transcript)))
        found += [
            ReplacementEntry(authority, sequence, _digest(path))
            for path in draws.replacement_files(announcement)
        ]
    return found


def _facts(db: Database, after: tuple[int, str]) -> tuple[list[LogEntry], tuple[int, str]] | None:
    sql = "SELECT seq, type, fact, chain FROM facts WHERE seq > ? ORDER BY seq LIMIT ?"
    rows = db.db.execute(sql, (after[0], _AT_ONCE)).fetchall()
    if not rows:
        return None
    found = [
        entry for _, kind, raw, _ in rows if kind in PUBLISHED for entry in entries_of(facts.decode(raw))
    ]
    return found, (int(rows[-1][0]), rows[-1][3].hex())


def _is_past(db: Database) -> Callable[[tuple[int, str]], bool]:
    """Return the test whether a place in the facts is one of this very record, and not of one that was replaced."""

    def known(after: tuple[int, str]) -> bool:
        row = db.db.execute("SELECT chain FROM facts WHERE seq = ?", (after[0],)).fetchone()
        return after == _START or (row is not None and row[0].hex() == after[1])

    return known


def _catalogues(db: Database, after: int) -> tuple[list[LogEntry], tuple[int, str]] | None:
    sql = "SELECT seq, entry FROM ledger WHERE seq > ? AND kind = 'catalogue' ORDER BY seq"
    rows = db.db.execute(sql, (after,)).fetchall()
    read = (decode_entry(raw) for _, raw in rows)
    entries: list[LogEntry] = [catalogue_logged(entry) for entry in read if isinstance(entry, CatalogueEntry)]
    return (entries, (int(rows[-1][0]), "")) if rows else None


def _newest(trust: TrustStore) -> tuple[TrustKey, VerifierKey]:
    """Return the log's key that signs now: the newest that is not revoked and whose time has come."""
    now = datetime.now(UTC)
    able = [pair for pair in trust.log_keys if pair[0].revoked_since is None]
    if not able:
        raise UsageError(
            "没有日志密钥 / there is no key for the transparency log", hint="zhengzhao keys rotate --use log"
        )
    begun = [pair for pair in able if datetime.fromisoformat(pair[0].signs_from) <= now]
    return (begun or able)[-1]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
