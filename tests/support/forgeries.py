"""Ways to make what an authority's key signed, but no issuer would: for tests of verifiers."""

from __future__ import annotations

import hashlib
from typing import Any

from bureau import Bureau
from cryptography.hazmat.primitives.serialization import Encoding

from issuance import seal
from issuance.signer import ES256
from schemas import signatures
from schemas.trust import Use

_GAP = 4096  # hex digits of /Contents


def kid_of(bureau: Bureau, authority: str, use: Use, at: Any) -> str:
    """Return the id of the key with which an authority signs at a moment."""
    return bureau.trust.signing_key(authority, use, at).kid


def sign(bureau: Bureau, kid: str, payload: signatures.Value, type_: str = signatures.CWT) -> bytes:
    """Return a COSE_Sign1 over any claims by a key of the bureau; bytes are taken as the payload itself."""
    raw = payload if isinstance(payload, bytes) else signatures.encode(payload)
    return sign_header(bureau, kid, signatures.protected_header(kid, type_), raw)


def sign_header(bureau: Bureau, kid: str, header: bytes, payload: bytes) -> bytes:
    """Return a COSE_Sign1 with any protected header."""
    signature = bureau.signer.sign(kid, ES256, signatures.to_be_signed(header, payload))
    return signatures.sign1(header, payload, signature)


def reseal(bureau: Bureau, pdf: bytes, kid: str) -> bytes:
    """Return a PDF whose other bytes were changed, sealed again in its old place by a key of the bureau."""
    start = pdf.rindex(b"/Contents<") + len(b"/Contents<")
    before, after = pdf[: start - 1], pdf[start + _GAP + 1 :]
    certificate = bureau.trust.certificate(kid).public_bytes(Encoding.DER)
    attributes = seal.signed_attributes(hashlib.sha256(before + after).digest(), certificate)
    signature = signatures.raw_to_der(bureau.signer.sign(kid, ES256, attributes))
    contents = seal.signed_data(attributes, certificate, signature).hex().encode().ljust(_GAP, b"0")
    return before + b"<" + contents + b">" + after


def high_s(raw: bytes) -> bytes:
    """Return the other signature (r, n − s) that fits the same message."""
    return raw[:-32] + (signatures.ORDER - int.from_bytes(raw[-32:])).to_bytes(32)


def flip(data: bytes, at: int, by: int = 1) -> bytes:
    """Return the bytes with one of them changed; `at` counts from the end where it is negative."""
    at %= len(data)
    return data[:at] + bytes((data[at] ^ by,)) + data[at + 1 :]
