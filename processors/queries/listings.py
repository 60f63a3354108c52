"""Lists over all holders: cases, checks, filings, and what goes over a window's counter. The same on either engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from processors.queries import views
from processors.queries.register import Register
from processors.state import Case, Filing, HolderState
from schemas.authorities import source_of
from schemas.persons import is_pseudonym

Look = Callable[[str, str, str], None]


class CaseFilter(NamedTuple):
    """Which cases: of a state, of an item, only those past a limit. None: all."""

    state: str | None = None
    item: str | None = None
    overdue: bool = False

    def fits(self, case: Case, late: tuple[str, ...]) -> bool:
        """Whether a case is wanted."""
        return (
            (self.state is None or case.state == self.state)
            and (self.item is None or case.item == self.item)
            and (not self.overdue or bool(late))
        )


class Listings:
    """What `case list`, `check list`, `filing list` and `window list` print. Persons show their mask and no name.

    `look` is told once of each list in which there is a person.
    """

    def __init__(self, register: Register, look: Look = lambda *_: None) -> None:
        self._register = register
        self._look = look

    def cases(self, wanted: CaseFilter) -> Iterator[dict[str, Any]]:
        """Rows as `case show` prints them, and `overdue`: the limits that passed."""
        for state, case in self._found("case list", lambda s: s.cases.values()):
            late = views.late(state, case)
            if wanted.fits(case, late):
                yield {**views.case_row(state, case), "overdue": list(late)}

    def checks(self, *, item: str | None, state: str | None, before: str | None) -> Iterator[dict[str, Any]]:
        """On-site checks and inspections; `before`: due before that day."""
        for holder, row in self._found("check list", views.check_rows):
            licence = next((x for x in holder.licences.values() if x.number == row["licence_number"]), None)
            of = licence.item if licence else None
            if (
                item in (None, of)
                and state in (None, row["state"])
                and (before is None or row["due"] < before)
            ):
                yield {**row, "holder_id": holder.display, "item": of}

    def filings(
        self, *, department: str | None, state: str | None, overdue: bool
    ) -> Iterator[dict[str, Any]]:
        """Filings with their departments; `overdue`: past their yellow or red day and still open."""
        for holder, filing in self._found("filing list", lambda s: s.filings.values()):
            late = filing.alarmed if filing.state in ("pushed", "received") else ()
            if (
                department not in (None, filing.ref.department)
                or state not in (None, filing.state)
                or (overdue and not late)
            ):
                continue
            yield {
                **_filing(filing),
                "holder_id": holder.display,
                "application_id": holder.cases[filing.case].application_id,
                "round": filing.round,
                "overdue": list(late),
            }

    def window(self, code: str, *, below: bool) -> Iterator[dict[str, Any]]:
        """What came in at a window, where it stands, and what it hands out; `below`: also at those under it."""
        prefix = _covers(code) if below else code
        for holder, case in self._found("window list", lambda s: s.cases.values()):
            entered = window_of(case)
            if entered == code or (below and entered.startswith(prefix)):
                yield _counter(holder, case, entered)

    def _found(self, command: str, parts: Callable[[HolderState], Any]) -> Iterator[tuple[HolderState, Any]]:
        looked = False
        for state in self._register.states():
            for part in parts(state):
                if not looked and is_pseudonym(state.holder):
                    self._look("*", command, "")
                    looked = True
                yield state, part


def window_of(case: Case) -> str:
    """Where a case entered: the window that the event names, else the division of its source."""
    agency = source_of(case.source)
    return case.window or (agency.division if agency else "")


def _covers(code: str) -> str:
    """The beginning of the codes under a division: 0000 at its end covers its first two digits, 00 its first four."""
    if len(code) == 6:
        return code[:2] if code.endswith("0000") else code[:4] if code.endswith("00") else code
    return code


def _counter(holder: HolderState, case: Case, entered: str) -> dict[str, Any]:
    row = views.case_row(holder, case)
    return {
        "window": entered,
        "channel": case.channel or None,
        "application_id": row["application_id"],
        "item": row["item"],
        "action": row["action"],
        "holder_id": row["holder_id"],
        "filed_on": case.filed_on,
        "state": row["state"],
        "due": row["due"],
        "missing": row["missing"],
        "reason": row["reason"],
        "licence_number": row["licence_number"],
        "filings": dict(Counter(x.state for x in holder.filings.values() if x.case == case.key)),
        "out": _out(holder, case),
    }


def _out(holder: HolderState, case: Case) -> dict[str, Any] | None:
    """What the window hands to the applicant now; None while there is nothing."""
    if case.state == "correction-requested":
        return {"what": "correction-notice", "missing": list(case.missing), "until": case.correction}
    if case.state == "accepted":
        return {"what": "acceptance", "promised": case.promised, "statutory": case.statutory}
    if case.state in ("refused", "lapsed"):
        return {"what": "refusal", "reason": "；".join(map(str, case.reasons))}
    licence = holder.licences.get(case.licence)
    if case.state == "granted" and licence is not None and licence.status == "cancelled":
        return {"what": "cancellation", "number": licence.number}
    if case.state == "issued" and licence is not None:
        # an annulled decision leads to another licence under the same application: the newest version counts
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


def _filing(filing: Filing) -> dict[str, Any]:
    return {
        "filing_id": filing.ref.filing_id,
        "item": filing.ref.item,
        "name": filing.ref.name,
        "department": filing.ref.department,
        "state": filing.state,
        "pushed_on": filing.pushed_on,
        "yellow": filing.yellow,
        "red": filing.red,
        "reason": filing.reason or None,
    }
