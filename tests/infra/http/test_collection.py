"""Uploads that no case names go; those that one names stay."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from story import Events, Office, uscc

from infra.bootstrap import Installation
from infra.http.drainer import collect_uploads
from infra.settings import Settings

DAY = 86_400.0


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Three uploads: one of a decided case, one of an event that waits, one that nobody names."""
    office = Office(tmp_path)
    office.init()
    put = []
    for name in ("decided", "waiting", "nobody"):
        (office.folder / name).write_text(name)
        put.append(office.json("material", "put", office.folder / name))
    told = Events()
    for n, upload in enumerate(put[:2]):
        named = {"kind": "business-licence", "uri": upload["uri"], "sha256": upload["sha256"]}
        form = {"kind": "application-form"}
        letter = {"kind": "commitment-letter", "signed_on": "2018-02-28"}
        told.apply("2018-03-01T10:00:00+08:00", f"U-{n}", uscc(n + 1), materials=[form, letter, named])
    first, second = Events(), Events()
    first.lines, second.lines = told.lines[:1], told.lines[1:]
    office.tell(first)
    office.submit(second)
    return office


def left(office: Office) -> set[bytes]:
    with Installation(Settings(office.data)) as here:
        return {here.persons.open_file(here.store.get(key)) for key in here.store.list("uploads/")}


def test_what_no_case_names_goes_after_its_days(office: Office) -> None:
    """Not before; a second time nothing is left to do, and the rest replays."""
    with Installation(Settings(office.data)) as here:
        assert collect_uploads(here, now=time.time() + 29 * DAY) == 0
        assert left(office) == {b"decided", b"waiting", b"nobody"}
        assert collect_uploads(here, now=time.time() + 31 * DAY) == 1
        assert collect_uploads(here, now=time.time() + 31 * DAY) == 0
    assert left(office) == {b"decided", b"waiting"}
    office.run("drain")
    office.run("replay", "--into", office.folder / "again")
