"""A flood of junk for one holder, through the engine: the stored state stays small, and queries show all of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from story import Events, Office, uscc

H = uscc(1)


def test_a_flood_for_one_holder_leaves_a_small_state(tmp_path: Path) -> None:
    """An old closed case and every refusal are shown from facts; replay gives the same state."""
    office = Office(tmp_path)
    office.init()
    e = Events()
    for n in range(120):
        time = f"2018-03-01T10:{n // 60:02d}:{n % 60:02d}+08:00"
        e.apply(time, f"JUNK-{n}", H, item=f"unknown-{n}")
        e.add(
            "licence.revoked", time,
            {"granted_by": "N", "holder_id": H, "ground": "x" * 200, "decided_on": "2018-03-01"},
        )  # fmt: skip
    office.tell(e)
    with closing(sqlite3.connect(office.data / "zhengzhao.sqlite")) as db:
        [(size,)] = db.execute("SELECT length(state) FROM states")
    assert size < 80_000
    assert ("refused", "JUNK-0") == tuple(office.case("JUNK-0")[name] for name in ("state", "application_id"))
    row = office.json("holder", "show", H)
    assert (120, 120) == (len(row["cases"]), len(row["refused"]))
    assert 120 == len(office.rows("case", "list", "--state", "refused"))
    office.run("replay", "--into", tmp_path / "again", "--decide")
