"""Registers of a draw from what was issued: every living licence a target, as CSV rows.

A target is a licence, its id the licence number: that is what an inspection is recorded under. A person's name
and number stand masked.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from schemas.draw.encoding import CONTROL


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
