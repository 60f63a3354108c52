"""The one form of a licence's PDF: what the seal covers, and the files attached to it.

`read_layout` looks at nothing but the signature's place at the end of the file: it must cover everything else.
Only when the seal is verified does `attachments` follow the file's own cross-reference table; it never searches
the file, since a holder's texts stand in it and may look like anything.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from schemas.errors import VerificationError

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


class Layout(msgspec.Struct, frozen=True):
    """A PDF as the seal sees it: the CMS in exact DER, and the SHA-256 of all the rest."""

    cms: bytes
    digest: bytes


def read_layout(data: bytes) -> Layout:
    """Where the signature is and what it covers; VerificationError unless it is the whole file, in the one form."""
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
    return Layout(_exact(bytes.fromhex(found[1].decode())), digest.digest())


def attachments(data: bytes) -> dict[str, bytes]:
    """Name → content of the attached files of a PDF whose seal was verified; VerificationError for another form."""
    offsets, root = _table(data)
    listed = _NAMES.search(_object(data, offsets, root))
    if listed is None:
        raise VerificationError("没有附件 / no files are attached")
    files = {}
    for name, number in _NAME.findall(listed[1]):
        files[_text(name)] = _content(data, offsets, int(number))
    return files


def _exact(padded: bytes) -> bytes:
    """The DER in front of the zeros."""
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
    """From the object's content to the end of the file."""
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
