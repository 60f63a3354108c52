"""Papers in, application event out: form fields and flattened text alike, contradictions named, hostile PDFs refused."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from pypdf import PdfWriter

from issuance import fonts
from producers import acroform, forms
from producers.packets import Blanks, Packet, application, read_packet
from schemas.errors import UsageError

CODE = "industrial-product-licence"
ROW: dict[str, Any] = {
    "code": CODE,
    "name": "工业产品生产许可证",
    "materials": ["application-form", "commitment-letter", "business-licence"],
    "signed": ["commitment-letter"],
    "products": True,
    "categories": ["化肥", "人造板"],
    "fields": [],
    "holder": "enterprise",
}
NAME = "青海示范（循化）有限公司"
FORM = {
    "applicant.name": NAME,
    "applicant.id": "91630225000000019N",
    "applicant.address": "循化县积石镇1号",
    "applicant.division": "630225",
    "window": "630225100",
    "products.1.category": "化肥",
    "products.1.site": "积石镇",
    "products.2.category": "人造板",
}
LETTER = {
    "applicant.name": "青海示范(循化)有限公司",
    "applicant.id": "91630225000000019N",
    "signed_on": "2018年9月9日",
    "signatory": "法定代表人甲",
}
FOLDERS = [p.parent for p in fonts.paths()]


def draw(kind: str, values: Mapping[str, str] | None = None) -> forms.Form:
    return forms.draw(ROW, kind, FOLDERS, fonts.FAMILIES, values)


BLANKS = Blanks({(CODE, kind): draw(kind) for kind in (forms.FORM, forms.LETTER)})


def filled(kind: str, values: Mapping[str, str]) -> bytes:
    return acroform.fill(acroform.with_fields(BLANKS.forms[CODE, kind]), values)


def flattened(kind: str, values: Mapping[str, str]) -> bytes:
    return draw(kind, values).pdf


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


def test_the_same_papers_are_the_same_application() -> None:
    """The application id follows from the bytes, the event id also from the moment."""
    papers = (filled(forms.FORM, FORM), filled(forms.LETTER, LETTER))
    events = [
        application(packet(*papers), holder="enterprise", source="urn:agency:630225:service-hall", time=time)
        for time in ("2018-09-10T09:00:00+08:00", "2018-09-11T09:00:00+08:00")
    ]
    assert events[0]["data"]["application_id"] == events[1]["data"]["application_id"]
    assert events[0]["id"] != events[1]["id"]


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


def test_a_corpus_of_broken_papers_gets_clear_answers() -> None:
    """Bent forms, bombs, loops, scripts: read or refused in one line. `make soak` reads a thousand."""
    from tests.soak.papers import run

    figures = run(24, 11)
    assert figures["clear answers only"]
    assert figures["refused in one line"] > 0
