"""`replay --decide`: the ledger decided again. It must give the recorded facts, and the recorded numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from infra.engines.batch import Batch, Items
from infra.engines.database import Database

if TYPE_CHECKING:
    from infra.replay import Report, Say

BY_HOLDER = "by-holder"  # set where the ledger has an order for each holder, and none among series
_STEP = 500


def decide_again(source: Database, into: Path, report: Report, say: Say) -> None:
    """Decides every entry up to the recorded position, and reports facts and numbers that differ."""
    last = int(source.meta("position", "0"))
    with Database(into / "decided.sqlite", create=True) as target:
        position, items = 0, Items(target)
        while position < last:
            rows = [row for row in source.entries(position, _STEP) if row[0] <= last]
            if not rows:
                break
            with target.transaction():
                batch = Batch(target, items)
                position = batch.decide(rows, position)
                batch.write(position)
            say("ledger", position, last)
        _facts(source, target, report)
        if not source.meta(BY_HOLDER):
            _numbers(source, target, report)


def _facts(source: Database, target: Database, report: Report) -> None:
    """Facts in their order; after the first one out of step they are matched by id."""
    recorded = dict(_rows(source, "SELECT id, CAST(fact AS BLOB) FROM facts ORDER BY seq"))
    for fact_id, fact in _rows(target, "SELECT id, CAST(fact AS BLOB) FROM facts ORDER BY seq"):
        found = recorded.pop(fact_id, None)
        if found is None:
            report.add("fact", fact_id, "missing: the ledger leads to it / 缺失：台账导出此事实")
        elif found != fact:
            report.add("fact", fact_id, "differs from what the ledger gives / 与台账裁决不符")
    for fact_id in recorded:
        report.add("fact", fact_id, "too many: the ledger does not lead to it / 多出：台账不导出此事实")


def _numbers(source: Database, target: Database, report: Report) -> None:
    sql = "SELECT json_extract(entry, '$.id'), CAST(entry AS BLOB) FROM ledger WHERE kind IN ('numbered', 'claimed') ORDER BY seq"
    recorded = dict(_rows(source, sql))
    for entry_id, entry in _rows(target, sql):
        if recorded.pop(entry_id, entry) != entry:
            report.add("ledger", entry_id, "another number than the ledger leads to / 编号与台账不符")
    for entry_id in recorded:
        report.add("ledger", entry_id, "a number that no decision asked for / 无裁决的编号")


def _rows(db: Database, sql: str) -> Iterator[tuple[str, bytes]]:
    for key, content in db.db.execute(sql):
        yield str(key), bytes(content)
