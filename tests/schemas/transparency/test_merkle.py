"""The Merkle tree: known roots, proofs of every size, and nothing that verifies after a change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import VerificationError
from schemas.transparency.merkle import (
    EMPTY_ROOT,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
)

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [  # of the first 0 to 8 leaves; the test vectors that certificate transparency logs share
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Tree:
    """A tree in memory, hashed by the recursive definition of RFC 6962."""

    def __init__(self, entries: list[bytes]) -> None:
        self.entries = entries

    def __call__(self, level: int, index: int) -> bytes:
        return self.over(self.entries[index << level : (index + 1) << level])

    def over(self, entries: list[bytes]) -> bytes:
        if not entries:
            return EMPTY_ROOT
        if len(entries) == 1:
            return leaf_hash(entries[0])
        split = 1
        while split * 2 < len(entries):
            split *= 2
        return node_hash(self.over(entries[:split]), self.over(entries[split:]))

    def root(self, size: int) -> bytes:
        return self.over(self.entries[:size])


def tree(size: int) -> Tree:
    """Return a tree of entries that differ."""
    return Tree([b"entry %d" % n for n in range(size)])


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    """The roots of the well-known eight leaves come out."""
    entries = [bytes.fromhex(text) for text in LEAVES]
    assert ROOTS[size] == root_hash(size, Tree(entries)).hex()


def test_every_inclusion_proof_to_size_33() -> None:
    """Each entry of each small tree is proved."""
    whole = tree(33)
    for size in range(1, 34):
        for index in range(size):
            proof = inclusion_proof(index, size, whole)
            check_inclusion(leaf_hash(whole.entries[index]), index, size, proof, whole.root(size))


def test_every_consistency_proof_to_size_33() -> None:
    """Each pair of sizes is proved; none is needed from an empty tree or an equal one."""
    whole = tree(33)
    for new in range(34):
        for old in range(new + 1):
            proof = consistency_proof(old, new, whole)
            assert (proof == ()) == (old in (0, new))
            check_consistency(old, whole.root(old), new, whole.root(new), proof)


@given(size=st.integers(1, 400), data=st.data())
def test_no_changed_inclusion_proof_verifies(size: int, data: st.DataObject) -> None:
    """Another entry, index, size, root or path, one bit changed, or a hash more or less: refused."""
    whole = tree(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(index, size, whole), whole.root(size)
    entry = leaf_hash(whole.entries[index])
    check_inclusion(entry, index, size, proof, root)
    other = data.draw(st.integers(0, size + 3).filter(lambda n: n != index))
    bit = data.draw(st.integers(0, 255))
    wrong = [
        (flip(entry, bit), index, size, proof, root),
        (entry, other, size, proof, root),
        (entry, index, size, proof, flip(root, bit)),
        (entry, index, size, (*proof, entry), root),
    ]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        wrong += [
            (entry, index, size, (*proof[:at], flip(proof[at], bit), *proof[at + 1 :]), root),
            (entry, index, size, proof[:-1], root),
        ]
    for arguments in wrong:
        with pytest.raises(VerificationError):
            check_inclusion(*arguments)


@given(new=st.integers(1, 400), data=st.data())
def test_no_changed_consistency_proof_verifies(new: int, data: st.DataObject) -> None:
    """A changed root or path, one bit, a hash more or less, or a tree that shrank: refused."""
    whole = tree(new)
    old = data.draw(st.integers(1, new))
    proof = consistency_proof(old, new, whole)
    before, after = whole.root(old), whole.root(new)
    check_consistency(old, before, new, after, proof)
    bit = data.draw(st.integers(0, 255))
    wrong = [
        (old, flip(before, bit), new, after, proof),
        (old, before, new, flip(after, bit), proof),
        (old, before, new, after, (*proof, before)),
        (new + 1, before, new, after, proof),
    ]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        wrong += [
            (old, before, new, after, (*proof[:at], flip(proof[at], bit), *proof[at + 1 :])),
            (old, before, new, after, proof[:-1]),
            (old, before, new, after, ()),
        ]
    for arguments in wrong:
        with pytest.raises(VerificationError):
            check_consistency(*arguments)


def test_a_second_history_has_no_proof() -> None:
    """No consistency proof leads from a tree whose entry was changed to the true one."""
    true, changed = tree(20), tree(20)
    changed.entries[3] = b"another"
    for old in range(4, 20):
        with pytest.raises(VerificationError):
            check_consistency(old, changed.root(old), 20, true.root(20), consistency_proof(old, 20, true))


def test_no_proof_beyond_the_tree() -> None:
    """A proof of an entry or an older tree that is not there is refused before any hash is read."""
    with pytest.raises(ValueError, match="no entry 5"):
        inclusion_proof(5, 5, tree(5))
    with pytest.raises(ValueError, match="continues none"):
        consistency_proof(6, 5, tree(5))


def flip(data: bytes, bit: int) -> bytes:
    """Return the bytes with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
