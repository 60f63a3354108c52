"""The book of the single writer of all series in the data file (`processors.stages.NumberBook`)."""

from __future__ import annotations

from typing import Any

import msgspec

from infra.readmodel.database import Database
from processors.number import Series
from processors.stages import NumberClaimed
from schemas.licence import Grant, Numbered


class TableBook:
    """Series, numbers given and numbers claimed: read from the data file, kept in memory until `write`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._series: dict[str, Series] = {}
        self._given: dict[str, str] = {}  # licence id → number
        self._claims: dict[str, NumberClaimed] = {}  # by imported number

    def series(self, name: str) -> Series:
        """Return a series as it stands."""
        if name not in self._series:
            raw = self._value("SELECT state FROM series WHERE name = ?", name)
            self._series[name] = msgspec.json.decode(raw, type=Series) if raw else Series(name)
        return self._series[name]

    def number_of(self, licence_id: str) -> str | None:
        """Return the number that a licence got, None before its first version."""
        if licence_id in self._given:
            return self._given[licence_id]
        found = self._value("SELECT number FROM given WHERE licence = ?", licence_id)
        return None if found is None else str(found)

    def is_numbered(self, grant: Grant) -> bool:
        """Return False: a grant comes here once, in the transaction that decides it."""
        return False

    def owner(self, number: str) -> str | None:
        """Return the holder who imported a number, empty where a series gave it, None where nobody has it."""
        if number in self._claims:
            return self._claims[number].holder
        holder = self._value("SELECT holder FROM claims WHERE number = ?", number)
        if holder is not None:
            return str(holder)
        given = self._value("SELECT 1 FROM given WHERE number = ?", number)
        return "" if given or number in self._given.values() else None

    def put_series(self, series: Series) -> None:
        """Keep a series as it stands now."""
        self._series[series.series] = series

    def put_numbered(self, numbered: Numbered) -> None:
        """Keep the number of a licence."""
        self._given[numbered.grant.licence_id] = numbered.number

    def put_claim(self, claimed: NumberClaimed) -> None:
        """Keep the holder of an imported number."""
        self._claims[claimed.number] = claimed

    def write(self) -> None:
        """Write everything; call it inside a transaction."""
        db = self._db.db
        rows = [(name, msgspec.json.encode(series)) for name, series in self._series.items()]
        db.executemany("INSERT OR REPLACE INTO series VALUES (?, ?)", rows)
        db.executemany("INSERT OR REPLACE INTO given VALUES (?, ?)", self._given.items())
        claims = [(number, one.holder, one.series) for number, one in self._claims.items()]
        db.executemany("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", claims)

    def _value(self, sql: str, key: str) -> Any:
        row = self._db.db.execute(sql, (key,)).fetchone()
        return row[0] if row else None
