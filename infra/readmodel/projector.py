"""Facts folded into the data file: states, and what is looked up (cases, numbers, places in status lists).

The live engine and `replay` write through this one class, so that what replay rebuilds is what was there.

States that a release with another form of state wrote, folded anew from the recorded facts.

Rows that others look up, made from facts: cases by id, licences by number, places in status lists.

Both engines and `replay` use these functions, so that one fact means one thing everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from infra.readmodel.database import MARKS, Database, index_everything, index_holder
from processors import state as states
from processors.decisions.due import next_due
from processors.evolve import apply
from processors.queries.listings import MARKS_FORM, marks_of
from processors.stages import refold
from processors.state import HolderState, Licence
from schemas import facts as f
from schemas.calendar import china_date
from schemas.facts import Fact, LicenceStatusChanged
from schemas.identifiers import compare
from schemas.persons import EVIDENCE, SEALED, open_parts
from schemas.status_list import INVALID, SUSPENDED, StatusReason, list_uri

_WORDS = {
    "suspended": "暂扣 / suspended",
    "withdrawn": "撤回 / withdrawn",
    "rescinded": "撤销 / rescinded",
    "revoked": "吊销 / revoked",
    "cancelled": "注销 / cancelled",
    "expired": "到期 / expired",
}


class TopicPosition(NamedTuple):
    """A place in a status list that does not say `valid`; `reason` None: it does."""

    list: str
    place: int
    status: int
    reason: StatusReason | None


def ending(body: LicenceStatusChanged, time: str) -> StatusReason | None:
    """Why a licence is not valid after this fact, decided at `time`; None where it is valid again."""
    if body.status == "valid":
        return None
    # A status list is public: grounds that are sealed for a person do not stand in it, nor names in those of others.
    ground = "" if body.ground.startswith((SEALED, EVIDENCE)) else body.ground
    parts = [_WORDS[body.status], open_parts(ground, lambda _: None, "***"), body.legal_basis]
    if body.merged_into:
        parts.append(f"并入 / merged into {body.merged_into}")
    if body.until:
        parts.append(f"至 / until {body.until}")
    date = body.decided_on or china_date(datetime.fromisoformat(time)).isoformat()
    return StatusReason(body.status, "；".join(part for part in parts if part), date)


def places(licence: Licence, why: StatusReason | None) -> Iterator[TopicPosition]:
    """Yield what the status lists say of each version that has a place; `why` is what `ending` returned last."""
    last = licence.versions[-1].grant.version
    for version, following in zip(licence.versions, (*licence.versions[1:], None), strict=True):
        if version.status_index < 0:
            continue
        if following is not None:
            date = following.grant.issued_on
            text = "被新版本取代 / replaced by a later version"
            reason = StatusReason("replaced", text, date, last if licence.living else None)
            yield TopicPosition(version.status_list, version.status_index, INVALID, reason)
        elif why is None or licence.status == "valid":
            yield TopicPosition(version.status_list, version.status_index, 0, None)
        else:
            status = SUSPENDED if licence.status == "suspended" else INVALID
            yield TopicPosition(version.status_list, version.status_index, status, why)


Due = Callable[[HolderState], str | None]
_pack = msgspec.msgpack.Encoder().encode


def due_in_part(state: HolderState) -> str | None:
    """When something next falls due, for states between two facts of one decision, or with a fact missing.

    Such a state may hold a case whose notice is not told yet: nothing can be said of it until it is.
    """
    try:
        return next_due(state)
    except ValueError:
        return None


class Projector:
    """Holds the states that it has touched until `write`; `due` tells when something next falls due."""

    def __init__(self, db: Database, due: Due) -> None:
        self._db = db
        self._due = due
        self._states: dict[str, HolderState] = {}
        self._marks: dict[str, frozenset[str]] = {}  # of a holder, as they are written
        self._changed: set[str] = set()
        self._cases: set[tuple[str, str]] = set()
        self._numbers: dict[str, str] = {}
        self._endings: dict[str, StatusReason | None] = {}
        self._corrected: dict[
            str, str
        ] = {}  # licence id → holder: whose ending a corrected clock may have taken back
        self._licences: dict[str, str] = {}  # licence id → holder: whose places may have changed
        self._lists: dict[str, tuple[str, int]] = {}
        self._listed: set[str] = set()  # holders whose rows of the public register may have changed

    def state(self, holder: str) -> HolderState:
        """Return the state of a holder as it stands; not to be changed."""
        if holder not in self._states:
            row = self._db.db.execute("SELECT state FROM states WHERE holder = ?", (holder,)).fetchone()
            self._states[holder] = states.decode(row[0]) if row else states.initial(holder)
            self._marks[holder] = marks_of(self._states[holder])
        return self._states[holder]

    def fold(self, facts: Sequence[Fact]) -> None:
        """Take facts of one holder over, all or (where one cannot be folded) none."""
        if facts:
            after = self.state(facts[0].holder).copy()
            for fact in facts:
                apply(after, fact)
            self.take(facts, after)

    def take(self, facts: Sequence[Fact], after: HolderState) -> None:
        """Take over facts of one holder whose state after them is known."""
        self.state(after.holder)  # its marks as they are written
        self._states[after.holder] = after
        self._changed.add(after.holder)
        for fact in facts:
            self._note(fact, after)

    def write(self) -> None:
        """Write what changed; inside a transaction. The states stay in memory until `forget`."""
        db = self._db.db
        rows = []
        for holder in self._changed:
            state = self._states[holder]
            rows.append((holder, states.encode(state), self._due(state)))
        db.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", rows)
        self._write_marks()
        for key, holder in self._corrected.items():
            self._endings[key] = self._ending_of(self._states[holder].licences[key])
        db.executemany("INSERT OR IGNORE INTO cases VALUES (?, ?)", self._cases)
        db.executemany("INSERT OR REPLACE INTO licences VALUES (?, ?)", self._numbers.items())
        db.executemany(
            "INSERT OR REPLACE INTO endings VALUES (?, ?)",
            [(key, _pack(reason)) for key, reason in self._endings.items()],
        )
        self._write_lists()
        for holder in sorted(self._listed | set(self._licences.values())):
            index_holder(db, self._states[holder])
        self._listed.clear()
        self._changed.clear()
        self._cases.clear()
        self._numbers.clear()
        self._endings.clear()
        self._corrected.clear()
        self._licences.clear()
        self._lists.clear()

    def forget(self) -> None:
        """Drop the states in memory (they are written)."""
        self._states.clear()
        self._marks.clear()

    def _write_marks(self) -> None:
        gone: list[tuple[str, str]] = []
        fresh: list[tuple[str, str]] = []
        for holder in self._changed:
            before, after = self._marks[holder], marks_of(self._states[holder])
            if self._states[holder].pruned:  # what the state left out has its marks all the same
                after |= before
            gone += [(mark, holder) for mark in before - after]
            fresh += [(mark, holder) for mark in after - before]
            self._marks[holder] = after
        self._db.db.executemany("DELETE FROM marks WHERE mark = ? AND holder = ?", gone)
        self._db.db.executemany("INSERT OR IGNORE INTO marks VALUES (?, ?)", fresh)

    def _note(self, fact: Fact, state: HolderState) -> None:
        body = fact.body
        if isinstance(body, f.CaseOpened):
            self._cases.add((body.case, fact.holder))
        elif isinstance(body, f.ImportRecorded):
            self._numbers[compare(body.grant.number or "")] = fact.holder
            self._listed.add(fact.holder)
        elif isinstance(body, f.LicenceGranted):
            self._licences[body.grant.licence_id] = fact.holder
        elif isinstance(body, f.LicenceNumbered):
            self._numbers[compare(body.number)] = fact.holder
            self._licences[body.licence] = fact.holder
            version = next(
                v for v in state.licences[body.licence].versions if v.grant.version == body.version
            )
            uri = list_uri(version.grant.authority.host, body.status_list)
            length = max(self._lists.get(body.status_list, (uri, 0))[1], body.status_index + 1)
            self._lists[body.status_list] = (uri, length)
        elif isinstance(body, f.LicenceStatusChanged):
            self._licences[body.licence] = fact.holder
            self._endings[body.licence] = ending(body, fact.time)
        elif isinstance(body, f.ClockCorrected):
            found = dict.fromkeys(state.licences, fact.holder)
            self._licences |= found
            self._corrected |= found

    def _ending_of(self, licence: Licence) -> StatusReason | None:
        """Return why a licence is not valid, by the fact that gave it the status that it has again."""
        if licence.status == "valid":
            return None
        rows = "SELECT CAST(fact AS BLOB) FROM facts WHERE holder = ? AND type = 'licence.status' ORDER BY seq DESC"
        for (raw,) in self._db.db.execute(rows, (licence.now.holder,)):
            fact = f.decode(raw)
            body = fact.body
            if isinstance(body, LicenceStatusChanged) and (body.licence, body.status) == (
                licence.key,
                licence.status,
            ):
                return ending(body, fact.time)
        return None

    def _write_lists(self) -> None:
        db = self._db.db
        for name, (uri, length) in self._lists.items():
            db.execute(
                "INSERT INTO lists VALUES (?, ?, ?, 1, NULL) ON CONFLICT (name) DO UPDATE"
                " SET length = max(length, excluded.length), changed = 1",
                (name, uri, length),
            )
        for key, holder in self._licences.items():
            row = db.execute("SELECT reason FROM endings WHERE licence = ?", (key,)).fetchone()
            why = msgspec.msgpack.decode(row[0], type=StatusReason | None) if row else None
            for place in places(self._states[holder].licences[key], why):
                self._write_place(place.list, place.place, place.status, place.reason)

    def _write_place(self, name: str, place: int, status: int, reason: StatusReason | None) -> None:
        db = self._db.db
        if reason is None:
            done = db.execute("DELETE FROM places WHERE list = ? AND place = ?", (name, place))
        else:
            done = db.execute(
                "INSERT INTO places VALUES (?, ?, ?, ?) ON CONFLICT (list, place) DO UPDATE SET"
                " status = excluded.status, reason = excluded.reason"
                " WHERE status != excluded.status OR reason != excluded.reason",
                (name, place, status, _pack(reason)),
            )
        if done.rowcount:
            db.execute("UPDATE lists SET changed = 1 WHERE name = ?", (name,))


FORM = "state-schema"  # absent: the first form


def renew(db: Database) -> int:
    """Fold every state anew where another release wrote them; how many. Nothing happens where this one did.

    Marks and the public register are made anew where another release made them, or none.
    """
    count = _refold(db)
    renew_marks(db)
    index_everything(db)
    return count


def renew_marks(db: Database) -> None:
    """Make the marks of every holder anew where another release made them, or none."""
    if db.meta(MARKS) != MARKS_FORM:
        with db.transaction():
            _mark(db)


def _refold(db: Database) -> int:
    if db.meta(FORM, "1") == str(states.STATE_SCHEMA):
        return 0
    with db.transaction():
        recorded = db.db.execute("SELECT CAST(fact AS BLOB) FROM facts ORDER BY seq")
        folded = refold(f.decode(raw) for (raw,) in recorded)
        rows = [(holder, states.encode(state), due_in_part(state)) for holder, state in folded.items()]
        db.db.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", rows)
        db.set_meta(FORM, str(states.STATE_SCHEMA))
        db.set_meta(MARKS, "")  # if this process ends before they are made, the next one makes them
    return len(rows)


def _mark(db: Database) -> None:
    db.db.execute("DELETE FROM marks")
    for holder, raw in db.db.execute("SELECT holder, CAST(state AS BLOB) FROM states").fetchall():
        state = states.decode(raw)
        if state.pruned:
            found = db.db.execute(
                "SELECT CAST(fact AS BLOB) FROM facts WHERE holder = ? ORDER BY seq", (holder,)
            )
            state = refold((f.decode(one) for (one,) in found), whole=True).get(holder, state)
        rows = [(mark, holder) for mark in marks_of(state)]
        db.db.executemany("INSERT INTO marks VALUES (?, ?)", rows)
    db.set_meta(MARKS, MARKS_FORM)
