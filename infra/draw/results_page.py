"""Results of inspections for publication: a page in one file and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from infra.pages.frame import Column, figures, page, section, table
from producers.table_export import quoted

_COLUMNS = ("inspection_id", "target", "plan", "item", "authority", "inspectors", "inspected_on", "result", "passed",
            "publish_by", "late")  # fmt: skip


def results_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the results as CSV, in which no cell can act as a formula."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else value


def results_page(title: str, rows: Sequence[Mapping[str, Any]], whole: int) -> str:
    """Write the results as a page in one file; `whole` is the number of targets to inspect."""
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
