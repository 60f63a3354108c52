"""`log export` and `log import`: everything but the keys in one file, verified by replay."""

from __future__ import annotations

import io
import os
import random
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import tarfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from story import COMMAND, PROVINCE, ROOT, Events, Office, uscc

from infra.failpoints import OF_IMPORT
from infra.recovery.unpack import unpack
from schemas.agencies import AgencyRegister
from schemas.errors import UsageError


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


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/etc/evil",
        "keys/evil",
        "objects/../../evil",
        "folder/evil",
        "folder/draws/../../evil",
        "folder/outbox/.evil",
        "folder/keys/evil",
        "folder/items//evil",
    ],
)
def test_an_archive_does_not_climb_out(office: Office, tmp_path: Path, name: str) -> None:
    """Only the parts of an archive are unpacked."""
    evil = _rewritten(office.folder / "log.tar", tmp_path / "evil.tar", {}, {name: b"x"})
    other = Office(tmp_path)
    other.run("log", "import", evil, code=2)
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_that_was_cut_short(office: Office, tmp_path: Path) -> None:
    """Anywhere, between two parts too: refused, and nothing stays."""
    whole = (office.folder / "log.tar").read_bytes()
    with tarfile.open(office.folder / "log.tar") as tar:
        starts = [m.offset for m in tar]
    other = Office(tmp_path)
    for n in [100, 600, *starts[1:4], starts[-1], starts[-1] + 700, len(whole) * 2 // 3]:
        (tmp_path / "cut.tar").write_bytes(whole[:n])
        other.run("log", "import", "cut.tar", code=2)
        assert "hint:" in other.err
        assert [p.name for p in other.data.iterdir()] == [".lock"]


def _hostile(name: str, kind: bytes, **more: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for key, value in more.items():
        setattr(member, key, value)
    return member


@pytest.mark.parametrize(
    "member",
    [
        _hostile("objects/a", tarfile.SYMTYPE, linkname="/etc/passwd"),
        _hostile("trust/a.pem", tarfile.LNKTYPE, linkname="../../keys"),
        _hostile("objects/a", tarfile.CHRTYPE),
        _hostile("objects/a", tarfile.FIFOTYPE),
        _hostile("objects", tarfile.DIRTYPE),
        _hostile("objects/sparse", tarfile.REGTYPE, pax_headers={"GNU.sparse.size": str(1 << 50)}),
        _hostile("objects/huge", tarfile.REGTYPE, pax_headers={"size": str(1 << 40)}),
        _hostile("trust/" + "x" * 5000, tarfile.REGTYPE),
        _hostile("trust/trust.json/x", tarfile.REGTYPE),
        _hostile("trust/trust.json", tarfile.REGTYPE),
    ],
)
def test_hostile_parts(office: Office, tmp_path: Path, member: tarfile.TarInfo) -> None:
    """Links, devices, what is larger than it weighs, names of a thousand letters, one thing twice."""
    with tarfile.open(office.folder / "log.tar") as old, tarfile.open(tmp_path / "evil.tar", "w") as new:
        for one in old:
            new.addfile(one, old.extractfile(one))
        new.addfile(member)
    with pytest.raises(UsageError) as caught:
        unpack(tmp_path / "evil.tar", tmp_path / "into", lambda *_: None)
    assert caught.value.hint


def test_a_data_file_that_acts_by_itself(office: Office, tmp_path: Path) -> None:
    """A trigger or a view in it is none of ours."""
    with tarfile.open(office.folder / "log.tar") as tar:
        content = (tar.extractfile("zhengzhao.sqlite") or io.BytesIO()).read()
    for statement in (
        "CREATE TRIGGER t AFTER INSERT ON ledger BEGIN DELETE FROM facts; END",
        "CREATE VIEW v AS SELECT 1",
    ):
        (tmp_path / "db").write_bytes(content)
        with closing(sqlite3.connect(tmp_path / "db")) as db:
            db.execute(statement)
        change = {"zhengzhao.sqlite": (tmp_path / "db").read_bytes()}
        evil = _rewritten(office.folder / "log.tar", tmp_path / "evil.tar", change)
        other = Office(tmp_path)
        other.run("log", "import", evil, code=2)
        assert "data file" in other.err


def test_damaged_archives(office: Office, tmp_path: Path) -> None:
    """A few bytes changed anywhere in the first parts: refused, or for replay to find; never a fault of ours."""
    whole = (office.folder / "log.tar").read_bytes()
    dice = random.Random(6)
    for n in range(100):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 20])):
            damaged[dice.randrange(1 << dice.randrange(10, 18))] = dice.randrange(256)
        (tmp_path / "damaged.tar").write_bytes(damaged)
        with suppress(UsageError):
            unpack(tmp_path / "damaged.tar", tmp_path / str(n), lambda *_: None)
        shutil.rmtree(tmp_path / str(n), ignore_errors=True)


def test_what_a_killed_import_left_is_swept(office: Office, tmp_path: Path) -> None:
    """By the next one."""
    other = Office(tmp_path)
    (other.data / ".import-old" / "data").mkdir(parents=True)
    other.run("log", "import", office.folder / "log.tar")
    assert [p.name for p in other.data.iterdir() if p.name.startswith(".import")] == []


@pytest.mark.parametrize("place", OF_IMPORT)
def test_a_killed_import_opens_nothing_and_is_gone_on_with(
    guarded: Office, tmp_path: Path, place: str
) -> None:
    """Until the import is called again `submit` and `drain` refuse to work in the folder; then it is whole."""
    other = Office(tmp_path)
    archive = guarded.folder / "whole.tar"
    other.run("log", "import", archive, code=-signal.SIGKILL, env={"ZHENGZHAO_FAILPOINT": place})
    assert not (other.data / "zhengzhao.sqlite").exists()
    shutil.copytree(guarded.data / "keys", other.data / "keys")
    shutil.copytree(guarded.data / "secret", other.data / "secret", dirs_exist_ok=True)
    more = Events()
    more.apply("2018-09-11T09:00:00+08:00", "A-2", uscc(2))
    for command in (("drain",), ("submit", write(tmp_path, more))):
        other.run(*command, code=2)
        assert "log import FILE" in other.err
    assert [False] == [row["ok"] for row in other.rows("doctor", code=1) if row["name"] == "import"]
    assert [] == other.json("log", "import", archive)["findings"]
    assert beside(guarded) == beside(other)
    other.run("drain")


def test_the_walk_of_the_document(office: Office, tmp_path: Path) -> None:
    """Backup and restore as docs/operations.md has them, with an import that is killed before the one that counts."""
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    (block,) = re.findall(r"```\n(zhengzhao log export backup\.tar\n.*?)```", text, re.S)
    line = "zhengzhao log import backup.tar --data restored"
    killed = f"ZHENGZHAO_FAILPOINT=import-among-files {line} || [ $? = 137 ]"
    walk = block.replace(line, f"{killed}\n{line}").replace("/safe", str(tmp_path / "safe"))
    walk = re.sub(
        "^(zhengzhao doctor .*)$", r"\1 || [ $? = 1 ]", walk, flags=re.M
    )  # the example host is wrong
    shutil.copytree(office.data, tmp_path / "data")
    (tmp_path / "safe").mkdir()
    program = "zhengzhao() { " + shlex.join(COMMAND) + ' "$@"; }\n'
    done = subprocess.run(
        ["bash", "-euc", program + walk], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ZHENGZHAO_DATA": "data"},
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    restored = Office(tmp_path)
    restored.data = tmp_path / "restored"
    assert ["issued"] * 3 == [restored.case(f"A-{n}")["state"] for n in (1, 2, 3)]


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
    from infra.readmodel.database import Database
    from infra.recovery.unpack import complete

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


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A machine with a token, an agency's key, required proofs, departments, further items, a register and a delivery."""
    made = Office(tmp_path_factory.mktemp("guarded"))
    made.init()
    told = Events()
    told.apply("2018-09-10T09:00:00+08:00", "A-1", uscc(1))
    made.tell(told)
    with (made.data / "settings.toml").open("a") as file:
        file.write("require_proof = true\n")
    made.run("token", "add", "--agency", PROVINCE)
    (made.data / "agencies.json").write_bytes(AgencyRegister().to_bytes())
    (made.data / "departments.toml").write_text('[tax]\nurl = "http://127.0.0.1:1/"\n')
    for name in (
        "registers/targets/x.csv",
        "outbox/tax/R-40:印章-1.json",
        "draws/630000-market-regulation/1.json",
    ):
        (made.data / name).parent.mkdir(parents=True, exist_ok=True)
        (made.data / name).write_text(name)
    made.run("drain")
    made.run("log", "export", "whole.tar")
    return made


def beside(office: Office) -> dict[str, bytes]:
    """What follows from nothing, by name."""
    names = ("settings.toml", "tokens.json", "agencies.json", "departments.toml")
    folders = ("registers", "outbox", "draws")
    files = [office.data / name for name in names]
    files += [p for name in folders for p in (office.data / name).rglob("*") if p.is_file()]
    return {p.relative_to(office.data).as_posix(): p.read_bytes() for p in files}


def test_everything_but_keys_and_secret_comes_along(guarded: Office, tmp_path: Path) -> None:
    """Settings, tokens' digests, agency register, departments, registers, outbox, draws, the order of the public log."""
    other = Office(tmp_path)
    other.run("log", "import", guarded.folder / "whole.tar")
    assert beside(guarded) == beside(other)
    assert (other.data / "tokens.json").stat().st_mode & 0o777 == 0o600
    assert not (other.data / "keys").exists()
    shutil.copytree(guarded.data / "keys", other.data / "keys")
    shutil.copytree(guarded.data / "secret", other.data / "secret", dirs_exist_ok=True)
    other.run("drain")
    audited = [
        office.json("transparency", "audit", office.data / "objects" / "log") for office in (guarded, other)
    ]
    assert audited[0] == audited[1]


@pytest.mark.parametrize("lost", ["tokens.json", "agencies.json", "settings.toml"])
def test_a_restore_without_a_guard_opens_nothing(guarded: Office, tmp_path: Path, lost: str) -> None:
    """Neither intake nor deciding; `doctor` is wrong, says what is missing, and takes a loss on purpose."""
    other, name = Office(tmp_path), {"settings.toml": "require_proof"}.get(lost, lost.removesuffix(".json"))
    other.run("log", "import", guarded.folder / "whole.tar")
    (other.data / lost).unlink()
    shutil.copytree(guarded.data / "keys", other.data / "keys")
    shutil.copytree(guarded.data / "secret", other.data / "secret", dirs_exist_ok=True)
    unsigned = Events()
    unsigned.apply("2018-09-11T09:00:00+08:00", "A-2", uscc(2))
    for command in (("drain",), ("submit", write(tmp_path, unsigned)), ("run", "--port", "0")):
        other.run(*command, code=2)
        assert name in other.err
        assert "hint:" in other.err
    found = [row for row in other.rows("doctor", code=1) if row["name"] == "guards"]
    assert [False] == [row["ok"] for row in found]
    other.run("doctor", "--forget", name, code=None)
    other.run("drain")


def write(folder: Path, events: Events) -> Path:
    (folder / "more.jsonl").write_text(events.text())
    return folder / "more.jsonl"


def test_a_file_that_differs_is_never_overwritten(guarded: Office, tmp_path: Path) -> None:
    """The import is refused before anything is placed."""
    other = Office(tmp_path)
    other.data.mkdir()
    (other.data / "departments.toml").write_text("")
    other.run("log", "import", guarded.folder / "whole.tar", code=2)
    assert "departments.toml" in other.err
    assert {"departments.toml"} == {p.name for p in other.data.iterdir() if not p.name.startswith(".")}
