"""Papers in, application event out: form fields and flattened text alike, contradictions named, hostile PDFs refused."""

from __future__ import annotations

import ctypes
import io
import json
from collections.abc import Mapping
from typing import Any

import packet_papers as papers
import pypdfium2 as pdfium
import pypdfium2.raw as engine
import pytest
import typst
from packet_forms import BLANKS, CODE, FOLDERS, FORM, LETTER, NAME, draw, filled, flattened
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, ContentStream, DictionaryObject, NameObject

from issuance import fonts
from producers import extract, forms
from producers.extract import read
from producers.packets import Blanks, Packet, application, read_packet
from schemas.errors import UsageError


def packet(form: bytes, letter: bytes) -> Packet:
    return read_packet([("form.pdf", form), ("letter.pdf", letter)], BLANKS)


@pytest.mark.parametrize("way", [filled, flattened])
def test_a_packet_becomes_an_application(way: Any) -> None:
    """Every value arrives, whichever way the form was filled, with page and box."""
    read = packet(way(forms.FORM, FORM), way(forms.LETTER, LETTER))
    assert read.contradictions == ()
    data = application(
        read, holder="enterprise", source="urn:agency:630225:service-hall", time="2018-09-10T09:00:00+08:00"
    )["data"]
    assert {
        "kind": "enterprise",
        "id": FORM["applicant.id"],
        "name": NAME,
        "address": FORM["applicant.address"],
        "division": "630225",
    } == data["applicant"]
    assert data["products"] == [
        {"category": "化肥", "site": "积石镇", "detail": ""},
        {"category": "人造板", "site": "", "detail": ""},
    ]
    letter = next(m for m in data["materials"] if m["kind"] == "commitment-letter")
    assert (letter["signed_on"], letter["signatory"]) == ("2018-09-09", "法定代表人甲")
    assert forms.commitment_digest() == letter["text_sha256"]
    assert all(v.page == 1 and v.box[2] > v.box[0] for v in read.values)


@pytest.mark.parametrize(
    ("field", "value"),
    [("applicant.name", "青海别家有限公司"), ("applicant.id", "914403001922038216"), ("signed_on", "昨天")],
)
def test_papers_that_disagree_are_named(field: str, value: str) -> None:
    """Name, USCC and date signed are held against each other."""
    read = packet(filled(forms.FORM, FORM), filled(forms.LETTER, {**LETTER, field: value}))
    assert [field] == [c.field for c in read.contradictions]


@pytest.mark.parametrize("way", [filled, flattened])
def test_dates_that_disagree_are_named(way: Any) -> None:
    """Form and letter bear one date, in whatever writing; another is a contradiction."""
    letter = way(forms.LETTER, LETTER)
    same = packet(way(forms.FORM, {**FORM, "signed_on": "2018-09-09"}), letter)
    other = packet(way(forms.FORM, {**FORM, "signed_on": "2018-09-08"}), letter)
    assert same.contradictions == ()
    assert [("signed_on", "2018-09-08 (application-form) ≠ 2018-09-09 (commitment-letter)")] == [
        (c.field, c.detail) for c in other.contradictions
    ]


def business_licence(**changes: str) -> bytes:
    """A business licence as a PDF with text, by another author's tools."""
    says = {
        "名称": NAME,
        "统一社会信用代码": FORM["applicant.id"],
        "住所": "循化县积石镇1号",
        "成立日期": "2015年03月02日",
    }
    lines = "".join(f"{label}: {value} \\\n" for label, value in {**says, **changes}.items())
    source = f"#set text(font: ({', '.join(map(json.dumps, fonts.FAMILIES))}))\n= 营业执照\n{lines}"
    made = typst.compile(source.encode(), font_paths=[str(f) for f in FOLDERS], ignore_system_fonts=True)
    assert isinstance(made, bytes)
    return made


def test_the_business_licence_is_read_too() -> None:
    """Name, USCC and address with their places; what it says otherwise is a contradiction, and named."""
    papers = [("form.pdf", filled(forms.FORM, FORM)), ("letter.pdf", filled(forms.LETTER, LETTER))]
    good = read_packet([*papers, ("licence.pdf", business_licence())], BLANKS)
    assert good.contradictions == ()
    assert {"applicant.name", "applicant.id", "applicant.address", "established_on"} == {
        v.name for v in good.values if v.kind == "business-licence" and v.page == 1 and v.box[2] > v.box[0]
    }
    for change, field in (
        ({"名称": "青海别家有限公司"}, "applicant.name"),
        ({"统一社会信用代码": "914403001922038216"}, "applicant.id"),
        ({"成立日期": "2018年9月10日"}, "signed_on"),
    ):
        read = read_packet([*papers, ("licence.pdf", business_licence(**change))], BLANKS)
        assert [field] == [c.field for c in read.contradictions]


def test_a_field_split_from_its_widget() -> None:
    """As some readers save it: name and value in the field, place in the widget below."""
    writer = PdfWriter(clone_from=io.BytesIO(filled(forms.FORM, FORM)))
    for reference in writer.pages[0]["/Annots"]:
        widget = reference.get_object()
        field = DictionaryObject(
            {NameObject(k): widget.pop(k) for k in ("/T", "/TU", "/V", "/FT") if k in widget}
        )
        field[NameObject("/Kids")] = ArrayObject([reference])
        widget[NameObject("/Parent")] = writer._add_object(field)
    out = io.BytesIO()
    writer.write(out)
    read = packet(out.getvalue(), filled(forms.LETTER, LETTER))
    assert {**FORM} == {v.name: v.value for v in read.values if v.kind == forms.FORM}


def without_a_line(pdf: bytes) -> bytes:
    """A letter of which one line of the promise was taken out."""
    writer = PdfWriter(clone_from=io.BytesIO(pdf))
    content = ContentStream(writer.pages[0].get_contents(), writer)
    shown = [n for n, (_, operator) in enumerate(content.operations) if operator in (b"Tj", b"TJ")]
    content.operations = [one for n, one in enumerate(content.operations) if n != shown[4]]
    writer.pages[0][NameObject("/Contents")] = writer._add_object(content)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def in_a_browser(pdf: bytes, values: Mapping[str, str], *, printed: bool) -> bytes:
    """The form filled by the engine of a browser (PDFium): clicked into, typed, saved or printed to PDF."""
    document = pdfium.PdfDocument(pdf)
    document.init_forms()
    page, form = document[0], document.formenv
    for n in range(engine.FPDFPage_GetAnnotCount(page)):
        field = engine.FPDFPage_GetAnnot(page, n)
        letters, place = (ctypes.c_ushort * 200)(), engine.FS_RECTF()
        engine.FPDFAnnot_GetFormFieldName(form, field, letters, 400)
        engine.FPDFAnnot_GetRect(field, place)
        name = bytes(letters).decode("utf-16-le").partition("\0")[0].replace("/", ".")
        if name in values:
            middle = ((place.left + place.right) / 2, (place.top + place.bottom) / 2)
            typed = ctypes.create_string_buffer(f"{values[name]}\0".encode("utf-16-le"))
            engine.FORM_OnLButtonDown(form, page, 0, *middle)
            engine.FORM_OnLButtonUp(form, page, 0, *middle)
            engine.FORM_ReplaceSelection(form, page, ctypes.cast(typed, ctypes.POINTER(ctypes.c_ushort)))
            engine.FORM_ForceToKillFocus(form)
        engine.FPDFPage_CloseAnnot(field)
    if printed:
        engine.FPDFPage_Flatten(page, engine.FLAT_PRINT)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.mark.parametrize("printed", [False, True])
def test_a_form_filled_in_a_browser(printed: bool) -> None:
    """Saved with its fields, or printed to PDF: the same values at the same places."""
    form, letter = (
        in_a_browser(forms.with_fields(BLANKS.forms[CODE, kind]), values, printed=printed)
        for kind, values in ((forms.FORM, FORM), (forms.LETTER, LETTER))
    )
    read = packet(form, letter)
    assert read.contradictions == ()
    assert FORM == {v.name: v.value for v in read.values if v.kind == forms.FORM}
    assert LETTER == {v.name: v.value for v in read.values if v.kind == forms.LETTER}
    assert read.commitment["text_sha256"] == forms.commitment_digest()
    places = {
        (b.name, b.page): b.box
        for kind in (forms.FORM, forms.LETTER)
        for b in BLANKS.forms[CODE, kind].blanks
    }
    assert all(abs(v.box[0] - places[v.name, v.page][0]) < 2 for v in read.values if v.kind == forms.LETTER)


def test_a_changed_letter_is_no_commitment() -> None:
    """Its text is held against ours: a line less is named, and its digest is another."""
    letter = flattened(forms.LETTER, LETTER)
    whole, changed = (packet(filled(forms.FORM, FORM), pdf) for pdf in (letter, without_a_line(letter)))
    assert whole.commitment["text_sha256"] == forms.commitment_digest()
    assert ["commitment"] == [c.field for c in changed.contradictions]
    assert changed.commitment["text_sha256"] != whole.commitment["text_sha256"]


def test_the_same_papers_are_the_same_application() -> None:
    """The application id follows from the bytes, the event id also from the moment."""
    papers = (filled(forms.FORM, FORM), filled(forms.LETTER, LETTER))
    events = [
        application(packet(*papers), holder="enterprise", source="urn:agency:630225:service-hall", time=time)
        for time in ("2018-09-10T09:00:00+08:00", "2018-09-11T09:00:00+08:00")
    ]
    assert events[0]["data"]["application_id"] == events[1]["data"]["application_id"]
    assert events[0]["id"] != events[1]["id"]


@pytest.mark.parametrize("pdf", [b"{}", b"", b"%PDF-1.7\n", b"%PDF-1.7\n" + b"1 0 obj<<" * 99])
def test_what_is_no_form_is_not_filled(pdf: bytes) -> None:
    """Wrong use, with a hint; a value without a field too."""
    with pytest.raises(UsageError, match="no PDF form"):
        forms.fill(pdf, {})
    with pytest.raises(UsageError, match="no such field"):
        filled(forms.FORM, {"nothing": "x"})


def test_a_scan_says_so() -> None:
    """A page without text cannot be read, and the message says what to send instead."""
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(UsageError, match="扫描件"):
        read_packet([("scan.pdf", out.getvalue())], BLANKS)


def test_a_stranger_paper_is_refused() -> None:
    """A PDF that is neither form nor business licence is named."""
    pdf = draw(forms.FORM).pdf
    with pytest.raises(UsageError, match="没有事项"):
        read_packet([("other.pdf", pdf)], Blanks({}))


def test_hostile_pdfs_are_refused_in_one_line() -> None:
    """Truncated, encrypted, looping, bombing: an error with the file's name, never a hang."""
    whole = filled(forms.FORM, FORM)
    writer = PdfWriter(clone_from=io.BytesIO(whole))
    writer.encrypt("secret")
    locked = io.BytesIO()
    writer.write(locked)
    pages = "".join(f"{n} 0 obj<</Type/Pages/Kids[{n} 0 R]/Count 1/Parent {n} 0 R>>endobj\n" for n in (2,))
    loop = (
        f"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n{pages}trailer<</Root 1 0 R>>\n%%EOF".encode()
    )
    for name, raw in {
        "empty.pdf": b"%PDF-1.7\n",
        "half.pdf": whole[: len(whole) // 3],
        "locked.pdf": locked.getvalue(),
        "loop.pdf": loop,
        "text.pdf": b"hello",
    }.items():
        with pytest.raises(UsageError) as caught:
            read_packet([(name, raw)], BLANKS)
        assert name == caught.value.where
        assert caught.value.hint


def test_each_kind_of_hostile_paper_reaches_the_parser() -> None:
    """The documents of the corpus are whole: without what makes them hurt a reader reads them."""
    plain = papers.document(papers.TEXT, papers.HELVETICA, page=papers.FONT)
    assert ["hello"] == [word.text for word in read(plain, "plain.pdf").words]


@pytest.mark.slow
def test_a_thousand_broken_papers_get_clear_answers() -> None:
    """Bent forms, bombs, loops, scripts: read or refused in one line, in time; `make soak` reads the costly ones too."""
    figures = papers.run(1000, 11, costly=4)
    assert (figures["clear answers only"], figures["none over 10 seconds"]) == (True, True), figures
    assert figures["refused in one line"] > 300
    assert figures["read"] > 100


def test_a_reader_that_ended_is_replaced() -> None:
    """Whoever killed it: the next paper is read all the same."""
    plain = papers.document(papers.TEXT, papers.HELVETICA, page=papers.FONT)
    read(plain + b"\n", "one.pdf")
    idle = extract._idle.get_nowait()
    idle._process.kill()
    idle._process.wait()
    extract._idle.put(idle)
    assert read(plain + b"\n\n", "two.pdf").pages == 1
