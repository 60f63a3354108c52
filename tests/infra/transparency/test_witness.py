"""The witness: each answer of C2SP tlog-witness, one history for each log, and nothing forgotten."""

from __future__ import annotations

import hashlib
import http.client
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from logs import ORIGIN, NearWitness, TestLog, forged, licence, licences, seed
from msgspec.structs import replace
from served import serving

from infra.transparency.client import LogReader, WitnessClient, WitnessFailure
from infra.transparency.sequencer import new_seed, read_key_file, seeded_signer, write_key
from infra.transparency.witness import Witness, WitnessAnswer, witness_app
from schemas.errors import KeysMissing, TransientError, UsageError
from schemas.transparency.merkle import EMPTY_ROOT
from schemas.transparency.notes import (
    Checkpoint,
    Note,
    NoteSignature,
    WitnessRequest,
    check_cosignatures,
    check_log_signature,
    log_line,
    read_checkpoint,
    read_note,
    read_signature_lines,
)

LOG = seeded_signer(ORIGIN, seed("log"))
NAME = "witness.example.cn/w1"
NOW = 1_700_000_000
HASH = hashlib.sha256(ORIGIN.encode()).hexdigest()


class Heads:
    """Heads of one log of 300 licences at several sizes, and requests about them."""

    def __init__(self, folder: Path, entries: list[bytes] | None = None) -> None:
        self.log = TestLog(folder)
        self.heads: dict[int, bytes] = {}
        for size in (100, 200, 300):
            self.heads[size] = self.log.add(licences(100, start=size - 99))

    def request(self, old: int, new: int) -> WitnessRequest:
        """Return the request to go from one size to another."""
        note = self.heads[new]
        head = read_checkpoint(read_note(note))
        return WitnessRequest(old, LogReader(self.log.stored, head, note).prove_continuation(old), note)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Heads:
    """Heads to ask about."""
    return Heads(tmp_path_factory.mktemp("heads"))


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """A witness that knows the log and has signed nothing."""
    return Witness(tmp_path / "witness", seeded_signer(NAME, seed("w")), [LOG.log_key])


def ask(witness: Witness, request: WitnessRequest) -> WitnessAnswer:
    """Ask at a known time."""
    return witness.add_checkpoint(request.to_bytes(), NOW)


def test_it_signs_what_continues(witness: Witness, heads: Heads) -> None:
    """A head is signed after nothing, a smaller size, and its own size; the line verifies over it, with the time."""
    for old, new in ((0, 100), (100, 100), (100, 300), (300, 300)):
        answer = ask(witness, heads.request(old, new))
        assert 200 == answer.status
        note = read_note(heads.heads[new])
        signed = replace(note, signatures=read_signature_lines(answer.body))
        assert [(witness.key, NOW)] == [
            (c.witness, c.time) for c in check_cosignatures(signed, [witness.key])
        ]


def test_it_says_its_size(witness: Witness, heads: Heads) -> None:
    """409 with the size of the head that it signed last, in the media type of the specification."""
    expected = WitnessAnswer(409, b"0\n", "text/x.tlog.size")
    assert expected == ask(witness, heads.request(100, 200))
    ask(witness, heads.request(0, 200))
    for old, new in ((0, 200), (100, 200), (0, 300), (100, 100)):
        assert replace(expected, body=b"200\n") == ask(witness, heads.request(old, new))


def test_it_signs_no_second_history(witness: Witness, heads: Heads, tmp_path: Path) -> None:
    """422 for another root of the same size, a proof that does not fit, a proof where none is needed, and no trace of it."""
    other = TestLog(tmp_path / "other")
    forked = other.add([forged(licence(1)), *licences(99, start=2)])
    ask(witness, heads.request(0, 100))
    good = heads.request(100, 200)
    wrong = [
        WitnessRequest(100, (), forked),
        replace(good, proof=good.proof[::-1]),
        replace(good, proof=()),
        replace(good, proof=(*good.proof, good.proof[0])),
    ]
    for request in wrong:
        assert 422 == ask(witness, request).status
    assert heads.heads[100].split(b"\n\n")[0] == witness.latest(HASH).body.split(b"\n\n")[0]
    assert 200 == ask(witness, good).status


def test_it_wants_no_proof_from_nothing(witness: Witness, heads: Heads) -> None:
    """422 where a proof comes with the old size 0, or the empty log has another root than RFC 6962 says."""
    request = heads.request(0, 100)
    assert 422 == ask(witness, replace(request, proof=(bytes(32),))).status
    empty = LOG.sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32))).to_bytes()
    assert 422 == ask(witness, WitnessRequest(0, (), empty)).status
    assert (
        200
        == ask(
            witness, WitnessRequest(0, (), LOG.sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT)).to_bytes())
        ).status
    )


def test_it_believes_the_logs_own_key_alone(witness: Witness, heads: Heads) -> None:
    """404 for an unknown log; 403 without its signature, or with one that does not fit beside a good one."""
    head = read_checkpoint(read_note(heads.heads[100]))
    stranger = seeded_signer("other.example.cn/log", seed("other"))
    unknown = stranger.sign_checkpoint(replace(head, origin="other.example.cn/log"))
    assert 404 == ask(witness, WitnessRequest(0, (), unknown.to_bytes())).status
    theirs = seeded_signer(ORIGIN, seed("thief")).sign_checkpoint(head)
    assert 403 == ask(witness, WitnessRequest(0, (), theirs.to_bytes())).status
    good = LOG.sign_checkpoint(head)
    spoilt = replace(good, signatures=(*good.signatures, log_line(LOG.log_key, bytes(64))))
    assert 403 == ask(witness, WitnessRequest(0, (), spoilt.to_bytes())).status
    beside = replace(good, signatures=(*theirs.signatures, *good.signatures))
    assert 200 == ask(witness, WitnessRequest(0, (), beside.to_bytes())).status


@pytest.mark.parametrize(
    "change",
    [
        lambda body: b"", lambda body: body[:-1], lambda body: body.replace(b"old 0", b"old 00"),
        lambda body: body.replace(b"old 0", b"old 101"), lambda body: body.replace(b"\n100\n", b"\n0100\n"),
        lambda body: body.replace(b"old 0", b"old"), lambda body: b"\xff" + body, lambda body: body + bytes(3 << 20),
    ],
)  # fmt: skip
def test_it_refuses_other_forms(witness: Witness, heads: Heads, change: object) -> None:
    """400 for what is no request, or has an old size over the head's."""
    body = change(heads.request(0, 100).to_bytes())  # type: ignore[operator]
    assert 400 == witness.add_checkpoint(body, NOW).status


def test_it_shows_what_it_signed(witness: Witness, heads: Heads) -> None:
    """The last head of a log with the log's signature and its own, and no stranger's; 404 before and for others."""
    assert 404 == witness.latest(HASH).status
    note = read_note(heads.heads[100])
    stranger = seeded_signer("w2", seed("w2")).cosign(note.text, 1)
    ask(witness, WitnessRequest(0, (), replace(note, signatures=(stranger, *note.signatures)).to_bytes()))
    shown = read_note(witness.latest(HASH).body)
    assert [LOG.log_key.name, NAME] == [line.name for line in shown.signatures]
    check_log_signature(shown, [LOG.log_key])
    assert 1 == len(check_cosignatures(shown, [witness.key]))
    assert 404 == witness.latest("0" * 64).status


def test_it_remembers(tmp_path: Path, heads: Heads) -> None:
    """A witness that starts anew goes on from what it signed; one whose memory is spoilt signs nothing."""
    folder = tmp_path / "w"
    first = Witness(folder, seeded_signer(NAME, seed("w")), [LOG.log_key])
    ask(first, heads.request(0, 200))
    first.close()
    second = Witness(folder, seeded_signer(NAME, seed("w")), [LOG.log_key])
    assert (409, b"200\n") == (
        ask(second, heads.request(0, 100)).status,
        ask(second, heads.request(0, 100)).body,
    )
    memory = folder / "signed" / HASH
    memory.chmod(0o644)
    memory.write_bytes(b"spoilt")
    assert 500 == ask(second, heads.request(0, 300)).status
    assert 500 == ask(second, heads.request(200, 300)).status


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second witness on the same folder could sign a second history: it is refused."""
    first = Witness(tmp_path, seeded_signer(NAME, seed("w")), [LOG.log_key])
    with pytest.raises(TransientError, match="another witness"):
        Witness(tmp_path, seeded_signer(NAME, seed("w")), [LOG.log_key])
    first.close()
    Witness(tmp_path, seeded_signer(NAME, seed("w")), [LOG.log_key]).close()


def test_a_witness_key_is_no_log_key(tmp_path: Path, witness: Witness) -> None:
    """It is told which logs it knows by their own keys."""
    with pytest.raises(UsageError):
        Witness(tmp_path / "x", seeded_signer(NAME, seed("w")), [witness.key])


def test_of_many_at_once_one_wins(witness: Witness, heads: Heads) -> None:
    """Requests at the same moment are taken one after the other: no two sizes from one old size."""
    gate = threading.Barrier(8)

    def go(number: int) -> int:
        request = heads.request(0, (100, 200, 300)[number % 3])
        gate.wait(10)
        return ask(witness, request).status

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(go, range(8)))
    assert [200, *[409] * 7] == sorted(answers)


def test_over_http(witness: Witness, heads: Heads) -> None:
    """Our own client gets the answers over HTTP; a request that is too large and other methods are refused."""
    with serving(witness_app(witness, lambda: NOW)) as address:
        client = WitnessClient(address, witness.key)
        note = read_note(heads.heads[200])
        assert 0 == conflict(client.cosign(note, heads.request(100, 200)))
        line = client.cosign(note, heads.request(0, 200))
        assert isinstance(line, NoteSignature)
        assert 200 == conflict(client.cosign(note, heads.request(0, 200)))
        status, body, kind = get(address, "GET", f"/{HASH}/checkpoint")
        assert (200, "text/plain; charset=utf-8") == (status, kind)
        assert [(witness.key, NOW)] == [
            (c.witness, c.time) for c in check_cosignatures(read_note(body), [witness.key])
        ]
        assert 404 == get(address, "GET", f"/{'0' * 64}/checkpoint")[0]
        assert 405 == get(address, "GET", "/add-checkpoint")[0]
        assert 413 == get(address, "POST", "/add-checkpoint", bytes(2 << 20))[0]


def test_a_lying_witness_is_no_witness(tmp_path: Path, heads: Heads) -> None:
    """An answer by another key, or no answer at all, is a failure that says why."""
    liar = Witness(tmp_path / "liar", seeded_signer(NAME, seed("liar")), [LOG.log_key])
    true = seeded_signer(NAME, seed("w")).witness_key
    note, request = read_note(heads.heads[100]), heads.request(0, 100)
    with serving(witness_app(liar)) as address:
        answer = WitnessClient(address, true).cosign(note, request)
    assert isinstance(answer, WitnessFailure)
    assert "without the witness's own signature" in answer.reason
    gone = WitnessClient(address, true).cosign(note, request)
    assert isinstance(gone, WitnessFailure)
    assert "no answer" in gone.reason


def test_keys_are_kept(tmp_path: Path) -> None:
    """A key file is for its owner alone, sealed where there is a passphrase, and never overwritten."""
    made, path = new_seed(), tmp_path / "witness.pem"
    write_key(path, made, "geheim")
    assert (0o600, made) == (path.stat().st_mode & 0o777, read_key_file(path, "geheim"))
    for wrong in ("other", None):
        with pytest.raises(KeysMissing):
            read_key_file(path, wrong)
    with pytest.raises(UsageError):
        write_key(path, made, None)
    with pytest.raises(KeysMissing):
        read_key_file(tmp_path / "none.pem", None)


def test_a_note_of_the_witness_in_the_process(tmp_path: Path, heads: Heads) -> None:
    """The witness of the other tests gives the same lines as the one over HTTP."""
    near = NearWitness(tmp_path / "near", NAME, LOG.log_key, now=NOW)
    note = read_note(heads.heads[100])
    line = near.cosign(note, heads.request(0, 100))
    assert isinstance(line, NoteSignature)
    assert 1 == len(check_cosignatures(Note(note.text, (line,)), [near.key]))


def conflict(answer: NoteSignature | WitnessFailure) -> int | None:
    """Return the size that a witness says it has seen."""
    assert isinstance(answer, WitnessFailure)
    return answer.size


def get(address: str, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, str | None]:
    """Send a request; return status, body and content type."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.getheader("Content-Type")
