"""The recorded order of a log's entries: written once, before any tile, and read by whoever rebuilds the tiles."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from processors.transparency import Sequenced, sequence
from schemas.errors import StoreUnavailable
from schemas.transparency.entries import LogEntry, check_entry

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log_order (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, entry BLOB NOT NULL)
"""
_READ = 2048  # rows at once


class LogOrder(Protocol):
    """The order, with one writer."""

    def size(self) -> int:
        """Return the number of entries that have a place."""
        ...

    def append(self, entries: Iterable[LogEntry]) -> tuple[Sequenced, ...]:
        """Give places to entries that have none, durably; return those that are new."""
        ...

    def index_of(self, identity: str) -> int | None:
        """Return the place of the entry with this id, None without one."""
        ...

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the entries from place `start` to before `stop`."""
        ...


class SqliteOrder:
    """The order in a SQLite table, which may stand in a database of its own or beside the facts."""

    def __init__(self, database: Path | sqlite3.Connection) -> None:
        if isinstance(database, Path):
            database.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
        self._database = database
        self._database.execute(_SCHEMA)

    def size(self) -> int:
        (count,) = self._database.execute("SELECT coalesce(max(place), -1) + 1 FROM log_order").fetchone()
        return int(count)

    def append(self, entries: Iterable[LogEntry]) -> tuple[Sequenced, ...]:
        """Give places to entries that have none, in one transaction. VerificationError where one breaks its form."""
        coming = list(entries)
        for entry in coming:
            check_entry(entry)
        own = not self._database.in_transaction  # else whoever began it commits it
        try:
            if own:
                self._database.execute("BEGIN IMMEDIATE")
            given = sequence(self.size(), coming, _Seen(self))
            self._database.executemany(
                "INSERT INTO log_order VALUES (?, ?, ?)", [(s.index, s.id, s.entry) for s in given]
            )
            if own:
                self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if own and self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StoreUnavailable(f"日志次序未能写入 / the log's order was not written: {error}") from error
        return given

    def index_of(self, identity: str) -> int | None:
        row = self._database.execute("SELECT place FROM log_order WHERE id = ?", (identity,)).fetchone()
        return None if row is None else int(row[0])

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            rows = self._database.execute(
                "SELECT entry FROM log_order WHERE place >= ? AND place < ? ORDER BY place",
                (start, min(stop, start + _READ)),
            ).fetchall()
            if not rows:
                return
            yield from (row[0] for row in rows)
            start += len(rows)


class _Seen:
    """The ids that have a place, as a container."""

    def __init__(self, order: SqliteOrder) -> None:
        self._order = order

    def __contains__(self, identity: object) -> bool:
        return isinstance(identity, str) and self._order.index_of(identity) is not None
