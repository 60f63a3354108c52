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
from collections.abc import Callable, Sequence
from functools import lru_cache
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
    form: pdf.Form,
    attachments: Sequence[Attachment],
    drawing: bytes,
    box: Box,
    certificate_der: bytes,
    name: str,
    reason: str,
    time: int,
) -> Unsealed:
    """The file with everything but the signature.

    `page` is what the renderer wrote, `form` is drawn under its first page, `drawing` are page operators drawn on
    top of it, `box` is where a click shows the signature, `time` Unix seconds. Raises LintError when the certificate leaves no room.
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
    signature = add(_signature(name, reason, moment))
    field = add(_field(signature, rendered.page, box, add))
    digest = hashlib.sha256(b"".join(attachment.data for attachment in attachments)).digest()
    addition = pdf.Addition(
        objects,
        catalogue=b"/AcroForm<</SigFlags 3/Fields[%d 0 R]>>%s" % (field, specifications),
        annotations=b"%d 0 R" % field,
        before=before,
        after=after,
        forms=b"/zf %d 0 R" % first,
        file_id=digest[:16],
    )
    return _unsealed(pdf.write(rendered, addition), certificate_der)


@lru_cache(maxsize=256)
def check_room(certificate_der: bytes, room: int = CONTENTS_SIZE) -> None:
    """Raises LintError when a CMS signature with this certificate takes more than `room` bytes."""
    attributes = cms.signed_attributes(bytes(32), certificate_der)
    size = len(cms.signed_data(attributes, certificate_der, bytes(_MAX_SIGNATURE)))
    if size > room:
        raise LintError(f"the certificate is too large for the seal: {size} bytes", hint=f"at most {room}")


def _field(signature: int, page: int, box: Box, add: Callable[[bytes], int]) -> bytes:
    # The seal is part of the page, so that every reader shows it; the field over it looks like nothing.
    size = (box.right - box.left, box.top - box.bottom)
    looks = add(pdf.stream(b"", b"/Type/XObject/Subtype/Form/BBox[0 0 %.3f %.3f]/Resources<<>>" % size))
    return (
        b"<</Type/Annot/Subtype/Widget/FT/Sig/T(seal)/V %d 0 R/F 132/Rect[%.3f %.3f %.3f %.3f]"
        b"/P %d 0 R/AP<</N %d 0 R>>>>" % (signature, *box, page, looks)
    )


def _attach(attachments: Sequence[Attachment], moment: bytes, add: Callable[[bytes], int]) -> bytes:
    """Adds files and their specifications; the catalogue's entries for them."""
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
