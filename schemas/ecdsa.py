"""ECDSA P-256 signatures as they travel: raw `r ‖ s` (COSE, JOSE) and DER (CMS), one form of each.

For each signature (r, s) the pair (r, n − s) verifies too. Who holds no key could so turn a signed object
into another one that verifies. Therefore our signers give the lower s and our verifiers accept no other.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2)
RAW_LENGTH = 64
_SCHEME = ec.ECDSA(SHA256())


def raw_to_der(raw: bytes) -> bytes:
    """The DER form of a raw signature; ValueError when that is not 64 bytes long."""
    if len(raw) != RAW_LENGTH:
        raise ValueError("a raw P-256 signature has 64 bytes")
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def der_to_raw(der: bytes) -> bytes:
    """The raw form of a DER signature; ValueError when the DER is not exact or a number is out of range."""
    r, s = decode_dss_signature(der)
    if not (0 < r < ORDER and 0 < s < ORDER) or encode_dss_signature(r, s) != der:
        raise ValueError("no P-256 signature in exact DER")
    return r.to_bytes(32) + s.to_bytes(32)


def low_s(raw: bytes) -> bytes:
    """Of the two signatures (r, s) and (r, n − s) the one with the lower s."""
    s = int.from_bytes(raw[32:])
    return raw if s <= ORDER // 2 else raw[:32] + (ORDER - s).to_bytes(32)


def verifies(public: ec.EllipticCurvePublicKey, raw: bytes, message: bytes) -> bool:
    """Whether `raw` is the signature with the lower s over `message` (SHA-256) by this key."""
    if len(raw) != RAW_LENGTH or not 0 < int.from_bytes(raw[32:]) <= ORDER // 2:
        return False
    try:
        public.verify(raw_to_der(raw), message, _SCHEME)
    except InvalidSignature:
        return False
    return True
