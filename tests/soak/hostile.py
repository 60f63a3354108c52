"""All hostile loads at once against a real service, beside honest clients whose answers are timed.

The attackers are a process of their own that stands back behind the others (`nice`), since they would sit elsewhere.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import random
import socket
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pypdfium2
from event_samples import raw
from story import PROVINCE, Events, Office, uscc

from infra.http.callers import Tokens
from tests.infra.http.test_hostile_clients import finder_patterns
from tests.infra.http.test_http_faults import running

STRANGER = "urn:agency:632801:market-regulation"
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
PAUSE = 0.25  # seconds between two requests of an honest client
LIMIT = 2.0  # seconds in which 99 of 100 honest requests are answered


class Load:
    """Threads that call until the end; the honest ones are timed, and every answer is counted."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.ended = threading.Event()
        self.times: dict[str, list[float]] = defaultdict(list)
        self.statuses: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.threads: list[threading.Thread] = []

    def client(self, address: str, secret: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        transport = httpx.HTTPTransport(local_address=address)
        return httpx.Client(
            transport=transport, base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=90
        )

    def honest(self, name: str, client: httpx.Client, ask: Callable[[httpx.Client], httpx.Response]) -> None:
        """Ask again and again, with a pause between."""

        def run() -> None:
            while not self.ended.wait(PAUSE):
                start = time.monotonic()
                self.statuses[name][ask(client).status_code] += 1
                self.times[name].append(time.monotonic() - start)

        self.threads.append(threading.Thread(target=run, daemon=True))

    def hostile(self, name: str, attack: Callable[[], int]) -> None:
        """Attack without a pause; `attack` returns a status, 0 where the connection broke."""

        def run() -> None:
            while not self.ended.is_set():
                with contextlib.suppress(httpx.TransportError, OSError):
                    self.statuses[f"hostile: {name}"][attack()] += 1
                time.sleep(0.02)

        self.threads.append(threading.Thread(target=run, daemon=True))

    def run(self, seconds: float) -> None:
        for thread in self.threads:
            thread.start()
        self.ended.wait(seconds)
        self.ended.set()
        for thread in self.threads:
            thread.join(60)


def files(office: Office) -> dict[str, bytes]:
    """A licence as PDF, as credential, and as a picture."""
    told = Events()
    for n in range(20):
        told.apply("2018-09-10T09:12:00+08:00", f"A-{n}", uscc(n))
    office.tell(told)
    number = office.rows("licence", "list")[0]["number"]
    for form in ("pdf", "cwt"):
        office.run("licence", "get", number, "--format", form, "-o", office.folder / f"licence.{form}")
    picture = io.BytesIO()
    page = pypdfium2.PdfDocument(office.folder / "licence.pdf")[0]
    page.render(scale=2).to_pil().save(picture, "PNG")
    read = {form: (office.folder / f"licence.{form}").read_bytes() for form in ("pdf", "cwt")}
    return {**read, "picture": picture.getvalue(), "number": number.encode()}


def add_honest(load: Load, secret: str, known: dict[str, bytes]) -> None:
    """An agency that sends and asks, and three people who verify."""
    ids = iter(range(10**9))

    def send(client: httpx.Client) -> httpx.Response:
        event = Events()
        n = next(ids)
        event.apply("2018-09-10T09:12:00+08:00", f"H-{n}", uscc(1000 + n))
        event.lines[0]["id"] = f"honest-{n}"
        return client.post("/v1/events", content=raw(event.lines), headers=BATCH)

    load.honest("events", load.client("127.0.0.2", secret), send)
    load.honest("licences", load.client("127.0.0.2", secret), lambda c: c.get("/v1/licences?limit=20"))
    load.honest(
        "licence",
        load.client("127.0.0.2", secret),
        lambda c: c.get(f"/v1/licences/{known['number'].decode()}"),
    )
    load.honest("health", load.client("127.0.0.3"), lambda c: c.get("/healthz"))
    for n, form in enumerate(("cwt", "pdf", "picture")):
        load.honest(
            f"verify {form}",
            load.client(f"127.0.0.{4 + n}"),
            lambda c, f=form: c.post("/v1/verify", content=known[f]),
        )


def add_hostile(load: Load, stranger: str) -> None:
    """Pictures, broken PDFs, junk, multipart, wrong tokens, listings without rights, half-open sockets."""
    picture, rng = finder_patterns(), random.Random(1)
    pdf = b"%PDF-1.7\n" + b"1 0 obj<</Type/Catalog>>endobj\n" * 200_000
    junk = b"[" + b"[" + b"{}," * 300_000 + b"{}]" + b"]"
    parts = b"--x\r\n" + b"A: b\r\n" * 2_000_000 + b"\r\n\r\n--x--"
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}

    def post(
        address: str, path: str, body: bytes, headers: dict[str, str] | None = None, secret: str = ""
    ) -> int:
        with load.client(address, secret) as client:
            return client.post(path, content=body, headers=headers).status_code

    for n in range(4):
        load.hostile("pictures", lambda n=n: post(f"127.0.1.{n + 1}", "/v1/verify", picture))
    load.hostile("PDFs", lambda: post("127.0.1.9", "/v1/verify", pdf))
    load.hostile("junk", lambda: post("127.0.1.10", "/v1/events", junk, BATCH))
    load.hostile("multipart", lambda: post("127.0.1.11", "/v1/packets", parts, multipart, stranger))
    load.hostile("tokens", lambda: post("127.0.1.12", "/v1/materials", b"x", None, f"zz_{rng.random()}"))

    def listing() -> int:
        with load.client("127.0.1.13", stranger) as client:
            return client.get("/v1/licences?limit=1000").status_code

    load.hostile("listings", listing)

    def half_open() -> int:
        held = [socket.create_connection(("127.0.0.1", load.port), 5, ("127.0.1.14", 0)) for _ in range(90)]
        for one in held:
            one.sendall(b"POST /v1/verify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le")
        load.ended.wait(20)
        for one in held:
            one.close()
        return 0

    load.hostile("half-open", half_open)


def attackers(port: int, stranger: str, seconds: float, said: Any) -> None:
    """Attack for so many seconds, then say what was answered."""
    os.nice(10)
    load = Load(port)
    add_hostile(load, stranger)
    load.run(seconds)
    said.put({name: dict(found) for name, found in load.statuses.items()})


def share(times: list[float], part: float) -> float:
    """The time within which this part of the answers came."""
    return sorted(times)[min(len(times) - 1, int(part * len(times)))]


def run(minutes: float, seed: int) -> dict[str, Any]:
    """Attack for so long; gives the figures, and whether 99 of 100 honest requests were answered in time."""
    with tempfile.TemporaryDirectory() as folder:
        office = Office(Path(folder))
        office.init()
        known = files(office)
        now = datetime.now(UTC)
        secret, _ = Tokens(office.data).make("agency", PROVINCE, PROVINCE, now, None)
        stranger, _ = Tokens(office.data).make("agency", STRANGER, STRANGER, now, None)
        with running(office.data) as (_, url):
            load = Load(int(url.rpartition(":")[2]))
            add_honest(load, secret, known)
            fork = multiprocessing.get_context("fork")
            said = fork.Queue()
            hostile = fork.Process(target=attackers, args=(load.port, stranger, minutes * 60, said))
            hostile.start()
            load.run(minutes * 60)
            for name, statuses in said.get(timeout=120).items():
                load.statuses[name].update(statuses)
            hostile.join()
    every = [second for times in load.times.values() for second in times]
    figures: dict[str, Any] = {
        "minutes": minutes,
        "cores": os.cpu_count(),
        "load of the machine at the end (1 min)": round(os.getloadavg()[0], 1),
        "honest requests": len(every),
        "p50, seconds": round(share(every, 0.5), 3),
        "p99, seconds": round(share(every, 0.99), 3),
        "slowest, seconds": round(max(every), 3),
    }
    for name, times in sorted(load.times.items()):
        figures[f"{name}: p99, slowest"] = f"{share(times, 0.99):.2f}, {max(times):.2f}"
    for name, statuses in sorted(load.statuses.items()):
        figures[f"{name}: answers"] = ", ".join(f"{code} × {n}" for code, n in sorted(statuses.items()))
    figures["99 of 100 honest requests within 2 s"] = share(every, 0.99) < LIMIT
    return figures
