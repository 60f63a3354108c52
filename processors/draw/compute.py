"""The draw as a computation: from plan and registers to an announcement, from reveals to a transcript.

The same files give the same bytes: no clock, key or chain enters here. `infra.draw.store` adds sequence, previous
and signatures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import polars as pl
from msgspec import UNSET, Raw

from schemas.draw import inspectors as staff
from schemas.draw import tickets
from schemas.draw.documents import (
    ALGORITHM,
    NO_CONFLICTS,
    Announcement,
    Assignment,
    Commitment,
    Registers,
    Reveal,
    Skipped,
    StratumResult,
    Transcript,
)
from schemas.draw.encoding import shown_id
from schemas.draw.plan import Plan, read_plan
from schemas.draw.registers import DrawRegister
from schemas.draw.seed import check_commitment, in_order, seed_of
from schemas.draw.strata import Earlier, Frame, allocate, build_frame, left_out, placed
from schemas.errors import DrawError

_NAMED = 20  # A message names so many of the targets that cannot be given inspectors.


class DrawInputs(msgspec.Struct, frozen=True):
    """The opened registers and earlier transcripts of a draw."""

    targets: DrawRegister
    inspectors: DrawRegister
    conflicts: DrawRegister | None
    earlier: list[Earlier]

    def summaries(self) -> Registers:
        """Return counts and digests of the three registers."""
        conflicts = self.conflicts.summary() if self.conflicts else NO_CONFLICTS
        return Registers(self.targets.summary(), self.inspectors.summary(), conflicts)

    @property
    def earlier_digests(self) -> list[str]:
        """The digests of the earlier transcripts, sorted, each once."""
        return sorted({past.digest for past in self.earlier})


class Prepared(msgspec.Struct, frozen=True):
    """An announcement without its place in the chain, and further figures for a page about it."""

    content: dict[str, Any]
    frame: Frame
    counts: dict[str, int]
    smallest_choice: (
        int | None
    )  # Over all targets the fewest inspectors to choose from; None without targets.


# --- announcing


def prepare(
    content: dict[str, Any], given: DrawInputs, commitments: Sequence[Commitment], where: str = ""
) -> Prepared:
    """Check plan, registers and commitments, and that every target can be visited. Raise DrawError otherwise."""
    plan = read_plan(content, where)
    promised = _commitments(plan, commitments)
    with ThreadPoolExecutor(1) as pool:
        summing = pool.submit(given.summaries)
        frame = build_frame(plan, given.targets, left_out(plan, given.earlier))
        registers = summing.result()
    counts = allocate(plan, frame.populations)
    smallest = check_feasible(plan, frame, given)
    strata = [
        raw | {"population": frame.populations[s.name], "drawn": counts[s.name]}
        for raw, s in zip(content["strata"], plan.strata, strict=True)
    ]
    announced = content | {
        "algorithm": ALGORITHM,
        "registers": msgspec.to_builtins(registers),
        "earlier": given.earlier_digests,
        "strata": strata,
        "commitments": msgspec.to_builtins(promised),
    }
    return Prepared(announced, frame, counts, smallest)


def _commitments(plan: Plan, given: Sequence[Commitment]) -> list[Commitment]:
    """Return one good commitment of each party, in the plan's order. Raise DrawError otherwise."""
    for commitment in given:
        check_commitment(commitment)
    by_party = {c.party: c for c in given}
    if len(by_party) != len(given):
        raise DrawError("同一参与方有两份承诺 / two commitments of one party")
    if missing := [p for p in plan.seed.parties if p not in by_party]:
        raise DrawError(
            f"缺少承诺 / no commitment of {', '.join(missing)}",
            hint="zhengzhao draw commit --party NAME -o SECRET.json",
        )
    if unknown := [p for p in by_party if p not in plan.seed.parties]:
        raise DrawError(f"{unknown[0]} is not a party of the plan / 不是抽查计划的参与方")
    if len({c.commitment for c in given}) != len(given):
        raise DrawError("两方承诺同一秘密 / two parties commit to the same secret")
    return [by_party[party] for party in plan.seed.parties]


def check_feasible(plan: Plan, frame: Frame, given: DrawInputs) -> int | None:
    """Return the smallest number of inspectors that any target has to choose from.

    Raise DrawError naming the targets that cannot be given enough. Loads have no upper limit, so each target is
    checked by itself: enough competent inspectors without a conflict, and one with the qualification.
    """
    inspectors = staff.read_inspectors(given.inspectors)
    conflicts = staff.read_conflicts(given.conflicts)
    divisions = staff.check_known(conflicts, inspectors, given.targets)
    needed, qualification = plan.inspectors_per_target, plan.needs
    counted = staff.count_by_division(inspectors, qualification)
    by_id = {i.id: i for i in inspectors}

    def choice(division: str, apart: Iterable[str] = ()) -> tuple[int, int]:
        near = [counted.get(d, (0, 0)) for d in staff.covering(division)]
        competent, fit = sum(n for n, _ in near), sum(q for _, q in near)
        places = set(staff.covering(division))
        out = [by_id[i] for i in apart if by_id[i].division in places]
        return competent - len(out), fit - sum(
            1 for i in out if qualification is None or qualification in i.qualifications
        )

    poor = {d for d in frame.divisions if (c := choice(d))[0] < needed or c[1] < 1}
    blocked = {
        target: choice(division, conflicts[target])
        for target, division in divisions.items()
        if division not in poor and division in frame.divisions
    }
    short = {target for target, (able, fit) in blocked.items() if able < needed or fit < 1}
    if poor or short:
        _refuse_infeasible(plan, given, poor, short)
    drawable = _drawable(plan, given, set(blocked))
    sizes = [choice(d)[0] for d in frame.divisions] + [blocked[t][0] for t in drawable]
    return min(sizes, default=None)


def _drawable(plan: Plan, given: DrawInputs, targets: set[str]) -> set[str]:
    """Return the targets among these that are in a population."""
    if not targets:
        return set()
    wanted = pl.Series("id", list(targets), dtype=pl.String).implode()
    out = left_out(plan, given.earlier)
    return {
        i
        for part in placed(plan, given.targets, out)
        for i in part.filter(pl.col("id").is_in(wanted))["id"].to_list()
    }


def _refuse_infeasible(plan: Plan, given: DrawInputs, poor: set[str], short: set[str]) -> None:
    """Raise DrawError where one of these targets is in a population."""
    out = left_out(plan, given.earlier)
    wanted = pl.Series("id", list(short), dtype=pl.String).implode()
    fits = pl.col("division").is_in(list(poor)) | pl.col("id").is_in(wanted)
    names: list[str] = []
    count = 0
    for part in placed(plan, given.targets, out):
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


# --- drawing


def check_given(announcement: Announcement, given: DrawInputs, *, earlier: bool = True) -> None:
    """Raise DrawError naming the register, or (`earlier`) the transcripts, that differ from the announced ones."""
    found = given.summaries()
    for name in ("targets", "inspectors", "conflicts"):
        announced, actual = getattr(announcement.registers, name), getattr(found, name)
        if announced != actual:
            raise DrawError(
                f"the {name} register is not the announced one / 名录与公告不符: "
                f"{actual.count} rows with digest {actual.digest}, announced {announced.count} with {announced.digest}",
                hint="draw from the very file that was announced; otherwise: draw void",
            )
    if earlier and announcement.earlier != given.earlier_digests:
        raise DrawError(
            f"{len(announcement.earlier)} earlier transcripts were announced, others were given",
            hint="--earlier for each of them",
        )


def check_public(announcement: Announcement, public: str | None) -> None:
    """Raise DrawError where a public number is missing, or given although the plan has none."""
    expected = announcement.plan.seed.public is not UNSET
    if expected and not public:
        raise DrawError("抽查计划要求公开随机数 / the plan requires a public number", hint="--public TEXT")
    if public is not None and not expected:
        raise DrawError("抽查计划没有公开随机数 / the plan has no public number", hint="leave --public out")


def _roster(announcement: Announcement, seed: str, given: DrawInputs) -> staff.Roster:
    plan = announcement.plan
    picks = sum(s.drawn for s in announcement.strata) * plan.inspectors_per_target
    return staff.Roster(seed, staff.read_inspectors(given.inspectors), plan.needs, picks)


def _assigned(
    plan: Plan, roster: staff.Roster, given: DrawInputs, drawn: pl.DataFrame
) -> tuple[list[Assignment], list[Skipped]]:
    pairs: Iterator[tuple[str, str]] = zip(drawn["id"].to_list(), drawn["division"].to_list(), strict=True)
    return staff.assign(roster, pairs, staff.read_conflicts(given.conflicts), plan.inspectors_per_target)


def compute(
    announcement: Announcement, given: DrawInputs, reveals: Sequence[Reveal], public: str | None = None
) -> Transcript:
    """Compute the transcript, unsigned. Raise DrawError where files or reveals are not the announced ones.

    Tickets use all processors and the roster one, so the roster is built beside the tickets, and the registers'
    digests are compared beside the assignment. A result from other files is discarded.
    """
    plan = announcement.plan
    digest = announcement.digest
    check_public(announcement, public)
    ordered = in_order(reveals, announcement, digest)
    seed = seed_of(digest, [r.secret for r in ordered], public)
    out = left_out(plan, given.earlier)
    frame = build_frame(plan, given.targets, out)
    counts = {s.name: s.drawn for s in announcement.strata}
    populations = {s.name: s.population for s in announcement.strata}
    if populations != frame.populations:
        check_given(announcement, given)
        raise DrawError("总体数与公告不符 / the populations are not the announced ones")
    with ThreadPoolExecutor(1) as pool:
        lining_up = pool.submit(_roster, announcement, seed, given)
        drawn = tickets.draw(
            plan, seed, frame.classes, counts, lambda: frame.parts or placed(plan, given.targets, out)
        )
        checking = pool.submit(check_given, announcement, given)
        try:
            assignments, skipped = _assigned(plan, lining_up.result(), given, drawn)
            lists = tickets.per_stratum(plan, drawn)
        finally:
            checking.result()  # A wrong register explains more than the errors that follow from it, so its error takes precedence.
    return Transcript(
        Raw(announcement.bytes),
        digest,
        ordered,
        seed,
        [
            StratumResult(s.name, s.population, s.drawn, d)
            for s, d in zip(announcement.strata, lists, strict=True)
        ],
        assignments,
        skipped,
        frame.excluded,
        UNSET if public is None else public,
    )
