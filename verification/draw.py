"""The check of a draw that relies on nothing but the trust folder.

It runs the shared rules of `schemas.draw` again; the independent second implementation is `verify_draw.py`.

1. The transcript is canonical and signed for its authority.
2. The announcement in it is canonical and signed, and the digest is its digest.
3. The registers given are the announced ones.
4. Populations, counts and exclusions follow from plan and register.
5. Each reveal fits its commitment and is signed for this announcement; the seed follows from them.
6. The lowest tickets are drawn, in their order.
7. The inspectors follow from seed, registers and conflicts.
8. The chain has no gap and no fork, and every announcement has a transcript or a void.
9. Each replacement recorded afterwards is the next in order, signed and with a reason.

Every check is made even after one fails. `unchecked` names the parts that the files given cannot show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import polars as pl
from msgspec import UNSET, UnsetType

from schemas.draw import inspectors as staff
from schemas.draw import tickets
from schemas.draw.documents import (
    NO_CONFLICTS,
    Announcement,
    Assignment,
    Excluded,
    RegisterSummary,
    Skipped,
    Transcript,
    read_announcement,
)
from schemas.draw.encoding import shown_id
from schemas.draw.registers import DrawRegister
from schemas.draw.seed import check_commitment, check_signature, in_order, seed_of
from schemas.draw.strata import Earlier, Frame, allocate, build_frame, is_drawn_in, left_out, placed
from schemas.errors import DrawError
from schemas.trust import TrustStore
from verification import draw_chain
from verification.draw_chain import check_chain
from verification.draw_report import Checklist, DrawReport, Unchecked


class Files(msgspec.Struct, frozen=True):
    """The files given beside the transcript. Registers are opened late, so that their faults become failed checks."""

    targets: Callable[[], DrawRegister]
    inspectors: Callable[[], DrawRegister] | None = None
    conflicts: Callable[[], DrawRegister] | None = None
    earlier: Sequence[Callable[[], Earlier]] = ()
    chain: Path | None = None


def verify(transcript: Transcript, files: Files, trust: TrustStore) -> DrawReport:
    """Verify a transcript whose form is good (`schemas.draw.documents.read_transcript`)."""
    checks = Checklist()
    announcement = checks.run("announcement", lambda: _announcement(transcript))
    if announcement is None:
        return checks.report([])
    verifier = _Verifier(transcript, announcement, files, trust, checks)
    try:
        verifier.run()
    finally:
        verifier.close()
    return checks.report(verifier.unchecked)


def _announcement(transcript: Transcript) -> Announcement:
    found = read_announcement(bytes(transcript.announcement), "announcement")
    if found.digest != transcript.announcement_digest:
        raise DrawError("announcement_digest is not the digest of the announcement / 公告摘要不符")
    return found


class _Verifier:
    def __init__(
        self,
        transcript: Transcript,
        announcement: Announcement,
        files: Files,
        trust: TrustStore,
        checks: Checklist,
    ) -> None:
        self.transcript = transcript
        self.announcement = announcement
        self.plan = announcement.plan
        self.files = files
        self.trust = trust
        self.checks = checks
        self.unchecked: list[Unchecked] = []
        self._open: list[DrawRegister] = []

    def close(self) -> None:
        for register in self._open:
            register.close()

    def run(self) -> None:
        with ThreadPoolExecutor(2) as pool:
            self._run(pool)

    def _run(self, pool: ThreadPoolExecutor) -> None:
        transcript, announcement = self.transcript, self.announcement
        self.checks.run(
            "announcement-signature",
            lambda: self._signed(announcement.signature, announcement.to_be_signed),
        )
        targets = self.checks.run("targets-readable", lambda: self._opened(self.files.targets))
        summary = pool.submit(targets.summary) if targets else None
        conflicts = self._register("conflicts", self.files.conflicts)
        inspectors = self._register("inspectors", self.files.inspectors)
        visits = pool.submit(self._visits, targets, inspectors, conflicts) if targets and inspectors else None
        self.checks.run(
            "signature",
            lambda: self._signed(transcript.signature, transcript.to_be_signed),
        )
        self._seed()
        earlier = self._earlier()
        if targets:
            self._strata(targets, earlier)
        if summary:
            self.checks.run("targets", lambda: _same(summary.result(), announcement.registers.targets))
        complete = conflicts is not None or not self._has_conflicts
        self._assignments(visits, complete)
        self._order()
        self._replacements(targets, inspectors if complete else None, conflicts)

    def _signed(self, signature: object, message: bytes) -> str:
        """Return the id of the signing key. With a chain a revoked key counts, since check 8 then vouches for it."""
        vouched = self.files.chain is not None
        return check_signature(signature, message, self.plan.authority, self.trust, vouched=vouched)

    @property
    def _has_conflicts(self) -> bool:
        return self.announcement.registers.conflicts.count > 0

    def _opened(self, opening: Callable[[], DrawRegister]) -> DrawRegister:
        register = opening()
        self._open.append(register)
        return register

    def _register(self, name: str, opening: Callable[[], DrawRegister] | None) -> DrawRegister | None:
        announced: RegisterSummary = getattr(self.announcement.registers, name)
        if opening is None:
            if name == "conflicts" and not self._has_conflicts:
                self.checks.run(name, lambda: _same(NO_CONFLICTS, announced))
            return None
        register: DrawRegister | None = self.checks.run(f"{name}-readable", lambda: self._opened(opening))
        if register is not None:
            self.checks.run(name, lambda: _same(register.summary(), announced))
        return register

    # 5. The seed.

    def _seed(self) -> None:
        transcript, announcement = self.transcript, self.announcement
        for commitment in announcement.commitments:
            self.checks.run(f"commitment {commitment.party}", lambda c=commitment: check_commitment(c))  # type: ignore[misc]
        self.checks.run("reveals", self._reveals)
        public = None if isinstance(transcript.public, UnsetType) else transcript.public
        self.checks.run("public", lambda: self._public(public))
        self.checks.run("seed", lambda: self._seed_follows(public))

    def _reveals(self) -> str:
        ordered = in_order(self.transcript.reveals, self.announcement, self.transcript.announcement_digest)
        if ordered != self.transcript.reveals:
            raise DrawError("公开的次序与公告不符 / the reveals are not in the order of the announcement")
        opened = [r.party for r in ordered if r.opened is True]
        return "opened by the supervisor: " + ", ".join(opened) if opened else f"{len(ordered)} parties"

    def _public(self, public: str | None) -> str:
        source = self.plan.seed.public
        if (source is UNSET) != (public is None):
            raise DrawError("a public number in one of plan and transcript only / 公开随机数与计划不符")
        if isinstance(source, UnsetType):
            return "none planned"
        if not public:
            raise DrawError("公开随机数为空 / the public number is empty")
        self.unchecked.append("public")
        return f"look it up: {source.source} at {source.at}"

    def _seed_follows(self, public: str | None) -> None:
        secrets = [reveal.secret for reveal in self.transcript.reveals]
        if seed_of(self.transcript.announcement_digest, secrets, public) != self.transcript.seed:
            raise DrawError("the seed does not follow from announcement and reveals / 种子不符")

    # 4. The targets that could be drawn.

    def _earlier(self) -> dict[str, str] | None:
        """Return the targets left out because of earlier draws; None where not all transcripts were given."""
        announced = self.announcement.earlier
        found = self.checks.run("earlier", self._given_earlier) if self.files.earlier else []
        if announced and {past.digest for past in found or []} != set(announced):
            self.unchecked.append("earlier")
            return None
        return left_out(self.plan, found or [])

    def _given_earlier(self) -> list[Earlier]:
        found = [opening() for opening in self.files.earlier]
        for past in found:
            if past.digest not in self.announcement.earlier:
                raise DrawError(
                    "不在公告所列的以往记录中 / this transcript is not among the announced earlier ones",
                    where=past.where,
                )
            body = past.transcript.to_be_signed
            check_signature(past.transcript.signature, body, past.announcement.plan.authority, self.trust)
        return found

    def _strata(self, targets: DrawRegister, earlier: dict[str, str] | None) -> None:
        claimed = {e.id: e.reason for e in self.transcript.excluded if is_drawn_in(e.reason)}
        out = claimed if earlier is None else earlier
        frame: Frame | None = self.checks.run("strata", lambda: build_frame(self.plan, targets, out))
        if frame is None:
            return
        self.checks.run("excluded", lambda: _same_excluded(self.transcript.excluded, frame.excluded))
        self.checks.run("populations", lambda: self._populations(frame))
        self.checks.run("counts", lambda: self._counts(frame))
        self.checks.run("tickets", lambda: self._tickets(targets, frame, out))

    def _populations(self, frame: Frame) -> None:
        for stratum in self.announcement.strata:
            actual = frame.populations[stratum.name]
            if actual != stratum.population:
                raise DrawError(
                    f"stratum {stratum.name} has {actual} targets, not {stratum.population} / 总体数不符"
                )

    def _counts(self, frame: Frame) -> None:
        due = allocate(self.plan, frame.populations)
        for announced, drawn in zip(self.announcement.strata, self.transcript.strata, strict=False):
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
        if len(self.announcement.strata) != len(self.transcript.strata):
            raise DrawError("层与公告不符 / the transcript has other strata than the announcement")

    # 6. The drawn targets.

    def _tickets(self, targets: DrawRegister, frame: Frame, out: dict[str, str]) -> str:
        due = {s.name: s.drawn for s in self.announcement.strata}
        if any(due[name] > frame.populations[name] for name in due):
            raise DrawError("抽取数多于总体 / more are drawn than there are")
        drawn = tickets.draw(
            self.plan,
            self.transcript.seed,
            frame.classes,
            due,
            lambda: frame.parts or placed(self.plan, targets, out),
        )
        for number, stratum in enumerate(self.plan.strata):
            own = drawn.filter(pl.col("stratum") == number)
            listed = self.transcript.strata[number].drawn if number < len(self.transcript.strata) else []
            if [d.id for d in listed] != own["id"].to_list():
                raise DrawError(
                    f"stratum {stratum.name}: not the lowest tickets are drawn, in order / 抽取结果不符"
                )
            if [d.ticket for d in listed] != own["ticket"].to_list():
                raise DrawError(f"stratum {stratum.name}: a ticket is wrong / 签号不符")
        return f"{len(drawn)} drawn"

    # 7. The inspectors.

    def _visits(
        self, targets: DrawRegister, inspectors: DrawRegister, conflicts: DrawRegister | None
    ) -> tuple[list[Assignment], list[Skipped]]:
        """Assign inspectors to the listed targets; another check compares the targets."""
        listed = [drawn.id for stratum in self.transcript.strata for drawn in stratum.drawn]
        wanted = pl.DataFrame({"id": listed}, schema={"id": pl.String})
        near = pl.concat(
            [
                wanted.join(frame.select("id", "division"), on="id", how="inner", maintain_order="left")
                for frame in targets.frames()
            ]
        )
        division = dict(near.iter_rows())
        if unknown := [target for target in listed if target not in division]:
            raise DrawError(
                f"抽中者不在名录中 / {shown_id(unknown[0])} was drawn, but is not in the register"
            )
        staffed = staff.read_inspectors(inspectors)
        apart = staff.read_conflicts(conflicts)
        staff.check_known(apart, staffed, targets)
        places = self.plan.inspectors_per_target
        roster = staff.Roster(self.transcript.seed, staffed, self.plan.needs, len(listed) * places)
        pairs = ((target, division[target]) for target in listed)
        return staff.assign(roster, pairs, apart, places)

    def _assignments(
        self, visits: Future[tuple[list[Assignment], list[Skipped]]] | None, all_files: bool
    ) -> None:
        if visits is None or not all_files:
            self.unchecked.append("assignments")
            if visits is not None:
                visits.exception()
            return
        self.checks.run("assignments", lambda: self._same_assignments(visits.result()))

    def _same_assignments(self, expected: tuple[list[Assignment], list[Skipped]]) -> str:
        assignments, skipped = expected
        if len(assignments) != len(self.transcript.assignments):
            raise DrawError(
                f"分派数量不符 / {len(assignments)} targets need inspectors, not {len(self.transcript.assignments)}"
            )
        for due, listed in zip(assignments, self.transcript.assignments, strict=True):
            if due != listed:
                raise DrawError(
                    f"target {shown_id(due.target)}: the rule gives {', '.join(map(shown_id, due.inspectors))} / 检查人员与规则不符"
                )
        if skipped != self.transcript.skipped:
            raise DrawError("`skipped` does not name exactly those who were passed over / 回避记录不符")
        return f"{len(assignments)} targets, {len(skipped)} passed over"

    # 8. The chain.

    def _order(self) -> None:
        folder = self.files.chain
        if folder is None:
            self.unchecked.append("order")
            return
        self.checks.run("order", lambda: check_chain(folder, self.announcement, self.transcript, self.trust))

    # 9. Replacements.

    def _replacements(
        self,
        targets: DrawRegister | None,
        inspectors: DrawRegister | None,
        conflicts: DrawRegister | None,
    ) -> None:
        files = draw_chain.recorded(self.files.chain, self.announcement)
        if not files:
            return
        rolls = None
        if targets and inspectors:
            people, apart = staff.read_inspectors(inspectors), staff.read_conflicts(conflicts)
            rolls = draw_chain.Rolls(targets, people, apart)
        else:
            self.unchecked.append("replacements")
        self.checks.run(
            "replacements",
            lambda: draw_chain.check(files, self.transcript, self.announcement, self.trust, rolls),
        )


def _same(found: RegisterSummary, announced: RegisterSummary) -> str:
    if found.columns != announced.columns:
        raise DrawError(
            f"列与公告不符 / columns {','.join(found.columns)}, announced {','.join(announced.columns)}"
        )
    if found.count != announced.count:
        raise DrawError(f"{found.count} rows, announced {announced.count} / 记录数不符")
    if found.digest != announced.digest:
        raise DrawError(f"digest {found.digest}, announced {announced.digest} / 名录摘要不符")
    return f"{found.count} rows, {found.digest}"


def _same_excluded(listed: list[Excluded], due: list[Excluded]) -> str:
    if listed != due:
        wrong = {(e.id, e.reason) for e in listed} ^ {(e.id, e.reason) for e in due}
        named = shown_id(min(wrong)[0]) if wrong else "their order"
        raise DrawError(f"the excluded targets do not follow from the files ({named}) / 排除名单不符")
    return f"{len(due)} excluded"
