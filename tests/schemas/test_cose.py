"""Deterministic CBOR and COSE_Sign1: one encoding of each value, and no other is read."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import signatures
from schemas.errors import VerificationError

LEAVES = (
    st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=40)
    | st.booleans()
    | st.none()
)
KEYS = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=12)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
).filter(lambda value: _depth(value) <= signatures.MAX_DEPTH)


@settings(max_examples=100)
@given(VALUES)
def test_what_is_encoded_is_read_back(value: object) -> None:
    """By us and by another author's decoder."""
    raw = signatures.encode(value)
    assert value == signatures.decode(raw, max_bytes=len(raw))
    assert value == cbor2.loads(raw)


@settings(max_examples=100)
@given(VALUES, st.data())
def test_what_is_read_has_one_encoding(value: object, data: st.DataObject) -> None:
    """Changed bytes are refused, or are the one encoding of another value."""
    raw = bytearray(signatures.encode(value))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = signatures.decode(bytes(raw), max_bytes=len(raw))
    except VerificationError:
        return
    assert bytes(raw) == signatures.encode(read)


def test_keys_are_in_the_order_of_rfc_8949() -> None:
    """Bytewise by their encoding (4.2.1), not by length first as in RFC 7049."""
    raw = signatures.encode({"n": 0, 65535: 0, "by": 0, 1: 0, -1: 0, "no": 0})
    keys = list(cbor2.loads(raw))
    assert keys == [1, 65535, -1, "n", "by", "no"]


HOSTILE = {
    "empty": "",
    "indefinite array": "9f01ff",
    "indefinite text": "7f6161ff",
    "integer longer than need be": "1801",
    "integer in two bytes for one": "190017",
    "integer in eight bytes for four": "1b00000000ffffffff",
    "text length longer than need be": "780161",
    "keys twice": "a201000100",
    "keys out of order": "a202000100",
    "an array as key": "a1800a",
    "bytes as key": "a1416100",
    "shared reference": "d81d00",
    "self-referencing value": "d81c81d81d00",
    "tag inside": "c100",
    "float": "f93c00",
    "undefined": "f7",
    "simple value": "f820",
    "break alone": "ff",
    "reserved info": "1c",
    "text that is not UTF-8": "62c328",
    "surrogate in text": "63eda080",
    "cut off": "430102",
    "bytes after": "0000",
    "array of 2**64 items": "9bffffffffffffffff00",
    "map of 2**63 items": "bb8000000000000000",
    "text of 4 GiB": "7affffffff61",
    "nested nine deep": "81" * 9 + "00",
    "nested a hundred thousand deep": "81" * 100_000 + "00",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_cbor_is_refused(name: str) -> None:
    """With VerificationError, at once, whatever the sizes that it claims."""
    with pytest.raises(VerificationError):
        signatures.decode(bytes.fromhex(HOSTILE[name]), max_bytes=1 << 20)


def test_over_the_cap_is_refused() -> None:
    """Even when it is good CBOR."""
    with pytest.raises(VerificationError):
        signatures.decode(signatures.encode(b"x" * 700), max_bytes=700)


@pytest.mark.parametrize("value", [1.5, 2**64, -(2**64) - 1, {b"a": 1}, {True: 1}, {None: 1}, object()])
def test_what_has_no_encoding_is_an_error(value: object) -> None:
    """Floats, huge integers, other keys: ValueError before anything is signed."""
    with pytest.raises(ValueError, match=r"."):
        signatures.encode(value)


def test_sign1_is_read_back() -> None:
    """Key id, payload, signature, and the bytes to be signed."""
    header = signatures.protected_header("ab12cd34", signatures.CWT)
    read = signatures.read_sign1(
        signatures.sign1(header, b"payload", b"s" * 64), type_=signatures.CWT, max_bytes=700
    )
    assert (read.kid, read.payload, read.signature) == ("ab12cd34", b"payload", b"s" * 64)
    assert signatures.to_be_signed(header, b"payload") == read.to_be_signed
    assert ["Signature1", header, b"", b"payload"] == cbor2.loads(read.to_be_signed)


HEADER = {1: -7, 4: b"ab12cd34", 16: signatures.CWT}
SIGN1 = {
    "no tag": (None, HEADER, {}, b"p", b"s" * 64),
    "tag of COSE_Sign": (0xD8, HEADER, {}, b"p", b"s" * 64),
    "unprotected header": (0xD2, HEADER, {4: b"x"}, b"p", b"s" * 64),
    "another algorithm": (0xD2, HEADER | {1: -8}, {}, b"p", b"s" * 64),
    "no algorithm": (0xD2, {4: b"ab", 16: signatures.CWT}, {}, b"p", b"s" * 64),
    "another type": (0xD2, HEADER | {16: signatures.STATUS_LIST_CWT}, {}, b"p", b"s" * 64),
    "critical header": (0xD2, HEADER | {2: [99]}, {}, b"p", b"s" * 64),
    "key id as text": (0xD2, HEADER | {4: "ab12cd34"}, {}, b"p", b"s" * 64),
    "key id empty": (0xD2, HEADER | {4: b""}, {}, b"p", b"s" * 64),
    "key id not ASCII": (0xD2, HEADER | {4: b"\xff"}, {}, b"p", b"s" * 64),
    "detached payload": (0xD2, HEADER, {}, None, b"s" * 64),
    "short signature": (0xD2, HEADER, {}, b"p", b"s" * 63),
    "five elements": (0xD2, HEADER, {}, b"p", b"s" * 64, b"x"),
}


@pytest.mark.parametrize("name", SIGN1)
def test_other_forms_of_sign1_are_refused(name: str) -> None:
    """Only the tagged form with our three protected headers is read."""
    tag, header, *rest = SIGN1[name]
    raw = signatures.encode([signatures.encode(header), *rest])
    with pytest.raises(VerificationError):
        signatures.read_sign1((bytes((tag,)) if tag else b"") + raw, type_=signatures.CWT, max_bytes=700)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0
