"""The proof of an event: a detached JWS (RFC 7515, appendix F) over the RFC 8785 form of the event without `proof`.

ES256 and nothing else; `kid` in the header names the key. Who may use which key is the agency register's to say.

ECDSA P-256 signatures as they travel: raw `r ‖ s` (COSE, JOSE) and DER (CMS), one form of each.

For each signature (r, s) the pair (r, n − s) verifies too. Who holds no key could so turn a signed object
into another one that verifies. Therefore our signers give the lower s and our verifiers accept no other.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from schemas.canonical_json import canonical, loads
from schemas.errors import Rejected, VerificationError

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2)
RAW_LENGTH = 64
_SCHEME = ec.ECDSA(SHA256())


def raw_to_der(raw: bytes) -> bytes:
    """Return the DER form of a raw signature. Raises ValueError when that is not 64 bytes long."""
    if len(raw) != RAW_LENGTH:
        raise ValueError("a raw P-256 signature has 64 bytes")
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def der_to_raw(der: bytes) -> bytes:
    """Return the raw form of a DER signature. Raises ValueError when the DER is not exact or a number is out of range."""
    r, s = decode_dss_signature(der)
    if not (0 < r < ORDER and 0 < s < ORDER) or encode_dss_signature(r, s) != der:
        raise ValueError("no P-256 signature in exact DER")
    return r.to_bytes(32) + s.to_bytes(32)


def low_s(raw: bytes) -> bytes:
    """Return the one of the signatures (r, s) and (r, n − s) with the lower s."""
    s = int.from_bytes(raw[32:])
    return raw if s <= ORDER // 2 else raw[:32] + (ORDER - s).to_bytes(32)


def verifies(public: ec.EllipticCurvePublicKey, raw: bytes, message: bytes) -> bool:
    """Tell whether `raw` is the signature with the lower s over `message` (SHA-256) by this key."""
    if len(raw) != RAW_LENGTH or not 0 < int.from_bytes(raw[32:]) <= ORDER // 2:
        return False
    try:
        public.verify(raw_to_der(raw), message, _SCHEME)
    except InvalidSignature:
        return False
    return True


FIELD = "proof"
ALGORITHM = "ES256"
_MAX = 4096  # characters of a proof


class Proof(NamedTuple):
    """The parts of a proof."""

    kid: str
    header: str  # base64url, as it was signed
    signature: bytes  # raw r ‖ s


def make_proof(event: Mapping[str, Any], kid: str, sign: Callable[[bytes], bytes]) -> str:
    """Return the proof of an event; `sign` gives the raw ES256 signature (64 bytes) of bytes."""
    header = _encode(canonical({"alg": ALGORITHM, "kid": kid}))
    return f"{header}..{_encode(sign(_signed(header, _content(event))))}"


def read_proof(proof: str) -> Proof:
    """Return the parts of a proof. VerificationError for another form or algorithm."""
    parts = proof.split(".")
    if len(proof) > _MAX or len(parts) != 3 or parts[1]:
        raise VerificationError("no detached JWS / 不是分离式 JWS", where=FIELD, hint="header..signature")
    kid = _kid(parts[0])
    try:
        return Proof(kid, parts[0], _decode(parts[2]))
    except ValueError:
        raise _no_jws() from None


@lru_cache(maxsize=1024)
def _kid(encoded: str) -> str:
    """Return the `kid` of a header as it was signed: a sender's is the same on every event."""
    try:
        header = loads(_decode(encoded))
    except (ValueError, Rejected):
        raise _no_jws() from None
    if not isinstance(header, dict) or header.get("alg") != ALGORITHM or "crit" in header:
        raise VerificationError("the algorithm is not ES256 / 算法不是 ES256", where=FIELD)
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise VerificationError("no kid in the header / 缺少 kid", where=FIELD)
    return kid


def _no_jws() -> VerificationError:
    return VerificationError("no detached JWS / 不是分离式 JWS", where=FIELD, hint="base64url")


def proves(proof: Proof, event: Mapping[str, Any], key: ec.EllipticCurvePublicKey) -> bool:
    """Tell whether the proof is this key's over this event."""
    return proves_content(proof, _content(event), key)


def proves_content(proof: Proof, content: bytes, key: ec.EllipticCurvePublicKey) -> bool:
    """Tell whether the proof is this key's over the RFC 8785 form of an event without `proof`.

    JWS libraries give either of the two values of s.
    """
    if len(proof.signature) != RAW_LENGTH:
        return False
    if not 0 < int.from_bytes(proof.signature[32:]) < ORDER:
        return False
    return verifies(key, low_s(proof.signature), _signed(proof.header, content))


def _content(event: Mapping[str, Any]) -> bytes:
    return canonical({name: value for name, value in event.items() if name != FIELD})


def _signed(header: str, content: bytes) -> bytes:
    return f"{header}.{_encode(content)}".encode("ascii")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    """Strict base64url: no padding, no spare bits, nothing else; ValueError for more than one form of a thing."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if _encode(data) != text:
        raise ValueError("not the one form of base64url")
    return data
