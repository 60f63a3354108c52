"""The story of `zhengzhao demo`, told once: what it prints as JSON, and what lies in its folder afterwards."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from story import Office

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """An office whose data folder is still to come."""
    return Office(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def story(office: Office) -> dict[str, Any]:
    """The story as JSON."""
    return office.json("demo")  # type: ignore[no-any-return]


def test_every_step_comes_out_as_told(story: dict[str, Any]) -> None:
    """No step of any chapter differs, and each chapter has some."""
    chapters = [story[name]["told"] for name in ("day", "life", "registration", "draw")]
    assert [] == [step for steps in chapters for step in steps if step["found"] != step["expected"]]
    assert all(step["ok"] for steps in chapters for step in steps)
    assert story["ok"] is True
    assert all(len(steps) >= 6 for steps in chapters)


def test_the_day(story: dict[str, Any]) -> None:
    """223 applications: 182 licences, the rest as the scenes say; duplicates and broken lines are counted."""
    day = story["day"]
    sent = day["submitted"]
    assert (243, 9, 2) == (sent["accepted"], sent["duplicates"], len(sent["rejected"]))
    assert [43, 96] == [one["line"] for one in sent["rejected"]]
    whole: dict[str, int] = {}
    for outcome in day["outcomes"]:
        for state, number in outcome["states"].items():
            whole[state] = whole.get(state, 0) + number
    assert {"issued": 182, "correction-requested": 20, "refused": 17, "withdrawn": 4} == whole
    assert 182 == day["issued"]


def test_the_verdicts_of_the_day(story: dict[str, Any], office: Office) -> None:
    """Valid that day; a copy with one byte changed is not genuine; the command says the same."""
    day = story["day"]
    assert ("valid", True) == (day["verified"]["verdict"], day["verified"]["genuine"])
    assert ("invalid", True) == (day["today"]["verdict"], day["today"]["genuine"])
    assert ("invalid", False, {}) == (
        day["tampered"]["verdict"], day["tampered"]["genuine"], day["tampered"]["licence"],
    )  # fmt: skip
    good, bad = Path(day["licences"][0]["pdf"]), Path(day["tampered"]["file"])
    assert 1 == sum(a != b for a, b in zip(good.read_bytes(), bad.read_bytes(), strict=True))
    at = ("--at", "2018-09-12T18:00:00+08:00")
    assert day["verified"] == office.json("verify", good, *at)
    assert day["tampered"] == office.json("verify", bad, *at, code=1)


@pytest.mark.parametrize(
    ("which", "status"), [("superseded", "replaced"), ("suspended", "suspended"), ("ended", "rescinded")]
)
def test_what_verify_says_of_a_life(story: dict[str, Any], which: str, status: str) -> None:
    """A replaced, a suspended and an ended licence are genuine and invalid, and the reason is given."""
    verified = story["life"][which]
    assert ("invalid", True) == (verified["verdict"], verified["genuine"])
    assert status == verified["licence"]["status"]
    assert verified["licence"]["reason"]


def test_the_bar(story: dict[str, Any], office: Office) -> None:
    """Deceit bars for three years, up to the day before the anniversary."""
    assert "2021-10-08" in story["life"]["barred"]
    assert "refused" == office.case("QH-2018-900001")["state"]


def test_the_person(story: dict[str, Any], office: Office) -> None:
    """The number shows as a mask, and stands in no file but what the agency sent."""
    assert "630***********0018" == story["life"]["person"]["holder_id"]
    sent = (office.data / "events" / "life-week-after.jsonl").read_text("utf-8")
    number = next(
        event["data"]["applicant"]["id"]
        for event in map(json.loads, sent.splitlines())
        if event["data"].get("applicant", {}).get("kind") == "person"
    )
    others = [p for p in office.data.rglob("*") if p.is_file() and p.parent.name != "events"]
    assert story["life"]["searched"] <= len(others)
    assert [] == [str(path) for path in others if number.encode() in path.read_bytes()]


def test_the_registration(story: dict[str, Any], office: Office) -> None:
    """Four filings: three claimed, one of them after a correction, one received; the certificate is valid."""
    registration = story["registration"]
    states = {filing["item"]: filing["state"] for filing in registration["filings"]}
    assert {
        "seal-engraving-filing": "claimed", "customs-registration": "claimed",
        "freight-forwarder-filing": "claimed", "recycling-filing": "received",
    } == states  # fmt: skip
    assert "valid" == registration["verified"]["verdict"]
    assert 5 == len(list((office.data / "outbox").rglob("*.json")))
    rows = {row["item"]: row for row in registration["promises"]["rows"]}
    assert (184, 184) == tuple(rows["industrial-product-licence"][k] for k in ("kept", "measured"))
    assert (1, 2) == tuple(rows["special-equipment-operator"][k] for k in ("kept", "measured"))
    assert "99.5 %" in Path(registration["promises_page"]).read_text("utf-8")
    assert "青海河湟远达国际贸易有限公司" in Path(registration["holder_page"]).read_text("utf-8")


def test_the_draw_again(story: dict[str, Any], office: Office) -> None:
    """The command finds the transcript valid; the register's digest is that of its sorted rows."""
    draw, folder = story["draw"], Path(story["draw"]["folder"])
    assert "valid" == draw["verified"]["verdict"]
    files = (
        "--register",
        folder / "R.csv",
        "--inspectors",
        folder / "I.csv",
        "--conflicts",
        folder / "C.csv",
    )
    report = office.json("draw", "verify", folder / "TRANSCRIPT.json", *files)
    assert "valid" == report["verdict"]
    assert ["earlier", "order", "parties", "publication", "replacements"] == report["unchecked"]
    office.run("draw", "verify", folder / "TRANSCRIPT-doctored.json", *files, code=1)
    rows = (folder / "R.csv").read_bytes().replace(b",", b"\t").splitlines(keepends=True)[1:]
    announced = json.loads((folder / "ANNOUNCEMENT.json").read_bytes())["registers"]["targets"]["digest"]
    assert announced == hashlib.sha256(b"".join(sorted(rows))).hexdigest()


def test_the_one_file_verifier_and_the_recipe(story: dict[str, Any]) -> None:
    """Whoever has only Python, or only a shell, comes to the same targets."""
    folder = Path(story["draw"]["folder"])
    transcript = json.loads((folder / "TRANSCRIPT.json").read_bytes())
    words = [sys.executable, "verify_draw.py", "TRANSCRIPT.json", "R.csv", "I.csv", "C.csv"]
    assert 0 == subprocess.run(words, cwd=folder, check=False, capture_output=True).returncode
    words[2] = "TRANSCRIPT-doctored.json"
    assert 1 == subprocess.run(words, cwd=folder, check=False, capture_output=True).returncode
    small = next(s for s in transcript["strata"] if s["name"] == "fertiliser")
    expected = [transcript["seed"], *(f"{d['ticket']} {d['id']}" for d in small["drawn"])]
    again = subprocess.run(["sh", "recipe.sh"], cwd=folder, check=True, capture_output=True, text=True)
    assert expected == again.stdout.splitlines()[1:]
    assert story["draw"]["recipe"] == again.stdout.splitlines()


def test_the_failed_inspection(story: dict[str, Any], office: Office) -> None:
    """A drawn licence is valid before the visit and rescinded by it; `verify` refuses it from then on."""
    draw = story["draw"]
    failed = draw["failed"]
    assert failed["number"] in {visit["target"] for visit in draw["drawn"]}
    assert ("valid", "invalid") == (draw["before"]["verdict"], draw["after"]["verdict"])
    assert draw["after"] == office.json("verify", failed["pdf"], "--at", "2022-10-20T18:00:00+08:00", code=1)
    assert "rescinded" == office.licence(failed["number"])["status"]


def test_a_folder_with_something_in_it_is_refused(story: dict[str, Any], office: Office) -> None:
    """The demo plays on a fresh folder alone, and never over another one's data."""
    office.run("demo", "--data", story["folder"], code=2)
    assert "error: " in office.err


def test_what_is_told_can_be_replayed(story: dict[str, Any], office: Office) -> None:
    """Every object of the story is rebuilt from the facts, byte for byte."""
    report = office.json("replay", "--into", office.folder / "again")
    assert [] == [value for value in report.values() if isinstance(value, list) and value]
