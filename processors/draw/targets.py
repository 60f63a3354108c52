"""Registers of a draw from what was issued: every living licence a target, as CSV rows.

A target is a licence, its id the licence number: that is what an inspection is recorded under. A person's name
and number stand masked.

Targets of a draw from the register of licences: every living licence one row, persons masked.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from infra.draw.pages import shown_name
from processors.queries.register import Register
from schemas.draw.encoding import CONTROL
from schemas.persons import is_pseudonym


class Target(NamedTuple):
    """A row of a register of targets; `categories` are those of the products, in order, with `;` between."""

    id: str
    name: str
    division: str
    credit_class: str
    item: str
    categories: str
    holder_id: str
    status: str
    valid_until: str


def one_line(value: str) -> str:
    """A value as a register takes it: without control characters."""
    return CONTROL.sub(" ", value)


def write_targets(path: Path, targets: Iterable[Target]) -> int:
    """Writes a CSV in the order of ids; the number of rows."""
    rows = sorted(targets, key=lambda t: t.id.encode())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Target._fields)
        writer.writerows([one_line(value) for value in row] for row in rows)
    return len(rows)


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
            if is_pseudonym(state.holder):
                look(state.holder, "register snapshot", licence.number)
                opened = persons.open(state.holder, name) or ""
                name = opened[:1] + "*" * max(len(opened) - 1, 1)
            yield Target(
                licence.number, shown_name(name, grant.holder_id), grant.division, state.credit_class, grant.item,
                ";".join(dict.fromkeys(p.category for p in grant.products)), grant.holder_id,
                licence.status, grant.valid_until or "",
            )  # fmt: skip
