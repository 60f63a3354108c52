"""Results of inspections as CSV for the public."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from infra.draw.results_page import results_csv
from processors.draw.visits import Target, write_targets


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1+1", "@SUM(A1)", "\t=1", "＝1"])
def test_no_cell_acts_as_a_formula(name: str) -> None:
    """A name or an inspector's id that begins like one is opened by an apostrophe."""
    text = results_csv([{"target": name, "inspectors": name, "passed": True}])
    (row,) = csv.DictReader(io.StringIO(text))
    assert [f"'{name}", f"'{name}", "true"] == [row["target"], row["inspectors"], row["passed"]]


def test_no_cell_of_a_register_s_snapshot_acts_as_a_formula(tmp_path: Path) -> None:
    """An enterprise may call itself as it likes; ids and other names stand as they are."""
    named = [
        Target(f"L-{n}", name, "630225", "A", "i", "化肥", "h", "valid", "")
        for n, name in enumerate(("=1+1", "甲厂"))
    ]
    assert 2 == write_targets(tmp_path / "R.csv", named)
    rows = list(csv.DictReader((tmp_path / "R.csv").read_text("utf-8").splitlines()))
    assert [("L-0", "'=1+1"), ("L-1", "甲厂")] == [(row["id"], row["name"]) for row in rows]


def test_other_cells_stay_as_they_are() -> None:
    """Names of enterprises, days and identifiers among them."""
    (row,) = csv.DictReader(
        io.StringIO(results_csv([{"target": "青海甲公司", "inspected_on": "2018-05-02"}]))
    )
    assert ("青海甲公司", "2018-05-02") == (row["target"], row["inspected_on"])
