"""Targets of a draw from the register of licences: one row for every living licence, persons masked.

A target's id is the licence number, under which an inspection is recorded.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from processors.queries.register import Register
from schemas.draw.encoding import CONTROL, shown_name
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
    """Replace the control characters of a value by spaces, since registers must not have any."""
    return CONTROL.sub(" ", value)


def write_targets(path: Path, targets: Iterable[Target]) -> int:
    """Write a CSV in the order of ids; return the number of rows."""
    rows = sorted(targets, key=lambda t: t.id.encode())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Target._fields)
        writer.writerows([one_line(value) for value in row] for row in rows)
    return len(rows)


class Opener(Protocol):
    """A reader of texts that are sealed for a person."""

    def open(self, pseudonym: str, sealed: str) -> str | None:
        """Return the text, or None where the person was erased."""
        ...


def living_targets(
    register: Register,
    persons: Opener,
    record_access: Callable[[str, str, str], None],
    item: str | None = None,
) -> Iterator[Target]:
    """Yield the living licences, of one item where it is named; `record_access` is called for each person's record."""
    for state in register.states():
        for licence in state.licences.values():
            grant = licence.now
            if not licence.living or not licence.number or item not in (None, grant.item):
                continue
            name = grant.holder_name
            if is_pseudonym(state.holder):
                record_access(state.holder, "register snapshot", licence.number)
                opened = persons.open(state.holder, name) or ""
                name = opened[:1] + "*" * max(len(opened) - 1, 1)
            yield Target(
                licence.number, shown_name(name, grant.holder_id), grant.division, state.credit_class, grant.item,
                ";".join(dict.fromkeys(p.category for p in grant.products)), grant.holder_id,
                licence.status, grant.valid_until or "",
            )  # fmt: skip
