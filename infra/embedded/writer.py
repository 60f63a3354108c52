"""What a run of ledger entries changes: gathered in memory, written in one transaction.

An entry that fails by itself (a fault of ours) changes nothing and becomes a dead letter; its neighbours are
decided. So does a grant whose series is full: it waits there for its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from infra import issue_worker
from infra.pool import Failure, describe
from infra.readmodel.database import Database
from infra.readmodel.projector import Projector
from processors import number as numbers
from processors.decide import contradicts, decide
from processors.decisions.due import next_due
from schemas import facts as f
from schemas.canonical_json import derived_id
from schemas.errors import Rejected
from schemas.facts import Fact
from schemas.item_types import ServiceItem
from schemas.items import Catalogue, from_json
from schemas.ledger import Entry
from schemas.licence import Grant, Issued

DUE_AT_ONCE = 200  # silent holders that a tick wakes in one transaction

encode_entry = msgspec.json.Encoder().encode
decode_entry = msgspec.json.Decoder(Entry).decode
encode_grant = msgspec.json.Encoder().encode
decode_grant = msgspec.json.Decoder(Grant).decode


class DeadLetter(NamedTuple):
    """What failed by itself: where, why, the row that it came from, and its bytes."""

    place: str
    failure: Failure
    ref: int
    content: bytes


class Items:
    """The service items that the ledger knows; kept from batch to batch."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._catalogue: Catalogue | None = None
        self._papers: dict[str, bytes] = {}

    def enter(self, entry: Entry) -> None:
        """A catalogue comes into force; inside a transaction."""
        self._catalogue = from_json(entry.payload)
        self._db.set_meta("in-force", encode_entry(entry).decode())
        rows = [
            (digest, msgspec.json.encode(self._catalogue.items[code]))
            for code, digest in self._catalogue.digests.items()
        ]
        self._db.db.executemany("INSERT OR IGNORE INTO items VALUES (?, ?)", rows)

    def in_force(self) -> Catalogue:
        """The catalogue in force."""
        if self._catalogue is None:
            self._catalogue = from_json(decode_entry(self._db.meta("in-force").encode()).payload)
        return self._catalogue

    def paper(self, digest: str) -> bytes:
        """What issuing needs of the item with a digest."""
        if digest not in self._papers:
            row = self._db.db.execute("SELECT item FROM items WHERE digest = ?", (digest,)).fetchone()
            self._papers[digest] = issue_worker.encode_paper(msgspec.json.decode(row[0], type=ServiceItem))
        return self._papers[digest]


class Batch:
    """The changes of some entries. `decided` and `letters` count what was done."""

    def __init__(self, db: Database, items: Items | None = None) -> None:
        self._db = db
        self._projector = Projector(db, next_due)
        self._items = items or Items(db)
        self._series: dict[str, numbers.Series] = {}
        self._given: dict[str, str] = {}  # licence id → number
        self._claims: dict[str, tuple[str, str]] = {}  # imported number → holder, series
        self._facts: list[tuple[int, Fact]] = []
        self._appended: list[Entry] = []
        self._jobs: list[bytes] = []
        self._done_jobs: list[int] = []
        self._stuck: set[str] = set()  # holders whom a tick cannot decide
        self._clock = int(db.meta("clock", "0"))
        self.decided = 0
        self.letters: list[DeadLetter] = []

    # --- what workers answered

    def issued(self, job: int, issued: Issued, holder: str) -> None:
        """A licence is in the store: an entry for the ledger, and the job is done."""
        self._appended.append(_back("issued", issued.grant_id, holder, msgspec.to_builtins(issued)))
        self._done_jobs.append(job)

    def park(self, job: int, content: bytes, failure: Failure) -> None:
        """A job that fails by itself waits in the dead letters for `letters retry`; its number stays its own."""
        self.letters.append(DeadLetter("issue", failure, job, content))
        self._done_jobs.append(job)
        self._failed(issue_worker.decode_job(content).numbered.grant)

    # --- decisions

    def decide(self, rows: Sequence[tuple[int, bytes]], position: int) -> int:
        """Decides entries in their order; returns the position up to which everything is decided."""
        for seq, raw in rows:
            try:
                entry = decode_entry(raw)
                if entry.kind == "tick" and not entry.holder:
                    if self._tick(seq, entry, raw):
                        return position  # more holders wait for this tick: it stays the next entry
                elif entry.kind == "catalogue":
                    self._items.enter(entry)
                else:
                    self._holder(seq, entry, entry.holder)
                self._advance(entry)
            except Exception as error:
                self.letters.append(DeadLetter("decide", describe(error), seq, raw))
            position = seq
            self.decided += 1
        return position

    def number(self, grant: Grant) -> None:
        """Numbers a grant, sends it to be issued, and tells the ledger. SeriesFull where no serial is left."""
        series = self._series_of(grant.series)
        series, numbered = numbers.number(series, grant, self._number_of(grant.licence_id))
        self._series[grant.series] = series
        self._given[grant.licence_id] = numbered.number
        self._appended.append(_back("numbered", grant.grant_id, grant.holder, msgspec.to_builtins(numbered)))
        self._jobs.append(issue_worker.encode_job(numbered, self._items.paper(grant.item_digest)))

    def renumber(self, grant: Grant, seq: int = 0) -> None:
        """As `number`; a grant that cannot be numbered waits in the dead letters."""
        try:
            self.number(grant)
        except Exception as error:
            self.letters.append(DeadLetter("number", _described(error), seq, encode_grant(grant)))
            self._failed(grant)

    def _failed(self, grant: Grant) -> None:
        told = {"licence_id": grant.licence_id, "version": grant.version}
        self._appended.append(_back("failed", grant.grant_id, grant.holder, told))

    def write(self, position: int) -> None:
        """Writes everything; call it inside the transaction."""
        db = self._db.db
        self._db.add_facts((n, x.id, x.holder, x.type, f.encode(x)) for n, x in self._facts)
        self._projector.write()
        self._db.append((e.kind, e.holder, encode_entry(e)) for e in self._appended)
        db.executemany("INSERT INTO outbox (job) VALUES (?)", ((job,) for job in self._jobs))
        db.executemany("DELETE FROM outbox WHERE seq = ?", ((job,) for job in self._done_jobs))
        rows = [(name, msgspec.json.encode(series)) for name, series in self._series.items()]
        db.executemany("INSERT OR REPLACE INTO series VALUES (?, ?)", rows)
        db.executemany("INSERT OR REPLACE INTO given VALUES (?, ?)", self._given.items())
        claims = [(number, *claim) for number, claim in self._claims.items()]
        db.executemany("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", claims)
        db.executemany("UPDATE states SET due = NULL WHERE holder = ?", ((h,) for h in self._stuck))
        self._write_letters()
        self._db.set_meta("position", str(position))
        self._db.set_meta("clock", str(self._clock))

    @property
    def facts(self) -> list[Fact]:
        """The facts of this batch, in their order."""
        return [fact for _, fact in self._facts]

    @property
    def appended(self) -> list[Entry]:
        """What goes back into the ledger."""
        return self._appended

    def _tick(self, seq: int, entry: Entry, raw: bytes) -> bool:
        """Wakes holders for whom something is due; True where there are more than one transaction takes."""
        self._projector.write()  # the due index has to know what was decided just before
        sql = "SELECT holder FROM states WHERE due <= ? ORDER BY due, holder LIMIT ?"
        rows = self._db.db.execute(sql, (str(entry.payload["time"]), DUE_AT_ONCE)).fetchall()
        for (holder,) in rows:
            try:
                self._holder(seq, entry, holder)
            except Exception as error:
                self._stuck.add(holder)
                one = msgspec.structs.replace(entry, holder=holder)
                self.letters.append(DeadLetter("decide", describe(error), seq, encode_entry(one)))
        return len(rows) == DUE_AT_ONCE

    def _holder(self, seq: int, entry: Entry, holder: str) -> None:
        if contradicts(self._projector.state(holder), entry):  # a ledger that came from Kafka may have one
            raise Rejected("the same source and id came before with other content", where="id")
        decision = decide(self._projector.state(holder), entry, self._items.in_force())
        if not decision.facts:
            return
        # facts of one holder are taken over together, or (where anything above fails) not at all
        self._projector.take(decision.facts, decision.state)
        self._facts += [(seq, fact) for fact in decision.facts]
        for fact in decision.facts:
            if isinstance(fact.body, f.LicenceGranted):
                self.renumber(fact.body.grant, seq)
            elif isinstance(fact.body, f.NumberAsked):
                self._claim(fact.body, holder)
            elif isinstance(fact.body, f.ImportRecorded):
                name = fact.body.grant.series
                self._series[name] = numbers.imported(self._series_of(name), fact.body.serial)

    def _claim(self, asked: f.NumberAsked, holder: str) -> None:
        """Answers whether a number may be imported; from then on it is this holder's, and no series gives it."""
        free = numbers.is_free(self._owner_of(asked.number), holder)
        if free:
            self._claims[asked.number] = holder, asked.series
            if asked.serial is not None:
                self._series[asked.series] = numbers.imported(self._series_of(asked.series), asked.serial)
        answer = {"number": asked.number, "free": free}
        self._appended.append(_back("claimed", f"{holder}:{asked.number}", holder, answer))

    def _owner_of(self, number: str) -> str | None:
        """Who imported a number; empty where a series of ours gave it, None where nobody has it."""
        if number in self._claims:
            return self._claims[number][0]
        row = self._db.db.execute("SELECT holder FROM claims WHERE number = ?", (number,)).fetchone()
        if row:
            return str(row[0])
        given = self._db.db.execute("SELECT 1 FROM given WHERE number = ?", (number,)).fetchone()
        return "" if given or number in self._given.values() else None

    def _series_of(self, name: str) -> numbers.Series:
        if name not in self._series:
            row = self._db.db.execute("SELECT state FROM series WHERE name = ?", (name,)).fetchone()
            self._series[name] = (
                msgspec.json.decode(row[0], type=numbers.Series) if row else numbers.Series(name)
            )
        return self._series[name]

    def _number_of(self, licence: str) -> str | None:
        if licence in self._given:
            return self._given[licence]
        row = self._db.db.execute("SELECT number FROM given WHERE licence = ?", (licence,)).fetchone()
        return str(row[0]) if row else None

    def _advance(self, entry: Entry) -> None:
        if entry.kind in ("event", "tick"):
            moment = int(datetime.fromisoformat(entry.payload["time"]).timestamp())
            self._clock = max(self._clock, moment)

    def _write_letters(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._db.db.executemany(
            "INSERT INTO letters (time, place, error, hint, at, ref, content, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'open')",
            [
                (
                    now,
                    x.place,
                    f"{x.failure.kind}: {x.failure.message}",
                    x.failure.hint,
                    x.failure.where,
                    x.ref,
                    x.content,
                )
                for x in self.letters
            ],
        )


def _back(kind: str, grant_id: str, holder: str, payload: dict[str, object]) -> Entry:
    """What `number` and `issue` tell the ledger. It carries no time of ours: the same again is the same."""
    return Entry(derived_id(kind, grant_id), kind, holder, "", payload, principal=kind, auth="internal")  # type: ignore[arg-type]


def _described(error: Exception) -> Failure:
    if isinstance(error, numbers.SeriesFull):
        return Failure(
            "SeriesFull", str(error.reason), "raise the digits of the item's number, then: letters retry"
        )
    return describe(error)
