"""The transparency log on real servers: the entries of one machine, one writer, and no head without its tiles."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from cluster import Cluster, Worker
from story import Events, Office, uscc

from infra.stores.folder import FolderStore
from infra.stores.s3 import S3Store
from infra.transparency.client import read_head
from infra.transparency.tiles import StoredLog
from schemas.transparency.entries import LicenceEntry, LogEntry, read_entry
from schemas.trust import load_trust
from verification.log_audit import AuditReport, audit
from verification.log_book import policy_of

pytestmark = pytest.mark.servers
CATEGORIES = ("化肥", "钢丝绳", "电线电缆", "人造板")
VERSIONS = 5


def story() -> Events:
    """Return four licences with five versions each; each is the only one of its series."""
    events = Events()
    for n, category in enumerate(CATEGORIES, 1):
        products = [{"category": category, "site": "厂区1号", "detail": "型号0"}]
        events.apply(f"2018-03-01T1{n}:00:00+08:00", f"N-{n}", uscc(n), products=products)
        for version in range(1, VERSIONS):
            more = [{"category": category, "site": "厂区1号", "detail": f"型号{version}"}]
            events.apply(
                f"2018-03-{1 + version:02d}T1{n}:00:00+08:00",
                f"N-{n}-{version}",
                uscc(n),
                action="extend",
                granted_by=f"N-{n}",
                products=more,
                materials=[
                    {"kind": "application-form"},
                    {"kind": "commitment-letter", "signed_on": "2018-02-28"},
                ],
            )
    return events


def entries(log: StoredLog) -> list[LogEntry]:
    """Return the entries of a published log, none where there is no head."""
    return [] if log.head() is None else [read_entry(raw) for _, raw in read_head(log).entries()]


def licences(log: StoredLog) -> int:
    """Count the licences in a published log."""
    return sum(isinstance(entry, LicenceEntry) for entry in entries(log))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """The story on one machine."""
    office = Office(tmp_path_factory.mktemp("embedded"))
    office.init()
    office.tell(story())
    return office


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, embedded: Office) -> Iterator[Cluster]:
    """The story on Kafka, with the same keys: everything is issued, no list published, nothing logged."""
    one = Cluster(tmp_path_factory.mktemp("cluster"), keys_of=embedded.data)
    try:
        one.start("a", "route,decide,number,issue").wait_ready()
        one.submit(story().lines)
        one.idle()
        yield one
    finally:
        one.close()


def audited(cluster: Cluster, log: StoredLog, since: bytes | None = None) -> AuditReport:
    """Return what an outsider finds."""
    policy = policy_of(load_trust(cluster.data / "trust"))
    assert policy is not None
    return audit(log, policy, since=since)


def writer(cluster: Cluster, name: str, failpoint: str = "") -> Worker:
    """Start a worker that writes the log; at the failpoint it is killed."""
    cluster.env["ZHENGZHAO_FAILPOINT"] = failpoint
    try:
        return cluster.start(name, "status,log")
    finally:
        del cluster.env["ZHENGZHAO_FAILPOINT"]


def test_killed_writers_leave_a_log_that_its_tiles_support(cluster: Cluster, embedded: Office) -> None:
    """Three writers die, each elsewhere; the fourth one's log has the entries of one machine, and goes on from the last."""
    log = StoredLog(S3Store(cluster.stack.store))
    seen: bytes | None = None
    for n, place in enumerate(("log-before-tiles", "log-between-tiles", "log-before-checkpoint")):
        killed = writer(cluster, f"killed{n}", place)
        assert -signal.SIGKILL == killed.process.wait(90)
        if log.head() is not None:
            report = audited(cluster, log, seen)
            assert [] == [check for check in report.checks if not check.ok]
            seen = report.checkpoint
    writer(cluster, "b").wait_ready()
    expected = {entry.id for entry in entries(StoredLog(FolderStore(embedded.data / "objects")))}
    deadline = time.monotonic() + 60
    while {entry.id for entry in entries(log)} != expected and time.monotonic() < deadline:
        time.sleep(0.5)
    told = {entry.id: entry for entry in entries(log)}
    assert expected == set(told)
    assert len(CATEGORIES) * VERSIONS == licences(log)
    report = audited(cluster, log, seen)
    assert [] == [check for check in report.checks if not check.ok]
    number = sorted(e.number for e in told.values() if isinstance(e, LicenceEntry))[0]
    proof = cluster.folder / "licence.tlog-proof"
    cluster.run("licence", "get", number, "--format", "proof", "-o", proof)
    assert proof.read_bytes().startswith(b"c2sp.org/tlog-proof@v1\n")
