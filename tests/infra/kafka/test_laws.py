"""The laws on the real servers: Kafka, SeaweedFS, worker processes that are killed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from cluster import Cluster
from laws import Kills, Told, agree, folder_of, in_other_partitions, in_portions, shares, unbroken
from scenario import Phase, phases

from infra.kafka import topics

pytestmark = pytest.mark.servers


class Embedded(NamedTuple):
    """A scenario that went through the embedded engine: its phases, the data folder, and the decisions."""

    phases: list[Phase]
    data: Path
    told: Told


def through_embedded(folder: Path, holders: int) -> Embedded:
    scenario, office = phases(holders), folder_of(folder)
    return Embedded(scenario, office.data, unbroken(office, scenario))


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    """The scenario with 260 holders."""
    return through_embedded(tmp_path_factory.mktemp("half"), 260)


@pytest.fixture
def whole(tmp_path: Path) -> Embedded:
    """The scenario with 520 holders, so that there is work in flight at every kill."""
    return through_embedded(tmp_path / "whole", 520)


@contextmanager
def stack(folder: Path, embedded: Embedded) -> Iterator[Cluster]:
    """A fresh stack with the keys and the secret of the embedded run."""
    one = Cluster(folder, keys_of=embedded.data)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def cluster(tmp_path: Path, half: Embedded) -> Iterator[Cluster]:
    with stack(tmp_path, half) as one:
        yield one


@pytest.fixture
def whole_cluster(tmp_path: Path, whole: Embedded) -> Iterator[Cluster]:
    with stack(tmp_path, whole) as one:
        yield one


def test_one_worker_every_event_twice(cluster: Cluster, half: Embedded) -> None:
    """Decisions are those of the embedded engine; copies under other keys change nothing; replay is byte for byte."""
    cluster.start("a").wait_ready()
    for phase in half.phases:
        cluster.submit(phase)
        cluster.idle()
        in_other_partitions(cluster, phase)
        cluster.idle()
    agree(cluster, half.told)
    ledger = {
        record.partition for record in cluster.records(topics.LEDGER) if b'"kind":"event"' in record.value
    }
    assert len(ledger) >= 12
    time.sleep(5)  # the status lists
    assert cluster.workers["a"].stop() == 0
    report = json.loads(cluster.run("replay", "--into", cluster.folder / "again", "--decide", "--json"))
    assert report["findings"] == []
    assert report["unproved"] == []
    assert report["objects"] >= 250
    assert report["editions"] >= 4


def test_two_workers_while_the_store_is_away(cluster: Cluster, half: Embedded) -> None:
    """Half a minute without a store loses nothing and makes no dead letter; both workers have their share.

    Afterwards a worker with an empty disk goes on from the topics alone.
    """
    for name in "ab":
        cluster.start(name)
    for name in "ab":
        cluster.workers[name].wait_ready()
    cluster.submit(half.phases[0])
    cluster.kill_server("store")
    time.sleep(30)
    cluster.up()
    cluster.idle()
    for phase in half.phases[1:-1]:
        cluster.submit(phase)
        cluster.idle()
    assert min(shares(cluster, "decide")) >= 0.15
    assert min(shares(cluster, "issue")) >= 0.15
    for name in "ab":
        assert cluster.workers[name].stop() == 0
    cluster.start("fresh").wait_ready()
    cluster.submit(half.phases[-1])
    cluster.idle()
    agree(cluster, half.told)
    time.sleep(5)  # the status lists
    report = json.loads(cluster.run("replay", "--into", cluster.folder / "again", "--json"))
    assert report["findings"] == []


@pytest.mark.soak
def test_three_workers_through_kills_pause_and_rebalance(
    whole_cluster: Cluster,
    whole: Embedded,
    record_property: Callable[[str, object], None],
) -> None:
    """Three share the work; then eight kills of workers, broker and store, one that sleeps 30 s, others come and go."""
    cluster = whole_cluster
    for name in "abc":
        cluster.start(name)
    for name in "abc":
        cluster.workers[name].wait_ready()
    kills = Kills(cluster)
    first, *by_holder = in_portions(whole.phases[0], 5)
    cluster.submit(first)
    cluster.idle()
    assert min(shares(cluster, "decide")) >= 0.15
    assert min(shares(cluster, "issue")) >= 0.15
    cluster.submit(by_holder[0])
    kills.worker("a")
    cluster.submit(by_holder[1])
    kills.server("kafka")
    kills.worker("b")
    cluster.workers["c"].send(signal.SIGSTOP)
    cluster.submit(by_holder[2])
    kills.server("store")
    time.sleep(30)
    cluster.workers["c"].send(signal.SIGCONT)
    cluster.submit(by_holder[3])
    kills.worker("c")
    cluster.start("d").wait_ready()
    cluster.idle()
    cluster.submit(whole.phases[1])
    cluster.idle()
    cluster.submit(whole.phases[2])
    kills.worker("d")
    kills.server("kafka")
    kills.worker("a")
    assert cluster.workers["b"].stop() == 0
    cluster.idle(240)
    assert [w.name for w in cluster.workers.values() if w.process.poll() not in (None, 0)] == []
    cluster.submit(whole.phases[3])
    cluster.idle()
    record_property("told", kills.report())
    assert kills.count == 8
    assert kills.busy >= 6
    agree(cluster, whole.told)
    time.sleep(5)  # the status lists
    report = json.loads(cluster.run("replay", "--into", cluster.folder / "again", "--json"))
    assert report["findings"] == []
