"""Workers that come and go under load, and records that no client can decode: real servers, one stack for all of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import CORE, Cluster
from kafka import KafkaProducer
from story import Events, uscc

from infra.kafka import topics

pytestmark = pytest.mark.servers
STAGES = f"{CORE},issue,status,log"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    one = Cluster(tmp_path_factory.mktemp("rebalances"))
    try:
        yield one
    finally:
        one.close()


def applications(first: int, last: int) -> Events:
    events = Events()
    for n in range(first, last):
        events.apply("2018-03-01T10:00:00+08:00", f"R-{n}", uscc(n))
        events.lines[-1]["id"] = f"r-{n}"
    return events


def through_rebalances(cluster: Cluster, first: int, guests: int) -> None:
    """Let workers join and leave, gently and by kill -9 in turn, while events come in; then everything is issued."""
    steady = cluster.workers.get("steady") or cluster.start("steady", STAGES)
    steady.wait_ready()
    last = first + 12 * guests
    busy = threading.Event()

    def feed() -> None:
        for n in range(first, last, 12):
            cluster.submit(applications(n, n + 12).lines)
            busy.set()

    feeder = threading.Thread(target=feed)
    feeder.start()
    busy.wait(60)
    for n in range(guests):
        guest = cluster.start(f"guest-{first}-{n}", STAGES)
        guest.wait_ready(120)
        if n % 2:
            guest.kill()
        else:
            assert guest.stop() == 0
    feeder.join()
    cluster.idle(240)
    assert steady.process.poll() is None
    rows = [json.loads(line) for line in cluster.run("licence", "list", "--json").splitlines()]
    issued = {row["application_id"] for row in rows if row["objects"]}
    assert {f"R-{n}" for n in range(first, last)} <= issued
    logs = {worker.name: worker.log.read_text("utf-8", "replace") for worker in cluster.workers.values()}
    assert [] == [name for name, text in logs.items() if "Traceback" in text]
    assert [] == [line for text in logs.values() for line in text.splitlines() if "reads again" in line]


def test_workers_come_and_go(cluster: Cluster) -> None:
    """Six rebalances under load: no worker ends of itself, no log has a traceback, every licence is issued."""
    through_rebalances(cluster, 1, 3)


def segment(cluster: Cluster, partition: int) -> Path:
    """The file in which the broker keeps a partition of the inbox."""
    (found,) = cluster.folder.rglob(f"{topics.INBOX}-{partition}/00000000000000000000.log")
    return found


def test_records_that_cannot_be_decoded(cluster: Cluster) -> None:
    """A batch whose bytes went bad on the broker's disk becomes one dead letter; what comes behind it is decided."""
    worker = cluster.workers.get("steady") or cluster.start("steady", STAGES)
    worker.wait_ready()
    assert worker.stop() == 0
    good = applications(900, 903).lines
    producer = KafkaProducer(bootstrap_servers=cluster.connection.bootstrap, compression_type="gzip")
    lost = json.dumps({**good[0], "id": "lost", "note": "x" * 500}).encode()
    producer.send(topics.INBOX, lost, partition=2).get(30)
    file = segment(cluster, 2)
    with file.open("r+b") as log:
        log.seek(-40, 2)
        log.write(b"\xff" * 20)
    for event in good:
        producer.send(topics.INBOX, json.dumps(event).encode(), partition=2).get(30)
    producer.close()
    del cluster.workers["steady"]
    cluster.start("steady", STAGES).wait_ready()
    cluster.idle()
    states = [json.loads(cluster.run("case", "show", f"R-{n}", "--json"))["state"] for n in range(900, 903)]
    assert ["issued"] * 3 == states
    letters = [json.loads(line) for line in cluster.run("letters", "list", "--json").splitlines()]
    (letter,) = [one for one in letters if "cannot be decoded" in one["error"]]
    assert ("route", True) == (letter["place"], bool(letter["hint"]))
    assert cluster.workers["steady"].process.poll() is None


@pytest.mark.soak
def test_thirty_rebalances(cluster: Cluster) -> None:
    """Fifteen workers join and leave under load."""
    began = time.monotonic()
    through_rebalances(cluster, 1000, 15)
    assert time.monotonic() - began < 3600
