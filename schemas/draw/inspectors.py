"""Who visits whom: the least loaded competent inspector without a conflict, chance deciding among equals.

Each inspector has a load and, with it, a duty ticket (hex SHA-256 of `<seed>:inspector:<id>:<load>`). For each
target, in the transcript's order, the lowest (load, duty ticket) is taken until the number is full; the last
place goes to the lowest who has the plan's qualification, if nobody before has it.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec
import polars as pl

from schemas.draw.documents import Assignment, Skipped
from schemas.draw.register import Register
from schemas.errors import DrawError

Conflicts = Mapping[str, Mapping[str, str]]  # target → inspector → reason
_Entry = tuple[int, str, int]  # load, duty ticket, number of the inspector
_Heap = list[_Entry]


class Inspector(msgspec.Struct, frozen=True):
    """An inspector: whose targets are those in the division and below it."""

    id: str
    division: str
    qualifications: frozenset[str]


def read_inspectors(register: Register) -> list[Inspector]:
    """The inspectors of a register; several qualifications are parted by `;`."""
    found = []
    for frame in register.frames():
        for row in frame.select("id", "division", "qualifications").iter_rows():
            parts = (part.strip() for part in row[2].split(";"))
            found.append(Inspector(row[0], row[1], frozenset(part for part in parts if part)))
    return found


def read_conflicts(register: Register | None) -> dict[str, dict[str, str]]:
    """Conflicts by target; each pair stands once."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for frame in register.frames() if register else ():
        for inspector, target, reason in frame.select("inspector_id", "target_id", "reason").iter_rows():
            found[target][inspector] = reason
    return dict(found)


def check_known(conflicts: Conflicts, inspectors: Sequence[Inspector], targets: Register) -> dict[str, str]:
    """The division of each target with a conflict; DrawError where one names somebody unknown."""
    known = {inspector.id for inspector in inspectors}
    for target, named in conflicts.items():
        if unknown := sorted(named.keys() - known):
            raise DrawError(f"a conflict names the unknown inspector {unknown[0]} (target {target})")
    divisions: dict[str, str] = {}
    if conflicts:
        wanted = pl.Series("id", list(conflicts), dtype=pl.String).implode()
        for frame in targets.frames():
            divisions |= dict(frame.filter(pl.col("id").is_in(wanted)).select("id", "division").iter_rows())
    if unknown := sorted(conflicts.keys() - divisions.keys()):
        raise DrawError(f"a conflict names the unknown target {unknown[0]}")
    return divisions


def covering(division: str) -> list[str]:
    """The divisions whose inspectors are competent for a target here: its own, its prefecture, its province."""
    return list(dict.fromkeys((division, division[:4] + "00", division[:2] + "0000")))


def choice(
    inspectors: Sequence[Inspector],
    division: str,
    qualification: str | None,
    apart: Mapping[str, str] | None = None,
) -> tuple[int, int]:
    """How many are competent for a target here without a conflict (`apart`), and how many of them qualified."""
    places = set(covering(division))
    able = [i for i in inspectors if i.division in places and i.id not in (apart or {})]
    return len(able), sum(1 for i in able if qualification is None or qualification in i.qualifications)


class Roster:
    """The inspectors of a draw, by division, lowest (load, duty ticket) first."""

    def __init__(self, seed: str, inspectors: Iterable[Inspector], qualification: str | None) -> None:
        self._inspectors = list(inspectors)
        self._prefix = [f"{seed}:inspector:{i.id}:".encode() for i in self._inspectors]
        self._load = [0] * len(self._inspectors)
        self._qualified = [
            qualification is None or qualification in i.qualifications for i in self._inspectors
        ]
        self._heaps: dict[str, _Heap] = defaultdict(list)
        self._qualified_heaps: dict[str, _Heap] = defaultdict(list)
        self._two_heaps = qualification is not None
        for number, inspector in enumerate(self._inspectors):
            entry = self._entry(number)
            self._heaps[inspector.division].append(entry)
            if self._two_heaps and self._qualified[number]:
                self._qualified_heaps[inspector.division].append(entry)
        for heap in (*self._heaps.values(), *self._qualified_heaps.values()):
            heapq.heapify(heap)
        self._of: dict[str, tuple[list[_Heap], list[_Heap]]] = {}

    @property
    def loads(self) -> dict[str, int]:
        """Visits of each inspector so far."""
        return {i.id: load for i, load in zip(self._inspectors, self._load, strict=True)}

    def assign(
        self, target: str, division: str, places: int, apart: Mapping[str, str]
    ) -> tuple[list[str], list[str]]:
        """The inspectors taken for a target, and those passed over for a conflict (`apart`)."""
        if division not in self._of:
            near = covering(division)
            self._of[division] = (
                [self._heaps[d] for d in near if d in self._heaps],
                [self._qualified_heaps[d] for d in near if d in self._qualified_heaps],
            )
        heaps, qualified_heaps = self._of[division]
        taken: list[int] = []
        passed: dict[str, None] = {}
        aside: list[tuple[_Heap, _Entry]] = []
        for place in range(places):
            last = place == places - 1
            narrow = last and self._two_heaps and not any(self._qualified[n] for n in taken)
            number = self._take(qualified_heaps if narrow else heaps, apart, passed, aside)
            if number is None:
                raise DrawError(f"target {target} cannot be given {places} inspectors")
            taken.append(number)
        for heap, entry in aside:
            heapq.heappush(heap, entry)
        for number in taken:
            self._put_back(number)
        return [self._inspectors[n].id for n in taken], list(passed)

    def _entry(self, number: int) -> _Entry:
        load = self._load[number]
        return load, sha256(self._prefix[number] + b"%d" % load).hexdigest(), number

    def _take(
        self,
        heaps: list[_Heap],
        apart: Mapping[str, str],
        passed: dict[str, None],
        aside: list[tuple[_Heap, _Entry]],
    ) -> int | None:
        """Takes the lowest out; who has a conflict goes aside for the rest of this target."""
        load = self._load
        while True:
            best: _Heap | None = None
            for heap in heaps:
                while heap and heap[0][0] != load[heap[0][2]]:
                    heapq.heappop(heap)  # taken meanwhile through the other heap
                if heap and (best is None or heap[0] < best[0]):
                    best = heap
            if best is None:
                return None
            entry = heapq.heappop(best)
            name = self._inspectors[entry[2]].id
            if name not in apart:
                load[entry[2]] += 1
                return entry[2]
            passed[name] = None
            aside.append((best, entry))

    def _put_back(self, number: int) -> None:
        entry = self._entry(number)
        division = self._inspectors[number].division
        heapq.heappush(self._heaps[division], entry)
        if self._two_heaps and self._qualified[number]:
            heapq.heappush(self._qualified_heaps[division], entry)


def assign(
    roster: Roster, targets: Iterable[tuple[str, str]], conflicts: Conflicts, places: int
) -> tuple[list[Assignment], list[Skipped]]:
    """Inspectors for all targets (id, division), in their order, and everyone passed over for a conflict."""
    nobody: dict[str, str] = {}
    assignments: list[Assignment] = []
    skipped: list[Skipped] = []
    for target, division in targets:
        apart = conflicts.get(target, nobody)
        taken, passed = roster.assign(target, division, places, apart)
        assignments.append(Assignment(target, taken))
        skipped += [Skipped(target, inspector, apart[inspector]) for inspector in passed]
    return assignments, skipped


class Infeasible(msgspec.Struct, frozen=True):
    """A target (or the number of them in a division) that cannot be given enough inspectors."""

    target: str
    division: str
    competent: int
    qualified: int


def count_by_division(
    inspectors: Sequence[Inspector], qualification: str | None
) -> dict[str, tuple[int, int]]:
    """Inspectors of each division, and the qualified among them."""
    able = Counter(i.division for i in inspectors)
    fit = Counter(
        i.division for i in inspectors if qualification is None or qualification in i.qualifications
    )
    return {division: (number, fit[division]) for division, number in able.items()}
