"""Marks of holders in a data file: lists look at the holders that they concern, and show what a scan would show."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from story import PROVINCE, Events, Office, uscc

from infra.readmodel.database import Database
from infra.readmodel.lists import EmbeddedRegister
from infra.readmodel.projector import renew
from processors.queries.access import Principal, Restricted
from processors.queries.listings import marks_of
from processors.state import HolderState
from schemas.items import load_catalogue

HALL = "urn:agency:630225:service-hall"
STRANGER = "urn:agency:632801:market-regulation"
SOURCES = (
    PROVINCE,
    HALL,
    STRANGER,
    "urn:agency:630200:market-regulation",
    "urn:agency:630000:commerce",
    "urn:agency:630225:commerce",
    "urn:agency:630000:nobody",
    "no source",
)


class Scanned(EmbeddedRegister):
    """The same register without its index; it counts the holders that are looked at."""

    looked_at = 0

    def state(self, holder: str) -> HolderState | None:
        self.looked_at += 1
        return super().state(holder)


class Unindexed(EmbeddedRegister):
    """The same register, which looks at everyone."""

    def states(self, start: str = "", marks: Sequence[str] | None = None) -> Iterator[HolderState]:
        yield from super().states(start)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Licences in two counties, one of them suspended; a refused case; a registration with a filing; a check."""
    office = Office(tmp_path_factory.mktemp("marks"))
    office.init()
    told = Events()
    for n, division in enumerate(("630225", "630225", "630102")):
        applicant = {
            "kind": "enterprise",
            "id": uscc(n),
            "name": "青海一厂",
            "address": "一号",
            "division": division,
        }
        told.apply("2018-03-01T10:00:00+08:00", f"A-{n}", uscc(n), applicant=applicant)
    told.apply("2018-03-02T10:00:00+08:00", "A-9", uscc(9), item="no-such-item", source=HALL)
    told.add(
        "registration.submitted",
        "2018-03-03T10:00:00+08:00",
        {
            "application_id": "R-1",
            "applicant": {**told.lines[0]["data"]["applicant"], "id": uscc(5)},
            "shared": {"recycled-goods": "废钢铁", "site-address": "积石镇二号"},
            "materials": [{"kind": "application-form"}],
            "items": [{"item": "recycling-filing"}],
        },
        HALL,
    )
    told.add(
        "licence.suspended",
        "2018-03-04T10:00:00+08:00",
        {
            "granted_by": "A-1",
            "holder_id": uscc(1),
            "ground": "整改",
            "decided_on": "2018-03-04",
            "until": "2019-03-04",
        },
    )
    office.tell(told)
    return office


@pytest.mark.parametrize("source", SOURCES)
def test_an_agency_sees_by_marks_what_a_scan_shows(office: Office, source: str) -> None:
    """Its own cases, and what its department decides in its divisions; nobody is missing."""
    path, principal = office.data / "zhengzhao.sqlite", Principal("agency", source)
    indexed, scanned = (
        [
            (state.holder, set(state.cases), set(state.licences), set(state.filings))
            for state in Restricted(register(path), principal, load_catalogue()).states()
        ]
        for register in (EmbeddedRegister, Unindexed)
    )
    assert indexed == scanned


def test_whoever_may_read_nothing_looks_at_nobody(office: Office) -> None:
    """A listing of an agency elsewhere decodes no state at all; the province's decodes each once."""
    looked = {}
    for source in (STRANGER, PROVINCE):
        register = Scanned(office.data / "zhengzhao.sqlite")
        list(Restricted(register, Principal("agency", source), load_catalogue()).states())
        looked[source] = register.looked_at
    assert looked == {STRANGER: 0, PROVINCE: 4}


@pytest.mark.parametrize(
    ("command", "count"),
    [
        (("licence", "list"), 4),
        (("licence", "list", "--status", "suspended"), 1),
        (("licence", "list", "--item", "business-licence"), 1),
        (("licence", "list", "--holder", uscc(0)), 1),
        (("licence", "list", "--item", "industrial-product-licence", "--status", "revoked"), 0),
        (("case", "list", "--state", "refused"), 1),
        (("case", "list", "--item", "business-licence"), 1),
        (("check", "list", "--state", "scheduled"), 3),
        (("filing", "list", "--department", "commerce", "--state", "pushed"), 1),
        (("filing", "list", "--department", "tax"), 0),
        (("window", "list", "--window", "630225"), 5),
    ],
)
def test_lists_show_what_they_are_asked_for(office: Office, command: tuple[str, ...], count: int) -> None:
    """Each filter, by the index."""
    assert len(office.rows(*command)) == count


def test_marks_follow_the_states(office: Office) -> None:
    """What stands in the file is what the states say now: a mark that no longer holds is gone."""
    with sqlite3.connect(office.data / "zhengzhao.sqlite") as db:
        stored = set(db.execute("SELECT mark, holder FROM marks"))
    states = list(Unindexed(office.data / "zhengzhao.sqlite").states())
    assert stored == {(mark, state.holder) for state in states for mark in marks_of(state)}


def test_a_file_without_marks_is_scanned_until_they_are_made(office: Office, tmp_path: Path) -> None:
    """As an earlier release left it: lists are whole before and after, and the next start makes the marks."""
    path = tmp_path / "zhengzhao.sqlite"
    path.write_bytes((office.data / "zhengzhao.sqlite").read_bytes())
    with sqlite3.connect(path) as db:
        marks = set(db.execute("SELECT * FROM marks"))
        db.execute("DELETE FROM marks")
        db.execute("DELETE FROM meta WHERE name = 'marks'")
    everyone = [state.holder for state in Unindexed(path).states()]
    assert everyone == [state.holder for state in EmbeddedRegister(path).states(marks=["licences:x:valid"])]
    with Database(path) as db:
        assert renew(db) == 0
        assert marks == set(db.db.execute("SELECT * FROM marks"))
