"""What stands on the page, and where."""

from __future__ import annotations

import io
import re
from typing import Any

import msgspec
import pdfplumber
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from papers import RARE, Office, item_of, kinds, licence

from issuance import fonts, page, page_text
from issuance.page import layout
from schemas.errors import LintError, VerificationError
from schemas.licence import Issued, LicenceBody, Numbered, Particular, Product, licence_body
from verification.page_text import check_page, fold_glyphs

Papers = dict[str, tuple[Numbered, Issued, bytes]]
KINDS = list(kinds())
PAGES = {"annex": 5, "unbroken": 2, "business-annex": 3, "business-scope": 5}


def body_of(numbered: Numbered) -> LicenceBody:
    return licence_body(numbered, numbered.grant.holder_name, numbered.grant.address, item_of(numbered.grant))


def chars_of(pdf: bytes, number: int = 0) -> list[dict[str, Any]]:
    with pdfplumber.open(io.BytesIO(pdf)) as document:
        return [char for char in document.pages[number].chars if char["text"].strip()]


@pytest.mark.parametrize("kind", KINDS)
def test_page_says_what_is_signed(issued: Papers, kind: str) -> None:
    """Every fact of the body stands on the page, as another program reads it, rare scripts included."""
    numbered, _, pdf = issued[kind]
    check_page(pdf, body_of(numbered))


@pytest.mark.parametrize("kind", KINDS)
def test_lists_without_room_go_to_an_annex(issued: Papers, kind: str) -> None:
    """Long lists make further pages, everything else fits the first."""
    with pdfplumber.open(io.BytesIO(issued[kind][2])) as document:
        assert len(document.pages) == PAGES.get(kind, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_leaves_the_frame(issued: Papers, kind: str) -> None:
    """The longest names and words without a break stay inside the frame, 10 mm from the edge."""
    margin = 10 * page.POINTS
    with pdfplumber.open(io.BytesIO(issued[kind][2])) as document:
        outside = [
            char["text"]
            for sheet in document.pages
            for char in sheet.chars
            if char["text"].strip()
            and not (
                margin <= char["x0"] and char["x1"] <= sheet.width - margin and char["bottom"] <= sheet.height
            )
        ]
    assert outside == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rare"])
def test_no_line_runs_into_another(issued: Papers, kind: str) -> None:
    """Baselines within the same stretch of a line are the same or far enough apart to read both."""
    chars = chars_of(issued[kind][2])
    close = [
        (one["text"], other["text"])
        for place, one in enumerate(chars)
        for other in chars[place + 1 :]
        if one["x0"] < other["x1"] - 0.5
        and other["x0"] < one["x1"] - 0.5
        and 1 < abs(one["matrix"][5] - other["matrix"][5]) < 0.8 * min(one["size"], other["size"])
    ]
    assert close == []


def test_markup_in_a_name_is_text(issued: Papers) -> None:
    """`#read("x")`, `$a$`, a backslash and HTML stand on the page as they are."""
    text = "".join(char["text"] for char in chars_of(issued["rare"][2]))
    assert '#read("x")$a$\\<b>' in text
    assert RARE["holder_name"].endswith('#read("x") $a$ \\ <b>')


def test_a_person_is_shown_by_mask(issued: Papers) -> None:
    """A person's page shows the mask of the number."""
    text = "".join(char["text"] for char in chars_of(issued["person"][2]))
    assert "630***********1234" in text


def test_an_unknown_template_means_general() -> None:
    """An item that names no template of ours gets the general paper, and no path climbs out."""
    for name in ("no-such-template", "common", "../page", "", "Industrial"):
        assert layout(name) == layout("general")


def test_templates_differ() -> None:
    """Each template has its own digest, and room for QR and seal on its paper."""
    layouts = [layout(name) for name in ("industrial", "general", "person", "business-licence")]
    assert len({each.digest for each in layouts}) == len(layouts)
    for each in layouts:
        assert each.qr.right - each.qr.left == pytest.approx(54 * page.POINTS, abs=0.01)
        assert min(*each.qr, *each.seal) > 0


def test_date_stands_without_leading_zeros() -> None:
    """A date is written as official papers do."""
    assert page_text.date_text("2018-09-02") == "2018年9月2日"


def test_a_licence_without_end() -> None:
    """Without an end the page says so."""
    body = body_of(licence(valid_until=None))
    assert page_text.validity_text(body) == "自2018年9月10日起长期有效"


def test_a_business_licence_has_its_particulars(issued: Papers) -> None:
    """Type, legal representative, capital, establishment, scope and filings, each beside its label, on one page."""
    text = "".join(char["text"] for char in chars_of(issued["business-whole"][2]))
    for said in (
        "类型", "有限责任公司(自然人投资或控股)", "法定代表人", "马木沙", "注册资本（万元）", "500", "成立日期",
        "2018年9月10日", "经营范围", "化肥生产、销售", "多证合一", "气象信息服务企业备案", "登记机关", "www.gsxt.gov.cn",
    ):  # fmt: skip
        assert said in text


def test_a_page_that_leaves_out_a_particular_is_found(issued: Papers) -> None:
    """What licence.json says and no page shows is no valid licence."""
    numbered, _, pdf = issued["business-whole"]
    body = body_of(numbered)
    other = Particular("legal-representative", "法定代表人", "另一人")
    changed = (body.registered[0], other, *body.registered[2:])
    with pytest.raises(VerificationError, match="另一人"):
        check_page(pdf, msgspec.structs.replace(body, particulars=changed))


def test_lists_that_fit_stay_on_the_first_page() -> None:
    """Four short products need no annex, two hundred do; the annex names all of them."""
    few = body_of(licence(products=tuple(Product(f"产品{n}") for n in range(4))))
    many = body_of(licence(products=tuple(Product(f"产品{n}") for n in range(200))))
    assert page.sheet(few, "industrial").values["annex"] == []
    assert len(page.sheet(many, "industrial").values["annex"][0]["rows"]) == 200


COVERED = st.sampled_from(sorted(map(chr, fonts.coverage())))
TIBETAN = st.sampled_from([chr(point) for point in range(0x0F40, 0x0FBD) if point in fonts.coverage()])
MONGOLIAN = st.sampled_from([chr(point) for point in range(0x1820, 0x18AB) if point in fonts.coverage()])
NAMES = st.one_of(*(st.text(alphabet, min_size=1, max_size=60) for alphabet in (COVERED, TIBETAN, MONGOLIAN)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, address=NAMES)
def test_what_passes_the_lint_reads_back(office: Office, name: str, address: str) -> None:
    """Any name and address of covered characters either fails the lint or stands on the page for a verifier."""
    numbered = licence(holder_name=name, address=address)
    try:
        _, pdf = office.issue(numbered)
    except LintError:
        assume(False)
    check_page(pdf, body_of(numbered))


def term(**changes: Any) -> str:
    """The term of a business licence with these particulars or version."""
    numbered = licence(item="business-licence", valid_until=None, products=(), **changes)
    grant = numbered.grant
    return page_text.term_text(licence_body(numbered, grant.holder_name, "", item_of(grant)))


def test_term_of_a_business_licence_begins_with_the_enterprise() -> None:
    """A change of the legal representative makes a new version; the term begins where it began before."""
    established = (Particular("established-on", "成立日期", "2010-01-05"),)
    assert "自2010年1月5日起长期有效" == term(particulars=established, version=1)
    assert "自2010年1月5日起长期有效" == term(particulars=established, version=2)
    assert "自2018年9月10日起长期有效" == term(version=1)
    assert "长期有效" == term(version=2)


def test_pages_of_the_annex_are_numbered(issued: Papers) -> None:
    """Each says which it is and how many there are."""
    _, _, pdf = issued["business-scope"]
    pages = [page.extract_text() for page in pdfplumber.open(io.BytesIO(pdf)).pages]
    count = len(pages) - 1
    assert count > 1
    said = [
        re.search(r"附页\s*第(\d+)页\s*共(\d+)页", fold_glyphs(text).replace("⻚", "页")) for text in pages
    ]
    assert [None, *[(str(n), str(count)) for n in range(1, count + 1)]] == [m and m.groups() for m in said]


def test_notes_survive_a_fax(issued: Papers) -> None:
    """Footnotes are black and at least eight points high."""
    _, _, pdf = issued["short"]
    characters = pdfplumber.open(io.BytesIO(pdf)).pages[0].chars
    notes = [c for c in characters if c["bottom"] > 268 / 25.4 * 72]
    assert notes
    assert all(c["size"] >= 7.99 and max(c["non_stroking_color"]) < 0.2 for c in notes)
