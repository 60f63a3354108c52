"""Reading of printed papers: places of blanks on a copy of a form, and business licences (营业执照) of other offices.

Printers and PDF programs move, scale and re-break pages, so a blank is never looked for at its absolute place. The
labels that stand once on the blank form are looked for on the copy; each blank then lies as far from the labels around it
as on the form, in the copy's own scale, on whatever page of the copy most labels stand.

A business licence is recognised by its title and its labels, whatever program made it. Of a scan nothing is read: what
stands on it is told in JSON beside it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import PurePath
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec

from producers.extract import Box, PdfDocument, Word
from producers.forms import FORM, LETTER
from schemas.canonical_json import loads
from schemas.errors import Rejected, UsageError
from schemas.identifiers import RADICALS, fold

FEWEST: Final = 4
"""Number of labels that a copy must share with the form, at least."""

_AROUND: Final = 3  # labels by which a blank is placed
_APART: Final = 40.0  # points between two labels that tell the scale


class _Anchor(NamedTuple):
    """The centre of a label on the form and on the copy."""

    form: tuple[float, float]
    copy: tuple[float, float]


class Places:
    """The places of a form's blanks on a copy; `page` is the copy's page, from 1."""

    def __init__(self, page: int, anchors: Sequence[_Anchor]) -> None:
        self.page = page
        self._anchors = anchors
        self._across = _scale(anchors, 0)
        self._down = _scale(anchors, 1)

    def box(self, blank: Box) -> Box:
        """Return the box of a blank on the copy."""
        middle = (blank[1] + blank[3]) / 2
        around = sorted(self._anchors, key=lambda anchor: abs(anchor.form[1] - middle))[:_AROUND]
        right = median(a.copy[0] - self._across * a.form[0] for a in self._anchors)
        below = median(a.copy[1] - self._down * a.form[1] for a in around)
        return (
            self._across * blank[0] + right,
            self._down * blank[1] + below,
            self._across * blank[2] + right,
            self._down * blank[3] + below,
        )


def find_places(form: PdfDocument, page: int, copy: PdfDocument) -> Places | None:
    """Find a page of a form on a copy; None where too few of its labels stand on any page there."""
    labels = _once(word for word in form.words if word.page == page)
    best: Places | None = None
    most = FEWEST - 1
    for number in sorted({word.page for word in copy.words}):
        seen = _once(word for word in copy.words if word.page == number)
        anchors = [_Anchor(_centre(labels[text]), _centre(seen[text])) for text in labels if text in seen]
        if len(anchors) > most:
            best, most = Places(number, anchors), len(anchors)
    return best


def _once(words: Iterable[Word]) -> dict[str, Word]:
    """Return the words that stand once, by their folded text; single characters and numbers tell no place."""
    known = [(fold(word.text), word) for word in words]
    counted = Counter(text for text, _ in known)
    return {text: word for text, word in known if counted[text] == 1 and len(text) > 1 and not text.isdigit()}


def _centre(word: Word) -> tuple[float, float]:
    return (word.box[0] + word.box[2]) / 2, (word.box[1] + word.box[3]) / 2


def _scale(anchors: Sequence[_Anchor], axis: int) -> float:
    ratios = [
        (a.copy[axis] - b.copy[axis]) / (a.form[axis] - b.form[axis])
        for a, b in combinations(anchors, 2)
        if abs(a.form[axis] - b.form[axis]) > _APART
    ]
    return median(ratios) if ratios else 1.0


LICENCE: Final = "business-licence"
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


def business_licence_values(paper: PdfDocument, name: str) -> list[Value]:
    """Return what a business licence says of the applicant, each value with its place."""
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


_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−"), "-")
_OTHER_FORM = re.compile("[\u2f00-\u2fdf\uf900-\ufaff]")  # Kangxi radicals, compatibility ideographs


def without_radicals(text: str) -> str:
    """Return a printed text with characters in the place of radicals and other forms, which some programs write."""
    plain = text.translate(RADICALS)
    return "".join(unicodedata.normalize("NFKC", c) if _OTHER_FORM.fullmatch(c) else c for c in plain)


def plain_form(text: str) -> str:
    """Return a printed text in plain characters: radicals as characters, full width as half width, any dash as `-`."""
    return unicodedata.normalize("NFKC", text.translate(RADICALS)).translate(_DASHES)


def is_licence(paper: PdfDocument) -> bool:
    """Tell whether a paper is a business licence: it has the title as a line of its own, and three of its labels."""
    first = min((word.page for word in paper.words), default=1)
    words = [plain_form(word.text) for word in paper.words if word.page == first]
    text = "".join(words)
    return any(map(_TITLE.fullmatch, words)) and sum(part in text for part in _PARTS) >= 3


_EXAMPLE: Final = '{"item": "industrial-product-licence", "papers": {"SCAN.pdf": "application-form"}, "applicant.name": "…", …}'


class ToldValues(msgspec.Struct, frozen=True):
    """The content of scans, told by the sender since no program reads them: item, kind of each paper, values on them."""

    item: str
    papers: Mapping[str, str]  # name of a file → kind of paper
    values: Mapping[str, str]

    def kind_of(self, name: str, scans: int) -> str:
        """Return the kind of paper that a scan is. Raises UsageError where it is not told and not certain."""
        path = PurePath(name)
        told = self.papers.get(path.name) or self.papers.get(name)
        if told:
            return told
        if path.stem in (FORM, LETTER, LICENCE):
            return path.stem
        if scans == 1 and not self.papers:
            return FORM
        raise UsageError(
            "未说明扫描件是哪一种材料 / which paper this scan is was not told",
            where=path.name,
            hint=f'"papers": {{"{path.name}": "{FORM}"}} — {FORM}, {LETTER}, {LICENCE}',
        )


def read_told(raw: bytes, where: str) -> ToldValues:
    """Return what a JSON file tells of scans. Raises UsageError for a file of another form."""
    try:
        told = loads(raw)
    except Rejected as error:
        raise UsageError(f"不是 JSON / not JSON: {error.message}", where=where, hint=_EXAMPLE) from None
    item, papers = "", {}
    if isinstance(told, dict):
        item, papers = told.pop("item", ""), told.pop("papers", {})
        told = told.pop("values", {}) | told if isinstance(told.get("values", {}), dict) else None
    parts = [item, *papers.keys(), *papers.values()] if isinstance(papers, dict) else [None]
    if not isinstance(told, dict) or not all(isinstance(v, str) for v in (*told.values(), *parts)):
        raise UsageError(
            "须为栏目名到文本的对象 / it must be an object of texts, by the names of blanks",
            where=where,
            hint=_EXAMPLE,
        )
    return ToldValues(item, papers, {name: clean(value) for name, value in told.items() if clean(value)})
