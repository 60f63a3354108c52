"""The service on a real socket: clients that are slow, that speak otherwise, and the end of the service."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from event_samples import event, raw
from served import serving_service
from story import ric, uscc

from infra.cli import main
from infra.http.callers import Tokens
from infra.http.limits import RequestLimits
from infra.http.service import service
from infra.settings import Settings
from tests.infra.http.test_http_faults import running

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
HEAD = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/cloudevents+json\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A service with little patience, that only takes in."""
    data = tmp_path_factory.mktemp("wire") / "data"
    limits = RequestLimits(head_seconds=1, body_seconds=1, request_seconds=3)
    with service(Settings(data), limits=limits, deciding=False) as built, serving_service(built) as port:
        yield port


def answer(connection: socket.socket, seconds: float = 10) -> bytes:
    """All that comes until the other side closes; TimeoutError where it does not."""
    connection.settimeout(seconds)
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"", b""),
        (b"POST /v1/ev", b""),
        (HEAD, b""),
        (HEAD + b"Content-Length: 100\r\nConnection: close\r\n\r\n{", b"408"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET", b"200"),  # a second head that never ends
    ],
)
def test_a_slow_client_is_let_go(port: int, said: bytes, status: bytes) -> None:
    """Whatever it does not finish; it drips a byte now and then. Before its first head is whole it hears nothing."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(said)
        dripped = threading.Thread(target=drip, args=(connection,), daemon=True)
        dripped.start()
        assert status == answer(connection)[len("HTTP/1.1 ") :][:3]


def drip(connection: socket.socket) -> None:
    """A byte each quarter of a second, as long as anybody takes it."""
    try:
        for _ in range(40):
            time.sleep(0.25)
            connection.sendall(b"a")
    except OSError:
        pass


def test_a_client_that_does_not_read_is_let_go(port: int) -> None:
    """Its answers wait no longer than a request may take."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            ask_on(connection)


def ask_on(connection: socket.socket) -> None:
    """Asks for twenty seconds and reads nothing."""
    for _ in range(200):
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 50)
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Encoding": "gzip"}, gzip.compress(raw(event()), mtime=0), 415),
        ({"Content-Encoding": "identity"}, raw(event(id="identity")), 202),
        ({"Content-Type": "application/cloudevents+json; charset=utf-16"}, raw(event()), 415),
        ({"Content-Type": 'application/cloudevents+json; charset="UTF-8"'}, raw(event(id="utf-8")), 202),
        ({}, raw(event()).decode().encode("gb18030"), 422),
        ({}, raw(event()).decode().encode("utf-16"), 422),
    ],
)
def test_only_what_can_be_read(port: int, headers: dict[str, str], body: bytes, status: int) -> None:
    """Nothing compressed, UTF-8 alone; the problem says what to do."""
    found = httpx.post(
        f"http://127.0.0.1:{port}/v1/events", content=body, headers={**STRUCTURED, **headers}, timeout=30
    )
    assert status == found.status_code
    assert status == 202 or found.json()["hint"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path, number: int) -> None:
    """After a signal nobody new is heard, who speaks is heard out, and the process ends with 0."""
    data = tmp_path / "data"
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    line = raw(event(id="late"))
    with running(data) as (process, url):
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(line) + line[:50])
            time.sleep(1)
            os.kill(process.pid, number)
            time.sleep(1)
            connection.sendall(line[50:])
            head, _, body = answer(connection, 30).partition(b"\r\n\r\n")
        assert b"202" in head.split(b"\r\n")[0]
        assert json.loads(body) == {"id": "late", "state": "taken"}
        assert process.wait(60) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()


@pytest.mark.slow
def test_nothing_of_a_caller_stands_in_the_log_or_the_tokens_file(tmp_path: Path) -> None:
    """Neither token nor id nor path, whatever was asked; of a token its hash alone is kept."""
    data = tmp_path / "data"
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    secret, _ = Tokens(data).make("enterprise", uscc(1), uscc(1), datetime.now(UTC), None)
    said: list[bytes] = []
    with running(data, said=said) as (_, url):
        headers = {"Authorization": f"Bearer {secret}"}
        for path in (
            f"/v1/holders/{ric(1)}",
            f"/v1/cases/{secret}",
            f"/trust/{secret}",
            f"/v1/licences?limit={secret}",
        ):
            assert httpx.get(url + path, headers=headers, timeout=30).status_code in (400, 404)
        assert (
            httpx.get(f"{url}/v1/licences", headers={"Authorization": f"Bearer {secret}x"}).status_code == 401
        )
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as connection:
            connection.sendall(f"GARBAGE {secret} {ric(1)}\r\n\r\n".encode())
            answer(connection)
    log = b"".join(said)
    assert b"require_proof" in log
    assert [secret for secret in (secret, ric(1), uscc(1)) if secret.encode() in log] == []
    assert secret not in (data / "tokens.json").read_text()
