"""Answers to queries, from the register and the persons' keys. The same on either engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from infra.persons_store import PersonsStore
from infra.register import Register
from processors import views
from processors.route import holder_key, keys_of
from processors.state import HolderState, Licence
from schemas.errors import NotFound, UsageError
from schemas.identifiers import compare, kept_id, looks_personal, mask, masked

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
