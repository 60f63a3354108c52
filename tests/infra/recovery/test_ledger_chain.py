"""The ledger names the digest of the entry before each entry, and keeps the proofs of its events."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from story import PROVINCE, Events, Office, uscc

from infra.agencies import load_register
from infra.bootstrap import Installation
from infra.readmodel.database import Database
from infra.recovery.chains import read_ledger
from infra.recovery.replay import ReplayReport, replay
from infra.settings import load


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two signed applications and one of a source that has no key."""
    office = Office(tmp_path_factory.mktemp("told"))
    office.init()
    office.run("agency", "keygen", "-o", "key.pem")
    office.run("agency", "add", PROVINCE, "key.pub.pem")
    signed, other = Events(), Events()
    signed.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    signed.apply("2018-03-01T11:00:00+08:00", "N-2", uscc(2))
    other.add("clock.ticked", "2018-03-02T00:00:00+08:00", {}, "urn:agency:630000:clock")
    path = office.folder / "signed.jsonl"
    path.write_text(signed.text(), "utf-8")
    office.run("submit", path, "--sign", "key.pem")
    office.tell(other)
    return office.data


@pytest.fixture
def data(told: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(told, tmp_path / "data"))


def run(data: Path, *, decide: bool = False) -> ReplayReport:
    shutil.rmtree(data.parent / "again", ignore_errors=True)
    register = load_register(data)
    return replay(Installation(load(data, {})), data.parent / "again", decide=decide, register=register)


def sql(data: Path, statement: str) -> int:
    with closing(sqlite3.connect(data / "zhengzhao.sqlite")) as db, db:
        return db.execute(statement).rowcount


def found(report: ReplayReport) -> list[tuple[str, str]]:
    return [(one.what, one.problem.split(" / ")[0]) for one in report.findings]


def test_kept_proofs_are_checked_and_shown(data: Path) -> None:
    """`replay --proofs` counts the good ones, and `case show` says who ordered the case, with the whole JWS."""
    report = run(data, decide=True)
    assert ([], 2, 0) == (report.findings, report.proofs, report.code)
    office = Office(data.parent)
    (row,) = office.case("N-1")["proofs"]
    assert (PROVINCE, 64, True) == (row["source"], len(row["signed"]), ".." in row["proof"])
    assert 2 == office.json("replay", "--into", data.parent / "other", "--proofs")["proofs"]


SPOILED = {
    "received": ("UPDATE ledger SET entry = replace(entry, '\"received_at\":\"2', '\"received_at\":\"3')"
                 " WHERE kind = 'event' AND seq = 2", [("ledger", "differs from its digest in the chain")]),
    "principal": (f"UPDATE ledger SET entry = replace(entry, '\"principal\":\"{PROVINCE}', '\"principal\":\"x') WHERE seq = 2",
                  [("ledger", "differs from its digest in the chain")]),
    "gone": ("DELETE FROM ledger WHERE seq = 3", [("ledger", "missing")]),
    "tail": ("DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)", [("ledger", "missing")]),
    "unlinked": ("UPDATE ledger SET chain = NULL WHERE seq = 2", [("ledger", "has no link of the chain")]),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_changed_in_the_ledger_is_noticed_with_its_place(data: Path, name: str) -> None:
    """A changed moment of receipt or principal, an entry taken away from the middle or the end."""
    statement, expected = SPOILED[name]
    assert 1 == sql(data, statement)
    report = run(data)
    assert (expected, 1) == ([one for one in found(report) if one[0] == "ledger"], report.code)
    assert report.findings[0].subject.split()[0] in ("2", "3", str(report.entries + 1))


def without_proof(raw: bytes) -> bytes:
    entry = msgspec.json.decode(raw)
    del entry["payload"]["proof"], entry["payload"]["signed"]
    return msgspec.json.encode(entry)


def other_digest(raw: bytes) -> bytes:
    entry = msgspec.json.decode(raw)
    entry["payload"]["signed"] = "0" * 64
    return msgspec.json.encode(entry)


@pytest.mark.parametrize(
    ("change", "problem"), [(without_proof, "missing"), (other_digest, "签名与内容不符")]
)
def test_a_kept_proof_that_does_not_hold_is_found(
    data: Path, change: Callable[[bytes], bytes], problem: str
) -> None:
    """Even where whoever changed the entry made the chain anew behind it."""
    with Database(data / "zhengzhao.sqlite") as db, db.transaction():
        rows = db.db.execute("SELECT kind, holder, CAST(entry AS BLOB) FROM ledger ORDER BY seq").fetchall()
        db.db.execute("DELETE FROM ledger")
        db.db.execute("UPDATE head SET entries = 0, ledger = x''")
        db.append(
            (kind, holder, change(raw) if n == 1 else raw) for n, (kind, holder, raw) in enumerate(rows)
        )
    report = run(data)
    (finding,) = [one for one in report.findings if one.what == "proof"]
    assert problem in finding.problem
    assert finding.subject.startswith("2 (")


def test_a_ledger_without_a_chain_is_read_and_chained_from_its_next_entry(data: Path) -> None:
    """A data file of an earlier form has no links; a change before the first one is not noticed, one behind it is."""
    with closing(sqlite3.connect(data / "zhengzhao.sqlite")) as db, db:
        count = db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        db.execute("DROP INDEX facts_holder")
        db.execute("DROP TABLE register")
        db.execute("DROP TABLE register_words")
        db.execute("DELETE FROM meta WHERE name = 'register-form'")
        for column in ("ledger.chain", "head.entries", "head.ledger", "head.chained_from"):
            table, _, name = column.partition(".")
            db.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        db.execute("PRAGMA user_version = 3")
    with Database(data / "zhengzhao.sqlite") as opened:
        kind, holder, raw = opened.db.execute(
            "SELECT kind, holder, CAST(entry AS BLOB) FROM ledger WHERE kind = 'tick'"
        ).fetchone()
        with opened.transaction():
            opened.append([(kind, holder, raw)])
        links = opened.db.execute("SELECT chain IS NOT NULL FROM ledger ORDER BY seq").fetchall()
        faults: list[object] = []
        assert count + 1 == sum(1 for _ in read_ledger(opened, lambda *fault: faults.append(fault)))
    assert ([], [(0,)] * count + [(1,)]) == (faults, links)
    assert 1 == sql(
        data, f"UPDATE ledger SET entry = replace(entry, 'clock', 'clocks') WHERE seq = {count + 1}"
    )
    assert ("ledger", "differs from its digest in the chain") in found(run(data))
