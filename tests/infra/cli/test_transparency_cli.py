"""`zhengzhao transparency` and `witness`, as an outsider and another office call them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from story import COMMAND, ROOT, Events, Office, uscc


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """An office with one licence."""
    office = Office(tmp_path_factory.mktemp("log-cli"))
    office.init()
    grant(office, 1)
    return office


def grant(office: Office, n: int) -> None:
    """Let the n-th enterprise get a licence; the events before are told again and change nothing."""
    e = Events()
    for each in range(1, n + 1):
        e.apply(f"2018-03-0{each}T10:00:00+08:00", f"N-{each}", uscc(each))
    office.tell(e)


def test_an_outsider_audits_and_notices_a_cut_tail(office: Office) -> None:
    """With the checkpoint that he kept, a log that lost its tail or shows another history is refused."""
    log, seen = office.data / "objects" / "log", office.folder / "seen.txt"
    assert office.json("transparency", "audit", log, "-o", seen)["ok"]
    size = office.json("transparency", "show")["size"]
    assert seen.read_bytes() == (log / "checkpoint").read_bytes()
    older = office.folder / "older"
    shutil.copytree(log, older)
    grant(office, 2)
    later = office.folder / "later.txt"
    assert office.json("transparency", "audit", log, "--since", seen, "-o", later)["ok"]
    assert size < office.json("transparency", "show")["size"]
    cut = office.json("transparency", "audit", older, "--since", later, code=1)
    assert ["consistency"] == [check["name"] for check in cut["checks"] if not check["ok"]]


def test_a_register_has_as_many_living_licences_as_the_log(office: Office) -> None:
    """The announced register is held against the status lists of the log: a row too few fails, as one beside the log does."""
    log, register = office.data / "objects" / "log", office.folder / "register.csv"
    numbers = [row["number"] for row in office.rows("licence", "list", "--status", "valid")]

    def registered(*rows: str, code: int) -> str:
        register.write_text("".join(f"{row}\n" for row in ("number", *rows)))
        answer = office.json("transparency", "audit", log, "--register", register, code=code)
        return "".join(check["detail"] for check in answer["checks"] if check["name"] == "register")

    assert "as many as the log says" in registered(*numbers, code=0)
    assert "is not in the log" in registered(*numbers, "(青)XK16-204-09999", code=1)
    grant(office, 4)
    assert "living ones" in registered(*numbers, code=1)


def test_a_licence_is_proved(office: Office) -> None:
    """A proof in the form of C2SP; none for a number that was never given."""
    proof, number = office.folder / "licence.tlog-proof", office.rows("licence", "list")[0]["number"]
    assert 1 == office.json("transparency", "prove", number, "-o", proof)["version"]
    assert proof.read_bytes().startswith(b"c2sp.org/tlog-proof@v1\n")
    office.run("transparency", "prove", "(青)XK16-204-09999", "-o", proof, code=1)


def test_a_licence_is_verified_by_the_log(office: Office) -> None:
    """With its proof, the log's folder or the data folder it is valid; with another licence's proof or log it is unknown."""
    number = office.rows("licence", "list")[0]["number"]
    pdf, proof = office.folder / "licence.pdf", office.folder / "licence.proof"
    office.run("licence", "get", number, "-o", pdf)
    answer = office.json("licence", "get", number, "--format", "proof", "-o", proof)
    assert hashlib.sha256(proof.read_bytes()).hexdigest() == answer["sha256"]
    at = ("--at", "2018-03-02T12:00:00+08:00")
    for place in (proof, office.data / "objects" / "log", office.data):
        found = office.rows("verify", pdf, "--log", place, *at)[0]
        assert ("valid", ["log", True]) == (
            found["verdict"],
            [found["checks"][-1][n] for n in ("name", "ok")],
        )
    grant(office, 2)
    other = office.rows("licence", "list")[1]["number"]
    office.run("licence", "get", other, "--format", "proof", "-o", proof)
    found = office.rows("verify", pdf, "--log", proof, *at, code=3)[0]
    assert ("unknown", True, "log", False) == (
        found["verdict"], found["genuine"], found["checks"][-1]["name"], found["checks"][-1]["ok"]
    )  # fmt: skip
    office.run("verify", pdf, "--log", pdf, *at, code=2)
    office.run("licence", "get", "(青)XK16-204-09999", "--format", "proof", code=1)


def test_a_witness_signs_a_continuation_and_no_cut_log(office: Office) -> None:
    """The head once more is signed; one that lost its tail is refused."""
    log, folder = office.data / "objects" / "log", office.folder / "witness"
    key = office.json("transparency", "show")["keys"][0]
    assert office.json("witness", "init", folder, "--name", "w.example.cn", "--log", key)["key"]
    older = office.folder / "before"
    shutil.copytree(log, older)
    assert office.json("witness", "sign", folder, log)["signature"].startswith("— w.example.cn ")
    grant(office, 5)
    assert office.json("witness", "sign", folder, log)["size"] > 0
    office.run("witness", "sign", folder, older, code=1)
    office.run("witness", "sign", office.folder / "nobody", log, code=2)


def test_what_a_revoked_key_signed_counts_by_a_witnessed_proof(tmp_path: Path) -> None:
    """The way of an operator: a witness beside, told by `trust.json`; a key leaks; old licences need their proof."""
    office = Office(tmp_path)
    office.init()
    grant(office, 1)
    key, folder = office.json("transparency", "show")["keys"][0], tmp_path / "witness"
    office.json("witness", "init", folder, "--name", "w.example.cn", "--log", key)
    command = [*COMMAND, "witness", "serve", str(folder), "--port", "0", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as witness:
        assert witness.stdout is not None
        said = json.loads(witness.stdout.readline())
        settings = office.data / "settings.toml"
        named = f'witnesses = [{{address = "{said["url"]}", key = "{said["key"]}"}}]'
        settings.write_text(f"{settings.read_text()}\n[log]\nneeded = 1\n{named}\n")
        office.run("keys", "rotate", "--use", "status")
        office.run("drain")
        witness.terminate()
    assert (["w.example.cn"], 1) == tuple(
        office.json("transparency", "show")[name] for name in ("witnesses", "witnesses_needed")
    )
    number = office.rows("licence", "list")[0]["number"]
    pdf, proof, at = (
        tmp_path / "licence.pdf",
        tmp_path / "licence.proof",
        ("--at", "2018-03-02T12:00:00+08:00"),
    )
    office.run("licence", "get", number, "-o", pdf)
    office.run("licence", "get", number, "--format", "proof", "-o", proof)
    assert "w.example.cn" in office.rows("verify", pdf, "--log", proof, *at)[0]["checks"][-1]["detail"]
    kid = next(
        row["kid"]
        for row in office.rows("keys", "list")
        if row["use"] == "credential" and row["authority"] == "urn:agency:630000:market-regulation"
    )
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    office.run("keys", "revoke", kid, "--since", tomorrow)
    found = office.rows("verify", pdf, *at, code=3)[0]
    assert ("unknown", False) == (found["verdict"], found["genuine"])
    for place in (proof, office.data):
        assert "valid" == office.rows("verify", pdf, "--log", place, *at)[0]["verdict"]
    again = tmp_path / "again.proof"
    office.run("licence", "get", number, "--format", "proof", "-o", again)
    assert "valid" == office.rows("verify", pdf, "--log", again, *at)[0]["verdict"]
