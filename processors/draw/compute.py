"""The draw as a computation: from plan and registers to an announcement, from reveals to a transcript.

The same files give the same bytes: no clock, key or chain enters here. `infra.draw.store` adds sequence, previous
and signatures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
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
from schemas.draw.inspectors import smallest_choice
from schemas.draw.plan import Plan, read_plan
from schemas.draw.public import PublicValue, refuse_times
from schemas.draw.seed import check_commitment, check_parties, end_of_period, in_order, seed_of
from schemas.draw.strata import (
    DrawRegister,
    Earlier,
    Frame,
    allocate,
    build_frame,
    check_single,
    left_out,
    placed,
)
from schemas.errors import DrawError
from schemas.trust import TrustStore


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
    content: dict[str, Any],
    given: DrawInputs,
    commitments: Sequence[Commitment],
    trust: TrustStore,
    now: datetime,
    where: str = "",
    salt: str = "",
) -> Prepared:
    """Check plan, registers, parties and times, and that every target can be visited. Raise DrawError otherwise.

    `salt` is that of the register's Merkle root, in a plan with `row_proofs`.
    """
    plan = read_plan(content, where)
    promised = _commitments(plan, commitments)
    check_parties(promised, plan, trust, now)
    refuse_times(plan.seed.reveal_by, plan.seed.public, end_of_period(plan), trust, now)
    out = left_out(plan, given.earlier)
    with ThreadPoolExecutor(1) as pool:
        summing = pool.submit(given.summaries)
        frame = build_frame(plan, given.targets, out)
        registers = summing.result()
    counts = allocate(plan, frame.populations)
    check_single(plan, frame.populations)
    people, apart = (
        staff.read_inspectors(given.inspectors, plan.period),
        staff.read_conflicts(given.conflicts),
    )
    absent = staff.unavailable(given.inspectors, people)
    smallest = smallest_choice(plan, frame, given.targets, people, apart, out)
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
        "smallest_choice": smallest,
    }
    if plan.row_proofs is True:
        announced["targets_root"] = tickets.merkle_root(tickets.row_lines(given.targets), salt)
    if absent is not None:
        announced["unavailable"] = absent
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


def _assigned(
    plan: Plan, roster: staff.Roster, given: DrawInputs, drawn: pl.DataFrame
) -> tuple[list[Assignment], list[Skipped]]:
    pairs: Iterator[tuple[str, str]] = zip(drawn["id"].to_list(), drawn["division"].to_list(), strict=True)
    return staff.assign(roster, pairs, staff.read_conflicts(given.conflicts), plan.groups)


def compute(
    announcement: Announcement,
    given: DrawInputs,
    reveals: Sequence[Reveal],
    public: PublicValue | None = None,
) -> Transcript:
    """Compute the transcript, unsigned. Raise DrawError where files or reveals are not the announced ones.

    Tickets use all processors and the roster one, so the roster is built beside the tickets, and the registers'
    digests are compared beside the assignment. A result from other files is discarded.
    """
    plan = announcement.plan
    digest = announcement.digest
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
        people = staff.read_inspectors(given.inspectors, announcement.leave_period)
        lining_up = pool.submit(staff.roster_of, plan, seed, people, sum(counts.values()))
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
