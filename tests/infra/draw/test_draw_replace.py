"""Later unavailability: the next in order, signed, numbered, with its reason."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import naive
import pytest
from beacon import install, signature
from timestamps import TimestampAuthority

from infra.draw.store import draw_key
from issuance.signer import open_signer
from schemas.canonical_json import canonical
from schemas.draw.aftermath import read_replacement
from schemas.draw.documents import read_announcement
from schemas.draw.encoding import encode
from schemas.draw.seed import sign
from schemas.trust import load_trust
from tests.infra.draw.conftest import PLAN, Office


def replaced(office: Office, transcript: Path, who: str, *more: str | Path) -> dict[str, Any]:
    said = office.ok(
        "draw", "replace", transcript, *office.registers, "--unavailable", who, "--reason", "已迁出", *more
    )
    found: dict[str, Any] = json.loads(said)
    return found


def test_next_target_is_the_next_ticket(office: Office) -> None:
    """Targets that cannot be visited are followed by the next tickets of their stratum, one after another."""
    path = office.draw()
    transcript = json.loads(path.read_bytes())
    order = naive.tickets(tomllib.loads(PLAN), transcript["seed"], office.rows, set())["auction"]
    first = replaced(office, path, order[0][1])
    second = replaced(office, path, order[3][1], "-o", office.path("second.json"))
    assert [order[3][1], order[4][1]] == [first["next"], second["next"]]
    assert [order[3][0], order[4][0]] == [first["ticket"], second["ticket"]]
    assert [1, 2] == [first["number"], second["number"]]
    assert first["previous"] != second["previous"]
    assert len(set(first["inspectors"])) == 2
    code, _, err = office(
        "draw", "replace", path, *office.registers, "--unavailable", order[0][1], "--reason", "x"
    )
    assert (code, "not among" in err) == (1, True)
    assert office.failed(path, "--chain", office.data / "draws") == []


def test_next_inspector(office: Office) -> None:
    """An inspector who cannot come to a target is followed by the lowest load and duty ticket that may."""
    path = office.draw()
    transcript = json.loads(path.read_bytes())
    visit = transcript["assignments"][0]
    division = {row["id"]: row["division"] for row in office.rows}[visit["target"]]
    load = {i["id"]: 0 for i in office.inspectors}
    for assignment in transcript["assignments"]:
        for inspector in assignment["inspectors"]:
            load[inspector] += 1
    apart = {c["inspector_id"] for c in office.conflicts if c["target_id"] == visit["target"]}
    gone, stays = visit["inspectors"]
    fit = {i["id"] for i in office.inspectors if "market" in i["qualifications"]}
    able = [
        i["id"]
        for i in office.inspectors
        if naive.competent(i, division)
        and i["id"] not in apart | {gone, stays}
        and (stays in fit or i["id"] in fit)
    ]
    expected = min(able, key=lambda i: (load[i], naive.sha(f"{transcript['seed']}:inspector:{i}:{load[i]}")))
    found = replaced(office, path, gone, "--target", visit["target"])
    assert expected == found["next"]


def test_needs_a_reason_and_a_transcript_on_record(office: Office) -> None:
    """A blank reason, and a transcript of elsewhere, are refused."""
    path = office.draw()
    drawn = json.loads(path.read_bytes())["strata"][0]["drawn"][0]["id"]
    words = ["draw", "replace", path, *office.registers, "--unavailable", drawn]
    assert office(*words, "--reason", " ")[0] == 1
    other = office.path("other.json")
    shutil.copy(path, other)
    (office.data / "draws" / "630000-market-regulation" / "000001.transcript.json").unlink()
    assert office(*words, "--reason", "x")[0] == 1


def test_verify_checks_replacements(office: Office) -> None:
    """`verify --chain` follows the replacements; without inspectors it says that who is next was not checked."""
    path = office.draw()
    visit = json.loads(path.read_bytes())["assignments"][0]
    assert "replacements" not in {c["name"] for c in office.verify(path, "--chain", office.data)[1]["checks"]}
    replaced(office, path, visit["inspectors"][0], "--target", visit["target"])
    replaced(office, path, visit["target"])
    chain = office.data / "draws"
    code, report = office.verify(path, "--chain", chain)
    assert (code, report["unchecked"]) == (0, ["parties", "publication"])
    assert {"name": "replacements", "ok": True, "detail": "2 replacements"} in report["checks"]
    out = office.ok("draw", "verify", path, "--register", office.path("R.csv"), "--chain", chain, "--json")
    assert ["assignments", "parties", "publication", "replacements"] == json.loads(out)["unchecked"]


def forged(office: Office, path: Path, **changed: Any) -> bytes:
    """A replacement that the authority itself signed anew."""
    own = msgspec.structs.replace(read_replacement(path.read_bytes()), signature=msgspec.UNSET, **changed)
    transcript = json.loads(office.path("T.json").read_bytes())
    plan = read_announcement(canonical(transcript["announcement"])).plan
    signer = draw_key(
        open_signer(office.data, None), load_trust(office.data / "trust"), plan, datetime.now(UTC)
    )
    return encode(msgspec.structs.replace(own, signature=sign(own.to_be_signed, signer)))


@pytest.mark.parametrize("fault", ["chosen", "lost", "unsigned", "spelt", "twice", "elsewhere"])
def test_verify_refuses_replacements(office: Office, fault: str) -> None:
    """Somebody else than the next in order, a lost one, a changed one, a second one of a number: `replacements` fails."""
    path = office.draw()
    drawn = [d["id"] for d in json.loads(path.read_bytes())["strata"][1]["drawn"]]
    replaced(office, path, drawn[0])
    replaced(office, path, drawn[1])
    first, second = sorted((office.data / "draws").rglob("*.replacement.*.json"))
    assert office.failed(path, "--chain", office.data / "draws") == []
    if fault == "chosen":
        second.write_bytes(forged(office, second, next=drawn[2]))
    elif fault == "lost":
        first.unlink()
    elif fault == "unsigned":
        second.write_bytes(second.read_bytes().replace("已迁出".encode(), "已注销".encode()))
    elif fault == "spelt":
        second.write_bytes(second.read_bytes() + b" ")
    elif fault == "twice":
        second.with_name("copy.json").write_bytes(forged(office, second, reason="另一理由"))
    else:
        second.write_bytes(forged(office, second, authority="urn:agency:630100:market-regulation"))
    assert office.failed(path, "--chain", office.data / "draws") == ["replacements"]


def test_what_a_revoked_key_replaced(office: Office) -> None:
    """No announcement builds on a replacement: signed by a key that was revoked since, it fails, the draw itself holds."""
    path, chain = office.draw(), office.data / "draws"
    replaced(office, path, json.loads(path.read_bytes())["assignments"][0]["target"])
    office.ok("keys", "revoke", json.loads(path.read_bytes())["signature"]["kid"])
    office.draw("2", office.plan(PLAN.replace("QH-1", "QH-2"), "second.toml"))
    assert office.failed(path, "--chain", chain) == ["replacements"]


def test_page_and_visits_follow_replacements(office: Office) -> None:
    """The page lists who was replaced and why; `inspect list` sends people to the one who came in."""
    path = office.draw()
    gone = json.loads(path.read_bytes())["assignments"][0]["target"]
    came = replaced(office, path, gone)
    office.ok("draw", "show", path, "--page", office.path("page.html"))
    page = office.path("page.html").read_text()
    assert "已迁出" in page
    assert re.search(rf">{re.escape(came['next'])}</td><td[^>]*>已迁出</td>", page)
    rows = {
        row["target"]: row
        for row in map(json.loads, office.ok("inspect", "list", path, "--json").splitlines())
    }
    assert gone not in rows
    assert came["inspectors"] == rows[came["next"]]["inspectors"]


LATER = PLAN.replace("[[strata]]", 'replacements = { beacon = "test", wait = 2 }\n[[strata]]', 1)


def wait_for(genesis: int, round_: int) -> None:
    time.sleep(max(0.0, genesis + round_ - 1 - time.time()) + 0.2)


def test_order_comes_from_a_later_round(office: Office, tmp_path: Path) -> None:
    """An absence names a round to come; who comes next follows from that round's signature, and not from the seed."""
    authority = TimestampAuthority(tmp_path / "tsa")
    office.ok("draw", "party", "add", "TSA", authority.certificate, "--timestamp")
    genesis = install(office.data / "trust")
    path = office.draw(plan=office.plan(LATER.replace("wait = 2", "wait = 20")))
    transcript = json.loads(path.read_bytes())
    visit = transcript["assignments"][0]
    gone, stays = visit["inspectors"]
    absence = replaced(office, path, gone, "--target", visit["target"], "-o", office.path("absence.json"))
    assert ("next" in absence, absence["number"]) == (False, 1)
    assert genesis + absence["round"] - 1 > time.time()
    digest = hashlib.sha256(office.path("absence.json").read_bytes()).hexdigest()
    authority.stamp(digest, office.data / "draws" / "absence.tsr")
    words = ["draw", "replace", path, *office.registers]
    assert office(*words, "--public", signature(absence["round"]))[0] == 1  # the round does not exist yet
    assert office(*words, "--unavailable", stays, "--target", visit["target"], "--reason", "x")[0] == 1
    wait_for(genesis, absence["round"])
    assert office(*words, "--public", signature(absence["round"] - 1))[0] == 1
    found = json.loads(office.ok(*words, "--public", signature(absence["round"])))
    last = hashlib.sha256(bytes.fromhex(signature(absence["round"]))).hexdigest()
    order = naive.sha(f"{transcript['seed']}:{digest}:{last}")
    load = {i["id"]: 0 for i in office.inspectors}
    for assignment in transcript["assignments"]:
        for inspector in assignment["inspectors"]:
            load[inspector] += 1
    division = {row["id"]: row["division"] for row in office.rows}[visit["target"]]
    apart = {c["inspector_id"] for c in office.conflicts if c["target_id"] == visit["target"]}
    fit = {i["id"] for i in office.inspectors if "market" in i["qualifications"]}
    able = [
        i["id"]
        for i in office.inspectors
        if naive.competent(i, division)
        and i["id"] not in apart | {gone, stays}
        and (stays in fit or i["id"] in fit)
    ]
    expected = min(able, key=lambda i: (load[i], naive.sha(f"{order}:inspector:{i}:{load[i]}")))
    assert (digest, expected) == (found["absence"], found["next"])
    code, report = office.verify(path, "--chain", office.data / "draws")
    assert (code, report["unchecked"]) == (0, ["parties", "publication"])
    (office.data / "draws" / "absence.tsr").unlink()
    assert "replacements" in office.verify(path, "--chain", office.data / "draws")[1]["unchecked"]


@pytest.mark.parametrize("fault", ["chosen", "lost", "second"])
def test_absence_cannot_be_chosen(office: Office, fault: str) -> None:
    """Somebody else than the round gives, a lost absence, a second one of a number: `verify --chain` fails."""
    genesis = install(office.data / "trust")
    path, chain = office.draw(plan=office.plan(LATER)), office.data / "draws"
    target = json.loads(path.read_bytes())["strata"][1]["drawn"][0]["id"]
    absence = replaced(office, path, target)
    wait_for(genesis, absence["round"])
    office.ok("draw", "replace", path, *office.registers, "--public", signature(absence["round"]))
    assert office.failed(path, "--chain", chain) == []
    (done,) = chain.rglob("*.replacement.*.json")
    (announced,) = chain.rglob("*.absence.*.json")
    if fault == "chosen":
        drawn = {d["id"] for s in json.loads(path.read_bytes())["strata"] for d in s["drawn"]}
        others = {row["id"] for row in office.rows if row["category"] == "other"} - drawn
        done.write_bytes(forged(office, done, next=min(others - {json.loads(done.read_bytes())["next"]})))
        assert office.failed(path, "--chain", chain) == ["replacements"]
    elif fault == "lost":
        announced.unlink()
        assert office.failed(path, "--chain", chain) == ["replacements"]
    else:
        other = json.loads(announced.read_bytes()) | {"round": absence["round"] + 5}
        announced.with_name("other.json").write_bytes(canonical(other))
        assert office.failed(path, "--chain", chain) == ["absences", "replacements"]
