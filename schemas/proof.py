"""The proof of an event: a detached JWS (RFC 7515, appendix F) over the RFC 8785 form of the event without `proof`.

ES256 and nothing else; `kid` in the header names the key. Who may use which key is the agency register's to say.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from schemas.canonical import canonical
from schemas.ecdsa import ORDER, RAW_LENGTH, low_s, verifies
from schemas.errors import Rejected, VerificationError
from schemas.strict_json import loads

FIELD = "proof"
ALGORITHM = "ES256"
_MAX = 4096  # characters of a proof


class Proof(NamedTuple):
    """The parts of a proof."""

    kid: str
    header: str  # base64url, as it was signed
    signature: bytes  # raw r ‖ s


def make_proof(event: Mapping[str, Any], kid: str, sign: Callable[[bytes], bytes]) -> str:
    """The proof of an event; `sign` gives the raw ES256 signature (64 bytes) of bytes."""
    header = _encode(canonical({"alg": ALGORITHM, "kid": kid}))
    return f"{header}..{_encode(sign(_signed(header, _content(event))))}"


def read_proof(proof: str) -> Proof:
    """The parts of a proof. VerificationError for another form or algorithm."""
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
    """The `kid` of a header as it was signed: a sender's is the same on every event."""
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
    """Whether the proof is this key's over this event."""
    return proves_content(proof, _content(event), key)


def proves_content(proof: Proof, content: bytes, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether the proof is this key's over the RFC 8785 form of an event without `proof`.

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
