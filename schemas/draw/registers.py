"""The port through which a draw reads its registers: rows of text under named columns, a count and a digest.

Three kinds: targets (检查对象名录库), inspectors (执法检查人员名录库), conflicts of interest (回避). `infra.draw.register`
implements the port over CSV and Parquet files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

import polars as pl

from schemas.draw.documents import RegisterSummary

RegisterKind = Literal["targets", "inspectors", "conflicts"]
COLUMNS: dict[RegisterKind, tuple[str, ...]] = {
    "targets": ("id", "name", "division", "credit_class"),
    "inspectors": ("id", "name", "department", "division", "qualifications"),
    "conflicts": ("inspector_id", "target_id", "reason"),
}
KEYS: dict[RegisterKind, list[str]] = {
    "targets": ["id"],
    "inspectors": ["id"],
    "conflicts": ["inspector_id", "target_id"],
}


class DrawRegister(Protocol):
    """One register of a draw whose rows were checked as they were read."""

    @property
    def path(self) -> Path:
        """The file, for error messages."""
        ...

    @property
    def columns(self) -> list[str]:
        """The names of the columns in the order of the file."""
        ...

    @property
    def count(self) -> int:
        """The number of rows."""
        ...

    @property
    def in_memory(self) -> bool:
        """True where `frames` gives one frame that stays in memory."""
        ...

    def close(self) -> None:
        """Release what the register holds on disk."""
        ...

    def summary(self) -> RegisterSummary:
        """Return columns, count and digest. Raise DrawError where a key stands twice or a value has control characters."""
        ...

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield all rows as frames of text columns, in any order, as often as asked for."""
        ...
