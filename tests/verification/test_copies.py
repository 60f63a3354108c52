"""Pictures, scans and copies: judged by their QR, `unknown` without one, `invalid` where a copy was changed."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pypdfium2
import pytest
from bureau import DECIDED, LIFE, NOON, PROVINCE, ROLES, Bureau, numbered
from PIL import Image, ImageDraw
from pypdf import PdfReader, PdfWriter

from issuance import keys
from issuance.certificates import Role
from schemas.trust import TrustStore
from verification.verify import Verdict, verify_bytes


class Licence:
    """One licence with a status list, as a file and as a picture of its first page."""

    def __init__(self, folder: Path) -> None:
        self.bureau = Bureau(folder)
        self.pdf = self.bureau.pdf(numbered())
        self.bureau.edition(DECIDED)
        self.page = pypdfium2.PdfDocument(self.pdf)[0].render(scale=200 / 72).to_pil().convert("RGB")

    def verdict(self, data: bytes) -> tuple[str, bool]:
        found = self.bureau.verify(data)
        return found.verdict, found.genuine


@pytest.fixture(scope="module")
def licence(tmp_path_factory: pytest.TempPathFactory) -> Licence:
    return Licence(tmp_path_factory.mktemp("copies"))


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    """Return a picture as a file."""
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def without_qr(page: Image.Image) -> Image.Image:
    """Return the page with its lower left corner, which holds the QR, painted over."""
    copy = page.copy()
    ImageDraw.Draw(copy).rectangle((0, copy.height // 2, copy.width // 2, copy.height), fill="white")
    return copy


@pytest.mark.parametrize("form", ["WEBP", "TIFF", "PNG", "JPEG"])
def test_pictures_of_every_form_are_read(licence: Licence, form: str) -> None:
    """A picture of the page is judged by its QR."""
    assert ("valid", True) == licence.verdict(saved(licence.page, form))


def test_the_second_page_of_a_tiff_is_read(licence: Licence) -> None:
    """Fax machines and scanners write several pages into one TIFF."""
    cover = Image.new("L", licence.page.size, "white")
    fax = saved(cover, "TIFF", save_all=True, append_images=[licence.page.convert("L")])
    assert ("valid", True) == licence.verdict(fax)


def test_a_scanned_pdf_is_judged_by_its_qr(licence: Licence) -> None:
    """A PDF whose page is a picture counts as a picture."""
    assert ("valid", True) == licence.verdict(saved(licence.page, "PDF", resolution=200))


@pytest.mark.parametrize("form", ["PNG", "PDF", "TIFF"])
def test_a_picture_without_a_qr_is_unknown(licence: Licence, form: str) -> None:
    """It cannot be judged, and the answer says what to do."""
    found = licence.bureau.verify(saved(without_qr(licence.page), form))
    assert ("unknown", False, {}) == (found.verdict, found.genuine, found.licence)
    assert "original PDF" in found.checks[-1].detail


def test_two_licences_in_one_picture_are_unknown(licence: Licence) -> None:
    """Nobody can say which of them is meant."""
    other = licence.bureau.pdf(numbered(status_index=4))
    second = pypdfium2.PdfDocument(other)[0].render(scale=200 / 72).to_pil().convert("RGB")
    both = Image.new("RGB", (second.width * 2, second.height), "white")
    both.paste(licence.page, (0, 0))
    both.paste(second, (second.width, 0))
    assert ("unknown", False) == licence.verdict(saved(both, "PNG"))


def test_a_form_that_is_not_read_is_unknown(licence: Licence) -> None:
    """A GIF, a text and a web page are no forms that could be judged."""
    for data in (saved(licence.page, "GIF"), b"no licence", b"<html></html>"):
        found = licence.bureau.verify(data)
        assert ("unknown", False) == (found.verdict, found.genuine)


def test_a_changed_copy_is_invalid_and_says_what_can_be_checked(licence: Licence) -> None:
    """Written again by another program, or with a byte changed, it is no original; its QR still is."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(licence.pdf)))
    again = io.BytesIO()
    writer.write(again)
    middle = len(licence.pdf) - 3000
    flipped = licence.pdf[:middle] + bytes((licence.pdf[middle] ^ 1,)) + licence.pdf[middle + 1 :]
    for copy in (again.getvalue(), flipped, b"mail" + licence.pdf, licence.pdf + b"\n"):
        found = licence.bureau.verify(copy)
        assert ("invalid", False) == (found.verdict, found.genuine)
        assert "the QR on it can be checked" in found.checks[-1].detail


def test_another_document_is_invalid_without_that_advice(licence: Licence) -> None:
    """A PDF with text that shows no QR of ours was never a licence."""
    form = Path(__file__).parents[1] / "producers" / "data" / "power-of-attorney.pdf"
    found = licence.bureau.verify(form.read_bytes())
    assert ("invalid", False) == (found.verdict, found.genuine)
    assert "QR" not in found.checks[-1].detail


def test_a_seal_that_an_older_trust_folder_lacks_is_unknown(tmp_path: Path) -> None:
    """The root issued its certificate, this edition does not list it: the answer names the edition and its date."""
    bureau = Bureau(tmp_path)
    old = bureau.trust
    life = msgspec.structs.replace(LIFE, signs_from=LIFE.signs_from.replace(month=6))
    keys.rotate(
        tmp_path, old, [Role(PROVINCE, ROLES[1].name, "seal")], life, now=life.signs_from, passphrase=None
    )
    pdf = Bureau.pdf(bureau, numbered())
    found = _verdict(pdf, old)
    assert ("unknown", False, {}) == (found.verdict, found.genuine, found.licence)
    assert "edition 1 of the trust folder (2018-01-01)" in found.checks[-1].detail
    assert "invalid" == _verdict(pdf[:200] + b"x" + pdf[201:], old).verdict


def _verdict(pdf: bytes, trust: TrustStore) -> Verdict:
    return verify_bytes(pdf, name="f", trust=trust, status=None, at=NOON)
