"""The frame of a draw: which target belongs to which stratum, and who is left out and why.

A target belongs to the first stratum whose conditions it meets. In no stratum, or drawn already within
twelve months, it is excluded, and the reason is published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec
import polars as pl

from schemas.draw.documents import Excluded
from schemas.draw.plan import Plan
from schemas.draw.register import Register
from schemas.errors import DrawError

NO_STRATUM = "in no stratum"
_DRAWN_IN = "drawn in "
_COLUMNS = ["id", "division", "credit_class", "stratum"]


class Frame(msgspec.Struct, frozen=True):
    """What a register and a plan make: populations by stratum and class, targets by division, who is out."""

    populations: dict[str, int]
    classes: dict[tuple[str, str], int]  # (stratum, credit class) → targets
    divisions: dict[str, int]  # targets of the populations
    excluded: list[Excluded]  # in byte order of ids
    parts: list[pl.DataFrame] | None = None  # who may be drawn, where that is in memory


def drawn_in(announcement_digest: str) -> str:
    """The reason for leaving out who was drawn within twelve months."""
    return _DRAWN_IN + announcement_digest


def is_drawn_in(reason: str) -> bool:
    """Whether somebody was left out because of an earlier draw."""
    return reason.startswith(_DRAWN_IN)


class Sorter:
    """Puts targets into strata, frame by frame. `left_out` has the ids drawn earlier with their reasons."""

    def __init__(self, plan: Plan, columns: list[str], left_out: Mapping[str, str]) -> None:
        for stratum in plan.strata:
            for column in stratum.where:
                if column not in columns:
                    raise DrawError(
                        f"stratum {stratum.name}: the register has no column {column!r}",
                        hint="columns: " + ",".join(columns),
                    )
        self._stratum = _stratum(plan)
        self._left_out = left_out
        self._ids = pl.Series("id", list(left_out), dtype=pl.String).implode() if left_out else None

    def sort(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Excluded]]:
        """The targets that may be drawn (`id, division, credit_class, stratum`), and the others."""
        placed = frame.select("id", "division", "credit_class", stratum=self._stratum)
        none = pl.col("stratum").is_null()
        earlier = pl.col("id").is_in(self._ids) if self._ids is not None else pl.lit(False)
        out = [Excluded(i, NO_STRATUM) for i in placed.filter(none)["id"]]
        out += [Excluded(i, self._left_out[i]) for i in placed.filter(~none & earlier)["id"]]
        return placed.filter(~none & ~earlier) if out else placed, out


def _stratum(plan: Plan) -> pl.Expr:
    """The number of the first stratum that fits, or null."""
    number = pl.lit(None, dtype=pl.UInt32)
    for n, stratum in reversed(list(enumerate(plan.strata))):
        fits = pl.lit(True)
        for column, value in stratum.conditions().items():
            fits = fits & (pl.col(column) == value)
        number = pl.when(fits).then(pl.lit(n, dtype=pl.UInt32)).otherwise(number)
    return number


def placed(plan: Plan, register: Register, left_out: Mapping[str, str]) -> Iterator[pl.DataFrame]:
    """The targets that may be drawn, as frames of `id, division, credit_class, stratum` (its number)."""
    sorter = Sorter(plan, register.columns, left_out)
    for frame in register.frames():
        yield sorter.sort(frame)[0]


def build_frame(plan: Plan, register: Register, left_out: Mapping[str, str]) -> Frame:
    """One pass over the register; DrawError where a stratum asks for a column that is not there."""
    sorter = Sorter(plan, register.columns, left_out)
    classes: Counter[tuple[str, str]] = Counter()
    divisions: Counter[str] = Counter()
    excluded: list[Excluded] = []
    names = [stratum.name for stratum in plan.strata]
    parts: list[pl.DataFrame] = []
    for frame in register.frames():
        drawable, out = sorter.sort(frame)
        excluded += out
        if register.in_memory:
            parts.append(drawable)
        by_class, by_division = _counted(drawable)
        for number, credit_class, count in by_class.iter_rows():
            classes[names[number], credit_class] += count
        divisions.update(dict(by_division.iter_rows()))
    populations = dict.fromkeys(names, 0)
    for (name, _), count in classes.items():
        populations[name] += count
    excluded.sort(key=lambda e: e.id.encode())
    return Frame(populations, dict(classes), dict(divisions), excluded, parts if register.in_memory else None)


def _counted(drawable: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Targets of each stratum and class, and of each division; asked lazily, it takes a quarter of the time."""
    rows = drawable.lazy()
    groups = [rows.group_by("stratum", "credit_class").len(), rows.group_by("division").len()]
    by_class, by_division = pl.collect_all(groups)
    return by_class, by_division
