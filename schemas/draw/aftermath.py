"""The rule of replacement: the next in order for a target or an inspector that is unavailable after a draw.

A target that cannot be visited (moved away, dissolved) is followed by the next ticket of its stratum. An inspector
who cannot come to one target is followed by the lowest (load, duty ticket) of those who may, loads being those after
the draw and all replacements before this one.

Replacements recorded after a draw, and the visits as they stand after them.

Replacements of a transcript are numbered from 1, each naming the digest of the one before, signed and with a reason.
The rule that gives the next in order is in `schemas.draw.aftermath`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl
from msgspec import UNSET, UnsetType

from schemas.draw import inspectors as staff
from schemas.draw import tickets
from schemas.draw.documents import Announcement, Assignment, Signature, Transcript
from schemas.draw.encoding import convert, encode, is_text, parse_json, shown_id
from schemas.draw.public import BeaconValue, seed_part
from schemas.draw.strata import DrawRegister, build_frame, is_drawn_in, placed
from schemas.errors import DrawError

MAX_BYTES = (
    1 << 20
)  # Size of one replacement; a larger file in a chain's folder need not be read in search of them.


class Replacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One replacement. `target` names the visit that an unavailable inspector cannot make; else a target is replaced.

    `previous` is the SHA-256 of the transcript, or of the replacement before. `next` comes in for `unavailable`; a new
    target has its ticket and its inspectors.
    """

    replacement: str  # announcement_digest
    authority: str
    number: int
    previous: str
    unavailable: str
    reason: str
    next: str
    target: str | UnsetType = UNSET
    ticket: str | UnsetType = UNSET
    inspectors: list[str] | UnsetType = UNSET
    absence: str | UnsetType = UNSET  # SHA-256 of the absence, in a plan with a beacon for replacements
    public: BeaconValue | UnsetType = UNSET  # the round that gives the order
    signature: Signature | UnsetType = UNSET

    @property
    def to_be_signed(self) -> bytes:
        """The canonical bytes without the signature."""
        return encode(msgspec.structs.replace(self, signature=UNSET))


class Absence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The announcement of an absence in a plan with a beacon for replacements: the order comes from `round`, later.

    It has the number of the replacement to come; `previous` is the SHA-256 of the transcript, or of the replacement
    before.
    """

    absence: str  # announcement_digest
    authority: str
    number: int
    previous: str
    unavailable: str
    reason: str
    round: int
    target: str | UnsetType = UNSET
    signature: Signature | UnsetType = UNSET

    @property
    def to_be_signed(self) -> bytes:
        """The canonical bytes without the signature."""
        return encode(msgspec.structs.replace(self, signature=UNSET))

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of the whole file, which the replacement names."""
        return hashlib.sha256(encode(self)).hexdigest()


def read_absence(data: bytes, where: str = "") -> Absence:
    """Read an absence from its bytes. Raise DrawError where its form is wrong or it is not canonical."""
    found = convert(parse_json(data, where), Absence, where)
    if encode(found) != data or not is_text(found.reason):
        raise DrawError(
            "缺席记录不规范或缺少理由 / the absence is not canonical or gives no reason", where=where
        )
    return found


class PublishedDraw(msgspec.Struct, frozen=True):
    """An announcement as published, with its transcript and the replacements recorded since, where there are any."""

    announcement: Announcement
    transcript: Transcript | None
    replacements: list[Replacement] = []  # in the order of their numbers

    def visits(self) -> list[tuple[str, list[str]]]:
        """List the targets to visit and their inspectors as they stand after the replacements."""
        assignments = self.transcript.assignments if self.transcript else []
        return list(visits_after(assignments, self.replacements).items())


def read_replacement(data: bytes, where: str = "") -> Replacement:
    """Read a replacement from its bytes. Raise DrawError where its form is wrong or it is not canonical."""
    if len(data) > MAX_BYTES:
        raise DrawError("递补记录过长 / the replacement is longer than 1 MiB", where=where)
    found = convert(parse_json(data, where), Replacement, where)
    if encode(found) != data or not is_text(found.reason):
        raise DrawError(
            "递补记录不规范或缺少理由 / the replacement is not canonical or gives no reason", where=where
        )
    return found


def visits_after(assignments: Sequence[Assignment], done: Sequence[Replacement]) -> dict[str, list[str]]:
    """Return the inspectors by target as they stand after some replacements, in the order of the draw."""
    visits = {a.target: list(a.inspectors) for a in assignments}
    for one in sorted(done, key=lambda r: r.number):
        if isinstance(one.target, str):
            visits[one.target] = [one.next if i == one.unavailable else i for i in visits.get(one.target, [])]
        else:
            visits.pop(one.unavailable, None)
            visits[one.next] = list(one.inspectors) if isinstance(one.inspectors, list) else []
    return visits


def _check_reason(reason: str) -> None:
    if not is_text(reason):
        raise DrawError(
            "递补须写明理由（一行文字）/ a replacement needs a reason, in one line", hint='--reason "…"'
        )


class Aftermath:
    """A draw as it stands after the replacements applied so far."""

    def __init__(
        self,
        transcript: Transcript,
        announcement: Announcement,
        targets: DrawRegister,
        inspectors: Sequence[staff.DrawInspector],
        conflicts: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._transcript = transcript
        self._announcement = announcement
        self._plan = announcement.plan
        self._targets = targets
        self._inspectors = {i.id: i for i in inspectors}
        self._conflicts = conflicts
        self._previous = hashlib.sha256(encode(transcript)).hexdigest()
        self._seed = transcript.seed  # of the order in which the next one is taken
        self._number = 0
        self._stratum = {d.id: s.name for s in transcript.strata for d in s.drawn}
        self._visits = {a.target: list(a.inspectors) for a in transcript.assignments}
        self._loads = Counter(i for a in transcript.assignments for i in a.inspectors)
        self._out: set[str] = set()  # The targets that were replaced.
        self._away: dict[str, set[str]] = {}  # By target the inspectors who cannot come.

    def absent(self, unavailable: str, reason: str, target: str | None, round_: int) -> Absence:
        """Return the announcement of an absence, unsigned, whose replacement a later round orders."""
        _check_reason(reason)
        if target is None:
            self._refuse_not_visited(unavailable)
        else:
            self._refuse_not_sent(unavailable, target)
        return Absence(
            self._transcript.announcement_digest, self._plan.authority, self._number + 1, self._previous, unavailable,
            reason.strip(), round_, UNSET if target is None else target,
        )  # fmt: skip

    def ordered(self, absence: Absence, value: BeaconValue) -> Replacement:
        """Return the replacement of an announced absence, unsigned, in the order that the round gives."""
        parts = (self._transcript.seed, absence.digest, seed_part(value))
        self._seed = hashlib.sha256(":".join(parts).encode()).hexdigest()
        target = None if isinstance(absence.target, UnsetType) else absence.target
        found = self._next(absence.unavailable, absence.reason, target)
        return msgspec.structs.replace(found, absence=absence.digest, public=value)

    def next(self, unavailable: str, reason: str, target: str | None) -> Replacement:
        """Return the replacement of somebody, unsigned. Raise DrawError where nobody is left or nobody needs replacing."""
        if self._plan.replacements is not UNSET:
            raise DrawError("递补次序取自信标轮次 / the order of a replacement comes from a beacon's round")
        return self._next(unavailable, reason, target)

    def _next(self, unavailable: str, reason: str, target: str | None) -> Replacement:
        _check_reason(reason)
        made: dict[str, Any] = (
            self._next_target(unavailable) if target is None else self._next_inspector(unavailable, target)
        )
        return Replacement(
            replacement=self._transcript.announcement_digest,
            authority=self._plan.authority,
            number=self._number + 1,
            previous=self._previous,
            unavailable=unavailable,
            reason=reason.strip(),
            **made,
        )

    def apply(self, done: Replacement, absence: Absence | None = None) -> None:
        """Apply a recorded replacement. Raise DrawError where it is not the one that the rule gives.

        In a plan with a beacon for replacements it follows from the announced absence and its round.
        """
        target = None if isinstance(done.target, UnsetType) else done.target
        if absence is not None and isinstance(done.public, BeaconValue):
            due = self.ordered(absence, done.public)
        else:
            due = self.next(done.unavailable, done.reason, target)
        if msgspec.structs.replace(done, signature=UNSET) != due:
            raise DrawError(f"replacement {done.number} is not the next in order / 递补不符合次序")
        self._number = done.number
        self._previous = hashlib.sha256(encode(done)).hexdigest()
        if target is not None:
            self._away.setdefault(target, set()).add(done.unavailable)
            visit = self._visits[target]
            visit[visit.index(done.unavailable)] = done.next
            self._loads[done.next] += 1
            return
        self._out.add(done.unavailable)
        self._stratum[done.next] = self._stratum[done.unavailable]
        newcomers = [] if isinstance(done.inspectors, UnsetType) else done.inspectors
        self._visits[done.next] = list(newcomers)
        self._loads.update(newcomers)

    def _refuse_not_visited(self, target: str) -> None:
        if target in self._out or target not in self._stratum:
            raise DrawError(f"{shown_id(target)} is not among the targets to be visited / 不在抽中名单内")

    def _refuse_not_sent(self, inspector: str, target: str) -> None:
        if target in self._out or inspector not in self._visits.get(target, []):
            raise DrawError(f"{shown_id(inspector)} is not to visit {shown_id(target)} / 该人员未被指派")

    def _next_target(self, unavailable: str) -> dict[str, Any]:
        self._refuse_not_visited(unavailable)
        name = self._stratum[unavailable]
        place = sum(1 for stratum in self._stratum.values() if stratum == name)
        out = {e.id: e.reason for e in self._transcript.excluded if is_drawn_in(e.reason)}
        frame = build_frame(self._plan, self._targets, out)
        if place >= frame.populations[name]:
            raise DrawError(f"stratum {name} has nobody left / 该层已无后备对象")
        counts = {s.name: place + 1 if s.name == name else 0 for s in self._plan.strata}
        found = tickets.draw(
            self._plan,
            self._seed,
            frame.classes,
            counts,
            lambda: placed(self._plan, self._targets, out),
        )
        # In the draw's own order those drawn come first; in another one the first who was not drawn comes in.
        fresh = found.filter(~pl.col("id").is_in(pl.Series(list(self._stratum)).implode()))
        own, ticket, division = fresh.select("id", "ticket", "division").row(0)
        taken: list[str] = []
        for department, places in self._plan.groups:
            for _ in range(places):
                open_ = self._plan.inspectors_per_target - len(taken)
                taken.append(self._lowest(own, division, taken, open_, department=department))
        return {"next": own, "ticket": ticket, "inspectors": taken}

    def _next_inspector(self, unavailable: str, target: str) -> dict[str, Any]:
        self._refuse_not_sent(unavailable, target)
        others = [i for i in self._visits[target] if i != unavailable]
        away = self._away.get(target, set()) | {unavailable}
        department = None if self._plan.groups[0][0] is None else self._inspectors[unavailable].department
        found = self._lowest(target, self._division(target), others, 1, away, department)
        return {"target": target, "next": found}

    def _lowest(
        self,
        target: str,
        division: str,
        taken: Sequence[str],
        open_places: int,
        away: set[str] | None = None,
        department: str | None = None,
    ) -> str:
        """Return the inspector with the lowest (load, duty ticket) of those who may come, at a last place of the qualified."""
        need = self._plan.needs
        fit = {i.id for i in self._inspectors.values() if need in i.qualifications}
        lacks = need is not None and fit.isdisjoint(taken)
        near = set(staff.covering(division))
        able = [
            i
            for i in self._inspectors.values()
            if i.division in near
            and not i.absent
            and department in (None, i.department)
            and i.id not in taken
            and i.id not in (away or set())
            and i.id not in self._conflicts.get(target, {})
            and not (lacks and open_places == 1 and need not in i.qualifications)
        ]
        if not able:
            raise DrawError(f"nobody is left who could visit {shown_id(target)} / 无可替换的检查人员")
        return min(able, key=lambda i: (self._loads[i.id], self._duty(i.id))).id

    def _duty(self, inspector: str) -> str:
        text = f"{self._seed}:inspector:{inspector}:{self._loads[inspector]}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _division(self, target: str) -> str:
        for frame in self._targets.frames():
            if len(found := frame.filter(pl.col("id") == target)):
                return str(found["division"][0])
        raise DrawError(f"名录中没有该对象 / the register has no target {shown_id(target)}")
