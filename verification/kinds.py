"""What kind of thing the bytes are, told from the bytes alone: names can lie."""

from __future__ import annotations

from enum import Enum

from schemas.errors import UsageError


class Kind(Enum):
    """What `verify` takes."""

    PDF = "pdf"
    CWT = "cwt"
    PICTURE = "picture"
    QR_TEXT = "qr-text"
    BODY = "json"
    OTHER = "other"


def sniff(data: bytes, name: str) -> Kind:
    """The kind of the bytes; UsageError for none at all."""
    if not data:
        raise UsageError(
            "the file is empty / 文件为空", where=name, hint="give a PDF, CWT, QR or licence.json"
        )
    if data.startswith(b"%PDF-"):
        return Kind.PDF
    if data.startswith(b"\xd2"):
        return Kind.CWT
    if data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return Kind.PICTURE
    if data.startswith(b"{"):
        return Kind.BODY
    if _looks_like_qr_text(data):
        return Kind.QR_TEXT
    return Kind.OTHER


def _looks_like_qr_text(data: bytes) -> bool:
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()[:8].upper() == b"HTTPS://"
