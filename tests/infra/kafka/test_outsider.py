"""The walk of docs/operations.md, by somebody who knows only the command, Kafka's usual client, and S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster
from confluent_kafka import Producer
from minio import Minio
from story import Events, uscc

from infra.stack import local

pytestmark = pytest.mark.servers
LICENCES = 60


class ByCommand(Cluster):
    """A stack that `zhengzhao stack up` starts."""

    def up(self) -> local.Stack:
        ports = ["--kafka-port", str(self.first), "--s3-port", str(self.first + 2)]
        said = json.loads(self.office.run("stack", "up", *ports, "--data", self.folder, "--json"))
        found = local.status(self.folder)
        assert found is not None
        assert said == {"ZHENGZHAO_BROKER": found.broker, "ZHENGZHAO_STORE": found.store}
        return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    one = ByCommand(tmp_path)
    try:
        yield one
    finally:
        one.close()


def test_every_licence_is_found_in_s3_and_verifies(cluster: Cluster) -> None:
    """librdkafka's own partitioner, one of two workers killed in the middle: each application is a licence in S3."""
    for name in "ab":
        cluster.start(name)
    for name in "ab":
        cluster.workers[name].wait_ready()
    events = Events()
    for n in range(1, LICENCES + 1):
        events.apply("2018-03-01T10:00:00+08:00", f"N-{n}", uscc(n))
    producer = Producer({"bootstrap.servers": cluster.connection.bootstrap})
    for n, event in enumerate(events.lines):
        producer.produce("zhengzhao.inbox", json.dumps(event).encode(), key=event["data"]["applicant"]["id"])
        if n == LICENCES // 2:
            producer.flush()
            cluster.workers["a"].kill()
    assert producer.flush(60) == 0
    cluster.run("drain")
    login, _, place = cluster.stack.store.removeprefix("s3://").rpartition("@")
    endpoint, _, bucket = place.partition("/")
    key, _, secret = login.partition(":")
    store = Minio(endpoint, access_key=key, secret_key=secret, secure=False)
    files = []
    for n, found in enumerate(store.list_objects(bucket, prefix="licences/", recursive=True)):
        files.append(cluster.folder / f"{n}.pdf")
        store.fget_object(bucket, str(found.object_name), str(files[-1]))
    said = cluster.run("verify", *files, "--at", "2018-03-01T12:00:00+08:00", "--json", code=None)
    verdicts = [json.loads(line) for line in said.splitlines()]
    assert [verdict["genuine"] for verdict in verdicts] == [True] * LICENCES
    rows = [json.loads(line) for line in cluster.run("licence", "list", "--json").splitlines()]
    assert {row["number"] for row in rows} == {verdict["licence"]["number"] for verdict in verdicts}
    assert {row["application_id"] for row in rows} == {f"N-{n}" for n in range(1, LICENCES + 1)}
