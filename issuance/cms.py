"""The CMS signature inside the seal: SignedData (RFC 5652) with the attributes of PAdES baseline B-B.

Written by hand in DER, in one form only: no content, one certificate, one signer by issuer and serial, three signed
attributes (content type, message digest, signing certificate v2), no unsigned ones, and no signing time: PAdES
keeps that in the signature dictionary. The same digest, certificate and signature give the same bytes.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography import x509


def der(tag: int, *contents: bytes) -> bytes:
    """One DER element with a definite length."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _integer(value: int) -> bytes:
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = bytearray([first * 40 + second])
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        content.extend(reversed(groups))
    return der(0x06, bytes(content))


_DATA = _oid("1.2.840.113549.1.7.1")
_SIGNED_DATA = _oid("1.2.840.113549.1.7.2")
_SHA256 = der(0x30, _oid("2.16.840.1.101.3.4.2.1"))
_ECDSA_SHA256 = der(0x30, _oid("1.2.840.10045.4.3.2"))
_CONTENT_TYPE = der(0x30, _oid("1.2.840.113549.1.9.3"), der(0x31, _DATA))
_MESSAGE_DIGEST = _oid("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2 = _oid("1.2.840.113549.1.9.16.2.47")


@lru_cache(maxsize=256)
def _signer(certificate_der: bytes) -> tuple[bytes, bytes]:
    """The signer's identifier (issuer and serial), and the signing-certificate-v2 attribute."""
    certificate = x509.load_der_x509_certificate(certificate_der)
    identifier = der(0x30, certificate.issuer.public_bytes(), _integer(certificate.serial_number))
    # ESSCertIDv2 with its default algorithm, SHA-256, which DER leaves out
    hashed = der(0x30, der(0x04, hashlib.sha256(certificate_der).digest()))
    attribute = der(0x30, _SIGNING_CERTIFICATE_V2, der(0x31, der(0x30, der(0x30, hashed))))
    return identifier, attribute


def signed_attributes(message_digest: bytes, certificate_der: bytes) -> bytes:
    """The DER SET that is signed."""
    digest = der(0x30, _MESSAGE_DIGEST, der(0x31, der(0x04, message_digest)))
    return der(0x31, *sorted((_CONTENT_TYPE, digest, _signer(certificate_der)[1])))


def signed_data(attributes: bytes, certificate_der: bytes, signature_der: bytes) -> bytes:
    """The whole ContentInfo around `attributes` (as `signed_attributes` gives them) and their signature."""
    signer_info = der(
        0x30,
        _integer(1),
        _signer(certificate_der)[0],
        _SHA256,
        b"\xa0" + attributes[1:],  # signed as a SET, written under the implicit tag [0]
        _ECDSA_SHA256,
        der(0x04, signature_der),
    )
    content = der(
        0x30,
        _integer(1),
        der(0x31, _SHA256),
        der(0x30, _DATA),
        der(0xA0, certificate_der),
        der(0x31, signer_info),
    )
    return der(0x30, _SIGNED_DATA, der(0xA0, content))
