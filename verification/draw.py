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
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
from msgspec import UnsetType

from schemas.draw import inspectors as staff
from schemas.draw.annual import AnnualPlan, compare_annual
from schemas.draw.documents import (
    NO_CONFLICTS,
    Announcement,
    Assignment,
    RegisterSummary,
    Skipped,
    Transcript,
    read_announcement,
)
from schemas.draw.plan import PublicSource
from schemas.draw.public import BeaconValue, check_value, time_of
from schemas.draw.seed import check_commitment, check_parties, check_signature, in_order, seed_of
from schemas.draw.strata import DrawRegister, Earlier, Frame, build_frame, is_drawn_in, left_out, read_earlier
from schemas.errors import DrawError
from schemas.trust import TrustStore
from verification import draw_chain
from verification.draw_chain import Chain, read_chain
from verification.draw_result import (
    Checklist,
    DrawReport,
    Unchecked,
    assign_again,
    check_voids,
    compare_assignments,
    compare_counts,
    compare_excluded,
    compare_populations,
    compare_register,
    compare_root,
    compare_smallest_choice,
    compare_tickets,
    compare_unavailable,
    discarded,
)
from verification.publication import published_at


class Files(msgspec.Struct, frozen=True):
    """The files given beside the transcript. Registers are opened late, so that their faults become failed checks."""

    targets: Callable[[], DrawRegister]
    inspectors: Callable[[], DrawRegister] | None = None
    conflicts: Callable[[], DrawRegister] | None = None
    earlier: Sequence[Callable[[], Earlier]] = ()
    chain: Path | None = None
    annual: AnnualPlan | None = None
    salt: str | None = None


def verify(transcript: Transcript, files: Files, trust: TrustStore, now: datetime) -> DrawReport:
    """Verify a transcript whose form is good (`schemas.draw.documents.read_transcript`)."""
    checks = Checklist()
    announcement = checks.run("announcement", lambda: _announcement(transcript))
    if announcement is None:
        return checks.report([])
    verifier = _Verifier(transcript, announcement, files, trust, checks, now)
    try:
        verifier.run()
    finally:
        verifier.close()
    return checks.report(sorted(verifier.unchecked))


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
        now: datetime,
    ) -> None:
        self.now = now
        self.transcript = transcript
        self.announcement = announcement
        self.plan = announcement.plan
        self.files = files
        self.trust = trust
        self.checks = checks
        self.unchecked: set[Unchecked] = set()
        self.chain: Chain | None = None
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
        if targets and self.files.salt and announcement.targets_root:
            salt, root = self.files.salt, announcement.targets_root
            self.checks.run("targets-root", lambda: compare_root(targets, salt, root))
        conflicts = self._register("conflicts", self.files.conflicts)
        inspectors = self._register("inspectors", self.files.inspectors)
        visits = (
            pool.submit(assign_again, transcript, announcement, targets, inspectors, conflicts)
            if targets and inspectors
            else None
        )
        self.checks.run(
            "signature",
            lambda: self._signed(transcript.signature, transcript.to_be_signed),
        )
        if self.files.annual is not None:
            year = self.files.annual
            self.checks.run("annual", lambda: compare_annual(year, self.plan))
        self._parties()
        self._seed()
        self._publication()
        self._order()
        earlier = self._earlier()
        strata = self._strata(targets, earlier) if targets else None
        if summary:
            self.checks.run(
                "targets", lambda: compare_register(summary.result(), announcement.registers.targets)
            )
        complete = conflicts is not None or not self._has_conflicts
        if inspectors and announcement.unavailable is not None:
            self.checks.run("unavailable", lambda: compare_unavailable(announcement, inspectors))
        self._assignments(visits, complete)
        if strata and targets and inspectors and complete:
            self.checks.run(
                "smallest-choice",
                lambda: compare_smallest_choice(
                    announcement, strata[0], targets, inspectors, conflicts, strata[1]
                ),
            )
        if self.chain:
            self._discarded(self.chain, targets)
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
                self.checks.run(name, lambda: compare_register(NO_CONFLICTS, announced))
            return None
        register: DrawRegister | None = self.checks.run(f"{name}-readable", lambda: self._opened(opening))
        if register is not None:
            self.checks.run(name, lambda: compare_register(register.summary(), announced))
        return register

    # 5. The seed.

    def _seed(self) -> None:
        for commitment in self.announcement.commitments:
            self.checks.run(f"commitment {commitment.party}", lambda c=commitment: check_commitment(c))  # type: ignore[misc]
        self.checks.run("reveals", self._reveals)
        self.checks.run("public", self._public)
        self.checks.run("seed", self._seed_follows)

    def _reveals(self) -> str:
        ordered = in_order(self.transcript.reveals, self.announcement, self.transcript.announcement_digest)
        if ordered != self.transcript.reveals:
            raise DrawError("公开的次序与公告不符 / the reveals are not in the order of the announcement")
        opened = [r.party for r in ordered if r.opened is True]
        return "opened by the supervisor: " + ", ".join(opened) if opened else f"{len(ordered)} parties"

    def _parties(self) -> None:
        unknown = self.checks.run(
            "parties", lambda: check_parties(self.announcement.commitments, self.plan, self.trust)
        )
        if unknown is None or unknown:
            self.unchecked.add("parties")

    def _public(self) -> str:
        source, value = self.plan.seed.public, self.transcript.public
        check_value(value, source, self.trust)
        if isinstance(source, UnsetType):
            return "none planned"
        at = time_of(source, self.trust)
        if at > self.now:
            raise DrawError(f"公开随机数的时间未到 / the public value does not exist before {at.isoformat()}")
        if isinstance(value, BeaconValue):
            return f"round {value.round} of {value.beacon}, {at.isoformat()}"
        self.unchecked.add("public")
        return f"look it up: {source.source} at {source.at}"

    def _publication(self) -> None:
        """Check the proofs that the announcement was published before the public value's time."""
        proofs, source = self.transcript.proofs, self.plan.seed.public
        if isinstance(proofs, UnsetType) or not proofs:
            self.unchecked.add("publication")
            return
        self.checks.run("publication", lambda: self._published(proofs, source))

    def _published(self, proofs: list[str], source: PublicSource | UnsetType) -> str:
        first = min(published_at(proof, self.announcement, self.trust) for proof in proofs)
        if isinstance(source, UnsetType):
            self.unchecked.add("publication")  # Without a public value there is no time to compare with.
            return f"published by {first.isoformat()}"
        at = time_of(source, self.trust)
        if first >= at:
            raise DrawError(
                f"公告的证明不早于公开随机数 / no proof is older than the public value ({first.isoformat()}, {at.isoformat()})"
            )
        return f"published by {first.isoformat()}, before {at.isoformat()}"

    def _seed_follows(self) -> None:
        public = None if isinstance(self.transcript.public, UnsetType) else self.transcript.public
        secrets = [reveal.secret for reveal in self.transcript.reveals]
        if seed_of(self.transcript.announcement_digest, secrets, public) != self.transcript.seed:
            raise DrawError("the seed does not follow from announcement and reveals / 种子不符")

    # 4. The targets that could be drawn.

    def _earlier(self) -> dict[str, str] | None:
        """Return the targets left out because of earlier draws; None where not all transcripts were given."""
        announced = set(self.announcement.earlier)
        given = self.checks.run("earlier", self._given_earlier)
        if self.chain is None:
            self.unchecked.add("earlier")
        if {past.digest for past in given or []} != announced:
            self.unchecked.add("earlier")
            return None
        return left_out(self.plan, given or [])

    def _given_earlier(self) -> list[Earlier]:
        found = [opening() for opening in self.files.earlier]
        if self.chain:
            if missing := self.chain.missing_earlier(self.announcement):
                raise DrawError(
                    f"公告遗漏同一事项的以往抽取 / the announcement does not name an earlier draw of its item ({missing[0]})",
                    where=str(self.chain.files[missing[0]][1]),
                )
            known = {past.digest for past in found}
            found += [
                read_earlier(path.read_bytes(), str(path))
                for digest, (_, path) in self.chain.files.items()
                if digest in self.announcement.earlier and digest not in known
            ]
        for past in found:
            if past.digest not in self.announcement.earlier:
                raise DrawError(
                    "不在公告所列的以往记录中 / this transcript is not among the announced earlier ones",
                    where=past.where,
                )
            body = past.transcript.to_be_signed
            check_signature(
                past.transcript.signature,
                body,
                past.announcement.plan.authority,
                self.trust,
                vouched=self.chain is not None,
            )
        return found

    def _strata(
        self, targets: DrawRegister, earlier: dict[str, str] | None
    ) -> tuple[Frame, dict[str, str]] | None:
        claimed = {e.id: e.reason for e in self.transcript.excluded if is_drawn_in(e.reason)}
        out = claimed if earlier is None else earlier
        frame: Frame | None = self.checks.run("strata", lambda: build_frame(self.plan, targets, out))
        if frame is None:
            return None
        self.checks.run("excluded", lambda: compare_excluded(self.transcript.excluded, frame.excluded))
        self.checks.run("populations", lambda: compare_populations(self.announcement, frame))
        self.checks.run("counts", lambda: compare_counts(self.transcript, self.announcement, frame))
        self.checks.run(
            "tickets", lambda: compare_tickets(self.transcript, self.announcement, targets, frame, out)
        )
        return frame, out

    # 7. The inspectors.

    def _assignments(
        self, visits: Future[tuple[list[Assignment], list[Skipped]]] | None, all_files: bool
    ) -> None:
        if visits is None or not all_files:
            self.unchecked.add("assignments")
            if visits is not None:
                visits.exception()
            return
        self.checks.run("assignments", lambda: compare_assignments(self.transcript, visits.result()))

    # 8. The chain.

    def _order(self) -> None:
        folder = self.files.chain
        if folder is None:
            self.unchecked.add("order")
            return
        self.checks.run("order", lambda: self._checked_chain(folder))

    def _checked_chain(self, folder: Path) -> str:
        self.chain = read_chain(folder, self.announcement, self.transcript, self.trust)
        found = self.chain.check()
        check_voids(self.chain, self.trust, self.now)
        return found

    def _discarded(self, chain: Chain, targets: DrawRegister | None) -> None:
        """Show each discarded draw that can be computed."""
        for digest, void in sorted(chain.voids.items(), key=lambda one: one[1].sequence):
            announcement = chain.announced(digest)
            if announcement is None or isinstance(void.reveals, UnsetType):
                continue
            past = [
                read_earlier(path.read_bytes(), str(path))
                for file, (_, path) in chain.files.items()
                if file in announcement.earlier
            ]
            out = left_out(announcement.plan, past) if len(past) == len(announcement.earlier) else None
            self.checks.run("discarded", partial(discarded, void, announcement, self.trust, targets, out))

    # 9. Replacements.

    def _replacements(
        self,
        targets: DrawRegister | None,
        inspectors: DrawRegister | None,
        conflicts: DrawRegister | None,
    ) -> None:
        if self.files.chain is None:
            self.unchecked.add("replacements")
            return
        files = draw_chain.recorded(self.files.chain, self.announcement)
        later = not isinstance(self.plan.replacements, UnsetType)
        absences = None
        if later and (chain := self.chain):
            own = (chain, self.announcement, self.trust)
            absences = self.checks.run("absences", lambda: draw_chain.absences_in(*own, len(files)))
            if not draw_chain.shown_before_round(absences or {}, chain, self.plan, self.trust):
                self.unchecked.add("replacements")
        if not files:
            return
        rolls = None
        if targets and inspectors:
            people = staff.read_inspectors(inspectors, self.announcement.leave_period)
            apart = staff.read_conflicts(conflicts)
            rolls = draw_chain.Rolls(targets, people, apart)
        else:
            self.unchecked.add("replacements")
        self.checks.run(
            "replacements",
            lambda: draw_chain.check(
                files, self.transcript, self.announcement, self.trust, rolls, absences or {}
            ),
        )
