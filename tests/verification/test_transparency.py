"""A proof by a stranger: inclusion, the log's signature, and enough witnesses."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import ORIGIN, NearWitness, TestLog, forged, licence, licences, seed
from msgspec.structs import replace

from infra.transparency.client import LogReader
from infra.transparency.sequencer import seeded_signer
from schemas.errors import VerificationError
from schemas.transparency.notes import Checkpoint, VerifierKey, read_checkpoint, read_note, read_proof
from verification.log_book import LogPolicy, verify_checkpoint, verify_continuation, verify_proof

LOG = seeded_signer(ORIGIN, seed("log"))


def witnesses(folder: Path, count: int = 3) -> list[NearWitness]:
    """Return witnesses, each a minute later than the one before."""
    return [
        NearWitness(folder / f"w{n}", f"witness.example.cn/{n}", LOG.log_key, now=1_700_000_000 + 60 * n)
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> TestLog:
    """A log of 300 licences with three witnesses, of whom two are needed."""
    folder = tmp_path_factory.mktemp("log")
    made = TestLog(folder, witnesses(folder), needed=2)
    made.add(licences(300))
    return made


def test_a_proof_verifies(log: TestLog) -> None:
    """The entry stands at its index, under a head that enough witnesses signed by a known time."""
    for serial in (1, 255, 256, 257, 300):
        found = verify_proof(
            log.writer.prove(licence(serial).id).to_bytes(), licence(serial).to_bytes(), log.policy
        )
        assert serial - 1 == found.index
        assert [1_700_000_000, 1_700_000_060, 1_700_000_120, None] == [
            found.seen.witnessed_by(n) for n in (1, 2, 3, 4)
        ]


def test_another_entry_has_no_proof(log: TestLog) -> None:
    """A licence beside the log, or with another object, is not in it."""
    proof = log.writer.prove(licence(7).id).to_bytes()
    for entry in (licence(8), licence(301), forged(licence(7))):
        with pytest.raises(VerificationError, match="does not lead to the root"):
            verify_proof(proof, entry.to_bytes(), log.policy)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_changed_proof_verifies(log: TestLog, data: st.DataObject) -> None:
    """One bit of a proof changed anywhere, in a signature of a known key too: refused."""
    proof = log.writer.prove(licence(123).id).to_bytes()
    bit = data.draw(st.integers(0, 8 * len(proof) - 1))
    changed = bytearray(proof)
    changed[bit // 8] ^= 1 << bit % 8
    everyone = replace(log.policy, needed=3)  # else the line of one witness may go missing
    with pytest.raises(VerificationError):
        verify_proof(bytes(changed), licence(123).to_bytes(), everyone)


@pytest.mark.parametrize("needed", [0, 1, 2, 3, 4])
def test_enough_witnesses_must_have_signed(log: TestLog, needed: int) -> None:
    """A head counts with as many distinct witnesses as the policy needs."""
    head = log.stored.fetch("checkpoint")
    policy = replace(log.policy, needed=needed)
    if needed <= 3:
        assert 300 == verify_checkpoint(head, policy).checkpoint.size
    else:
        with pytest.raises(VerificationError, match="3 of the 4 witnesses"):
            verify_checkpoint(head, policy)


def test_one_key_under_two_names_is_one_witness(tmp_path: Path) -> None:
    """An operator cannot stand in for two witnesses with one key."""
    one = NearWitness(tmp_path / "w", "w.example.cn/1", LOG.log_key)
    log = TestLog(tmp_path, [one])
    note = read_note(log.add(licences(3)))
    second = seeded_signer("w.example.cn/2", seed("w.example.cn/1"))
    both = replace(note, signatures=(*note.signatures, second.cosign(note.text, 5))).to_bytes()
    policy = LogPolicy(ORIGIN, (LOG.log_key,), (one.key, second.witness_key), 2)
    with pytest.raises(VerificationError, match="needed"):
        verify_checkpoint(both, policy)
    assert 5 == verify_checkpoint(both, replace(policy, needed=1)).witnessed_by(1)


def test_strangers_count_for_nothing(log: TestLog) -> None:
    """Another log's key, another origin, and witnesses that nobody named."""
    head = log.stored.fetch("checkpoint")
    stranger = VerifierKey(ORIGIN, 1, seeded_signer(ORIGIN, seed("stranger")).log_key.public)
    for policy, why in (
        (replace(log.policy, keys=(stranger,)), "no signature by a known key"),
        (replace(log.policy, origin="other.example.cn/log"), "is of the log"),
        (replace(log.policy, witnesses=()), "0 of the 2"),
    ):
        with pytest.raises(VerificationError, match=why):
            verify_checkpoint(head, policy)


def test_a_log_continues_what_was_seen(tmp_path: Path) -> None:
    """Heads of one log continue each other; those of another origin, or cut, do not."""
    log = TestLog(tmp_path)
    old = read_checkpoint(read_note(log.add(licences(100))))
    note = log.add(licences(200, start=101))
    new = read_checkpoint(read_note(note))
    proof = LogReader(log.stored, new, note).prove_continuation(100)
    verify_continuation(old, new, proof)
    for before, after in (
        (new, old),
        (replace(old, origin="x"), new),
        (Checkpoint(ORIGIN, 100, bytes(32)), new),
    ):
        with pytest.raises(VerificationError):
            verify_continuation(before, after, proof)
    assert (
        300
        == read_checkpoint(read_note(read_proof(log.writer.prove(licence(1).id).to_bytes()).checkpoint)).size
    )
