"""The commands `verify`, `keys` and `status`: exit codes, JSON, messages."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bureau import DECIDED, HOST, LIST, Bureau, numbered

from infra.cli import main
from schemas.licence import qr_text
from schemas.status_list import StatusReason
from schemas.trust import load_trust

AT = "2018-09-10T12:00:00+08:00"


class Desk:
    """Calls the command in this process, on a data folder with one licence and its list."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.capsys = capsys
        self.bureau = Bureau(self.data)
        credential, body = self.bureau.credential(numbered())
        first = self.bureau.edition(DECIDED)
        reason = StatusReason("revoked", "吊销 / revoked", "2018-09-12")
        self.bureau.edition(DECIDED + timedelta(days=2), {3: 1}, {3: reason}, first.published)
        self.files = {
            "l.pdf": self.bureau.pdf(numbered()),
            "l.cwt": credential,
            "l.json": body,
            "l.txt": qr_text(HOST, credential).encode(),
            "bad.cwt": credential[:-1] + bytes((credential[-1] ^ 1,)),
            "empty": b"",
        }
        for name, content in self.files.items():
            (folder / name).write_bytes(content)

    def __call__(self, *args: str, code: int = 0) -> str:
        words = [str(self.folder / arg) if arg in self.files else arg for arg in args]
        assert code == main([*words, "--data", str(self.data)])
        out, self.err = self.capsys.readouterr()
        return out

    def rows(self, *args: str, code: int = 0) -> list[Any]:
        return [json.loads(line) for line in self(*args, "--json", code=code).splitlines()]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def test_verify_says_its_verdict_with_its_exit_code(desk: Desk) -> None:
    """0 valid, 1 invalid, 3 unknown; one object for each file."""
    (valid,) = desk.rows("verify", "l.pdf", "--at", AT)
    (revoked,) = desk.rows("verify", "l.cwt", "--at", "2018-09-12", code=1)
    (late,) = desk.rows("verify", "l.txt", "--at", "2018-12-01T00:00:00Z", code=3)
    assert [row["verdict"] for row in (valid, revoked, late)] == ["valid", "invalid", "unknown"]
    assert [row["genuine"] for row in (valid, revoked, late)] == [True] * 3
    assert (revoked["licence"]["status"], revoked["licence"]["since"]) == ("revoked", "2018-09-12")
    assert {"file", "verdict", "genuine", "checks", "licence"} == set(valid)


def test_worst_of_several_files_counts(desk: Desk) -> None:
    """1 before 3 before 0; a file that cannot be used makes it 2, and the others are answered all the same."""
    cases = {
        ("l.cwt", "bad.cwt"): 1,
        ("l.cwt", "l.pdf"): 0,
        ("bad.cwt", "l.cwt", "empty"): 2,
        ("absent.cwt", "l.cwt"): 2,
    }
    for files, code in cases.items():
        rows = desk.rows("verify", *files, "--at", AT, code=code)
        assert len([file for file in files if file not in ("empty", "absent.cwt")]) == len(rows)
    both = ("verify", "l.cwt", "bad.cwt", "--at", "2018-12-01T00:00:00Z")
    assert [row["verdict"] for row in desk.rows(*both, code=1)] == ["unknown", "invalid"]


def test_body_needs_its_credential(desk: Desk) -> None:
    """With it valid, without it wrong use, and a hint."""
    (row,) = desk.rows("verify", "l.json", "--credential", str(desk.folder / "l.cwt"), "--at", AT)
    assert row["verdict"] == "valid"
    desk("verify", "l.json", "--at", AT, code=2)
    assert "hint: --credential" in desk.err


def test_people_are_told_what_was_checked(desk: Desk) -> None:
    """In Chinese and English, with each check."""
    told = desk("verify", "bad.cwt", "--at", AT, code=1)
    assert "无效 / invalid" in told
    assert "✗ credential" in told


def test_verify_needs_trust_and_a_time_that_is_one(desk: Desk) -> None:
    """Exit 2 without trust folder, with a spoilt one, an absent list, or no time."""
    spoilt = desk.folder / "spoilt"
    shutil.copytree(desk.data / "trust", spoilt)
    (spoilt / "trust.json").write_bytes((spoilt / "trust.json").read_bytes().replace(b"2027", b"2037", 1))
    for option, value in (
        ("--trust", str(desk.folder / "nowhere")),
        ("--trust", str(spoilt)),
        ("--status", str(desk.folder / "nowhere")),
        ("--status", str(desk.folder / "empty")),
        ("--at", "yesterday"),
        ("--credential", str(desk.folder / "nowhere")),
    ):
        assert desk("verify", "l.cwt", option, value, code=2) == ""
        assert "error: " in desk.err
        assert "hint: " in desk.err


def test_status_can_come_from_elsewhere(desk: Desk) -> None:
    """A stranger has the trust folder and one list, and no data folder."""
    lists = desk.data / "objects" / "status" / LIST
    first = min(path for path in lists.iterdir() if "reasons" not in path.name)
    stranger = ["--trust", str(desk.data / "trust"), "--status", str(first), "--at", "2018-09-12", "--json"]
    assert main(["verify", str(desk.folder / "l.pdf"), *stranger, "--data", str(desk.folder / "none")]) == 0
    assert not (desk.folder / "none").exists()


def test_keys_init_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Made once for every authority of the catalogue, then left alone."""
    data = tmp_path / "fresh"
    call = ["keys", "init", "--valid-from", "2018-01-01", "--json", "--data", str(data)]
    assert main(call) == 0
    first = json.loads(capsys.readouterr().out)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert main(call) == 0
    second = json.loads(capsys.readouterr().out)
    assert before == {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert (first["state"], second["state"]) == ("created", "unchanged")
    trust = load_trust(data / "trust")
    province = "urn:agency:630000:market-regulation"
    for authority, use in ((province, "credential"), (province, "seal"), ("*", "status"), ("*", "draw")):
        trust.signing_key(authority, use, DECIDED)  # type: ignore[arg-type]


def test_wrong_dates_for_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No date, a year without certificates: exit 2, and no folder."""
    for date in ("2018-02-30", "1900-01-01", "soon", "9999-01-01"):
        assert main(["keys", "init", "--valid-from", date, "--data", str(tmp_path / "x")]) == 2
        assert "hint: " in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_revoked_key_no_longer_counts(desk: Desk) -> None:
    """`keys revoke` from a date on: without a proof witnessed before it, what the key signed is unknown."""
    kid = next(row["kid"] for row in desk.rows("keys", "list") if row["use"] == "credential")
    (successor,) = desk.rows("keys", "revoke", kid, "--since", "2018-09-11")
    assert successor["signs_from"] == "2018-09-11T00:00:00+08:00"
    desk("verify", "l.cwt", "--at", AT, code=3)
    desk("keys", "revoke", "ffffffff", code=1)
    desk("keys", "revoke", kid, "--since", "2018-09-11", code=2)
    kid = successor["kid"]
    desk("keys", "revoke", kid, "--since", "2018-09-11")
    old = next(row for row in desk.rows("keys", "list") if row["kid"] == kid)
    assert old["revoked_since"] == "2018-09-11T00:00:00+08:00"


def test_new_keys_follow_old_ones(desk: Desk) -> None:
    """`keys rotate` adds; what the old keys signed stays good."""
    before = len(desk.rows("keys", "list"))
    made = desk.rows("keys", "rotate", "--from", "2019-01-01", "--use", "status")
    assert (before + 1, ["status"]) == (len(desk.rows("keys", "list")), [row["use"] for row in made])
    desk("verify", "l.cwt", "--at", AT)
    desk("keys", "rotate", "--use", "nothing", code=2)


def test_status_show(desk: Desk) -> None:
    """The latest edition of each list, every edition, one list's places that are not valid, at a time."""
    (latest,) = desk.rows("status", "show")
    assert (latest["list"], latest["edition"], latest["invalid"]) == (LIST, 2, 1)
    assert [row["edition"] for row in desk.rows("status", "show", "--editions")] == [1, 2]
    (place,) = desk.rows("status", "show", LIST)
    assert (place["index"], place["status"], place["date"]) == (3, "revoked", "2018-09-12")
    assert desk.rows("status", "show", LIST, "--at", "2018-09-11") == []
    desk("status", "show", "nothing", code=1)
