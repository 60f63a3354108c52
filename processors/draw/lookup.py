"""Answers about a draw from its register: the chance and rank of a target, the figures of a plan, simulation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from heapq import nsmallest
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import polars as pl

from schemas.draw import inspectors as staff
from schemas.draw import tickets
from schemas.draw.documents import Announcement, Transcript
from schemas.draw.encoding import shown_id
from schemas.draw.plan import Plan
from schemas.draw.strata import (
    DrawRegister,
    Earlier,
    Sorter,
    allocate,
    build_frame,
    is_drawn_in,
    left_out,
    placed,
)
from schemas.draw.tickets import RowProof, chances, check_row
from schemas.errors import DrawError, NotFound

# A fair draw exceeds this quantile one time in a hundred thousand (Wilson-Hilferty approximation of χ²).
_Z = 4.265
_EXPECTED = 5  # χ² is not judged below so many expected cases of each kind.


def lookup(
    transcript: Transcript, announcement: Announcement, targets: DrawRegister, target: str
) -> dict[str, Any]:
    """Return one target's stratum, chance, ticket and rank.

    Raise DrawError where the register is not the announced one, NotFound where it has no such id.
    """
    plan = announcement.plan
    out = {e.id: e.reason for e in transcript.excluded if is_drawn_in(e.reason)}
    check_register(announcement, targets)
    found = _row(targets, target)
    if found is None:
        raise NotFound(
            f"名录中没有该对象 / the register has no target {shown_id(target)}", where=str(targets.path)
        )
    excluded = next((e.reason for e in transcript.excluded if e.id == target), None)
    if excluded:
        return {"id": shown_id(target), "stratum": None, "excluded": excluded}
    frame = build_frame(plan, targets, out)
    own = Sorter(plan, targets.columns, out).sort(found)[0]
    number, credit_class = own["stratum"][0], own["credit_class"][0]
    stratum = announcement.strata[number]
    ticket = tickets.ticket(transcript.seed, stratum.name, target, plan.weight(credit_class))
    rank = 1 + sum(_lower(plan, transcript.seed, number, part, ticket) for part in placed(plan, targets, out))
    visit = next((a.inspectors for a in transcript.assignments if a.target == target), [])
    chance = chance_by_class(plan, frame.classes, {s.name: s.drawn for s in announcement.strata})
    return {
        "id": shown_id(target),
        "stratum": stratum.name,
        "credit_class": credit_class,
        "population": stratum.population,
        "count": stratum.drawn,
        "chance": chance[stratum.name][credit_class],
        "ticket": ticket,
        "rank": rank,
        "drawn": rank <= stratum.drawn,
        "inspectors": [shown_id(i) for i in visit],
    }


def lookup_by_proof(transcript: Transcript, announcement: Announcement, proof: RowProof) -> dict[str, Any]:
    """Return stratum, ticket and result of a target from the proof of its row alone. Raise DrawError where it is wrong."""
    if announcement.targets_root is None:
        raise DrawError("公告没有名录的默克尔根 / the announcement has no Merkle root of its targets")
    if proof.columns != announcement.registers.targets.columns:
        raise DrawError("证明的列与公告不符 / the columns of the proof are not the announced ones")
    row, plan = check_row(proof, announcement.targets_root), announcement.plan
    target = row["id"]
    shown: dict[str, Any] = {"id": shown_id(target), "row": row | {"id": shown_id(target)}}
    if excluded := next((e.reason for e in transcript.excluded if e.id == target), None):
        return shown | {"stratum": None, "excluded": excluded}
    fits = (s for s in plan.strata if all(row.get(k) == v for k, v in s.conditions().items()))
    stratum = next(fits, None)
    if stratum is None:
        raise DrawError("该对象不属于任何一层，却未列入排除 / in no stratum, and not among the excluded")
    ticket = tickets.ticket(transcript.seed, stratum.name, target, plan.weight(row["credit_class"]))
    listed = next(s.drawn for s in transcript.strata if s.name == stratum.name)
    drawn = target in {d.id for d in listed}
    if drawn is not (bool(listed) and (ticket, target) <= (listed[-1].ticket, listed[-1].id)):
        raise DrawError("抽取结果与该对象的签号不符 / the result does not follow from this target's ticket")
    return shown | {"stratum": stratum.name, "ticket": ticket, "drawn": drawn}


def _row(targets: DrawRegister, target: str) -> pl.DataFrame | None:
    for frame in targets.frames():
        if len(found := frame.filter(pl.col("id") == target)):
            return found
    return None


def _lower(plan: Plan, seed: str, number: int, part: pl.DataFrame, ticket: str) -> int:
    """Count the tickets of a stratum that are lower than this one."""
    below = [""] * len(plan.strata)
    below[number] = ticket
    return len(tickets.candidates(plan, seed, part.filter(pl.col("stratum") == number), below))


def chance_by_class(
    plan: Plan, classes: Mapping[tuple[str, str], int], counts: Mapping[str, int]
) -> dict[str, dict[str, float]]:
    """Return the chance of being drawn, by stratum and credit class (empty: without one)."""
    result: dict[str, dict[str, float]] = {}
    for stratum in plan.strata:
        own = {c: n for (name, c), n in classes.items() if name == stratum.name}
        sizes: dict[int, int] = {}
        for credit_class, number in own.items():
            weight = plan.weight(credit_class)
            sizes[weight] = sizes.get(weight, 0) + number
        by_weight = chances(sizes, counts[stratum.name]) if sizes else {}
        result[stratum.name] = {c: by_weight[plan.weight(c)] for c in sorted(own)}
    return result


def preview(plan: Plan, targets: DrawRegister, earlier: Iterable[Earlier]) -> list[dict[str, Any]]:
    """Return the figures of a plan on a register: population, count and chances, a row for each stratum."""
    targets.summary()
    frame = build_frame(plan, targets, left_out(plan, earlier))
    counts = allocate(plan, frame.populations)
    chance = chance_by_class(plan, frame.classes, counts)
    return [
        {"stratum": n, "population": frame.populations[n], "drawn": counts[n], "chance": chance[n]}
        for n in counts
    ]


def simulate(
    plan: Plan,
    targets: DrawRegister,
    times: int,
    advance: Callable[[int], None],
    staffing: Staffed | None = None,
) -> list[dict[str, Any]]:
    """Draw a plan with many seeds; compare how often each target was drawn with its chance, a row for each stratum.

    With inspectors also how often each of those competent in a division comes to the first target drawn there, and,
    where the plan asks for no qualification, how often each pair of them does: both are equally likely.
    Seeds are hashes of a counter: the same call gives the same figures. `advance` is called after each draw.
    """
    frame = build_frame(plan, targets, {})
    counts = allocate(plan, frame.populations)
    people = pl.concat(list(placed(plan, targets, {})))
    members = [
        list(people.filter(pl.col("stratum") == n).select("id", "credit_class").iter_rows())
        for n in range(len(counts))
    ]
    sent = _Sent(plan, staffing) if staffing else None
    division = dict(people.select("id", "division").iter_rows())
    hits = {name: dict.fromkeys((i for i, _ in own), 0) for name, own in zip(counts, members, strict=True)}
    for n in range(times):
        seed = sha256(f"zhengzhao-simulation:{n}".encode()).hexdigest()
        first = ""
        for (name, count), own in zip(counts.items(), members, strict=True):
            made = ((tickets.ticket(seed, name, i, plan.weight(c)), i) for i, c in own)
            for _, target in nsmallest(count, made):
                hits[name][target] += 1
                first = first or target
        if sent and first:
            sent.visit(seed, first, division[first])
        advance(1)
    chance = chance_by_class(plan, frame.classes, counts)
    class_of = dict(people.select("id", "credit_class").iter_rows())
    return [
        _judged(name, times, hits[name], {i: chance[name][class_of[i]] for i in hits[name]}, counts[name])
        for name in counts
        if hits[name]
    ] + (sent.rows() if sent else [])


class Staffed(NamedTuple):
    """The inspectors of a simulation and their conflicts."""

    inspectors: Sequence[staff.DrawInspector]
    conflicts: staff.Conflicts


class _Sent:
    """The inspectors sent to the first target of each simulated draw, by the inspectors who could have been."""

    def __init__(self, plan: Plan, staffing: Staffed) -> None:
        self._plan, self._staffing = plan, staffing
        self._places = plan.groups[0][1]
        self._counts: dict[tuple[str, tuple[str, ...]], Counter[frozenset[str]]] = {}

    def visit(self, seed: str, target: str, division: str) -> None:
        """Assign inspectors to one target as a draw does, and count who came first and which pair came."""
        near, apart = set(staff.covering(division)), self._staffing.conflicts.get(target, {})
        people = [i for i in self._staffing.inspectors if i.division in near and not i.absent]
        roster = staff.roster_of(self._plan, seed, people, 1)
        (visit,), _ = staff.assign(roster, [(target, division)], {target: apart}, self._plan.groups)
        department = self._plan.groups[0][0]
        able = tuple(sorted(i.id for i in people if i.id not in apart and department in (None, i.department)))
        self._count(f"{division}: inspectors", able, visit.inspectors[:1])
        if self._plan.needs is None and self._places > 1:
            self._count(f"{division}: pairs", able, visit.inspectors[:2])

    def _count(self, name: str, able: tuple[str, ...], came: Sequence[str]) -> None:
        self._counts.setdefault((name, able), Counter())[frozenset(came)] += 1

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each group of equally likely inspectors or pairs that came often enough to be judged."""
        found = []
        for (name, able), counts in sorted(self._counts.items()):
            size = 2 if name.endswith("pairs") else 1
            times, ways = counts.total(), comb(len(able), size)
            if times < _EXPECTED * ways:
                continue
            each = (frozenset(some) for some in combinations(able, size))
            square = sum((counts[one] - times / ways) ** 2 / (times / ways) for one in each)
            limit = _limit_of(max(ways - 1, 1))
            apart = max(abs(counts[frozenset(some)] / times - 1 / ways) for some in combinations(able, size))
            found.append(
                {
                    "stratum": name, "targets": ways, "drawn": size, "draws": times, "largest_difference": round(apart, 6),
                    "chi_square": round(square, 2), "limit": round(limit, 2), "fair": square <= limit,
                }
            )  # fmt: skip
        return found


def _limit_of(freedom: int) -> float:
    """Return the value of χ² that a fair draw exceeds one time in a hundred thousand."""
    spread = 2 / (9 * freedom)
    return freedom * float((1 - spread + _Z * spread**0.5) ** 3)


def _judged(
    name: str, times: int, hits: Mapping[str, int], chance: Mapping[str, float], count: int
) -> dict[str, Any]:
    """Test the frequencies of a stratum by χ². Targets of one draw exclude each other, so the sum is scaled."""
    open_ = [i for i in hits if 0 < chance[i] < 1]
    square = sum((hits[i] - times * chance[i]) ** 2 / (times * chance[i] * (1 - chance[i])) for i in open_)
    freedom = max(len(open_) - 1, 1)
    # The expected value of the sum is the number of targets, not the degrees of freedom.
    square *= freedom / max(len(open_), 1)
    limit = _limit_of(freedom)
    apart = max((abs(hits[i] / times - chance[i]) for i in hits), default=0.0)
    return {
        "stratum": name,
        "targets": len(hits),
        "drawn": count,
        "draws": times,
        "largest_difference": round(apart, 6),
        "chi_square": round(square, 2),
        "limit": round(limit, 2),
        "fair": square <= limit and all(hits[i] == times * round(chance[i]) for i in hits if i not in open_),
    }


def check_register(announcement: Announcement, targets: DrawRegister) -> None:
    """Raise DrawError where a register is not the announced one."""
    if targets.summary() != announcement.registers.targets:
        raise DrawError("the register is not the announced one / 名录与公告不符", where=str(targets.path))
