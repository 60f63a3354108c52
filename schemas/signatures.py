"""Signatures in their three forms: ECDSA itself, proofs of events (JWS), and COSE_Sign1 with the CBOR that it needs.

**ECDSA P-256** travels as raw `r ‖ s` (COSE, JOSE) and as DER (CMS), in one form of each. For each signature (r, s) the
pair (r, n − s) verifies too, so that somebody without the key could turn a signed object into another one that verifies.
Therefore our signers give the lower s and our verifiers accept no other.

**The proof of an event** is a detached JWS (RFC 7515, appendix F) over the RFC 8785 form of the event without `proof`, by
ES256 alone; `kid` in the header names the key. The agency register says who may use which key.

**CBOR** stands in its one deterministic encoding (RFC 8949, 4.2.1), and **COSE_Sign1** (RFC 9052) is made of it. Only what
zhengzhao signs exists here: integers, byte and text strings, arrays, maps with integer or text keys, true, false, null. No
floats, no tags but 18 in front, no indefinite lengths. What `decode` accepts, `encode` gives back byte for byte.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from schemas.canonical_json import canonical, loads
from schemas.errors import Rejected, VerificationError

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2)
RAW_LENGTH = 64
_OVER_DIGEST = ec.ECDSA(Prehashed(SHA256()))


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
    return verifies_digest(public, raw, hashlib.sha256(message).digest())


def verifies_digest(public: ec.EllipticCurvePublicKey, raw: bytes, digest: bytes) -> bool:
    """Tell whether `raw` is the signature with the lower s by this key over what has this SHA-256."""
    if len(raw) != RAW_LENGTH or not 0 < int.from_bytes(raw[32:]) <= ORDER // 2:
        return False
    try:
        public.verify(raw_to_der(raw), digest, _OVER_DIGEST)
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
    return proves_digest(proof, signed_digest(proof, content), key)


def signed_digest(proof: Proof, content: bytes) -> str:
    """Return the SHA-256 (hex) that a proof's signature is over, given the RFC 8785 form of its event."""
    return hashlib.sha256(_signed(proof.header, content)).hexdigest()


def proves_digest(proof: Proof, digest: str, key: ec.EllipticCurvePublicKey) -> bool:
    """Tell whether the proof is this key's over what has this SHA-256 (hex), as `signed_digest` gives it."""
    if len(proof.signature) != RAW_LENGTH or len(digest) != 64:
        return False
    if not 0 < int.from_bytes(proof.signature[32:]) < ORDER:
        return False
    try:
        return verifies_digest(key, low_s(proof.signature), bytes.fromhex(digest))
    except ValueError:
        return False


def _content(event: Mapping[str, Any]) -> bytes:
    return canonical({name: value for name, value in event.items() if name != FIELD})


def _signed(header: str, content: bytes) -> bytes:
    return f"{header}.{_encode(content)}".encode("ascii")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    """Decode strict base64url: no padding, no spare bits, nothing else. Raises ValueError for any other form."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if _encode(data) != text:
        raise ValueError("not the one form of base64url")
    return data


Value = Any  # int | bytes | str | bool | None | list[Value] | dict[int | str, Value]

MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 2_000_000
SIGN1_TAG: Final = 0xD2  # tag 18 in one byte
ES256: Final = -7
CWT: Final = "application/cwt"
STATUS_LIST_CWT: Final = "application/statuslist+cwt"

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP = range(6)
_SIMPLE: Final = {0xF4: False, 0xF5: True, 0xF6: None}


def _head(major: int, n: int) -> bytes:
    if n < 24:
        return bytes((major << 5 | n,))
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << (8 * size):
            return bytes((major << 5 | code,)) + n.to_bytes(size)
    raise ValueError("an integer beyond 64 bits")


def encode(value: Value) -> bytes:
    """Return the deterministic CBOR of a value. Raises ValueError for what has none here."""
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(_UINT, value) if value >= 0 else _head(_NINT, -1 - value)
        case bytes():
            return _head(_BYTES, len(value)) + value
        case str():
            raw = value.encode()
            return _head(_TEXT, len(raw)) + raw
        case list() | tuple():
            return _head(_ARRAY, len(value)) + b"".join(map(encode, value))
        case dict():
            if not all(isinstance(k, str) or type(k) is int for k in value):
                raise ValueError("map keys are integers or texts")
            pairs = sorted((encode(k), encode(v)) for k, v in value.items())
            return _head(_MAP, len(pairs)) + b"".join(k + v for k, v in pairs)
    raise ValueError(f"no CBOR here for {type(value).__name__}")


class _Reader:
    """One pass over the bytes; each length is compared with what is left before anything is built."""

    __slots__ = ("data", "items", "pos")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0
        self.items = MAX_ITEMS

    def take(self, n: int) -> bytes:
        end = self.pos + n
        if end > len(self.data):
            raise VerificationError("CBOR ends in the middle of a value")
        part = self.data[self.pos : end]
        self.pos = end
        return part

    def argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise VerificationError("CBOR of indefinite length or of a reserved kind")
        size = 1 << (info - 24)
        n = int.from_bytes(self.take(size))
        if n < (24 if size == 1 else 1 << (4 * size)):
            raise VerificationError("a CBOR number that is longer than need be")
        return n

    def count(self, info: int, each: int) -> int:
        n = self.argument(info)
        if n * each > len(self.data) - self.pos:
            raise VerificationError("CBOR names more items than it has bytes")
        self.items -= n
        if self.items < 0:
            raise VerificationError("CBOR with too many items")
        return n

    def value(self, depth: int) -> Value:
        initial = self.take(1)[0]
        major, info = initial >> 5, initial & 31
        if major == _UINT:
            return self.argument(info)
        if major == _NINT:
            return -1 - self.argument(info)
        if major == _BYTES:
            return self.take(self.argument(info))
        if major == _TEXT:
            return self.text(info)
        if major in (_ARRAY, _MAP):
            if not depth:
                raise VerificationError(f"CBOR deeper than {MAX_DEPTH} levels")
            return self.array(info, depth) if major == _ARRAY else self.map(info, depth)
        if initial in _SIMPLE:
            return _SIMPLE[initial]
        raise VerificationError("a CBOR tag, float or simple value that has no place here")

    def text(self, info: int) -> str:
        try:
            return self.take(self.argument(info)).decode()
        except UnicodeDecodeError:
            raise VerificationError("a CBOR text that is not UTF-8") from None

    def array(self, info: int, depth: int) -> list[Value]:
        return [self.value(depth - 1) for _ in range(self.count(info, 1))]

    def map(self, info: int, depth: int) -> dict[int | str, Value]:
        found: dict[int | str, Value] = {}
        last = b""
        for _ in range(self.count(info, 2)):
            start = self.pos
            if self.data[start : start + 1] and self.data[start] >> 5 not in (_UINT, _NINT, _TEXT):
                raise VerificationError("a CBOR map key that is neither integer nor text")
            key = self.value(0)
            raw = self.data[start : self.pos]
            if raw <= last:
                raise VerificationError("CBOR map keys twice or out of order")
            last = raw
            found[key] = self.value(depth - 1)
        return found


def decode(data: bytes, *, max_bytes: int) -> Value:
    """Return the value of deterministic CBOR. Raises VerificationError for another encoding, depth or size."""
    if len(data) > max_bytes:
        raise VerificationError(f"more than {max_bytes} bytes of CBOR")
    reader = _Reader(data)
    value = reader.value(MAX_DEPTH)
    if reader.pos != len(data):
        raise VerificationError("bytes after the end of the CBOR value")
    return value


class Sign1(msgspec.Struct, frozen=True):
    """A COSE_Sign1 as read: nothing in it is verified yet. `signature` is raw `r ‖ s`."""

    kid: str
    type: str
    protected: bytes
    payload: bytes
    signature: bytes

    @property
    def to_be_signed(self) -> bytes:
        return to_be_signed(self.protected, self.payload)


def protected_header(kid: str, type_: str) -> bytes:
    """Return `{1: -7, 4: kid, 16: type}` encoded; the key id stands there as its ASCII bytes."""
    return encode({1: ES256, 4: kid.encode("ascii"), 16: type_})


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Return the Sig_structure of RFC 9052, 4.4, without external data."""
    return encode(["Signature1", protected, b"", payload])


def sign1(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    """Return the tagged COSE_Sign1 with an empty unprotected header."""
    return bytes((SIGN1_TAG,)) + encode([protected, {}, payload, signature])


def read_sign1(data: bytes, *, type_: str, max_bytes: int) -> Sign1:
    """Take a tagged COSE_Sign1 of one type apart. Raises VerificationError for all that `sign1` would not write."""
    if len(data) > max_bytes:
        raise VerificationError(f"more than {max_bytes} bytes")
    if data[:1] != bytes((SIGN1_TAG,)):
        raise VerificationError("不是 COSE_Sign1（标签 18） / no COSE_Sign1 with tag 18")
    match decode(data[1:], max_bytes=max_bytes):
        case [bytes(protected), dict(unprotected), bytes(payload), bytes(signature)] if not unprotected:
            pass
        case _:
            raise VerificationError(
                "不是未保护头为空的 COSE_Sign1 / no COSE_Sign1 with an empty unprotected header"
            )
    if len(signature) != 64:
        raise VerificationError("签名长度不是 64 字节 / a signature that is not 64 bytes long")
    match decode(protected, max_bytes=200):
        case {1: -7, 4: bytes(kid), 16: str(found), **rest} if not rest and found == type_:
            pass
        case _:
            raise VerificationError(f"受保护头不符 / the protected header is not that of {type_}")
    if not 0 < len(kid) <= 64 or not kid.isascii():
        raise VerificationError("no key id of 1 to 64 ASCII characters")
    return Sign1(kid.decode("ascii"), type_, protected, payload, signature)
