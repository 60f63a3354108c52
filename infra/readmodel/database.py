"""The one file of the embedded engine: SQLite, WAL, so that readers never wait.

Ledger and facts are the record; everything else follows from them. Facts form a chain: each row carries
SHA-256(chain of the row before ‖ fact), and `head` the last link and the count, so that a fact that was
changed, taken away or added is noticed. The ledger has a chain of the same kind, from the first entry that a
release with such a chain appended (`chained_from`); rows before it have none.

The index of the public register (rows of licences, and the words by which they are found) is written by both engines
where they fold facts (`projector`), so that it is of the same moment as the states.
"""

from __future__ import annotations

import fcntl
import hashlib
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from processors import state as states
from processors.queries.listings import RegisterQuery
from processors.state import HolderState
from schemas.errors import TransientError, UsageError
from schemas.item_types import ServiceItem
from schemas.items import Catalogue, from_record
from schemas.ledger import CatalogueEntry, decode_entry, encode_entry
from schemas.licence import issuance_item
from schemas.persons import is_pseudonym

_WAIT_SECONDS = 60

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ledger (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, holder TEXT NOT NULL, entry BLOB NOT NULL);
CREATE TABLE seen (event TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (
    seq INTEGER PRIMARY KEY, entry INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, holder TEXT NOT NULL,
    type TEXT NOT NULL, fact BLOB NOT NULL, chain BLOB NOT NULL);
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), facts INTEGER NOT NULL, chain BLOB NOT NULL);
INSERT INTO head VALUES (1, 0, zeroblob(32));
CREATE TABLE states (holder TEXT PRIMARY KEY, state BLOB NOT NULL, due TEXT) WITHOUT ROWID;
CREATE INDEX states_due ON states (due) WHERE due IS NOT NULL;
CREATE TABLE series (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, job BLOB NOT NULL);
CREATE TABLE letters (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, place TEXT NOT NULL, error TEXT NOT NULL,
    hint TEXT NOT NULL, at TEXT NOT NULL, ref INTEGER NOT NULL, content BLOB NOT NULL, state TEXT NOT NULL);
CREATE TABLE cases (application TEXT, holder TEXT, PRIMARY KEY (application, holder)) WITHOUT ROWID;
CREATE TABLE licences (number TEXT PRIMARY KEY, holder TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE given (licence TEXT PRIMARY KEY, number TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE endings (licence TEXT PRIMARY KEY, reason BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE places (
    list TEXT, place INTEGER, status INTEGER NOT NULL, reason BLOB NOT NULL, PRIMARY KEY (list, place)) WITHOUT ROWID;
CREATE TABLE lists (
    name TEXT PRIMARY KEY, uri TEXT NOT NULL, length INTEGER NOT NULL, changed INTEGER NOT NULL, published BLOB
    ) WITHOUT ROWID;
CREATE TABLE editions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, list TEXT NOT NULL, after_fact INTEGER NOT NULL, edition BLOB NOT NULL);
CREATE TABLE unstored (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, object BLOB NOT NULL);
CREATE TABLE items (digest TEXT PRIMARY KEY, item BLOB NOT NULL) WITHOUT ROWID;
"""
_SECOND = """
CREATE INDEX given_number ON given (number);
CREATE TABLE claims (number TEXT PRIMARY KEY, holder TEXT NOT NULL, series TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO claims SELECT number, holder, '' FROM licences WHERE number NOT IN (SELECT number FROM given);
"""
_THIRD = """
CREATE TABLE marks (mark TEXT, holder TEXT, PRIMARY KEY (mark, holder)) WITHOUT ROWID;
CREATE INDEX letters_open ON letters (seq) WHERE state = 'open';
INSERT INTO meta SELECT 'marks', '1' WHERE NOT EXISTS (SELECT 1 FROM states);
"""
MARKS = "marks"  # the form of the table of marks, empty where it was not filled yet
_FOURTH = """
ALTER TABLE ledger ADD COLUMN chain BLOB;
ALTER TABLE head ADD COLUMN entries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE head ADD COLUMN ledger BLOB NOT NULL DEFAULT x'';
ALTER TABLE head ADD COLUMN chained_from INTEGER NOT NULL DEFAULT 1;
UPDATE head SET entries = (SELECT coalesce(max(seq), 0) FROM ledger),
    chained_from = (SELECT coalesce(max(seq), 0) + 1 FROM ledger);
CREATE INDEX facts_holder ON facts (holder, seq);
"""
_FIFTH = """
CREATE TABLE register (
    seq INTEGER PRIMARY KEY, licence TEXT NOT NULL UNIQUE, holder TEXT NOT NULL, number TEXT NOT NULL,
    item TEXT NOT NULL, status TEXT NOT NULL, name TEXT NOT NULL, issued_on TEXT NOT NULL, valid_until TEXT,
    authority TEXT NOT NULL, host TEXT NOT NULL, words TEXT NOT NULL);
CREATE INDEX register_authority ON register (authority, host, seq);
CREATE VIRTUAL TABLE register_words USING fts5(words, content='', tokenize='ascii', columnsize=0, prefix='6');
INSERT INTO meta SELECT 'register-form', '1' WHERE NOT EXISTS (SELECT 1 FROM states);
"""
_FORMS = (
    _TABLES,
    _SECOND,
    _THIRD,
    _FOURTH,
    _FIFTH,
)  # what leads from each form of the file to the next; none ever leaves


class Database:
    """An open data file. One thread, one object."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if not create and not path.is_file():
            raise UsageError(
                "there is nothing here yet / 数据目录还没有内容", where=str(path.parent),
                hint="zhengzhao submit FILE；或换目录 / or name another folder with --data DIR",
            )  # fmt: skip
        self.path = path
        with _translated(path):
            if create:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not path.exists():
                    path.touch(mode=0o600)  # the owner's alone; its log and index files take the same mode
            self.db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.execute("PRAGMA cache_size = -32768")
            self._prepare()

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing. Waits for another writer."""
        with _translated(self.path):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything inside reads one and the same moment."""
        with _translated(self.path):
            self.db.execute("BEGIN")
            try:
                yield
            finally:
                self.db.execute("ROLLBACK")

    # --- values that stand alone

    def meta(self, name: str, default: str = "") -> str:
        """Return a value by name."""
        row = self.db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def set_meta(self, name: str, value: str) -> None:
        """Set a value."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # --- ledger

    def append(self, rows: Iterable[tuple[str, str, bytes]]) -> None:
        """Append (kind, holder, entry) rows to the ledger and its chain; call it inside a transaction."""
        seq, chain = self.ledger_head()
        sql = "INSERT INTO ledger (seq, kind, holder, entry, chain) VALUES (?, ?, ?, ?, ?)"
        for kind, holder, entry in rows:
            seq, chain = seq + 1, hashlib.sha256(chain + entry).digest()
            self.db.execute(sql, (seq, kind, holder, entry, chain))
        self.db.execute("UPDATE head SET entries = ?, ledger = ?", (seq, chain))

    def ledger_head(self) -> tuple[int, bytes]:
        """Return the number of ledger entries, and the last link of their chain; empty before the first link."""
        count, chain = self.db.execute("SELECT entries, ledger FROM head").fetchone()
        return int(count), bytes(chain)

    def entries(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return the next entries after a position."""
        sql = "SELECT seq, entry FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?"
        return self.db.execute(sql, (after, limit)).fetchall()

    def pending(self) -> int:
        """Ledger entries that are not decided yet."""
        last = self.db.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()[0]
        return int(last) - int(self.meta("position", "0"))

    # --- facts

    def pending_of(self, holder: str) -> int:
        """Return how many entries of a holder are not decided yet."""
        sql = "SELECT count(*) FROM ledger WHERE seq > ? AND holder = ?"
        return int(self.db.execute(sql, (int(self.meta("position", "0")), holder)).fetchone()[0])

    def add_facts(self, facts: Iterable[tuple[int, str, str, str, bytes]]) -> int:
        """Append (entry, id, holder, type, fact) rows to the chain; one that stands there already changes nothing."""
        before, chain = self.head()
        count = before
        sql = "INSERT OR IGNORE INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)"
        for entry, fact_id, holder, kind, fact in facts:
            link = hashlib.sha256(chain + fact).digest()
            if self.db.execute(sql, (count + 1, entry, fact_id, holder, kind, fact, link)).rowcount:
                count, chain = count + 1, link
        self.db.execute("UPDATE head SET facts = ?, chain = ?", (count, chain))
        return count - before

    def head(self) -> tuple[int, bytes]:
        """Return the number of facts, and the last link of their chain."""
        count, chain = self.db.execute("SELECT facts, chain FROM head").fetchone()
        return int(count), bytes(chain)

    def _prepare(self) -> None:
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version < len(_FORMS):
            # two processes may come here at once: one makes the tables, the other finds them
            self.db.execute("BEGIN IMMEDIATE")
            for step in _FORMS[self.db.execute("PRAGMA user_version").fetchone()[0] :]:
                for statement in step.split(";\n"):
                    self.db.execute(statement)
            self.db.execute(f"PRAGMA user_version = {len(_FORMS)}")
            self.db.execute("COMMIT")
        elif version > len(_FORMS):
            raise UsageError(
                f"数据文件的形式不符 / the data file has form {version}, this release reads {len(_FORMS)}",
                where=str(self.path), hint="用写它的版本或更新的 / use the release that wrote it, or a newer one",
            )  # fmt: skip


def is_served(data: Path) -> bool:
    """Tell if a `zhengzhao run` decides in a data folder: it holds the kernel's lock and has named itself there."""
    try:
        with (data / ".lock").open("rb") as file:
            if not file.read(4).startswith(b"run "):
                return False
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise TransientError(
            f"数据文件出错 / the data file failed: {error}", where=str(path),
            hint="检查目录的空间与权限，已收下的不会丢 / check the room and the rights of the folder; nothing that was taken in is lost",
        ) from error  # fmt: skip
    except sqlite3.DatabaseError as error:
        raise UsageError(
            f"数据文件无法使用 / no usable data file: {error}",
            where=str(path),
            hint="恢复备份，或换 / restore it, or use another --data DIR",
        ) from error
    except BrokenPipeError:  # the reader of our output left early: no fault of the folder
        raise
    except OSError as error:
        raise UsageError(
            f"数据目录无法使用 / unusable data folder: {error.strerror}",
            where=str(path.parent),
            hint="换可写的目录 / name a folder that can be written",
        ) from error


class RecordedItems:
    """The catalogue in force, and every item that ever was; kept in memory from batch to batch."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._catalogue: Catalogue | None = None
        self._papers: dict[str, bytes] = {}

    def enter(self, entry: CatalogueEntry) -> None:
        """Bring a catalogue into force; call it inside a transaction."""
        self._catalogue = from_record(entry.payload)
        self._db.set_meta("in-force", encode_entry(entry).decode())
        rows = [
            (digest, msgspec.json.encode(self._catalogue.items[code]))
            for code, digest in self._catalogue.digests.items()
        ]
        self._db.db.executemany("INSERT OR IGNORE INTO items VALUES (?, ?)", rows)

    def in_force(self) -> Catalogue:
        """Return the catalogue in force."""
        if self._catalogue is None:
            entry = decode_entry(self._db.meta("in-force").encode())
            assert isinstance(entry, CatalogueEntry)  # `enter` writes nothing else there
            self._catalogue = from_record(entry.payload)
        return self._catalogue

    def paper(self, digest: str) -> bytes:
        """Return what issuance needs of the item with a digest (`schemas.licence.Job.item`)."""
        if digest not in self._papers:
            row = self._db.db.execute("SELECT item FROM items WHERE digest = ?", (digest,)).fetchone()
            self._papers[digest] = issuance_item(msgspec.json.decode(row[0], type=ServiceItem))
        return self._papers[digest]


_SEPARATOR: Final = "\x1f"  # between the names of a row
_COLUMNS: Final = "holder, number, item, status, name, issued_on, valid_until, authority, host, words"
REGISTER_FORM: Final = "1"
"""The form of the rows of the public register; a data file whose `register-form` is another is indexed anew."""


def index_holder(db: sqlite3.Connection, state: HolderState) -> None:
    """Write the rows of a holder's numbered licences, and the words by which they are found; inside a transaction.

    A licence of an enterprise is found by its number and by every name that the enterprise has or had on a licence.
    A person's licence has a row without words: only its whole number finds it.
    """
    listed = not is_pseudonym(state.holder)
    names = _names(state) if listed else []
    for licence in state.licences.values():
        if licence.number:
            now = licence.now
            words = _SEPARATOR.join([_folded(licence.number), *names]) if listed else ""
            row = (state.holder, licence.number, licence.item, licence.status, now.holder_name if listed else "",
                   now.issued_on, now.valid_until, now.authority.code, now.authority.host, words)  # fmt: skip
            _write_row(db, licence.key, row)


def index_everything(db: Database) -> None:
    """Index every licence of a data file whose register another release wrote, or none did; else do nothing."""
    if db.meta("register-form") == REGISTER_FORM:
        return
    with db.transaction():
        for (raw,) in db.db.execute("SELECT state FROM states ORDER BY holder").fetchall():
            index_holder(db.db, states.decode(raw))
        db.set_meta("register-form", REGISTER_FORM)


def _names(holder: HolderState) -> list[str]:
    """Return the folded names under which an enterprise has or had a licence, each once."""
    named = (v.grant.holder_name for licence in holder.licences.values() for v in licence.versions)
    return list(dict.fromkeys(folded for name in (holder.name, *named) if (folded := _folded(name))))


def _write_row(db: sqlite3.Connection, licence: str, row: tuple[Any, ...]) -> None:
    old = db.execute(f"SELECT seq, {_COLUMNS} FROM register WHERE licence = ?", (licence,)).fetchone()
    if old is not None and tuple(old[1:]) == row:
        return
    if old is not None and old[-1]:
        sql = "INSERT INTO register_words (register_words, rowid, words) VALUES ('delete', ?, ?)"
        db.execute(sql, (old[0], _indexed(old[3], old[4], old[-1])))
    marks = ", ".join("?" * (len(row) + 2))
    sql = f"INSERT OR REPLACE INTO register (seq, licence, {_COLUMNS}) VALUES ({marks}) RETURNING seq"
    (seq,) = db.execute(sql, (old[0] if old else None, licence, *row)).fetchone()
    if row[-1]:
        indexed = _indexed(row[2], row[3], row[-1])
        db.execute("INSERT INTO register_words (rowid, words) VALUES (?, ?)", (seq, indexed))


def _folded(text: str) -> str:
    """Return a name or number as it is searched: NFKC, without case, spaces and what shows nothing."""
    wide = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in wide if unicodedata.category(c) not in ("Cc", "Cf", "Zs", "Zl", "Zp"))


def _indexed(item: str, status: str, words: str) -> str:
    """Return the tokens of a row: each pair of neighbouring characters of its words, its item, its status.

    `gap` stands between two names, so that no phrase runs from one into the next. Pairs make any part of a name of two characters or more a phrase; the last character stands alone, so that one
    character is found as the beginning of a token. FTS5's own trigrams would miss parts of two characters.
    """
    pairs = " gap ".join(_pairs(part, last=True) for part in words.split(_SEPARATOR))
    return f"listed {_item_token(item)} s{status} {pairs}"


def _pairs(text: str, *, last: bool) -> str:
    codes = [f"{ord(c):06x}" for c in text]
    pairs = [a + b for a, b in pairwise(codes)]
    return " ".join([*pairs, codes[-1]] if last and codes else pairs)


def _item_token(item: str) -> str:
    return f"i{item.encode().hex()}"


def expression(wanted: RegisterQuery) -> str:
    """Return the FTS5 expression of a search; every row of an enterprise has the token `listed`."""
    text, parts = _folded(wanted.text), ["listed"]
    if text:
        parts.append(f'"{_pairs(text, last=False)}"' if len(text) > 1 else f"{ord(text):06x}*")
    if wanted.item:
        parts.append(_item_token(wanted.item))
    if wanted.status:
        parts.append(f"s{wanted.status}")
    return " AND ".join(parts)
