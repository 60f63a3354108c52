"""An item's forms for tests: blank, filled with fields, and flattened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from issuance import fonts
from producers import forms
from producers.form_fields import fill, with_fields
from producers.forms import Faces, FormMark, mark_of
from producers.packet_events import PacketForms
from producers.packets import Blanks
from schemas.items import load_catalogue

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
FACES = Faces(FOLDERS, fonts.FAMILIES)
FORMS = PacketForms(load_catalogue(), tuple(FOLDERS), fonts.FAMILIES)


def draw(kind: str, values: Mapping[str, str] | None = None) -> forms.Form:
    return forms.draw(ROW, mark_of(ROW, kind), FACES, values)


KINDS = (forms.FORM, forms.LETTER)
EARLIER = [forms.draw(ROW, FormMark(kind, CODE, "1"), FACES) for kind in KINDS]
BLANKS = Blanks({form.mark: form for form in (*map(draw, KINDS), *EARLIER)})


def blank(kind: str) -> forms.Form:
    return BLANKS.forms[mark_of(ROW, kind)]


def filled(kind: str, values: Mapping[str, str]) -> bytes:
    return fill(with_fields(blank(kind)), values, FACES)


def flattened(kind: str, values: Mapping[str, str]) -> bytes:
    return draw(kind, values).pdf
