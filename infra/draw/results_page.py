"""Results of inspections for publication: a page in one file, CSV, and a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from infra.draw.pages import authority_name
from infra.pages.frame import BOTH, TableRow, render_file, word
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
    return render_file("results.html", title=title, results=results_values(rows, whole, BOTH))


def results_values(rows: Sequence[Mapping[str, Any]], whole: int, language: str) -> dict[str, Any]:
    """Return what a page shows of results of inspections."""
    late = word(language, "results.late")
    cells = [
        TableRow(
            (
                r["target"],
                r["item"],
                r["inspected_on"],
                r["result"],
                r["inspectors"],
                authority_name(r["authority"]),
                f"{r['publish_by']} {late}" if r["late"] else r["publish_by"],
            )
        )
        for r in rows
    ]
    return {"rows": cells, "whole": whole, "passed": sum(1 for row in rows if row["passed"])}
