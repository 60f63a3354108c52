"""Benchmark of the HTTP service: events accepted per second with proofs checked, and the time to an answer.

The service runs as a process of its own, kept to one core with everything that it starts, in a temporary folder.
Accepted means durable in the ledger. Two runs: a service that only accepts, and `zhengzhao run`, which decides and
issues at the same time. Rates by the wall clock hold for a core that nothing else used; those by processor time are
what a core can do.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.agencies import change_register, event_signer
from infra.bench.licences import Say, lines
from infra.bootstrap import Installation
from infra.demo.samples_day import PROVINCE
from infra.http.service import listen, serve, service
from infra.settings import allow_past, load
from issuance.certificates import longest_validity, roles_of
from issuance.keys import Lifetime, init
from schemas.agencies import AgencyKey, public_pem, with_key
from schemas.calendar import CHINA
from schemas.trust import key_id

BATCH: Final = 100
_CLIENTS: Final = 2
_STOP_SECONDS: Final = 60
_RUN: Final = "import sys; from infra.cli import main; sys.exit(main(['run', '--port', '0', '--json', '--data', sys.argv[1]]))"
_ACCEPT: Final = "import sys; from infra.bench.http import accept; accept(sys.argv[1])"


def bench_http(events: int, say: Say = lambda _: None) -> dict[str, Any]:
    """Measure both services with `events` signed applications in batches of 100 from two clients at once."""
    with tempfile.TemporaryDirectory(prefix="zhengzhao-bench-") as folder:
        data = Path(folder) / "data"
        say("signing events")
        bodies = list(_batches(events, _prepared(data)))
        shutil.copytree(data, behind := data.with_name("behind"))
        say("accepting")
        accepting = _measured(data, _ACCEPT, bodies)
        say("accepting, deciding behind")
        deciding = _measured(behind, _RUN, bodies)
    return {
        "events": events,
        "batch": BATCH,
        "clients": _CLIENTS,
        "one_core": _core() is not None,
        "accepting": accepting,
        "deciding_behind": deciding,
    }


def accept(data: str) -> None:
    """Run a service that only takes in, on any free port; print its address."""
    with listen("127.0.0.1", 0) as listening, service(load(Path(data)), deciding=False) as built:
        print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        serve(built, listening)


def _measured(data: Path, code: str, bodies: list[bytes]) -> dict[str, Any]:
    """Return the figures of one service; `core_seconds` of its own process, apart those of its children."""
    with _server(data, code) as (process, port):
        before = _spent(process.pid)
        start = time.perf_counter()
        seconds = _send(bodies, port)
        took = time.perf_counter() - start
        own, others = (after - then for after, then in zip(_spent(process.pid), before, strict=True))
        decided = _decided(port)
    seconds.sort()
    count = _taken(data)
    return {
        "accepted_per_second": round(count / took, 1),
        "accepted_per_core_second": round(count / own, 1),
        "accepted_per_core_second_issuing_too": round(count / (own + others), 1),
        "core_seconds": round(own, 3),
        "core_seconds_of_issuing": round(others, 3),
        "decided_meanwhile": decided,
        "p50_ms": round(seconds[len(seconds) // 2] * 1000, 2),
        "p99_ms": round(seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))] * 1000, 2),
        "runs": len(seconds),
    }


def _spent(pid: int) -> tuple[float, float]:
    """Return the processor time in seconds of a process, and of its children."""
    process = psutil.Process(pid)
    own, children = _cpu(process), 0.0
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            children += _cpu(child)
    return own, children


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _core() -> int | None:
    """Return the core to which the service is kept; None where the system cannot do that, or has one only."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1] if len(cores) > 1 else None


def _decided(port: int) -> int:
    """Return the number of ledger entries decided since the start, by the service's own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        found = re.search(
            rb'^zhengzhao_events_total{outcome="done",stage="decide"} (\S+)$', answer.read(), re.MULTILINE
        )
    assert found is not None  # the service always exposes it
    return int(float(found[1]))


def _taken(data: Path) -> int:
    """Return the number of events in the ledger."""
    with closing(sqlite3.connect(data / "zhengzhao.sqlite")) as db:
        return int(db.execute("SELECT count(*) FROM ledger WHERE kind = 'event'").fetchone()[0])


def _prepared(data: Path) -> Path:
    """Prepare a data folder with keys, an agency that signs, and proofs required; return the agency's private key."""
    catalogue = Installation(load(data)).catalogue
    life = Lifetime(datetime(2018, 1, 1, tzinfo=CHINA), longest_validity(catalogue))
    init(data, roles_of(catalogue), life, now=datetime.now(UTC), passphrase=None)
    (data / "settings.toml").write_text("require_proof = true\n", encoding="utf-8")
    allow_past(data)  # The events sent are of 2018.
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    entry = AgencyKey(key_id(public), public_pem(public), datetime.now(UTC))
    change_register(data, lambda register: with_key(register, PROVINCE, entry))
    path = data.with_name("agency.pem")
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def _batches(events: int, key: Path) -> Iterator[bytes]:
    sign = event_signer(key)
    signed = [sign(line) for line in lines(events)]
    for start in range(0, events, BATCH):
        yield b"[" + b",".join(signed[start : start + BATCH]) + b"]"


@contextmanager
def _server(data: Path, code: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if not k.startswith("ZHENGZHAO_")},
    )
    try:
        assert process.stdout is not None  # piped above
        if (core := _core()) is not None:
            for thread in psutil.Process(process.pid).threads():
                os.sched_setaffinity(thread.id, {core})  # Threads and processes that it starts inherit this.
        url = json.loads(process.stdout.readline())["url"]
        yield process, int(url.rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _send(bodies: list[bytes], port: int) -> list[float]:
    """Send everything; return the seconds of each request. Raises RuntimeError where a batch was not taken in."""
    waiting = iter(bodies)
    lock = threading.Lock()
    seconds: list[float] = []
    faults: list[str] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                connection.close()
                return
            start = time.perf_counter()
            connection.request("POST", "/v1/events", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            seconds.append(time.perf_counter() - start)
            if answer.status != 202:
                faults.append(content[:300].decode("utf-8", "replace"))

    threads = [threading.Thread(target=client) for _ in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise RuntimeError(f"{len(faults)} batches were not taken in: {faults[0]}")
    return seconds
