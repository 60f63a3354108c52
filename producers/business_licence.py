"""Reading of a business licence (营业执照) that some other office's program made, by its title and its labels."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import msgspec

from producers.extract import Box, PdfDocument
from schemas.identifiers import RADICALS

LICENCE = "business-licence"
_STOPS = (
    r"(?=类型|统一社会信用代码|注册号|法定代表人|负责人|经营者|投资人|住所|营业场所|经营场所|注册资本|成立日期|营业期限|经营范围|"
    r"登记机关|有效期|组成形式|$)"
)
_LABELS = {
    "established_on": re.compile(r"(?:成立|注册)日期:?(\d{4}年\d{1,2}月\d{1,2}日|\d{4}-\d{1,2}-\d{1,2})"),
    "applicant.id": re.compile(r"统一社会信用代码:?([0-9A-HJ-NPQRTUWXY]{18})"),
    "applicant.name": re.compile(r"(?<!产品)名称:?(.+?)" + _STOPS),
    "applicant.address": re.compile(r"(?:住所|营业场所|经营场所):?(.+?)" + _STOPS),
}
_TITLE = re.compile(r"营业执照(?:\((?:正本|副本)\))?(?:副本|正本)?")
_PARTS = (
    "名称",
    "住所",
    "营业场所",
    "经营场所",
    "法定代表人",
    "负责人",
    "经营者",
    "类型",
    "成立日期",
    "注册资本",
)
"""Labels of a business licence; a paper with its title and three of them is one."""


class Value(msgspec.Struct, frozen=True):
    """One value as read: where it stands, and in which paper."""

    name: str
    value: str
    file: str
    kind: str
    page: int
    box: Box


def licence_values(paper: PdfDocument, name: str) -> list[Value]:
    """Return what a licence says of the applicant, each value with its place."""
    found = []
    text = "".join(plain_form(w.text) for w in paper.words)
    for field, pattern in _LABELS.items():
        match = pattern.search(text)
        if match:
            start, end = match.span(1)
            words = _words_at(paper, start, end)
            box = (
                min(w.box[0] for w in words),
                min(w.box[1] for w in words),
                max(w.box[2] for w in words),
                max(w.box[3] for w in words),
            )
            found.append(Value(field, clean(match.group(1))[:200], name, LICENCE, words[0].page, box))
    return found


def _words_at(paper: PdfDocument, start: int, end: int) -> list[Any]:
    place, words = 0, []
    for word in paper.words:
        size = len(plain_form(word.text))
        if place < end and place + size > start:
            words.append(word)
        place += size
    return words


def clean(text: str) -> str:
    """Return a text on one line, without control characters."""
    return "".join(
        c for c in text.replace("\r", " ").replace("\n", " ") if unicodedata.category(c) != "Cc"
    ).strip()


_OTHER_FORM = re.compile("[\u2f00-\u2fdf\uf900-\ufaff]")  # Kangxi radicals, compatibility ideographs


def without_radicals(text: str) -> str:
    """Return a printed text with characters in the place of radicals and other forms, which some programs write."""
    plain = text.translate(RADICALS)
    return "".join(unicodedata.normalize("NFKC", c) if _OTHER_FORM.fullmatch(c) else c for c in plain)


def plain_form(text: str) -> str:
    """Return a printed text in plain characters: radicals as characters, full width as half width, any dash as `-`."""
    return unicodedata.normalize("NFKC", text.translate(RADICALS)).translate(_DASHES)


_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")


def is_licence(paper: PdfDocument) -> bool:
    """Tell whether a paper is a business licence: it has the title as a line of its own, and three of its labels."""
    first = min((word.page for word in paper.words), default=1)
    words = [plain_form(word.text) for word in paper.words if word.page == first]
    text = "".join(words)
    return any(map(_TITLE.fullmatch, words)) and sum(part in text for part in _PARTS) >= 3
