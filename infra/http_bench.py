"""Figures of the HTTP service: accepted events a second with proofs checked, and how long an answer takes.

The service runs as a process of its own in a folder that is thrown away, deciding and issuing meanwhile. What
one core can do is told by the processor time of the service's process (its issuing workers not counted).
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.agencies import change_register
from infra.bench import Say, lines
from infra.key_roles import longest_validity, roles_of
from infra.samples.day import PROVINCE
from infra.signing import event_signer
from issuance.keys import Lifetime, init
from schemas.agencies import AgencyKey, public_pem, with_key
from schemas.items import load_catalogue
from schemas.times import CHINA
from schemas.trust import key_id

BATCH: Final = 100
_CLIENTS: Final = 2
_STOP_SECONDS: Final = 30


def bench_http(events: int, say: Say = lambda _: None) -> dict[str, Any]:
    """Sends `events` signed applications in batches of 100 from two clients at once."""
    with tempfile.TemporaryDirectory(prefix="zhengzhao-bench-") as folder:
        data = Path(folder) / "data"
        say("signing events")
        bodies = list(_batches(events, _prepared(data)))
        with _server(data) as (process, port):
            say("sending")
            cpu = psutil.Process(process.pid).cpu_times()
            start = time.perf_counter()
            seconds = _send(bodies, port)
            took = time.perf_counter() - start
            after = psutil.Process(process.pid).cpu_times()
    used = after.user + after.system - cpu.user - cpu.system
    seconds.sort()
    return {
        "events": events,
        "batch": BATCH,
        "clients": _CLIENTS,
        "accepted_per_second": round(events / took, 1),
        "accepted_per_core_second": round(events / used, 1),
        "p50_ms": round(seconds[len(seconds) // 2] * 1000, 2),
        "p99_ms": round(seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))] * 1000, 2),
        "runs": len(seconds),
    }


def _prepared(data: Path) -> Path:
    """A data folder with keys, an agency that signs, and proofs required; the agency's private key."""
    catalogue = load_catalogue()
    life = Lifetime(datetime(2018, 1, 1, tzinfo=CHINA), longest_validity(catalogue))
    init(data, roles_of(catalogue), life, now=datetime.now(UTC), passphrase=None)
    (data / "settings.toml").write_text("require_proof = true\n", encoding="utf-8")
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
def _server(data: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    code = "import sys; from infra.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "--port", "0", "--json", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if not k.startswith("ZHENGZHAO_")},
    )
    try:
        assert process.stdout is not None  # piped above
        url = json.loads(process.stdout.readline())["url"]
        yield process, int(url.rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _send(bodies: list[bytes], port: int) -> list[float]:
    """Sends everything; the seconds of each request."""
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
