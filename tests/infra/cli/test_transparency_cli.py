"""`zhengzhao transparency` and `witness`, as an outsider and another office call them."""

from __future__ import annotations

import shutil

import pytest
from story import Events, Office, uscc


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


def test_a_licence_is_proved(office: Office) -> None:
    """A proof in the form of C2SP; none for a number that was never given."""
    proof, number = office.folder / "licence.tlog-proof", office.rows("licence", "list")[0]["number"]
    assert 1 == office.json("transparency", "prove", number, "-o", proof)["version"]
    assert proof.read_bytes().startswith(b"c2sp.org/tlog-proof@v1\n")
    office.run("transparency", "prove", "(青)XK16-204-09999", "-o", proof, code=1)


def test_a_witness_signs_a_continuation_and_no_cut_log(office: Office) -> None:
    """The head once more is signed; one that lost its tail is refused."""
    log, folder = office.data / "objects" / "log", office.folder / "witness"
    key = office.json("transparency", "show")["keys"][0]
    assert office.json("witness", "init", folder, "--name", "w.example.cn", "--log", key)["key"]
    older = office.folder / "before"
    shutil.copytree(log, older)
    assert office.json("witness", "sign", folder, log)["signature"].startswith("— w.example.cn ")
    grant(office, 3)
    assert office.json("witness", "sign", folder, log)["size"] > 0
    office.run("witness", "sign", folder, older, code=1)
    office.run("witness", "sign", office.folder / "nobody", log, code=2)
