"""The transparency log on real servers: the entries of one machine, one writer, and no head without its tiles."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from cluster import Cluster, Worker
from logs import CATEGORIES, VERSIONS, as_on_one_machine, logged, versions_of
from story import Office

from infra.stores.s3 import S3Store
from infra.transparency.tiles import StoredLog
from schemas.transparency.entries import LicenceEntry
from schemas.trust import load_trust
from verification.log_audit import AuditReport, audit
from verification.log_book import policy_of

pytestmark = pytest.mark.servers


def licences(log: StoredLog) -> int:
    """Count the licences in a published log."""
    return sum(isinstance(entry, LicenceEntry) for entry in logged(log))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """The story on one machine."""
    office = Office(tmp_path_factory.mktemp("embedded"))
    office.init()
    office.tell(versions_of())
    return office


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, embedded: Office) -> Iterator[Cluster]:
    """The story on Kafka, with the same keys: everything is issued, no list published, nothing logged."""
    one = Cluster(tmp_path_factory.mktemp("cluster"), keys_of=embedded.data)
    try:
        one.start("a", "route,decide,number,issue").wait_ready()
        one.submit(versions_of().lines)
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
    told = as_on_one_machine(log, embedded, 60)
    assert len(CATEGORIES) * VERSIONS == licences(log)
    report = audited(cluster, log, seen)
    assert [] == [check for check in report.checks if not check.ok]
    number = sorted(e.number for e in told.values() if isinstance(e, LicenceEntry))[0]
    proof = cluster.folder / "licence.tlog-proof"
    cluster.run("licence", "get", number, "--format", "proof", "-o", proof)
    assert proof.read_bytes().startswith(b"c2sp.org/tlog-proof@v1\n")
