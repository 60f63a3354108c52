"""Competence of a window (受理权限): the register decides, never what an event states.

A licence is judged by its own division, a known holder by the division on record, any other by the division stated.
"""

from __future__ import annotations

from collections.abc import Sequence

from processors.context import DecisionContext
from processors.state import Case, Licence
from schemas.authorities import competent_for_application, find, is_at_or_above, source_of
from schemas.item_types import ServiceItem


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
