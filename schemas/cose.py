"""CBOR in its one deterministic encoding (RFC 8949, 4.2.1) and COSE_Sign1 (RFC 9052) made of it.

Only what zhengzhao signs exists here: integers, byte and text strings, arrays, maps with integer or text
keys, true, false, null. No floats, no tags but 18 in front, no indefinite lengths. What `decode` accepts,
`encode` gives back byte for byte.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from schemas.errors import VerificationError

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
    """`{1: -7, 4: kid, 16: type}`; the key id stands there as its ASCII bytes."""
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
