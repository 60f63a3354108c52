"""Inspections after a draw: a visit for each target, its result, and the last day for publishing it.

A visit serves every draw in which its target was drawn: several departments come once (部门联合抽查). Results are
`inspection.recorded` events; here they are read back by the id that a draw gives each of them.

Targets of a draw from the register of licences: one row for every living licence, persons masked.

A target's id is the licence number, under which an inspection is recorded.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from processors.queries.listings import Register
from schemas import calendar
from schemas.draw.aftermath import PublishedDraw
from schemas.draw.encoding import CONTROL, shown_id, shown_name
from schemas.draw.plan import day
from schemas.facts import InspectionTaken, ResultsPublished
from schemas.identifiers import quoted
from schemas.persons import is_pseudonym

PUBLISHED_WITHIN = 20  # Working days after an inspection.
Tables = Callable[[str, str], Iterable[str]]
"""The ids of the inspections in the published table of a draw (its announcement's digest) with a SHA-256."""


class Task(msgspec.Struct, frozen=True):
    """An inspection that a draw orders, and its record where it was made."""

    inspection_id: str
    target: str
    plan: str
    item: str
    authority: str
    inspectors: list[str]
    begins: str
    ends: str
    record: InspectionTaken | None = None
    published_on: str = ""  # ISO, the first publication of its result

    @property
    def publish_by(self) -> date | None:
        """The last day for publishing the result."""
        if self.record is None:
            return None
        return calendar.add(date.fromisoformat(self.record.inspected_on), PUBLISHED_WITHIN).on

    def state(self, today: date) -> str:
        """Return `open`, `overdue` (past the plan's period), or `done`."""
        if self.record is not None:
            return "done"
        return "overdue" if day(self.ends, "period") < today else "open"

    def late(self, today: date) -> bool:
        """Return True where the result was published after its last day, which stays so, or is still not published."""
        due = self.publish_by
        if due is None:
            return False
        return (date.fromisoformat(self.published_on) if self.published_on else today) > due


def inspection_id(announcement_digest: str, target: str) -> str:
    """Return the id under which a drawn target's inspection is recorded."""
    return f"D-{announcement_digest[:16]}-{sha256(target.encode()).hexdigest()[:16]}"


def tasks(
    draws: Sequence[PublishedDraw],
    records: Mapping[str, InspectionTaken],
    published: Mapping[str, str] = MappingProxyType({}),
) -> list[Task]:
    """List the inspections that some draws order; `published` has by id the day of the first publication."""
    found = []
    for shown in draws:
        plan = shown.announcement.plan
        for target, who in shown.visits():
            own = inspection_id(shown.announcement.digest, target)
            begins, ends = plan.period
            task = Task(
                own, target, plan.plan, plan.item, plan.authority, who, begins, ends, records.get(own),
                published.get(own, ""),
            )  # fmt: skip
            found.append(task)
    return found


def records(register: Register) -> dict[str, InspectionTaken]:
    """Return every recorded inspection by its id; the later of two under one id counts."""
    found = {}
    for fact in register.facts(["inspection.recorded"]):
        if isinstance(fact.body, InspectionTaken):
            found[fact.body.visit or fact.body.inspection_id] = fact.body
    return found


def published_days(register: Register, tables: Tables) -> dict[str, str]:
    """Return by inspection the day on which its result was first published, from the events and their tables."""
    found: dict[str, str] = {}
    for fact in register.facts(["inspections.published"]):
        if isinstance(fact.body, ResultsPublished):
            for own in tables(fact.body.draw, fact.body.digest):
                found[own] = min(found.get(own, "9999"), fact.body.published_on)
    return found


def visits(
    found: Iterable[Task], today: date, joined: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Return one row for each target: inspectors, items, departments, period and state.

    `joined` gives the authorities that visit together for a plan (by its name), as the year's plan says.
    """
    by_target: dict[str, list[Task]] = {}
    for task in found:
        by_target.setdefault(task.target, []).append(task)
    rows = []
    for target, own in by_target.items():
        states = [task.state(today) for task in own]
        come = [urn for task in own for urn in (task.authority, *joined.get(task.plan, ()))]
        departments = list(dict.fromkeys(come))
        state = next((s for s in ("overdue", "open") if s in states), "done")
        rows.append(
            {
                "target": shown_id(target),
                "state": state,
                "joint": len(departments) > 1,
                "plans": [task.plan for task in own],
                "items": list(dict.fromkeys(task.item for task in own)),
                "departments": departments,
                "inspectors": list(dict.fromkeys(shown_id(i) for task in own for i in task.inspectors)),
                "from": max(task.begins for task in own),
                "until": min(task.ends for task in own),
                "inspections": [_row(task, today) for task in own],
            }
        )
    return rows


def _row(task: Task, today: date) -> dict[str, Any]:
    record, due = task.record, task.publish_by
    return {
        "inspection_id": task.inspection_id,
        "plan": task.plan,
        "item": task.item,
        "state": task.state(today),
        "inspected_on": record.inspected_on if record else None,
        "result": record.result if record else None,
        "passed": record.passed if record else None,
        "publish_by": due.isoformat() if due else None,
        "published_on": task.published_on or None,
        "late": task.late(today),
    }


def results(
    found: Iterable[Task], today: date, names: Mapping[str, str], authority_name: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Return the rows of results published today or before, in the order of targets; only inspected targets have one.

    `names` has the names of targets by id.
    """
    rows = []
    for task in sorted(found, key=lambda t: (t.target.encode(), t.inspection_id)):
        if task.record is None or task.publish_by is None:
            continue
        rows.append(
            {
                "inspection_id": task.inspection_id,
                "target": shown_id(task.target),
                "name": shown_name(names.get(task.target, ""), task.target),
                "plan": task.plan,
                "item": task.item,
                "authority": task.authority,
                "authority_name": authority_name(task.authority),
                "inspectors": ";".join(shown_id(i) for i in task.record.inspectors),
                "inspected_on": task.record.inspected_on,
                "result": task.record.result,
                "passed": task.record.passed,
                "publish_by": task.publish_by.isoformat(),
                "published_on": task.published_on or today.isoformat(),
                "late": task.late(today),
            }
        )
    return rows


def overdue(found: Iterable[Task], today: date, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a row for each visit that was not made by the last day of its period."""
    return [
        {
            "target": shown_id(task.target),
            "name": shown_name(names.get(task.target, ""), task.target),
            "item": task.item,
            "authority": task.authority,
            "inspectors": ";".join(map(shown_id, task.inspectors)),
            "until": task.ends,
        }
        for task in sorted(found, key=lambda t: (t.ends, t.target.encode()))
        if task.state(today) == "overdue"
    ]


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
    """Write a CSV in the order of ids, in which no cell acts as a formula; return the number of rows."""
    rows = sorted(targets, key=lambda t: t.id.encode())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Target._fields)
        writer.writerows([quoted(one_line(value)) for value in row] for row in rows)
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
