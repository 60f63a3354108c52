"""RFC 3161 timestamps by the authorities of a trust folder: proofs that some bytes existed at a time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import rfc3161_client
from cryptography import x509

from schemas.errors import DrawError
from schemas.trust import TrustStore

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
