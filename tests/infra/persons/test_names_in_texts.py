"""Names of persons in free texts about an enterprise, from the event to whoever reads them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pdfplumber
import pytest
from story import Events, Office, uscc

from infra.bootstrap import Installation
from infra.cli import main
from infra.pages.licence import licence_values
from infra.persons import keys
from infra.persons.keys import PersonsStore
from infra.settings import load
from processors.queries.find import find_holder

HOLDER, NAME, UNASKED = uscc(3), "酆无名", "令狐冲"


def test_a_name_in_a_ground_is_read_by_whom_it_concerns_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signatory of an application and a labelled name: sealed in ledger and facts, opened in the record and the letter."""
    office = Office(tmp_path)
    office.init()
    events = Events()
    events.apply(
        "2018-09-10T09:00:00+08:00", "N-1", HOLDER,
        materials=[
            {"kind": "application-form"}, {"kind": "business-licence"},
            {"kind": "commitment-letter", "signed_on": "2018-09-09", "signatory": NAME},
        ],
    )  # fmt: skip
    ground = f"{NAME}伪造报告，经办人{UNASKED}"
    events.add(
        "licence.revoked", "2018-09-11T09:00:00+08:00",
        {"granted_by": "N-1", "holder_id": HOLDER, "ground": ground, "decided_on": "2018-09-11"},
    )  # fmt: skip
    office.tell(events)
    with closing(sqlite3.connect(office.data / "zhengzhao.sqlite")) as db:
        rows = db.execute("SELECT entry FROM ledger UNION ALL SELECT fact FROM facts").fetchall()
    stored = b"".join(row[0] for row in rows).decode()
    assert (0, False) == (stored.count(NAME + "伪造"), UNASKED in stored)

    def said(*words: str) -> str:
        assert 0 == main([*words, "--data", str(office.data)])
        return capsys.readouterr().out

    number = office.case("N-1")["licence_number"]
    assert ground in said("licence", "show", number, "--json")
    published = said(
        "status", "show", said("status", "show", "--json").split('"list":"')[1].split('"')[0], "--json"
    )
    assert ("吊销 / revoked；***伪造报告，经办人***" in published, NAME in published) == (True, False)
    with Installation(load(office.data)) as here, here.register() as register:
        state = find_holder(register, here.persons, HOLDER)
        (licence,) = state.licences.values()
        page = licence_values(state, licence, here.persons.open, here.catalogue, "zh", date(2018, 9, 12))
    assert ("***伪造报告，经办人***" in str(page), NAME in str(page)) == (True, False)
    letter = next(line for line in said("notice", "list", "--json").splitlines() if "吊销" in line)
    said("notice", "get", letter.split('"id":"')[1].split('"')[0], "-o", str(tmp_path / "letter.pdf"))
    with pdfplumber.open(tmp_path / "letter.pdf") as pdf:
        text = "".join(page.extract_text() for page in pdf.pages)
    assert [True, True, False] == [NAME in text, UNASKED in text, "named:" in text]


def test_names_are_remembered_sealed_and_are_not_without_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process of an installation knows them; of one enterprise only so many are kept."""
    monkeypatch.setattr(keys, "_MOST_NAMES", 3)
    one, other = PersonsStore(tmp_path), PersonsStore(tmp_path)
    assert {NAME} == set(one.names_given(HOLDER, {NAME}))
    assert {NAME, UNASKED} == set(other.names_given(HOLDER, {UNASKED}))
    assert set() == set(one.names_given(uscc(4), ()))
    assert 3 == len(one.names_given(HOLDER, {"甲乙", "丙丁", "戊己"}))
    one.close()
    other.close()
    assert not any(NAME.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
