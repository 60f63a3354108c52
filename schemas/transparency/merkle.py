"""Merkle tree arithmetic of RFC 6962, section 2.1, with SHA-256.

A tree over n entries is known by the hashes of its *complete subtrees*: `(level, index)` names the one over the
entries `index · 2^level` to `(index + 1) · 2^level − 1`; level 0 holds the leaf hashes. Such a hash never changes
while the log grows. A :data:`HashReader` gives it, from memory or from tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from schemas.errors import VerificationError

HASH_SIZE: Final = 32
MAX_SIZE: Final = 1 << 62  # entries; larger claims are refused before any arithmetic
MAX_PROOF: Final = 63  # hashes, as C2SP tlog-witness allows
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()

HashReader = Callable[[int, int], bytes]
Span = tuple[int, int]  # entries from the first number to before the second


def leaf_hash(entry: bytes) -> bytes:
    """Return the leaf hash of an entry: SHA-256 of 0x00 and its bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_hash(size: int, read: HashReader) -> bytes:
    """Return the root of the tree over the first `size` entries."""
    return _hash_of((0, size), read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: HashReader) -> tuple[bytes, ...]:
    """Return the audit path of entry `index` in the tree of `size` entries, the leaf's sibling first.

    Raises ValueError where the tree has no such entry.
    """
    return tuple(_hash_of(span, read) for span in inclusion_spans(index, size))


def consistency_proof(old: int, new: int, read: HashReader) -> tuple[bytes, ...]:
    """Return the proof that the tree of `new` entries continues the one of `old`; empty for 0 and for equal sizes.

    Raises ValueError where `old` is the larger.
    """
    return tuple(_hash_of(span, read) for span in consistency_spans(old, new))


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return the spans whose hashes make up an inclusion proof, in its order (RFC 6962, 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} entries has no entry {index}")
    low, high, spans = 0, size, []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """Return the spans whose hashes make up a consistency proof, in its order (RFC 6962, 2.1.2)."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} entries continues none of {old}")
    low, high, spans = 0, new, []
    while 0 < old < high:
        middle = low + _split(high - low)
        if old <= middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    if low > 0:  # the old tree is no subtree of the new one: its last part is told
        spans.append((low, high))
    return spans[::-1]


def check_inclusion(entry_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Verify an inclusion proof (RFC 9162, 2.1.3.2). Raises VerificationError where it does not lead to `root`."""
    if not 0 <= index < size <= MAX_SIZE:
        raise VerificationError(f"日志没有第 {index} 条 / a log of {size} entries has no entry {index}")
    place, last, found = index, size - 1, entry_hash
    for sibling in proof:
        if last == 0:
            raise VerificationError("收录证明过长 / the inclusion proof is too long")
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    if last or found != root:
        raise VerificationError("收录证明与根不符 / the inclusion proof does not lead to the root of the log")


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Verify a consistency proof (RFC 9162, 2.1.4.2). Raises VerificationError where the new tree is no continuation."""
    if not 0 <= old <= new <= MAX_SIZE:
        raise VerificationError(f"日志变短 / the log shrank from {old} entries to {new}")
    if old in (0, new):
        same = old_root == (EMPTY_ROOT if old == 0 else new_root)
        if proof or not same:
            raise VerificationError(
                f"同样大小的两个不同的日志 / two different logs of {old} entries"
                if not same
                else "多余的证明 / a proof where none is needed"
            )
        return
    if old_root != new_root and _consistent(old, old_root, new, new_root, list(proof)):
        return
    raise VerificationError(
        f"日志不是先前日志的延续 / the log of {new} entries does not continue the one of {old}"
    )


def _consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    if old & (old - 1) == 0:
        proof.insert(0, old_root)
    if not proof:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _hash_of(span: Span, read: HashReader) -> bytes:
    """Return the hash over a span that begins at a multiple of its largest complete subtree."""
    peaks = [read(level, index) for level, index in _subtrees(span)]
    return fold_peaks(peaks)


def fold_peaks(peaks: Sequence[bytes]) -> bytes:
    """Return the one hash over complete subtrees of falling size, left to right; there is at least one."""
    found = peaks[-1]
    for left in reversed(peaks[:-1]):
        found = node_hash(left, found)
    return found


def _subtrees(span: Span) -> Iterator[tuple[int, int]]:
    low, high = span
    while low < high:
        level = (high - low).bit_length() - 1
        yield level, low >> level
        low += 1 << level


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
