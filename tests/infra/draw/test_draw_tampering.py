"""Whatever an insider changes afterwards is noticed: by the command, and by the one-file verifier."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.draw.store import draw_key
from issuance.signer import open_signer
from schemas.canonical_json import canonical, digest
from schemas.draw.documents import read_announcement
from schemas.draw.seed import sign
from schemas.trust import load_trust
from tests.infra.draw.conftest import Office
from verification import verify_draw


def one_file(*files: Path) -> int:
    words = [sys.executable, "-I", verify_draw.__file__, *files]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode


def resigned(office: Office, transcript: dict[str, Any]) -> Path:
    """A transcript that the authority itself forged: everything signed anew, digest and all."""
    announcement = transcript["announcement"]
    plan = read_announcement(office.path("A.json").read_bytes()).plan
    from infra.cli.output import now

    signer = draw_key(open_signer(office.data, None), load_trust(office.data / "trust"), plan, now())

    def signed(document: dict[str, Any]) -> dict[str, Any]:
        plain = {k: v for k, v in document.items() if k != "signature"}
        made = sign(canonical(plain), signer)
        return plain | {"signature": {"alg": made.alg, "kid": made.kid, "value": made.value}}

    transcript["announcement"] = signed(announcement)
    office.path("forged.json").write_bytes(canonical(signed(transcript)))
    return office.path("forged.json")


def first(transcript: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = transcript["strata"][0]
    return found


def swap(listed: list[Any]) -> None:
    listed[0], listed[1] = listed[1], listed[0]


def another(inspectors: list[str]) -> None:
    inspectors[0] = next(own for own in ("I12", "I13", "I14") if own not in inspectors)


def other_hex(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a count": lambda t: first(t).update(count=4),
    "a population": lambda t: first(t).update(population=16),
    "an announced population": lambda t: t["announcement"]["strata"][0].update(population=16),
    "an announced count": lambda t: t["announcement"]["strata"][0].update(drawn=4),
    "a weight": lambda t: t["announcement"]["weights"].update(D=9),
    "a ratio": lambda t: t["announcement"]["strata"][0].update(ratio="0.21"),
    "a title": lambda t: t["announcement"].update(title="另一次抽查"),
    "a ticket": lambda t: first(t)["drawn"][0].update(ticket=other_hex(first(t)["drawn"][0]["ticket"])),
    "a target": lambda t: first(t)["drawn"][0].update(id="T004"),
    "order of drawn": lambda t: swap(first(t)["drawn"]),
    "one drawn less": lambda t: first(t)["drawn"].pop(),
    "order of strata": lambda t: swap(t["strata"]),
    "a stratum less": lambda t: t["strata"].pop(),
    "an inspector": lambda t: another(t["assignments"][0]["inspectors"]),
    "order of inspectors": lambda t: swap(t["assignments"][0]["inspectors"]),
    "order of assignments": lambda t: swap(t["assignments"]),
    "an assignment less": lambda t: t["assignments"].pop(),
    "a skip less": lambda t: t["skipped"].pop(),
    "a skip's reason": lambda t: t["skipped"][0].update(reason="无"),
    "a skip more": lambda t: t["skipped"].append(t["skipped"][0]),
    "an exclusion": lambda t: t["excluded"].append({"id": "T001", "reason": "drawn in " + "0" * 64}),
    "a seed": lambda t: t.update(seed=other_hex(t["seed"])),
    "a secret": lambda t: t["reveals"][0].update(secret=other_hex(t["reveals"][0]["secret"])),
    "order of reveals": lambda t: swap(t["reveals"]),
    "a reveal less": lambda t: t["reveals"].pop(),
    "a register's digest": lambda t: t["announcement"]["registers"]["targets"].update(digest="0" * 64),
    "a register's count": lambda t: t["announcement"]["registers"]["targets"].update(count=61),
    "a public number": lambda t: t.update(public="7"),
    "the digest": lambda t: t.update(announcement_digest="0" * 64),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery_by_the_authority_itself(office: Office, name: str) -> None:
    """Changed and signed anew with the authority's own key, a transcript is still found out."""
    transcript = json.loads(office.draw().read_bytes())
    before = json.dumps(transcript)
    FORGERIES[name](transcript)
    assert before != json.dumps(transcript)  # or nothing was forged
    forged = resigned(office, transcript)
    assert office.failed(forged)
    assert one_file(forged, office.path("R.csv"), office.path("I.csv"), office.path("C.csv")) == 1


def test_forgery_that_changes_nothing_is_right(office: Office) -> None:
    """The control: signed anew without a change, the transcript is right in both verifiers."""
    forged = resigned(office, json.loads(office.draw().read_bytes()))
    assert office.failed(forged) == []
    assert one_file(forged, office.path("R.csv"), office.path("I.csv"), office.path("C.csv")) == 0


def test_reveal_signed_for_another_announcement(office: Office) -> None:
    """Who tries titles until the draw suits needs new signatures of the parties: the check `reveals` fails."""
    transcript = json.loads(office.draw().read_bytes())
    announcement = transcript["announcement"]
    announcement["title"] = "试到满意为止"
    plain = {k: v for k, v in announcement.items() if k != "signature"}
    transcript["announcement_digest"] = digest(plain)
    assert "reveals" in office.failed(resigned(office, transcript))


@pytest.mark.parametrize("register", ["R.csv", "I.csv", "C.csv"])
def test_changed_register(office: Office, register: str) -> None:
    """One changed, added or removed row in any register is noticed by both verifiers."""
    transcript = office.draw()
    lines = office.path(register).read_text().splitlines()
    files = [office.path("R.csv"), office.path("I.csv"), office.path("C.csv")]
    changed = {
        "changed": [
            *lines[:-1],
            lines[-1] + "x" if register != "R.csv" else lines[-1].replace("企业", "企业x"),
        ],
        "removed": lines[:-1],
        "added": [
            *lines,
            lines[-1].replace(lines[-1].split(",")[0], "I5" if register == "C.csv" else "X1", 1),
        ],
    }
    for what, content in changed.items():
        office.path(register).write_text("\n".join(content) + "\n")
        assert office.failed(transcript), what
        assert one_file(transcript, *files) == 1, what


def test_each_byte_counts(office: Office) -> None:
    """A transcript with one byte changed anywhere is not valid, and nothing crashes over it."""
    transcript = office.draw()
    data = transcript.read_bytes()
    chance = random.Random(15)
    for at in chance.sample(range(len(data)), 60):
        changed = bytearray(data)
        changed[at] ^= chance.choice((1, 2, 4, 32, 128))
        office.path("changed.json").write_bytes(bytes(changed))
        code, _, err = office("draw", "verify", office.path("changed.json"), *office.registers, "--json")
        assert code in (1, 2), (at, bytes(changed[at - 20 : at + 20]))
        assert "fault of zhengzhao" not in err


@pytest.mark.parametrize(
    "respelt",
    [
        lambda data: data + b"\n",
        lambda data: data.replace(b'":', b'": ', 1),
        lambda data: json.dumps(
            json.loads(data), ensure_ascii=True, separators=(",", ":"), sort_keys=True
        ).encode(),
        lambda data: b'{"seed":"' + b"0" * 64 + b'",' + data[1:],
        lambda data: data.replace(b'"count":3', b'"count":3.0', 1),
        lambda data: data.replace(b'"sequence":1', b'"sequence":1e0', 1),
        lambda data: b"\xef\xbb\xbf" + data,
    ],
    ids=["line end", "space", "escapes", "key twice", "decimal", "exponent", "bom"],
)
def test_other_bytes_of_the_same_content(office: Office, respelt: Callable[[bytes], bytes]) -> None:
    """Another spelling of the same transcript is refused: two different files would look the same."""
    transcript = office.draw()
    office.path("respelt.json").write_bytes(respelt(transcript.read_bytes()))
    code, _, err = office("draw", "verify", office.path("respelt.json"), *office.registers, "--json")
    assert code in (1, 2)
    assert "fault of zhengzhao" not in err
    assert one_file(office.path("respelt.json"), office.path("R.csv")) == 1


HOSTILE = [
    b"[" * 100_000,
    b'{"announcement":' + b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"}",
    b"null",
    b"{}",
    b'{"announcement":{},"announcement_digest":1}',
    b'{"a":1e999}',
    b'"\\ud800"',
    b"\xff\xfe",
    b"{" + b'"x":' + b"9" * 5_000 + b"}",
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_files(office: Office, data: bytes) -> None:
    """Deep, huge or senseless JSON ends in exit 1 or 2, in every command that reads it."""
    office.plan()
    path = office.path("hostile.json")
    path.write_bytes(data)
    commands: list[list[str | Path]] = [
        ["draw", "verify", path, *office.registers],
        ["draw", "void", path, "--reason", "x"],
        ["draw", "show", path],
        ["draw", "reveal", path, "--announcement", path],
        ["draw", "run", path, *office.registers, "--reveal", path, "-o", office.path("T.json")],
        [
            "draw",
            "announce",
            office.path("plan.toml"),
            *office.registers,
            "--commitment",
            path,
            "-o",
            office.path("A.json"),
        ],
        ["draw", "lookup", path, "--register", office.path("R.csv"), "--id", "T001"],
    ]
    for words in commands:
        code, _, err = office(*words)
        assert code in (1, 2), words
        assert "fault of zhengzhao" not in err, (words, err)
    assert one_file(path, office.path("R.csv")) == 1


def test_every_check_is_made(office: Office) -> None:
    """Two faults are both named: a check that fails stops no other."""
    transcript = json.loads(office.draw().read_bytes())
    transcript["seed"] = other_hex(transcript["seed"])
    transcript["excluded"] = [{"id": "T001", "reason": "in no stratum"}]
    failed = office.failed(resigned(office, transcript))
    assert {"seed", "excluded", "tickets", "assignments"} <= set(failed)


def test_signature_of_nobody(office: Office, keyed: Path) -> None:
    """A transcript signed by a key that the trust folder does not know is invalid, however right it is."""
    from infra.cli import main

    transcript = office.draw()
    other = office.path("other")
    assert main(["keys", "init", "--data", str(other)]) == 0
    failed = office.failed(transcript, "--trust", other / "trust")
    assert failed == ["announcement-signature", "signature"]
    assert office("draw", "verify", transcript, *office.registers, "--trust", office.path("nowhere"))[0] == 2


def test_unreadable(office: Office) -> None:
    """Absent and empty files are exit 2."""
    transcript = office.draw()
    office.path("empty").touch()
    for words in (
        ["draw", "verify", office.path("none"), *office.registers],
        ["draw", "verify", office.path("empty"), *office.registers],
        ["draw", "verify", transcript, "--register", office.path("none")],
        ["draw", "verify", transcript, "--register", office.path("empty")],
    ):
        assert office(*words)[0] == 2, words
