"""ECDSA signatures, QR texts, licence bodies, status lists: one form of each."""

from __future__ import annotations

import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import signatures, status_list
from schemas.errors import VerificationError
from schemas.licence import qr_text, read_qr_text
from schemas.status_list import EditionName, pack, read_edition_name, status_at, unpack

KEY = ec.derive_private_key(12345, ec.SECP256R1())


@settings(max_examples=50)
@given(st.binary(max_size=100))
def test_of_two_signatures_only_the_lower_is_taken(message: bytes) -> None:
    """(r, s) and (r, n − s) both fit the message; ours and no other verifies."""
    raw = signatures.low_s(signatures.der_to_raw(KEY.sign(message, ec.ECDSA(SHA256()))))
    other = raw[:32] + (signatures.ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    assert signatures.verifies(KEY.public_key(), raw, message)
    assert not signatures.verifies(KEY.public_key(), other, message)
    assert raw == signatures.low_s(other)
    assert raw == signatures.der_to_raw(signatures.raw_to_der(raw))


@pytest.mark.parametrize(
    "der", ["", "3006020101020101ff", "300702020001020101", "3006020100020101", "30060201ff020101", "04"]
)
def test_inexact_der_is_refused(der: str) -> None:
    """Bytes behind it, numbers with a zero too many, zero and negative numbers."""
    with pytest.raises(ValueError, match=r"."):
        signatures.der_to_raw(bytes.fromhex(der))


@settings(max_examples=100)
@given(st.binary(min_size=1, max_size=700))
def test_qr_text_gives_the_credential_back(credential: bytes) -> None:
    """Whatever its bytes, leading zeros too."""
    assert ("QH.EXAMPLE:8443", credential) == read_qr_text(qr_text("QH.EXAMPLE:8443", credential))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HTTPS://A/#",
        "HTTPS://A/#0300",
        "HTTPS://A/#+300",
        "HTTPS://A/#3_0",
        "HTTPS://A/#٣٠٠",
        "HTTPS://A/#513",
        "HTTPS://A/300",
        "HTTP://A/#300",
        "https://a/#300",
        "HTTPS://a/#300",
        "HTTPS://A@B/#300",
        "HTTPS://A/#300\n",
        "HTTPS://A/#" + "9" * 1_690,
        "HTTPS://A/#" + "9" * 100_000,
        "HTTPS://" + "A" * 3_000 + "/#300",
        "WIFI:T:WPA;S:guest;;",
    ],
)
def test_other_qr_texts_are_refused(text: str) -> None:
    """Other schemes, lower case, leading zeros, other digits, another version, over the size."""
    with pytest.raises(VerificationError):
        read_qr_text(text)


@settings(max_examples=50)
@given(st.dictionaries(st.integers(0, 70_000), st.integers(0, 2), max_size=30))
def test_status_list_is_plain_zlib_of_two_bits(statuses: dict[int, int]) -> None:
    """Any zlib inflates it; index i stands at bits 2·(i mod 4) of byte i ÷ 4; places after the last are invalid."""
    raw = pack(statuses, 70_001)
    plain = zlib.decompress(raw)
    assert plain == unpack({"bits": 2, "lst": raw})
    assert {i: plain[i // 4] >> (i % 4 * 2) & 3 for i in statuses} == statuses
    assert status_at(plain, next(i for i in range(100) if i not in statuses)) == 0
    assert [1, 1, 1] == [status_at(plain, i) for i in (70_001, 70_002, 70_003)]
    spare = sum(1 << (i % 4 * 2) for i in (70_001, 70_002, 70_003))
    assert sum(plain) == spare + sum(status << (i % 4 * 2) for i, status in statuses.items())


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"bits": 1, "lst": zlib.compress(b"a")},
        {"bits": 2},
        {"bits": 2, "lst": "eJw"},
        {"bits": 2, "lst": b"no zlib"},
        {"bits": 2, "lst": zlib.compress(b"a") + b"more"},
        {"bits": 2, "lst": zlib.compress(b"abcdefgh")[:-5]},
        {"bits": 2, "lst": zlib.compress(bytes(status_list.MAX_LIST + 1))},
    ],
)
def test_other_status_lists_are_refused(value: object) -> None:
    """Other bits, no zlib, cut off, bytes behind, a decompression bomb."""
    with pytest.raises(VerificationError):
        unpack(value)


def test_place_beyond_the_list_is_no_status() -> None:
    """An index that was not given out yet is not valid by default."""
    with pytest.raises(VerificationError):
        status_at(b"\0", 4)
    with pytest.raises(VerificationError):
        status_at(b"\0", -1)


def test_names_of_editions_sort_as_editions_do() -> None:
    """And are read back; other files' names are none."""
    names = [EditionName(at, number) for at in (0, 1_536_541_920, 4_000_000_000) for number in (1, 2, 10)]
    assert names == [read_edition_name(f"{name}.cwt") for name in sorted(map(str, names))]
    others = ("x.cwt", f"{names[0]}.reasons.cwt", "20189910T010203Z-000001.cwt", str(names[0]))
    assert [read_edition_name(name) for name in others] == [None] * 4
