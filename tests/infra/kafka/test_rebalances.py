"""Workers that come and go under load, and records that no client can decode.

Real servers, one stack for all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster
from kafka import KafkaProducer
from laws import STAGES, applications, through_rebalances

from infra.kafka import topics

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    one = Cluster(tmp_path_factory.mktemp("rebalances"))
    try:
        yield one
    finally:
        one.close()


def test_workers_come_and_go(cluster: Cluster) -> None:
    """Six rebalances under load: no worker ends of itself, no log has a traceback, every licence is issued.

    `python -m tests.soak --rebalances 30` is the long form.
    """
    through_rebalances(cluster, 1, 3)


def segment(cluster: Cluster, partition: int, topic: str = topics.INBOX) -> Path:
    """The file in which the broker keeps a partition."""
    (found,) = cluster.folder.rglob(f"{topic}-{partition}/00000000000000000000.log")
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
