"""The context in which one holder's entry is decided: state, moment, and the facts written so far.

Every module of decisions works on a context. `write` makes a fact and folds it at once, so that what follows sees it.

Competence of a window (受理权限): the register decides, never what an event states.

A licence is judged by its own division, a known holder by the division on record, any other by the division stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

from msgspec.structs import replace

from processors import evolve
from processors.state import Case, HolderState, Licence
from schemas.authorities import competent_for_application, find, is_at_or_above, source_of
from schemas.calendar import day_of
from schemas.canonical_json import id_of, joined
from schemas.facts import Body, EventRefused, Fact, ImportRecorded, LicenceGranted, Reason
from schemas.identifiers import compare
from schemas.item_types import ServiceItem
from schemas.items import Catalogue, SeriesSlot


@lru_cache(maxsize=4096)
def _end(kind: str, n: int) -> str:
    """Return the end of the id of a cause's n-th fact."""
    return joined(kind, n)


RULES = 3
"""The release of the rules of decisions, which `route` writes into each entry.

An entry of an earlier release is decided by its rules, so that an old ledger leads to its recorded facts again.
Release 1 judged competence by the division that an event stated; from 2 on the register decides. From 3 on a grant
names the moment of receipt beside the time that its event states, and not everything may wait for a number.
"""


class MustWait(Exception):
    """The event names a number that the holder's unnumbered grant may yet get; it is decided when that is known."""


class MustAsk(MustWait):
    """The event imports a number: whether it is free is known to the writer of its series alone."""

    def __init__(self, number: str, place: SeriesSlot) -> None:
        super().__init__(number)
        self.number = number
        self.place = place


class DecisionContext:
    """The state of one holder while one entry is decided; `time` is the moment as of which things are decided."""

    def __init__(self, state: HolderState, catalogue: Catalogue) -> None:
        self.state = state.copy()
        self.catalogue = catalogue
        self.facts: list[Fact] = []
        self.cause = ""
        self.time = ""
        self.today: date = date.min  # the China date as of which things are decided
        self.event = ""  # type of the event being decided
        self.source = ""
        self.display = ""  # USCC or mask of the holder that the event names
        self.event_day: date = date.min  # China date of the event itself
        self.day = ""  # the same, ISO
        self.rules = RULES  # the release of the rules by which the event was taken in
        self.told = ""  # the time that the event being decided states, where a grant of it is to name it
        self.received = ""  # the moment of the event's receipt
        self.free: bool | None = None  # the answer about the number that an import asked for
        self._begin = ""  # what the ids of this cause's facts begin with
        self._n = 0

    def open(self, cause: str, time: str) -> None:
        """Give the facts written from here on this cause and time."""
        self.cause, self.time, self.today, self._n = cause, time, day_of(time), 0
        self.told = self.received = ""
        self.day = self.today.isoformat()
        self._begin = joined(cause, "decide", self.state.holder)

    def adopt(self, other: DecisionContext) -> None:
        """Take over what was decided in another context that began from this one's state."""
        self.facts += other.facts
        self.state = other.state

    def write(self, body: Body) -> None:
        """Write a fact and fold it."""
        if self.received and isinstance(body, LicenceGranted | ImportRecorded):
            body = replace(body, told=self.told, received=self.received)
        kind = str(body.__struct_config__.tag)
        fact_id = id_of(self._begin + _end(kind, self._n))
        fact = Fact(fact_id, self.cause, self.state.holder, self.time, body)
        self._n += 1
        self.facts.append(fact)
        evolve.apply(self.state, fact)

    def refuse_event(self, *reasons: Reason, licence: str = "", case: str = "") -> None:
        """Record that the event has no effect, with the reasons."""
        self.write(EventRefused(self.event, reasons, self.source, licence, case, self.display))

    @property
    def record(self) -> HolderState | None:
        """Return the holder's record where a living licence vouches for it; None for any other holder.

        What the record says can then be changed by a `change` alone.
        """
        return self.state if any(licence.living for licence in self.state.licences.values()) else None

    def item(self, code: str) -> ServiceItem | None:
        """Return the item of a code, in the catalogue in force."""
        return self.catalogue.get(code)

    def case(self, application_id: str) -> Case | None:
        """Return the holder's case of an application id, however it is spelt."""
        return self.state.cases.get(compare(application_id))

    def licence_named(self, number: str | None, granted_by: str | None) -> Licence | None:
        """Return the licence that an event names. Raises MustWait where its number may come yet."""
        if number is not None:
            wanted = compare(number)
            for licence in self.state.licences.values():
                if licence.number == wanted:
                    return licence
            if any(not licence.number for licence in self.state.licences.values()):
                raise MustWait
            return None
        case = self.case(granted_by or "")
        named = self.state.licences.get(case.licence) if case and case.licence else None
        while named and named.followed_by:  # an annulled decision: the licence that makes it good
            named = self.state.licences[named.followed_by]
        return named

    def living_of(self, item: str) -> Licence | None:
        """Return a living licence of an item, if the holder has one."""
        return next((x for x in self.state.licences.values() if x.item == item and x.living), None)

    def open_case_of(self, item: str) -> Case | None:
        """Return an open case for an item, if the holder has one."""
        return next((c for c in self.state.cases.values() if c.item == item and c.open), None)

    def barred(self, item: str, on: date) -> list[Reason]:
        """Return the grounds of the bars in force for an item on a day."""
        if not self.state.bars:
            return []
        day = on.isoformat()
        return [
            Reason(
                f"{bar.ground.zh}，{bar.until} 前（含当日）不得再次申请",
                f"{bar.ground.en}; no application up to and including {bar.until}",
            )
            for bar in self.state.bars
            if bar.item == item and bar.since <= day <= bar.until
        ]


def at_window(
    context: DecisionContext, source: str, item: ServiceItem | None, stated: str, targets: Sequence[Licence]
) -> bool:
    """Tell whether a window is competent: by the licences' divisions, else the holder's on record, else the stated.

    A holder whose licences have all ended may have moved without any `change`: then the source must be competent for
    both divisions. Without a known division only the department can be judged, and for what is no item to apply for
    only the division.
    """
    if context.rules < 2:
        divisions = {stated}
    elif targets:
        divisions = {licence.now.division for licence in targets}
    elif context.state.licences:
        divisions = {context.state.division}
        if context.record is None and find(stated):
            divisions.add(stated)
    else:
        divisions = {stated}
    return all(_covers(context, source, item, division) for division in divisions)


def _covers(context: DecisionContext, source: str, item: ServiceItem | None, division: str) -> bool:
    if item is None and context.rules < 2:
        return True
    agency = source_of(source)
    if agency is None:
        return False
    known = division if find(division) else agency.division
    if item is None or (item.mode == "filing" and context.rules >= 2):
        return is_at_or_above(agency.division, known)
    return competent_for_application(source, item, known)


def for_case(context: DecisionContext, source: str, case: Case, item: ServiceItem) -> bool:
    """Tell whether a window is competent for a case, as `at_window` does for its application."""
    targets = [context.state.licences[key] for key in case.targets]
    return at_window(context, source, item, case.applicant.division, targets)
