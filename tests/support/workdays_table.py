"""Write `schemas/data/workdays.csv` anew from the package chinesecalendar: `python tests/support/workdays_table.py`."""

from __future__ import annotations

from pathlib import Path

import chinese_calendar
from chinese_calendar.constants import holidays, workdays

TABLE = Path(__file__).parents[2] / "schemas" / "data" / "workdays.csv"


def table() -> str:
    """Return the table as CSV: every day of the published years that differs from its weekday."""
    kinds = {d: "rest" for d in holidays if d.weekday() < 5} | {
        d: "work" for d in workdays if d.weekday() >= 5
    }
    assert all((kind == "work") == chinese_calendar.is_workday(d) for d, kind in kinds.items())
    lines = ["date,kind", *(f"{d.isoformat()},{kind}" for d, kind in sorted(kinds.items()))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
