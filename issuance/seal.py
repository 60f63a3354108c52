"""The seal (电子签章): attachments, drawings and a PAdES baseline-B signature over the whole file.

The file has one form, which a verifier can demand:

* one revision, header to ``%%EOF`` and a line feed, nothing before, between or after;
* ``/ByteRange[0 a b c]`` covers everything but the value of ``/Contents``, brackets included in the gap;
* ``/Contents`` is CONTENTS_SIZE bytes in lower-case hex: the exact DER of the CMS signature (`issuance.cms`), then
  zeros.

`prepare` builds all of it but the signature; `Unsealed.finish` puts a signature in, a new one or a recorded one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from issuance import cms, pdf
from schemas.errors import LintError

CONTENTS_SIZE = 2048  # bytes; a CMS signature here takes 800 to 1,200
_GAP = b"<" + b"0" * (2 * CONTENTS_SIZE) + b">"
_RANGE = b"/ByteRange[" + b" " * 40 + b"]"
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
    """A finished file but for the signature: `to_be_signed` is what the seal's key signs (with SHA-256)."""

    before: bytes
    after: bytes
    certificate: bytes
    to_be_signed: bytes

    def finish(self, signature_der: bytes) -> bytes:
        """The sealed file."""
        signed = cms.signed_data(self.to_be_signed, self.certificate, signature_der)
        contents = signed.hex().encode().ljust(2 * CONTENTS_SIZE, b"0")
        return b"".join((self.before, b"<", contents, b">", self.after))


def prepare(
    page: bytes,
    *,
    attachments: Sequence[Attachment],
    drawing: bytes,
    box: Box,
    certificate_der: bytes,
    name: str,
    reason: str,
    time: int,
) -> Unsealed:
    """The file with everything but the signature.

    `page` is what the renderer wrote, `drawing` page operators drawn on top of the first page, `box` where a click
    shows the signature, `time` Unix seconds. Raises LintError when the certificate leaves no room.
    """
    if len(cms.signed_data(cms.signed_attributes(bytes(32), certificate_der), certificate_der, b"0" * 72)) > (
        CONTENTS_SIZE
    ):
        raise LintError("the certificate is too large for the seal", hint=f"{CONTENTS_SIZE} bytes in all")
    rendered = pdf.take_apart(page)
    whole = pdf.write(_extended(rendered, attachments, drawing, box, name, reason, time))
    return _unsealed(whole, certificate_der)


def _extended(
    rendered: pdf.Rendered,
    attachments: Sequence[Attachment],
    drawing: bytes,
    box: Box,
    name: str,
    reason: str,
    time: int,
) -> pdf.Extended:
    moment = pdf.date(time)
    objects: list[bytes] = []

    def add(content: bytes) -> int:
        objects.append(content)
        return pdf.first_number(rendered) + len(objects) - 1

    before = add(pdf.stream(b"q"))
    after = add(pdf.stream(b"Q\n" + drawing))
    files = [(attachment.name, add(_file(attachment, moment))) for attachment in attachments]
    specifications = [
        (name, add(_specification(attachment, number)))
        for attachment, (name, number) in zip(attachments, files, strict=True)
    ]
    signature = add(_signature(name, reason, moment))
    width, height = box.right - box.left, box.top - box.bottom
    # The seal is part of the page, so that every reader shows it; the field over it looks like nothing.
    looks = add(
        pdf.stream(b"", b"/Type/XObject/Subtype/Form/BBox[0 0 %g %g]/Resources<<>>" % (width, height))
    )
    field = add(
        b"<</Type/Annot/Subtype/Widget/FT/Sig/T(seal)/V %d 0 R/F 132/Rect[%g %g %g %g]/P %d 0 R/AP<</N %d 0 R>>>>"
        % (signature, *box, rendered.page, looks)
    )
    tree = b"".join(b"%s %d 0 R" % (pdf.text(name), number) for name, number in sorted(specifications))
    catalogue = b"/AcroForm<</SigFlags 3/Fields[%d 0 R]>>/Names<</EmbeddedFiles<</Names[%s]>>>>/AF[%s]" % (
        field,
        tree,
        b" ".join(b"%d 0 R" % number for _, number in specifications),
    )
    digest = hashlib.sha256(b"".join(attachment.data for attachment in attachments)).digest()
    return pdf.Extended(
        rendered, tuple(objects), catalogue, b"%d 0 R" % field, before, after, file_id=digest[:16]
    )


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


def _signature(name: str, reason: str, moment: bytes) -> bytes:
    return (
        b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/Name%s/Reason%s/M%s/Contents%s%s>>"
        % (
            pdf.text(name),
            pdf.text(reason),
            moment,
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
    return Unsealed(before, after, certificate_der, cms.signed_attributes(digest.digest(), certificate_der))
