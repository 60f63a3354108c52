"""Targets of a draw from the register of licences: every living licence one row, persons masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from infra.draw_pages import shown_name
from infra.register import Register
from producers.registers import Target


class Opener(Protocol):
    """Who opens what is sealed for a person."""

    def open(self, pseudonym: str, sealed: str) -> str | None:
        """The text, None where the person was erased."""
        ...


def living_targets(
    register: Register, persons: Opener, look: Callable[[str, str, str], None], item: str | None = None
) -> Iterator[Target]:
    """The living licences, of one item where it is named; `look` is told of each person's record."""
    for state in register.states():
        for licence in state.licences.values():
            grant = licence.now
            if not licence.living or not licence.number or item not in (None, grant.item):
                continue
            name = grant.holder_name
            if state.holder.startswith("p:"):
                look(state.holder, "register snapshot", licence.number)
                opened = persons.open(state.holder, name) or ""
                name = opened[:1] + "*" * max(len(opened) - 1, 1)
            yield Target(
                licence.number, shown_name(name, grant.holder_id), grant.division, state.credit_class, grant.item,
                ";".join(dict.fromkeys(p.category for p in grant.products)), grant.holder_id,
                licence.status, grant.valid_until or "",
            )  # fmt: skip
