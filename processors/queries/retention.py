"""Erasing a person (个人信息保护法 art 47): the key is destroyed, and with it every sealed text, wherever it stands.

Allowed when the purpose has ended: no open case, no licence that lives (as of the last event or tick decided), no bar
in force, nothing still on its way, and the retention period (`retention_years` by the wall clock, from the day on
which the last of it ended) is over. There is no way around.
What was decided stays and still adds up: pseudonym, mask, dates and numbers are no key to a name. The files that the
person had uploaded go too, unless another holder's application names the same file. The licences issued stay in the
store as they were signed; from then on `replay` compares them with their recorded digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple

from processors.queries.register import Register
from processors.state import Case, HolderState, Licence
from schemas.calendar import anniversary, day_of

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
