"""Visits of drawn targets and their publication on the Kafka engine, as on one machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster

from tests.infra.draw.conftest import Office

pytestmark = pytest.mark.servers


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    one = Cluster(tmp_path)
    try:
        yield one
    finally:
        one.close()


def test_visits_and_results_on_kafka(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drawn target's visit is recorded, a stranger's is refused, and a late publication stays late, decided by a worker."""
    cluster.start("a")
    for name in ("ZHENGZHAO_BROKER", "ZHENGZHAO_STORE"):
        monkeypatch.setenv(name, cluster.env[name])
    office = Office(cluster.folder, capsys, cluster.data)
    transcript = office.draw()
    drawn = json.loads(transcript.read_bytes())
    first, second = drawn["assignments"][:2]
    said = office.ok(
        "inspect", "record", transcript, "--target", first["target"], "--result", "未发现问题", "--passed",
        "--at", "2018-05-02T10:00:00+08:00", "--event-only",
    )  # fmt: skip
    event: dict[str, Any] = json.loads(said)
    stranger = next(i["id"] for i in office.inspectors if i["id"] not in second["inspectors"])
    other = event["data"] | {"inspection_id": "X", "target": second["target"]}
    other["inspectors"] = [{"id": i, "department": "d0"} for i in (second["inspectors"][0], stranger)]
    cluster.workers["a"].wait_ready()
    cluster.submit([event, event | {"id": "X", "data": other}])
    cluster.idle()
    rows = [json.loads(line) for line in office.ok("inspect", "list", transcript, "--json").splitlines()]
    assert {first["target"]} == {row["target"] for row in rows if row["state"] == "done"}
    (refused,) = json.loads(office.ok("holder", "show", second["target"], "--json"))["refused"]
    assert stranger in refused["reason"]
    words = ["inspect", "publish", transcript, "--register", office.path("R.csv"), "-o", office.path("out")]
    answer = json.loads(office.ok(*words, "--at", "2018-06-04T09:00:00+08:00", "--json"))
    cluster.idle()
    again = json.loads(office.ok(*words, "--at", "2018-08-01T09:00:00+08:00", "--json"))
    assert (1, 1, [], 1) == (answer["published"], answer["late"], again["events"], again["late"])
