"""The QR of a licence, from a picture (PNG, JPEG) to its text.

What kind of thing the bytes are, told from the bytes alone: names can lie.
"""

from __future__ import annotations

import io
import warnings
from enum import Enum
from typing import Final

import zxingcpp
from PIL import Image

from schemas.errors import UsageError, VerificationError

MAX_PIXELS: Final = 40_000_000  # an A4 page at 600 dpi has 35 million
MAX_PICTURE: Final = 32 << 20  # bytes
_QR: Final = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])


def text_in_picture(data: bytes) -> str:
    """The text of the one licence QR in a picture; VerificationError where there is none, or several."""
    texts = {text for text in _texts(_open(data)) if text.startswith("HTTPS://")}
    if not texts:
        raise VerificationError("图片中没有证照二维码 / no QR of a licence in the picture")
    if len(texts) > 1:
        raise VerificationError("一张图片中有多个证照二维码 / several QRs of licences in one picture")
    return texts.pop()


def _open(data: bytes) -> Image.Image:
    if len(data) > MAX_PICTURE:
        raise VerificationError(f"图片过大 / a picture over {MAX_PICTURE} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the cap below is ours
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
            if picture.width * picture.height > MAX_PIXELS:
                raise VerificationError(
                    f"图片尺寸过大 / a picture of {picture.width} × {picture.height} pixels"
                )
            return _grey(picture)
    except VerificationError:
        raise
    except Exception as error:  # the decoders raise whatever comes to their mind on broken pictures
        raise VerificationError(
            f"图片无法读取 / the picture cannot be read: {type(error).__name__}: {error}"
        ) from None


def _grey(picture: Image.Image) -> Image.Image:
    if "A" in picture.getbands() or "transparency" in picture.info:
        paper = Image.new("RGBA", picture.size, "white")  # what is transparent shows the paper
        paper.alpha_composite(picture.convert("RGBA"))
        return paper.convert("L")
    return picture.convert("L")


def _texts(picture: Image.Image) -> list[str]:
    found = zxingcpp.read_barcodes(picture, formats=_QR)
    return [code.text for code in found if code.valid]


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
