"""The CMS signature in a licence's PDF, read against the one form that it may have.

What must stand there is known: one certificate of the trust folder, one signer, three signed attributes (content
type, message digest, signing certificate), nothing unsigned. So the certificate and the signature are taken out,
the whole is built again from them and compared: any other encoding of the same differs.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from schemas import ecdsa
from schemas.errors import VerificationError
from schemas.trust import TrustKey, TrustStore

_SEQUENCE, _SET, _INTEGER, _OCTETS, _TAG_0 = 0x30, 0x31, 0x02, 0x04, 0xA0
# Object identifiers, DER in hex (RFC 5652, RFC 5035, RFC 5758).
_DATA = bytes.fromhex("06092a864886f70d010701")
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
_SIGNING_CERTIFICATE = bytes.fromhex("060b2a864886f70d010910022f")
_SHA256 = bytes.fromhex("300b0609608648016503040201")
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_VERSION_1 = bytes.fromhex("020101")


def check_seal(cms: bytes, digest: bytes, trust: TrustStore) -> TrustKey:
    """The seal key that signed the file with this digest; VerificationError where none of the trust folder did."""
    certificate_der, signature_der = _parts(cms)
    key = trust.by_certificate(certificate_der)
    if key is None or key.use != "seal":
        raise VerificationError(
            "签章证书不在信任目录中 / the seal's certificate is no seal of the trust folder"
        )
    certificate = trust.certificate(key.kid)
    attributes = _attributes(digest, certificate_der)
    if _signed_data(certificate, attributes, signature_der) != cms:
        raise VerificationError(
            "签章所签的不是这些内容，或形式不符 / the seal is for other bytes than these, or not in its one form"
        )
    try:
        raw = ecdsa.der_to_raw(signature_der)
    except ValueError:
        raise VerificationError("签章的签名编码不规范 / the seal's signature is not in exact DER") from None
    if not ecdsa.verifies(trust.public_key(key.kid), raw, attributes):
        raise VerificationError("签章与本文件不符 / the seal's signature does not fit this file")
    return key


def _parts(cms: bytes) -> tuple[bytes, bytes]:
    """Certificate and signature, each in DER."""
    signed = _inside(_nth(_inside(cms, _SEQUENCE), 1), _TAG_0)
    fields = _inside(signed, _SEQUENCE)
    certificate = _inside(_nth(fields, 3), _TAG_0)
    signer = _inside(_inside(_nth(fields, 4), _SET), _SEQUENCE)
    return certificate, _inside(_nth(signer, 5), _OCTETS)


def _attributes(digest: bytes, certificate_der: bytes) -> bytes:
    hashed = _der(_SEQUENCE, _der(_OCTETS, hashlib.sha256(certificate_der).digest()))
    certificates = _der(_SEQUENCE, _der(_SEQUENCE, hashed))
    members = (
        _der(_SEQUENCE, _CONTENT_TYPE, _der(_SET, _DATA)),
        _der(_SEQUENCE, _MESSAGE_DIGEST, _der(_SET, _der(_OCTETS, digest))),
        _der(_SEQUENCE, _SIGNING_CERTIFICATE, _der(_SET, certificates)),
    )
    return _der(_SET, *sorted(members))


def _signed_data(certificate: x509.Certificate, attributes: bytes, signature: bytes) -> bytes:
    serial = certificate.serial_number
    number = _der(_INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1))
    signer = _der(
        _SEQUENCE,
        _VERSION_1,
        _der(_SEQUENCE, certificate.issuer.public_bytes(), number),
        _SHA256,
        bytes((_TAG_0,)) + attributes[1:],
        _ECDSA_SHA256,
        _der(_OCTETS, signature),
    )
    signed = _der(
        _SEQUENCE,
        _VERSION_1,
        _der(_SET, _SHA256),
        _der(_SEQUENCE, _DATA),
        _der(_TAG_0, certificate.public_bytes(Encoding.DER)),
        _der(_SET, signer),
    )
    return _der(_SEQUENCE, _SIGNED_DATA, _der(_TAG_0, signed))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    width = (size.bit_length() + 7) // 8
    return bytes((tag, 128 | width)) + size.to_bytes(width) + content


def _span(data: bytes, start: int) -> tuple[int, int]:
    """Where the content of the element at `start` begins and ends."""
    if start + 2 > len(data):
        raise VerificationError("签章数据残缺 / the seal's CMS ends in the middle")
    size, begin = data[start + 1], start + 2
    if size & 128:
        width = size & 127
        if not 1 <= width <= 2:
            raise VerificationError("签章数据长度不符 / the seal's CMS has a length that is not its own")
        size, begin = int.from_bytes(data[begin : begin + width]), begin + width
    if begin + size > len(data):
        raise VerificationError("签章数据残缺 / the seal's CMS ends in the middle")
    return begin, begin + size


def _inside(element: bytes, tag: int) -> bytes:
    begin, end = _span(element, 0)
    if element[0] != tag or end != len(element):
        raise VerificationError("签章数据形式不符 / the seal's CMS is not in its one form")
    return element[begin:end]


def _nth(elements: bytes, n: int) -> bytes:
    start = 0
    for _ in range(n):
        start = _span(elements, start)[1]
    return elements[start : _span(elements, start)[1]]
