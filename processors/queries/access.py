"""Access to the register: the part of it that one caller may read.

The operator of this machine (`local`) reads everything, an enterprise or a person the own record. An agency reads the
cases that it sent and what its department decides in its division or below. A holder of whom it may read nothing does
not exist for it, and of a holder it knows only by a case of its own it reads the name that this case states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal

import msgspec

from processors.queries.register import Register
from processors.state import Case, HolderState, Licence
from schemas.authorities import competent_as_authority, competent_in_division, issuing_authority, source_of
from schemas.facts import Fact
from schemas.items import Catalogue

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

    def states(self, start: str = "") -> Iterator[HolderState]:
        if self._principal.kind == "enterprise":
            own = self.state(self._principal.subject)
            yield from [own] if own is not None else []
            return
        for state in self._register.states(start):
            seen = self._part(state) if self._principal.kind == "agency" else state
            if seen is not None:
                yield seen

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        """Yield facts to the operator of this machine alone, since figures over everyone are read from them."""
        if self._principal.kind == "local":
            yield from self._register.facts(types)

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
