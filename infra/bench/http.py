"""Benchmark of the HTTP service: events accepted per second with proofs checked, the time to an answer, public pages.

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
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import quote

import msgspec
import psutil
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.agencies import change_register, event_signer
from infra.bench.licences import Say, lines
from infra.bootstrap import Installation
from infra.demo.samples_day import PROVINCE
from infra.http.limits import RequestLimits
from infra.http.service import listen, serve, service
from infra.readmodel.database import Database, index_holder
from infra.settings import allow_past, load
from issuance.certificates import longest_validity, roles_of
from issuance.keys import Lifetime, init
from processors import state as states
from processors.state import HolderState, Licence, Version
from schemas.agencies import AgencyKey, public_pem, with_key
from schemas.authorities import authority
from schemas.calendar import CHINA
from schemas.facts import LicenceStatus
from schemas.identifiers import compare
from schemas.licence import Authority, Grant
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
    limits = RequestLimits(rate=1e6, burst=1_000_000)  # one client asks for everything here
    with (
        listen("127.0.0.1", 0) as listening,
        service(load(Path(data)), limits=limits, deciding=False) as built,
    ):
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
    return int(float(found[1])) if found else 0  # The figure appears with the first decision.


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


_CHARACTERS: Final = (
    "青海西宁东湖昆仑雪山高原三江祁连天峻绿源宏达金鼎瑞祥恒通泰和鑫盛盐化农牧科技贸易能源矿业建材食品机械"
)
_WEB_ITEM: Final = "industrial-product-licence"
_WEB_RUNS: Final = 400  # requests of each page


def bench_web(licences: int, say: Say = lambda _: None) -> dict[str, Any]:
    """Measure the public pages over a made-up register of so many licences: times to an answer, pages a second.

    The searches are of parts of names of two to six characters, of former names, and of whole numbers, all at random.
    """
    with tempfile.TemporaryDirectory(prefix="zhengzhao-bench-") as folder:
        data = Path(folder) / "data"
        _prepared(data)
        say(f"a register of {licences} licences")
        start = time.perf_counter()
        names = _made_up(data, licences)
        built = time.perf_counter() - start
        say("asking for pages")
        asked = {
            "home": ["/"] * _WEB_RUNS,
            "search": [f"/register?q={quote(text)}" for text in _searches(names, _WEB_RUNS)],
            "licence": [
                f"/register/{quote(_number(n))}" for n in Random(2).choices(range(licences), k=_WEB_RUNS)
            ],
        }
        with _server(data, _ACCEPT) as (process, port):
            found = {name: _asked(paths, process.pid, port) for name, paths in asked.items()}
        size = sum(path.stat().st_size for path in data.glob("zhengzhao.sqlite*"))
    return {
        "licences": licences,
        "built_seconds": round(built, 1),
        "data_file_mb": round(size / 1e6),
        **found,
    }


def _asked(paths: Sequence[str], pid: int, port: int) -> dict[str, Any]:
    """Ask for pages one after another on one connection; return times, and pages a second of one core's time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Accept": "text/html", "Accept-Language": "zh"}
    seconds: list[float] = []
    before = _spent(pid)[0]
    for path in paths:
        start = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        seconds.append(time.perf_counter() - start)
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
    spent = _spent(pid)[0] - before
    seconds.sort()
    return {
        "p50_ms": round(seconds[len(seconds) // 2] * 1000, 2),
        "p95_ms": round(seconds[int(len(seconds) * 0.95)] * 1000, 2),
        "max_ms": round(seconds[-1] * 1000, 2),
        "pages_per_core_second": round(len(seconds) / spent, 1) if spent else None,
        "runs": len(seconds),
    }


def _searches(names: Sequence[tuple[str, str]], count: int) -> Iterator[str]:
    chance = Random(3)
    for n in range(count):
        place = chance.randrange(len(names))
        if n % 4 == 3:
            yield _number(place)
            continue
        name = names[place][n % 2]
        start = chance.randrange(len(name) - 1)
        yield name[start : start + chance.randint(2, 6)]


def _number(n: int) -> str:
    return f"(青)XK{n // 100_000:02d}-001-{n % 100_000:05d}"


def _made_up(data: Path, licences: int) -> list[tuple[str, str]]:
    """Write a register of enterprises with one licence each, every tenth under a second name; return their names."""
    chance, names = Random(1), []
    issuer = authority("630000", "market-regulation")

    def name() -> str:
        return f"青海{''.join(chance.choices(_CHARACTERS, k=chance.randint(3, 6)))}有限公司"

    with Database(data / "zhengzhao.sqlite", create=True) as db, db.transaction():
        db.db.execute(
            "PRAGMA cache_size = -1000000"
        )  # nothing is written twice, and nobody needs it after a crash
        for n in range(licences):
            before = name()
            after = name() if n % 10 == 0 else before
            names.append((before, after))
            state = _holder(n, before, after, issuer)
            raw = states.encode(state)
            db.db.execute("INSERT INTO states VALUES (?, ?, NULL)", (state.holder, raw))
            db.db.execute("INSERT INTO licences VALUES (?, ?)", (compare(_number(n)), state.holder))
            index_holder(db.db, state)
    return names


def _holder(n: int, before: str, after: str, issuer: Authority) -> HolderState:
    holder = f"9163{n:014d}"
    first = Grant(
        grant_id=f"g{n}", licence_id=f"l{n}", version=1, item=_WEB_ITEM, item_digest="", application_id=f"a{n}",
        holder=holder, holder_kind="enterprise", holder_id=holder, holder_name=before, address="青海省西宁市",
        division="630100", authority=issuer, issued_on="2024-01-02", valid_from="2024-01-02",
        valid_until="2029-01-01", decided_at="2024-01-02T09:00:00+08:00", series="", digits=5, type_code="",
    )  # fmt: skip
    grants = [first]
    if after != before:
        grants.append(msgspec.structs.replace(first, grant_id=f"h{n}", version=2, holder_name=after))
    versions = tuple(Version(grant) for grant in grants)
    status: LicenceStatus = "revoked" if n % 97 == 0 else "valid"
    licence = Licence(f"l{n}", _WEB_ITEM, versions, status, _number(n))
    return HolderState(
        holder, "enterprise", holder, after, "青海省西宁市", "630100", licences={f"l{n}": licence}
    )
