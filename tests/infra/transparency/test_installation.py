"""The log of an installation: everything that it publishes is there, and an outsider finds it whole."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bureau import Bureau
from story import Events, Office, uscc

from infra.bootstrap import Installation
from infra.settings import Settings
from infra.transparency.client import FolderLog, LogReader
from infra.transparency.installation import ORDER_FILE
from issuance import keys
from issuance.certificates import Role
from schemas.transparency.entries import (
    CatalogueLogged,
    LicenceEntry,
    LogEntry,
    StatusEntry,
    TrustEntry,
    read_entry,
)
from schemas.transparency.notes import read_checkpoint, read_note
from schemas.trust import load_trust
from verification.log_audit import AuditReport, audit
from verification.log_book import policy_of


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three licences."""
    office = Office(tmp_path_factory.mktemp("logged"))
    office.init()
    e = Events()
    for n in range(1, 4):
        e.apply(f"2018-03-01T1{n}:00:00+08:00", f"N-{n}", uscc(n))
    office.tell(e)
    return office.data


@pytest.fixture
def data(told: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(told, tmp_path / "data"))


def entries(data: Path) -> list[LogEntry]:
    """Return the entries of the published log."""
    source = FolderLog(data / "objects" / "log")
    note = source.fetch("checkpoint")
    return [read_entry(raw) for _, raw in LogReader(source, read_checkpoint(read_note(note)), note).entries()]


def audited(data: Path, since: bytes | None = None) -> AuditReport:
    """Return what an outsider finds who has the trust folder and the log's files."""
    policy = policy_of(load_trust(data / "trust"))
    assert policy is not None
    return audit(FolderLog(data / "objects" / "log"), policy, since=since)


def drained(data: Path) -> None:
    """Process what is pending, in this process."""
    with Installation(Settings(data, workers=1)) as here, here.engine("test") as engine:
        engine.drain()


def test_what_is_published_is_in_the_log(told: Path) -> None:
    """Each licence with the digests of its files, each status list, the trust folder, the items; an audit finds it whole."""
    found = entries(told)
    licences = [e for e in found if isinstance(e, LicenceEntry)]
    files = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (told / "objects").rglob("*.pdf")}
    assert files == {e.object for e in licences}
    assert 3 == len(licences)
    trust = hashlib.sha256((told / "trust" / "trust.json").read_bytes()).hexdigest()
    assert TrustEntry(1, trust) in found
    assert any(isinstance(e, CatalogueLogged) for e in found)
    lists = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (told / "objects" / "status").rglob("*.cwt")}
    stated = {e.sha256 for e in found if isinstance(e, StatusEntry)}
    assert stated
    assert stated <= lists
    report = audited(told)
    assert [] == [check for check in report.checks if not check.ok]


def test_draining_again_changes_nothing(data: Path) -> None:
    """The head stays, byte for byte."""
    head = (data / "objects" / "log" / "checkpoint").read_bytes()
    drained(data)
    assert head == (data / "objects" / "log" / "checkpoint").read_bytes()


def test_a_lost_order_is_made_again_from_the_tiles(data: Path) -> None:
    """The same entries keep their places."""
    before, head = entries(data), (data / "objects" / "log" / "checkpoint").read_bytes()
    (data / ORDER_FILE).unlink()
    drained(data)
    assert (before, head) == (entries(data), (data / "objects" / "log" / "checkpoint").read_bytes())


def test_a_folder_from_before_the_log_gets_one_with_a_key(tmp_path: Path) -> None:
    """Without a key for a log nothing is logged; with a new one everything from then on, and both trust editions."""
    data = Bureau(tmp_path / "data").data
    drained(data)
    assert not (data / "objects" / "log").exists()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    role = Role("*", "证照", "log")
    keys.rotate(
        data,
        load_trust(data / "trust"),
        [role],
        keys.Lifetime(now),
        now=now,
        passphrase=None,
        log=keys.LogTerms("example.cn/log"),
    )
    drained(data)
    assert now.isoformat() == load_trust(data / "trust").listing.logged_from
    assert [1, 2] == [e.sequence for e in entries(data) if isinstance(e, TrustEntry)]
    assert audited(data).ok
