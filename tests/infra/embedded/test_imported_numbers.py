"""An imported number that is another's: refused on the embedded engine, replayed, decided again, exported."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from story import PROVINCE, Events, Office, uscc

from infra.readmodel.database import Database

GIVEN, OLD = "(青)XK13-001-00001", "XK99-001-00007"
FORM = [{"kind": "application-form"}]


def factory(n: int) -> dict[str, str]:
    return {
        "kind": "enterprise", "id": uscc(n), "name": f"旧证{n}厂", "address": "循化县", "division": "630225",
    }  # fmt: skip


def imports(e: Events, n: int, number: str, time: str) -> None:
    data = {
        "holder": factory(n), "licence_number": number, "item": "industrial-product-licence",
        "products": [{"category": "化肥"}], "issued_on": "2016-01-01", "valid_from": "2016-01-01",
        "valid_until": "2020-12-31",
    }  # fmt: skip
    e.add("licence.imported", time, data, PROVINCE)


def reissues(e: Events, n: int, number: str, time: str) -> None:
    e.apply(
        time, f"R-{n}", uscc(n), action="reissue", licence_number=number, products=..., materials=FORM,
        applicant=factory(n),
    )  # fmt: skip


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """One has a licence of ours, one an imported one; two others import the same numbers and go on with them."""
    office = Office(tmp_path_factory.mktemp("numbers"))
    office.init()
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    imports(e, 2, OLD, "2018-03-01T10:00:01+08:00")
    imports(e, 3, GIVEN, "2018-03-01T10:00:02+08:00")
    imports(e, 4, OLD.lower(), "2018-03-01T10:00:03+08:00")
    reissues(e, 2, OLD, "2018-03-02T10:00:00+08:00")
    reissues(e, 4, OLD, "2018-03-02T10:00:00+08:00")
    e.apply("2018-03-03T10:00:00+08:00", "N-5", uscc(5))
    office.tell(e)
    return office


def test_the_second_holder_is_refused(office: Office) -> None:
    """`holder show` says why; nothing gets stuck, and each number has one object."""
    for n, number in ((3, GIVEN), (4, OLD)):
        shown = office.json("holder", "show", uscc(n))
        assert shown["licences"] == []
        assert [(row["event"], row["reason"]) for row in shown["refused"]] == [
            (
                "licence.imported",
                f"证照编号 {number} 已属于他人 / the number {number} belongs to another holder",
            )
        ]
    assert office.case("R-4")["state"] == "refused"
    assert (office.licence(OLD)["version"], office.licence(OLD)["holder_id"]) == (1, uscc(2))
    assert office.licence(GIVEN)["holder_id"] == uscc(1)
    assert office.case("N-5")["licence_number"] == "(青)XK13-001-00002"
    assert office.rows("letters", "list") == []


def test_replay_and_deciding_again_agree(office: Office, tmp_path: Path) -> None:
    """The answers stand in the ledger: facts, states and objects come out the same."""
    report = office.json("replay", "--into", tmp_path / "again", "--decide")
    assert (report["findings"], report["unproved"]) == ([], [])


def test_an_exported_log_keeps_whose_numbers_are_whose(office: Office, tmp_path: Path) -> None:
    """After an import of the log, too, the number is another's."""
    office.run("log", "export", tmp_path / "log.tar")
    other = Office(tmp_path)
    for name in ("keys", "secret"):
        shutil.copytree(office.data / name, other.data / name)
    shutil.copy(office.data / "settings.toml", other.data)
    other.run("log", "import", tmp_path / "log.tar")
    e = Events()
    e.lines = [{}] * 50
    imports(e, 6, OLD, "2018-04-01T10:00:00+08:00")
    e.lines = e.lines[50:]
    other.tell(e)
    assert [row["event"] for row in other.json("holder", "show", uscc(6))["refused"]] == ["licence.imported"]


def test_a_data_file_of_the_first_form_is_read(tmp_path: Path) -> None:
    """What was imported before numbers had owners is owned."""
    path = tmp_path / "zhengzhao.sqlite"
    Database(path, create=True).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE claims")
        db.execute("DROP INDEX given_number")
        db.execute("DROP INDEX facts_holder")
        db.execute("DROP INDEX letters_open")
        db.execute("DROP TABLE marks")
        db.execute("DROP TABLE register")
        db.execute("DROP TABLE register_words")
        db.execute("DELETE FROM meta")
        for column in ("ledger.chain", "head.entries", "head.ledger", "head.chained_from"):
            table, _, name = column.partition(".")
            db.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        db.execute("INSERT INTO licences VALUES ('OLD-1', 'H'), ('OURS-1', 'G')")
        db.execute("INSERT INTO given VALUES ('licence', 'OURS-1')")
        db.execute("PRAGMA user_version = 1")
    with Database(path) as again:
        assert again.db.execute("SELECT number, holder FROM claims").fetchall() == [("OLD-1", "H")]


def test_states_of_another_form_are_folded_anew(office: Office, tmp_path: Path) -> None:
    """A release with another form of state reads no state that it did not write: it folds the facts."""
    other = Office(tmp_path)
    shutil.copytree(office.data, other.data)
    with closing(sqlite3.connect(other.data / "zhengzhao.sqlite")) as db, db:
        before = dict(db.execute("SELECT holder, state FROM states"))
        db.execute("UPDATE states SET state = x'c1', due = NULL")
        db.execute("UPDATE meta SET value = '1' WHERE name = 'state-schema'")
    other.run("drain")
    with closing(sqlite3.connect(other.data / "zhengzhao.sqlite")) as db:
        assert dict(db.execute("SELECT holder, state FROM states")) == before
    assert other.json("replay", "--into", tmp_path / "again")["findings"] == []
