"""The check that every target of a draw can be given its inspectors, made before anything is announced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from schemas.draw import inspectors as staff
from schemas.draw.encoding import shown_id
from schemas.draw.inspectors import Conflicts, DrawInspector
from schemas.draw.plan import Plan
from schemas.draw.registers import DrawRegister
from schemas.draw.strata import Frame, placed
from schemas.errors import DrawError

_NAMED = 20  # A message names so many of the targets that cannot be given inspectors.


class Staffing:
    """The inspectors of a draw by division and department, counted."""

    def __init__(self, plan: Plan, inspectors: Sequence[DrawInspector]) -> None:
        self._groups = plan.groups
        self._needs = plan.needs
        self._by_id = {i.id: i for i in inspectors}
        self._able = Counter((i.division, self._department(i)) for i in inspectors)
        self._fit = Counter((i.division, self._department(i)) for i in inspectors if self._qualified(i))

    def _department(self, inspector: DrawInspector) -> str | None:
        return None if self._groups[0][0] is None else inspector.department

    def _qualified(self, inspector: DrawInspector) -> bool:
        return self._needs is None or self._needs in inspector.qualifications

    def choice(self, division: str, apart: Iterable[str] = ()) -> tuple[int, bool]:
        """Return the fewest inspectors of any department for a target here, and True where they suffice.

        `apart` has the ids of inspectors with a conflict. The last place may need the qualification, so one of the
        last department must have it.
        """
        places = staff.covering(division)
        out = [self._by_id[i] for i in apart if self._by_id[i].division in places]
        counts = []
        for department, _ in self._groups:
            near = sum(self._able[d, department] for d in places)
            counts.append(near - sum(1 for i in out if self._department(i) == department))
        last = self._groups[-1][0]
        fit = sum(self._fit[d, last] for d in places)
        fit -= sum(1 for i in out if self._department(i) == last and self._qualified(i))
        enough = all(count >= needed for count, (_, needed) in zip(counts, self._groups, strict=True))
        return min(counts), enough and fit >= 1


def smallest_choice(
    plan: Plan,
    frame: Frame,
    targets: DrawRegister,
    inspectors: Sequence[DrawInspector],
    conflicts: Conflicts,
    left_out: Mapping[str, str],
) -> int:
    """Return the fewest inspectors that any target has to choose from; 0 without targets.

    With departments it is the fewest of any department. Raise DrawError naming the targets that cannot be given enough.
    Loads have no upper limit, so each target is checked by itself.
    """
    divisions = staff.check_known(conflicts, inspectors, targets)
    staffing = Staffing(plan, inspectors)
    plain = {division: staffing.choice(division) for division in frame.divisions}
    poor = {division for division, (_, enough) in plain.items() if not enough}
    blocked = {
        target: staffing.choice(division, conflicts[target])
        for target, division in divisions.items()
        if division in plain and division not in poor
    }
    short = {target for target, (_, enough) in blocked.items() if not enough}
    if poor or short:
        _refuse(plan, targets, poor, short, left_out)
    drawable = _drawable(plan, targets, set(blocked), left_out)
    sizes = [count for count, _ in plain.values()] + [blocked[t][0] for t in drawable]
    return min(sizes, default=0)


def _drawable(plan: Plan, register: DrawRegister, targets: set[str], left_out: Mapping[str, str]) -> set[str]:
    """Return the targets among these that are in a population."""
    if not targets:
        return set()
    wanted = pl.Series("id", list(targets), dtype=pl.String).implode()
    return {
        i
        for part in placed(plan, register, left_out)
        for i in part.filter(pl.col("id").is_in(wanted))["id"].to_list()
    }


def _refuse(
    plan: Plan, register: DrawRegister, poor: set[str], short: set[str], left_out: Mapping[str, str]
) -> None:
    """Raise DrawError where one of these targets is in a population."""
    wanted = pl.Series("id", list(short), dtype=pl.String).implode()
    fits = pl.col("division").is_in(list(poor)) | pl.col("id").is_in(wanted)
    names: list[str] = []
    count = 0
    for part in placed(plan, register, left_out):
        hit = part.filter(fits)["id"]
        count += len(hit)
        names += hit.sort().head(_NAMED).to_list()
    if not count:
        return
    more = f", and {count - _NAMED} more" if count > _NAMED else ""
    qualified = f", one of them with {plan.needs!r}" if plan.needs else ""
    raise DrawError(
        f"{count} targets cannot be given {plan.inspectors_per_target} inspectors{qualified} / "
        f"以下对象无法配足检查人员: {', '.join(map(shown_id, sorted(names, key=str.encode)[:_NAMED]))}{more}",
        hint="add inspectors competent for their division, or leave the targets out by a stratum's `where`; "
        "nothing was announced",
    )
