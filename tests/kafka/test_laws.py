"""The laws on the real servers: Kafka, SeaweedFS, worker processes that are killed."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import CORE, Cluster, decisions, first_difference, serials
from kafka import KafkaProducer
from scenario import Phase, phases
from story import Events, Office

from infra.kafka import topics

pytestmark = pytest.mark.servers
Told = dict[str, tuple[list[str], set[str]]]


@pytest.fixture(scope="module")
def scenario() -> list[Phase]:
    return phases(520)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, scenario: list[Phase]) -> tuple[Path, Told]:
    """The scenario through the embedded engine: its data folder, and its decisions."""
    office = Office(tmp_path_factory.mktemp("embedded"))
    office.init()
    for phase in scenario:
        story = Events()
        story.lines = phase
        office.tell(story)
    return office.data, decisions(recorded(office.data / "zhengzhao.sqlite"))


def recorded(path: Path) -> list[dict[str, Any]]:
    """The facts in a data file."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [json.loads(row[0]) for row in db.execute("SELECT fact FROM facts ORDER BY seq")]


@pytest.fixture
def cluster(tmp_path: Path, embedded: tuple[Path, Told]) -> Iterator[Cluster]:
    """A fresh stack with the keys and the secret of the embedded run."""
    one = Cluster(tmp_path, keys_of=embedded[0])
    try:
        yield one
    finally:
        one.close()


def agree(cluster: Cluster, told: Told) -> None:
    """Decisions as told; nothing lost, nothing twice, no letter; every series without gaps."""
    facts = cluster.facts()
    found = decisions(facts)
    assert found.keys() == told.keys()
    differing = [h for h in told if found[h] != told[h]]
    if differing:
        pytest.fail(f"{len(differing)} holders: {first_difference(found[differing[0]], told[differing[0]])}")
    serials(facts)
    assert [json.loads(r.value)["error"] for r in cluster.records(topics.DEAD_LETTERS)] == []


def shares(cluster: Cluster, stage: str) -> list[float]:
    """The share of each worker in what a stage handled."""
    counts = [w.metric("zhengzhao_events_total", stage) for w in cluster.workers.values()]
    return [count / sum(counts) for count in counts]


def in_other_partitions(cluster: Cluster, events: Phase) -> None:
    """Sends events as another client would: under the clear id, in a partition of its own choice."""
    producer = KafkaProducer(bootstrap_servers=cluster.connection.bootstrap, linger_ms=5)
    for n, event in enumerate(events):
        raw = json.dumps(event, ensure_ascii=True, sort_keys=True).encode()
        producer.send(topics.INBOX, raw, key=b"%d" % (n % 7), partition=n % 12)
    producer.flush()
    producer.close()


def test_one_worker_every_event_twice(
    cluster: Cluster, scenario: list[Phase], embedded: tuple[Path, Told]
) -> None:
    """Decisions are those of the embedded engine; copies under other keys change nothing; replay is byte for byte."""
    cluster.start("a").wait_ready()
    for phase in scenario:
        cluster.submit(phase)
        cluster.idle()
        in_other_partitions(cluster, phase)
        cluster.idle()
    agree(cluster, embedded[1])
    ledger = {
        record.partition for record in cluster.records(topics.LEDGER) if b'"kind":"event"' in record.value
    }
    assert len(ledger) >= 12
    time.sleep(5)  # the status lists
    assert cluster.workers["a"].stop() == 0
    report = json.loads(cluster.run("replay", "--into", cluster.folder / "again", "--decide", "--json"))
    assert report["findings"] == []
    assert report["unproved"] == []
    assert report["objects"] >= 500
    assert report["editions"] >= 4


def test_two_workers_while_the_store_is_away(
    cluster: Cluster, scenario: list[Phase], embedded: tuple[Path, Told]
) -> None:
    """A minute without a store loses nothing and makes no dead letter; both workers have their share.

    Afterwards a worker with an empty disk goes on from the topics alone.
    """
    for name in "ab":
        cluster.start(name)
    for name in "ab":
        cluster.workers[name].wait_ready()
    cluster.submit(scenario[0])
    cluster.kill_server("store")
    time.sleep(60)
    cluster.up()
    cluster.idle()
    for phase in scenario[1:-1]:
        cluster.submit(phase)
        cluster.idle()
    assert min(shares(cluster, "decide")) >= 0.15
    assert min(shares(cluster, "issue")) >= 0.15
    for name in "ab":
        assert cluster.workers[name].stop() == 0
    cluster.start("fresh", f"{CORE},issue").wait_ready()
    cluster.submit(scenario[-1])
    cluster.idle()
    agree(cluster, embedded[1])
    report = json.loads(cluster.run("replay", "--into", cluster.folder / "again", "--json"))
    assert report["findings"] == []


def test_three_workers_through_kills_pause_and_rebalance(
    cluster: Cluster, scenario: list[Phase], embedded: tuple[Path, Told]
) -> None:
    """Eight kills of workers, broker and store, a worker that sleeps 30 s, others that come and go."""
    for name in "abc":
        cluster.start(name)
    for name in "abc":
        cluster.workers[name].wait_ready()
    kills = Kills(cluster)
    by_holder = in_order(scenario[0], 4)
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
    cluster.submit(scenario[1])
    cluster.idle()
    cluster.submit(scenario[2])
    kills.worker("d")
    kills.server("kafka")
    kills.worker("a")
    assert cluster.workers["b"].stop() == 0
    cluster.idle(240)
    assert [w.name for w in cluster.workers.values() if w.process.poll() not in (None, 0)] == []
    cluster.submit(scenario[3])
    cluster.idle()
    print(kills.report())
    assert kills.count == 8
    agree(cluster, embedded[1])
    report = json.loads(cluster.run("replay", "--into", cluster.folder / "again", "--json"))
    assert report["findings"] == []


def in_order(events: Phase, parts: int) -> list[Phase]:
    """The events in portions, each holder's together: a portion may overtake another one."""
    holders: dict[str, int] = {}
    found: list[Phase] = [[] for _ in range(parts)]
    for event in events:
        data = event["data"]
        holder = data.get("holder_id") or data.get("applicant", data.get("holder"))["id"]
        found[holders.setdefault(holder, len(holders)) % parts].append(event)
    return found


class Kills:
    """Kills, and counts how often there was work in flight."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.count = self.busy = 0

    def worker(self, name: str) -> None:
        """Kills a worker and starts it anew."""
        self._note()
        self._cluster.workers[name].kill()
        self._cluster.start(name)

    def server(self, name: str) -> None:
        """Kills broker or store and brings it back."""
        self._note()
        self._cluster.kill_server(name)
        self._cluster.up()

    def report(self) -> str:
        return f"{self.count} kills, {self.busy} of them with work in flight"

    def _note(self) -> None:
        time.sleep(1)
        self.count += 1
        under_way = sum(
            w.metric("zhengzhao_lag", stage)
            for w in self._cluster.workers.values()
            if w.process.poll() is None
            for stage in ("route", "decide", "number", "issue")
        )
        self.busy += under_way > 0
