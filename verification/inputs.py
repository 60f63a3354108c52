"""The forms of input that `verify` reads, told from the bytes alone, and the text of the QR in pictures and scans.

Pictures are PNG, JPEG, WebP and TIFF. A scan is a PDF whose pages are pictures without visible text. A file of any
other form cannot be judged, and neither can a picture or scan without one readable QR in the form of a licence's.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]
import zxingcpp
from PIL import Image, ImageSequence

from schemas.errors import NotJudged, UsageError, VerificationError
from schemas.licence import is_qr_text

MAX_PIXELS: Final = 40_000_000  # An A4 page at 600 dpi has 35 million.
MAX_PICTURE: Final = 32 << 20  # bytes
MAX_SCANNED: Final = 10  # pages of a PDF or TIFF in which a QR is looked for
_DPI: Final = 200
_COVERED: Final = 0.6  # the part of a scanned page that its pictures cover, at least
_INVISIBLE: Final = 3  # text rendering mode of the text that character recognition lays under a scan
_QR: Final = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
_SEALED: Final = b"/ByteRange"  # the entry of a signature dictionary that names what the seal covers
_CWT_TYPE: Final = b"application/cwt"
_HEADER: Final = 64  # bytes in which the protected header of a credential names its type
_PDF_WITHIN: Final = 1024  # ISO 32000-1, annex H.3: readers look for the header in the first 1,024 bytes
_NO_QR: Final = (
    "拍清二维码再试，或提交原始 PDF / photograph the QR alone, sharp and whole, or give the original PDF"
)


class Kind(Enum):
    """Form of an input."""

    PDF = "pdf"
    CWT = "cwt"
    PICTURE = "picture"
    QR_TEXT = "qr-text"
    BODY = "json"
    OTHER = "other"


def sniff(data: bytes, name: str) -> Kind:
    """Return the form of the bytes. Raise UsageError where there are none.

    A sealed PDF or a credential whose first bytes were changed is still one: it is false, not of an unknown form.
    """
    if not data:
        raise UsageError(
            "文件是空的 / the file is empty",
            where=name,
            hint="提供 PDF、CWT、二维码或 licence.json / give a PDF, CWT, QR or licence.json",
        )
    if b"%PDF-" in data[:_PDF_WITHIN] or _SEALED in data:
        return Kind.PDF
    if data.startswith(b"\xd2") or _CWT_TYPE in data[:_HEADER]:
        return Kind.CWT
    if data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")) or (
        data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    ):
        return Kind.PICTURE
    if data.startswith(b"{"):
        return Kind.BODY
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:8].upper() == b"HTTPS://":
        return Kind.QR_TEXT
    return Kind.OTHER


def text_in_picture(data: bytes) -> str:
    """Return the text of the one licence QR in a picture. Raise NotJudged where there is none, or several."""
    return _only(text for picture in _pictures(data) for text in _texts(picture))


def _only(texts: Iterator[str]) -> str:
    found = set(texts)
    if not found:
        raise NotJudged(
            f"没有可读的证照二维码 / no readable QR of a licence; {_NO_QR}",
        )
    if len(found) > 1:
        raise NotJudged(
            "有多个证照二维码，请分别核验 / several QRs of licences in one picture: check each by itself"
        )
    return found.pop()


def _texts(picture: Image.Image) -> Iterator[str]:
    """Return the texts of a picture's QRs that have the form of a licence's; other QRs are no concern of ours."""
    for code in zxingcpp.read_barcodes(picture, formats=_QR):
        if code.valid and is_qr_text(code.text):
            yield code.text


# ---- pictures -----------------------------------------------------------------------------------------------


def _pictures(data: bytes) -> Iterator[Image.Image]:
    """Return the pages of a picture (a TIFF may have several), in grey."""
    if len(data) > MAX_PICTURE:
        raise NotJudged(f"图片过大 / a picture over {MAX_PICTURE >> 20} MB; {_NO_QR}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # The cap below is ours.
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "TIFF"))
            for number, page in enumerate(ImageSequence.Iterator(picture)):
                if number == MAX_SCANNED:
                    return
                if page.width * page.height > MAX_PIXELS:
                    raise NotJudged(
                        f"图片尺寸过大 / a picture of {page.width} × {page.height} pixels; {_NO_QR}"
                    )
                yield _grey(page)
    except VerificationError:
        raise
    except Exception as error:  # Decoders raise errors of many kinds on broken pictures.
        raise NotJudged(
            f"图片无法读取 / the picture cannot be read: {type(error).__name__}: {error}; {_NO_QR}"
        ) from None


def _grey(picture: Image.Image) -> Image.Image:
    if "A" in picture.getbands() or "transparency" in picture.info:
        paper = Image.new("RGBA", picture.size, "white")  # A transparent part shows the paper.
        paper.alpha_composite(picture.convert("RGBA"))
        return paper.convert("L")
    return picture.convert("L")


# ---- PDFs that are not in the form of a licence ----------------------------------------------------------------


class Copy(NamedTuple):
    """A PDF that is not in a licence's form: a scan or not, and the texts of the licence QRs that it shows."""

    is_scan: bool
    texts: frozenset[str]

    def text(self) -> str:
        """Return the text of the one licence QR of a scan. Raise NotJudged where there is none, or several."""
        return _only(iter(self.texts))


def look_at_copy(data: bytes) -> Copy:
    """Draw the first pages of any PDF and look for licence QRs. A file that cannot be drawn is no scan and shows none."""
    try:
        document = pypdfium2.PdfDocument(data)
    except Exception:  # PDFium refuses broken and encrypted files.
        return Copy(False, frozenset())
    try:
        pages = [document[number] for number in range(min(len(document), MAX_SCANNED))]
        is_scan = bool(pages) and all(map(_is_scanned, pages))
        texts: set[str] = set()
        for page in pages:
            texts.update(_texts(_drawn(page)))
            if texts:
                break
        return Copy(is_scan, frozenset(texts))
    except Exception:  # A page that cannot be drawn shows nothing.
        return Copy(False, frozenset())
    finally:
        document.close()


def _is_scanned(page: pypdfium2.PdfPage) -> bool:
    """Tell whether a page is a picture: pictures cover most of it, and no text is visible."""
    covered = 0.0
    for thing in page.get_objects(max_depth=4):
        if thing.type == pdfium.FPDF_PAGEOBJ_TEXT:
            if pdfium.FPDFTextObj_GetTextRenderMode(thing.raw) != _INVISIBLE:
                return False
        elif thing.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = thing.get_bounds()
            covered += (right - left) * (top - bottom)
    return bool(covered >= _COVERED * page.get_width() * page.get_height())


def _drawn(page: pypdfium2.PdfPage) -> Image.Image:
    scale = _DPI / 72
    points = max(page.get_width() * page.get_height(), 1.0)
    scale = min(scale, (MAX_PIXELS / 2 / points) ** 0.5)
    picture: Image.Image = page.render(scale=scale, grayscale=True).to_pil()
    return picture.convert("L")
