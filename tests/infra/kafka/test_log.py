"""The transparency log on real servers: the entries of one machine, one writer, and no head without its tiles."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from cluster import Cluster, Worker
from story import Events, Office, uscc

from infra.bootstrap import Installation
from infra.settings import load
from infra.stores.folder import FolderStore
from infra.stores.s3 import S3Store
from infra.transparency.client import read_head
from infra.transparency.tiles import StoredLog
from schemas.calendar import CHINA
from schemas.transparency.entries import LicenceEntry, LogEntry, read_entry
from schemas.trust import load_trust
from verification.log_audit import AuditReport, audit
from verification.log_book import policy_of

pytestmark = pytest.mark.servers
CATEGORIES = ("化肥", "钢丝绳", "电线电缆", "人造板")
MORE_CATEGORIES = (*CATEGORIES, "砂轮", "饲料粉碎机械", "耐火材料", "建筑防水卷材", "汽车制动液", "救生设备")
VERSIONS = 5
START = datetime(2018, 3, 1, 9, tzinfo=CHINA)


def story(categories: Sequence[str] = CATEGORIES, versions: int = VERSIONS) -> Events:
    """Return a licence of each category with so many versions; each is the only one of its series."""
    events = Events()
    for n, category in enumerate(categories, 1):
        products = [{"category": category, "site": "厂区1号", "detail": "型号"}]
        at = START + timedelta(minutes=n)
        events.apply(at.isoformat(), f"N-{n}", uscc(n), products=products)
        for version in range(1, versions):
            events.apply(
                (at + timedelta(hours=version)).isoformat(),
                f"N-{n}-{version}",
                uscc(n),
                action="reissue",
                granted_by=f"N-{n}",
                products=...,
                materials=[{"kind": "application-form"}],
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


def as_on_one_machine(log: StoredLog, embedded: Office, seconds: float) -> dict[str, LogEntry]:
    """Wait until the log has the entries of the one on one machine, and no others; return them."""
    expected = {entry.id for entry in entries(StoredLog(FolderStore(embedded.data / "objects")))}
    deadline = time.monotonic() + seconds
    while {entry.id for entry in entries(log)} != expected and time.monotonic() < deadline:
        time.sleep(0.5)
    told = {entry.id: entry for entry in entries(log)}
    assert expected == set(told)
    return told


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


@pytest.mark.soak
def test_twenty_thousand_licences(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both engines log the same entries of 20,000 versions."""
    told = story(MORE_CATEGORIES, 2_000)
    office = Office(tmp_path_factory.mktemp("embedded"))
    office.init()
    office.submit(told)
    with Installation(load(office.data, {})) as here, here.engine("soak") as engine:
        engine.drain()
    one = Cluster(tmp_path_factory.mktemp("cluster"), keys_of=office.data)
    try:
        one.start("a", "route,decide,number,issue").wait_ready()
        one.submit(told.lines)
        one.idle(7200)
        one.start("b", "status,log").wait_ready()
        log = StoredLog(S3Store(one.stack.store))
        as_on_one_machine(log, office, 1200)
        assert len(MORE_CATEGORIES) * 2_000 == licences(log)
    finally:
        one.close()
