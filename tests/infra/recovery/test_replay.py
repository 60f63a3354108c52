"""Replay notices what was changed, taken away or added, and works without keys and passphrase."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from story import PROVINCE, Events, Office, ric, uscc

from infra.bootstrap import Installation
from infra.recovery.archive import readable
from infra.recovery.replay import ReplayReport, replay
from infra.settings import load
from schemas.errors import UsageError


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which something happened: licences, a version, a suspension, a person's licence."""
    office = Office(tmp_path_factory.mktemp("told"))
    office.init()
    e = Events()
    for n in range(1, 4):
        e.apply(f"2018-03-01T1{n}:00:00+08:00", f"N-{n}", uscc(n))
    e.apply(
        "2018-03-02T10:00:00+08:00", "X-1", uscc(1), action="change", granted_by="N-1", products=...,
        change={"name": "青海新名化工有限公司"}, materials=[{"kind": "application-form"}],
    )  # fmt: skip
    e.add(
        "licence.suspended", "2018-03-02T11:00:00+08:00",
        {"granted_by": "N-2", "holder_id": uscc(2), "ground": "整改", "decided_on": "2018-03-02", "until": "2018-03-20"},
        PROVINCE,
    )  # fmt: skip
    e.add("clock.ticked", "2018-03-25T00:00:00+08:00", {}, "urn:agency:630000:clock")
    _person(office, e)
    office.tell(e)
    shutil.rmtree(office.data / "keys")  # nothing here needs a private key
    return office.data


def _person(office: Office, e: Events) -> None:
    item = next(r for r in office.rows("items", "list") if r["code"] == "special-equipment-operator")
    signed = set(item["signed"])
    e.apply(
        "2018-03-26T09:00:00+08:00", "P-1", ric(7), item=item["code"], products=...,
        applicant={"kind": "person", "id": ric(7), "name": "演示甲", "address": "循化县", "division": "630225"},
        materials=[{"kind": k, **({"signed_on": "2018-03-25"} if k in signed else {})} for k in item["materials"]],
        source="urn:agency:630225:service-hall",
    )  # fmt: skip
    for department in item["departments"]:
        e.add(
            "application.reviewed", "2018-03-26T15:00:00+08:00",
            {
                "application_id": "P-1", "holder_id": ric(7), "department": department, "officer": "o-1",
                "decision": "approve",
            },
            f"urn:agency:630000:{department}",
        )  # fmt: skip


@pytest.fixture
def data(told: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(told, tmp_path / "data"))


def run(data: Path, decide: bool = False) -> ReplayReport:
    return replay(Installation(load(data, {})), data.parent / f"again-{decide}", decide=decide)


def sql(data: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(data / "zhengzhao.sqlite") as db:
        assert db.execute(statement, values).rowcount


def problems(report: ReplayReport) -> list[tuple[str, str]]:
    return sorted({(f.what, f.problem.split(":")[0].split(" / ")[0]) for f in report.findings})


@pytest.mark.parametrize("decide", [False, True])
def test_nothing_differs(data: Path, decide: bool) -> None:
    """Every byte again, without keys; the objects stand in the other folder."""
    report = run(data, decide)
    assert (report.findings, report.unproved, report.code) == ([], [], 0)
    assert report.objects == 5
    root, again = data / "objects", data.parent / f"again-{decide}" / "objects"
    names = {p.relative_to(root) for p in root.rglob("*.pdf")} | {
        p.relative_to(root) for p in root.rglob("*.cwt")
    }
    assert {n: (root / n).read_bytes() for n in names} == {n: (again / n).read_bytes() for n in names}


def licence(data: Path) -> Path:
    return sorted((data / "objects" / "licences").rglob("licence.pdf"))[0]


def spoil_byte(data: Path) -> None:
    path = licence(data)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-9] + b"X" + path.read_bytes()[-8:])


def spoil_status(data: Path) -> None:
    path = sorted((data / "objects" / "status").rglob("*.cwt"))[0]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"X")


def change_fact(data: Path) -> None:
    sql(
        data,
        "UPDATE facts SET fact = replace(fact, '积石镇一号', '积石镇二号') WHERE type = 'licence.granted'",
    )


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (spoil_byte, ("object", "differs")),
        (spoil_status, ("object", "differs")),
        (lambda d: licence(d).unlink(), ("object", "missing")),
        (lambda d: licence(d).with_name("other.pdf").write_bytes(b"%PDF"), ("object", "too many")),
        (lambda d: (d / "objects" / "status" / "x.cwt").write_bytes(b"x"), ("object", "too many")),
        (change_fact, ("fact", "differs from its digest in the chain")),
        (lambda d: sql(d, "DELETE FROM facts WHERE seq = 3"), ("fact", "missing")),
        (lambda d: sql(d, "DELETE FROM facts WHERE seq = (SELECT max(seq) FROM facts)"), ("fact", "missing")),
        (
            lambda d: sql(
                d,
                "INSERT INTO facts SELECT max(seq) + 1, entry, 'forged', holder, type, fact, chain FROM facts",
            ),
            ("fact", "too many"),
        ),
        (lambda d: sql(d, "UPDATE head SET chain = zeroblob(32)"), ("fact", "is not the end of the chain")),
        (lambda d: sql(d, "DELETE FROM states WHERE holder = ?", uscc(1)), ("state", "missing")),
        (lambda d: sql(d, "DELETE FROM places"), ("state", "the index differs from what the facts give")),
    ],
    ids=[
        "licence changed", "status list changed", "object missing", "object too many", "edition too many",
        "fact changed", "fact missing", "last fact missing", "fact too many", "chain's end changed",
        "state missing", "status changed",
    ],
)  # fmt: skip
def test_what_was_spoilt_is_noticed(
    data: Path, spoil: Callable[[Path], object], expected: tuple[str, str]
) -> None:
    """Each kind of change is reported, and the report goes on behind it."""
    spoil(data)
    report = run(data)
    assert report.code == 1
    assert expected in problems(report)


def test_a_forger_who_mends_the_chain_is_noticed_by_deciding_again(data: Path) -> None:
    """The chain shows tampering by whoever cannot rewrite all of it; the ledger shows the rest."""
    import hashlib

    change_fact(data)
    with sqlite3.connect(data / "zhengzhao.sqlite") as db:
        chain = bytes(32)
        for seq, fact in db.execute("SELECT seq, fact FROM facts ORDER BY seq").fetchall():
            chain = hashlib.sha256(chain + (fact if isinstance(fact, bytes) else fact.encode())).digest()
            db.execute("UPDATE facts SET fact = CAST(fact AS BLOB), chain = ? WHERE seq = ?", (chain, seq))
        db.execute("UPDATE head SET chain = ?", (chain,))
    report = run(data, decide=True)
    assert ("fact", "differs from what the ledger gives") in problems(report)


def test_an_erased_person_is_compared_by_digest(data: Path) -> None:
    """Exit 3, naming the licence; everything else is rebuilt."""
    sql_persons = sqlite3.connect(data / "persons.db")
    sql_persons.execute("DELETE FROM keys")
    sql_persons.commit()
    sql_persons.close()
    report = run(data)
    assert (report.findings, report.code) == ([], 3)
    assert len(report.unproved) == 1
    shutil.rmtree(data.parent / "again-False")
    path = data / "objects" / report.unproved[0].subject
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")
    assert run(data).code == 1


def test_without_the_secret_persons_are_compared_by_digest(data: Path) -> None:
    """The secret lies apart from what can sign; where it is missing replay says so."""
    shutil.rmtree(data / "secret")
    report = run(data)
    assert (report.findings, report.code) == ([], 3)


def test_the_folder_must_be_free(data: Path) -> None:
    """Nothing is overwritten."""
    with pytest.raises(UsageError):
        replay(Installation(load(data, {})), data)


def test_a_missing_renderer_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object of another renderer is compared by its recorded digest."""
    with sqlite3.connect(data / "zhengzhao.sqlite") as db:
        import hashlib

        chain = bytes(32)
        for seq, raw in db.execute("SELECT seq, fact FROM facts ORDER BY seq").fetchall():
            fact = msgspec.json.decode(raw)
            if fact["body"]["type"] == "licence.issued":
                fact["body"]["issued"]["renderer"] = "typst 0.0.1"
            raw = msgspec.json.encode(fact)
            chain = hashlib.sha256(chain + raw).digest()
            db.execute("UPDATE facts SET fact = ?, chain = ? WHERE seq = ?", (raw, chain, seq))
        db.execute("UPDATE head SET chain = ?", (chain,))
    report = run(data)
    assert (report.findings, report.code, len(report.unproved)) == ([], 3, 5)
    assert os.listdir(data.parent / "again-False" / "objects")


def test_facts_of_one_decision_may_lie_on_both_sides_of_a_step(tmp_path: Path) -> None:
    """Wherever replay ends a transaction, a case that is opened but not yet told what is missing is no fault."""
    office = Office(tmp_path)
    office.init()
    e = Events()
    for n in range(1, 4):
        e.apply("2018-03-01T11:00:00+08:00", f"N-{n}", uscc(n), materials=[{"kind": "application-form"}])
    office.tell(e)
    for step in (1, 2, 3):
        assert (
            [] == replay(Installation(load(office.data, {})), tmp_path / f"again-{step}", step=step).findings
        )


def test_a_missing_notice_is_reported(tmp_path: Path) -> None:
    """Where the fact that says what is missing was taken away, replay names it and ends orderly."""
    office = Office(tmp_path)
    office.init()
    e = Events()
    e.apply("2018-03-01T11:00:00+08:00", "N-1", uscc(1), materials=[{"kind": "application-form"}])
    office.tell(e)
    sql(office.data, "DELETE FROM facts WHERE type = 'case.correction-requested'")
    assert {"fact", "state"} == {what for what, _ in problems(run(office.data))}


def test_an_auditor_replays_a_copy_that_is_not_written(told: Path, tmp_path: Path) -> None:
    """Nothing in the copy changes and nothing is added; facts that only the log holds are read too."""
    copy = tmp_path / "copy"
    shutil.copytree(told, copy)
    with sqlite3.connect(copy / "zhengzhao.sqlite") as held:
        held.execute("INSERT INTO meta VALUES ('audit', 'in the log')")
        held.commit()

        def contents() -> dict[Path, bytes]:
            return {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

        before = contents()
        with readable(load(copy), copied=True) as settings, Installation(settings) as parts:
            with parts.database() as db:
                assert db.meta("audit") == "in the log"
            report = replay(parts, tmp_path / "again")
        assert (0, True) == (report.code, report.facts > 0)
        assert before == contents()
    held.close()


def test_data_are_their_owners_alone(told: Path) -> None:
    """Files and folders, objects included; nobody else on the machine reads them."""
    assert [] == [path for path in (told, *told.rglob("*")) if path.stat().st_mode & 0o077]
