"""Inspections after a draw: a visit for each target, what was found, and when it must be published.

A visit serves every draw in which its target was drawn: several departments come once (部门联合抽查). Results are
`inspection.recorded` events like all others; here they are read back by the id that a draw gives each of them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import msgspec

from infra.draw.pages import Shown
from infra.pages.frame import Column, figures, page, section, table
from processors.queries.register import Register
from schemas import calendar
from schemas.draw.encoding import shown_id
from schemas.draw.plan import day
from schemas.facts import InspectionTaken

PUBLISHED_WITHIN = 20  # working days after an inspection
_COLUMNS = ("inspection_id", "target", "plan", "item", "authority", "inspectors", "inspected_on", "result", "passed",
            "publish_by", "late")  # fmt: skip


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

    @property
    def publish_by(self) -> date | None:
        """The last day for publishing the result."""
        if self.record is None:
            return None
        return calendar.add(date.fromisoformat(self.record.inspected_on), PUBLISHED_WITHIN).on

    def state(self, today: date) -> str:
        """`open`, `overdue` (past the plan's period), or `done`."""
        if self.record is not None:
            return "done"
        return "overdue" if day(self.ends, "period") < today else "open"


def inspection_id(announcement_digest: str, target: str) -> str:
    """The id under which a drawn target's inspection is recorded."""
    return f"D-{announcement_digest[:16]}-{sha256(target.encode()).hexdigest()[:16]}"


def tasks(draws: Sequence[Shown], records: Mapping[str, InspectionTaken]) -> list[Task]:
    """All inspections that some draws order."""
    found = []
    for shown in draws:
        plan = shown.announcement.plan
        for target, who in shown.visits():
            own = inspection_id(shown.announcement.digest, target)
            begins, ends = plan.period
            task = Task(
                own, target, plan.plan, plan.item, plan.authority, who, begins, ends, records.get(own)
            )
            found.append(task)
    return found


def records(register: Register) -> dict[str, InspectionTaken]:
    """Every recorded inspection by its id; of two under one id the later one."""
    found = {}
    for fact in register.facts(["inspection.recorded"]):
        if isinstance(fact.body, InspectionTaken):
            found[fact.body.inspection_id] = fact.body
    return found


def visits(
    found: Iterable[Task], today: date, joined: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """One row for each target: who comes, for what, and how far it is.

    `joined` are the authorities that come together for a plan (by its name), as the year's plan says.
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
    }


def published(found: Iterable[Task], today: date) -> list[dict[str, Any]]:
    """The rows of the published results, in the order of targets; only what was inspected."""
    rows = []
    for task in sorted(found, key=lambda t: (t.target.encode(), t.inspection_id)):
        if task.record is None or task.publish_by is None:
            continue
        rows.append(
            {
                "inspection_id": task.inspection_id,
                "target": shown_id(task.target),
                "plan": task.plan,
                "item": task.item,
                "authority": task.authority,
                "inspectors": ";".join(shown_id(i) for i in task.record.inspectors),
                "inspected_on": task.record.inspected_on,
                "result": task.record.result,
                "passed": task.record.passed,
                "publish_by": task.publish_by.isoformat(),
                "late": today > task.publish_by,
            }
        )
    return rows


def results_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The results as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: str(v).lower() if isinstance(v, bool) else v for k, v in row.items()})
    return text.getvalue()


def results_page(title: str, rows: Sequence[Mapping[str, Any]], whole: int) -> str:
    """The results as a page in one file."""
    passed = sum(1 for row in rows if row["passed"])
    columns = (
        Column("检查对象", "target"), Column("事项", "item"), Column("检查日期", "inspected on"), Column("结果", "result"),
        Column("检查人员", "inspectors"), Column("公示期限", "publish by"),
    )  # fmt: skip
    cells = [
        (r["target"], r["item"], r["inspected_on"], r["result"], r["inspectors"],
         f"{r['publish_by']}{' 逾期 / late' if r['late'] else ''}")
        for r in rows
    ]  # fmt: skip
    counts = figures(
        [(len(rows), "已检查", "inspected"), (whole - len(rows), "待检查", "to come"), (passed, "合格", "passed"),
         (len(rows) - passed, "不合格", "failed")]
    )  # fmt: skip
    parts = [section("概况", "summary", counts), section("检查结果", "results", table(columns, cells))]
    return page(title, ["双随机、一公开抽查结果公示 / published results"], parts, "正照 zhengzhao")
