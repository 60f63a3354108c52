"""The inbox of the embedded engine: events are routed and appended to the ledger, all of a call or none.

The way back of dead letters in the embedded engine.

An entry returns through the ledger; a grant that got no number, or was not issued, keeps its grant and its number and
is tried again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.embedded.writer import Batch
from infra.failpoints import failpoint
from infra.readmodel.database import Database
from infra.readmodel.lists import chosen_letters, mark_closed, mark_returned, open_letters, stored_content
from processors import stages
from processors.route import (
    ClockJumped,
    Draws,
    Files,
    RunningTime,
    Unprintable,
    catalogue_entry,
    check_running,
    entry_id,
    route,
)
from processors.stages import is_duplicate
from processors.topology import returns_to
from producers.files import Accepted, Outcome
from schemas.calendar import check_backdate
from schemas.errors import Rejected
from schemas.events import Event
from schemas.items import Catalogue
from schemas.ledger import Auth, Entry, TickEntry, decode_entry, encode_entry
from schemas.persons import Persons

Authenticate = Callable[[Event], Auth]
"""Authenticate an event; raises Rejected where its proof is not good, or one is required and absent."""
NameSender = Callable[[Event], str]
"""Names the sender of an event for the ledger: its source, or the account of a session."""


def _source(event: Event) -> str:
    return event.source


RECEIPT = "receipt"  # the clock and the machine's running time at the last receipt
_UPTIME, _BOOT = Path("/proc/uptime"), Path("/proc/sys/kernel/random/boot_id")


def running_time(at: datetime) -> RunningTime:
    """Return the machine's running time now, suspension included, beside what its clock says.

    The kernel's own figures are read where there are any, since those stay right where the clock is faked.
    """
    try:
        return RunningTime(at, float(_UPTIME.read_text().split()[0]), _BOOT.read_text().strip())
    except (OSError, ValueError):
        return RunningTime(at, time.monotonic(), "monotonic")


def last_receipt(db: Database) -> RunningTime | None:
    """Return clock and running time at the last receipt; None before the first."""
    at, _, rest = db.meta(RECEIPT).partition(" ")
    seconds, _, start = rest.partition(" ")
    return RunningTime(datetime.fromisoformat(at), float(seconds), start) if at else None


def note_receipt(db: Database, at: datetime, *, confirmed: bool = False) -> None:
    """Note clock and running time of a receipt, unless the clock has jumped and nobody has confirmed that it is right."""
    now = running_time(at)
    try:
        if not confirmed:
            check_running(at, now, last_receipt(db))
    except ClockJumped as error:
        db.set_meta(CLOCK_REFUSED, error.message)
        return
    db.set_meta(RECEIPT, f"{at.isoformat()} {now.seconds} {now.start}")


CLOCK_REFUSED = "clock-refused"  # why ticks have stopped; `doctor` reports it


class EmbeddedInbox:
    """The inbox of a data file; may be used while another process drains."""

    def __init__(
        self,
        db: Database,
        persons: Persons,
        catalogue: Catalogue,
        authenticate: Authenticate,
        files: Files,
        *,
        unprintable: Unprintable | None = None,
        draws: Draws | None = None,
        backdate_days: int | None = None,
        sender: NameSender | None = None,
    ) -> None:
        self._db = db
        self._persons = persons
        self._catalogue = catalogue
        self._authenticate = authenticate
        self._files = files
        self._unprintable = unprintable
        self._draws = draws
        self._backdate_days = backdate_days
        self._sender = sender or _source

    def take(self, events: Sequence[Event], received_at: datetime) -> list[Outcome]:
        """Append new events to the ledger and return the outcome of each."""
        # Events are routed before the transaction, so that other writers need not wait for that.
        routed = [self._route(event, received_at) for event in events]
        with self._db.transaction():
            outcomes = self._compared(events, routed, received_at)
            fresh = [
                one
                for one, outcome in zip(routed, outcomes, strict=True)
                if isinstance(one, Entry) and isinstance(outcome, Accepted) and not outcome.duplicate
            ]
            if fresh:
                self._append(fresh, received_at)
            failpoint("submit-before-commit")
        failpoint("submit-after-commit")
        return outcomes

    def append(self, entry: Entry, received_at: datetime) -> None:
        """Append an entry that is no event, such as a tick."""
        with self._db.transaction():
            self._append([entry], received_at)

    def _append(self, entries: Sequence[Entry], received_at: datetime) -> None:
        note_receipt(self._db, received_at)
        if self._db.meta("catalogue") != self._catalogue.digest:
            in_force = catalogue_entry(self._catalogue, received_at)
            self._db.append([(in_force.kind, in_force.holder, encode_entry(in_force))])
            self._db.set_meta("catalogue", self._catalogue.digest)
        self._db.append((e.kind, e.holder, encode_entry(e)) for e in entries)
        unproved = sum(e.auth == "none" for e in entries)
        if unproved:
            self._db.set_meta("without_proof", str(int(self._db.meta("without_proof", "0")) + unproved))

    def _route(self, event: Event, received_at: datetime) -> Entry | Rejected:
        try:
            auth = self._authenticate(event)
            entry = route(
                event,
                received_at,
                self._sender(event),
                auth,
                self._persons,
                self._files,
                self._unprintable,
                self._draws,
            )
            if isinstance(entry, TickEntry):
                check_running(event.time, running_time(received_at), last_receipt(self._db))
            return entry
        except ClockJumped as error:
            return Rejected(error.message, where="time", hint=error.hint)
        except Rejected as error:
            return error

    def _compared(
        self, events: Sequence[Event], routed: Sequence[Entry | Rejected], received_at: datetime
    ) -> list[Outcome]:
        """Compare each event with those that came before, in this call too, and remember the new ones."""
        keys = [entry_id(event)[:32] for event in events]
        sql = "SELECT event, digest FROM seen WHERE event IN (SELECT value FROM json_each(?))"
        known: dict[str, str] = dict(self._db.db.execute(sql, (json.dumps(keys),)))
        new: dict[str, str] = {}
        outcomes: list[Outcome] = []
        for key, event, one in zip(keys, events, routed, strict=True):
            if isinstance(one, Rejected):
                outcomes.append(one)
                continue
            try:
                duplicate = is_duplicate(known.get(key), event.content_digest)
                if not duplicate:
                    check_backdate(event.time, received_at, self._backdate_days)
            except Rejected as error:
                outcomes.append(error)
                continue
            outcomes.append(Accepted(duplicate=duplicate))
            if not duplicate:
                known[key] = new[key] = event.content_digest
        self._db.db.executemany("INSERT INTO seen VALUES (?, ?)", sorted(new.items()))
        return outcomes


class EmbeddedLetters:
    """The letter box of a data file."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def letters(self) -> Iterator[dict[str, Any]]:
        """Yield the open letters, oldest first."""
        return open_letters(self._db)

    def content(self, letter: int) -> bytes:
        """Return the original bytes of a letter."""
        return stored_content(self._db, letter)

    def retry(self, wanted: Sequence[int] = ()) -> int:
        """Send letters back (all that are open, or those wanted) and return how many; `drain` tries them again."""
        chosen = chosen_letters(self._db, wanted)
        with self._db.transaction():
            for row in chosen:
                self._return(str(row["place"]), self.content(row["letter"]))
                mark_returned(self._db, row["letter"])
        return len(chosen)

    def close(self, letter: int, reason: str) -> None:
        """End a letter for good and record the reason. Raises NotFound for one that is not open."""
        chosen_letters(self._db, [letter])
        with self._db.transaction():
            mark_closed(self._db, letter, reason)

    def _return(self, place: str, raw: bytes) -> None:
        stream = returns_to(place)
        if stream is stages.LEDGER:
            entry = decode_entry(raw)
            self._db.append([(entry.kind, entry.holder, raw)])
        elif stream is stages.GRANTS:
            batch = Batch(self._db)
            batch.renumber(raw)
            batch.write(int(self._db.meta("position", "0")))
        else:
            self._db.db.execute("INSERT INTO outbox (job) VALUES (?)", (raw,))
