"""Reading of the papers of an application (申请单, 承诺书, 营业执照, 补正单, 撤回申请书).

Each value keeps the file, page and box that it was read from. A name, USCC, address or date that two papers give
differently is a contradiction, named with both values: nobody should find out after the grant.

A filled form gives its fields. A flattened or printed one gives the text where its blanks lie: the printed labels of the
blank form are looked for, and each blank is moved and scaled as the labels around it are (`producers.printed`). A scan or
photograph gives no text: what stands on it is told beside it, and the scan stays as the paper.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from producers.extract import Box, PdfDocument, ScanWithoutText, read
from producers.forms import (
    COMMITMENT_TITLE,
    FORM,
    LETTER,
    NOTICE_TITLE,
    Form,
    FormMark,
    division_named,
    marks,
    text_digest,
)
from producers.printed import (
    LICENCE,
    ToldValues,
    Value,
    business_licence_values,
    clean,
    find_places,
    is_licence,
    plain_form,
    without_radicals,
)
from schemas.errors import UsageError
from schemas.identifiers import compare, fold

NOWHERE: Final[Box] = (0.0, 0.0, 0.0, 0.0)
"""Box of a value that was told beside a scan."""

_NEW: Final = "zhengzhao packet new ITEM -o DIR"


class Contradiction(msgspec.Struct, frozen=True):
    """A field that papers give differently."""

    field: str
    detail: str


class Packet(msgspec.Struct, frozen=True):
    """The papers of one application, after reading."""

    item: str
    values: tuple[Value, ...]
    contradictions: tuple[Contradiction, ...]
    digests: Mapping[str, str]  # kind → SHA-256 of the file
    commitment: Mapping[str, str]  # text digest and signatory, where there is a letter

    def get(self, name: str, *kinds: str) -> str:
        """Return the first value of a name, in papers of these kinds or in any."""
        for value in self.values:
            if value.name == name and (not kinds or value.kind in kinds):
                return value.value
        return ""


class Blanks(msgspec.Struct, frozen=True):
    """Drawn forms by their marks, by which flattened text is found; and the names that each kind of a scan may tell."""

    forms: Mapping[FormMark, Form]
    names: Mapping[str, Sequence[str]] = {}


class _Paper(NamedTuple):
    """A paper among files: its file, and its text where it is no scan."""

    name: str
    raw: bytes
    text: PdfDocument | None


def read_packet(
    files: Sequence[tuple[str, bytes]],
    blanks: Blanks,
    *,
    whole: bool = True,
    told: ToldValues | None = None,
) -> Packet:
    """Read the papers of one application. Raise UsageError for a file that is no paper of a packet.

    A `whole` application has one of our forms among them; a supplement to a case need not. Scans need what was `told`.
    """
    papers = [paper for name, raw in files for paper in _papers(name, raw, told)]
    scans = sum(paper.text is None for paper in papers)
    if told is not None and not scans:
        raise UsageError(
            "没有扫描件，数值不予采用 / values were told, yet no paper is a scan",
            hint="去掉 --values / leave --values out",
        )
    reading = _Reading(blanks, told, scans)
    for paper in papers:
        reading.take(paper)
    if whole and not reading.names_a_case and FORM not in reading.digests:
        raise UsageError(
            "缺少申请单 / there is no application form among the papers",
            hint=f"{_NEW}；补正已有申请 / for a case that asks for papers: --application ID, ?application=ID, "
            "or the form of zhengzhao packet new --for ID",
        )
    return reading.packet()


def _papers(name: str, raw: bytes, told: ToldValues | None) -> list[_Paper]:
    try:
        return [_Paper(name, raw, part) for part in parts(read(raw, name))]
    except ScanWithoutText:
        if told is None:
            raise
        return [_Paper(name, raw, None)]


class _Reading:
    """The reading of one application's papers, one after the other."""

    def __init__(self, blanks: Blanks, told: ToldValues | None, scans: int) -> None:
        self._blanks, self._told, self._scans = blanks, told, scans
        self.item = ""
        self.values: list[Value] = []
        self.digests: dict[str, str] = {}
        self._contradictions: list[Contradiction] = []
        self._commitment: dict[str, str] = {}

    def take(self, paper: _Paper) -> None:
        """Read one paper."""
        if paper.text is None:
            self._scan(paper)
            return
        mark = _recognise(paper.text, paper.name)
        self._enter(paper, mark.kind, mark.item)
        if mark.kind == LICENCE:
            self.values += business_licence_values(paper.text, paper.name)
            return
        form = self._blanks.forms.get(mark)
        if form is None:
            raise _no_item(mark.item, paper.name)
        found = _form_values(paper.text, paper.name, form)
        self.values += found
        self._contradictions += _unshown(paper.text, paper.name)
        if mark.kind == LETTER:
            self._commitment, altered = _commitment(paper.text, found, form)
            if altered:
                what = f"承诺书文本被改动 / the letter's text was changed ({paper.name})"
                self._contradictions.append(Contradiction("commitment", what))

    def _scan(self, paper: _Paper) -> None:
        """Take what was told of a scan; the values of a letter and of a form are told once for both."""
        assert self._told is not None  # `_papers` has seen to it
        kind = self._told.kind_of(paper.name, self._scans)
        self._enter(paper, kind, self._told.item)
        names = self._blanks.names.get(kind, ())
        found = [
            Value(name, _plain_value(name, value), paper.name, kind, 1, NOWHERE)
            for name, value in self._told.values.items()
            if name in names
        ]
        self.values += found
        if kind == LETTER:
            self._commitment = {"signatory": self._told.values.get("signatory", "")}

    def _enter(self, paper: _Paper, kind: str, item: str) -> None:
        if kind in self.digests:
            raise UsageError(
                f"同一材料两份 / two papers of one kind: {kind}",
                where=paper.name,
                hint="每类一份 / one of each",
            )
        self.digests[kind] = hashlib.sha256(paper.raw).hexdigest()
        if item and self.item and item != self.item:
            self._contradictions.append(Contradiction("item", f"{self.item} ≠ {item} ({paper.name})"))
        self.item = self.item or item

    @property
    def names_a_case(self) -> bool:
        """Tell whether a form was made for a case: a correction, or a withdrawal."""
        return any(value.name == "application_id" for value in self.values)

    def packet(self) -> Packet:
        """Return what was read, with what contradicts."""
        found = (*self._contradictions, *_contradictions(self.values))
        return Packet(self.item, tuple(self.values), found, self.digests, self._commitment)


def _no_item(item: str, where: str) -> UsageError:
    return UsageError(f"没有事项 {item} / there is no item {item}", where=where, hint="zhengzhao items list")


def _recognise(paper: PdfDocument, name: str) -> FormMark:
    mark = next(marks("".join(w.text for w in paper.words)), None)
    if mark is not None:
        return mark
    if is_licence(paper):
        return FormMark(LICENCE, "")
    raise UsageError(
        "认不出是哪一种材料 / neither a form of ours nor a business licence", where=name, hint=_NEW
    )


def _form_values(paper: PdfDocument, name: str, form: Form) -> list[Value]:
    kind = form.mark.kind
    known = {b.name for b in form.blanks}
    found = [
        Value(f.name, _plain_value(f.name, clean(f.value)), name, kind, f.page, f.box)
        for f in paper.fields
        if f.name in known and clean(f.value)
    ]
    have = {v.name for v in found}
    places = {page: find_places(_drawn(form), page, paper) for page in {b.page for b in form.blanks}}
    for blank in form.blanks:
        place = places[blank.page]
        if blank.name in have or place is None:
            continue
        box = place.box(blank.box)
        inside = [w for w in paper.words if w.page == place.page and _inside(w.box, box)]
        text = without_radicals(clean(_join(inside)))
        if text:
            found.append(Value(blank.name, _plain_value(blank.name, text), name, kind, place.page, box))
    return found


def _plain_value(name: str, text: str) -> str:
    """Return a value as an event has it: of a division, given by choice, by name or by code, its code."""
    if name not in ("applicant.division", "window"):
        return text
    plain = plain_form(text).strip()
    code = re.match(r"([0-9]{12}|[0-9]{9}|[0-9]{6})(?![0-9])", plain)
    return code.group(1) if code else division_named(plain) or text


def _drawn(form: Form) -> PdfDocument:
    return read(form.pdf, str(form.mark))


def _unshown(paper: PdfDocument, name: str) -> list[Contradiction]:
    """Return contradictions between the text that a page shows in a field and the value that the field holds."""
    return [
        Contradiction(
            field.name,
            f"版面显示与字段不同 / the page shows {field.shown}, the field holds {field.value} ({name})",
        )
        for field in paper.fields
        if field.shown and fold(field.shown) != fold(field.value)
    ]


def parts(paper: PdfDocument) -> list[PdfDocument]:
    """Cut a file into its papers: one begins on each page with another form's mark, or with a business licence."""
    begins: list[tuple[int, str]] = []
    for page in range(1, paper.pages + 1):
        one = _pages_of(paper, page, page)
        mark = next(marks("".join(word.text for word in one.words)), None)
        kind = str(mark) if mark else LICENCE if is_licence(one) else ""
        if kind and kind not in [known for _, known in begins[-1:]]:
            begins.append((page, kind))
    if len(begins) < 2:
        return [paper]
    ends = [page - 1 for page, _ in begins[1:]] + [paper.pages]
    return [
        _pages_of(paper, 1 if n == 0 else first, last)
        for n, ((first, _), last) in enumerate(zip(begins, ends, strict=True))
    ]


def _pages_of(paper: PdfDocument, first: int, last: int) -> PdfDocument:
    return PdfDocument(
        paper.pages,
        tuple(word for word in paper.words if first <= word.page <= last),
        tuple(field for field in paper.fields if first <= field.page <= last),
    )


def _commitment(paper: PdfDocument, found: Sequence[Value], form: Form) -> tuple[dict[str, str], bool]:
    """Return the digest of the letter's promise with its signatory, and tell whether the text differs from the form's."""
    place = find_places(_drawn(form), form.blanks[0].page, paper)
    top = min(b.box[1] if place is None else place.box(b.box)[1] for b in form.blanks)
    page = form.blanks[0].page if place is None else place.page
    body = "".join(w.text for w in paper.words if w.page == page and w.box[3] <= top + 2)
    informs, _, promise = body.rpartition("本申请人")
    digest = text_digest(f"本申请人{promise}")
    signatory = next((v.value for v in found if v.name == "signatory"), "")
    altered = digest != text_digest() or not text_digest(_notice(informs)).startswith(form.mark.more)
    return {"text_sha256": digest, "signatory": signatory}, altered


def _notice(text: str) -> str:
    """Return the part of a letter in which the authority informs the applicant, without its title and the next one."""
    begin, end = (re.sub(r"\s", "", title) for title in (NOTICE_TITLE, COMMITMENT_TITLE))
    return re.sub(r"\s", "", text).partition(begin)[2].rpartition(end)[0]


def _contradictions(values: Sequence[Value]) -> list[Contradiction]:
    found = []
    for name, same in (
        ("application_id", compare), ("applicant.name", fold), ("applicant.id", fold), ("applicant.address", fold),
    ):  # fmt: skip
        said: dict[str, list[Value]] = {}
        for value in values:
            if value.name == name:
                said.setdefault(same(value.value), []).append(value)
        if len(said) > 1:
            detail = " ≠ ".join(
                f"{alike[0].value} ({', '.join(value.kind for value in alike)})" for alike in said.values()
            )
            found.append(Contradiction(name, detail))
    return found + _dates_apart(values)


def _dates_apart(values: Sequence[Value]) -> list[Contradiction]:
    """Return contradictions of the dates signed: no date, two dates, or one before the enterprise was established."""
    signed = [v for v in values if v.name == "signed_on"]
    found = [
        Contradiction("signed_on", f"不是日期 / no date: {v.value} ({v.kind})")
        for v in signed
        if iso_date(v.value) is None
    ]
    days = {iso_date(v.value): v for v in signed if iso_date(v.value)}
    if len(days) > 1:
        detail = " ≠ ".join(f"{day} ({v.kind})" for day, v in days.items())
        found.append(Contradiction("signed_on", detail))
    begun = next((iso_date(v.value) for v in values if v.name == "established_on"), None)
    early = [day for day in days if day and begun and day < begun]
    if early:
        found.append(
            Contradiction(
                "signed_on", f"{min(early)} 早于成立日期 / is before {begun}, when it was established"
            )
        )
    return found


def iso_date(text: str) -> str | None:
    """Return `2018-09-09`, `2018年9月9日`, `2018/9/9` or `2018.9.9` as an ISO date; None for anything else."""
    match = re.fullmatch(
        r"\s*(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?\s*",
        plain_form(text),
    )
    try:
        return datetime.date(*map(int, match.groups())).isoformat() if match else None
    except ValueError:
        return None


def _inside(word: Box, blank: Box) -> bool:
    x, y = (word[0] + word[2]) / 2, (word[1] + word[3]) / 2
    return blank[0] <= x <= blank[2] and blank[1] <= y <= blank[3]


def _join(words: Sequence[Any]) -> str:
    """Join the words of a box: with a space between two Latin words alone."""
    text = ""
    for word in words:
        gap = " " if text and text[-1].isascii() and word.text[0].isascii() else ""
        text += gap + word.text
    return text
