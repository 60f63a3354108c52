"""Readers of a log: the same files by folder and by address, in bounds, and nothing else."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from log_writer import open_folder
from logs import TestLog, licence, licences
from served import serving, serving_files
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from infra.transparency.client import HttpLog, LogReader, open_log
from schemas.errors import NotFound, StoreUnavailable, UsageError, VerificationError
from schemas.ports import LogSource
from schemas.transparency.notes import read_checkpoint, read_note
from verification.log_audit import audit
from verification.log_book import verify_proof


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> TestLog:
    """A log of 300 licences in a data folder."""
    made = open_folder(tmp_path_factory.mktemp("data"))
    made.add(licences(300))
    return made


@pytest.fixture(scope="module")
def data(log: TestLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder."""
    root: Path = log.store._root  # type: ignore[attr-defined]
    return root.parent


@pytest.fixture(params=[".", "objects", "objects/log", "http"])
def source(request: pytest.FixtureRequest, data: Path) -> Iterator[LogSource]:
    """The log as an outsider reads it."""
    if request.param != "http":
        yield open_log(str(data / request.param))
        return
    with serving_files(data / "objects" / "log") as address:
        yield open_log(address)


def test_an_outsider_audits_and_proves(log: TestLog, source: LogSource) -> None:
    """An audit passes, entries read and proofs verify, by address and by a folder at any depth."""
    assert audit(source, log.policy).ok
    note = source.fetch("checkpoint")
    reader = LogReader(source, read_checkpoint(read_note(note)), note)
    assert [(n, licence(n + 1).to_bytes()) for n in range(250, 300)] == list(reader.entries(250))
    for index in (0, 255, 256, 299):
        verify_proof(reader.prove(index).to_bytes(), licence(index + 1).to_bytes(), log.policy)
    with pytest.raises(NotFound):
        reader.prove(300)


@pytest.mark.parametrize(
    "path", ["../zhengzhao.sqlite", "/etc/passwd", "tile/0/000/../../checkpoint", "", "log", "tile/0/999"]
)
def test_other_paths_are_not_found(source: LogSource, path: str) -> None:
    """A path that no log has reaches no file."""
    with pytest.raises(NotFound):
        source.fetch(path)


def test_no_log_there(tmp_path: Path) -> None:
    """A folder without a checkpoint is no log."""
    with pytest.raises(UsageError, match="no log"):
        open_log(str(tmp_path))


def test_nobody_answers(tmp_path: Path) -> None:
    """An address without a server is a trouble of the surroundings."""
    with serving_files(tmp_path) as address:
        pass
    with pytest.raises(StoreUnavailable):
        HttpLog(address).fetch("checkpoint")


def app() -> Starlette:
    """Return a server that does not behave."""

    async def packed(request: Request) -> Response:
        return Response(gzip.compress(b"head"), headers={"Content-Encoding": "gzip"})

    async def bomb(request: Request) -> Response:
        return Response(gzip.compress(bytes(1 << 24)), headers={"Content-Encoding": "gzip"})

    async def cut(request: Request) -> Response:
        return Response(gzip.compress(bytes(100))[:-9], headers={"Content-Encoding": "gzip"})

    async def large(request: Request) -> Response:
        return Response(bytes(8193))

    async def elsewhere(request: Request) -> Response:
        return RedirectResponse("/checkpoint")

    async def broken(request: Request) -> Response:
        return Response("no", 503)

    paths = {
        "checkpoint": packed,
        "tile/0/000": bomb,
        "tile/0/001": cut,
        "tile/0/002": large,
        "tile/0/003": elsewhere,
    }
    return Starlette(routes=[Route(f"/{p}", f) for p, f in (*paths.items(), ("tile/0/004", broken))])


def test_answers_out_of_bounds(tmp_path: Path) -> None:
    """Compressed answers are read; bombs, cut and large ones, redirections and errors are not."""
    with serving(app()) as address:
        log = HttpLog(address + "/")
        assert b"head" == log.fetch("checkpoint")
        for path in ("tile/0/000", "tile/0/001", "tile/0/002"):
            with pytest.raises(VerificationError):
                log.fetch(path)
        for path in ("tile/0/003", "tile/0/004"):
            with pytest.raises(StoreUnavailable, match="HTTP"):
                log.fetch(path)
