"""Access to the register: the part of it that one caller may read.

The operator of this machine (`local`) reads everything, an enterprise or a person the own record. An agency reads the
cases that it sent and what its department decides in its division or below. A holder of whom it may read nothing does
not exist for it, and of a holder it knows only by a case of its own it reads the name that this case states.

A person is erased (个人信息保护法 art 47) by destroying the key, and with it every sealed text, wherever it stands. That
is allowed when the purpose has ended: no open case, no licence that lives (as of the last event or tick decided), no bar
in force, nothing still on its way, and the retention period (`retention_years` by the wall clock, from the day on which
the last case or licence ended) is over. There is no way around. Decisions stay and still add up: pseudonym, mask, dates and numbers are no key to a name. The files that the
person had uploaded go too, unless another holder's application names the same file. The licences issued stay in the
store as they were signed; from then on `replay` compares them with their recorded digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Final, Literal, NamedTuple

import msgspec

from processors.queries.listings import Register
from processors.state import Case, HolderState, Licence
from schemas.authorities import competent_as_authority, competent_in_division, issuing_authority, source_of
from schemas.calendar import anniversary, day_of
from schemas.facts import Fact
from schemas.items import Catalogue
from schemas.ledger import EventEntry

CallerKind = Literal["agency", "enterprise", "local"]


class Principal(msgspec.Struct, frozen=True):
    """A caller: an agency (its source URN), a holder (its ledger key), or the operator of this machine."""

    kind: CallerKind
    subject: str = ""

    @property
    def name(self) -> str:
        """Return the name under which limits and metrics count this caller."""
        return f"{self.kind}:{self.subject}"


LOCAL: Final = Principal("local")


class Restricted:
    """The port `Register` for one caller."""

    def __init__(self, register: Register, principal: Principal, catalogue: Catalogue) -> None:
        self._register = register
        self._principal = principal
        self._catalogue = catalogue

    def state(self, holder: str) -> HolderState | None:
        if self._principal.kind == "enterprise" and holder != self._principal.subject:
            return None
        state = self._register.state(holder)
        if state is None or self._principal.kind != "agency":
            return state
        return self._part(state)

    def holders_of_case(self, application: str) -> list[str]:
        found = self._register.holders_of_case(application)
        return [
            holder
            for holder in found
            if (state := self.state(holder)) is not None and application in state.cases
        ]

    def holder_of_licence(self, number: str) -> str | None:
        return self._register.holder_of_licence(number)

    def states(self, start: str = "", marks: Sequence[str] | None = None) -> Iterator[HolderState]:
        if self._principal.kind == "enterprise":
            own = self.state(self._principal.subject) if start <= self._principal.subject else None
            yield from [own] if own is not None else []
            return
        if self._principal.kind == "local":
            yield from self._register.states(start, marks)
            return
        for state in self._register.states(start, self._marks()):
            seen = self._part(state)
            if seen is not None:
                yield seen

    def marks(self, prefix: str) -> list[str]:
        """Return marks to the operator of this machine alone, since they say what there is of everyone."""
        return self._register.marks(prefix) if self._principal.kind == "local" else []

    def _marks(self) -> list[str]:
        """Return the marks of the holders of whom an agency may read something: its own cases, its divisions."""
        found = [f"source:{self._source}"]
        agency = source_of(self._source)
        if agency is None:
            return found
        own = agency.department
        prefixes = [f"licence:{own}:", f"filing:{own}:"]
        prefixes += [
            f"case:{item.code}:"
            for item in self._catalogue.items.values()
            if own in (item.department, *item.deciding)
        ]
        for prefix in prefixes:
            found += [
                mark
                for mark in self._register.marks(prefix)
                if competent_in_division(self._source, own, mark.removeprefix(prefix))
            ]
        return found

    def states_by_due(self) -> Iterator[HolderState]:
        for state in self._register.states_by_due():
            seen = self.state(state.holder)
            if seen is not None:
                yield seen

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        """Yield facts to the operator of this machine alone, since figures over everyone are read from them."""
        if self._principal.kind == "local":
            yield from self._register.facts(types)

    def orders(self, holder: str, case: str) -> list[EventEntry]:
        """Return the events that shaped a case to who may read the case."""
        state = self.state(holder)
        return self._register.orders(holder, case) if state is not None and case in state.cases else []

    def moment(self) -> AbstractContextManager[None]:
        return self._register.moment()

    def _part(self, state: HolderState) -> HolderState | None:
        part = state.copy()
        part.cases = {k: c for k, c in state.cases.items() if self._reads_case(c)}
        part.licences = {k: x for k, x in state.licences.items() if self._reads_licence(x)}
        part.filings = {
            k: f
            for k, f in state.filings.items()
            if f.case in part.cases or competent_in_division(self._source, f.ref.department, state.division)
        }
        part.checks = {k: c for k, c in state.checks.items() if c.licence in part.licences}
        if not (part.cases or part.licences or part.filings):
            return None
        if not (part.licences or part.filings):  # its own cases give no right to what others have registered
            last = max(part.cases.values(), key=lambda case: case.history[0].time)
            part.name, part.address = last.applicant.name, last.applicant.address
            part.division, part.credit_class = last.applicant.division, ""
            part.refused = tuple(one for one in state.refused if one.source == self._source)
        return part

    @property
    def _source(self) -> str:
        return self._principal.subject

    def _reads_case(self, case: Case) -> bool:
        if case.source == self._source:
            return True
        item = self._catalogue.get(case.item)
        agency = source_of(self._source)
        if item is None or agency is None:
            return False
        authority = issuing_authority(item, case.applicant.division)
        if authority is not None and competent_as_authority(self._source, authority):
            return True
        return agency.department in item.deciding and competent_in_division(
            self._source, agency.department, case.applicant.division
        )

    def _reads_licence(self, licence: Licence) -> bool:
        agency = source_of(self._source)
        if agency is None:
            return False
        return competent_as_authority(self._source, licence.now.authority) or (
            agency.department == licence.now.authority.department
            and competent_in_division(self._source, agency.department, licence.now.division)
        )


UPLOADS = "store:"


class Keep(NamedTuple):
    """Why a person's record is kept. `until`: its last day; None where that is not known yet."""

    reason: str
    until: date | None = None


def reasons_to_keep(state: HolderState, years: int, today: date) -> list[Keep]:
    """Return everything that forbids the erasure today; empty where nothing does."""
    found = [*_under_way(state), *_in_force(state, today)]
    last = last_day(state)
    if not found and last is not None and (end := anniversary(last, years)) > today:
        found.append(Keep(f"保存期 {years} 年未满，自 {last} 起 / kept for {years} years from {last}", end))
    return found


def last_day(state: HolderState) -> date | None:
    """Return the day on which the last of a person's cases and licences came to its end, or None where there is neither."""
    days = [day_of(case.closed_at) for case in state.cases.values() if case.closed_at]
    days += [_end_of(licence) for licence in state.licences.values()]
    return max(days, default=None)


def _end_of(licence: Licence) -> date:
    return max(day_of(line.time) for line in licence.history)


def _under_way(state: HolderState) -> Iterator[Keep]:
    for case in state.cases.values():
        if case.open:
            yield Keep(f"申请尚未办结 / an open case: {case.application_id}")
    for licence in state.licences.values():
        if any(v.grant.version and not v.object_key for v in licence.versions):
            yield Keep(f"证照尚在制作 / a licence is still being issued: {licence.number or licence.item}")
    if state.waiting:
        yield Keep("有事件待处理 / events wait to be decided")


def _in_force(state: HolderState, today: date) -> Iterator[Keep]:
    for licence in state.licences.values():
        if licence.living:  # as the register knows it: an end that nobody has told yet is told by a tick
            end = licence.now.valid_until
            until = date.fromisoformat(end) if end else None
            yield Keep(f"证照有效 / a living licence: {licence.number or licence.item}", until)
    for bar in state.bars:
        if date.fromisoformat(bar.until) >= today:
            yield Keep(f"限制申请 / a bar in force: {bar.item}", date.fromisoformat(bar.until))


def uploads_of(case: Case) -> Iterator[str]:
    """Return the object keys of the files that an application names."""
    for material in case.materials:
        if material.uri.startswith(UPLOADS):
            yield material.uri.removeprefix(UPLOADS)


def uploads_of_one(register: Register, holder: str) -> list[str]:
    """Return the uploads that only this holder's applications name."""
    mine: set[str] = set()
    others: set[str] = set()
    for state in register.states():
        keys = {key for case in state.cases.values() for key in uploads_of(case)}
        if state.holder == holder:
            mine |= keys
        else:
            others |= keys
    return sorted(mine - others)


def today_of(now: datetime) -> date:
    """Return the China date of a moment."""
    return day_of(now.isoformat())
