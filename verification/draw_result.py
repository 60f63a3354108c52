"""The result of a draw, computed again and compared with a transcript: strata, tickets, inspectors.

The report of a draw's verification: its checks, their verdict, and the parts that nothing given could show.

Voided draws: a void after the draw could be known shows everything that the discarded draw was made of.

A void carries all reveals and the public value. Without them it must be older than the public value: the value's time
lies in the future, or a timestamp in the chain's folder proves it. In a plan without a public value a reveal of that
announcement in the folder shows that somebody knew the secrets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import polars as pl
from msgspec import UnsetType

from schemas.draw import inspectors as staff
from schemas.draw import tickets
from schemas.draw.documents import (
    Announcement,
    Assignment,
    Excluded,
    RegisterSummary,
    Reveal,
    Skipped,
    Transcript,
    Void,
)
from schemas.draw.encoding import encode, shown_id
from schemas.draw.inspectors import smallest_choice
from schemas.draw.public import check_value, time_of
from schemas.draw.seed import check_reveal, in_order, seed_of
from schemas.draw.strata import DrawRegister, Frame, allocate, build_frame, check_single, placed
from schemas.errors import DrawError
from schemas.trust import TrustStore
from verification.draw_chain import Chain
from verification.publication import stamped_at


def compare_populations(announcement: Announcement, frame: Frame) -> None:
    """Raise DrawError where an announced population is not the register's."""
    for stratum in announcement.strata:
        actual = frame.populations[stratum.name]
        if actual != stratum.population:
            raise DrawError(
                f"stratum {stratum.name} has {actual} targets, not {stratum.population} / 总体数不符"
            )


def compare_counts(transcript: Transcript, announcement: Announcement, frame: Frame) -> None:
    """Raise DrawError where counts do not follow from the plan, or a stratum is not as announced."""
    due = allocate(announcement.plan, frame.populations)
    for announced, drawn in zip(announcement.strata, transcript.strata, strict=False):
        if announced.drawn != due[announced.name]:
            raise DrawError(
                f"of stratum {announced.name} {due[announced.name]} are due, not {announced.drawn}"
            )
        if (drawn.name, drawn.population, drawn.count) != (
            announced.name,
            announced.population,
            announced.drawn,
        ):
            raise DrawError(f"stratum {announced.name} is not as announced / 与公告不符")
    check_single(announcement.plan, frame.populations)
    if len(announcement.strata) != len(transcript.strata):
        raise DrawError("层与公告不符 / the transcript has other strata than the announcement")


def compare_tickets(
    transcript: Transcript,
    announcement: Announcement,
    targets: DrawRegister,
    frame: Frame,
    out: dict[str, str],
) -> str:
    """Return the number of drawn targets. Raise DrawError where others than the lowest tickets are listed."""
    due = {s.name: s.drawn for s in announcement.strata}
    if any(due[name] > frame.populations[name] for name in due):
        raise DrawError("抽取数多于总体 / more are drawn than there are")
    drawn = tickets.draw(
        announcement.plan,
        transcript.seed,
        frame.classes,
        due,
        lambda: frame.parts or placed(announcement.plan, targets, out),
    )
    for number, stratum in enumerate(announcement.plan.strata):
        own = drawn.filter(pl.col("stratum") == number)
        listed = transcript.strata[number].drawn if number < len(transcript.strata) else []
        if [d.id for d in listed] != own["id"].to_list():
            raise DrawError(
                f"stratum {stratum.name}: not the lowest tickets are drawn, in order / 抽取结果不符"
            )
        if [d.ticket for d in listed] != own["ticket"].to_list():
            raise DrawError(f"stratum {stratum.name}: a ticket is wrong / 签号不符")
    return f"{len(drawn)} drawn"


def assign_again(
    transcript: Transcript,
    announcement: Announcement,
    targets: DrawRegister,
    inspectors: DrawRegister,
    conflicts: DrawRegister | None,
) -> tuple[list[Assignment], list[Skipped]]:
    """Assign inspectors to the listed targets; another check compares the targets."""
    listed = [drawn.id for stratum in transcript.strata for drawn in stratum.drawn]
    wanted = pl.DataFrame({"id": listed}, schema={"id": pl.String})
    near = pl.concat(
        [
            wanted.join(frame.select("id", "division"), on="id", how="inner", maintain_order="left")
            for frame in targets.frames()
        ]
    )
    division = dict(near.iter_rows())
    if unknown := [target for target in listed if target not in division]:
        raise DrawError(f"抽中者不在名录中 / {shown_id(unknown[0])} was drawn, but is not in the register")
    staffed = staff.read_inspectors(inspectors, announcement.leave_period)
    apart = staff.read_conflicts(conflicts)
    staff.check_known(apart, staffed, targets)
    roster = staff.roster_of(announcement.plan, transcript.seed, staffed, len(listed))
    pairs = ((target, division[target]) for target in listed)
    return staff.assign(roster, pairs, apart, announcement.plan.groups)


def compare_assignments(transcript: Transcript, expected: tuple[list[Assignment], list[Skipped]]) -> str:
    """Return the number of visits. Raise DrawError where the inspectors are not those of the rule."""
    assignments, skipped = expected
    if len(assignments) != len(transcript.assignments):
        raise DrawError(
            f"分派数量不符 / {len(assignments)} targets need inspectors, not {len(transcript.assignments)}"
        )
    for due, listed in zip(assignments, transcript.assignments, strict=True):
        if due != listed:
            raise DrawError(
                f"target {shown_id(due.target)}: the rule gives {', '.join(map(shown_id, due.inspectors))} / 检查人员与规则不符"
            )
    if skipped != transcript.skipped:
        raise DrawError("`skipped` does not name exactly those who were passed over / 回避记录不符")
    return f"{len(assignments)} targets, {len(skipped)} passed over"


def compare_register(found: RegisterSummary, announced: RegisterSummary) -> str:
    if found.columns != announced.columns:
        raise DrawError(
            f"列与公告不符 / columns {','.join(found.columns)}, announced {','.join(announced.columns)}"
        )
    if found.count != announced.count:
        raise DrawError(f"{found.count} rows, announced {announced.count} / 记录数不符")
    if found.digest != announced.digest:
        raise DrawError(f"digest {found.digest}, announced {announced.digest} / 名录摘要不符")
    return f"{found.count} rows, {found.digest}"


def compare_root(targets: DrawRegister, salt: str, root: str) -> str:
    """Return the Merkle root of a register. Raise DrawError where the announced one is another."""
    if tickets.merkle_root(tickets.row_lines(targets), salt) != root:
        raise DrawError("名录的默克尔根与公告不符 / the register's Merkle root is not the announced one")
    return root


def compare_excluded(listed: list[Excluded], due: list[Excluded]) -> str:
    if listed != due:
        wrong = {(e.id, e.reason) for e in listed} ^ {(e.id, e.reason) for e in due}
        named = shown_id(min(wrong)[0]) if wrong else "their order"
        raise DrawError(f"the excluded targets do not follow from the files ({named}) / 排除名单不符")
    return f"{len(due)} excluded"


def compare_smallest_choice(
    announcement: Announcement,
    frame: Frame,
    targets: DrawRegister,
    inspectors: DrawRegister,
    conflicts: DrawRegister | None,
    out: dict[str, str],
) -> str:
    """Return the fewest inspectors of any target. Raise DrawError where the announcement gives another number."""
    people = staff.read_inspectors(inspectors, announcement.leave_period)
    apart = staff.read_conflicts(conflicts)
    found = smallest_choice(announcement.plan, frame, targets, people, apart, out)
    if announcement.smallest_choice not in (None, found):
        raise DrawError(
            f"可选检查人员最少 {found} 人，与公告不符 / the smallest choice of inspectors is {found}, announced "
            f"{announcement.smallest_choice}"
        )
    return str(found)


def compare_unavailable(announcement: Announcement, inspectors: DrawRegister) -> str:
    """Return how many inspectors cannot be drawn. Raise DrawError where the announcement counts others."""
    found = staff.unavailable(inspectors, staff.read_inspectors(inspectors, announcement.leave_period))
    if announcement.unavailable is not None and announcement.unavailable != found:
        raise DrawError(
            f"不可派人数与公告不符 / unavailable are {found}, announced {announcement.unavailable}"
        )
    return (
        "not announced"
        if announcement.unavailable is None
        else ", ".join(f"{n} {k}" for k, n in (found or {}).items())
    )


Unchecked = Literal["assignments", "earlier", "order", "parties", "public", "publication", "replacements"]


class DrawCheck(msgspec.Struct, frozen=True):
    """One check: its name, its result, and the details found."""

    name: str
    ok: bool
    detail: str


class DrawReport(msgspec.Struct, frozen=True):
    """The report on one transcript; `unchecked` names what the files given could not show."""

    verdict: Literal["valid", "invalid"]
    unchecked: list[Unchecked]
    checks: list[DrawCheck]


class Checklist:
    """The checks of one verification; each is made even after one failed."""

    def __init__(self) -> None:
        self._done: list[DrawCheck] = []

    def run(self, name: str, check: Callable[[], Any], detail: str = "") -> Any:
        """Run a check; return its result, or None where it failed. A text it returns is the detail."""
        try:
            found = check()
        except DrawError as error:
            self._done.append(DrawCheck(name, False, str(error)))
            return None
        self._done.append(DrawCheck(name, True, found if isinstance(found, str) else detail))
        return found

    def report(self, unchecked: list[Unchecked]) -> DrawReport:
        """Return the report over all checks so far."""
        verdict: Literal["valid", "invalid"] = "valid" if all(c.ok for c in self._done) else "invalid"
        return DrawReport(verdict, sorted(unchecked), self._done)


_SHOWN = 20  # A detail names so many targets of a discarded draw.


def check_voids(chain: Chain, trust: TrustStore, now: datetime) -> str:
    """Return the number of voids. Raise DrawError for a void without the reveals that it should carry."""
    for digest, void in chain.voids.items():
        announcement = chain.announced(digest)
        if announcement is not None:
            _check_void(void, announcement, chain, trust, now)
    return f"{len(chain.voids)} voided"


def seed_of_void(void: Void, announcement: Announcement, trust: TrustStore) -> str | None:
    """Return the seed of a discarded draw, or None where the void does not show it. Raise DrawError for wrong reveals."""
    source = announcement.plan.seed.public
    if isinstance(void.reveals, UnsetType):
        return None
    ordered = in_order(void.reveals, announcement, announcement.digest)
    if isinstance(source, UnsetType) != isinstance(void.public, UnsetType):
        return None
    check_value(void.public, source, trust)
    public = None if isinstance(void.public, UnsetType) else void.public
    return seed_of(announcement.digest, [reveal.secret for reveal in ordered], public)


def discarded(
    void: Void,
    announcement: Announcement,
    trust: TrustStore,
    targets: DrawRegister | None,
    left_out: Mapping[str, str] | None,
) -> str:
    """Describe a discarded draw: its seed and, where the register given is its own, its targets."""
    seed = seed_of_void(void, announcement, trust)
    if seed is None:
        return f"number {announcement.sequence} was voided before its public value"
    told = f"number {announcement.sequence}, seed {seed}"
    if targets is None or left_out is None or targets.summary() != announcement.registers.targets:
        return f"{told}; give its register to compute the discarded draw"
    plan = announcement.plan
    frame = build_frame(plan, targets, left_out)
    counts = {stratum.name: stratum.drawn for stratum in announcement.strata}
    drawn = tickets.draw(
        plan, seed, frame.classes, counts, lambda: frame.parts or placed(plan, targets, left_out)
    )
    ids: Sequence[str] = drawn["id"].to_list()
    more = f", and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{told}; it would have drawn {', '.join(map(shown_id, ids[:_SHOWN]))}{more}"


def _check_void(
    void: Void, announcement: Announcement, chain: Chain, trust: TrustStore, now: datetime
) -> None:
    number = announcement.sequence
    if seed_of_void(void, announcement, trust) is not None:
        return
    source = announcement.plan.seed.public
    if isinstance(source, UnsetType):
        if any(_fits(reveal, announcement) for reveal in chain.reveals):
            raise DrawError(
                f"第 {number} 号公告在公开秘密之后作废，但作废书未附全部秘密 / announcement {number} was voided after a reveal, "
                "and the void does not carry all reveals"
            )
        return
    at = time_of(source, trust)
    if at > now or _older(void, at, chain, trust):
        return
    raise DrawError(
        f"第 {number} 号公告的作废书未附全部秘密与公开随机数，也无证明早于该数 / the void of announcement {number} carries "
        "neither the reveals and the public value nor does a proof show it to be older than that value"
    )


def _fits(reveal: Reveal, announcement: Announcement) -> bool:
    for commitment in announcement.commitments:
        if commitment.party == reveal.party:
            try:
                check_reveal(reveal, commitment, announcement.digest)
            except DrawError:
                return False
            return True
    return False


def _older(void: Void, at: datetime, chain: Chain, trust: TrustStore) -> bool:
    digests = {hashlib.sha256(data).digest() for data in (encode(void), void.to_be_signed)}
    for token in chain.timestamps:
        try:
            if stamped_at(token, digests, trust) < at:
                return True
        except DrawError:
            continue
    return False
