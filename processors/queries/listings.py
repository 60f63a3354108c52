"""Lists over all holders: cases, checks, filings, and the cases of a service window.

`Register` is the port through which queries read the register: states of holders, found by case, number or holder. Each
engine has an adapter: the embedded one reads its data file, the one on Kafka a projection of the topics.

A mark is a line of an index over holders: something of a holder that a list or a reader asks for. Lists look only at the
holders with a fitting mark; a mark may find too many holders, never too few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from processors.queries import views
from processors.state import Case, Filing, HolderState
from schemas import rows
from schemas.authorities import source_of
from schemas.facts import Fact
from schemas.item_types import ServiceItem
from schemas.ledger import EventEntry
from schemas.persons import is_pseudonym
from schemas.rows import as_json

MARKS_FORM = "2"  # another one wherever `marks_of` changes, so that indices are made anew


class Register(Protocol):
    """The reading side of the register."""

    def state(self, holder: str) -> HolderState | None:
        """Return the state of a holder by ledger key (USCC or pseudonym), or None where nothing is known."""
        ...

    def holders_of_case(self, application: str) -> list[str]:
        """Return the ledger keys of the holders that have a case of this id (compared form)."""
        ...

    def holder_of_licence(self, number: str) -> str | None:
        """Return the ledger key of a licence's holder by the licence's number (compared form)."""
        ...

    def states(self, start: str = "", marks: Sequence[str] | None = None) -> Iterator[HolderState]:
        """Yield the state of every holder from the ledger key `start` on, in the order of their ledger keys.

        With `marks` only of holders that have one of them.
        """
        ...

    def marks(self, prefix: str) -> list[str]:
        """Return the marks that begin so, each once, in their order."""
        ...

    def states_by_due(self) -> Iterator[HolderState]:
        """Yield the states of holders with something that falls due, the next due first."""
        ...

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        """Yield the facts of these types; those of one holder stand in the order of their recording."""
        ...

    def orders(self, holder: str, case: str) -> list[EventEntry]:
        """Return the ledger entries of the events that led to facts about a case (its key), in their order."""
        ...

    def moment(self) -> AbstractContextManager[None]:
        """Hold one moment of the register: all reads inside the context see it."""
        ...


class RegisterQuery(NamedTuple):
    """A search of the public register: part of a number or of an enterprise's name, an item, a status; empty for any.

    `after` is the place of the last row of the page before (0: the first page), `most` the most rows wanted.
    """

    text: str = ""
    item: str = ""
    status: str = ""
    after: int = 0
    most: int = 20


class ListedLicence(NamedTuple):
    """A row of the public register; `place` gives its order, the newest having the highest."""

    place: int
    number: str
    item: str
    status: str
    name: str
    issued_on: str
    valid_until: str | None


class PublicRegister(Register, Protocol):
    """The register with the index by which everybody may search it. It finds no licence of a person."""

    def search(self, wanted: RegisterQuery) -> list[ListedLicence]:
        """Return the licences of enterprises that a search finds, the newest first."""
        ...

    def authorities(self) -> list[str]:
        """Return the authorities (URNs) that have issued a licence, in the order of their URNs."""
        ...

    def hosts(self, authority: str) -> list[str]:
        """Return the hosts to which the QR codes of an authority's licences lead, the first one first."""
        ...


def marks_of(state: HolderState) -> frozenset[str]:
    """Return the marks of a holder: who sent its cases, where they belong, and what lists ask for."""
    found = {f"filing:{x.ref.department}:{state.division}" for x in state.filings.values()}
    found.update(f"filings:{x.ref.department}:{x.state}" for x in state.filings.values())
    found.update(f"checks:{check.state}" for check in state.checks.values())
    for case in state.cases.values():
        found.add(f"source:{case.source}")
        found.add(f"case:{case.item}:{case.applicant.division}")
        found.add(f"cases:{case.item}:{case.state}")
        found.add(f"window:{window_of(case)}")
    for licence in state.licences.values():
        now = licence.now
        found.add(f"licence:{now.authority.department}:{now.authority.division}")
        found.add(f"licence:{now.authority.department}:{now.division}")
        found.add(f"licences:{licence.item}:{licence.shown_status}")
    return frozenset(found)


def window_of(case: Case) -> str:
    """Return where a case entered: the window that the event names, else the division of its source."""
    agency = source_of(case.source)
    return case.window or (agency.division if agency else "")


class WholeRegister(PublicRegister, Protocol):
    """The register with the facts behind it, for what is made of facts: letters."""

    def facts_of(self, holder: str) -> Iterator[Fact]:
        """Yield the facts of a holder in the order of their recording."""
        ...

    def facts_after(self, position: int, types: Sequence[str]) -> Iterator[tuple[int, Fact]]:
        """Yield the facts of these types that were recorded after a position, each with its own."""
        ...

    def last_fact(self) -> int:
        """Return the position of the last fact; 0 before the first."""
        ...

    def recorded_item(self, digest: str) -> ServiceItem | None:
        """Return a service item as it was when its digest was recorded; None where only its digest is known."""
        ...


RecordListAccess = Callable[[str, str, str], None]
_Part = TypeVar("_Part")


class CaseFilter(NamedTuple):
    """Cases wanted: of a state, of an item, only those past a limit. None stands for all."""

    state: str | None = None
    item: str | None = None
    overdue: bool = False

    def fits(self, case: Case, late: tuple[str, ...]) -> bool:
        """Tell whether a case, past the limits `late`, is wanted."""
        return (
            (self.state is None or case.state == self.state)
            and (self.item is None or case.item == self.item)
            and (not self.overdue or bool(late))
        )


class Listings:
    """The rows of `case list`, `check list`, `filing list` and `window list`. Persons show their mask and no name.

    `record_access` is called once for each list in which there is a person.
    """

    def __init__(self, register: Register, record_access: RecordListAccess = lambda *_: None) -> None:
        self._register = register
        self._record_access = record_access

    def cases(self, wanted: CaseFilter) -> Iterator[dict[str, Any]]:
        """Yield the cases that are wanted, with `overdue`: the limits that have passed."""
        for state, case in self._found(
            "case list", lambda s: s.cases.values(), f"cases:{wanted.item or ''}", wanted.state
        ):
            late = views.late(state, case)
            if wanted.fits(case, late):
                yield as_json(rows.ListedCaseRow(**rows.fields_of(views.case_row(state, case)), overdue=late))

    def checks(self, *, item: str | None, state: str | None, before: str | None) -> Iterator[dict[str, Any]]:
        """Yield on-site checks and inspections; `before` (ISO date) keeps those due before that day."""
        for holder, row in self._found("check list", views.check_rows, "checks:", state):
            licence = next((x for x in holder.licences.values() if x.number == row.licence_number), None)
            of = licence.item if licence else None
            if item in (None, of) and state in (None, row.state) and (before is None or row.due < before):
                yield as_json(rows.ListedCheckRow(**rows.fields_of(row), holder_id=holder.display, item=of))

    def filings(
        self, *, department: str | None, state: str | None, overdue: bool
    ) -> Iterator[dict[str, Any]]:
        """Yield filings; `overdue` keeps those past their yellow or red day that are still open."""
        for holder, filing in self._found(
            "filing list", lambda s: s.filings.values(), f"filings:{department or ''}", state
        ):
            late = filing.alarmed if filing.state in ("pushed", "received") else ()
            if (
                department in (None, filing.ref.department)
                and state in (None, filing.state)
                and (late or not overdue)
            ):
                yield as_json(_listed_filing(holder, filing, late))

    def window(self, code: str, *, below: bool) -> Iterator[dict[str, Any]]:
        """Yield what came in at a window, how far it is, and what is handed out; `below` adds windows under it."""
        prefix = _covers(code) if below else code
        for holder, case in self._found(
            "window list", lambda s: s.cases.values(), f"window:{prefix}", None if below else code
        ):
            entered = window_of(case)
            if entered == code or (below and entered.startswith(prefix)):
                yield as_json(_window_row(holder, case, entered))

    def _found(
        self,
        command: str,
        parts: Callable[[HolderState], Iterable[_Part]],
        prefix: str,
        last: str | None,
    ) -> Iterator[tuple[HolderState, _Part]]:
        """Yield parts of the holders whose marks begin with `prefix`, and end in `last` where it is given."""
        marks = [mark for mark in self._register.marks(prefix) if last in (None, mark.rpartition(":")[2])]
        recorded = False
        for state in self._register.states(marks=marks):
            for part in parts(state):
                if not recorded and is_pseudonym(state.holder):
                    self._record_access("*", command, "")
                    recorded = True
                yield state, part


def _covers(code: str) -> str:
    """Return the prefix of the codes under a division: two digits for one ending in 0000, four for one in 00."""
    if len(code) == 6:
        return code[:2] if code.endswith("0000") else code[:4] if code.endswith("00") else code
    return code


def _window_row(holder: HolderState, case: Case, entered: str) -> rows.WindowRow:
    row = views.case_row(holder, case)
    return rows.WindowRow(
        window=entered,
        channel=case.channel or None,
        application_id=row.application_id,
        item=row.item,
        action=row.action,
        holder_id=row.holder_id,
        filed_on=case.filed_on,
        state=row.state,
        due=row.due,
        missing=row.missing,
        reason=row.reason,
        licence_number=row.licence_number,
        filings=dict(Counter(x.state for x in holder.filings.values() if x.case == case.key)),
        out=_handed_out(holder, case),
    )


def _handed_out(holder: HolderState, case: Case) -> dict[str, Any] | None:
    """Return what the window hands to the applicant now; None while there is nothing."""
    if case.state == "correction-requested":
        return {"what": "correction-notice", "missing": list(case.missing), "until": case.correction}
    if case.state == "accepted":
        return {"what": "acceptance", "promised": case.promised, "statutory": case.statutory}
    if case.state in ("refused", "lapsed"):
        return {"what": "refusal", "reason": views.case_row(holder, case).reason}
    licence = holder.licences.get(case.licence)
    if case.state == "granted" and licence is not None and licence.status == "cancelled":
        return {"what": "cancellation", "number": licence.number}
    if case.state == "issued" and licence is not None:
        # An annulled decision leads to another licence under the same application: the newest version counts.
        made = [
            v for v in licence.versions if v.grant.application_id == case.application_id
        ] or licence.versions
        return {
            "what": "licence",
            "number": licence.number,
            "version": made[-1].grant.version,
            "object": made[-1].object_key or None,
        }
    return None


def _listed_filing(holder: HolderState, filing: Filing, late: tuple[str, ...]) -> rows.ListedFilingRow:
    return rows.ListedFilingRow(
        filing_id=filing.ref.filing_id,
        item=filing.ref.item,
        name=filing.ref.name,
        department=filing.ref.department,
        state=filing.state,
        pushed_on=filing.pushed_on,
        yellow=filing.yellow,
        red=filing.red,
        reason=next(x.reason for x in views.filing_rows(holder) if x.filing_id == filing.ref.filing_id),
        holder_id=holder.display,
        application_id=holder.cases[filing.case].application_id,
        round=filing.round,
        overdue=late,
    )
