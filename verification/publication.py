"""Proofs that an announcement was published before its seed could be known.

A proof is an RFC 3161 timestamp over the announcement's digest by a timestamp authority of the trust folder, or a proof
of the transparency log (C2SP tlog-proof) with a witness's cosignature, whose time counts. A transcript keeps its proofs in
base64url.

RFC 3161 timestamps by the authorities of a trust folder: proofs that some bytes existed at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path

import rfc3161_client
from cryptography import x509

from schemas.draw.documents import Announcement
from schemas.draw.seed import decode_base64url, encode_base64url
from schemas.errors import DrawError, UsageError, VerificationError
from schemas.transparency.entries import AnnouncementEntry
from schemas.trust import TrustStore
from verification.log_book import LogPolicy, policy_of, verify_proof

MAX_TOKEN = 64 << 10  # bytes
_GRANTED = bytes.fromhex("3003020100")  # PKIStatusInfo: granted
_SHA256 = "2.16.840.1.101.3.4.2.1"


def stamped_at(token: bytes, digests: Collection[bytes], trust: TrustStore) -> datetime:
    """Return the time of a timestamp over one of these SHA-256 digests.

    `token` is a TimeStampResp or a bare TimeStampToken, in DER. Raise DrawError where it is neither, is over other
    bytes, or no timestamp authority of the trust folder made it.
    """
    if not trust.timestamps:
        raise DrawError(
            "信任文件夹中没有时间戳机构 / the trust folder names no timestamp authority",
            hint="zhengzhao draw party add NAME CERTIFICATE.pem --timestamp",
        )
    response = _read(token)
    info = response.tst_info
    digest = bytes(info.message_imprint.message)
    if info.message_imprint.hash_algorithm.dotted_string != _SHA256 or digest not in digests:
        raise DrawError(
            "时间戳不是对该公告的 / the timestamp is over other bytes",
            hint="openssl ts -query -sha256 -digest <announcement_digest>",
        )
    if not any(_verifies(response, digest, trust.timestamps, signer) for signer in (None, *trust.timestamps)):
        raise DrawError(
            "时间戳不是信任文件夹所列机构签发 / no timestamp authority of the trust folder made this timestamp"
        )
    return info.gen_time.astimezone(UTC)


def is_timestamp_of(token: bytes, digests: Collection[bytes]) -> bool:
    """Return True for a timestamp over one of these digests, whoever made it."""
    try:
        return bytes(_read(token).tst_info.message_imprint.message) in digests
    except DrawError:
        return False


def _verifies(
    response: rfc3161_client.TimeStampResponse,
    digest: bytes,
    roots: tuple[x509.Certificate, ...],
    signer: x509.Certificate | None,
) -> bool:
    verifier = rfc3161_client.VerifierBuilder(tsa_certificate=signer, roots=list(roots)).build()
    try:
        return verifier.verify(response, digest)
    except (rfc3161_client.VerificationError, ValueError):
        return False


def _read(token: bytes) -> rfc3161_client.TimeStampResponse:
    if len(token) > MAX_TOKEN:
        raise DrawError("时间戳过长 / the timestamp is too long")
    for data in (token, _wrapped(token)):
        try:
            response = rfc3161_client.decode_timestamp_response(data)
            _ = response.tst_info.gen_time  # The token inside is decoded only when it is asked for.
        except ValueError:
            continue
        return response
    raise DrawError(
        "不是 RFC 3161 时间戳 / not an RFC 3161 timestamp", hint="openssl ts -reply -out FILE.tsr"
    )


def _wrapped(token: bytes) -> bytes:
    """Wrap a bare token as the granted response in which an authority sends it."""
    body = _GRANTED + token
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    length = size if len(body) < 0x80 else bytes([0x80 | len(size)]) + size
    return b"\x30" + length + body


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
