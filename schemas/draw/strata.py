"""The strata of a draw: the frame (population of each stratum), the allocation of counts, and rotation.

A target belongs to the first stratum whose conditions it meets. A target in no stratum, or drawn already within
twelve months, is excluded, and the reason is published.

Allocation is exact whole-number arithmetic; nothing is rounded except by rule. Rotation leaves out targets that were
drawn for the same item within twelve months (同一事项一年不重复抽查).

The port through which a draw reads its registers: rows of text under named columns, a count and a digest.

Three kinds: targets (检查对象名录库), inspectors (执法检查人员名录库), conflicts of interest (回避). `infra.draw.register`
implements the port over CSV and Parquet files.
"""

from __future__ import annotations

import calendar
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import polars as pl
from msgspec import UNSET, UnsetType

from schemas.draw.documents import (
    Announcement,
    Excluded,
    RegisterSummary,
    Transcript,
    read_announcement,
    read_transcript,
)
from schemas.draw.plan import Plan, day
from schemas.errors import DrawError

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


NO_STRATUM = "in no stratum"
_DRAWN_IN = "drawn in "
_COLUMNS = ["id", "division", "credit_class", "stratum"]


class Frame(msgspec.Struct, frozen=True):
    """The frame of a draw: populations by stratum and class, targets by division, and the excluded."""

    populations: dict[str, int]
    classes: dict[tuple[str, str], int]  # (stratum, credit class) → targets
    divisions: dict[str, int]  # Targets of the populations by division.
    excluded: list[Excluded]  # In byte order of ids.
    parts: list[pl.DataFrame] | None = None  # The targets that may be drawn, where they fit into memory.


def drawn_in(announcement_digest: str) -> str:
    """Return the reason for leaving out a target that was drawn within twelve months."""
    return _DRAWN_IN + announcement_digest


def is_drawn_in(reason: str) -> bool:
    """Return True for the reason of an exclusion because of an earlier draw."""
    return reason.startswith(_DRAWN_IN)


class Sorter:
    """The assignment of targets to strata, frame by frame. `left_out` has the ids drawn earlier with their reasons."""

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
        """Return the targets that may be drawn (`id, division, credit_class, stratum`), and the excluded ones."""
        placed = frame.select("id", "division", "credit_class", stratum=self._stratum)
        none = pl.col("stratum").is_null()
        earlier = pl.col("id").is_in(self._ids) if self._ids is not None else pl.lit(False)
        out = [Excluded(i, NO_STRATUM) for i in placed.filter(none)["id"]]
        out += [Excluded(i, self._left_out[i]) for i in placed.filter(~none & earlier)["id"]]
        return placed.filter(~none & ~earlier) if out else placed, out


def _stratum(plan: Plan) -> pl.Expr:
    """Return the expression of the number of the first stratum that fits, or null."""
    number = pl.lit(None, dtype=pl.UInt32)
    for n, stratum in reversed(list(enumerate(plan.strata))):
        fits = pl.lit(True)
        for column, value in stratum.conditions().items():
            fits = fits & (pl.col(column) == value)
        number = pl.when(fits).then(pl.lit(n, dtype=pl.UInt32)).otherwise(number)
    return number


def placed(plan: Plan, register: DrawRegister, left_out: Mapping[str, str]) -> Iterator[pl.DataFrame]:
    """Yield the targets that may be drawn, as frames of `id, division, credit_class, stratum` (its number)."""
    sorter = Sorter(plan, register.columns, left_out)
    for frame in register.frames():
        yield sorter.sort(frame)[0]


def build_frame(plan: Plan, register: DrawRegister, left_out: Mapping[str, str]) -> Frame:
    """Build the frame in one pass over the register. Raise DrawError where a stratum names a column that is absent."""
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
    """Count targets by stratum and class, and by division. The lazy query takes a quarter of the time."""
    rows = drawable.lazy()
    groups = [rows.group_by("stratum", "credit_class").len(), rows.group_by("division").len()]
    by_class, by_division = pl.collect_all(groups)
    return by_class, by_division


def of_ratio(ratio: str, population: int) -> int:
    """Return `ratio` × `population`, rounded up; `ratio` is a decimal text such as `0.20`."""
    whole, _, decimals = ratio.partition(".")
    unit: int = 10 ** len(decimals)
    return -(-int(whole + decimals) * population // unit)


def largest_remainder(seats: int, populations: Mapping[str, int]) -> dict[str, int]:
    """Share out `seats` in proportion to `populations`; the rest goes to the largest remainders.

    Ties go by name, in bytes. The sum of the populations must not be 0 unless `seats` is.
    """
    whole = sum(populations.values())
    if not whole:
        return dict.fromkeys(populations, 0)
    shares = {name: seats * population // whole for name, population in populations.items()}
    left = seats - sum(shares.values())
    by_remainder = sorted(populations, key=lambda name: (-(seats * populations[name] % whole), name.encode()))
    for name in by_remainder[:left]:
        shares[name] += 1
    return shares


def allocate(plan: Plan, populations: Mapping[str, int]) -> dict[str, int]:
    """Return the number to draw from each stratum (by name). Raise DrawError where the plan asks for the impossible."""
    counts: dict[str, int] = {}
    for stratum in plan.strata:
        if isinstance(stratum.count, int):
            counts[stratum.name] = stratum.count
        elif isinstance(stratum.ratio, str):
            counts[stratum.name] = of_ratio(stratum.ratio, populations[stratum.name])
    if not isinstance(plan.total, UnsetType):
        counts |= _rest(plan, plan.total, sum(counts.values()), populations)
    for stratum in plan.strata:
        _possible(stratum.name, counts[stratum.name], populations[stratum.name])
        if isinstance(plan.limit, str) and counts[stratum.name] > of_ratio(
            plan.limit, populations[stratum.name]
        ):
            raise DrawError(
                f"超过该类事项的抽查比例上限 / stratum {stratum.name}: {counts[stratum.name]} of "
                f"{populations[stratum.name]} is above the limit {plan.limit} of the item's class",
                hint="a smaller ratio or count, or another class in the year's plan",
            )
    return {stratum.name: counts[stratum.name] for stratum in plan.strata}


def check_single(plan: Plan, populations: Mapping[str, int]) -> None:
    """Raise DrawError for a stratum of one target, which the plan does not allow: it would single that target out."""
    alone = [name for name, size in populations.items() if size == 1]
    if alone and plan.single is not True:
        raise DrawError(
            f"该层只有一个对象 / stratum {alone[0]} has one target",
            hint="widen the stratum, or say `single = true` in the plan for everybody to read",
        )


def _rest(plan: Plan, total: int, fixed: int, populations: Mapping[str, int]) -> dict[str, int]:
    left = total - fixed
    if left < 0:
        raise DrawError(f"总数小于已定数量 / `total` is {total}, but ratios and counts already make {fixed}")
    shares = {s.name: populations[s.name] for s in plan.strata if s.ratio is UNSET and s.count is UNSET}
    if left > sum(shares.values()):
        raise DrawError(
            f"总数的余额无层可分 / `total` is {total}, but no stratum may fill the {left} that ratios and counts leave of it",
            hint="a stratum without ratio and count takes the rest",
        )
    return largest_remainder(left, shares)


def _possible(name: str, count: int, population: int) -> None:
    if count > population:
        raise DrawError(f"该层数量超过总体 / stratum {name}: {count} of {population} targets cannot be drawn")
    if population and not count:
        raise DrawError(
            f"该层抽取数为零 / stratum {name}: 0 of its {population} targets would be drawn",
            hint="give it a higher ratio or count, or leave the stratum out",
        )


MONTHS = 12


class Earlier(msgspec.Struct, frozen=True):
    """An earlier transcript with the SHA-256 of its file, as announcements name it."""

    digest: str
    transcript: Transcript
    announcement: Announcement
    where: str = ""


def read_earlier(data: bytes, where: str = "") -> Earlier:
    """Read an earlier transcript from its bytes. The caller checks its signature.

    Raise DrawError where the transcript does not contain the announcement that its digest names.
    """
    transcript = read_transcript(data, where)
    announcement = read_announcement(bytes(transcript.announcement), where)
    if announcement.digest != transcript.announcement_digest:
        raise DrawError("公告与其摘要不符 / the announcement does not fit its digest", where=where)
    return Earlier(hashlib.sha256(data).hexdigest(), transcript, announcement, where)


def months_later(start: date, months: int) -> date:
    """Return the same day some months later, or the last day of a shorter month."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def counts_for(plan: Plan, earlier: Plan) -> bool:
    """Return True where an earlier draw keeps its targets out of this one: same item, begun under twelve months before."""
    begins, began = (day(p.period[0], "period") for p in (plan, earlier))
    return plan.item == earlier.item and begins < months_later(began, MONTHS)


def left_out(plan: Plan, earlier: Iterable[Earlier]) -> dict[str, str]:
    """Return the targets left out because of earlier draws, with the reason; the latest of several draws counts."""
    found: dict[str, str] = {}
    for past in sorted(earlier, key=lambda e: (e.announcement.plan.period[0], e.digest)):
        if counts_for(plan, past.announcement.plan):
            reason = drawn_in(past.transcript.announcement_digest)
            found.update((d.id, reason) for stratum in past.transcript.strata for d in stratum.drawn)
    return found
