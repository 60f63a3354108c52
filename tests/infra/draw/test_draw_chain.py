"""The chain: no gap, no fork, no second draw, nothing undrawn and unexplained."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.draw.conftest import PLAN, Office
from tests.infra.draw.test_draw_tampering import resigned


def plan(office: Office, name: str) -> Path:
    return office.plan(PLAN.replace("QH-1", name), f"{name}.toml")


@pytest.fixture
def published(office: Office) -> Path:
    """A folder with the chain of three draws, the second one voided and announced again."""
    folder = office.path("published")
    folder.mkdir()
    office.draw("1", plan(office, "P1"))
    voided = office.announce("2", plan(office, "P2"))
    office.ok("draw", "void", voided, "--reason", "名录有误", "-o", office.path("V2.json"))
    office.draw("3", plan(office, "P2"))
    office.announce("4", plan(office, "P4"))
    for name in ("A1", "T1", "A2", "V2", "A3", "T3", "A4"):
        shutil.copy(office.path(f"{name}.json"), folder)
    return folder


def test_whole_chain(office: Office, published: Path) -> None:
    """Announcements, transcripts and voids that belong together pass; the last announcement may wait."""
    code, report = office.verify(office.path("T3.json"), "--chain", published)
    assert (code, report["unchecked"]) == (0, ["parties", "publication"])
    assert office.failed(office.path("T1.json"), "--chain", published) == []
    assert office.failed(office.path("T3.json"), "--chain", office.data / "draws") == []


def test_successor_names_what_it_replaces(office: Office, published: Path) -> None:
    """The announcement after a void has `replaces`, sequence and previous as the contract says."""
    first, second, third = (json.loads(office.path(f"A{n}.json").read_bytes()) for n in "123")
    digests = [json.loads(office.path("T1.json").read_bytes())["announcement_digest"], third["replaces"]]
    assert [1, 2, 3] == [a["sequence"] for a in (first, second, third)]
    assert ["0" * 64, *digests] == [a["previous"] for a in (first, second, third)]
    assert "replaces" not in first
    void = json.loads(office.path("V2.json").read_bytes())
    assert (void["void"], void["sequence"], void["reason"], void["authority"]) == (
        digests[1],
        2,
        "名录有误",
        "urn:agency:630000:market-regulation",
    )


@pytest.mark.parametrize("lost", ["A2", "V2", "T1", "A1 T1"])
def test_gap(office: Office, published: Path, lost: str) -> None:
    """A lost announcement, void or transcript is noticed from any other transcript."""
    for name in lost.split():
        (published / f"{name}.json").unlink()
    assert office.failed(office.path("T3.json"), "--chain", published) == ["order"]


def test_second_draw(office: Office, published: Path) -> None:
    """Two transcripts of one announcement are a second draw, whichever one is shown."""
    transcript = json.loads(office.path("T3.json").read_bytes())
    assert transcript["skipped"]  # or the other one would be the same
    transcript["skipped"] = []
    shutil.copy(office.path("A3.json"), office.path("A.json"))
    forged = resigned(office, transcript)
    shutil.copy(forged, published / "again.json")
    assert office.failed(office.path("T3.json"), "--chain", published) == ["order"]


def test_fork(office: Office, published: Path) -> None:
    """Two announcements with one number are a fork."""
    announcement = json.loads(office.path("A4.json").read_bytes())
    announcement["title"] = "另一份"
    shutil.copy(office.path("A4.json"), office.path("A.json"))
    forged = json.loads(resigned(office, {"announcement": announcement}).read_bytes())
    from schemas.canonical_json import canonical

    (published / "fork.json").write_bytes(canonical(forged["announcement"]))
    assert office.failed(office.path("T3.json"), "--chain", published) == ["order"]


def test_foreign_files_do_not_count(office: Office, published: Path) -> None:
    """Reveals, commitments, secrets, other JSON and other files in the folder change nothing."""
    for path in office.folder.glob("*.reveal"):
        shutil.copy(path, published / f"{path.name}.json")
    (published / "notes.json").write_text("not json")
    (published / "list.json").write_text("[1]")
    (published / "R.csv").write_text("x")
    assert office.failed(office.path("T3.json"), "--chain", published) == []


def test_changed_document_in_the_chain(office: Office, published: Path) -> None:
    """A chain with a document that is not signed as it stands fails."""
    path = published / "V2.json"
    path.write_bytes(path.read_bytes().replace("名录有误".encode(), "名录无误".encode()))
    assert office.failed(office.path("T3.json"), "--chain", published) == ["order"]


def test_one_plan_is_announced_once(office: Office) -> None:
    """A plan is announced again only after a void; after its draw never."""
    announcement = office.announce()
    assert office(*office.announce_words("b"))[0] == 1
    office.ok("draw", "void", announcement, "--reason", "更正")
    again = office.announce("c")
    assert office(*office.run_words(announcement))[0] == 1
    office.ok(*office.run_words(again, "c"))
    assert office("draw", "void", again, "--reason", "不满意")[0] == 1
    assert office(*office.announce_words("d"))[0] == 1


def test_void_needs_a_reason_and_happens_once(office: Office) -> None:
    """A blank reason is refused, and so is a second void."""
    announcement = office.announce()
    assert office("draw", "void", announcement, "--reason", " ")[0] == 1
    assert office("draw", "void", announcement, "--reason", "更正")[0] == 0
    assert office("draw", "void", announcement, "--reason", "更正")[0] == 1


def test_commitment_serves_one_announcement(office: Office) -> None:
    """A commitment that served an announcement, even a voided one, is refused."""
    words = office.announce_words()
    office.ok(*words)
    office.ok("draw", "void", office.path("A.json"), "--reason", "更正")
    code, _, err = office(*words)
    assert code == 1
    assert "commitment" in err


def test_only_what_is_on_record_is_drawn(office: Office, keyed: Path) -> None:
    """An announcement of another data folder is not drawn here."""
    announcement = office.announce()
    words = office.run_words(announcement)
    shutil.rmtree(office.data / "draws")
    assert office(*words)[0] == 1


def test_announcements_at_once_share_no_sequence(office: Office) -> None:
    """Of several announcements made at the same moment each gets its own place."""
    programs = []
    for n in range(4):
        words = office.announce_words(f"p{n}", plan(office, f"Q{n}"))
        line = [sys.executable, "-c", "import sys; from infra.cli import main; sys.exit(main(sys.argv[1:]))"]
        programs.append(subprocess.Popen([*line, *map(str, words), "--data", str(office.data)]))
    assert [0, 0, 0, 0] == [program.wait(60) for program in programs]
    sequences = sorted(json.loads(office.path(f"Ap{n}.json").read_bytes())["sequence"] for n in range(4))
    assert [1, 2, 3, 4] == sequences


def test_authorities_have_their_own_chains(office: Office) -> None:
    """Another authority's announcements begin at 1 and do not count in the first one's chain."""
    office.draw("1", plan(office, "P1"))
    text = PLAN.replace("630000", "630100").replace("QH-1", "P1")
    office.draw("2", office.plan(text, "other.toml"))
    assert json.loads(office.path("A2.json").read_bytes())["sequence"] == 1
    assert office.failed(office.path("T2.json"), "--chain", office.data / "draws") == []


def test_undrawn_announcement_is_an_alarm(office: Office) -> None:
    """An announcement whose period has begun without a transcript is shown as overdue."""
    office.announce()
    code, out, err = office("draw", "show", "--json")
    assert (code, json.loads(out)["state"]) == (0, "overdue")
    assert "warning:" in err


def test_doctor_tells_an_undrawn_announcement(office: Office) -> None:
    """`doctor` finds an announcement past its date wrong until it is drawn or voided, and one to come right."""
    text = PLAN.replace("2018-04-01", "2999-04-01").replace("2018-06-30", "2999-06-30")
    office.announce("1", office.plan(text.replace("QH-1", "P1"), "later.toml"))

    def found() -> list[tuple[bool, str]]:
        rows = [json.loads(line) for line in office("doctor", "--json")[1].splitlines()]
        return [(row["ok"], row["detail"]) for row in rows if row["name"] == "draws"]

    assert [(True, "公告 1 个，无逾期 / 1 announcements, none overdue")] == found()
    announcement = office.announce("2", plan(office, "P2"))
    ((ok, detail),) = found()
    assert not ok
    assert "announcement 2 of urn:agency:630000:market-regulation (P2)" in detail
    office.ok("draw", "void", announcement, "--reason", "名录有误")
    assert [(True, "公告 2 个，无逾期 / 2 announcements, none overdue")] == found()


def test_what_a_revoked_key_signed(office: Office) -> None:
    """A revoked draw key counts for nothing, but where a later announcement by a good key builds on what it signed."""
    first = office.draw("1", plan(office, "P1"))
    chain = office.data / "draws"
    kid = json.loads(first.read_bytes())["signature"]["kid"]
    office.ok("keys", "revoke", kid)
    assert ["announcement-signature", "signature"] == office.failed(first)
    assert ["order"] == office.failed(first, "--chain", chain)
    second = office.draw("2", plan(office, "P2"))
    assert kid != json.loads(second.read_bytes())["signature"]["kid"]
    assert [] == office.failed(second, "--chain", chain)
    assert [] == office.failed(first, "--chain", chain)
    assert ["announcement-signature", "signature"] == office.failed(first)
