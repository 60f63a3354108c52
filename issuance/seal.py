"""Seal (电子签章) of a licence: attachments, drawings and a PAdES baseline-B signature over the whole file.

The file has one form, which a verifier can demand:

* one revision, header to ``%%EOF`` and a line feed, nothing before, between or after;
* ``/ByteRange[0 a b c]`` covers everything but the value of ``/Contents``, brackets included in the gap;
* ``/Contents`` is CONTENTS_SIZE bytes in lower-case hex: the exact DER of the CMS signature (`issuance.seal`), then
  zeros.

`prepare` builds all of it but the signature; `Unsealed.finish` puts a signature in, a new one or a recorded one. The
signature certifies the file (DocMDP, ISO 32000-1, 12.8.2.2, no changes permitted), so that any reader warns of a copy
that was annotated.

The CMS signature is SignedData (RFC 5652) with the attributes of PAdES baseline B-B, written in DER in one form only: no
content, one certificate, one signer by issuer and serial, three signed attributes (content type, message digest, signing
certificate v2), no unsigned ones, and no signing time, which PAdES keeps in the signature dictionary. The same digest,
certificate and signature give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509

from issuance import pdf
from schemas.errors import LintError


def der(tag: int, *contents: bytes) -> bytes:
    """Return one DER element with a definite length."""
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
    """Return the signer's identifier (issuer and serial), and the signing-certificate-v2 attribute."""
    certificate = x509.load_der_x509_certificate(certificate_der)
    identifier = der(0x30, certificate.issuer.public_bytes(), _integer(certificate.serial_number))
    # ESSCertIDv2 with its default algorithm, SHA-256, which DER leaves out
    hashed = der(0x30, der(0x04, hashlib.sha256(certificate_der).digest()))
    attribute = der(0x30, _SIGNING_CERTIFICATE_V2, der(0x31, der(0x30, der(0x30, hashed))))
    return identifier, attribute


def signed_attributes(message_digest: bytes, certificate_der: bytes) -> bytes:
    """Return the DER SET that is signed."""
    digest = der(0x30, _MESSAGE_DIGEST, der(0x31, der(0x04, message_digest)))
    return der(0x31, *sorted((_CONTENT_TYPE, digest, _signer(certificate_der)[1])))


def signed_data(attributes: bytes, certificate_der: bytes, signature_der: bytes) -> bytes:
    """Return the ContentInfo around `attributes` (as `signed_attributes` gives them) and their signature."""
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


CONTENTS_SIZE = 2048  # bytes; a CMS signature here takes 800 to 1,200
_GAP = b"<" + b"0" * (2 * CONTENTS_SIZE) + b">"
_RANGE = b"/ByteRange[" + b" " * 40 + b"]"
_NO_CHANGES = (
    b"/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/P 1/V/1.2>>>>]"
)
_MAX_SIGNATURE = 72  # DER of an ECDSA P-256 signature


class Attachment(NamedTuple):
    """A file inside the PDF; `relationship` as in PDF/A-3 (Data, Source, Supplement)."""

    name: str
    mime: str
    relationship: str
    description: str
    data: bytes


class Box(NamedTuple):
    """A rectangle on the first page, in points from its lower left corner."""

    left: float
    bottom: float
    right: float
    top: float


class Unsealed(NamedTuple):
    """A finished file without its signature; the seal's key signs `to_be_signed` (with SHA-256)."""

    before: bytes
    after: bytes
    certificate: bytes
    to_be_signed: bytes

    def finish(self, signature_der: bytes) -> bytes:
        """Return the sealed file."""
        signed = signed_data(self.to_be_signed, self.certificate, signature_der)
        contents = signed.hex().encode().ljust(2 * CONTENTS_SIZE, b"0")
        return b"".join((self.before, b"<", contents, b">", self.after))


def prepare(
    page: bytes,
    *,
    form: pdf.FormXObject,
    attachments: Sequence[Attachment],
    drawing: bytes,
    box: Box,
    certificate_der: bytes,
    name: str,
    reason: str,
    time: int,
    certify: bool = True,
) -> Unsealed:
    """Build the file with everything but the signature.

    `page` is the renderer's PDF, `form` is drawn under its first page, `drawing` are page operators drawn on top of it, a
    click into `box` shows the signature, `time` is in Unix seconds. With `certify` the signature forbids changes
    (DocMDP). Raises LintError when the certificate leaves no room.
    """
    check_room(certificate_der)
    rendered = pdf.take_apart(page)
    first = pdf.first_number(rendered)
    moment = pdf.date(time)
    objects = list(form.objects(first))

    def add(content: bytes) -> int:
        objects.append(content)
        return first + len(objects) - 1

    before = add(pdf.stream(b"/zf Do q"))
    after = add(pdf.stream(b"Q\n" + drawing))
    specifications = _attach(attachments, moment, add)
    signature = add(_signature(name, reason, moment, certify=certify))
    field = add(_field(signature, rendered.page, box, add))
    digest = hashlib.sha256(b"".join(attachment.data for attachment in attachments)).digest()
    addition = pdf.Addition(
        objects,
        catalogue=b"/AcroForm<</SigFlags 3/Fields[%d 0 R]>>%s%s"
        % (field, b"/Perms<</DocMDP %d 0 R>>" % signature if certify else b"", specifications),
        annotations=b"%d 0 R" % field,
        before=before,
        after=after,
        forms=b"/zf %d 0 R" % first,
        file_id=digest[:16],
    )
    return _unsealed(pdf.write(rendered, addition), certificate_der)


@lru_cache(maxsize=256)
def check_room(certificate_der: bytes, room: int = CONTENTS_SIZE) -> None:
    """Raise LintError when a CMS signature with this certificate takes more than `room` bytes."""
    attributes = signed_attributes(bytes(32), certificate_der)
    size = len(signed_data(attributes, certificate_der, bytes(_MAX_SIGNATURE)))
    if size > room:
        raise LintError(
            f"证书过大 / the certificate is too large for the seal: {size} bytes", hint=f"≤ {room}"
        )


def _field(signature: int, page: int, box: Box, add: Callable[[bytes], int]) -> bytes:
    # The seal is part of the page, so that every reader shows it; the field over it looks like nothing.
    size = (box.right - box.left, box.top - box.bottom)
    looks = add(pdf.stream(b"", b"/Type/XObject/Subtype/Form/BBox[0 0 %.3f %.3f]/Resources<<>>" % size))
    return (
        b"<</Type/Annot/Subtype/Widget/FT/Sig/T(seal)/V %d 0 R/F 132/Rect[%.3f %.3f %.3f %.3f]"
        b"/P %d 0 R/AP<</N %d 0 R>>>>" % (signature, *box, page, looks)
    )


def _attach(attachments: Sequence[Attachment], moment: bytes, add: Callable[[bytes], int]) -> bytes:
    """Add files and their specifications; return the catalogue's entries for them."""
    numbers = {each.name: add(_specification(each, add(_file(each, moment)))) for each in attachments}
    tree = b"".join(b"%s %d 0 R" % (pdf.text(name), numbers[name]) for name in sorted(numbers))
    associated = b" ".join(b"%d 0 R" % number for number in numbers.values())
    return b"/Names<</EmbeddedFiles<</Names[%s]>>>>/AF[%s]" % (tree, associated)


def _file(attachment: Attachment, moment: bytes) -> bytes:
    mime = attachment.mime.replace("/", "#2F").encode()
    entries = b"/Type/EmbeddedFile/Subtype/%s/Params<</Size %d/ModDate%s>>" % (
        mime,
        len(attachment.data),
        moment,
    )
    return pdf.stream(attachment.data, entries)


def _specification(attachment: Attachment, number: int) -> bytes:
    name = pdf.text(attachment.name)
    return b"<</Type/Filespec/F%s/UF%s/AFRelationship/%s/Desc%s/EF<</F %d 0 R/UF %d 0 R>>>>" % (
        name,
        name,
        attachment.relationship.encode(),
        pdf.text(attachment.description),
        number,
        number,
    )


def _signature(name: str, reason: str, moment: bytes, *, certify: bool) -> bytes:
    return (
        b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/Name%s/Reason%s/M%s%s/Contents%s%s>>"
        % (
            pdf.text(name),
            pdf.text(reason),
            moment,
            _NO_CHANGES if certify else b"",
            _GAP,
            _RANGE,
        )
    )


def _unsealed(whole: bytes, certificate_der: bytes) -> Unsealed:
    # Attachments come earlier in the file and may hold any bytes: the last gap is ours.
    start = whole.rindex(b"/Contents" + _GAP) + len(b"/Contents")
    before, after = whole[:start], whole[start + len(_GAP) :]
    reach = b"[0 %d %d %d]" % (start, start + len(_GAP), len(after))
    after = b"/ByteRange" + reach.ljust(len(_RANGE) - len(b"/ByteRange")) + after[len(_RANGE) :]
    digest = hashlib.sha256(before)
    digest.update(after)
    return Unsealed(before, after, certificate_der, signed_attributes(digest.digest(), certificate_der))
