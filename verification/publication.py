"""Proofs that an announcement was published before its seed could be known.

A proof is an RFC 3161 timestamp over the announcement's digest by a timestamp authority of the trust folder. A
transcript keeps its proofs in base64url.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from schemas.draw.documents import Announcement
from schemas.draw.seed import decode_base64url, encode_base64url
from schemas.errors import DrawError, UsageError
from schemas.trust import TrustStore
from verification.timestamps import stamped_at


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
            stamped_at(token, digests_of(announcement), trust)
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
    return stamped_at(token, digests_of(announcement), trust)
