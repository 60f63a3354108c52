"""What the law tests and the soak share: the unbroken run, the comparison, the kills."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

from cluster import CORE, Cluster, decisions, first_difference, serials
from kafka import KafkaProducer
from scenario import Phase
from story import Events, Office, uscc

from infra.kafka import topics
from infra.kafka.progress import Backlog

CODECS = (None, "gzip", "snappy", "lz4", "zstd")
STAGES = f"{CORE},issue,status,log"
Told = dict[str, tuple[list[str], set[str]]]


def unbroken(office: Office, scenario: list[Phase]) -> Told:
    """The scenario through the embedded engine, phase by phase."""
    office.init()
    for phase in scenario:
        story = Events()
        story.lines = phase
        office.tell(story)
    with contextlib.closing(sqlite3.connect(office.data / "zhengzhao.sqlite")) as db:
        return decisions([json.loads(row[0]) for row in db.execute("SELECT fact FROM facts ORDER BY seq")])


def agree(cluster: Cluster, told: Told) -> None:
    """Decisions as told; nothing lost, nothing twice, no letter; every series without gaps."""
    facts = cluster.facts()
    found = decisions(facts)
    assert found.keys() == told.keys()
    differing = [h for h in told if found[h] != told[h]]
    if differing:
        raise AssertionError(
            f"{len(differing)} holders: {first_difference(found[differing[0]], told[differing[0]])}"
        )
    serials(facts)
    assert [json.loads(r.value)["error"] for r in cluster.records(topics.DEAD_LETTERS)] == []


def shares(cluster: Cluster, stage: str) -> list[float]:
    """The share of each worker in what a stage handled."""
    counts = [w.metric("zhengzhao_events_total", stage) for w in cluster.workers.values()]
    return [count / sum(counts) for count in counts]


def in_other_partitions(cluster: Cluster, events: Phase) -> None:
    """Sends events as other clients would: keys and partitions of their own choice, compressed or not."""
    for part, codec in enumerate(CODECS):
        producer = KafkaProducer(
            bootstrap_servers=cluster.connection.bootstrap, linger_ms=5, compression_type=codec
        )
        for n, event in list(enumerate(events))[part :: len(CODECS)]:
            raw = json.dumps(event, ensure_ascii=True, sort_keys=True).encode()
            producer.send(topics.INBOX, raw, key=b"%d" % (n % 7), partition=n % 12)
        producer.flush()
        producer.close()


def in_portions(events: Phase, parts: int) -> list[Phase]:
    """The events in portions, each holder's together: a portion may overtake another one."""
    holders: dict[str, int] = {}
    found: list[Phase] = [[] for _ in range(parts)]
    for event in events:
        data: Any = event["data"]
        holder = data.get("holder_id") or data.get("applicant", data.get("holder"))["id"]
        found[holders.setdefault(holder, len(holders)) % parts].append(event)
    return found


class Kills:
    """Kills, and counts them by kind and what was in flight."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.kinds = {"worker": 0, "kafka": 0, "store": 0}
        self.in_flight: list[int] = []  # at each kill: inputs under way, and waiting in a topic

    @property
    def count(self) -> int:
        return sum(self.kinds.values())

    @property
    def busy(self) -> int:
        """Kills with work in flight."""
        return sum(count > 0 for count in self.in_flight)

    def worker(self, name: str) -> None:
        """Kills a worker and starts it anew."""
        self._note("worker")
        self._cluster.workers[name].kill()
        self._cluster.start(name)

    def server(self, name: str) -> None:
        """Kills broker or store and brings it back."""
        self._note(name)
        self._cluster.kill_server(name)
        self._cluster.up()

    def report(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.kinds.items())
        return f"{self.count} kills ({kinds}), {self.busy} of them with work in flight: {self.in_flight}"

    def _note(self, kind: str) -> None:
        self.kinds[kind] += 1
        self.in_flight.append(self._waiting())

    def _waiting(self) -> int:
        """Inputs that no stage has committed yet, as the broker tells."""
        backlog = Backlog(self._cluster.connection)
        try:
            return sum(backlog.lags(backlog.ends()).values())
        finally:
            backlog.close()


def folder_of(path: Path) -> Office:
    """An office in a folder of its own."""
    path.mkdir(parents=True, exist_ok=True)
    return Office(path)


def applications(first: int, last: int) -> Events:
    """An application of each holder with a number from `first` to before `last`."""
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
