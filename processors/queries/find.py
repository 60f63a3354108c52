"""Answers to queries, from the register and the persons' keys. The same on either engine.

Whom an order or an action on a licence is about, looked up in the register, so that nobody has to type it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from infra.persons.keys import PersonsStore
from processors.queries import views
from processors.queries.register import Register
from processors.route import holder_key, keys_of
from processors.state import HolderState, Licence
from schemas.errors import NotFound, UsageError
from schemas.identifiers import compare, kept_id, looks_personal, mask, masked
from schemas.persons import Persons

Look = Callable[[str, str, str], None]
"""Records a look at a holder's record: ledger key (`*`: everyone's), command, which record."""


class Queries:
    """What `case`, `licence` and `holder` print. `look` is told of every record before it is shown."""

    def __init__(self, register: Register, persons: PersonsStore, look: Look = lambda *_: None) -> None:
        self._register = register
        self._persons = persons
        self._look = look

    def case(self, application: str, holder: str | None = None) -> dict[str, Any]:
        """A case; NotFound, or UsageError where two holders have one of this id and none is named."""
        key = kept_id(application)
        holders = self._register.holders_of_case(key)
        if holder is not None:
            wanted = keys_of(holder, self._persons)
            holders = [h for h in holders if h in wanted]
        found = [state for h in holders if (state := self._register.state(h)) is not None]
        if not found:
            raise NotFound(
                "没有这个办件 / no such case",
                where=shown(application),
                hint="zhengzhao holder show ID 列出办件 / lists cases",
            )
        if len(found) > 1:
            names = "、".join(state.display or state.holder for state in found)
            raise UsageError(
                f"两个持证人有同号办件 / several holders have a case of this id: {names}",
                where=shown(application),
                hint="--holder ID",
            )
        self._look(found[0].holder, "case show", found[0].cases[key].application_id)
        return views.case_row(found[0], found[0].cases[key])

    def licences(self) -> Iterator[dict[str, Any]]:
        """Every licence, its newest version."""
        looked = False
        for state in self._register.states():
            if not looked and state.licences and state.holder.startswith("p:"):
                self._look("*", "licence list", "")
                looked = True
            for licence in state.licences.values():
                yield views.licence_row(state, licence, self._persons.open)

    def licence(self, number: str) -> dict[str, Any]:
        """A licence with its history."""
        state, licence = self._find(number)
        self._look(state.holder, "licence show", licence.number)
        return views.licence_shown(state, licence, self._persons.open)

    def version(self, number: str, version: int | None) -> dict[str, Any]:
        """A licence's row, of one version."""
        state, licence = self._find(number)
        self._look(state.holder, "licence get", licence.number)
        try:
            return views.licence_row(state, licence, self._persons.open, version)
        except KeyError:
            versions = ", ".join(str(v.grant.version) for v in licence.versions)
            raise NotFound(
                f"没有第 {version} 版 / there is no version {version}",
                where=shown(number),
                hint=f"--version {versions}",
            ) from None

    def holder(self, number: str) -> dict[str, Any]:
        """A holder; the number in clear, as the agency knows it."""
        for key in keys_of(number, self._persons):
            state = self._register.state(key)
            if state is not None:
                self._look(key, "holder show", "")
                return views.holder_shown(state, self._persons.open)
        raise NotFound(
            "没有这个持证人 / no such holder",
            where=shown(number),
            hint="统一社会信用代码或证件号 / USCC or id number",
        )

    def _find(self, number: str) -> tuple[HolderState, Licence]:
        wanted = kept_id(number)
        holder = self._register.holder_of_licence(wanted)
        state = self._register.state(holder) if holder is not None else None
        for licence in state.licences.values() if state is not None else ():
            if compare(licence.number) == wanted:
                assert state is not None
                return state, licence
        raise NotFound("没有这个证照 / no such licence", where=shown(number), hint="zhengzhao licence list")


def shown(text: str) -> str:
    """What was asked for, as it may be printed: a person's number is masked."""
    compared = compare(text)
    return mask(compared) if looks_personal(compared) else masked(text)[:100]


__all__ = ["Queries", "holder_key", "shown"]


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
