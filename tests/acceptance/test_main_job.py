"""The main job from outside: an event in, a signed licence out, a stranger verifies, the log rebuilds it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from story import Events, Office, uscc

AT = "2018-09-10T12:00:00+08:00"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Five applications, submitted and drained: complete, incomplete, refused, duplicate, rejected."""
    office = Office(tmp_path_factory.mktemp("main"))
    office.init()
    events = Events()
    first = events.apply("2018-09-10T09:12:00+08:00", "QH-1", uscc(1))
    events.apply("2018-09-10T09:13:00+08:00", "QH-2", uscc(2), materials=[{"kind": "application-form"}])
    events.apply("2018-09-10T09:14:00+08:00", "QH-3", uscc(3)[:-1] + ("1" if uscc(3)[-1] != "1" else "2"))
    events.lines.append(first)
    broken = events.text() + '{"specversion":"1.0","type":"zhengzhao.no-such-thing.v1"}\n'
    answer = office.submit(broken, code=1)
    assert (answer["accepted"], answer["duplicates"]) == (3, 1)
    assert [r["line"] for r in answer["rejected"]] == [5]
    assert answer["rejected"][0]["error"]
    assert answer["rejected"][0]["hint"]
    office.run("drain")
    return office


def test_a_complete_application_is_issued(office: Office) -> None:
    """Granted and issued at once, with the promised and statutory dates in working days of 2018."""
    case = office.case("QH-1")
    assert case["state"] == "issued"
    assert case["due"] == {"promised": "2018-09-13", "statutory": "2018-12-07", "correction": None}
    row = office.licence(case["licence_number"])
    assert tuple(row[k] for k in ("status", "version", "issued_on", "valid_from", "valid_until")) == (
        "valid",
        1,
        "2018-09-10",
        "2018-09-10",
        "2023-09-09",
    )
    assert row["number"].startswith("(青)XK")
    assert row["number"].endswith("-00001")
    assert row["identifier"].startswith("1.2.156.3005.2.")


def test_an_incomplete_one_gets_one_notice(office: Office) -> None:
    """Everything missing is named; no promised date runs yet."""
    case = office.case("QH-2")
    assert case["state"] == "correction-requested"
    assert sorted(case["missing"]) == ["business-licence", "commitment-letter"]
    assert (
        case["due"]["promised"],
        case["due"]["statutory"],
        case["due"]["correction"],
    ) == (None, None, "2018-10-12")


def test_a_wrong_identifier_is_refused_with_a_reason(office: Office) -> None:
    """A refusal is an answer that a person can read."""
    case = office.case("QH-3")
    assert case["state"] == "refused"
    assert case["reason"]


def test_unknown_things_are_a_no(office: Office) -> None:
    """Exit 1 for an unknown number, case or holder."""
    office.run("case", "show", "nobody", code=1)
    office.run("licence", "show", "nothing", code=1)
    office.run("holder", "show", uscc(999), code=1)


@pytest.fixture(scope="module")
def artefacts(office: Office) -> Path:
    """All formats of the one licence, fetched as a holder would."""
    number = office.case("QH-1")["licence_number"]
    for form in ("pdf", "cwt", "json", "manifest"):
        office.run("licence", "get", number, "--format", form, "-o", office.folder / f"l.{form}")
    return office.folder


@pytest.mark.parametrize("name", ["l.pdf", "l.cwt"])
def test_it_verifies(office: Office, artefacts: Path, name: str) -> None:
    """Valid at its time; unknown but genuine when the status list is too old."""
    verdict = office.json("verify", artefacts / name, "--at", AT)
    assert (verdict["verdict"], verdict["genuine"]) == ("valid", True)
    late = office.json("verify", artefacts / name, "--at", "2018-12-01T00:00:00+08:00", code=3)
    assert (late["verdict"], late["genuine"]) == ("unknown", True)


def test_json_verifies_with_its_credential(office: Office, artefacts: Path) -> None:
    """licence.json is bound to the credential by its hash."""
    verdict = office.json("verify", artefacts / "l.json", "--credential", artefacts / "l.cwt", "--at", AT)
    assert verdict["verdict"] == "valid"


@pytest.mark.parametrize("name", ["l.pdf", "l.cwt"])
def test_one_changed_byte_is_refused(office: Office, artefacts: Path, name: str) -> None:
    """At a spread of places in the file."""
    raw = bytearray((artefacts / name).read_bytes())
    for place in range(3, len(raw), max(1, len(raw) // 6)):
        changed = bytearray(raw)
        changed[place] ^= 1
        (artefacts / f"changed-{name}").write_bytes(changed)
        verdict = office.json("verify", artefacts / f"changed-{name}", "--at", AT, code=1)
        assert (verdict["verdict"], verdict["genuine"]) == ("invalid", False)


def test_the_worst_of_several_files_counts(office: Office, artefacts: Path) -> None:
    """1 before 3 before 0; one JSON object per file."""
    (artefacts / "bad.cwt").write_bytes(b"\xd2\x84nonsense")
    out = office.run("verify", artefacts / "l.cwt", artefacts / "bad.cwt", "--at", AT, "--json", code=1)
    assert [json.loads(line)["verdict"] for line in out.splitlines()] == ["valid", "invalid"]


def test_unusable_input_is_wrong_use(office: Office) -> None:
    """Absent and empty files exit with 2."""
    (office.folder / "empty.jsonl").write_bytes(b"")
    for command in ("submit", "verify"):
        office.run(command, office.folder / "empty.jsonl", code=2)
        office.run(command, office.folder / "absent", code=2)
        assert "hint" in office.err


def test_replay_rebuilds_every_byte_without_keys(office: Office, tmp_path: Path) -> None:
    """From facts alone, with the private keys moved away; it notices what was changed."""
    keys = office.data / "keys"
    away = tmp_path / "keys-away"
    shutil.move(keys, away)
    try:
        office.run("replay", "--into", tmp_path / "again")
        office.run("replay", "--into", tmp_path / "decided", "--decide")
        number = office.case("QH-1")["licence_number"]
        key = office.licence(number)["objects"]["licence.pdf"]
        stored = office.data / "objects" / key
        assert stored.read_bytes() == (tmp_path / "again" / "objects" / key).read_bytes()
        original = stored.read_bytes()
        stored.chmod(0o644)
        stored.write_bytes(original[:-9] + b"X" + original[-8:])
        office.run("replay", "--into", tmp_path / "third", code=1)
        stored.write_bytes(original)
    finally:
        shutil.move(away, keys)
