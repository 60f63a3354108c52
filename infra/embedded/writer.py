"""Changes of a run of ledger entries: gathered in memory, written in one transaction.

An entry that cannot be decided (a fault of ours) changes nothing and becomes a dead letter; the other entries are
decided. A grant whose series is full becomes a dead letter too and waits there for its number.

The book of the single writer of all series in the data file (`processors.stages.NumberBook`).

Publication of status lists by the embedded engine.

An edition is first recorded, signatures included, then stored, then marked as stored. An edition in the store is
therefore always one of the record, and what a crash interrupted is finished by the next run with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from infra.failpoints import failpoint
from infra.pool import Failure, describe
from infra.readmodel.database import Database, RecordedItems
from infra.readmodel.lists import due_lists, read_list, record_edition
from infra.readmodel.projector import Projector
from issuance.signer import Signer
from issuance.status_lists import sign_edition
from processors.decisions.due import next_due
from processors.evolve_cases import is_correctable
from processors.number import Series
from processors.stages import (
    FACTS,
    LEDGER,
    NUMBERED,
    NumberClaimed,
    Produced,
    Question,
    Stream,
    ToNumber,
    decide_step,
    failed_step,
    issued_step,
    number_step,
    unnumbered,
)
from processors.state import decode
from processors.topology import TOPOLOGY
from schemas import facts as f
from schemas.ledger import (
    CatalogueEntry,
    CorrectedEntry,
    Entry,
    TickEntry,
    clock_after,
    decode_entry,
    encode_entry,
)
from schemas.licence import Grant, Issued, Numbered, decode_job, encode_job
from schemas.ports import Store
from schemas.trust import TrustStore


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


DUE_AT_ONCE = 200  # silent holders that a tick wakes in one transaction

_encode = msgspec.json.Encoder().encode
_decode_grant = msgspec.json.Decoder(Grant).decode
_decode_question = msgspec.json.Decoder(Question).decode


class DeadLetter(NamedTuple):
    """An input that failed permanently: the stage, the reason, the row that it came from, and its bytes."""

    place: str
    failure: Failure
    ref: int
    content: bytes


class Batch:
    """The changes of some entries. `decided` counts the entries, `letters` holds what failed."""

    def __init__(self, db: Database, items: RecordedItems | None = None) -> None:
        self._db = db
        self._projector = Projector(db, next_due)
        self._items = items or RecordedItems(db)
        self._book = TableBook(db)
        self._kept: dict[Stream, list[Any]] = {stream: [] for stream, _ in Produced().streams()}
        at_once = {"number": self._number}  # runs in the transaction that decides
        self._at_once = {stage.consumes: at_once[stage.name] for stage in TOPOLOGY if stage.name in at_once}
        self._done_jobs: list[int] = []
        self._stuck: set[str] = set()  # holders whom a tick cannot decide
        self._clock = int(db.meta("clock", "0"))
        self.decided = 0
        self.letters: list[DeadLetter] = []

    # --- issue

    def issued(self, job: int, issued: Issued, content: bytes) -> None:
        """Take the answer to a job: its licence is in the store."""
        self._take(issued_step(decode_job(content).numbered.grant, issued), 0)
        self._done_jobs.append(job)

    def park(self, job: int, content: bytes, failure: Failure) -> None:
        """Keep a job that fails permanently for `letters retry`; its number stays its own."""
        self.letters.append(DeadLetter("issue", failure, job, content))
        self._done_jobs.append(job)
        self._take(failed_step(decode_job(content).numbered.grant), 0)

    # --- decide

    def decide(self, rows: Sequence[tuple[int, bytes]], position: int) -> int:
        """Decide entries in their order and return the position up to which everything is decided."""
        for seq, raw in rows:
            try:
                entry = decode_entry(raw)
                if isinstance(entry, TickEntry) and not entry.holder:
                    if self._tick(seq, entry):
                        return position  # more holders wait for this tick, so it stays the next entry
                elif isinstance(entry, CatalogueEntry):
                    self._items.enter(entry)
                elif isinstance(entry, CorrectedEntry):
                    self._correct(seq, entry)
                else:
                    self._holder(seq, entry, entry.holder)
                self._advance(entry)
            except Exception as error:
                self.letters.append(DeadLetter("decide", describe(error), seq, raw))
            position = seq
            self.decided += 1
        return position

    def _tick(self, seq: int, entry: TickEntry) -> bool:
        """Decide a tick for holders for whom something is due; return True where more are left for the next batch."""
        self._projector.write()  # the due index has to contain what was decided just before
        sql = "SELECT holder FROM states WHERE due <= ? ORDER BY due, holder LIMIT ?"
        rows = self._db.db.execute(sql, (entry.payload.time, DUE_AT_ONCE)).fetchall()
        for (holder,) in rows:
            try:
                self._holder(seq, entry, holder)
            except Exception as error:
                self._stuck.add(holder)
                one = encode_entry(msgspec.structs.replace(entry, holder=holder))
                self.letters.append(DeadLetter("decide", describe(error), seq, one))
        return len(rows) == DUE_AT_ONCE

    def _correct(self, seq: int, entry: CorrectedEntry) -> None:
        """Decide a correction of the clock for the holders whom it concerns."""
        self._projector.write()
        states = self._db.db.execute("SELECT holder, state FROM states ORDER BY holder").fetchall()
        for holder, raw in states:
            if is_correctable(decode(raw), entry.payload.time):
                self._holder(seq, entry, holder)

    def _holder(self, seq: int, entry: Entry, holder: str) -> None:
        state, catalogue = self._projector.state(holder), self._items.in_force()
        after, produced = decide_step(state, entry, catalogue, self._items.paper)
        if produced.facts:
            # The facts of one decision are taken over together, or (where anything above fails) not at all.
            self._projector.take(produced.facts, after)
            self._take(produced, seq)
        for one, error in produced.failed:
            self.letters.append(DeadLetter("decide", describe(error), seq, encode_entry(one)))

    # --- number

    def renumber(self, content: bytes) -> None:
        """Answer a question that comes back from the dead letters (the content of its letter)."""
        try:
            question: Question = _decode_question(content)
        except msgspec.ValidationError:
            grant = _decode_grant(content)
            question = ToNumber(grant, self._items.paper(grant.item_digest))
        self._number(question, 0)

    def _number(self, question: Question, seq: int) -> None:
        try:
            produced = number_step(self._book, question)
        except Exception as error:
            content = _encode(question.grant if isinstance(question, ToNumber) else question)
            self.letters.append(DeadLetter("number", describe(error), seq, content))
            produced = unnumbered(question)
        self._take(produced, seq)

    # --- what a step returned

    def _take(self, produced: Produced, seq: int) -> None:
        """Keep what a step returned for each stream, or hand it to the stage that runs at once."""
        for stream, records in produced.streams():
            if (run := self._at_once.get(stream)) is None:
                self._kept[stream] += [(seq, record) for record in records]
            else:
                for record in records:
                    run(record, seq)

    def write(self, position: int) -> None:
        """Write everything; call it inside the transaction."""
        db, kept = self._db.db, self._kept
        self._db.add_facts((n, x.id, x.holder, x.type, f.encode(x)) for n, x in kept[FACTS])
        self._projector.write()
        self._db.append((e.kind, e.holder, encode_entry(e)) for _, e in kept[LEDGER])
        jobs = ((encode_job(job),) for _, job in kept[NUMBERED])
        db.executemany("INSERT INTO outbox (job) VALUES (?)", jobs)
        db.executemany("DELETE FROM outbox WHERE seq = ?", ((job,) for job in self._done_jobs))
        self._book.write()
        db.executemany("UPDATE states SET due = NULL WHERE holder = ?", ((h,) for h in self._stuck))
        self._write_letters()
        self._db.set_meta("position", str(position))
        self._db.set_meta("clock", str(self._clock))

    def _advance(self, entry: Entry) -> None:
        self._clock = clock_after(self._clock, entry)

    def _write_letters(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._db.db.executemany(
            "INSERT INTO letters (time, place, error, hint, at, ref, content, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 'open')",
            [(now, *_described(letter)) for letter in self.letters],
        )


def _described(letter: DeadLetter) -> tuple[Any, ...]:
    failure = letter.failure
    error = f"{failure.kind}: {failure.message}"
    return letter.place, error, failure.hint, failure.where, letter.ref, letter.content


BATCH_STAGES: Mapping[str, Callable[..., object]] = {
    "decide": Batch.decide,
    "number": Batch.renumber,
    "issue": Batch.issued,
}
"""The stages that run in the transaction of a batch."""


def publish(
    db: Database, store: Store, trust: TrustStore, signer: Callable[[], Signer], now: int
) -> list[str]:
    """Publish the lists that are due at `now` (Unix seconds) and return the keys of those stored.

    An edition that a crash left unstored is finished first.
    """
    stored = finish(db, store)
    for name in due_lists(db, now):
        with db.transaction():
            listed, last = read_list(db, name)
            record, edition = sign_edition(listed, last, now, trust, signer())
            record_edition(db, record)
            # The objects wait in this table until they are stored.
            db.db.executemany(
                "INSERT INTO unstored (key, object) VALUES (?, ?)",
                [(edition.reasons_key, edition.reasons_cwt), (edition.list_key, edition.list_cwt)],
            )
        stored += finish(db, store)
    return stored


def finish(db: Database, store: Store) -> list[str]:
    """Store what is recorded and not stored yet, the reasons before their list; return the lists' keys."""
    rows = db.db.execute("SELECT seq, key, object FROM unstored ORDER BY seq").fetchall()
    for n, (seq, key, data) in enumerate(rows):
        failpoint("publish-before-store" if n % 2 == 0 else "publish-between")
        store.put(key, data)
        failpoint("publish-after-store")
        with db.transaction():
            db.db.execute("DELETE FROM unstored WHERE seq = ?", (seq,))
    return [key for _, key, _ in rows if ".reasons." not in key]
