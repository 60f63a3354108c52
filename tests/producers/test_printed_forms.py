"""Forms as other programs leave them: drawn, flattened, moved, merged; and papers that mislead."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from packet_forms import BLANKS, CODE, FACES, FORM, LETTER, ROW, blank, filled, flattened
from pypdf import PageObject, PdfReader, PdfWriter, Transformation

from producers import forms
from producers.extract import ScanWithoutText, read
from producers.form_fields import with_fields
from producers.forms import FormMark
from producers.packets import Packet, read_packet
from schemas.errors import UsageError

DATA = Path(__file__).parent / "data"
Way = Callable[[bytes, Path], bytes]


def tool(*words: str | Path) -> None:
    """Run a PDF program."""
    assert shutil.which(str(words[0])), (
        f"{words[0]} is not installed: apt install poppler-utils qpdf ghostscript mupdf-tools"
    )
    subprocess.run(list(map(str, words)), check=True, capture_output=True, timeout=60)


def by_tool(*words: str) -> Way:
    """Return a way that runs a program on a file, `IN` and `OUT` in its words."""

    def way(pdf: bytes, folder: Path) -> bytes:
        source, target = folder / "in.pdf", folder / "out.pdf"
        source.write_bytes(pdf)
        tool(*(word.replace("IN", str(source)).replace("OUT", str(target)) for word in words))
        return target.read_bytes()

    return way


def by_pdfium(pdf: bytes, folder: Path) -> bytes:
    """Flatten a form as a browser does when it prints."""
    document = pypdfium2.PdfDocument(pdf)
    for page in document:
        assert pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_PRINT) != pdfium.FLATTEN_FAIL
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


WAYS: dict[str, Way] = {
    "pdftocairo": by_tool("pdftocairo", "-pdf", "IN", "OUT"),
    "qpdf": by_tool("qpdf", "--flatten-annotations=all", "IN", "OUT"),
    "ghostscript": by_tool("gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=pdfwrite", "-sOutputFile=OUT", "IN"),
    "PDFium": by_pdfium,
    "mutool clean": by_tool("mutool", "clean", "-s", "-gggg", "IN", "OUT"),
}


def moved(pdf: bytes, how: Transformation) -> bytes:
    """Return a PDF whose pages are drawn moved or scaled on fresh ones."""
    writer = PdfWriter()
    for page in PdfReader(io.BytesIO(pdf)).pages:
        fresh = PageObject.create_blank_page(width=page.mediabox.width, height=page.mediabox.height)
        fresh.merge_transformed_page(page, how)
        writer.add_page(fresh)
    return written(writer)


def written(writer: PdfWriter) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def turned(pdf: bytes, angle: int) -> bytes:
    """Return a PDF whose pages are drawn turned on fresh ones, as a scanner or printer leaves them."""
    writer = PdfWriter()
    for page in PdfReader(io.BytesIO(pdf)).pages:
        width, height = page.mediabox.width, page.mediabox.height
        room = (width, height) if angle == 180 else (height, width)
        aside = {90: (height, 0), 180: (width, height), 270: (0, width)}[angle]
        fresh = PageObject.create_blank_page(width=room[0], height=room[1])
        fresh.merge_transformed_page(page, Transformation().rotate(angle).translate(*aside))
        writer.add_page(fresh)
    return written(writer)


def marked(pdf: bytes, angle: int) -> bytes:
    """Return a PDF whose pages say that they are shown turned."""
    writer = PdfWriter(clone_from=io.BytesIO(pdf))
    for page in writer.pages:
        page.rotate(angle)
    return written(writer)


def values(packet: Packet, kind: str) -> dict[str, str]:
    return {value.name: value.value for value in packet.values if value.kind == kind}


def packet(*papers: bytes) -> Packet:
    return read_packet([(f"{n}.pdf", paper) for n, paper in enumerate(papers)], BLANKS)


@pytest.mark.parametrize("name", WAYS)
def test_flattened_forms_read_back_equal(name: str, tmp_path: Path) -> None:
    """A filled form that a program flattened gives the values that were filled in."""
    form = WAYS[name](filled(forms.FORM, FORM), tmp_path)
    letter = WAYS[name](filled(forms.LETTER, LETTER), tmp_path)
    found = packet(form, letter)
    assert (FORM, LETTER, ()) == (
        values(found, forms.FORM), values(found, forms.LETTER), found.contradictions
    )  # fmt: skip


@pytest.mark.parametrize(
    "how",
    [
        Transformation().translate(0, -10),
        Transformation().scale(0.94).translate(18, 25),
        Transformation().scale(1.03).translate(-9, -12),
    ],
    ids=["10 pt lower", "94 %", "103 %"],
)
def test_printing_may_move_and_scale(how: Transformation) -> None:
    """Blanks are found by the labels around them, wherever the page was put."""
    found = packet(moved(flattened(forms.FORM, FORM), how), moved(flattened(forms.LETTER, LETTER), how))
    assert (FORM, LETTER, ()) == (
        values(found, forms.FORM), values(found, forms.LETTER), found.contradictions
    )  # fmt: skip


@pytest.mark.parametrize("angle", [90, 180, 270])
@pytest.mark.parametrize("how", [turned, marked])
def test_rotated_pages_read_back_equal(how: Callable[[bytes, int], bytes], angle: int) -> None:
    """Flattened pages that lie on their side or on their head, and fields on pages that are shown so."""
    form, letter = (flattened, flattened) if how is turned else (filled, filled)
    found = packet(how(form(forms.FORM, FORM), angle), how(letter(forms.LETTER, LETTER), angle))
    assert (FORM, LETTER, ()) == (
        values(found, forms.FORM), values(found, forms.LETTER), found.contradictions
    )  # fmt: skip


def test_forms_of_the_first_layout_are_read() -> None:
    """What was printed before the letter informed of conditions, and the form asked for a contact."""
    form, letter = (
        forms.draw(ROW, FormMark(kind, CODE, "1"), FACES, said).pdf
        for kind, said in ((forms.FORM, FORM), (forms.LETTER, LETTER))
    )
    found = packet(form, letter)
    assert (FORM, LETTER, ()) == (
        values(found, forms.FORM), values(found, forms.LETTER), found.contradictions
    )  # fmt: skip
    assert forms.text_digest() == found.commitment["text_sha256"]


def test_one_merged_file_with_a_cover_page() -> None:
    """A cover page, form and letter in one file are the two papers."""
    writer = PdfWriter()
    writer.add_blank_page(width=595, height=842)
    for paper in (flattened(forms.FORM, FORM), flattened(forms.LETTER, LETTER)):
        writer.append(io.BytesIO(paper))
    found = packet(written(writer))
    assert (FORM, LETTER) == (values(found, forms.FORM), values(found, forms.LETTER))
    assert {2, 3} == {value.page for value in found.values}


def test_a_form_that_another_program_printed() -> None:
    """Labels never become values."""
    found = read_packet([("f.pdf", (DATA / "flat-form-printed.pdf").read_bytes())], BLANKS)
    assert {
        "applicant.name": "青海䶮湖化工（集团）有限公司",
        "applicant.id": "91630225000004001R",
        "applicant.address": "循化撒拉族自治县积石镇托坝村1号",
        "applicant.division": "630225",
        "window": "630225",
        "signed_on": "2018年9月9日",
        "products.1.category": "化肥",
        "products.1.site": "积石镇托坝村",
        "products.1.detail": "复混肥料",
        "products.2.category": "化肥",
        "products.2.site": "街子镇",
        "products.2.detail": "掺混肥料",
    } == values(found, forms.FORM)


@pytest.mark.parametrize(
    "said", [json.loads((DATA / "npk.json").read_text("utf-8"))["products.1.detail"], "“甲”•乙…—₂Φ≥"]
)
def test_characters_outside_latin_1_survive(said: str) -> None:
    """Dashes, quotes and bullets arrive as they were filled in."""
    found = packet(filled(forms.FORM, {"products.1.detail": said}))
    assert {"products.1.detail": said} == values(found, forms.FORM)


PDFJS = Path(__file__).parents[1] / "support" / "pdfjs"


@pytest.fixture(scope="module")
def pdfjs() -> Path:
    """The script that prints what pdf.js draws; the library comes from its lock when it is first needed."""
    if not (PDFJS / "node_modules").is_dir():
        words = ["npm", "ci", "--omit=optional", "--no-audit", "--no-fund", "--prefix", str(PDFJS)]
        subprocess.run(words, check=True, capture_output=True, timeout=300)
    return PDFJS / "shown.mjs"


def test_every_reader_draws_a_filled_form(tmp_path: Path, pdfjs: Path) -> None:
    """Poppler, PDFium, MuPDF and pdf.js extract the value that they draw, by an embedded font; none is asked to draw itself."""
    pdf = filled(forms.FORM, FORM)
    shown = {
        name: "".join(word.text for word in read(WAYS[name](pdf, tmp_path), "f").words)
        for name in ("pdftocairo", "PDFium")
    }
    (tmp_path / "in.pdf").write_bytes(pdf)
    for name, words in (
        ("MuPDF", ["mutool", "draw", "-q", "-F", "txt", "in.pdf"]),
        ("pdf.js", ["node", str(pdfjs), "in.pdf"]),
    ):
        done = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
        shown[name] = done.stdout
    for said in (FORM["applicant.name"], FORM["applicant.id"], FORM["products.2.category"]):
        assert dict.fromkeys(shown, True) == {name: said in text for name, text in shown.items()}
    assert b"NeedAppearances" not in pdf


def test_a_form_filled_in_by_pdf_js_reads_back_equal(tmp_path: Path, pdfjs: Path) -> None:
    """What Firefox's reader writes into the fields and saves is what was typed, and what it draws agrees."""
    papers = []
    for kind, said in ((forms.FORM, FORM), (forms.LETTER, LETTER)):
        (tmp_path / "in.pdf").write_bytes(with_fields(blank(kind)))
        words = ["node", str(pdfjs), "in.pdf", "out.pdf", json.dumps(said)]
        subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=60)
        papers.append((tmp_path / "out.pdf").read_bytes())
    found = packet(*papers)
    assert (FORM, LETTER, ()) == (
        values(found, forms.FORM), values(found, forms.LETTER), found.contradictions
    )  # fmt: skip


def test_forms_that_mupdf_baked_read_back_equal() -> None:
    """Copies that MuPDF 1.28 flattened (`bake`), kept here since the packaged `mutool` has no such command."""
    found = packet(*((DATA / f"{kind}-by-mupdf.pdf").read_bytes() for kind in (forms.FORM, forms.LETTER)))
    assert (FORM, LETTER, ()) == (
        values(found, forms.FORM), values(found, forms.LETTER), found.contradictions
    )  # fmt: skip


def test_outlines_without_characters_are_a_scan(tmp_path: Path) -> None:
    """`mutool convert` leaves out which characters its outlines are: nothing is guessed, the values are asked for."""
    copy = by_tool("mutool", "convert", "-o", "OUT", "IN")(filled(forms.FORM, FORM), tmp_path)
    with pytest.raises(ScanWithoutText, match="outlines without text") as found:
        read(copy, "copy.pdf")
    assert "--values" in (found.value.hint or "")


def test_page_and_field_must_agree() -> None:
    """A field that holds another name than its page shows is a contradiction that names both."""
    found = read_packet([("f.pdf", (DATA / "V-not-AP.pdf").read_bytes())], BLANKS)
    (one,) = found.contradictions
    assert "applicant.name" == one.field
    assert "青海䶮湖化工（集团）有限公司" in one.detail
    assert "西宁另一家化工有限公司" in one.detail


def test_a_power_of_attorney_is_no_business_licence() -> None:
    """A paper is recognised by its title and form, not by a word."""
    with pytest.raises(UsageError, match="business licence"):
        packet((DATA / "power-of-attorney.pdf").read_bytes())


def test_a_licence_that_a_browser_printed() -> None:
    """Radicals are read as characters, successive lines as what their labels say; the name agrees with the form."""
    papers = [
        (name, (DATA / f"{name}.pdf").read_bytes()) for name in ("form", "letter", "licence-by-chromium")
    ]
    found = read_packet(papers, BLANKS)
    assert () == found.contradictions
    assert {
        "applicant.name": "青海䶮湖化工(集团)有限公司",
        "applicant.id": "91630225000004001R",
        "applicant.address": "循化撒拉族自治县积石镇托坝村1号",
        "established_on": "2010年01月02日",
    } == values(found, "business-licence")


def test_dashes_of_every_kind_stand_in_dates() -> None:
    """U+2011, U+2013 and U+2212 in a date are hyphens; both papers then say the same day."""
    for dash in "\u2011\u2013\u2212":
        letter = {**LETTER, "signed_on": f"2018{dash}09{dash}09"}
        form = {**FORM, "signed_on": "2018-09-09"}
        assert () == packet(filled(forms.FORM, form), filled(forms.LETTER, letter)).contradictions


def test_names_that_look_the_same_agree() -> None:
    """Middle dots and full-width letters differ between keyboards, not between persons."""
    found = packet(
        filled(forms.FORM, {**FORM, "applicant.name": "阿卜杜·热依木 A"}),
        filled(forms.LETTER, {**LETTER, "applicant.name": "阿卜杜•热依木Ａ"}),
    )
    assert () == found.contradictions
