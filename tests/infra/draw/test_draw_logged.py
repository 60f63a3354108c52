"""Papers of draws stand in the public log before anybody is handed them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from infra.transparency.client import open_log, read_head
from schemas.transparency.entries import (
    AnnouncementEntry,
    LogEntry,
    ReplacementEntry,
    TranscriptEntry,
    VoidEntry,
    read_entry,
)
from tests.infra.draw.conftest import Office


def logged(office: Office) -> list[LogEntry]:
    """Return the entries of the published log."""
    return [read_entry(raw) for _, raw in read_head(open_log(str(office.data))).entries()]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_each_paper_of_a_draw_is_logged_by_its_command(issuing_office: Office) -> None:
    """Announcement, transcript and replacement, without a drain; a log that cannot be written hands out nothing."""
    office = issuing_office
    announced = office.announce()
    (first,) = [entry for entry in logged(office) if isinstance(entry, AnnouncementEntry)]
    assert 1 == first.sequence
    (office.data / "objects" / "log" / "checkpoint").rename(office.data / "checkpoint")
    (office.data / "objects" / "log" / "checkpoint").mkdir()
    words = office.run_words(announced)
    code, _, _ = office(*words)
    assert (75, False) == (code, office.path("T.json").exists())
    (office.data / "objects" / "log" / "checkpoint").rmdir()
    (office.data / "checkpoint").rename(office.data / "objects" / "log" / "checkpoint")
    office.ok(*words)
    assert TranscriptEntry(first.authority, 1, digest(office.path("T.json"))) in logged(office)
    code, _, _ = office(
        "draw", "replace", office.path("T.json"), "--unavailable", "T000", "--reason", "已迁出", *office.registers,
        "-o", office.path("X.json"),
    )  # fmt: skip
    if code == 0:
        assert ReplacementEntry(first.authority, 1, digest(office.path("X.json"))) in logged(office)


def test_a_void_is_logged(issuing_office: Office) -> None:
    """Before it is written where it was asked for."""
    office = issuing_office
    announced = office.announce()
    office.ok("draw", "void", announced, "--reason", "名录有误", "-o", office.path("V.json"))
    (found,) = [entry for entry in logged(office) if isinstance(entry, VoidEntry)]
    assert digest(office.path("V.json")) == found.digest
