"""Doctor names what is wrong with a set-up, and what to do."""

from __future__ import annotations

import json
import socket
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from filings import story
from story import ROOT, Events, Office, uscc

from infra.transparency.sequencer import seeded_signer
from issuance import keys
from schemas.calendar import CHINA
from schemas.trust import load_trust


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path)
    made.init()
    lead(made, "licences.example.org")
    return made


def lead(office: Office, host: str, *former: str) -> None:
    """Let the QR codes of the province's authorities lead to a host."""
    folder = office.data / "authorities"
    folder.mkdir(exist_ok=True)
    (folder / "own.toml").write_text(f"""[provinces.63]
host = "{host}"
["urn:agency:630000:market-regulation"]
host = "{host}"
former_hosts = {list(former)}
""")


def findings(office: Office, code: int = 0, **env: str) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for line in office.run("doctor", "--json", code=code, env=env).splitlines():
        row = json.loads(line)
        found.setdefault(row["name"], []).append(row)
    return found


def test_a_good_set_up(office: Office) -> None:
    """Everything is looked at; warnings do not make it wrong."""
    found = findings(office)
    assert {
        "fonts",
        "renderer",
        "trust",
        "keys",
        "keystore",
        "store",
        "room",
        "data",
        "clock",
        "machine",
    } <= set(found)
    assert all(row["ok"] is not False for rows in found.values() for row in rows)
    assert found["require_proof"][0]["ok"] is None
    assert found["require_proof"][0]["hint"]


def test_a_witness_that_is_away_is_an_alarm(office: Office) -> None:
    """Its signature is missing from the head; a witness that `trust.json` does not name yet is one too."""
    key = seeded_signer("witness.example.cn", bytes(32)).witness_key
    settings = office.data / "settings.toml"
    witness = f'witnesses = [{{address = "http://127.0.0.1:9", key = "{key}"}}]'
    settings.write_text(f"{settings.read_text()}\n[log]\nneeded = 1\n{witness}\n")
    found = findings(office, code=1)["log"]
    assert "trust.json" in str(found[0]["detail"])
    office.run("keys", "rotate", "--use", "status")
    office.run("drain")
    (found,) = [row for row in findings(office, code=1)["log"] if row["ok"] is False]
    assert "missing: witness.example.cn" in str(found["detail"])
    assert found["hint"]


def test_proofs_that_are_required(office: Office) -> None:
    """The warning goes when the setting is there."""
    (office.data / "settings.toml").write_text("require_proof = true\n")
    assert findings(office)["require_proof"][0]["ok"] is True


def test_what_waits_and_who_was_not_proved(office: Office) -> None:
    """Entries that nobody decided, and events without a proof."""
    e = Events()
    e.apply("2018-09-10T09:00:00+08:00", "A-1", uscc(1))
    office.submit(e)
    found = findings(office)
    assert "zhengzhao drain" in str(found["pending"][0]["hint"])
    assert "1 events" in str(found["proof"][0]["detail"])


def test_wrong_things_are_wrong(office: Office) -> None:
    """No keys, an unusable passphrase, a store that is away, settings that cannot be read."""
    assert (
        findings(office, code=1, ZHENGZHAO_STORE="s3://key:geheim@127.0.0.1:9/bucket")["storage"][0]["ok"]
        is False
    )
    assert "geheim" not in office.err
    (office.data / "keys").rename(office.data / "away")
    assert findings(office, code=1)["keys"][-1]["ok"] is False
    (office.data / "settings.toml").write_text("require_proof = perhaps\n")
    office.run("doctor", code=2)
    assert "settings.toml" in office.err


def test_an_encrypted_keystore_needs_its_passphrase(tmp_path: Path) -> None:
    """Wrong or absent: wrong; right: no warning about keys at rest."""
    office = Office(tmp_path)
    office.run("keys", "init", env={"ZHENGZHAO_PASSPHRASE": "the right one"})
    lead(office, "licences.example.org")
    assert findings(office, code=1, ZHENGZHAO_PASSPHRASE="wrong")["keys"][-1]["ok"] is False
    assert "passphrase" not in findings(office, ZHENGZHAO_PASSPHRASE="the right one")


def test_nothing_is_issued_with_another_renderer(office: Office) -> None:
    """With another version of typst `doctor` is wrong and `drain` stops before it decides anything; with its own it goes on."""
    other = office.folder / "packages" / "typst-0.14.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: typst\nVersion: 0.14.9\n")
    elsewhere = {"PYTHONPATH": f"{other.parent}:{ROOT}"}
    renderer = findings(office, code=1, **elsewhere)["renderer"][0]
    assert (False, True) == (renderer["ok"], "typst 0.14.9 (==" in str(renderer["detail"]))
    events = Events()
    events.apply("2018-03-01T10:00:00+08:00", "R-1", uscc(1))
    file = office.folder / "events.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in events.lines), "utf-8")
    office.run("submit", file)
    office.run("drain", code=2, env=elsewhere)
    assert "typst 0.14.9" in office.err
    assert "requirements.txt" in office.err
    assert [] == office.rows("letters", "list")
    office.run("drain")
    assert ["R-1"] == [row["application_id"] for row in office.rows("licence", "list")]


def test_the_root_that_lies_here_is_a_warning(office: Office) -> None:
    """Until it is taken away; a rotation without it says what to do, and `drain` does not miss it."""
    assert findings(office)["root"][0]["ok"] is None
    (office.data / "keys" / "root").rename(office.folder / "root")
    assert findings(office)["root"][0]["ok"] is True
    office.run("drain")
    office.run("keys", "rotate", "--use", "status", code=2)
    assert "keys/root" in office.err


def test_a_trust_folder_that_went_back_or_is_stale(office: Office) -> None:
    """An earlier trust.json is found by the editions beside it, then by the log; a year without an edition is an alarm."""
    trust = office.data / "trust"
    first = (trust / "trust.json").read_bytes()
    change = keys.open_edition(office.data, load_trust(trust), None)
    change.publish(now=datetime.now(CHINA) - timedelta(days=340), passphrase=None)
    office.run("drain")
    (told,) = [row for row in findings(office)["trust"] if row["ok"] is None]
    assert ("zhengzhao keys refresh", True) == (told["hint"], "fresh until" in str(told["detail"]))
    (trust / "trust.json").write_bytes(first)
    assert _went_back(office)
    (trust / "editions" / "trust-000002.json").unlink()
    assert _went_back(office)
    again = office.run("replay", "--into", str(office.data.parent / "again"), "--json", code=1)
    assert "trust.json" in [row["subject"] for row in json.loads(again)["findings"]]


def _went_back(office: Office) -> bool:
    return any(
        row["ok"] is False and "edition 1 of 2" in str(row["detail"]) for row in findings(office, 1)["trust"]
    )


def test_deliveries(office: Office) -> None:
    """Each department's webhook and folder, with what to do; a wrong file of them is wrong."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        (office.data / "departments.toml").write_text(
            f'[tax]\nurl = "http://127.0.0.1:{port}/x?token=hidden"\n[commerce]\nurl = "http://127.0.0.1:1/"\n'
        )
        (office.data / "outbox" / "commerce").mkdir(parents=True)
        found = findings(office)
    said = {row["detail"]: row for row in found["departments"]}
    assert [row["ok"] for row in found["outbox"]] == [True]
    assert said[f"tax: http://127.0.0.1:{port}: 有响应 / answers"]["ok"] is True
    assert "commerce" in str(said["tax: 没有该部门的备案 / no filing is of this department"]["hint"])
    away = next(
        row
        for detail, row in said.items()
        if detail.startswith("commerce: http://127.0.0.1:1: 无响应 / does not answer")
    )
    assert (away["ok"], bool(away["hint"])) == (None, True)
    assert "hidden" not in str(found)
    (office.data / "departments.toml").write_text("[commerce]\nurl = 1\n")
    wrong = findings(office, code=1)["deliveries"][0]
    assert (wrong["ok"], bool(wrong["hint"])) == (False, True)


def test_filings_that_a_department_does_not_take(office: Office) -> None:
    """How many wait, and how to send them now."""
    (office.data / "departments.toml").write_text('[commerce]\nurl = "http://127.0.0.1:1/"\n')
    fields = {"recycled-goods": "废钢铁", "site-address": "积石镇二号"}
    told = story(1, uscc(3), {"recycling-filing": "commerce"}, fields)
    first = Events()
    first.lines = told.events[:1]
    office.tell(first)
    (waits,) = findings(office)["deliveries"]
    assert "1 filings not delivered, 1 attempts" in str(waits["detail"])
    assert waits["hint"] == "zhengzhao filing deliver"


def test_host_that_is_printed_is_asked_for_and_fixed(tmp_path: Path) -> None:
    """The example host is wrong, and said by `drain`; a host is fixed by its first licence; a second one is named."""
    office = Office(tmp_path)
    office.init()
    assert findings(office, code=1)["hosts"][0]["ok"] is False
    e = Events()
    e.apply("2018-09-10T09:00:00+08:00", "A-1", uscc(1))
    office.submit(e)
    office.run("drain")
    assert 1 == office.err.count("ZHENGZHAO.EXAMPLE")
    assert "authorities/*.toml" in office.err
    office.run("drain")
    assert "ZHENGZHAO.EXAMPLE" not in office.err
    lead(office, "licences.example.org")
    assert [row["ok"] for row in findings(office, code=1)["hosts"]] == [True, False]
    later = Events()
    later.apply(
        "2018-09-11T09:00:00+08:00",
        "A-2",
        uscc(2),
        products=[{"category": "化肥", "site": "乙地", "detail": "x"}],
    )
    later.lines[0]["id"] = "second"
    file = tmp_path / "later.jsonl"
    file.write_text(later.text(), "utf-8")
    office.run("submit", str(file), code=2)
    assert 'former_hosts = ["ZHENGZHAO.EXAMPLE"]' in office.err
    lead(office, "licences.example.org", "zhengzhao.example")
    office.run("submit", str(file))
    office.run("drain")
    assert "ZHENGZHAO.EXAMPLE" not in office.err
    assert {row["ok"] for row in findings(office)["hosts"]} == {True}
    for name in ("A-1", "A-2"):
        licence = office.licence(office.case(name)["licence_number"])
        pdf = office.data / "objects" / licence["objects"]["licence.pdf"]
        office.run("verify", pdf, "--at", "2018-09-12T00:00:00+08:00")
    assert 2 == len(list((office.data / "objects" / "status").iterdir()))
    office.run("replay", "--into", str(tmp_path / "again"), "--decide")
