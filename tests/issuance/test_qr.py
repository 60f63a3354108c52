"""The QR can be read from the page as a screen or a printer shows it at 150 dpi."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from issuance.pdf import MOST_MODULES, draw_qr, encode_qr
from schemas.errors import LintError
from schemas.licence import MAX_CREDENTIAL, Issued, Numbered, qr_text, read_qr_text
from verification.pdf import attachments

HOST = "ZHENGZHAO.EXAMPLE"
BOX = 54 / 25.4 * 72  # points: the room that each template leaves
PAPER = 250
Papers = dict[str, tuple[Numbered, Issued, bytes]]


def drawn(operators: bytes) -> bytes:
    """A PDF of one page with these operators."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 4 0 R/Resources<<>>>>" % (PAPER, PAPER),
        b"<</Length %d>>\nstream\n%s\nendstream" % (len(operators), operators),
    )
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % pair for pair in enumerate(objects, 1))
    return b"%PDF-1.7\n" + body + b"trailer<</Size 5/Root 1 0 R>>\n%%EOF"


def picture(pdf: bytes) -> Image.Image:
    return pypdfium2.PdfDocument(pdf)[0].render(scale=150 / 72).to_pil()


def read(image: Image.Image) -> str | None:
    found = zxingcpp.read_barcode(image)
    return found.text if found else None


@pytest.mark.parametrize("size", [300, 420, 500, 600, MAX_CREDENTIAL])
def test_every_size_reads_at_150_dpi(size: int) -> None:
    """Symbols of every size up to the largest credential read wherever they lie on the grid of pixels."""
    chance = random.Random(size)
    for _ in range(6):
        text = qr_text(HOST, chance.randbytes(size))
        left, bottom = chance.uniform(20, 30), chance.uniform(20, 30)
        assert read(picture(drawn(draw_qr(encode_qr(text), left, bottom, BOX)))) == text


def test_the_page_carries_its_credential(issued: Papers) -> None:
    """What the QR of each kind of page says is the attached credential."""
    for _, _, pdf in issued.values():
        text = read(picture(pdf))
        assert text is not None
        assert read_qr_text(text) == (HOST, attachments(pdf)["credential.cwt"])


@pytest.mark.skipif(shutil.which("zbarimg") is None, reason="zbarimg is not installed")
def test_zbar_reads_the_page(issued: Papers, tmp_path: Path) -> None:
    """So does another author's reader, from the picture of the page."""
    for _, _, pdf in issued.values():
        file = tmp_path / "page.png"
        picture(pdf).save(file)
        found = subprocess.run(["zbarimg", "-q", "--raw", file], capture_output=True, text=True, check=True)
        assert read_qr_text(found.stdout.strip())[1] == attachments(pdf)["credential.cwt"]


def test_symbol_is_square_and_packed() -> None:
    """A symbol has as many rows as modules, each in whole bytes, with a finder pattern in three corners."""
    symbol = encode_qr(qr_text(HOST, bytes(range(200))))
    assert len(symbol.rows) == symbol.side
    assert {len(row) for row in symbol.rows} == {(symbol.side + 7) // 8}
    assert symbol.rows[0][0] == 0b11111110
    assert symbol.rows[-1][0] == 0b11111110


def test_the_largest_credential_has_93_modules() -> None:
    """The size on which the room in the templates rests."""
    assert encode_qr(qr_text(HOST, b"\xff" * MAX_CREDENTIAL)).side == 93


def test_too_much_text_is_a_lint_error() -> None:
    """A text that no QR holds is refused."""
    with pytest.raises(LintError, match="QR cannot hold"):
        encode_qr("9" * 8000)


def test_picture_of_the_page_survives_jpeg(issued: Papers) -> None:
    """A photograph-like JPEG of the page reads too."""
    buffer = io.BytesIO()
    picture(issued["short"][2]).convert("RGB").save(buffer, "JPEG", quality=60)
    assert read(Image.open(buffer)) is not None


def test_a_usual_qr_survives_a_white_spot_of_a_tenth() -> None:
    """Level M where there is room: a spot over 10 % of the area, away from the finder patterns, is made good."""
    text = qr_text(HOST, bytes(range(256)) + bytes(range(200)))
    symbol = encode_qr(text)
    assert symbol.side <= MOST_MODULES
    image = picture(drawn(draw_qr(symbol, 100, 100, BOX)))
    box = image.convert("L").point(lambda v: 255 - v).getbbox()
    assert box is not None
    left, top, right, bottom = box
    side = round((right - left) * 0.1**0.5)
    spot = (left + (right - left - side) // 2, top + (bottom - top - side) // 2)
    image.paste("white", (*spot, spot[0] + side, spot[1] + side))
    assert text == read(image)


def test_qr_of_an_earlier_form_is_level_l() -> None:
    """A licence of the second form is rebuilt with the symbol that it had."""
    text = qr_text(HOST, bytes(400))
    assert encode_qr(text, robust=False).side < encode_qr(text).side
