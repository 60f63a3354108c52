"""Workers that come and go under load, records that no client can decode, wrong clocks, a ledger written anew.

Real servers, one stack for all of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cluster import CORE, Cluster, Worker
from kafka import KafkaProducer
from kafka.record.util import calc_crc32c
from laws import STAGES, applications, through_rebalances
from story import PROVINCE, Events, uscc

from infra.kafka import topics
from schemas.ledger import partition_of

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    one = Cluster(tmp_path_factory.mktemp("rebalances"))
    try:
        yield one
    finally:
        one.close()


def test_workers_come_and_go(cluster: Cluster) -> None:
    """Four rebalances under load: no worker ends of itself, no log has a traceback, every licence is issued.

    `python -m tests.soak --rebalances 30` is the long form.
    """
    through_rebalances(cluster, 1, 2)


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


def restarted(cluster: Cluster, stages: str = STAGES, **env: str) -> Worker:
    """End the steady worker, and start it anew with these stages and further settings."""
    if (worker := cluster.workers.get("steady")) is not None:
        assert worker.stop() == 0
    cluster.env.update(env)
    try:
        return cluster.start("steady", stages).wait_ready(120)
    finally:
        for name in env:
            del cluster.env[name]


def state(cluster: Cluster, application_id: str) -> str:
    return str(json.loads(cluster.run("case", "show", application_id, "--json"))["state"])


def statuses(cluster: Cluster) -> set[str]:
    rows = cluster.run("licence", "list", "--json").splitlines()
    return {json.loads(row)["status"] for row in rows}


def test_the_operator_takes_a_wrong_tick_back(cluster: Cluster) -> None:
    """A lapsed case is open again; once a list says expired, that is named, and nothing is taken back."""
    restarted(cluster, f"{CORE},issue")  # without status lists
    told = applications(950, 951)
    told.lines[0]["data"]["materials"] = [{"kind": "application-form"}]
    cluster.submit(told.lines)
    cluster.idle()
    right = ("tick", "--correct", "2018-03-02T00:00:00+08:00", "--reason", "时钟错误", "--json")
    cluster.run("tick", "--at", "2022-03-01T00:00:00+08:00", code=2)
    assert "--confirm" in cluster.office.err
    cluster.run("tick", "--at", "2022-03-01T00:00:00+08:00", "--confirm")
    cluster.idle()
    assert ("lapsed", {"valid"}) == (state(cluster, "R-950"), statuses(cluster))
    said = json.loads(cluster.run(*right))
    assert (True, []) == (said["corrected"], said["irrevocable"])
    cluster.idle()
    assert "correction-requested" == state(cluster, "R-950")
    restarted(cluster)
    cluster.run("tick", "--at", "2024-03-01T00:00:00+08:00", "--confirm")
    cluster.idle()
    time.sleep(3)  # status lists
    said = json.loads(cluster.run(*right, code=1))
    assert (False, True) == (said["corrected"], any("status list" in line for line in said["irrevocable"]))
    assert {"expired"} == statuses(cluster)


def test_a_tick_of_somebody_else_is_bounded(cluster: Cluster) -> None:
    """Whoever may write to the inbox tells no time that lies a day past the last one decided; the operator may."""
    restarted(cluster, ZHENGZHAO_BACKDATE_DAYS="30")
    told = applications(960, 961)
    before = datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)
    told.lines[0]["time"] = before.isoformat()
    told.lines[0]["data"]["materials"] = [{"kind": "application-form"}]
    cluster.submit(told.lines)
    cluster.idle()
    assert "correction-requested" == state(cluster, "R-960")
    letters = len(cluster.run("letters", "list", "--json").splitlines())
    producer = KafkaProducer(bootstrap_servers=cluster.connection.bootstrap)
    moments = [before + timedelta(days=2), datetime.now(UTC), datetime.now(UTC) + timedelta(days=2000)]
    for n, moment in enumerate((before + timedelta(hours=20), *moments)):
        clock = "urn:agency:630000:clock"
        tick = Events().add("clock.ticked", moment.isoformat(), {}, clock, id=f"foreign-{n}")
        producer.send(topics.INBOX, json.dumps(tick).encode(), partition=n).get(30)
    producer.close()
    cluster.idle()
    found = [json.loads(line) for line in cluster.run("letters", "list", "--json").splitlines()]
    refused = [letter for letter in found if "--confirm" in letter["hint"]]
    assert (letters + 3, ["route", "route"]) == (len(found), [letter["place"] for letter in refused])
    assert "correction-requested" == state(cluster, "R-960")
    ticks = [
        r for r in map(json.loads, (r.value for r in cluster.records(topics.LEDGER))) if "tick" in r["id"]
    ]
    assert before + timedelta(hours=20) >= max(datetime.fromisoformat(t["payload"]["time"]) for t in ticks)


def rewritten(file: Path, old: bytes, new: bytes) -> None:
    """Change bytes in a partition's file as one who holds the broker's disk can: its checksum is right again."""
    raw = bytearray(file.read_bytes())
    start = 0
    while start < len(raw):
        end = start + 12 + int.from_bytes(raw[start + 8 : start + 12])
        if old in (batch := raw[start:end]):
            batch = batch.replace(old, new, 1)
            batch[17:21] = calc_crc32c(bytes(batch[21:])).to_bytes(4)
            with file.open("r+b") as log:
                log.seek(start)
                log.write(batch)
            return
        start = end
    raise AssertionError(f"{old!r} is not in {file}")


def test_a_ledger_that_was_written_anew_is_noticed(cluster: Cluster) -> None:
    """A changed principal, with a checksum that is right, and the digest that a proof signs: `replay --proofs` names both."""
    cluster.run("agency", "keygen", "-o", "key.pem")
    cluster.run("agency", "add", PROVINCE, "key.pub.pem")
    path = cluster.folder / "signed.jsonl"
    signed = applications(970, 972)
    path.write_text(signed.text())
    restarted(cluster)
    cluster.run("submit", path, "--sign", "key.pem")
    cluster.idle()
    time.sleep(3)  # log and lists
    report = json.loads(cluster.run("replay", "--into", cluster.folder / "good", "--proofs", "--json"))
    assert ([], 2) == (report["findings"], report["proofs"])
    entries = {
        r["payload"]["id"]: r
        for r in map(json.loads, (r.value for r in cluster.records(topics.LEDGER)))
        if r.get("payload", {}).get("id") in ("r-970", "r-971")
    }
    for n, (old, new) in (
        (970, (f'"principal":"{PROVINCE}"', f'"principal":"{PROVINCE[:-1]}m"')),
        (971, (entries["r-971"]["payload"]["signed"], "0" * 64)),
    ):
        rewritten(segment(cluster, partition_of(uscc(n)), topics.LEDGER), old.encode(), new.encode())
    report = json.loads(cluster.run("replay", "--into", cluster.folder / "bad", "--proofs", "--json", code=1))
    assert {"ledger", "proof"} == {finding["what"] for finding in report["findings"]}
    assert {f"{topics.LEDGER}[{partition_of(uscc(n))}]" for n in (970, 971)} == {
        finding["subject"].split()[0] for finding in report["findings"] if finding["what"] == "ledger"
    }
