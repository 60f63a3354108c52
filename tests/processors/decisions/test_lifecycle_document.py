"""docs/lifecycle.md says what the code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from processors.decisions.due import _HANDLERS
from processors.decisions.orders import DUE, ENDED, LIVING, TRANSITIONS, tables

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "docs" / "lifecycle.md").read_text("utf-8")


def test_the_tables_are_current() -> None:
    """`python -m processors.decisions.orders` prints exactly what stands between the marks."""
    printed = subprocess.run(
        [sys.executable, "-m", "processors.decisions.orders"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    between = DOCUMENT.split("<!-- tables -->\n")[1].split("<!-- end of tables -->")[0]
    assert between == printed == tables()


def test_no_way_back_and_a_way_out() -> None:
    """From no ended status does an event lead to a living one; every status but the last has a way out."""
    moves = {**TRANSITIONS, **DUE}
    assert {then for (status, _), then in moves.items() if status in ENDED} == {"cancelled"}
    assert {status for status, _ in moves} == {*LIVING, *ENDED}


def test_everything_that_falls_due_is_described() -> None:
    """One row of the document for each kind (promised and statutory, yellow and red share one)."""
    rows = DOCUMENT.split("| what | last day | then |")[1].split("\n\n")[0].count("\n|") - 1
    shared = 2
    assert len(_HANDLERS) - shared == rows
