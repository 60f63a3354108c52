"""Hostile clients of a real service: pictures, junk, multipart, half-open sockets, wrong tokens, double lengths."""

from __future__ import annotations

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from event_samples import event, raw
from memory_store import MemoryStore
from PIL import Image
from served import serving_service

from infra.cli import main
from infra.http.callers import Tokens
from infra.http.limits import RequestLimits
from infra.http.service import service
from infra.http.verdicts import SHORT, Effort, Overrun, Verdicts
from infra.settings import Settings
from tests.infra.http.test_http_faults import running
from tests.infra.http.test_slow_clients import answer

SOURCE = "urn:agency:630000:market-regulation"
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
AT = datetime(2018, 9, 10, tzinfo=UTC)


def finder_patterns(size: int = 4000, module: int = 2) -> bytes:
    """A small PNG full of the corners of QR codes, on which a decoder spends minutes."""
    tile = Image.new("1", (8 * module, 8 * module), 1)
    for y in range(7):
        for x in range(7):
            if max(abs(x - 3), abs(y - 3)) != 2:
                tile.paste(0, (x * module, y * module, (x + 1) * module, (y + 1) * module))
    picture = Image.new("1", (size, size), 1)
    for y in range(0, size, 8 * module):
        for x in range(0, size, 8 * module):
            picture.paste(tile, (x, y))
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with keys."""
    data = tmp_path_factory.mktemp("hostile") / "data"
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    return data


@pytest.fixture
def verdicts(keyed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Verdicts]:
    """The processes that verify, started where a passphrase stands in the environment."""
    monkeypatch.setenv("ZHENGZHAO_PASSPHRASE", "a passphrase of nobody")
    opened = Verdicts(keyed / "trust", MemoryStore(), size=1, seconds=4)
    yield opened
    opened.close()


def test_a_picture_ends_at_the_limit_and_the_next_file_is_judged(verdicts: Verdicts) -> None:
    """The process is replaced."""
    start = time.monotonic()
    with pytest.raises(Overrun):
        verdicts.verdict(finder_patterns(), "p.png", AT, lists=False)
    assert time.monotonic() - start < 30
    assert verdicts.verdict(b"HTTPS://X.CN/#1", "t", AT, lists=False)["verdict"] == "invalid"


def test_a_process_outlives_the_file_that_took_too_long(verdicts: Verdicts) -> None:
    """It ends its child by the short effort and by the long one, and judges the next file without a new start."""
    verdicts.verdict(b"HTTPS://X.CN/#1", "t", AT, lists=False)
    before = pid_of(verdicts)
    for effort in (SHORT, Effort(1, 1.0, 0), None):
        with pytest.raises(Overrun):
            verdicts.verdict(finder_patterns(), "p.png", AT, lists=False, effort=effort)
    verdicts.verdict(b"HTTPS://X.CN/#1", "t", AT, lists=False, effort=SHORT)
    assert before == pid_of(verdicts)


def pid_of(verdicts: Verdicts) -> int:
    process = verdicts._idle.get_nowait()
    verdicts._idle.put(process)
    assert process is not None
    return process._process.pid


def test_processes_that_were_started_ahead_serve_the_first_callers(keyed: Path) -> None:
    """And none of them outlives the end."""
    opened = Verdicts(keyed / "trust", MemoryStore(), size=2, seconds=4)
    opened.warm(1)
    deadline = time.monotonic() + 60
    while opened._idle.qsize() < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first = pid_of(opened)
    opened.verdict(b"HTTPS://X.CN/#1", "t", AT, lists=False, effort=SHORT)
    assert first == pid_of(opened)
    opened.close()
    assert not Path(f"/proc/{first}").exists()


def test_an_honest_picture_is_judged_while_hostile_ones_take_their_time(served: tuple[int, str]) -> None:
    """They go on in a lane of their own, where few may wait, and leave the places of the short effort free."""
    port, _ = served
    honest, hostile = io.BytesIO(), finder_patterns()
    Image.new("L", (400, 400), 255).save(honest, "PNG")
    under_way: list[int] = []

    def attack(n: int) -> None:
        with client(port, f"127.0.2.{n}") as attacker:
            under_way.append(n)
            statuses.append(attacker.post("/v1/verify", content=hostile).status_code)
            under_way.remove(n)

    statuses: list[int] = []
    attackers = [threading.Thread(target=attack, args=(n,)) for n in range(1, 8)]
    for attacker in attackers:
        attacker.start()
    with client(port, "127.0.0.2") as one:
        answer = one.post("/v1/verify", content=honest.getvalue())
        assert (answer.status_code, answer.json()["verdict"]) == (200, "unknown")
        assert under_way
    for attacker in attackers:
        attacker.join()
    assert [503] * 7 == statuses


def test_the_process_that_decodes_knows_no_secret(verdicts: Verdicts) -> None:
    """Its environment has neither passphrase nor the address of a store."""
    verdicts.verdict(b"HTTPS://X.CN/#1", "t", AT, lists=False)
    process = verdicts._idle.get_nowait()
    verdicts._idle.put(process)
    assert process is not None
    environment = Path(f"/proc/{process._process.pid}/environ").read_bytes()
    names = {entry.partition(b"=")[0] for entry in environment.split(b"\0") if entry}
    assert {b"PATH", b"LANG", b"PYTHONPATH"} == names


@pytest.mark.slow
def test_pictures_stop_nobody_and_not_the_end(keyed: Path) -> None:
    """Two at once from one client: health and other files are answered, a third picture waits, SIGTERM ends it."""
    picture = finder_patterns()
    seen: list[int] = []

    def send() -> None:
        with suppress(httpx.TransportError):  # the last one may meet the end of the service
            seen.append(httpx.post(f"{url}/v1/verify", content=picture, timeout=60).status_code)

    with running(keyed) as (process, url):
        senders = [threading.Thread(target=send) for _ in range(2)]
        for sender in senders:
            sender.start()
        time.sleep(1)
        start = time.monotonic()
        assert httpx.get(f"{url}/healthz", timeout=10).status_code == 200
        assert time.monotonic() - start < 2
        start = time.monotonic()
        assert httpx.post(f"{url}/v1/verify", content=b"HTTPS://X.CN/#1", timeout=60).status_code == 200
        assert time.monotonic() - start < 9  # a process of its own starts meanwhile
        for sender in senders:
            sender.join()
        assert [503, 503] == seen
        assert httpx.post(f"{url}/v1/verify", content=picture, timeout=60).status_code == 429
        late = threading.Thread(target=send)
        late.start()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(40) == 0
        late.join()


@pytest.fixture(scope="module")
def served(keyed: Path) -> Iterator[tuple[int, str]]:
    """A service that only takes in, on every address of this machine; its port, and an agency's token."""
    secret, _ = Tokens(keyed).make("agency", SOURCE, SOURCE, datetime.now(UTC), None)
    limits = RequestLimits(connections=40, refused_burst=3 << 20, refused_rate=1000, wrong_tokens_burst=5)
    with service(Settings(keyed), limits=limits, deciding=False) as built, serving_service(built) as port:
        yield port, secret


def client(port: int, address: str, secret: str = "") -> httpx.Client:
    """A client at an address of its own."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60)


def seconds_of(ask: Callable[[], object]) -> float:
    start = time.monotonic()
    ask()
    return time.monotonic() - start


def test_junk_without_a_token_delays_no_agency(served: tuple[int, str]) -> None:
    """It is too large, or refused and soon limited; events with a token are taken in meanwhile."""
    port, secret = served
    junk = b"[" + b"[" + b"{}," * 300_000 + b"{}]" + b"]"
    statuses: list[int] = []

    def attack() -> None:
        with client(port, "127.0.0.9") as attacker:
            statuses.append(
                attacker.post("/v1/events", content=b"[" + b"1," * 4_000_000, headers=BATCH).status_code
            )
            for _ in range(6):
                statuses.append(attacker.post("/v1/events", content=junk, headers=BATCH).status_code)

    attacker = threading.Thread(target=attack)
    attacker.start()
    with client(port, "127.0.0.2", secret) as honest:
        for n in range(10):
            body = raw([event(id=f"honest-{n}")])
            assert seconds_of(lambda b=body: honest.post("/v1/events", content=b, headers=BATCH)) < 2
        assert honest.post("/v1/events", content=body, headers=BATCH).status_code == 202
    attacker.join()
    assert statuses[0] == 413
    assert statuses[-1] == 429
    assert set(statuses[1:]) == {422, 429}


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\n\r\n\r\n" * 8_000_000,
        b"--x\r\nA: " + b"b" * 60_000_000 + b"\r\n\r\n\r\n--x--",
        b"--x\r\n" + b"A: b\r\n" * 10_000_000 + b"\r\n\r\n--x--",
        b"-" * 60_000_000,
    ],
)
def test_multipart_freezes_nobody(served: tuple[int, str], body: bytes) -> None:
    """However many parts or headers it has, others are answered at once."""
    port, secret = served
    statuses: list[int] = []

    def attack() -> None:
        with client(port, "127.0.0.9", secret) as attacker:
            headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(len(body))}
            # Given whole, the client copies what is left of the body at each write, and itself delays this process.
            pieces = (body[n : n + (1 << 18)] for n in range(0, len(body), 1 << 18))
            statuses.append(attacker.post("/v1/packets", content=pieces, headers=headers).status_code)

    attacker = threading.Thread(target=attack)
    attacker.start()
    slowest = 0.0
    with client(port, "127.0.0.2") as honest:
        while attacker.is_alive():
            slowest = max(slowest, seconds_of(lambda: honest.get("/healthz")))
    attacker.join()
    assert statuses[0] in (400, 413)
    assert slowest < 2


def test_half_open_sockets_of_one_client_shut_nobody_out(served: tuple[int, str]) -> None:
    """It has its share of the connections, and no more."""
    port, _ = served
    held = []
    try:
        for _ in range(60):
            held.append(socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.9", 0)))
        for one in held:
            one.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.5)
        with client(port, "127.0.0.2") as honest:
            assert honest.get("/healthz").status_code == 200
        with pytest.raises(httpx.TransportError), client(port, "127.0.0.9") as greedy:
            greedy.get("/healthz")
    finally:
        for one in held:
            one.close()


def test_wrong_tokens_are_limited(served: tuple[int, str]) -> None:
    """For the client that tries them; another one with a good token is heard."""
    port, secret = served
    with client(port, "127.0.0.8", "zz_wrong") as guesser:
        statuses = [guesser.get("/v1/licences").status_code for _ in range(10)]
        assert guesser.get("/v1/licences", headers={"Authorization": f"Bearer {secret}"}).status_code == 429
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
    with client(port, "127.0.0.2", secret) as honest:
        assert honest.get("/v1/licences").status_code == 200


@pytest.mark.parametrize("first", [b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                                   b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"])  # fmt: skip
def test_two_lengths_of_one_body_are_refused(served: tuple[int, str], first: bytes) -> None:
    """And the connection ends, so that nothing behind it is read as a request."""
    port, _ = served
    with closing(
        socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.3", 0))
    ) as connection:
        head = b"POST /v1/verify HTTP/1.1\r\nHost: 127.0.0.1\r\n" + first
        connection.sendall(head + b"\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        said = answer(connection)
    assert said.startswith(b"HTTP/1.1 400")
    assert said.count(b"HTTP/1.1 ") == 1
