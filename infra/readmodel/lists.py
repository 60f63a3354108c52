"""Status lists in a data file: their content as it stands, and which of them are due for an edition.

Dead letters in a data file: what is open, and what `letters retry` chooses.

Adapters of the port `processors.queries.listings.PublicRegister` over the data file of the embedded engine.

Queries work while another process drains: each opens the data file for itself and reads one moment of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from infra.readmodel.database import MARKS, Database, expression
from issuance.status_lists import EditionRecord, Published, StatusList, decode_edition, encode_edition, is_due
from processors import state
from processors.evolve_cases import irrevocable
from processors.queries.listings import MARKS_FORM, ListedLicence, RegisterQuery
from processors.stages import refold
from processors.state import HolderState
from schemas.calendar import time_text
from schemas.errors import NotFound
from schemas.facts import EventWaits, Fact, decode
from schemas.item_types import ServiceItem
from schemas.ledger import EventEntry, decode_entry, entry_of
from schemas.status_list import StatusReason

_DAY = 86_400
_NEXT_AUTHORITY: Final = (
    "SELECT authority FROM register WHERE authority > ? AND host != '' ORDER BY authority LIMIT 1"
)
_ENDLESS: Final = 1 << 62  # above every place of a row
FindEntries = Callable[[str, set[str]], Mapping[str, EventEntry]]


def read_list(db: Database, name: str) -> tuple[StatusList, Published | None]:
    """Return a list as it stands, and its latest edition."""
    uri, length, published = db.db.execute(
        "SELECT uri, length, published FROM lists WHERE name = ?", (name,)
    ).fetchone()
    statuses: dict[int, int] = {}
    reasons: dict[int, StatusReason] = {}
    sql = "SELECT place, status, reason FROM places WHERE list = ? ORDER BY place"
    for place, status, reason in db.db.execute(sql, (name,)):
        statuses[place] = status
        reasons[place] = msgspec.msgpack.decode(reason, type=StatusReason)
    return StatusList(name, uri, length, statuses, reasons), _published(published)


def due_lists(db: Database, now: int) -> list[str]:
    """Return the lists that changed, or whose latest edition is a day old at `now` (Unix seconds)."""
    found = []
    for name, changed, published in db.db.execute(
        "SELECT name, changed, published FROM lists ORDER BY name"
    ).fetchall():
        last = _published(published)
        if changed or last is None or now >= last.issued_at + _DAY:
            listed, last = read_list(db, name)
            if is_due(listed, last, now):
                found.append(name)
    return found


def irrevocable_after(db: Database, to: datetime) -> list[str]:
    """Return, in words, what was published or decided after a moment and cannot be taken back."""
    found = []
    for (raw,) in db.db.execute("SELECT edition FROM editions ORDER BY seq"):
        record = decode_edition(raw)
        if record.published.issued_at > int(to.timestamp()):
            at = time_text(datetime.fromtimestamp(record.published.issued_at, UTC))
            found.append(f"状态列表 / status list {record.name}, {at}")
    for (raw,) in db.db.execute("SELECT state FROM states ORDER BY holder"):
        found += irrevocable(state.decode(raw), time_text(to))
    return found


def follows_last(db: Database, record: EditionRecord) -> bool:
    """Tell whether an edition names the latest one of its list as the one before it."""
    row = db.db.execute("SELECT published FROM lists WHERE name = ?", (record.name,)).fetchone()
    return row is not None and _published(row[0]) == record.last


def record_edition(db: Database, record: EditionRecord) -> None:
    """Record an edition after the facts that it was made from; call it inside a transaction."""
    db.db.execute(
        "INSERT INTO editions (list, after_fact, edition) VALUES (?, ?, ?)",
        (record.name, db.head()[0], encode_edition(record)),
    )
    set_published(db, record, changed=False)


def set_published(db: Database, record: EditionRecord, *, changed: bool) -> None:
    """Note an edition as the latest of its list; `changed` makes `due_lists` compare the content once more."""
    db.db.execute(
        "UPDATE lists SET changed = ?, published = ? WHERE name = ?",
        (int(changed), msgspec.msgpack.encode(record.published), record.name),
    )


def _published(raw: bytes | None) -> Published | None:
    return msgspec.msgpack.decode(raw, type=Published) if raw else None


_COLUMNS = ("letter", "time", "place", "error", "hint", "at", "state", "bytes")


class LetterBox(Protocol):
    """The dead letters of an engine."""

    def letters(self) -> Iterator[dict[str, Any]]:
        """Yield the open letters, oldest first."""
        ...

    def content(self, letter: int) -> bytes:
        """Return the original bytes of a letter."""
        ...

    def close(self, letter: int, reason: str) -> None:
        """End a letter for good and record the reason. Raises NotFound for one that is not open."""
        ...

    def retry(self, wanted: Sequence[int]) -> int:
        """Send letters back (all that are open, or those wanted) and return how many."""
        ...


def open_letters(db: Database) -> Iterator[dict[str, Any]]:
    """Yield the open letters, oldest first; `bytes` is the size of the original content."""
    sql = (
        "SELECT seq, time, place, error, hint, at, state, length(content) FROM letters"
        " WHERE state = 'open' ORDER BY seq"
    )
    for row in db.db.execute(sql):
        yield dict(zip(_COLUMNS, row, strict=True))


def stored_content(db: Database, letter: int) -> bytes:
    """Return the bytes of a letter as they are stored. Raises NotFound."""
    row = db.db.execute("SELECT content FROM letters WHERE seq = ?", (letter,)).fetchone()
    if row is None:
        raise _unknown(letter)
    return bytes(row[0])


def chosen_letters(db: Database, wanted: Sequence[int]) -> list[dict[str, Any]]:
    """Return the open letters, or those of them that are wanted. Raises NotFound for one that is not open."""
    found = {int(row["letter"]): row for row in open_letters(db)}
    for letter in wanted:
        if letter not in found:
            raise _unknown(letter)
    return [row for letter, row in found.items() if not wanted or letter in wanted]


def mark_returned(db: Database, letter: int) -> None:
    """Note that a letter went back; call it inside a transaction."""
    db.db.execute("UPDATE letters SET state = 'returned' WHERE seq = ?", (letter,))


def closing_note(reason: str) -> str:
    """Return the text that replaces the hint of a letter that is closed."""
    return f"已关闭 / closed: {reason}"


def mark_closed(db: Database, letter: int, reason: str) -> None:
    """Note that a letter is closed, and why; call it inside a transaction."""
    sql = "UPDATE letters SET state = 'closed', hint = ? WHERE seq = ?"
    db.db.execute(sql, (closing_note(reason), letter))


def _unknown(letter: int) -> NotFound:
    return NotFound(
        "未找到待处理的死信 / no such open letter", where=str(letter), hint="zhengzhao letters list"
    )


_NEXT_MARK: Final = "SELECT mark FROM marks WHERE mark >= ? AND mark < ? ORDER BY mark LIMIT 1"


class EmbeddedRegister:
    """The register in the data file of the embedded engine.

    `ledger` finds entries of a holder by their ids where the data file has no ledger (a projection on Kafka).
    """

    def __init__(self, path: Path, ledger: FindEntries | None = None) -> None:
        self._db = Database(path)
        self._indexed = self._db.meta(MARKS) == MARKS_FORM  # else every list looks at every holder
        self._ledger = ledger

    def close(self) -> None:
        """Close the data file."""
        self._db.close()

    def moment(self) -> AbstractContextManager[None]:
        return self._db.snapshot()

    def state(self, holder: str) -> HolderState | None:
        row = self._db.db.execute("SELECT state FROM states WHERE holder = ?", (holder,)).fetchone()
        return self._whole(state.decode(row[0])) if row else None

    def _whole(self, stored: HolderState) -> HolderState:
        """Return a holder with the whole past, which the facts have where the stored state has not."""
        if not stored.pruned:
            return stored
        rows = "SELECT CAST(fact AS BLOB) FROM facts WHERE holder = ? ORDER BY seq"
        found = (decode(raw) for (raw,) in self._db.db.execute(rows, (stored.holder,)))
        return refold(found, whole=True).get(stored.holder, stored)

    def holders_of_case(self, application: str) -> list[str]:
        sql = "SELECT holder FROM cases WHERE application = ? ORDER BY holder"
        return [str(row[0]) for row in self._db.db.execute(sql, (application,))]

    def holder_of_licence(self, number: str) -> str | None:
        row = self._db.db.execute("SELECT holder FROM licences WHERE number = ?", (number,)).fetchone()
        return str(row[0]) if row else None

    def states(self, start: str = "", marks: Sequence[str] | None = None) -> Iterator[HolderState]:
        if marks is None or not self._indexed:
            sql = "SELECT state FROM states WHERE holder >= ? ORDER BY holder"
            yield from (self._whole(state.decode(raw)) for (raw,) in self._db.db.execute(sql, (start,)))
            return
        sql = "SELECT holder FROM marks WHERE mark = ? AND holder >= ? ORDER BY holder"
        found = (self._db.db.execute(sql, (mark, start)) for mark in marks)
        for (holder,), _ in groupby(merge(*found)):
            if (one := self.state(str(holder))) is not None:
                yield one

    def marks(self, prefix: str) -> list[str]:
        found: list[str] = []
        begin, end = prefix, prefix + chr(0x10FFFF)
        while row := self._db.db.execute(_NEXT_MARK, (begin, end)).fetchone():
            found.append(str(row[0]))
            begin = f"{row[0]}\x01"  # marks have no control characters: the next one after all of its rows
        return found

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        marks = ", ".join("?" * len(types))
        sql = f"SELECT CAST(fact AS BLOB) FROM facts WHERE type IN ({marks}) ORDER BY seq"
        for (raw,) in self._db.db.execute(sql, tuple(types)):
            yield decode(raw)

    def orders(self, holder: str, case: str) -> list[EventEntry]:
        places: dict[str, int] = {}
        waited: dict[str, EventEntry] = {}
        rows = "SELECT entry, CAST(fact AS BLOB) FROM facts WHERE holder = ? ORDER BY seq"
        for place, raw in self._db.db.execute(rows, (holder,)):
            fact = decode(raw)
            if isinstance(fact.body, EventWaits):
                waits = entry_of(fact.body.entry)
                waited |= {waits.id: waits} if isinstance(waits, EventEntry) else {}
            elif getattr(fact.body, "case", None) == case and ":" not in fact.cause:
                places.setdefault(fact.cause, place)
        found = self._ledger(holder, set(places)) if self._ledger else self._entries(places)
        return [entry for one in places if (entry := found.get(one) or waited.get(one)) is not None]

    def _entries(self, places: Mapping[str, int]) -> dict[str, EventEntry]:
        found: dict[str, EventEntry] = {}
        for place in places.values():
            row = self._db.db.execute(
                "SELECT CAST(entry AS BLOB) FROM ledger WHERE seq = ?", (place,)
            ).fetchone()
            entry = decode_entry(row[0]) if row else None
            if isinstance(entry, EventEntry):
                found[entry.id] = entry
        return found

    def states_by_due(self) -> Iterator[HolderState]:
        sql = "SELECT state FROM states WHERE due IS NOT NULL ORDER BY due, holder"
        for (raw,) in self._db.db.execute(sql):
            yield state.decode(raw)

    def facts_of(self, holder: str) -> Iterator[Fact]:
        sql = "SELECT CAST(fact AS BLOB) FROM facts WHERE holder = ? ORDER BY seq"
        for (raw,) in self._db.db.execute(sql, (holder,)):
            yield decode(raw)

    def facts_after(self, position: int, types: Sequence[str]) -> Iterator[tuple[int, Fact]]:
        marks = ", ".join("?" * len(types))
        sql = f"SELECT seq, CAST(fact AS BLOB) FROM facts WHERE seq > ? AND type IN ({marks}) ORDER BY seq"
        for seq, raw in self._db.db.execute(sql, (position, *types)):
            yield int(seq), decode(raw)

    def last_fact(self) -> int:
        return self._db.head()[0]

    def holder_of_fact(self, fact: str) -> str | None:
        """Return the holder that a fact is about; None for an unknown one."""
        row = self._db.db.execute("SELECT holder FROM facts WHERE id = ?", (fact,)).fetchone()
        return str(row[0]) if row else None

    def recorded_item(self, digest: str) -> ServiceItem | None:
        row = self._db.db.execute("SELECT item FROM items WHERE digest = ?", (digest,)).fetchone()
        return msgspec.json.decode(row[0], type=ServiceItem) if row else None

    def search(self, wanted: RegisterQuery) -> list[ListedLicence]:
        sql = (
            "SELECT r.seq, r.number, r.item, r.status, r.name, r.issued_on, r.valid_until"
            " FROM register_words w JOIN register r ON r.seq = w.rowid"
            " WHERE register_words MATCH ? AND w.rowid < ? ORDER BY w.rowid DESC LIMIT ?"
        )
        values = (expression(wanted), wanted.after or _ENDLESS, wanted.most)
        return [ListedLicence(*row) for row in self._db.db.execute(sql, values)]

    def authorities(self) -> list[str]:
        found: list[str] = []
        while row := self._db.db.execute(_NEXT_AUTHORITY, (found[-1] if found else "",)).fetchone():
            found.append(str(row[0]))
        return found

    def hosts(self, authority: str) -> list[str]:
        sql = "SELECT host FROM register WHERE authority = ? AND host != '' GROUP BY host ORDER BY min(seq)"
        return [str(row[0]) for row in self._db.db.execute(sql, (authority,))]


class EmptyRegister:
    """The register of a folder in which nothing has happened yet."""

    def moment(self) -> AbstractContextManager[None]:
        return nullcontext()

    def state(self, holder: str) -> HolderState | None:
        return None

    def holders_of_case(self, application: str) -> list[str]:
        return []

    def holder_of_licence(self, number: str) -> str | None:
        return None

    def states(self, start: str = "", marks: Sequence[str] | None = None) -> Iterator[HolderState]:
        return iter(())

    def marks(self, prefix: str) -> list[str]:
        return []

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        return iter(())

    def orders(self, holder: str, case: str) -> list[EventEntry]:
        return []

    def states_by_due(self) -> Iterator[HolderState]:
        return iter(())

    def facts_of(self, holder: str) -> Iterator[Fact]:
        return iter(())

    def facts_after(self, position: int, types: Sequence[str]) -> Iterator[tuple[int, Fact]]:
        return iter(())

    def last_fact(self) -> int:
        return 0

    def recorded_item(self, digest: str) -> ServiceItem | None:
        return None

    def search(self, wanted: RegisterQuery) -> list[ListedLicence]:
        return []

    def authorities(self) -> list[str]:
        return []

    def hosts(self, authority: str) -> list[str]:
        return []
