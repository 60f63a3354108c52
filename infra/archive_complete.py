"""What follows from ledger and facts, filled in again: an archive from Kafka carries those alone.

Series and the numbers given come from what `number` told the ledger, the events seen from the ledger's event ids, the
jobs still to do from versions that are numbered and not issued, the due index from the states.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from infra import issuing
from infra.engines.batch import Items, decode_entry
from infra.engines.database import Database
from processors import number as numbers
from processors import state as states
from processors.due import next_due
from schemas import facts as f
from schemas.ledger import Entry
from schemas.licence import Numbered

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
        if isinstance(fact.body, f.LicenceImported):
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
        jobs = [(issuing.encode_job(one, items.paper(one.grant.item_digest)),) for one in self._open.values()]
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
