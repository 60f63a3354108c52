"""The one form of a licence's PDF: the reach of its seal, the CMS signature in it, and the attached files.

`read_layout` reads nothing but the signature's place at the end of the file, which must cover everything else. After
the seal is verified, `attachments` follows the file's own cross-reference table; it never searches the file, since a
holder's texts stand in it and may look like anything.

The form of the CMS signature is known: one certificate, one signer, three signed attributes (content type, message
digest, signing certificate), nothing unsigned. So certificate and signature are taken out, the whole is built again
from them and compared: any other encoding of the same content differs.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from schemas import signatures
from schemas.errors import NotJudged, VerificationError
from schemas.trust import TrustKey, TrustStore

MAX_PDF: Final = 16 << 20  # bytes
MAX_OBJECTS: Final = 50_000
MAX_ATTACHMENT: Final = 2 << 20
_HEX_SIZE: Final = 4096  # digits of /Contents
_SIGNATURE = re.compile(
    rb"/Contents<([0-9a-f]{%d})>/ByteRange\[0 ([1-9]\d{0,8}) ([1-9]\d{0,8}) ([1-9]\d{0,8})\] *>>\nendobj\n"
    % _HEX_SIZE
)
_END = re.compile(
    rb"trailer\n<</Size (\d{1,6})/Root (\d{1,6}) 0 R/Info \d{1,6} 0 R/ID\[<[0-9a-f]{32}><[0-9a-f]{32}>\]>>\n"
    rb"startxref\n(\d{1,9})\n%%EOF\n"
)
_OBJECT = re.compile(rb"(\d{1,6}) 0 obj\n")
_NAMES = re.compile(rb"/Names<</EmbeddedFiles<</Names\[((?:<[0-9a-f]+> ?\d{1,6} 0 R ?)*)\]>>>>")
_NAME = re.compile(rb"<([0-9a-f]+)> ?(\d{1,6}) 0 R ?")
_SPECIFICATION = re.compile(
    rb"<</Type/Filespec/F<[0-9a-f]+>[^()]*/EF<</F (\d{1,6}) 0 R/UF \1 0 R>>>>\nendobj\n"
)
_FILE = re.compile(rb"<</Type/EmbeddedFile[^\n]*?/Length (\d{1,8})>>\nstream\n")


class PdfLayout(msgspec.Struct, frozen=True):
    """The parts of a sealed PDF: the CMS in exact DER, and the SHA-256 of all the rest."""

    cms: bytes
    digest: bytes


def read_layout(data: bytes) -> PdfLayout:
    """Return the signature and the digest that it covers. Raise VerificationError unless it covers the whole file."""
    if len(data) > MAX_PDF:
        raise VerificationError(f"PDF 过大 / a PDF over {MAX_PDF} bytes")
    if not data.startswith(b"%PDF-1.7\n") or not data.endswith(b"%%EOF\n"):
        raise VerificationError(
            "不是证照 PDF，或前后有多余内容 / no PDF of a licence, or bytes before or after it"
        )
    place = data.rfind(b"/Contents<")
    found = _SIGNATURE.match(data, place) if place > 0 else None
    if found is None:
        raise VerificationError("没有证照形式的签章 / no seal in the form of a licence")
    first, second, length = int(found[2]), int(found[3]), int(found[4])
    gap = found.start(1) - 1, found.end(1) + 1
    if (first, second) != gap or second + length != len(data):
        raise VerificationError("签章未覆盖整个文件 / the seal does not cover the whole file")
    digest = hashlib.sha256(memoryview(data)[:first])
    digest.update(memoryview(data)[second:])
    return PdfLayout(_exact(bytes.fromhex(found[1].decode())), digest.digest())


def attachments(data: bytes) -> dict[str, bytes]:
    """Return the attached files (name → content) of a PDF whose seal was verified. Raise VerificationError for another form."""
    offsets, root = _table(data)
    listed = _NAMES.search(_object(data, offsets, root))
    if listed is None:
        raise VerificationError("没有附件 / no files are attached")
    files = {}
    for name, number in _NAME.findall(listed[1]):
        files[_text(name)] = _content(data, offsets, int(number))
    return files


def _exact(padded: bytes) -> bytes:
    """Return the DER in front of the zeros."""
    if padded[:1] != b"\x30" or padded[1] & 0x80 == 0 or not 1 <= padded[1] & 0x7F <= 2:
        raise VerificationError("签章中没有签名 / no CMS signature in the seal")
    width = padded[1] & 0x7F
    end = 2 + width + int.from_bytes(padded[2 : 2 + width])
    if end > len(padded) or padded[end:].strip(b"\0"):
        raise VerificationError("签名之后有多余内容 / something other than zeros behind the CMS signature")
    return padded[:end]


def _table(data: bytes) -> tuple[list[int], int]:
    place = data.rfind(b"\ntrailer\n")
    end = _END.fullmatch(data, place + 1) if place > 0 else None
    if end is None:
        raise VerificationError("文件结尾不规范 / no plain end of file")
    size, root, start = int(end[1]), int(end[2]), int(end[3])
    head = b"xref\n0 %d\n" % size
    table = data[start + len(head) : place + 1]
    if size > MAX_OBJECTS or data[start : start + len(head)] != head or len(table) != 20 * size:
        raise VerificationError("交叉引用表不规范 / no plain cross-reference table")
    try:
        return [int(table[at : at + 10]) for at in range(0, len(table), 20)], root
    except ValueError:
        raise VerificationError("交叉引用表不规范 / no plain cross-reference table") from None


def _object(data: bytes, offsets: list[int], number: int) -> bytes:
    """Return the bytes of an object, from its content to the next object."""
    start = offsets[number] if 0 < number < len(offsets) else -1
    head = _OBJECT.match(data, start) if 0 < start < len(data) else None
    if head is None or int(head[1]) != number:
        raise VerificationError(f"对象不在其位 / no object {number} in its place")
    following = min((o for o in offsets if o > start), default=len(data))
    return data[head.end() : following]


def _content(data: bytes, offsets: list[int], number: int) -> bytes:
    specification = _SPECIFICATION.match(_object(data, offsets, number))
    if specification is None:
        raise VerificationError("附件说明不规范 / an attached file has no plain specification")
    stream = _object(data, offsets, int(specification[1]))
    head = _FILE.match(stream)
    length = int(head[1]) if head else MAX_ATTACHMENT + 1
    if head is None or length > MAX_ATTACHMENT:
        raise VerificationError("附件不规范或过大 / an attached file is no plain stream, or too large")
    content = stream[head.end() : head.end() + length]
    if stream[head.end() + length :][:18] != b"\nendstream\nendobj\n":
        raise VerificationError("附件长度不符 / an attached file has another length than it says")
    return content


def _text(name: bytes) -> str:
    try:
        return bytes.fromhex(name.decode()).decode("utf-16").removeprefix("\ufeff")
    except ValueError:
        raise VerificationError("附件名称无法读取 / an attached file has no readable name") from None


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
    """Return the seal key that signed the file with this digest.

    Raises VerificationError where none of the trust folder did; NotJudged where the seal is good by a certificate
    that the root issued but this edition of the trust folder does not list.
    """
    certificate_der, signature_der = _parts(cms)
    key = trust.by_certificate(certificate_der)
    if key is None:
        certificate = _issued_by_root(certificate_der, trust)
    elif key.use == "seal":
        certificate = trust.certificate(key.kid)
    else:
        certificate = None
    if certificate is None:
        raise VerificationError(
            "签章证书不在信任目录中 / the seal's certificate is no seal of the trust folder"
        )
    _check_signature(cms, digest, certificate, signature_der)
    if key is None:
        listing = trust.listing
        raise NotJudged(
            f"签章证书由根证书签发，但第 {listing.sequence} 版信任目录（{listing.issued[:10]}）未列入；请更新信任目录 / the seal's "
            f"certificate was issued by the root, but edition {listing.sequence} of the trust folder "
            f"({listing.issued[:10]}) does not list it: take the trust folder anew from the issuing authority"
        )
    return key


def _issued_by_root(certificate_der: bytes, trust: TrustStore) -> x509.Certificate | None:
    """Return the certificate with these bytes if the root issued it."""
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        certificate.verify_directly_issued_by(trust.root)
    except (InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion, ValueError, TypeError):
        return None
    return certificate


def _check_signature(cms: bytes, digest: bytes, certificate: x509.Certificate, signature_der: bytes) -> None:
    """Raise VerificationError unless the CMS is the one form of a signature over this digest by this certificate."""
    attributes = _attributes(digest, certificate.public_bytes(Encoding.DER))
    if _signed_data(certificate, attributes, signature_der) != cms:
        raise VerificationError(
            "签章所签的不是这些内容，或形式不符 / the seal is for other bytes than these, or not in its one form"
        )
    try:
        raw = signatures.der_to_raw(signature_der)
    except ValueError:
        raise VerificationError("签章的签名编码不规范 / the seal's signature is not in exact DER") from None
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not signatures.verifies(public, raw, attributes):
        raise VerificationError("签章与本文件不符 / the seal's signature does not fit this file")


def _parts(cms: bytes) -> tuple[bytes, bytes]:
    """Return certificate and signature, each in DER."""
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
    """Return the begin and end of the content of the element at `start`."""
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
