"""Results of inspections for publication: a page in one file, CSV, and a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from infra.draw.pages import authority_name
from infra.pages.frame import Column, figures, page, section, table
from producers.table_writer import quoted, xlsx_bytes

_COLUMNS = ("inspection_id", "target", "plan", "item", "authority", "inspectors", "inspected_on", "result", "passed",
            "publish_by", "late")  # fmt: skip


def results_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the results as CSV for spreadsheets: a cell that could be a formula begins with an apostrophe."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([quoted(_text(row.get(column, ""))) for column in _COLUMNS] for row in rows)
    return text.getvalue()


def results_xlsx(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write the results as a workbook, in which every cell is text."""
    return xlsx_bytes(
        "results", _COLUMNS, ([_text(row.get(column, "")) for column in _COLUMNS] for row in rows)
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def results_page(title: str, rows: Sequence[Mapping[str, Any]], whole: int) -> str:
    """Write the results as a page in one file; `whole` is the number of targets to inspect."""
    passed = sum(1 for row in rows if row["passed"])
    columns = (
        Column("检查对象", "target"), Column("事项", "item"), Column("检查日期", "inspected on"), Column("结果", "result"),
        Column("检查人员", "inspectors"), Column("机关", "authority"), Column("公示期限", "publish by"),
    )  # fmt: skip
    cells = [
        (r["target"], r["item"], r["inspected_on"], r["result"], r["inspectors"],
         authority_name(r["authority"]),
         f"{r['publish_by']}{' 逾期 / late' if r['late'] else ''}")
        for r in rows
    ]  # fmt: skip
    counts = figures(
        [(len(rows), "已检查", "inspected"), (whole - len(rows), "待检查", "to come"), (passed, "合格", "passed"),
         (len(rows) - passed, "不合格", "failed")]
    )  # fmt: skip
    parts = [section("概况", "summary", counts), section("检查结果", "results", table(columns, cells))]
    return page(title, ["双随机、一公开抽查结果公示 / published results"], parts, "正照 zhengzhao")
