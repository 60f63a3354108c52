"""The assignment of inspectors: the least loaded competent one without a conflict, chance deciding among equals.

Each inspector has a load and, with it, a duty ticket (hex SHA-256 of `<seed>:inspector:<id>:<load>`). For each
target, in the transcript's order, the lowest (load, duty ticket) is taken until the number is full; the last
place goes to the lowest who has the plan's qualification, if nobody before has it.

The check that every target of a draw can be given its inspectors, made before anything is announced.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from heapq import heapify, heappop, heappush
from operator import itemgetter

import msgspec
import polars as pl
import polars_hash as plh

from schemas.draw.documents import Assignment, Skipped
from schemas.draw.encoding import shown_id
from schemas.draw.plan import Plan, day
from schemas.draw.strata import DrawRegister, Frame, placed
from schemas.errors import DrawError

Conflicts = Mapping[str, Mapping[str, str]]  # target → inspector → reason
_Entry = int  # Load, duty ticket (256 bits) and number of the inspector (32 bits) in one integer, compared in one step.
_Heap = list[_Entry]
_LOW, _HIGH = 32, 32 + 256
_NUMBER = (1 << _LOW) - 1
_NOBODY = 1 << 400  # The sentinel of a heap is greater than every entry.
_lowest = itemgetter(0)
LEAVE = ("away", "valid_until")  # Columns of leave (`first/last; …`) and of the certificate's last day.
_HASHED_AHEAD = 1_000_000  # The limit of duty tickets that are hashed in advance and kept in memory.


class DrawInspector(msgspec.Struct, frozen=True):
    """An inspector, competent for targets in the division and below it."""

    id: str
    division: str
    qualifications: frozenset[str]
    department: str = ""
    absent: str = ""  # `away` or `expired` where the inspector cannot be drawn


def read_inspectors(register: DrawRegister, period: Sequence[str] | None = None) -> list[DrawInspector]:
    """Return the inspectors of a register; `;` (or `；`) separates several qualifications.

    With the period of a draw, its columns `away` and `valid_until` say who cannot be drawn.
    """
    names = ["id", "division", "qualifications", "department"]
    more = [name for name in LEAVE if name in register.columns] if period else []
    found = []
    for frame in register.frames():
        for own, division, skills, department, *leave in frame.select(names + more).iter_rows():
            absent = _absence(own, dict(zip(more, leave, strict=True)), period) if period else ""
            found.append(DrawInspector(own, division, frozenset(_parts(skills)), department, absent))
    return found


def unavailable(register: DrawRegister, inspectors: Sequence[DrawInspector]) -> dict[str, int] | None:
    """Count the inspectors who cannot be drawn, by reason; None for a register without columns that say so."""
    if not any(name in register.columns for name in LEAVE):
        return None
    return {reason: sum(1 for i in inspectors if i.absent == reason) for reason in ("away", "expired")}


def _absence(own: str, leave: Mapping[str, str], period: Sequence[str]) -> str:
    """Return `expired` where the certificate ends before the period does, `away` for leave on any day of it."""
    first, last = (day(text, "period") for text in period)
    where = f"{shown_id(own)}"
    if (until := leave.get("valid_until", "").strip()) and day(until, "valid_until", where) < last:
        return "expired"
    for part in _parts(leave.get("away", "")):
        begin, _, end = part.partition("/")
        days = [day(text.strip(), "away", where) for text in (begin, end or begin)]
        if days[1] < days[0]:
            raise DrawError(f"请假日期颠倒 / `away` ends before it begins: {part}", where=where)
        if days[0] <= last and days[1] >= first:
            return "away"
    return ""


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.replace("；", ";").split(";") if part.strip()]


def read_conflicts(register: DrawRegister | None) -> dict[str, dict[str, str]]:
    """Return the conflicts by target: inspector and reason."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for frame in register.frames() if register else ():
        for inspector, target, reason in frame.select("inspector_id", "target_id", "reason").iter_rows():
            found[target][inspector] = reason
    return dict(found)


def check_known(
    conflicts: Conflicts, inspectors: Sequence[DrawInspector], targets: DrawRegister
) -> dict[str, str]:
    """Return the division of each target with a conflict. Raise DrawError where a conflict names an unknown id."""
    known = {inspector.id for inspector in inspectors}
    for target, named in conflicts.items():
        if unknown := sorted(named.keys() - known):
            raise DrawError(
                f"回避名单中有未知检查人员 / a conflict names the unknown inspector {shown_id(unknown[0])} (target {shown_id(target)})"
            )
    divisions: dict[str, str] = {}
    if conflicts:
        wanted = pl.Series("id", list(conflicts), dtype=pl.String).implode()
        for frame in targets.frames():
            divisions |= dict(frame.filter(pl.col("id").is_in(wanted)).select("id", "division").iter_rows())
    if unknown := sorted(conflicts.keys() - divisions.keys()):
        raise DrawError(f"回避名单中有未知对象 / a conflict names the unknown target {shown_id(unknown[0])}")
    return divisions


def covering(division: str) -> list[str]:
    """List the divisions whose inspectors are competent for a target of this division: its own, prefecture, province."""
    return list(dict.fromkeys((division, division[:4] + "00", division[:2] + "0000")))


class Roster:
    """The inspectors of a draw in heaps, lowest (load, duty ticket) first.

    Each division has two heaps: inspectors with the plan's qualification, and the others. Every inspector is in
    exactly one heap, so no entry is ever out of date; each heap ends in `_NOBODY`, so that none is empty. Most of
    about `picks` duty tickets are hashed in one batch beforehand: nearly every inspector will need them.
    """

    def __init__(
        self,
        seed: str,
        inspectors: Sequence[DrawInspector],
        qualification: str | None,
        picks: int = 0,
        departments: Sequence[str | None] = (None,),
    ) -> None:
        self._inspectors = inspectors
        self._ids = [i.id for i in inspectors]
        self._prefix = [f"{seed}:inspector:{i}:" for i in self._ids]
        self._load = [0] * len(inspectors)
        self._departments = departments
        self._narrows = qualification is not None
        self._qualified = [qualification is None or qualification in i.qualifications for i in inspectors]
        rounds = min(picks, _HASHED_AHEAD) * 9 // 10 // len(inspectors) if inspectors else 0
        self._ahead = [_entries(self._prefix, load) for load in range(rounds)]
        self._heaps: dict[tuple[str, str | None, bool], _Heap] = defaultdict(lambda: [_NOBODY])
        self._home: list[_Heap] = []
        for number, inspector in enumerate(inspectors):
            if inspector.absent:
                self._home.append([])
                continue
            department = None if departments == (None,) else inspector.department
            home = self._heaps[inspector.division, department, self._qualified[number]]
            home.append(self._entry(number, 0))
            self._home.append(home)
        for heap in self._heaps.values():
            heapify(heap)
        self._near: dict[tuple[str, str | None], tuple[list[_Heap], list[_Heap]]] = {}

    @property
    def loads(self) -> dict[str, int]:
        """The number of visits of each inspector so far."""
        return {i.id: load for i, load in zip(self._inspectors, self._load, strict=True)}

    def assign(
        self, target: str, division: str, groups: Sequence[tuple[str | None, int]], apart: Mapping[str, str]
    ) -> tuple[list[str], list[str]]:
        """Return the inspectors taken for a target, and those passed over for a conflict (`apart`: inspector → reason).

        `groups` gives the departments (None: any) with the number of inspectors of each.
        """
        ids, home, load, ahead = self._ids, self._home, self._load, self._ahead
        taken: list[int] = []
        passed: dict[str, None] = {}
        aside: list[_Entry] = []
        open_, lacking = sum(places for _, places in groups), self._narrows
        for department, places in groups:
            able, fit = self._near.get((division, department)) or self._look_around(division, department)
            while places:
                best = min(fit if lacking and open_ == 1 else able, key=_lowest)
                entry = heappop(best)
                if entry is _NOBODY:
                    raise DrawError(
                        f"对象无法配足检查人员 / target {shown_id(target)} cannot be given enough inspectors"
                        + (f" of {department}" if department else "")
                    )
                number = entry & _NUMBER
                if apart and ids[number] in apart:
                    passed[ids[number]] = None
                    aside.append(entry)
                    continue
                taken.append(number)
                open_ -= 1
                places -= 1
                if lacking and self._qualified[number]:
                    lacking = False
        for number in taken:
            load[number] = more = load[number] + 1
            heappush(home[number], ahead[more][number] if more < len(ahead) else self._entry(number, more))
        for entry in aside:
            heappush(home[entry & _NUMBER], entry)
        return [ids[number] for number in taken], list(passed)

    def _entry(self, number: int, load: int) -> _Entry:
        duty = sha256(f"{self._prefix[number]}{load}".encode()).digest()
        return int.from_bytes(duty, "big") << _LOW | load << _HIGH | number

    def _look_around(self, division: str, department: str | None) -> tuple[list[_Heap], list[_Heap]]:
        """Return the heaps of all competent inspectors, and of the qualified among them; each has at least one heap."""
        fit, others = (
            [self._heaps[d, department, q] for d in covering(division) if (d, department, q) in self._heaps]
            for q in (True, False)
        )
        near = self._near[division, department] = (fit + others or [[_NOBODY]], fit or [[_NOBODY]])
        return near


def _entries(prefixes: list[str], load: int) -> list[_Entry]:
    """Hash the heap entries of all inspectors at one load."""
    text = pl.DataFrame({"text": prefixes}).select(pl.concat_str("text", pl.lit(str(load))))
    duties = text.select(plh.CryptographicHashingNameSpace(pl.col("text")).sha2_256())["text"].to_list()
    at = load << _HIGH
    return [int(duty, 16) << _LOW | at | number for number, duty in enumerate(duties)]


def assign(
    roster: Roster,
    targets: Iterable[tuple[str, str]],
    conflicts: Conflicts,
    groups: Sequence[tuple[str | None, int]],
) -> tuple[list[Assignment], list[Skipped]]:
    """Assign inspectors to all targets (id, division) in their order; return also everyone passed over for a conflict."""
    nobody: dict[str, str] = {}
    assignments: list[Assignment] = []
    skipped: list[Skipped] = []
    for target, division in targets:
        apart = conflicts.get(target, nobody)
        taken, passed = roster.assign(target, division, groups, apart)
        assignments.append(Assignment(target, taken))
        for inspector in passed:
            skipped.append(Skipped(target, inspector, apart[inspector]))
    return assignments, skipped


def roster_of(plan: Plan, seed: str, inspectors: Sequence[DrawInspector], targets: int) -> Roster:
    """Build the roster of a draw of so many targets."""
    picks = targets * plan.inspectors_per_target
    return Roster(seed, inspectors, plan.needs, picks, tuple(department for department, _ in plan.groups))


_NAMED = 20  # A message names so many of the targets that cannot be given inspectors.


class Staffing:
    """The inspectors of a draw by division and department, counted."""

    def __init__(self, plan: Plan, inspectors: Sequence[DrawInspector]) -> None:
        self._groups = plan.groups
        self._needs = plan.needs
        self._by_id = {i.id: i for i in inspectors}
        here = [i for i in inspectors if not i.absent]
        self._able = Counter((i.division, self._department(i)) for i in here)
        self._fit = Counter((i.division, self._department(i)) for i in here if self._qualified(i))

    def _department(self, inspector: DrawInspector) -> str | None:
        return None if self._groups[0][0] is None else inspector.department

    def _qualified(self, inspector: DrawInspector) -> bool:
        return self._needs is None or self._needs in inspector.qualifications

    def choice(self, division: str, apart: Iterable[str] = ()) -> tuple[int, bool]:
        """Return the fewest inspectors of any department for a target here, and True where they suffice.

        `apart` has the ids of inspectors with a conflict. The last place may need the qualification, so one of the
        last department must have it.
        """
        places = covering(division)
        apart_here = (self._by_id[i] for i in apart)
        out = [i for i in apart_here if i.division in places and not i.absent]
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
    divisions = check_known(conflicts, inspectors, targets)
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
