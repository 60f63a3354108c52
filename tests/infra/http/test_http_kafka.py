"""The service on Kafka: several at once, whose word counts, and a broker that goes away and comes back."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.kafka import to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cluster import Cluster
from event_samples import event, raw
from kafka import KafkaProducer
from starlette.testclient import TestClient
from story import COMMAND, PROVINCE, ROOT, Events, uscc

from infra.http.service import service
from infra.kafka.inbox import ATTESTED
from infra.kafka.topics import INBOX
from infra.settings import Settings
from schemas.errors import UsageError
from tests.infra.http.conftest import beside
from tests.infra.http.test_http import BATCH, HERE, STRUCTURED, until, wait_for

pytestmark = pytest.mark.servers
AT = "2018-09-10T09:12:00+08:00"


def application(case: str, n: int) -> dict[str, Any]:
    told = Events()
    return {**told.apply(AT, case, uscc(n)), "id": f"event-{case}"}


def test_without_a_store_it_is_wrong_use(tmp_path: Path) -> None:
    """As for a worker: objects have to lie where all find them."""
    with pytest.raises(UsageError) as refused, service(Settings(tmp_path, broker="kafka://127.0.0.1:9")):
        pass
    assert "ZHENGZHAO_STORE" in refused.value.hint


def test_two_services_answer_alike(cluster: Cluster, tmp_path: Path) -> None:
    """What one took in the other shows; an event sent to both is decided once."""
    with (
        service(beside(cluster, tmp_path / "a")) as one,
        service(beside(cluster, tmp_path / "b")) as other,
        TestClient(one.app(), base_url=HERE) as first,
        TestClient(other.app(), base_url=HERE) as second,
    ):
        until(lambda: (200, 200) == (first.get("/readyz").status_code, second.get("/readyz").status_code))
        batch = raw([application("K-1", 201), application("K-2", 202)])
        for client in (first, second):
            assert client.post("/v1/events", content=batch, headers=BATCH).status_code == 202
        wait_for(second, "K-1", "issued")
        wait_for(first, "K-2", "issued")
        for client in (first, second):
            holder = client.get(f"/v1/holders/{uscc(201)}").json()
            assert (1, []) == (len(holder["licences"]), holder["refused"])
        for client in (first, second):
            figures = client.get("/metrics").text
            assert 'zhengzhao_events_total{outcome="accepted",stage="door"} 2.0' in figures
            assert 'zhengzhao_lag{stage="project"}' in figures
        uploaded = first.post("/v1/materials", content=b"a plan").json()
        assert uploaded == second.post("/v1/materials", content=b"a plan").json()


def test_a_sender_is_known_by_what_the_service_attests(cluster: Cluster, tmp_path: Path) -> None:
    """A token that the service saw stands in the case; the same said by anybody who writes to the inbox does not."""
    settings = beside(cluster, tmp_path / "data")
    with service(settings) as built, TestClient(built.app(), base_url=HERE) as client:
        secret, _ = built.tokens.make("agency", PROVINCE, PROVINCE, datetime.now(UTC), None)
        token = {"Authorization": f"Bearer {secret}"}
        sent = client.post(
            "/v1/events", content=raw(application("K-3", 203)), headers={**STRUCTURED, **token}
        )
        assert sent.status_code == 202
        producer = KafkaProducer(bootstrap_servers=cluster.connection.bootstrap)
        said = [(ATTESTED, b"token:" + b"0" * 64)]
        producer.send(INBOX, raw(application("K-4", 204)), headers=said).get(30)
        producer.close()

        def auth(case: str) -> str:
            answer = client.get(f"/v1/cases/{case}", headers=token)
            return str(answer.json().get("auth", ""))

        until(lambda: bool(auth("K-3") and auth("K-4")))
        assert ("token", "none") == (auth("K-3"), auth("K-4"))


def test_records_in_binary_mode(cluster: Cluster, tmp_path: Path) -> None:
    """Made by another author's library; a broken one is a dead letter that returns whole."""
    settings = beside(cluster, tmp_path / "data")
    producer = KafkaProducer(bootstrap_servers=cluster.connection.bootstrap)
    for case, n, left in (("K-7", 207, ""), ("K-8", 208, "type")):
        told = application(case, n)
        attributes = {k: v for k, v in told.items() if k not in ("data", left)}
        attributes["time"] = datetime.fromisoformat(told["time"])
        message = to_binary(
            CloudEvent({**attributes, "type": attributes.get("type", "x")}, told["data"]), JSONFormat()
        )
        headers = [(name, text) for name, text in message.headers.items() if name != f"ce_{left}"]
        producer.send(INBOX, message.value, headers=headers).get(30)
    producer.close()
    with service(settings) as built, TestClient(built.app(), base_url=HERE) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        wait_for(client, "K-7", "issued")
    cluster.idle()
    letters = [json.loads(line) for line in cluster.run("letters", "list", "--json").splitlines()]
    (letter,) = [row for row in letters if row["place"] == "route"]
    kept = json.loads(cluster.run("letters", "show", str(letter["letter"])))
    assert ("event-K-8", application("K-8", 208)["data"]) == (kept["id"], kept["data"])


@contextmanager
def running(cluster: Cluster, data: Path, port: int = 0) -> Iterator[httpx.Client]:
    """`zhengzhao run` as a process of its own; it ends with 0 and shows no traceback."""
    beside(cluster, data)
    process = subprocess.Popen(
        [*COMMAND, "run", "--port", str(port), "--json"], env={**cluster.env, "ZHENGZHAO_DATA": str(data)}, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        with httpx.Client(base_url=json.loads(process.stdout.readline())["url"], timeout=60) as client:
            yield client
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        _, said = process.communicate()
    assert b"Traceback" not in said, said.decode()


def test_a_broker_that_is_away_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """503 with the time to wait; queries go on; when it is back the same is sent again and counts once."""
    with running(cluster, tmp_path / "data") as client:
        until(lambda: client.get("/readyz").status_code == 200)
        first = raw(application("K-5", 205))
        assert client.post("/v1/events", content=first, headers=STRUCTURED).status_code == 202
        until(lambda: client.get("/v1/cases/K-5").json().get("state") == "issued")
        cluster.kill_server("kafka")
        late = raw([application("K-6", 206), application("K-5", 205), event(id="bad", type="no.such")])
        began = time.monotonic()
        refused = client.post("/v1/events", content=late, headers=BATCH)
        assert (503, True) == (refused.status_code, int(refused.headers["Retry-After"]) > 0)
        assert time.monotonic() - began < 25
        assert client.get("/v1/cases/K-5").json()["state"] == "issued"
        assert client.get("/livez").status_code == 200
        until(lambda: client.get("/healthz").status_code == 503)
        with running(cluster, tmp_path / "later") as started:
            assert (503, 200) == (started.get("/readyz").status_code, started.get("/livez").status_code)
            unknown = started.get("/v1/cases/K-5")
            assert (503, True) == (unknown.status_code, int(unknown.headers["Retry-After"]) > 0)
            cluster.up()
            until(lambda: client.post("/v1/events", content=late, headers=BATCH).status_code == 207)
            until(lambda: started.get("/readyz").status_code == 200)
            until(lambda: started.get("/v1/cases/K-6").json().get("state") == "issued")
        until(lambda: client.get("/healthz").status_code == 200)
        rows = [client.get(f"/v1/holders/{uscc(n)}").json() for n in (205, 206)]
        assert [(1, []), (1, [])] == [(len(row["licences"]), row["refused"]) for row in rows]
