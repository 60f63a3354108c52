"""The port through which queries read the register: states of holders, found by case, number or holder.

Each engine has an adapter: the embedded one reads its data file, the one on Kafka a projection of the topics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from processors.state import HolderState
from schemas.facts import Fact


class Register(Protocol):
    """The reading side of the register."""

    def state(self, holder: str) -> HolderState | None:
        """Return the state of a holder by ledger key (USCC or pseudonym), or None where nothing is known."""
        ...

    def holders_of_case(self, application: str) -> list[str]:
        """Return the ledger keys of the holders that have a case of this id (compared form)."""
        ...

    def holder_of_licence(self, number: str) -> str | None:
        """Return the ledger key of a licence's holder by the licence's number (compared form)."""
        ...

    def states(self, start: str = "") -> Iterator[HolderState]:
        """Yield the state of every holder from the ledger key `start` on, in the order of their ledger keys."""
        ...

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        """Yield the facts of these types; those of one holder stand in the order of their recording."""
        ...

    def moment(self) -> AbstractContextManager[None]:
        """Hold one moment of the register: all reads inside the context see it."""
        ...
