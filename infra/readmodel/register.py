"""Adapters of the port `processors.queries.register.Register` over the data file of the embedded engine.

Queries work while another process drains: each opens the data file for itself and reads one moment of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from infra.readmodel.database import Database
from processors import state
from processors.state import HolderState
from schemas.facts import Fact, decode


class EmbeddedRegister:
    """The register in the data file of the embedded engine."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path)

    def close(self) -> None:
        """Close the data file."""
        self._db.close()

    def moment(self) -> AbstractContextManager[None]:
        return self._db.snapshot()

    def state(self, holder: str) -> HolderState | None:
        row = self._db.db.execute("SELECT state FROM states WHERE holder = ?", (holder,)).fetchone()
        return state.decode(row[0]) if row else None

    def holders_of_case(self, application: str) -> list[str]:
        sql = "SELECT holder FROM cases WHERE application = ? ORDER BY holder"
        return [str(row[0]) for row in self._db.db.execute(sql, (application,))]

    def holder_of_licence(self, number: str) -> str | None:
        row = self._db.db.execute("SELECT holder FROM licences WHERE number = ?", (number,)).fetchone()
        return str(row[0]) if row else None

    def states(self, start: str = "") -> Iterator[HolderState]:
        for (raw,) in self._db.db.execute(
            "SELECT state FROM states WHERE holder >= ? ORDER BY holder", (start,)
        ):
            yield state.decode(raw)

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        marks = ", ".join("?" * len(types))
        sql = f"SELECT CAST(fact AS BLOB) FROM facts WHERE type IN ({marks}) ORDER BY seq"
        for (raw,) in self._db.db.execute(sql, tuple(types)):
            yield decode(raw)


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

    def states(self, start: str = "") -> Iterator[HolderState]:
        return iter(())

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        return iter(())
