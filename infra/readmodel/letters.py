"""Dead letters in a data file: what is open, and what `letters retry` chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from infra.readmodel.database import Database
from schemas.errors import NotFound

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
