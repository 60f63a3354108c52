"""The one writer of a log: order first, tiles before the head, witnesses asked from where they stand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import ORIGIN, NearWitness, TestLog, forged, licence, licences, seed
from memory_store import MemoryStore

from infra.transparency.sequencer import SqliteOrder, seeded_signer
from schemas.errors import NotFound, ObjectDiffers, StoreUnavailable, VerificationError
from schemas.transparency.entries import TrustEntry
from schemas.transparency.notes import read_checkpoint, read_note, read_proof
from verification.log_audit import audit
from verification.log_book import verify_checkpoint, verify_proof

LOG_KEY = seeded_signer(ORIGIN, seed("log")).log_key


def size_of(note: bytes) -> int:
    """Return the size of a head."""
    return read_checkpoint(read_note(note)).size


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.integers(0, 400), min_size=1, max_size=6))
def test_each_head_is_supported(tmp_path_factory: pytest.TempPathFactory, steps: list[int]) -> None:
    """After every step, with a new writer or the same, the audit since any earlier head passes."""
    log = TestLog(tmp_path_factory.mktemp("log"))
    heads: list[bytes] = []
    at = 0
    for number, step in enumerate(steps):
        if number % 2:
            log.open()
        heads.append(log.add(licences(step, start=at + 1)))
        at += step
        assert at == size_of(heads[-1])
    for head in heads:
        assert audit(log.stored, log.policy, since=head).ok


def test_an_entry_told_twice_has_one_place(tmp_path: Path) -> None:
    """Content that was told before changes neither order nor head."""
    log = TestLog(tmp_path)
    first = log.add(licences(5))
    assert 0 == log.writer.append(licences(5))
    assert first == log.writer.publish().note
    assert 1 == log.writer.append([*licences(5), forged(licence(1))])
    assert 6 == log.writer.publish().size


def test_an_entry_that_no_reader_takes_is_refused(tmp_path: Path) -> None:
    """It gets no place, and neither does what came with it."""
    log = TestLog(tmp_path)
    with pytest.raises(VerificationError):
        log.writer.append([licence(1), TrustEntry(0, "x")])
    assert 0 == log.order.size()


def test_partial_tiles_of_the_past_are_deleted(tmp_path: Path) -> None:
    """Once the full tile stands under a published head, partial ones before it go; readers take the full one."""
    log = TestLog(tmp_path)
    old = log.add(licences(200))
    log.add(licences(100, start=201))
    partial = [key for key in log.files() if ".p/" in key]
    assert ["log/tile/0/001.p/44", "log/tile/1/000.p/1", "log/tile/entries/001.p/44"] == partial
    log.store.replace("log/checkpoint", old)
    assert audit(log.stored, log.policy).ok


def test_a_head_beyond_the_order_is_refused(tmp_path: Path) -> None:
    """An order restored from an old backup must not go on under the published log: what is lost is said."""
    log = TestLog(tmp_path / "a")
    log.add(licences(10))
    log.order = SqliteOrder(tmp_path / "b" / "order.sqlite")
    log.order.append(licences(7))
    with pytest.raises(VerificationError, match="has 10 entries, the order only 7: what came from entry 7"):
        log.open()


def test_an_order_that_differs_is_refused(tmp_path: Path) -> None:
    """Another order under the same head is noticed when the writer is opened."""
    log = TestLog(tmp_path / "a")
    log.add(licences(10))
    log.order = SqliteOrder(tmp_path / "b" / "order.sqlite")
    log.order.append([*licences(8), licence(10), licence(9)])
    with pytest.raises(VerificationError, match="differs from the published log"):
        log.open()


@pytest.mark.parametrize("path", ["tile/0/001.p/44", "tile/entries/001.p/44", "tile/1/000.p/1"])
def test_tiles_that_are_not_the_heads_are_refused(tmp_path: Path, path: str) -> None:
    """A writer does not go on from tiles that were changed or lost."""
    log = TestLog(tmp_path)
    log.add(licences(300))
    data = log.stored.fetch(path)
    for changed in (bytes(32) + data[32:], data[:-1], None):
        log.store.erase(f"log/{path}")  # type: ignore[attr-defined]
        if changed is not None:
            log.store.put(f"log/{path}", changed)
        with pytest.raises(VerificationError):
            log.open()


def test_a_head_of_another_key_is_refused(tmp_path: Path) -> None:
    """A writer goes on only from a head that it signed, or one by a former key that it is told of."""
    log = TestLog(tmp_path)
    log.add(licences(3))
    log.signer = seeded_signer(ORIGIN, seed("new"))
    with pytest.raises(VerificationError):
        log.open()


class Failing(MemoryStore):
    """A store that fails from a write on."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 10**6

    def put(self, key: str, data: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("no room", where=key)
        super().put(key, data)


def test_a_store_that_fails_loses_nothing(tmp_path: Path) -> None:
    """Wherever the store fails the head stays, and the next try ends as if nothing had been."""
    store = Failing()
    log = TestLog(tmp_path / "a", store=store)
    old = log.add(licences(200))
    log.writer.append(licences(400, start=201))
    for room in range(7):  # bundles, tiles of level 0, one of level 1
        store.left = room
        with pytest.raises(StoreUnavailable):
            log.writer.publish()
        assert old == log.stored.head()
        assert audit(log.stored, log.policy).ok
    store.left = 10**6
    assert 600 == log.writer.publish().size
    unbroken = TestLog(tmp_path / "b")
    assert unbroken.add(licences(600)) == log.stored.head()


def test_two_writers_cannot_both_go_on(tmp_path: Path) -> None:
    """A second writer with another order runs into tiles that hold other bytes, before it signs anything."""
    log = TestLog(tmp_path / "a")
    log.add(licences(10))
    other = SqliteOrder(tmp_path / "b" / "order.sqlite")
    other.append(licences(10))
    one = log.open()
    log.order, mine = other, log.order
    two = log.open()
    one.append([licence(11)])
    two.append([licence(12)])
    assert mine.size() == other.size() == 11
    head = one.publish().note
    with pytest.raises(ObjectDiffers):
        two.publish()
    assert head == log.stored.head()


# Witnesses


def near(folder: Path, *names: str) -> list[NearWitness]:
    """Return witnesses of these names."""
    return [NearWitness(folder / name, f"{name}.example.cn", LOG_KEY) for name in names]


def test_witnesses_sign_each_head(tmp_path: Path) -> None:
    """Each is asked with the proof from the size that it knows; a new writer learns it from their answer."""
    both = near(tmp_path, "w1", "w2")
    log = TestLog(tmp_path, both, needed=2)
    for start in (1, 101, 201):
        head = log.add(licences(100, start=start))
        assert 2 == len(verify_checkpoint(head, log.policy).cosignatures)
    assert [0, 100, 200] == [request.old for request in both[0].asked]
    log.open()
    log.add(licences(1, start=301))
    assert [0, 100, 200, 0, 300] == [request.old for request in both[0].asked]


def test_a_witness_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    """The head is published with what there is, and asked for again until enough have signed."""
    one, two = both = near(tmp_path, "w1", "w2")
    log = TestLog(tmp_path, both, needed=2)
    two.away = True
    log.writer.append(licences(5))
    head = log.writer.publish()
    assert (5, ["w2.example.cn"]) == (head.size, [f.witness for f in head.failures])
    two.away = False
    assert () == log.writer.publish().failures
    assert 2 == len(verify_checkpoint(log.stored.fetch("checkpoint"), log.policy).cosignatures)
    asked = len(one.asked)
    log.writer.publish()
    assert asked == len(one.asked)  # enough: nobody is troubled again


def test_a_rewritten_log_gets_no_signature(tmp_path: Path) -> None:
    """An operator who cuts or changes what a witness has signed goes on without its signature, and hears why."""
    (witness,) = near(tmp_path, "w1")
    true = TestLog(tmp_path / "true", [witness])
    true.add(licences(100))
    cut = TestLog(tmp_path / "cut", [witness])
    cut.writer.append(licences(90))
    (failure,) = cut.writer.publish().failures
    assert "100 entries, here 90" in failure.reason
    cut.writer.append([forged(licence(n)) for n in range(91, 120)])
    (failure,) = cut.writer.publish().failures
    assert "HTTP 422" in failure.reason
    true.add(licences(1, start=101))
    assert 1 == len(verify_checkpoint(true.stored.fetch("checkpoint"), true.policy).cosignatures)


# Proofs


def test_a_proof_of_the_past(tmp_path: Path) -> None:
    """The oldest head that has an entry proves by when witnesses had signed it; later ones prove it today."""
    (witness,) = near(tmp_path, "w1")
    log = TestLog(tmp_path, [witness], needed=1)
    for number in range(1, 4):
        witness.now = 1_000 * number
        log.add(licences(100, start=100 * number - 99))
    entry = licence(150)
    for before, size in ((None, 300), (2_001, 200)):
        proof = log.writer.prove(entry.id, before=before).to_bytes()
        found = verify_proof(proof, entry.to_bytes(), log.policy)
        assert (149, size) == (found.index, found.seen.checkpoint.size)
    with pytest.raises(NotFound, match="no witness"):
        log.writer.prove(entry.id, before=2_000)
    with pytest.raises(NotFound, match="not in the published log"):
        log.writer.prove(licence(999).id)


def test_a_proof_while_a_witness_is_away(tmp_path: Path) -> None:
    """An entry under an earlier, witnessed head is proved by that one, a later entry by the head there is."""
    (witness,) = near(tmp_path, "w1")
    log = TestLog(tmp_path, [witness], needed=1)
    log.add(licences(10))
    witness.away = True
    log.add(licences(10, start=11))
    assert [10, 20] == [
        size_of(read_proof(log.writer.prove(licence(n).id).to_bytes()).checkpoint) for n in (5, 15)
    ]


def test_what_is_not_published_has_no_proof(tmp_path: Path) -> None:
    """An entry with a place, but under no head yet, is not proved."""
    log = TestLog(tmp_path)
    log.add(licences(3))
    log.writer.append([licence(4)])
    with pytest.raises(NotFound):
        log.writer.prove(licence(4).id)


def test_a_large_order_is_read_in_parts(tmp_path: Path) -> None:
    """Entries stand under their places, however they are read."""
    order = SqliteOrder(tmp_path / "order.sqlite")
    given: Iterable[int] = [s.index for s in order.append(licences(5_000))]
    assert list(range(5_000)) == given
    assert [e.to_bytes() for e in licences(5_000)][1_000:4_500] == list(order.read(1_000, 4_500))
    assert 4_321 == order.index_of(licence(4_322).id)
    assert order.index_of("x") is None
