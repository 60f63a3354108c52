"""The way back of dead letters in the embedded engine.

An entry returns through the ledger; a grant that got no number, or was not issued, keeps its grant and its number and
is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from infra.embedded.writer import Batch
from infra.readmodel.database import Database
from infra.readmodel.letters import chosen_letters, mark_closed, mark_returned, open_letters, stored_content
from processors import streams
from processors.topology import returns_to
from schemas.ledger import decode_entry


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
        if stream is streams.LEDGER:
            entry = decode_entry(raw)
            self._db.append([(entry.kind, entry.holder, raw)])
        elif stream is streams.GRANTS:
            batch = Batch(self._db)
            batch.renumber(raw)
            batch.write(int(self._db.meta("position", "0")))
        else:
            self._db.db.execute("INSERT INTO outbox (job) VALUES (?)", (raw,))
