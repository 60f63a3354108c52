"""Dead letters of the embedded engine: what failed by itself, and its way back after a fix.

What was to be decided comes back through the ledger; what was to be numbered or issued keeps its grant and its
number and is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from infra.embedded.writer import Batch, decode_entry, decode_grant
from infra.readmodel.database import Database
from schemas.errors import NotFound

_COLUMNS = ("letter", "time", "place", "error", "hint", "at", "state", "bytes")
_PLACES = {"decide", "number", "issue"}


def letters(db: Database) -> Iterator[dict[str, Any]]:
    """The open letters, oldest first; `bytes` is the size of the original content."""
    sql = (
        "SELECT seq, time, place, error, hint, at, state, length(content) FROM letters"
        " WHERE state = 'open' ORDER BY seq"
    )
    for row in db.db.execute(sql):
        yield dict(zip(_COLUMNS, row, strict=True))


def content(db: Database, letter: int) -> bytes:
    """The original bytes of a letter."""
    row = db.db.execute("SELECT content FROM letters WHERE seq = ?", (letter,)).fetchone()
    if row is None:
        raise NotFound("没有这封死信 / no such letter", where=str(letter), hint="zhengzhao letters list")
    return bytes(row[0])


def retry(db: Database, wanted: Sequence[int] = ()) -> int:
    """Sends letters back (all that are open, or those wanted); how many. `drain` then tries them again."""
    open_ones = {int(row["letter"]): str(row["place"]) for row in letters(db)}
    for letter in wanted:
        if letter not in open_ones:
            raise NotFound(
                "没有这封死信 / no such open letter", where=str(letter), hint="zhengzhao letters list"
            )
    chosen = {n: place for n, place in open_ones.items() if not wanted or n in wanted}
    with db.transaction():
        for letter, place in chosen.items():
            _back(db, place, content(db, letter))
            db.db.execute("UPDATE letters SET state = 'returned' WHERE seq = ?", (letter,))
    return len(chosen)


def _back(db: Database, place: str, raw: bytes) -> None:
    if place == "decide":
        entry = decode_entry(raw)
        db.append([(entry.kind, entry.holder, raw)])
    elif place == "number":
        batch = Batch(db)
        batch.renumber(decode_grant(raw))
        batch.write(int(db.meta("position", "0")))
    else:
        db.db.execute("INSERT INTO outbox (job) VALUES (?)", (raw,))
