"""The audit of a log by an outsider: what an operator may try, and what is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from logs import ORIGIN, SERIES, NearWitness, TestLog, forged, licence, licences, seed, sha, status_uri
from memory_store import MemoryStore
from msgspec.structs import replace

from infra.transparency.sequencer import seeded_signer
from infra.transparency.tiles import PREFIX
from schemas.errors import NotFound
from schemas.transparency.entries import (
    AnnouncementEntry,
    ImportedEntry,
    LogEntry,
    PublishedEntry,
    ReplacementEntry,
    StatusEntry,
    TranscriptEntry,
    TrustEntry,
    VoidEntry,
)
from schemas.transparency.merkle import EMPTY_ROOT
from schemas.transparency.notes import Checkpoint
from schemas.transparency.tiles import RightEdge, grow
from verification.log_audit import AuditReport, audit
from verification.log_book import LogPolicy

AUTHORITY = "urn:agency:320000:market-regulation"
STATUS = StatusEntry(status_uri(), 1_536_000_000, sha("edition 1"))


def failed(report: AuditReport) -> dict[str, str]:
    """Return the checks that failed, with what they say."""
    return {check.name: check.detail for check in report.checks if not check.ok}


def audit_of(folder: Path, entries: list[LogEntry]) -> AuditReport:
    """Audit a fresh log of these entries."""
    log = TestLog(folder)
    log.add(entries)
    return audit(log.stored, log.policy)


@pytest.fixture
def log(tmp_path: Path) -> TestLog:
    """A log of 600 licences and a status list."""
    made = TestLog(tmp_path)
    made.add([STATUS, *licences(599)])
    return made


def rewritten(log: TestLog, entries: list[bytes]) -> None:
    """Let the operator put another log in the place of the true one, signed with the true key."""
    edge, tiles = grow(RightEdge(), entries)
    store = MemoryStore()
    for tile, data in tiles:
        store.replace(PREFIX + tile.path, data)
    head = Checkpoint(ORIGIN, edge.size, edge.root)
    store.replace(PREFIX + "checkpoint", log.signer.sign_checkpoint(head).to_bytes())
    log.stored._store = store


def test_a_good_log_passes(log: TestLog) -> None:
    """Every step is made and passes; the head is handed out for the next time."""
    report = audit(log.stored, log.policy, since=None)
    assert {} == failed(report)
    assert ["checkpoint", "witnesses", "entries", "numbers", "draws", "editions"] == [
        c.name for c in report.checks
    ]
    assert (600, log.stored.fetch("checkpoint")) == (report.size, report.checkpoint)


def test_an_empty_log_passes(tmp_path: Path) -> None:
    """A log without entries has a head and no tiles."""
    log = TestLog(tmp_path)
    log.stored.publish(log.signer.sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT)).to_bytes())
    assert audit(log.stored, log.policy).ok


def test_a_log_that_grew_passes(log: TestLog) -> None:
    """Since any earlier head, at the border of a bundle or within."""
    heads = [log.stored.fetch("checkpoint")]
    for start, count in ((600, 100), (700, 68), (768, 1)):
        heads.append(log.add(licences(count, start=start)))
    for head in heads:
        assert {} == failed(audit(log.stored, log.policy, since=head))


@pytest.mark.parametrize("keep", [0, 1, 256, 511, 599])
def test_a_cut_tail_is_found(log: TestLog, keep: int) -> None:
    """A shorter log, however well signed, does not continue the one that was seen."""
    seen = log.stored.fetch("checkpoint")
    rewritten(log, list(log.order.read(0, keep)))
    assert "tail was cut" in failed(audit(log.stored, log.policy, since=seen))["consistency"]


@pytest.mark.parametrize("place", [1, 300, 598])
def test_a_second_history_is_found(log: TestLog, place: int) -> None:
    """A log with one entry changed, signed anew and longer than before: another history."""
    seen = log.stored.fetch("checkpoint")
    entries = list(log.order.read(0, 600))
    entries[place] = forged(licence(place)).to_bytes()
    rewritten(log, [*entries, licence(600).to_bytes()])
    report = audit(log.stored, log.policy, since=seen)
    assert ["consistency"] == list(failed(report))
    assert "second history" in failed(report)["consistency"]
    assert report.checkpoint is None


@pytest.mark.parametrize(
    ("path", "change", "said"),
    [
        ("tile/0/001", lambda data: data[:64] + bytes(32) + data[96:], "entry 258 was changed"),
        ("tile/0/001", lambda data: None, "missing"),
        ("tile/1/000.p/2", lambda data: data[::-1], "other hashes"),
        ("tile/entries/001", lambda data: data.replace(b'"version":1', b'"version":2', 1), "entry 256 was changed"),
        ("tile/entries/001", lambda data: data[:-1], "an entry is cut"),
        ("tile/entries/002.p/88", lambda data: None, "no such object"),
        ("tile/entries/000", lambda data: data.replace(b'"version":1', b'"version"=1', 1), "no entry of the log"),
    ],
)  # fmt: skip
def test_a_changed_file_is_found(
    log: TestLog, path: str, change: Callable[[bytes], bytes | None], said: str
) -> None:
    """A byte of any tile or bundle changed, a file cut or taken away."""
    changed = change(log.stored.fetch(path))
    log.store.erase(PREFIX + path)  # type: ignore[attr-defined]
    if changed is not None:
        log.store.put(PREFIX + path, changed)
    assert said in failed(audit(log.stored, log.policy))["entries"]


def test_another_key_is_found(log: TestLog) -> None:
    """A head that the log did not sign is not looked into."""
    policy = replace(log.policy, keys=(seeded_signer(ORIGIN, seed("other")).log_key,))
    report = audit(log.stored, policy)
    assert (["checkpoint"], 0, None) == (list(failed(report)), report.size, report.checkpoint)


def test_an_earlier_head_of_a_stranger_is_no_fault_of_the_log(log: TestLog) -> None:
    """It is said that the head given as seen before cannot be believed; the rest is checked all the same."""
    stranger = (
        seeded_signer(ORIGIN, seed("other")).sign_checkpoint(Checkpoint(ORIGIN, 700, bytes(32))).to_bytes()
    )
    report = audit(log.stored, log.policy, since=stranger)
    assert ["since"] == list(failed(report))


def test_missing_witnesses_are_found(tmp_path: Path) -> None:
    """Fewer witnesses than are needed fail the audit; everything else is still checked."""
    near = NearWitness(tmp_path / "w", "w.example.cn", seeded_signer(ORIGIN, seed("log")).log_key)
    log = TestLog(tmp_path, [near])
    near.away = True
    log.add(licences(3))
    report = audit(log.stored, replace(log.policy, needed=1))
    assert ["witnesses"] == list(failed(report))


def test_a_number_twice_is_found(tmp_path: Path) -> None:
    """A second object under one number and version is a second licence."""
    report = audit_of(tmp_path, [STATUS, licence(1), forged(licence(1))])
    assert ["numbers"] == list(failed(report))
    assert "version 1 twice" in failed(report)["numbers"]


def test_a_licence_beside_the_log_is_found(tmp_path: Path) -> None:
    """A serial that is given out, but not logged, leaves a gap; so does a version."""
    assert (
        "serial 2 is not in the log"
        in failed(audit_of(tmp_path / "a", [STATUS, licence(1), licence(3)]))["numbers"]
    )
    assert "serial 1 is not in the log" in failed(audit_of(tmp_path / "b", [STATUS, licence(2)]))["numbers"]
    report = audit_of(tmp_path / "c", [STATUS, licence(1), licence(1, version=3)])
    assert "version 2 is not in the log" in failed(report)["numbers"]


def test_series_whose_prefix_ends_in_digits(tmp_path: Path) -> None:
    """A series is known by its status list, so that `TS630225` + 000001 is serial 1 and no other."""
    series = "TS630225"
    lists = [STATUS, StatusEntry(status_uri(series), 5, sha("e"))]
    entries = [licence(n, series=series) for n in (1, 2)]
    assert audit_of(tmp_path / "good", [*lists, *entries]).ok
    bad = audit_of(tmp_path / "bad", [*lists, entries[0], licence(3, series=series)])
    assert "TS630225: " in failed(bad)["numbers"]


def test_an_import_explains_the_serials_that_are_skipped(tmp_path: Path) -> None:
    """A series goes on after the highest number that was imported; above it nothing may be missing."""
    imported = ImportedEntry(f"{SERIES}00009")
    assert audit_of(tmp_path / "good", [STATUS, licence(1), imported, licence(10)]).ok
    bad = failed(audit_of(tmp_path / "bad", [STATUS, licence(1), imported, licence(11)]))["numbers"]
    assert "serial 10 is not in the log" in bad
    assert "serial 8" not in bad


@pytest.mark.parametrize(
    ("papers", "said"),
    [
        ([AnnouncementEntry(AUTHORITY, 1, sha("1"))], ""),
        ([AnnouncementEntry(AUTHORITY, 1, sha("1")), TranscriptEntry(AUTHORITY, 1, sha("t")),
          ReplacementEntry(AUTHORITY, 1, sha("r1")), ReplacementEntry(AUTHORITY, 1, sha("r2")),
          PublishedEntry(sha("1"), sha("p"), "2018-05-02")], ""),
        ([AnnouncementEntry(AUTHORITY, 1, sha("1")), VoidEntry(AUTHORITY, 1, sha("v")),
          AnnouncementEntry(AUTHORITY, 2, sha("2"))], ""),
        ([AnnouncementEntry(AUTHORITY, 1, sha("1")), AnnouncementEntry(AUTHORITY, 2, sha("2"))], "neither transcript nor void"),
        ([AnnouncementEntry(AUTHORITY, 1, sha("1")), AnnouncementEntry(AUTHORITY, 1, sha("2"))], "two announcements"),
        ([AnnouncementEntry(AUTHORITY, 2, sha("2"))], "from 1 to 1 are missing"),
        ([AnnouncementEntry(AUTHORITY, 1, sha("1")), TranscriptEntry(AUTHORITY, 1, sha("t")),
          TranscriptEntry(AUTHORITY, 1, sha("u"))], "two transcripts"),
        ([AnnouncementEntry(AUTHORITY, 1, sha("1")), TranscriptEntry(AUTHORITY, 1, sha("t")),
          VoidEntry(AUTHORITY, 1, sha("v"))], "voided and drawn"),
        ([TranscriptEntry(AUTHORITY, 1, sha("t"))], "no announcement"),
        ([TranscriptEntry(AUTHORITY, 1, sha("t")), AnnouncementEntry(AUTHORITY, 1, sha("1"))], "older than its announcement"),
        ([AnnouncementEntry(AUTHORITY, 1, sha("1")), AnnouncementEntry("urn:agency:330000:market-regulation", 1, sha("1"))], ""),
    ],
)  # fmt: skip
def test_draws(tmp_path: Path, papers: list[LogEntry], said: str) -> None:
    """Each announcement has its transcript or void; none is left out, twice, or older than what it led to."""
    report = audit_of(tmp_path, papers)
    assert (said == "") == report.ok
    assert said in failed(report).get("draws", "")


@pytest.mark.parametrize(
    ("editions", "said"),
    [
        ([TrustEntry(1, sha("1")), TrustEntry(2, sha("2"))], ""),
        ([TrustEntry(1, sha("1")), TrustEntry(1, sha("2"))], "twice"),
        ([TrustEntry(1, sha("1")), TrustEntry(3, sha("3"))], "edition 2 is missing"),
        ([TrustEntry(2, sha("2")), TrustEntry(1, sha("1"))], "goes back"),
        ([STATUS, replace(STATUS, iat=STATUS.iat - 1)], "goes back in time"),
        ([STATUS, replace(STATUS, iat=STATUS.iat + 1)], ""),
    ],
)
def test_editions(tmp_path: Path, editions: list[LogEntry], said: str) -> None:
    """Editions of the trust folder and of status lists only go forward, one after the other."""
    report = audit_of(tmp_path, editions)
    assert (said == "") == report.ok
    assert said in failed(report).get("editions", "")


@pytest.mark.parametrize(
    ("register", "living", "said"),
    [
        ([1, 2, 3], 3, ""),
        ([1, 2], 3, "has 2 licences, the log's status lists 3"),
        ([1, 2, 3], 2, "has 3 licences, the log's status lists 2"),
        ([1, 2, 4], 3, "00004: 不在日志中 / is not in the log"),
        ([1, 2, 3, 3], 3, "a number twice"),
        ([1, 2, 3, 9], 3, ""),  # an imported licence without a version of ours
        ([1, 2, 3], None, ""),
    ],
)
def test_registers(tmp_path: Path, register: list[int], living: int | None, said: str) -> None:
    """A register that was announced has as many living licences as the log's status lists, and none beside the log."""
    log = TestLog(tmp_path)
    other = StatusEntry(status_uri("TS630225"), 5, sha("x"))
    log.add([STATUS, other, *licences(3), ImportedEntry(f"{SERIES}00009")])
    asked: list[tuple[str, str]] = []

    def count(uri: str, digest: str) -> int | None:
        asked.append((uri, digest))
        return living

    numbers = [f"{SERIES}{n:05d}" for n in register]
    report = audit(log.stored, log.policy, register=numbers, living=count)
    assert (said == "") == report.ok
    assert said in failed(report).get("register", "")
    assert [(STATUS.uri, STATUS.sha256)] == asked  # the lists of other series do not count
    if living is None:
        assert "status not compared" in report.checks[-1].detail


def test_no_log_no_audit() -> None:
    """A place without a checkpoint is no log, and that is said."""

    class Nothing:
        def fetch(self, path: str) -> bytes:
            raise NotFound("no such file", where=path)

    with pytest.raises(NotFound):
        audit(Nothing(), LogPolicy(ORIGIN, ()))
