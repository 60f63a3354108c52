"""An entry that cannot be decided is a dead letter by itself; its holder and all others go on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from story import PROVINCE, Events, Office, uscc


def test_a_date_beyond_the_calendar_stops_its_own_entry_alone(tmp_path: Path) -> None:
    """An import that an earlier door let in: the letter names the stage and says what to do, the holder goes on."""
    office = Office(tmp_path)
    office.init()
    e = Events()
    e.add(
        "licence.imported", "2018-03-01T10:00:00+08:00",
        {
            "holder": {"kind": "enterprise", "id": uscc(1), "name": "旧证企业", "address": "循化县", "division": "630225"},
            "licence_number": "(青)XK13-001-00077", "item": "industrial-product-licence",
            "products": [{"category": "化肥", "site": "s", "detail": "d"}],
            "issued_on": "2017-01-05", "valid_from": "2017-01-05", "valid_until": "2022-01-04",
        },
        source=PROVINCE,
    )  # fmt: skip
    e.apply("2018-03-01T11:00:00+08:00", "N-1", uscc(1))
    e.apply("2018-03-01T12:00:00+08:00", "N-2", uscc(2))
    office.submit(e)
    with closing(sqlite3.connect(office.data / "zhengzhao.sqlite")) as db:
        db.execute(
            "UPDATE ledger SET entry = CAST(replace(CAST(entry AS TEXT), '2022-01-04', '9999-12-31') AS BLOB)"
        )
        db.commit()
    office.run("drain")
    (letter,) = office.rows("letters", "list")
    assert (letter["place"], letter["state"]) == ("decide", "open")
    assert letter["hint"]
    assert ["issued", "issued"] == [office.case(f"N-{n}")["state"] for n in (1, 2)]
