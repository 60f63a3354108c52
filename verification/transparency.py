"""Verification of what a log shows: its checkpoint, the witnesses' signatures, inclusion and continuation.

Nothing is believed but the policy: the log's origin and keys, the witnesses, and how many of them are needed.
"""

from __future__ import annotations

import msgspec

from schemas.errors import VerificationError
from schemas.transparency.merkle import check_consistency, check_inclusion, leaf_hash
from schemas.transparency.notes import (
    Checkpoint,
    Cosignature,
    VerifierKey,
    check_cosignatures,
    check_log_signature,
    read_checkpoint,
    read_note,
    read_proof,
)
from schemas.trust import TrustStore


class LogPolicy(msgspec.Struct, frozen=True):
    """The parties that a verifier believes: the log's origin and keys, witnesses, and how many of them must have signed."""

    origin: str
    keys: tuple[VerifierKey, ...]
    witnesses: tuple[VerifierKey, ...] = ()
    needed: int = 0


class WitnessedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint with a good signature of its log, and what known witnesses signed of it."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]
    data: bytes

    def witnessed_by(self, needed: int) -> int | None:
        """Return the moment (seconds since 1970) by which `needed` distinct witnesses had signed; None for fewer."""
        first: dict[bytes, int] = {}
        for one in self.cosignatures:  # one key under two names is one witness
            first[one.witness.public] = min(one.time, first.get(one.witness.public, one.time))
        times = sorted(first.values())
        return times[needed - 1] if 0 < needed <= len(times) else None


class Inclusion(msgspec.Struct, frozen=True):
    """A verified proof: the entry stands at `index` in the log of the checkpoint."""

    index: int
    seen: WitnessedCheckpoint


def verify_checkpoint(data: bytes, policy: LogPolicy) -> WitnessedCheckpoint:
    """Verify a checkpoint: (1) its form, (2) its origin, (3) the log's signature, (4) the witnesses and their number.

    Raises VerificationError for the first that fails. A known key's bad signature refuses the whole note.
    """
    note = read_note(data)  # (1)
    checkpoint = read_checkpoint(note)
    if checkpoint.origin != policy.origin:  # (2)
        raise VerificationError(
            f"另一个日志 / the checkpoint is of the log {checkpoint.origin[:80]!r}, not of {policy.origin!r}"
        )
    check_log_signature(note, policy.keys)  # (3)
    seen = WitnessedCheckpoint(checkpoint, check_cosignatures(note, policy.witnesses), data)
    if policy.needed and seen.witnessed_by(policy.needed) is None:  # (4)
        raise VerificationError(
            f"见证签名不足 / {len(seen.cosignatures)} of the {policy.needed} witnesses needed have signed"
        )
    return seen


def verify_proof(proof: bytes, entry: bytes, policy: LogPolicy) -> Inclusion:
    """Verify that an entry stands in the log that a proof (tlog-proof) names. Raises VerificationError."""
    read = read_proof(proof)
    seen = verify_checkpoint(read.checkpoint, policy)
    head = seen.checkpoint
    check_inclusion(leaf_hash(entry), read.index, head.size, read.path, head.root)
    return Inclusion(read.index, seen)


def verify_continuation(old: Checkpoint, new: Checkpoint, proof: tuple[bytes, ...]) -> None:
    """Verify that one checkpoint continues the other. Raises VerificationError where it does not."""
    if old.origin != new.origin:
        raise VerificationError(f"两个不同的日志 / two logs: {old.origin!r} and {new.origin!r}")
    check_consistency(old.size, old.root, new.size, new.root, proof)


def policy_of(trust: TrustStore) -> LogPolicy | None:
    """Return whom a trust folder names for its log, None where it has no log. A revoked key counts no more."""
    keys = tuple(verifier for key, verifier in trust.log_keys if key.revoked_since is None)
    listing = trust.listing
    return LogPolicy(listing.log_origin, keys, trust.witnesses, listing.witnesses_needed) if keys else None
