"""Figures of the Kafka engine on this machine: a stack and workers of its own, thrown away afterwards.

Throughput with one and two workers, latency from handing an event over until its licence is stored at half that
load, what one licence costs in CPU, messages and bytes, and the embedded engine in the same run.

Holds processes to a share of a core, so that one machine can show what several of them would do.

A worker that has used more than its share of the time so far is stopped until it has not; its issuing processes count
as its own. Broker and store are not held.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psutil

from infra.bench.licences import embedded_run, lines
from infra.bootstrap import Installation
from infra.kafka import topics
from infra.kafka.connection import Connection, parse
from infra.kafka.progress import wait_until_idle
from infra.kafka.publisher import Publisher
from infra.kafka.records import Reader
from infra.pool import cores
from infra.settings import Settings, allow_past, load
from infra.stack import local
from issuance.certificates import longest_validity, roles_of
from issuance.keys import Lifetime, init
from schemas.calendar import CHINA
from schemas.errors import TransientError
from schemas.events import parse_event
from schemas.ledger import IssuedEntry, decode_entry

T = TypeVar("T")
_STEP = 0.02
_AHEAD = 0.05  # seconds of CPU that may be used in advance


class CpuShare:
    """Inside the block each of these processes, with its children, uses at most `share` of one core."""

    def __init__(self, pids: Sequence[int], share: float) -> None:
        self._share = share
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._hold, args=(pid,), daemon=True) for pid in pids]

    def __enter__(self) -> CpuShare:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _hold(self, pid: int) -> None:
        begun, before = time.monotonic(), used(pid)
        stopped = False
        while not self._ended.wait(_STEP):
            over = used(pid) - before > self._share * (time.monotonic() - begun) + _AHEAD
            if over != stopped:
                stopped = over
                _tell(pid, signal.SIGSTOP if stopped else signal.SIGCONT)
        _tell(pid, signal.SIGCONT)


def used(pid: int) -> float:
    """CPU seconds that a process and its children have used so far."""
    return sum(_of_family(pid, lambda process: float(sum(process.cpu_times()[:2]))))


def _tell(pid: int, number: signal.Signals) -> None:
    _of_family(pid, lambda process: process.send_signal(number))


def _of_family(pid: int, act: Callable[[psutil.Process], T]) -> list[T]:
    found: list[T] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(act(one))
    return found


_STAGES = ("route", "decide", "number", "issue")
_LATENCY_SECONDS = 20
_READY_SECONDS = 90
_ISSUING = 2  # issuing processes a core: each waits for the store a good part of its time

Say = Callable[[str], None]


def bench_shared(licences: int, share: float, say: Say = lambda _: None) -> dict[str, Any]:
    """Licences a second with one and with two workers, each held to `share` of a core; broker and store are not."""
    result: dict[str, Any] = {"share_of_a_core_for_each_worker": share}
    for workers in (1, 2):
        say(f"Kafka, {workers} worker{'s' if workers > 1 else ''} with {share} of a core each")
        with _folder() as folder:
            result[f"kafka_{workers}"] = _Run(folder, workers, share).measure(licences, say)
    return {**result, "two_workers_to_one": _ratio(result)}


def _ratio(result: dict[str, Any]) -> float:
    one, two = (float(result[f"kafka_{n}"]["licences_per_second"]) for n in (1, 2))
    return round(two / one, 2)


def bench_kafka(licences: int, say: Say = lambda _: None) -> dict[str, Any]:
    """Measure with `licences` applications for each number of workers."""
    say("embedded")
    with _folder() as folder:
        result: dict[str, Any] = {"embedded": embedded_run(_data(folder), licences)}
    for workers in (1, 2):
        say(f"Kafka, {workers} worker{'s' if workers > 1 else ''}")
        with _folder() as folder:
            result[f"kafka_{workers}"] = _Run(folder, workers).measure(licences, say)
    return {**result, "two_workers_to_one": _ratio(result)}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="zhengzhao-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _data(folder: Path) -> Settings:
    settings = Settings(folder / "data")
    catalogue = Installation(settings).catalogue
    life = Lifetime(datetime(2018, 1, 1, tzinfo=CHINA), longest_validity(catalogue))
    init(settings.data, roles_of(catalogue), life, now=datetime.now(UTC), passphrase=None)
    allow_past(settings.data)
    return settings


class _Run:
    """A stack with some workers."""

    def __init__(self, folder: Path, workers: int, share: float = 0.0) -> None:
        self._folder = folder
        self._share = share  # of a core, for each worker; 0: as much as there is
        self._workers = workers
        self._processes: list[tuple[subprocess.Popen[bytes], int]] = []

    def measure(self, licences: int, say: Say) -> dict[str, Any]:
        data = _data(self._folder).data
        first = _free_ports(10 + self._workers)
        stack = local.up(self._folder, kafka_port=first, s3_port=first + 2)
        try:
            env = {
                **os.environ, "ZHENGZHAO_BROKER": stack.broker, "ZHENGZHAO_STORE": stack.store,
                "ZHENGZHAO_DATA": str(data), "ZHENGZHAO_WORKERS": str(max(1, _ISSUING * cores() // self._workers)),
            }  # fmt: skip
            for n in range(self._workers):
                self._start(f"w{n}", first + 10 + n, env)
            settings, connection = load(data, env), parse(stack.broker)
            self._warm_up(settings, connection)
            before, spent = _messages(connection), self._cpu(stack)
            started = time.time()
            with self._held():
                sent = self._send(connection, 200, 200 + licences, None)
                wait_until_idle(Installation(settings), seconds=300)
            stored = _stored(connection, sent)
            per_second = licences / (max(stored.values()) - started)
            cost = {
                name: round((now - then) * 1000 / licences, 2)
                for (name, then), now in zip(spent.items(), self._cpu(stack).values(), strict=True)
            }
            after = _messages(connection)
            figures = {
                "licences_per_second": round(per_second, 1),
                "runs": licences,
                "cpu_ms_per_licence": cost,
            }
            if self._share:
                return figures
            say(f"{per_second:.0f} licences/s; now at half that load")
            hops = self._hops()
            latency = self._latency(settings, connection, 200 + licences, per_second / 2)
            return {
                **figures,
                "messages_per_licence": round((after - before) / licences, 1),
                "log_bytes_per_licence": round(_bytes(self._folder) / (licences + 200)),
                "hop_seconds_at_full_load": hops,
                "submit_to_stored_at_half_load": latency,
                "lag_afterwards": 0,  # `wait_until_idle` came back
            }
        finally:
            for process, _ in self._processes:
                process.terminate()
            for process, _ in self._processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(30)
            local.down(self._folder)

    def _start(self, name: str, port: int, env: dict[str, str]) -> None:
        code = "import sys; from infra.cli import main; sys.exit(main())"
        stages = "route,decide,number,issue,status"
        command = [sys.executable, "-c", code, "worker", "--stages", stages, "--name", name]
        log = (self._folder / f"{name}.log").open("wb")
        process = subprocess.Popen([*command, "--http", f"127.0.0.1:{port}"], env=env, stdout=log, stderr=log)
        self._processes.append((process, port))
        deadline = time.monotonic() + _READY_SECONDS
        while not _page(port, "/ready"):
            if process.poll() is not None or time.monotonic() > deadline:
                said = (self._folder / f"{name}.log").read_text(errors="replace")[-500:]
                raise TransientError(f"a worker did not start: {said}")
            time.sleep(0.2)

    def _held(self) -> contextlib.AbstractContextManager[object]:
        pids = [process.pid for process, _ in self._processes]
        return CpuShare(pids, self._share) if self._share else contextlib.nullcontext()

    def _warm_up(self, settings: Settings, connection: Connection) -> None:
        """Issue the licences that pay for fonts and compilers, which are not counted."""
        self._send(connection, 0, 200, None)
        wait_until_idle(Installation(settings), seconds=300)

    def _send(self, connection: Connection, first: int, end: int, rate: float | None) -> dict[str, float]:
        """Send applications (at a rate, where one is given); holder → the moment of handing over."""
        sent: dict[str, float] = {}
        start = time.monotonic()
        with Publisher(connection) as publisher:
            for n, raw in enumerate(lines(end)):
                if n < first:
                    continue
                holder = parse_event(raw, datetime.now(UTC)).holder_id or ""
                if rate is not None:
                    time.sleep(max(0.0, start + (n - first) / rate - time.monotonic()))
                sent[holder] = time.time()
                publisher.send(holder, raw)
        return sent

    def _latency(self, settings: Settings, connection: Connection, first: int, rate: float) -> dict[str, Any]:
        count = max(50, int(rate * _LATENCY_SECONDS))
        sent = self._send(connection, first, first + count, rate)
        wait_until_idle(Installation(settings), seconds=300)
        stored = _stored(connection, sent)
        took = sorted(stored[holder] - sent[holder] for holder in sent)
        at = {p: took[min(len(took) - 1, int(len(took) * p / 100))] for p in (50, 95, 99)}
        return {"rate": round(rate, 1), "runs": count, **{f"p{p}": round(v, 3) for p, v in at.items()}}

    def _hops(self) -> dict[str, float]:
        """Mean seconds from a record's time on the broker until its stage is done with it."""
        sums: dict[str, list[float]] = {stage: [0.0, 0.0] for stage in _STAGES}
        for _, port in self._processes:
            for line in _page(port, "/metrics").splitlines():
                for stage, total in sums.items():
                    for n, what in enumerate(("sum", "count")):
                        if line.startswith(f'zhengzhao_latency_seconds_{what}{{stage="{stage}"}}'):
                            total[n] += float(line.rsplit(" ", 1)[1])
        return {stage: round(total / count, 3) if count else 0.0 for stage, (total, count) in sums.items()}

    def _cpu(self, stack: local.Stack) -> dict[str, float]:
        """CPU seconds spent so far by the workers and the servers."""
        pids = {"workers": [p.pid for p, _ in self._processes]} | {s.name: [s.pid] for s in stack.servers}
        return {name: sum(map(used, found)) for name, found in pids.items()}


def _page(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def _stored(connection: Connection, wanted: dict[str, float]) -> dict[str, float]:
    """Holder → when the ledger was told that the licence is stored."""
    found: dict[str, float] = {}
    with Reader(connection, [topics.LEDGER]) as reader:
        reader.seek({})
        for records in reader.up_to(reader.ends()):
            for record in records:
                entry = decode_entry(record.value)
                if isinstance(entry, IssuedEntry) and entry.holder in wanted:
                    found.setdefault(entry.holder, record.timestamp / 1000)
    return found


def _messages(connection: Connection) -> int:
    names = [topic.name for topic in topics.TOPICS]
    with Reader(connection, names) as reader:
        return sum(reader.ends().values())


def _bytes(folder: Path) -> int:
    """Return the size of Kafka's log segments (indexes are preallocated and left out)."""
    return sum(path.stat().st_size for path in (folder / "stack" / "kafka" / "logs").glob("zhengzhao*/*.log"))


def _free_ports(count: int) -> int:
    for first in range(20000 + os.getpid() * 40 % 11000, 32700, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise TransientError("no free ports on 127.0.0.1")
