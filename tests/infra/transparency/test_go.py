"""Other people's code agrees: golang.org/x/mod/sumdb, filippo.io/torchwood, and its litewitness.

Go itself is needed, and the modules of `go/go.sum`; without them these tests fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from logs import ORIGIN, NearWitness, TestLog, forged, licence, licences, seed
from served import serving, serving_files

from infra.stores.folder import FolderStore
from infra.transparency.client import WitnessClient
from infra.transparency.sequencer import seeded_signer
from infra.transparency.witness import Witness, witness_app
from schemas.transparency.merkle import EMPTY_ROOT
from schemas.transparency.notes import encode64, read_checkpoint, read_key, read_note
from verification.log_book import verify_checkpoint

pytestmark = pytest.mark.servers

LOG = seeded_signer(ORIGIN, seed("log"))
GO_LOG = seeded_signer("log.example.com/go", seed("go"))


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the programs (the first time this takes minutes)."""
    folder = tmp_path_factory.mktemp("go")
    command = ["go", "build", "-o", f"{folder}/", ".", "filippo.io/torchwood/cmd/litewitness"]
    built = subprocess.run(
        command, cwd=Path(__file__).parent / "go", capture_output=True, text=True, timeout=900
    )
    assert 0 == built.returncode, built.stderr
    return folder


def logcheck(binaries: Path, *arguments: str, given: str = "") -> dict[str, object]:
    """Run our program; return its answer."""
    done = subprocess.run(
        [binaries / "logcheck", *arguments], input=given, capture_output=True, text=True, timeout=120
    )
    assert 0 == done.returncode, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def refused(binaries: Path, *arguments: str, given: str = "") -> str:
    """Run our program; return why it refused."""
    done = subprocess.run(
        [binaries / "logcheck", *arguments], input=given, capture_output=True, text=True, timeout=120
    )
    assert 1 == done.returncode, done.stdout
    return done.stderr


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> TestLog:
    """A log with two witnesses, grown in steps that leave partial tiles on three levels."""
    folder = tmp_path_factory.mktemp("log")
    witnesses = [
        NearWitness(folder / f"w{n}", f"w{n}.example.cn", LOG.log_key, now=1_700_000_000 + n) for n in (1, 2)
    ]
    made = TestLog(folder, witnesses, needed=2, store=FolderStore(folder / "objects"))
    start = 1
    for step in (1, 254, 1, 1, 300, 66_000):
        made.add(licences(step, start=start))
        start += step
    return made


@pytest.fixture(scope="module")
def address(log: TestLog) -> Iterator[str]:
    """The log's files over HTTP."""
    root: Path = log.store._root  # type: ignore[attr-defined]
    with serving_files(root / "log") as url:
        yield url


def keys(log: TestLog) -> list[str]:
    """Return the vkeys of a log and its witnesses."""
    return [str(log.signer.log_key), *(str(w.key) for w in log.witnesses)]


def test_torchwood_reads_the_log(log: TestLog, address: str, binaries: Path) -> None:
    """Head, both cosignatures with their times, every entry, proofs of inclusion and of consistency."""
    answer = logcheck(binaries, "audit", address, *keys(log))
    entries = hashlib.sha256(b"".join(log.order.read(0, log.order.size())))
    head = read_checkpoint(read_note(log.stored.fetch("checkpoint")))
    expected = {
        "origin": ORIGIN,
        "size": 66_557,
        "root": encode64(head.root),
        "signers": {ORIGIN: 0, "w1.example.cn": 1_700_000_001, "w2.example.cn": 1_700_000_002},
        "entries": 66_557,
        "sha256": entries.hexdigest(),
    }
    assert expected == {key: answer[key] for key in expected}
    assert (50, 20) == (answer["proved"], answer["trees"])


def test_torchwood_refuses_a_changed_log(tmp_path: Path, binaries: Path) -> None:
    """The control of the test above: one changed entry, or another log's key, and the program says no."""
    log = TestLog(tmp_path, store=FolderStore(tmp_path / "objects"))
    log.add(licences(300))
    with serving_files(tmp_path / "objects" / "log") as url:
        assert "no verifiable signatures" in refused(binaries, "audit", url, str(GO_LOG.log_key))
        bundle = tmp_path / "objects" / "log" / "tile" / "entries" / "000"
        bundle.chmod(0o644)
        bundle.write_bytes(
            bundle.read_bytes().replace(licence(7).object.encode(), forged(licence(7)).object.encode())
        )
        assert "hash" in refused(binaries, "audit", url, str(log.signer.log_key))


def test_sumdb_verifies_our_proofs(log: TestLog, binaries: Path) -> None:
    """Texts of tlog-proof with both cosignatures, at the borders of tiles and elsewhere; none with another entry."""
    serials = [1, 2, 255, 256, 257, 512, 557, 30_000, 65_536, 65_537, 66_557]
    lines = [given(log.writer.prove(licence(n).id).to_bytes(), licence(n).to_bytes()) for n in serials]
    assert {"proofs": len(serials)} == logcheck(binaries, "proofs", *keys(log), given="\n".join(lines))
    wrong = given(log.writer.prove(licence(5).id).to_bytes(), licence(6).to_bytes())
    assert "proof 0" in refused(binaries, "proofs", *keys(log), given=wrong)


def test_a_go_log_asks_our_witness(tmp_path: Path, binaries: Path) -> None:
    """Requests made by sumdb/tlog and sumdb/note are signed as torchwood verifies; a fork is 422, an old size 409."""
    witness = Witness(tmp_path, seeded_signer("w1.example.cn", seed("w")), [GO_LOG.log_key])
    with serving(witness_app(witness)) as url:
        sizes = ["1", "2", "7", "7", "~9", "!9", "300", "1000"]
        answer = logcheck(binaries, "submit", url, str(witness.key), seed("go").hex(), *sizes)
    assert [200, 200, 200, 200, 409, 422, 200, 200] == answer["statuses"]
    assert [1, 2, 7, 7, 300, 1000] == answer["signed"]
    conflict, fork = answer["bodies"]  # type: ignore[misc]
    assert "text/x.tlog.size 7\n" == conflict
    assert fork.startswith("text/plain")


@pytest.fixture
def litewitness(tmp_path: Path, binaries: Path) -> Iterator[WitnessClient]:
    """A litewitness that knows our log, with its key in an ssh-agent."""
    with sqlite3.connect(tmp_path / "w.db") as database:
        database.executescript(
            "CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);"
            "CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));"
        )
        database.execute("INSERT INTO log VALUES (?, 0, ?)", (ORIGIN, encode64(EMPTY_ROOT)))
        database.execute("INSERT INTO key VALUES (?, ?)", (ORIGIN, str(LOG.log_key)))
    database.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agent = subprocess.Popen(
        [binaries / "logcheck", "agent", "agent.sock", seed("lite").hex()],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with ended(agent):
        assert agent.stdout is not None
        fingerprint = agent.stdout.readline().strip()
        server = subprocess.Popen(
            [binaries / "litewitness", "-db", "w.db", "-name", "lite.example.com/w", "-key", fingerprint,
             "-ssh-agent", "agent.sock", "-listen", f"127.0.0.1:{port}"],
            cwd=tmp_path, stderr=(tmp_path / "log.txt").open("w"),
        )  # fmt: skip
        with ended(server):
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            key = read_key(str(seeded_signer("lite.example.com/w", seed("lite")).witness_key))
            assert str(key) in (tmp_path / "log.txt").read_text("utf-8")
            yield WitnessClient(f"http://127.0.0.1:{port}", key)


@contextlib.contextmanager
def ended(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Iterator[None]:
    """End a process that the test started."""
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_litewitness_signs_our_heads(tmp_path: Path, litewitness: WitnessClient) -> None:
    """It signs each head that continues; after a restart of the writer it says its size; a fork it does not sign."""
    log = TestLog(tmp_path / "log", needed=1)
    log.witnesses = [litewitness]  # type: ignore[list-item]
    log.policy = type(log.policy)(ORIGIN, (LOG.log_key,), (litewitness.key,), 1)
    log.open()
    before = int(time.time())
    for start, count in ((1, 1), (2, 255), (257, 400), (657, 1)):
        seen = verify_checkpoint(log.add(licences(count, start=start)), log.policy)
        assert before <= (seen.witnessed_by(1) or 0) <= time.time() + 1
    log.open()
    assert 658 == verify_checkpoint(log.add(licences(1, start=658)), log.policy).checkpoint.size

    fork = TestLog(tmp_path / "fork", needed=1)
    fork.witnesses = log.witnesses
    fork.open()
    fork.writer.append([forged(licence(1)), *licences(700, start=2)])
    (failure,) = fork.writer.publish().failures
    assert "HTTP 4" in failure.reason


def given(proof: bytes, entry: bytes) -> str:
    """Return a proof with its entry, as our program takes it."""
    return json.dumps({"Proof": proof.decode(), "Entry": entry.decode()})
