"""Uploads that no case names go; those that one names stay."""

from __future__ import annotations

import os
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


def test_a_file_that_comes_again_is_kept_for_its_days_anew(office: Office) -> None:
    """The same content is the same object; the case of this time may still be on its way."""
    with Installation(Settings(office.data)) as here:
        key = next(
            k for k in here.store.list("uploads/") if here.persons.open_file(here.store.get(k)) == b"nobody"
        )
        path = here.settings.objects / key
        os.utime(path, (time.time() - 40 * DAY, time.time() - 40 * DAY))
        assert here.keep_upload(b"nobody") == f"store:{key}"
        assert collect_uploads(here) == 0
        os.utime(path, (time.time() - 40 * DAY, time.time() - 40 * DAY))
        assert collect_uploads(here) == 1


def test_what_a_dead_letter_names_is_kept(office: Office) -> None:
    """It may return after a fix; once it is closed the file goes."""
    with Installation(Settings(office.data)) as here:
        key = next(
            k for k in here.store.list("uploads/") if here.persons.open_file(here.store.get(k)) == b"nobody"
        )
        with here.database() as db:
            db.db.execute(
                "INSERT INTO letters (time, place, error, hint, at, ref, content, state)"
                " VALUES ('', 'decide', '', '', '', 0, ?, 'open')",
                (f'{{"uri":"store:{key}"}}'.encode(),),
            )
        assert collect_uploads(here, now=time.time() + 31 * DAY) == 0
        with here.letters() as box:
            box.close(1, "重复 / twice")
        assert collect_uploads(here, now=time.time() + 31 * DAY) == 1
