"""Answers about a draw that need its register: one target's chance and rank, a plan's figures, many draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from typing import Any

import polars as pl

from schemas.draw.registers import DrawRegister
from schemas.draw import tickets
from schemas.draw.documents import Announcement, Transcript
from schemas.draw.encoding import read_file, shown_id
from schemas.draw.plan import Plan, parse_toml, read_plan
from schemas.draw.strata import Sorter, allocate, build_frame, is_drawn_in, left_out, placed, read_earlier
from schemas.draw.tickets import chances
from schemas.errors import DrawError, NotFound

# χ² beyond which a fair draw goes one time in a hundred thousand, by the Wilson-Hilferty approximation
_Z = 4.265


def lookup(transcript: Transcript, announcement: Announcement, register: Path, target: str) -> dict[str, Any]:
    """One target's stratum, chance, ticket and rank; NotFound where the register has no such id."""
    plan = announcement.plan
    out = {e.id: e.reason for e in transcript.excluded if is_drawn_in(e.reason)}
    with DrawRegister(register, "targets") as targets:
        check_register(announcement, targets)
        found = _row(targets, target)
        if found is None:
            raise NotFound(
                f"the register has no target {shown_id(target)} / 名录中没有该对象", where=str(register)
            )
        excluded = next((e.reason for e in transcript.excluded if e.id == target), None)
        if excluded:
            return {"id": shown_id(target), "stratum": None, "excluded": excluded}
        frame = build_frame(plan, targets, out)
        own = Sorter(plan, targets.columns, out).sort(found)[0]
        number, credit_class = own["stratum"][0], own["credit_class"][0]
        stratum = announcement.strata[number]
        ticket = tickets.ticket(transcript.seed, stratum.name, target, plan.weight(credit_class))
        rank = 1 + sum(
            _lower(plan, transcript.seed, number, part, ticket) for part in placed(plan, targets, out)
        )
    visit = next((a.inspectors for a in transcript.assignments if a.target == target), [])
    return {
        "id": shown_id(target),
        "stratum": stratum.name,
        "credit_class": credit_class,
        "population": stratum.population,
        "count": stratum.drawn,
        "chance": chance_by_class(plan, frame.classes, {s.name: s.drawn for s in announcement.strata})[
            stratum.name
        ][credit_class],
        "ticket": ticket,
        "rank": rank,
        "drawn": rank <= stratum.drawn,
        "inspectors": [shown_id(i) for i in visit],
    }


def _row(targets: DrawRegister, target: str) -> pl.DataFrame | None:
    for frame in targets.frames():
        if len(found := frame.filter(pl.col("id") == target)):
            return found
    return None


def _lower(plan: Plan, seed: str, number: int, part: pl.DataFrame, ticket: str) -> int:
    """How many tickets of a stratum are lower than this one."""
    below = [""] * len(plan.strata)
    below[number] = ticket
    return len(tickets.candidates(plan, seed, part.filter(pl.col("stratum") == number), below))


def chance_by_class(
    plan: Plan, classes: Mapping[tuple[str, str], int], counts: Mapping[str, int]
) -> dict[str, dict[str, float]]:
    """The chance of being drawn, by stratum and credit class (empty: without one)."""
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


def preview(plan: Plan, register: Path, earlier: Sequence[Path]) -> list[dict[str, Any]]:
    """What a plan would draw, a row for each stratum."""
    out = left_out(plan, [read_earlier(path) for path in earlier])
    with DrawRegister(register, "targets") as targets:
        targets.summary()
        frame = build_frame(plan, targets, out)
    counts = allocate(plan, frame.populations)
    chance = chance_by_class(plan, frame.classes, counts)
    return [
        {"stratum": n, "population": frame.populations[n], "drawn": counts[n], "chance": chance[n]}
        for n in counts
    ]


def simulate(
    plan_file: Path, register: Path, times: int, advance: Callable[[int], None]
) -> list[dict[str, Any]]:
    """Draws a plan with many seeds; how often each class was drawn, against its chance, a row for each stratum.

    Seeds are hashes of a counter: the same call gives the same figures.
    """
    plan = read_plan(parse_toml(read_file(plan_file), str(plan_file)), str(plan_file))
    with DrawRegister(register, "targets") as targets:
        frame = build_frame(plan, targets, {})
        counts = allocate(plan, frame.populations)
        people = pl.concat(list(placed(plan, targets, {})))
    members = [
        list(people.filter(pl.col("stratum") == n).select("id", "credit_class").iter_rows())
        for n in range(len(counts))
    ]
    hits = {name: dict.fromkeys((i for i, _ in own), 0) for name, own in zip(counts, members, strict=True)}
    for n in range(times):
        seed = sha256(f"zhengzhao-simulation:{n}".encode()).hexdigest()
        for (name, count), own in zip(counts.items(), members, strict=True):
            made = ((tickets.ticket(seed, name, i, plan.weight(c)), i) for i, c in own)
            for _, target in nsmallest(count, made):
                hits[name][target] += 1
        advance(1)
    chance = chance_by_class(plan, frame.classes, counts)
    class_of = dict(people.select("id", "credit_class").iter_rows())
    return [
        _judged(name, times, hits[name], {i: chance[name][class_of[i]] for i in hits[name]}, counts[name])
        for name in counts
        if hits[name]
    ]


def _judged(
    name: str, times: int, hits: Mapping[str, int], chance: Mapping[str, float], count: int
) -> dict[str, Any]:
    """χ² of the frequencies of a stratum. Targets of one draw exclude each other, so it is put into proportion."""
    open_ = [i for i in hits if 0 < chance[i] < 1]
    square = sum((hits[i] - times * chance[i]) ** 2 / (times * chance[i] * (1 - chance[i])) for i in open_)
    freedom = max(len(open_) - 1, 1)
    square *= freedom / max(len(open_), 1)  # the mean of the sum is the number of targets
    limit = freedom * (1 - 2 / (9 * freedom) + _Z * (2 / (9 * freedom)) ** 0.5) ** 3
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
    """DrawError where a register is not the announced one."""
    if targets.summary() != announcement.registers.targets:
        raise DrawError("the register is not the announced one / 名录与公告不符", where=str(targets.path))
