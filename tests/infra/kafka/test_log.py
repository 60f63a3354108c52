"""The transparency log on real servers: the entries of one machine, one writer, and no head without its tiles."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator

import pytest
from cluster import Cluster, Worker
from logs import CATEGORIES, VERSIONS, as_on_one_machine, logged, versions_of
from story import Events, Office, uscc
from timestamps import Served, TimestampAuthority, register

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


def story() -> Events:
    """Versions of some licences, and one that never ends."""
    events = versions_of()
    register(events, "2018-03-02T11:00:00+08:00", "R-1", uscc(90))
    return events


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A timestamp authority that answers."""
    folder = tmp_path_factory.mktemp("authority")
    served = Served(TimestampAuthority(folder / "tsa"), folder)
    served.away = False
    yield served
    served.close()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, authority: Served) -> Office:
    """The story on one machine, whose trust folder names the timestamp authority."""
    office = Office(tmp_path_factory.mktemp("embedded"))
    office.init()
    office.run("draw", "party", "add", "tsa", authority.authority.certificate, "--timestamp")
    office.tell(story())
    return office


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, embedded: Office, authority: Served
) -> Iterator[Cluster]:
    """The story on Kafka, with the same keys: everything is issued, no list published, nothing logged."""
    one = Cluster(tmp_path_factory.mktemp("cluster"), keys_of=embedded.data)
    try:
        settings = one.data / "settings.toml"
        settings.write_text(f'timestamp = "{authority.address}"\n' + settings.read_text())
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
    told = as_on_one_machine(log, embedded, 60)
    assert len(CATEGORIES) * VERSIONS + 1 == licences(log)
    report = audited(cluster, log, seen)
    assert [] == [check for check in report.checks if not check.ok]
    number = sorted(e.number for e in told.values() if isinstance(e, LicenceEntry))[0]
    proof = cluster.folder / "licence.tlog-proof"
    cluster.run("licence", "get", number, "--format", "proof", "-o", proof)
    assert proof.read_bytes().startswith(b"c2sp.org/tlog-proof@v1\n")


def test_a_licence_without_end_is_stamped_once(cluster: Cluster, authority: Served) -> None:
    """The worker of the status lists asks the authority; `verify` finds the token over the PDF good."""
    rows = [json.loads(line) for line in cluster.run("licence", "list", "--json").splitlines()]
    (endless,) = [row["number"] for row in rows if row["item"] == "business-licence"]
    token, pdf = cluster.folder / "licence.tsr", cluster.folder / "licence.pdf"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not token.exists():
        cluster.run("licence", "get", endless, "--format", "tsr", "-o", token, code=None)
    cluster.run("licence", "get", endless, "-o", pdf)
    at = ("--at", "2018-03-02T12:00:00+08:00")
    check = json.loads(cluster.run("verify", pdf, "--timestamp", token, *at, "--json", code=None))["checks"][
        -1
    ]
    assert ("timestamp", True) == (check["name"], check["ok"])
    assert 1 == authority.asked
