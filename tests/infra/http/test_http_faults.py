"""The service under faults: a full disk, kill -9 between durable and acknowledged, broken bodies by the thousand."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from event_samples import DATA, event, raw
from memory_store import MemoryStore
from starlette.testclient import TestClient
from story import Events, uscc

from infra.bootstrap import Installation
from infra.cli import main
from infra.http.app import Service
from infra.http.callers import Tokens
from infra.http.drainer import ExternalDrainer
from infra.http.intake_thread import IntakeThread
from infra.http.limits import RequestLimits
from infra.http.lookups import Lookups
from infra.http.problems import Problem
from infra.http.service import service
from infra.settings import Settings
from processors.queries.access import LOCAL
from producers.form_fields import fill
from schemas.errors import StoreUnavailable
from schemas.items import load_catalogue

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
ROOT = Path(__file__).resolve().parents[3]


class FullDisk(IntakeThread):
    """A intake whose data file may not grow while `full` is set: SQLite says so as on a full disk."""

    full = False

    def _group(self, inbox: Any, jobs: Any) -> None:
        pages = inbox._db.db.execute("PRAGMA page_count").fetchone()[0]
        inbox._db.db.execute(f"PRAGMA max_page_count = {pages if self.full else 1_000_000}")
        super()._group(inbox, jobs)


def test_a_full_disk_is_507_and_loses_nothing(tmp_path: Path) -> None:
    """What was acknowledged stays; what was not can be sent again, as it is, when there is room."""
    intake = FullDisk(Installation(Settings(tmp_path)), 100, threading.Event())
    intake.start()

    def send(first: int, count: int) -> Any:
        batch = [event(id=f"full-{n}", extra="x" * 2000) for n in range(first, first + count)]
        return asyncio.run(intake.take(raw(batch), LOCAL, batch=True))

    assert len(send(0, 50)) == 50
    intake.full = True
    with pytest.raises(Problem) as caught:
        send(50, 50)
    assert (caught.value.status, caught.value.retry_after > 0) == (507, True)
    intake.full = False
    outcomes = send(0, 100)
    assert [n < 50 for n in range(100)] == [outcome.duplicate for _, outcome in outcomes]
    intake.close()


class FullStore(MemoryStore):
    """A store on a disk without room."""

    def put(self, key: str, data: bytes) -> None:
        raise StoreUnavailable("the object store failed", where=key) from OSError(errno.ENOSPC, "no room")


def test_a_full_disk_under_uploads_is_507(tmp_path: Path) -> None:
    """A material, and a packet as a whole: no fault of its papers."""
    item = load_catalogue().get("industrial-product-licence")
    assert item is not None
    values = {"applicant.name": "青海示范有限公司", "applicant.id": uscc(1)}
    installation = Installation(Settings(tmp_path))
    form = fill(installation.packet_forms.blank_forms(item)["application-form.pdf"], values)
    lookups = Lookups(installation, FullStore())
    limits = RequestLimits()
    intake = IntakeThread(Installation(Settings(tmp_path)), 1, threading.Event())
    built = Service(
        lookups, intake, ExternalDrainer(), Tokens(tmp_path), limits=limits, hosts=frozenset(), open_here=True
    )
    with TestClient(built.app()) as client:
        answers = [
            client.post("/v1/materials", content=b"a plan"),
            client.post("/v1/packets", content=form, headers={"Content-Type": "application/pdf"}),
        ]
    lookups.close()
    assert [507, 507] == [answer.status_code for answer in answers]
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)


def test_too_much_that_waits_is_503(tmp_path: Path) -> None:
    """Back-pressure instead of memory."""
    intake = IntakeThread(Installation(Settings(tmp_path)), 0, threading.Event())
    with pytest.raises(Problem) as caught:
        asyncio.run(intake.take(raw(event()), LOCAL))
    assert (caught.value.status, caught.value.retry_after > 0) == (503, True)


@contextmanager
def running(
    data: Path, failpoint: str = "", said: list[bytes] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`zhengzhao run` as a process of its own, and its address; what it put on standard error goes to `said`."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ZHENGZHAO_")}
    env |= {"PYTHONPATH": str(ROOT), **({"ZHENGZHAO_FAILPOINT": failpoint} if failpoint else {})}
    code = "import sys; from infra.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "--port", "0", "--json", "--data", str(data)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=data.parent,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["url"]
    finally:
        if process.poll() is None:
            process.terminate()
        _, err = process.communicate(timeout=60)
        assert b"Traceback" not in err, err.decode()
        if said is not None:
            said.append(err)


@pytest.mark.slow
def test_killed_between_durable_and_acknowledged(tmp_path: Path) -> None:
    """The client knows nothing, sends again, and the event counts once; a graceful stop ends with 0."""
    data = tmp_path / "data"
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    told = Events()
    line = raw(told.apply("2018-09-10T09:12:00+08:00", "K-1", uscc(1)))
    with running(data, "submit-after-commit") as (process, url):
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{url}/v1/events", content=line, headers=STRUCTURED, timeout=30)
        assert process.wait(30) == -signal.SIGKILL
    with running(data) as (process, url):
        answer = httpx.post(f"{url}/v1/events", content=line, headers=STRUCTURED, timeout=30)
        assert (answer.status_code, answer.json()["state"]) == (202, "taken")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            row = httpx.get(f"{url}/v1/cases/K-1", timeout=30)
            if row.status_code == 200 and row.json()["state"] == "issued":
                break
            time.sleep(0.2)
        assert row.json()["state"] == "issued"
        assert len(httpx.get(f"{url}/v1/licences", timeout=30).json()) == 1
        process.terminate()
        assert process.wait(60) == 0


def broken(dice: random.Random) -> bytes:
    """A body that was good once, or never."""
    good = raw(event(dice.choice(sorted(DATA)), id=f"f-{dice.random()}"))
    match dice.randrange(9):
        case 0:
            return dice.randbytes(dice.randrange(300))
        case 1:
            return good[: dice.randrange(len(good))]
        case 2:
            place = dice.randrange(len(good))
            return good[:place] + dice.randbytes(1) + good[place + 1 :]
        case 3:
            return good * 2
        case 4:
            return good.decode().encode(dice.choice(["utf-16", "utf-32", "gb18030"]))
        case 5:
            return dice.choice([b"[", b'{"a":', b"-", b'"\\ud800', b"1e999", b"9" * 400]) * dice.randrange(
                1, 3000
            )
        case 6:
            return good.replace(b'"', dice.choice([b"'", b"", b'""', b"\\"]), dice.randrange(1, 9))
        case 7:
            value = event()
            value[dice.choice(sorted(value))] = dice.choice(
                [None, [], {}, 1, True, "\x00", "\ud800", "x" * 300, 1e308]
            )
            return raw(value)
        case _:
            return b"[" + good + b"," + good[:-2] + b"]"


@pytest.mark.slow
def test_thousands_of_broken_bodies(tmp_path: Path) -> None:
    """None is a fault of the service, none takes long; it works afterwards as before."""
    data = tmp_path / "data"
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    dice = random.Random(11)
    limits = RequestLimits(rate=1e9, burst=10**9)
    seen: set[int] = set()
    with service(Settings(data, workers=1), limits=limits, tick_seconds=3600) as built:
        app = TestClient(built.app(), base_url="http://127.0.0.1")
        with app as client:
            for _ in range(4_000):
                headers = dice.choice([STRUCTURED, STRUCTURED, BATCH])
                start = time.monotonic()
                answer = client.post("/v1/events", content=broken(dice), headers=headers)
                assert time.monotonic() - start < 10
                seen.add(answer.status_code)
            assert (
                client.post("/v1/events", content=raw(event(id="after")), headers=STRUCTURED).status_code
                == 202
            )
            assert client.get("/healthz").status_code == 200
    assert seen <= {202, 207, 400, 409, 413, 422}
