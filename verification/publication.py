"""Proofs that an announcement was published before its seed could be known.

A proof is an RFC 3161 timestamp over the announcement's digest by a timestamp authority of the trust folder, or a proof
of the transparency log (C2SP tlog-proof) with a witness's cosignature, whose time counts. A transcript keeps its proofs in
base64url.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from schemas.draw.documents import Announcement
from schemas.draw.seed import decode_base64url, encode_base64url
from schemas.errors import DrawError, UsageError, VerificationError
from schemas.transparency.entries import AnnouncementEntry
from schemas.trust import TrustStore
from verification.timestamps import stamped_at
from verification.transparency import LogPolicy, policy_of, verify_proof


def digests_of(announcement: Announcement) -> set[bytes]:
    """Return the digests whose timestamp proves an announcement: its `announcement_digest`, or that of its file."""
    return {bytes.fromhex(announcement.digest), hashlib.sha256(announcement.bytes).digest()}


def read(paths: Iterable[Path], announcement: Announcement, trust: TrustStore) -> list[str]:
    """Read proofs from files and check them. Raise DrawError where one is wrong, UsageError where it is unreadable."""
    proofs = []
    for path in paths:
        try:
            token = path.read_bytes()
        except OSError as error:
            raise UsageError(f"无法读取 / cannot read it: {error.strerror}", where=str(path)) from None
        try:
            shown_at(token, announcement, trust)
        except DrawError as error:
            raise DrawError(error.message, where=str(path), hint=error.hint) from None
        proofs.append(encode_base64url(token))
    return proofs


def published_at(proof: str, announcement: Announcement, trust: TrustStore) -> datetime:
    """Return the time by which a kept proof shows that an announcement was published. Raise DrawError otherwise."""
    try:
        token = decode_base64url(proof)
    except ValueError:
        raise DrawError("证明不是 base64url / a proof is not base64url in its one form") from None
    return shown_at(token, announcement, trust)


def shown_at(token: bytes, announcement: Announcement, trust: TrustStore) -> datetime:
    """Return the time by which a timestamp or a log's proof shows an announcement. Raise DrawError otherwise."""
    if not token.startswith(b"c2sp.org/tlog-proof"):
        return stamped_at(token, digests_of(announcement), trust)
    policy = policy_of(trust)
    if policy is None:
        raise DrawError("信任文件夹中没有透明日志 / the trust folder names no transparency log")
    return witnessed_at(token, announcement, policy)


def witnessed_at(proof: bytes, announcement: Announcement, policy: LogPolicy) -> datetime:
    """Return the time by which enough witnesses, at least one, had signed a log with this announcement.

    Raise DrawError where the proof is not of this announcement, or no witness signed.
    """
    authority, sequence = announcement.plan.authority, announcement.sequence
    entry = AnnouncementEntry(authority, sequence, announcement.digest)
    try:
        seen = verify_proof(proof, entry.to_bytes(), policy).seen
    except VerificationError as error:
        raise DrawError(
            error.message, hint="a proof of this very announcement: zhengzhao transparency prove"
        ) from None
    at = seen.witnessed_by(max(policy.needed, 1))
    if at is None:
        raise DrawError("日志证明没有见证签名 / no witness signed the log's checkpoint")
    return datetime.fromtimestamp(at, UTC)
