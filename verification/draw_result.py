"""The result of a draw, computed again and compared with a transcript: strata, tickets, inspectors.

The report of a draw's verification: its checks, their verdict, and the parts that nothing given could show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import polars as pl

from schemas.draw import inspectors as staff
from schemas.draw import tickets
from schemas.draw.documents import Announcement, Assignment, Excluded, RegisterSummary, Skipped, Transcript
from schemas.draw.encoding import shown_id
from schemas.draw.feasibility import smallest_choice
from schemas.draw.registers import DrawRegister
from schemas.draw.strata import Frame, allocate, check_single, placed
from schemas.errors import DrawError


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
    staffed = staff.read_inspectors(inspectors)
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
    people, apart = staff.read_inspectors(inspectors), staff.read_conflicts(conflicts)
    found = smallest_choice(announcement.plan, frame, targets, people, apart, out)
    if announcement.smallest_choice not in (None, found):
        raise DrawError(
            f"可选检查人员最少 {found} 人，与公告不符 / the smallest choice of inspectors is {found}, announced "
            f"{announcement.smallest_choice}"
        )
    return str(found)


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
