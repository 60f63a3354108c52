"""`log export` and `log import`: everything but the keys in one file, verified by replay."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from story import Events, Office, uscc


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """One machine with two licences and an application that waits."""
    made = Office(tmp_path_factory.mktemp("archive"))
    made.init()
    e = Events()
    e.apply("2018-09-10T09:00:00+08:00", "A-1", uscc(1))
    e.apply("2018-09-10T09:01:00+08:00", "A-2", uscc(2))
    made.tell(e)
    late = Events()
    late.apply("2018-09-10T09:02:00+08:00", "A-3", uscc(3))
    late.lines[0]["id"] = "late"
    made.submit(late)
    made.run("log", "export", "log.tar")
    return made


def test_another_machine_goes_on(office: Office, tmp_path: Path) -> None:
    """The same rows; with keys of its trust folder the waiting application is decided there."""
    other = Office(tmp_path)
    other.run("log", "import", office.folder / "log.tar")
    assert office.rows("licence", "list") == other.rows("licence", "list")
    other.run("drain", code=2)
    assert "keys" in other.err
    (office.data / "keys").rename(other.data / "keys")
    try:
        other.run("drain")
    finally:
        (other.data / "keys").rename(office.data / "keys")
    assert other.case("A-3")["state"] == "issued"


def test_nothing_that_can_sign_is_in_it(office: Office) -> None:
    """Neither keys nor the installation's secret."""
    with tarfile.open(office.folder / "log.tar") as tar:
        names = tar.getnames()
        content = b"".join((tar.extractfile(n) or io.BytesIO()).read() for n in names)
    assert [n for n in names if n.startswith(("keys", "secret"))] == []
    assert (office.data / "secret" / "installation.key").read_bytes() not in content


def _rewritten(
    source: Path, target: Path, change: dict[str, bytes], add: dict[str, bytes] | None = None
) -> Path:
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        parts = {m.name: (old.extractfile(m) or io.BytesIO()).read() for m in old}
        for name, content in {**parts, **change, **(add or {})}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return target


def test_a_changed_archive_is_refused(office: Office, tmp_path: Path) -> None:
    """Replay finds the changed object; nothing is taken over."""
    with tarfile.open(office.folder / "log.tar") as tar:
        name = next(n for n in tar.getnames() if n.endswith("licence.pdf"))
    changed = _rewritten(office.folder / "log.tar", tmp_path / "changed.tar", {name: b"%PDF-1.7\nother"})
    other = Office(tmp_path)
    other.run("log", "import", changed, code=1)
    assert [p.name for p in other.data.iterdir()] == [".lock"]
    assert other.rows("licence", "list") == []


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "keys/evil", "objects/../../evil"])
def test_an_archive_does_not_climb_out(office: Office, tmp_path: Path, name: str) -> None:
    """Only the parts of an archive are unpacked."""
    evil = _rewritten(office.folder / "log.tar", tmp_path / "evil.tar", {}, {name: b"x"})
    other = Office(tmp_path)
    other.run("log", "import", evil, code=2)
    assert not list(tmp_path.rglob("evil"))


def test_unusable_archives(office: Office, tmp_path: Path) -> None:
    """Absent, empty, no archive; a folder with data; a file that is there already."""
    other = Office(tmp_path)
    (tmp_path / "no.tar").write_bytes(b"no archive" * 100)
    (tmp_path / "empty.tar").write_bytes(b"")
    for file in ("absent.tar", "empty.tar", "no.tar"):
        other.run("log", "import", file, code=2)
        assert "hint:" in other.err
    office.run("log", "import", "log.tar", code=2)
    office.run("log", "export", "log.tar", code=2)


def test_what_follows_from_ledger_and_facts_is_filled_in(office: Office, tmp_path: Path) -> None:
    """An archive from Kafka has ledger and facts alone: series, numbers, events seen and open jobs are made anew."""
    import sqlite3

    from infra.archive_complete import complete
    from infra.engines.database import Database

    other = Office(tmp_path)
    other.run("log", "import", office.folder / "log.tar")
    tables = ("series", "given", "states", "outbox")
    path = other.data / "zhengzhao.sqlite"

    def rows() -> list[list[tuple[object, ...]]]:
        with sqlite3.connect(path) as db:
            seen = db.execute("SELECT event, substr(digest, 1, 16) FROM seen ORDER BY 1").fetchall()
            metas = db.execute(
                "SELECT * FROM meta WHERE name IN ('clock', 'catalogue', 'position')"
            ).fetchall()
            return [seen, metas, *(db.execute(f"SELECT * FROM {t} ORDER BY 1").fetchall() for t in tables)]

    before = rows()
    # the clock of an entry that waits is told when it is decided
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM ledger WHERE seq > (SELECT value FROM meta WHERE name = 'position')")
        for statement in (
            "DELETE FROM seen",
            "DELETE FROM series",
            "DELETE FROM given",
            "UPDATE states SET due = NULL",
        ):
            db.execute(statement)
    with Database(path) as opened:
        complete(opened)
    after = rows()
    assert len(before[0]) == len(after[0]) + 1
    assert set(after[0]) <= set(before[0])
    assert before[1:] == after[1:]
