"""The real servers for tests: a stack of its own in a folder, workers as processes, and what they led to."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from story import COMMAND, ROOT, Events, Office

from infra.bootstrap import Installation
from infra.kafka import topics
from infra.kafka.connection import Connection, parse
from infra.kafka.progress import wait_until_idle
from infra.kafka.records import Reader
from infra.settings import allow_past, load
from infra.stack import local
from infra.stack.processes import running

CORE = "route,decide,number"


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody has."""
    # below those that the system gives out
    for first in range(20000 + os.getpid() * 40 % 11000, 32700, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


class Worker:
    """A worker process and what it tells about itself."""

    def __init__(self, cluster: Cluster, name: str, stages: str, *more: str) -> None:
        self.name, self.port = name, cluster.next_port()
        self.log = cluster.folder / f"worker-{name}.log"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*COMMAND, "worker", "--stages", stages, "--name", name, "--http", f"127.0.0.1:{self.port}", *more],
                env=cluster.env, cwd=cluster.folder, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def get(self, path: str) -> tuple[int, str]:
        """What its page answers; (0, "") where nobody does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self, seconds: float = 60) -> Worker:
        deadline = time.monotonic() + seconds
        while self.get("/ready")[0] != 200:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, (self.name, self.get("/ready"), self.log.read_text()[-3000:])
            time.sleep(0.3)
        return self

    def metric(self, name: str, stage: str) -> int:
        """A counter of a stage."""
        found = re.search(
            rf'^{name}{{(?:outcome="done",)?stage="{stage}"}} (\S+)$', self.get("/metrics")[1], re.MULTILINE
        )
        return int(float(found[1])) if found else 0

    def send(self, number: int) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ends it gently; the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Cluster:
    """A stack, a data folder with keys, and workers."""

    def __init__(self, folder: Path, keys_of: Path | None = None) -> None:
        self.folder = folder
        self.office = Office(folder)
        self.data = self.office.data
        if keys_of is None:
            self.office.init()
        else:
            for part in ("keys", "trust", "secret"):
                shutil.copytree(keys_of / part, self.data / part)
            allow_past(self.data)
        self.first = free_ports(40)
        self._ports = itertools.cycle(range(self.first + 10, self.first + 40))
        self.stack = self.up()
        self.env = {
            **os.environ, "ZHENGZHAO_BROKER": self.stack.broker, "ZHENGZHAO_STORE": self.stack.store,
            "ZHENGZHAO_DATA": str(self.data), "PYTHONPATH": str(ROOT), "ZHENGZHAO_WORKERS": "1",
        }  # fmt: skip
        self.settings = load(self.data, self.env)
        self.workers: dict[str, Worker] = {}

    def next_port(self) -> int:
        """A port that no other living worker of this cluster has."""
        return next(self._ports)

    def up(self) -> local.Stack:
        """Starts what does not run; also brings back what was killed."""
        return local.up(self.folder, kafka_port=self.first, s3_port=self.first + 2)

    def kill_server(self, name: str) -> None:
        """Kills the broker (`kafka`) or the `store` as a power cut would."""
        server = running(self.folder / "stack", name)
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        while running(self.folder / "stack", name):
            time.sleep(0.05)

    @property
    def connection(self) -> Connection:
        return parse(self.stack.broker)

    def start(self, name: str, stages: str = f"{CORE},issue,status,log", *more: str) -> Worker:
        self.workers[name] = Worker(self, name, stages, *more)
        return self.workers[name]

    def submit(self, events: list[dict[str, Any]]) -> None:
        """Through the command, as anybody would."""
        story = Events()
        story.lines = events
        path = self.folder / "events.jsonl"
        path.write_text(story.text())
        answer = json.loads(self.run("submit", path, "--json"))
        assert answer["rejected"] == []

    def run(self, *args: str | Path, code: int | None = 0) -> str:
        return self.office.run(*args, code=code, env=self.env)

    def idle(self, seconds: float = 120) -> None:
        """Waits until nothing is under way."""
        with Installation(self.settings) as installation:
            wait_until_idle(installation, seconds=seconds)

    def records(self, topic: str) -> list[Any]:
        """Everything in a topic."""
        found = []
        with Reader(self.connection, [topic]) as reader:
            reader.seek({})
            for records in reader.up_to(reader.ends()):
                found += records
        return found

    def facts(self) -> list[dict[str, Any]]:
        """Every fact once, in the order of its partition."""
        found: dict[str, dict[str, Any]] = {}
        for record in self.records(topics.FACTS):
            for fact in json.loads(record.value):
                assert found.setdefault(fact["id"], fact) == fact, "one id, two facts"
        return list(found.values())

    def close(self) -> None:
        for worker in self.workers.values():
            if worker.process.poll() is None:
                worker.send(signal.SIGCONT)
                worker.kill()
        for name in ("kafka", "store"):
            if running(self.folder / "stack", name):
                self.kill_server(name)
        local.down(self.folder)


def decisions(facts: list[dict[str, Any]]) -> dict[str, tuple[list[str], set[str]]]:
    """Holder → facts in order without what follows the order of arrival in a series; and what came back, as a set.

    In the place of a number stands its licence; sealed texts and moments of receipt are of one installation each.
    """
    numbers: dict[str, dict[str, str]] = defaultdict(dict)
    for fact in facts:
        if fact["body"]["type"] == "licence.numbered":
            numbers[fact["holder"]][fact["body"]["number"]] = fact["body"]["licence"]
    order: dict[str, list[str]] = defaultdict(list)
    back: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        body, holder = fact["body"], fact["holder"]
        if body["type"] == "licence.numbered":
            back[holder].add(f"numbered {body['licence']} {body['version']}")
        elif body["type"] == "licence.issued":
            back[holder].add(f"issued {body['issued']['licence_id']} {body['issued']['version']}")
        elif body["type"] not in (
            "event.waits",
            "event.released",
        ):  # who comes after an answer need not wait for it
            if holder.startswith("p:"):
                body.pop("content", None)  # a digest of sealed texts
            if body["type"] in ("licence.granted", "licence.imported") and body.get("told"):
                assert body.pop("received")  # what an event led to names the moment of its receipt
            text = re.sub(
                r"(?:sealed|evidence):[\w-]+", "sealed", json.dumps(fact, ensure_ascii=False, sort_keys=True)
            )
            for number, licence in numbers[holder].items():
                text = text.replace(number, licence)
            order[holder].append(text)
    return {holder: (order[holder], back[holder]) for holder in order.keys() | back.keys()}


def first_difference(found: Any, told: Any) -> str:
    """Of two tellings of one holder, where they part."""
    for a, b in zip(found[0], told[0], strict=False):
        if a != b:
            return f"found {a}\n told {b}"
    more, less = found[0][len(told[0]) :], told[0][len(found[0]) :]
    return f"too many {more} {found[1] - told[1]}; missing {less} {told[1] - found[1]}"


def serials(facts: list[dict[str, Any]]) -> None:
    """Asserts: no number for two licences, no gap in any series, no place in a list twice."""
    given: dict[str, str] = {}
    series: dict[str, set[int]] = defaultdict(set)
    places: Counter[tuple[str, int]] = Counter()
    for fact in facts:
        body = fact["body"]
        if body["type"] == "licence.numbered":
            assert given.setdefault(body["number"], body["licence"]) == body["licence"]
            places[body["status_list"], body["status_index"]] += 1
            if not body["number"].startswith("XK99"):
                series[body["number"][:-5]].add(int(body["number"][-5:]))
    assert [place for place, count in places.items() if count > 1] == []
    assert len(series) >= 4
    for name, found in series.items():
        assert found == set(range(1, len(found) + 1)), name
