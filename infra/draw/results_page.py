"""Results of inspections for publication: a page in one file, CSV, and a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from infra.draw.pages import authority_name
from infra.draw.register import TargetRegister, kept_register
from infra.draw.store import DrawStore
from infra.pages.frame import BOTH, TableRow, render_file, word
from processors.draw import visits
from producers.table_writer import quoted, xlsx_bytes
from schemas.draw.aftermath import PublishedDraw

_COLUMNS = ("inspection_id", "target", "name", "plan", "item", "authority", "authority_name", "inspectors",
            "inspected_on", "result", "passed", "publish_by", "published_on", "late")  # fmt: skip
_OVERDUE_SHOWN = 2_000  # A page with more rows is too long to read.


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


def inspections_in(table: bytes) -> list[str]:
    """Return the ids of the inspections in a published table."""
    rows = csv.DictReader(io.StringIO(table.decode(), newline=""))
    return [row["inspection_id"] for row in rows]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def results_page(
    title: str, rows: Sequence[Mapping[str, Any]], whole: int, overdue: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Write the results as a page in one file; `whole` is the number of targets to inspect.

    It tells what was published late, and the visits that are overdue.
    """
    return render_file("results.html", title=title, results=results_values(rows, whole, BOTH, overdue))


def results_values(
    rows: Sequence[Mapping[str, Any]],
    whole: int,
    language: str,
    overdue: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return what a page shows of results of inspections."""
    late = word(language, "results.late")
    cells = [
        TableRow(
            (
                r["target"],
                r["name"],
                r["item"],
                r["inspected_on"],
                r["result"],
                r["inspectors"],
                r["authority_name"],
                r["publish_by"],
                f"{r['published_on']} {late}" if r["late"] else r["published_on"],
            )
        )
        for r in rows
    ]
    missed = [
        TableRow(
            (r["target"], r["name"], r["item"], authority_name(r["authority"]), r["inspectors"], r["until"])
        )
        for r in overdue[:_OVERDUE_SHOWN]
    ]
    return {
        "rows": cells,
        "whole": whole,
        "passed": sum(1 for row in rows if row["passed"]),
        "late": sum(1 for row in rows if row["late"]),
        "missed": len(overdue),
        "overdue": missed,
    }


def published_tables(store: DrawStore) -> visits.Tables:
    """Return the reader of the published tables that the data folder keeps, each told by its SHA-256."""
    links = {link.announcement.digest: link.announcement for link in store.every()}

    @cache
    def inspections(draw: str, digest: str) -> list[str]:
        table = store.results(links[draw], digest) if draw in links else None
        return inspections_in(table) if table else []

    return inspections


def target_names(draws: Sequence[PublishedDraw], register: Path | None, data: Path) -> dict[str, str]:
    """Return the names of the visited targets from a register; none where none is at hand."""
    wanted = pl.Series(
        "id", [target for shown in draws for target, _ in shown.visits()], dtype=pl.String
    ).implode()
    found: dict[str, str] = {}
    for shown in draws:
        path = register or kept_register(
            data / "registers", "targets", shown.announcement.registers.targets.digest
        )
        if path is None:
            continue
        with TargetRegister(path, "targets") as targets:
            for frame in targets.frames():
                found |= dict(frame.filter(pl.col("id").is_in(wanted)).select("id", "name").iter_rows())
    return found
