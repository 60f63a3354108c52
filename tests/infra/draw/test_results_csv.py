"""Results of inspections as CSV for the public."""

from __future__ import annotations

import csv
import io

import pytest

from infra.draw.results_page import results_csv


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1+1", "@SUM(A1)", "\t=1", "＝1"])
def test_no_cell_acts_as_a_formula(name: str) -> None:
    """A name or an inspector's id that begins like one is opened by an apostrophe."""
    text = results_csv([{"target": name, "inspectors": name, "passed": True}])
    (row,) = csv.DictReader(io.StringIO(text))
    assert [f"'{name}", f"'{name}", "true"] == [row["target"], row["inspectors"], row["passed"]]


def test_other_cells_stay_as_they_are() -> None:
    """Names of enterprises, days and identifiers among them."""
    (row,) = csv.DictReader(
        io.StringIO(results_csv([{"target": "青海甲公司", "inspected_on": "2018-05-02"}]))
    )
    assert ("青海甲公司", "2018-05-02") == (row["target"], row["inspected_on"])
