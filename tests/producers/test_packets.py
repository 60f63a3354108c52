"""Papers in, application event out: form fields and flattened text alike, contradictions named, hostile PDFs refused."""

from __future__ import annotations

import ctypes
import io
import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import packet_papers as papers
import pypdfium2 as pdfium
import pypdfium2.raw as engine
import pytest
import typst
from packet_forms import BLANKS, CODE, FOLDERS, FORM, FORMS, LETTER, NAME, blank, draw, filled, flattened
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, ContentStream, DictionaryObject, NameObject

from issuance import fonts
from producers import extract, forms
from producers.extract import read
from producers.form_fields import fill, with_fields
from producers.packet_events import CaseNeeds, form_row
from producers.packets import Blanks, Packet, read_packet
from producers.printed import read_told
from schemas.errors import UsageError


def packet(form: bytes, letter: bytes) -> Packet:
    return read_packet([("form.pdf", form), ("letter.pdf", letter)], BLANKS)


def event_of(read: Packet, time: str = "2018-09-10T09:00:00+08:00") -> dict[str, Any]:
    return FORMS.event(read, source="urn:agency:630225:service-hall", at=datetime.fromisoformat(time))


@pytest.mark.parametrize("way", [filled, flattened])
def test_a_packet_becomes_an_application(way: Any) -> None:
    """Every value arrives, whichever way the form was filled, with page and box."""
    read = packet(way(forms.FORM, FORM), way(forms.LETTER, LETTER))
    assert read.contradictions == ()
    data = event_of(read)["data"]
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
    assert forms.text_digest() == letter["text_sha256"]
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


def without_a_line(pdf: bytes, number: int) -> bytes:
    """A letter of which one piece of its text was taken out."""
    writer = PdfWriter(clone_from=io.BytesIO(pdf))
    content = ContentStream(writer.pages[0].get_contents(), writer)
    shown = [n for n, (_, operator) in enumerate(content.operations) if operator in (b"Tj", b"TJ")]
    content.operations = [one for n, one in enumerate(content.operations) if n != shown[number]]
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
        in_a_browser(with_fields(blank(kind)), values, printed=printed)
        for kind, values in ((forms.FORM, FORM), (forms.LETTER, LETTER))
    )
    read = packet(form, letter)
    assert read.contradictions == ()
    assert FORM == {v.name: v.value for v in read.values if v.kind == forms.FORM}
    assert LETTER == {v.name: v.value for v in read.values if v.kind == forms.LETTER}
    assert read.commitment["text_sha256"] == forms.text_digest()
    places = {(b.name, b.page): b.box for kind in (forms.FORM, forms.LETTER) for b in blank(kind).blanks}
    assert all(abs(v.box[0] - places[v.name, v.page][0]) < 2 for v in read.values if v.kind == forms.LETTER)


def test_a_changed_letter_is_no_commitment() -> None:
    """Its text is held against ours: a line less is named, and its digest is another."""
    letter = flattened(forms.LETTER, LETTER)
    informs, promise = without_a_line(letter, 6), without_a_line(letter, -20)
    whole, told, said = (packet(filled(forms.FORM, FORM), pdf) for pdf in (letter, informs, promise))
    assert whole.commitment["text_sha256"] == told.commitment["text_sha256"] == forms.text_digest()
    assert ((), ["commitment"], ["commitment"]) == (
        whole.contradictions, [c.field for c in told.contradictions], [c.field for c in said.contradictions]
    )  # fmt: skip
    assert said.commitment["text_sha256"] != whole.commitment["text_sha256"]


def test_the_same_papers_are_the_same_application() -> None:
    """The application id follows from the bytes, the event id also from the moment."""
    papers = (filled(forms.FORM, FORM), filled(forms.LETTER, LETTER))
    events = [
        event_of(packet(*papers), time) for time in ("2018-09-10T09:00:00+08:00", "2018-09-11T09:00:00+08:00")
    ]
    assert events[0]["data"]["application_id"] == events[1]["data"]["application_id"]
    assert events[0]["id"] != events[1]["id"]


@pytest.mark.parametrize("pdf", [b"{}", b"", b"%PDF-1.7\n", b"%PDF-1.7\n" + b"1 0 obj<<" * 99])
def test_what_is_no_form_is_not_filled(pdf: bytes) -> None:
    """Wrong use, with a hint; a value without a field too."""
    with pytest.raises(UsageError, match="no PDF form"):
        fill(pdf, {})
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
def test_hundreds_of_broken_papers_get_clear_answers() -> None:
    """Bent forms, bombs, loops, scripts: read or refused in one line, in time; `make soak` reads a thousand."""
    figures = papers.run(400, 11, costly=3)
    assert (figures["clear answers only"], figures["none over 10 seconds"]) == (True, True), figures
    assert figures["refused in one line"] > 120
    assert figures["read"] > 40


def test_a_reader_that_ended_is_replaced() -> None:
    """Whoever killed it: the next paper is read all the same."""
    plain = papers.document(papers.TEXT, papers.HELVETICA, page=papers.FONT)
    read(plain + b"\n", "one.pdf")
    idle = extract._idle.get_nowait()
    idle._process.kill()
    idle._process.wait()
    extract._idle.put(idle)
    assert read(plain + b"\n\n", "two.pdf").pages == 1


def test_a_division_is_chosen_or_named() -> None:
    """Nobody need know a code: a choice carries it, a name alone leads to it."""
    for said in (
        "630225 青海省海东市循化撒拉族自治县",
        "循化撒拉族自治县",
        "青海省海东市循化撒拉族自治县",
        "６３０２２５",
    ):
        read = packet(filled(forms.FORM, {**FORM, "applicant.division": said}), filled(forms.LETTER, LETTER))
        assert ("630225", ()) == (read.get("applicant.division"), read.contradictions)
    assert "630225 青海省海东市循化撒拉族自治县" in blank(forms.FORM).choices["applicant.division"]
    assert ("化肥", "人造板") == blank(forms.FORM).choices["products.1.category"]


def test_a_contact_stays_on_the_paper() -> None:
    """Whom to call is read for the desk, and stands in no event."""
    said = {"contact.name": "马某", "contact.telephone": "0972-8812345"}
    read = packet(filled(forms.FORM, {**FORM, **said}), filled(forms.LETTER, LETTER))
    assert said == {name: read.get(name) for name in said}
    assert "0972" not in json.dumps(event_of(read))


def test_the_letter_informs_of_demands_and_consequences() -> None:
    """The item's conditions, papers, limits and checks, what follows a false commitment, and a place for the seal."""
    item = FORMS.item(CODE)
    letter = FORMS.draw(item, forms.mark_of(form_row(item), forms.LETTER))
    text = "".join(word.text for word in read(letter.pdf, "letter").words)
    wanted = (
        "一、行政机关告知", "二、申请人承诺", "工业产品生产许可证管理条例", item.conditions[1], "申请单、承诺书、营业执照",
        "承诺3个工作日", "发证后30日内", "由发证机关撤销许可", "三年内不得再次申请", "一年内不得再次申请", "盖章处",
    )  # fmt: skip
    assert [] == [words for words in wanted if words not in text]


CASE = CaseNeeds(
    "QH-2018-1", CODE, FORM["applicant.id"], "630225", ("commitment-letter", "applicant.address", "products")
)
SUPPLIED = {"applicant.address": "积石镇2号", "products.1.category": "化肥", "products.1.site": "街子镇"}


@pytest.mark.parametrize("way", ["fields", "printed"])
def test_a_correction_form_supplies_what_its_case_lacks(way: str) -> None:
    """It asks for just what is missing, names its case, and is read with its letter into one supplement."""
    made = FORMS.correction_forms(CASE)
    assert {"correction-form.pdf", "commitment-letter.pdf"} == set(made)
    form = FORMS.fill(made["correction-form.pdf"], SUPPLIED)
    letter = FORMS.fill(
        made["commitment-letter.pdf"], {k: v for k, v in LETTER.items() if k != "applicant.id"}
    )
    if way == "printed":
        form, letter = printed(form), printed(letter)
    event = event_of(FORMS.read([("form.pdf", form), ("letter.pdf", letter)]))
    data = event["data"]
    assert ("zhengzhao.application.materials-supplied.v1", "QH-2018-1") == (
        event["type"],
        data["application_id"],
    )
    assert (FORM["applicant.id"], {"address": "积石镇2号"}) == (data["holder_id"], data["applicant"])
    assert [{"category": "化肥", "site": "街子镇", "detail": ""}] == data["products"]
    assert ["commitment-letter", "correction-form"] == [m["kind"] for m in data["materials"]]


def printed(pdf: bytes) -> bytes:
    """A form as a browser prints it: drawn, without its fields."""
    document = pdfium.PdfDocument(pdf)
    for page in document:
        engine.FPDFPage_Flatten(page.raw, engine.FLAT_PRINT)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def test_a_withdrawal_is_read_too() -> None:
    """The form made for a case says who withdraws it, and why."""
    made = FORMS.fill(FORMS.withdrawal_form(CASE)["withdrawal-form.pdf"], {"reason": "停产"})
    event = FORMS.event(
        FORMS.read([("w.pdf", made)]), source="", at=datetime.fromisoformat("2018-09-10T09:00:00+08:00")
    )
    assert (
        "zhengzhao.application.withdrawn.v1",
        "urn:agency:630225:service-hall",
        {"application_id": "QH-2018-1", "holder_id": FORM["applicant.id"], "reason": "停产"},
    ) == (event["type"], event["source"], event["data"])


def test_papers_of_another_case_are_named() -> None:
    """The id that a form prints and the one that is told must be one."""
    form = FORMS.correction_forms(CASE)["correction-form.pdf"]
    read = FORMS.read([("form.pdf", form)])
    with pytest.raises(UsageError, match="QH-2018-1 ≠ QH-2018-2"):
        FORMS.event(
            read,
            source="",
            at=datetime.fromisoformat("2018-09-10T09:00:00+08:00"),
            application_id="QH-2018-2",
        )


def test_a_letter_alone_is_no_application() -> None:
    """It supplements a case, which has to be named; the hint says how."""
    with pytest.raises(UsageError, match="no application form") as refused:
        FORMS.read([("letter.pdf", filled(forms.LETTER, LETTER))])
    assert "--application ID" in refused.value.hint


def blank_page() -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


PHOTOGRAPH = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(40)
TOLD = {
    "item": CODE,
    "papers": {"f.pdf": "application-form", "l.jpg": "commitment-letter"},
    **FORM,
    "signatory": LETTER["signatory"],
    "signed_on": LETTER["signed_on"],
}


def test_scans_take_their_values_from_a_file_beside_them() -> None:
    """A PDF without text and a photograph are papers like others, once somebody tells what stands on them."""
    told = read_told(json.dumps(TOLD).encode(), "values.json")
    scans = [("f.pdf", blank_page()), ("l.jpg", PHOTOGRAPH)]
    data = event_of(FORMS.read(scans, told=told))["data"]
    assert (NAME, "630225") == (data["applicant"]["name"], data["applicant"]["division"])
    assert [sha256(raw).hexdigest() for _, raw in scans] == [m["sha256"] for m in data["materials"]]
    assert ("2018-09-09", "法定代表人甲") == tuple(
        data["materials"][1][k] for k in ("signed_on", "signatory")
    )
    with pytest.raises(UsageError, match="photograph"):
        FORMS.read(scans[1:])


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (b"[]", "object of texts"),
        (b"{", "not JSON"),
        (b'{"applicant.name": 5}', "object of texts"),
        (b'{"item": "industrial-product-licence", "nothing": "x"}', "no such blank"),
        (b'{"item": "nothing"}', "there is no item"),
        (b'{"applicant.name": "x", "papers": {"a.pdf": "application-form"}}', "no such blank or kind"),
    ],
)
def test_what_is_told_wrongly_is_refused(told: bytes, said: str) -> None:
    """With a hint that shows the form of the file."""
    with pytest.raises(UsageError, match=said) as refused:
        FORMS.read([("scan.pdf", blank_page())], told=read_told(told, "values.json"))
    assert refused.value.hint
