"""Input made to hurt: a verdict or a clear error, never a traceback, never a long wait."""

from __future__ import annotations

import io
import struct
import time
import zlib

import pytest
import zxingcpp
from bureau import DECIDED, PROVINCE, Bureau, numbered
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from schemas import signatures
from verification.verify import MAX_INPUT


@pytest.fixture(scope="module")
def bureau(tmp_path_factory: pytest.TempPathFactory) -> Bureau:
    return Bureau(tmp_path_factory.mktemp("bureau"))


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def qr(text: str) -> bytes:
    image = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_image(scale=4)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def _bomb() -> bytes:
    stream = zlib.compress(bytes(200 << 20), 9)
    return (
        b"%%PDF-1.7\n1 0 obj\n<</Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream\nendobj\n%%%%EOF\n"
        % (
            len(stream),
            stream,
        )
    )


CORPUS = {
    "random": bytes(range(256)) * 4,
    "text": "不是证照".encode(),
    "HTML": b"<html><script>alert(1)</script>",
    "UTF-16": "HTTPS://A/#300".encode("utf-16"),
    "PDF header alone": b"%PDF-1.7\n",
    "PDF that is none": b"%PDF-1.7\n" + b"\0" * 1000 + b"%%EOF\n",
    "PDF with a bomb": _bomb(),
    "PDF of 10,000 pages": b"%PDF-1.7\n" + b"<</Type/Page>>\n" * 10_000 + b"%%EOF\n",
    "encrypted PDF": b"%PDF-1.7\ntrailer\n<</Encrypt 1 0 R>>\n%%EOF\n",
    "PDF with a huge byte range": b"%PDF-1.7\n/Contents<"
    + b"30" * 2048
    + b">/ByteRange[0 999999999 999999999 9]>>"
    b"\nendobj\n%%EOF\n",
    "too large": b"%PDF-1.7\n" + b"0" * MAX_INPUT,
    "tag 18 alone": b"\xd2",
    "tag 18 and depth": b"\xd2" + b"\x81" * 100_000,
    "tag 18 and a huge array": b"\xd2\x9b" + b"\xff" * 8,
    "tag 18 and shared references": b"\xd2\x84\xd8\x1c\x81\xd8\x1d\x00",
    "open JSON": b"{" * 100_000,
    "QR text of many digits": b"HTTPS://A/#" + b"9" * 1_000_000,
    "QR text with a long host": b"HTTPS://" + b"A." * 100_000 + b"/#300",
    "PNG header alone": b"\x89PNG\r\n\x1a\n",
    "PNG of a gigapixel": png(50_000, 50_000, b"\0" * 100),
    "PNG with a bomb": png(6_000, 6_000, bytes(6_001 * 6_000)),
    "PNG cut off": png(100, 100, bytes(10_100))[:60],
    "JPEG header alone": b"\xff\xd8\xff\xe0",
    "JPEG of noise": b"\xff\xd8\xff" + bytes(range(256)) * 8,
    "QR of something else": qr("WIFI:T:WPA;S:guest;P:secret;;"),
    "QR of a web page": qr("HTTPS://EXAMPLE.COM/"),
    "QR of another number": qr("HTTPS://A/#" + "7" * 1500),
}


UNJUDGED = {"random", "text", "HTML", "UTF-16", "QR of something else", "QR of a web page"} | {
    name for name in CORPUS if name.startswith(("PNG", "JPEG", "QR text"))
}
"""Inputs in forms that cannot be judged."""


@pytest.mark.parametrize("name", CORPUS)
def test_hostile_input_is_refused(bureau: Bureau, name: str) -> None:
    """It is not genuine, `unknown` where nothing could be judged, with a detail, within seconds."""
    start = time.monotonic()
    found = bureau.verify(CORPUS[name], credential=b"\xd2")
    verdict = "unknown" if name in UNJUDGED else "invalid"
    assert (verdict, False, {}) == (found.verdict, found.genuine, found.licence)
    assert found.checks[-1].detail
    assert time.monotonic() - start < 5


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        [b"", b"%PDF-1.7\n", b"\xd2\x84", b"{", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"HTTPS://"]
    ),
    st.binary(max_size=300),
)
def test_no_bytes_raise(bureau: Bureau, head: bytes, rest: bytes) -> None:
    """Whatever follows the head of a kind."""
    if head or rest:
        assert not bureau.verify(head + rest, credential=rest).genuine


CLAIMS = {
    "no map": [1, 2, 3],
    "no claims": {},
    "times out of range": {4: 2**63},
    "negative times": {5: -(2**63)},
    "a negative place": {65535: {"status_list": {"idx": -1, "uri": "x"}}},
    "a status of another kind": {65535: {"identifier_list": {}}},
    "text for a number": {"v": "1"},
    "a truth for a number": {"v": True},
    "a number for text": {"hn": 5},
    "a body digest of 31 bytes": {"body": b"x" * 31},
    "a key id among the claims": {"kid": "ab"},
    "a claim under our own name": {"issued_at": 5},
}


@pytest.mark.parametrize("name", CLAIMS)
def test_signed_nonsense_is_refused(bureau: Bureau, name: str) -> None:
    """Even when an authority's key signed it."""
    good = signatures.read_sign1(bureau.credential(numbered())[0], type_=signatures.CWT, max_bytes=700)
    change, claims = CLAIMS[name], signatures.decode(good.payload, max_bytes=700)
    payload = signatures.encode(claims | change if change and isinstance(change, dict) else change)
    kid = bureau.trust.signing_key(PROVINCE, "credential", DECIDED).kid
    signature = bureau.signer.sign(kid, "ES256", signatures.to_be_signed(good.protected, payload))
    found = bureau.verify(signatures.sign1(good.protected, payload, signature))
    assert (found.genuine, found.checks[-1].name) == (False, "credential")
