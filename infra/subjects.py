"""Whom an order or an action on a licence is about, looked up in the register, so that nobody has to type it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from infra.register import Register
from processors.route import keys_of
from processors.state import HolderState, Licence
from schemas.errors import NotFound, UsageError
from schemas.identifiers import compare, kept_id, masked
from schemas.persons import Persons

PERSONAL = "p:"  # how the ledger key of a person begins


class Subject(NamedTuple):
    """A licence and its holder. `holder_id` is None for a person: the register has no number in clear."""

    holder: str  # ledger key
    kind: str
    display: str
    holder_id: str | None
    name: str
    address: str
    division: str
    item: str
    number: str
    authority: str  # code


def of_licence(register: Register, persons: Persons, number: str) -> Subject:
    """The subject of a licence number. NotFound for an unknown one."""
    wanted = kept_id(number)
    holder = register.holder_of_licence(wanted)
    state = register.state(holder) if holder is not None else None
    for licence in state.licences.values() if state is not None else ():
        if compare(licence.number) == wanted:
            assert state is not None
            return _subject(state, licence, persons.open)
    raise NotFound("没有这个证照 / no such licence", where=masked(number)[:100], hint=_HINT)


def of_case(register: Register, persons: Persons, application: str, holder: str | None) -> Subject:
    """The subject of the licence to which an application led. UsageError where several holders have that id."""
    found = []
    key_of_case = kept_id(application)
    holders = register.holders_of_case(key_of_case)
    if holder is not None:
        wanted = keys_of(holder, persons)
        holders = [h for h in holders if h in wanted]
    for key in holders:
        state = register.state(key)
        case = state.cases.get(key_of_case) if state is not None else None
        licence = state.licences.get(case.licence) if state is not None and case is not None else None
        if state is not None and licence is not None:
            found.append(_subject(state, licence, persons.open))
    if not found:
        raise NotFound(
            "没有由此申请取得的证照 / no licence that this application led to",
            where=masked(application)[:100],
            hint=_HINT,
        )
    if len(found) > 1:
        names = "、".join(subject.display for subject in found)
        raise UsageError(
            f"几个持证人有同号办件 / several holders have a case of this id: {names}",
            where=masked(application)[:100],
            hint="--holder ID",
        )
    return found[0]


def holder_state(register: Register, persons: Persons, number: str) -> HolderState:
    """The state of a holder named by number in clear. NotFound for an unknown one."""
    for key in keys_of(number, persons):
        if (state := register.state(key)) is not None:
            return state
    from infra.queries import shown

    raise NotFound(
        "没有这个持证人 / no such holder",
        where=shown(number),
        hint="统一社会信用代码或证件号 / USCC or id number",
    )


def _subject(state: HolderState, licence: Licence, opened: Callable[[str, str], str | None]) -> Subject:
    grant = licence.now
    personal = state.holder.startswith(PERSONAL)
    return Subject(
        holder=state.holder,
        kind=grant.holder_kind,
        display=grant.holder_id,
        holder_id=None if personal else state.holder,
        name=opened(state.holder, grant.holder_name) or "",
        address=opened(state.holder, grant.address) or "",
        division=grant.division,
        item=licence.item,
        number=licence.number,
        authority=grant.authority.code,
    )


_HINT = "zhengzhao licence list；或以 --holder 与 --source 直接写明 / or say --holder and --source yourself"
