"""Reading of the papers of an application (申请单, 承诺书, 营业执照) into an application event.

Each value keeps the file, page and box that it was read from. A name, USCC, address or date that two papers give
differently is a contradiction, named with both values: nobody should find out after the grant.

A filled form gives its fields. A flattened or printed one gives the text where its blanks lie: the printed labels of the
blank form are looked for, and each blank is moved and scaled as the labels around it are (`producers.printed`).
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from producers.business_licence import (
    LICENCE,
    Value,
    clean,
    is_licence,
    licence_values,
    plain_form,
    without_radicals,
)
from producers.extract import Box, PdfDocument, read
from producers.forms import COMMITMENT, FORM, LETTER, MARK_PATTERN, PRODUCT_ROWS, Form, commitment_digest
from producers.printed import find_places
from schemas.errors import UsageError
from schemas.identifiers import fold


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
    """Blank forms of the items, by which `read_packet` finds flattened text."""

    forms: Mapping[tuple[str, str], Form]  # (item, kind) → form


def read_packet(files: Sequence[tuple[str, bytes]], blanks: Blanks, *, whole: bool = True) -> Packet:
    """Read the papers of one application. Raise UsageError for a file that is no paper of a packet.

    A `whole` application has one of our forms among them; a supplement to a case need not.
    """
    values: list[Value] = []
    digests: dict[str, str] = {}
    contradictions: list[Contradiction] = []
    commitment: dict[str, str] = {}
    item = ""
    for name, raw in files:
        for paper in parts(read(raw, name)):
            kind, code = _recognise(paper, name)
            if kind in digests:
                raise UsageError(
                    f"同一材料两份 / two papers of one kind: {kind}",
                    where=name,
                    hint="每类一份 / one of each",
                )
            digests[kind] = hashlib.sha256(raw).hexdigest()
            if code and item and code != item:
                contradictions.append(Contradiction("item", f"{item} ≠ {code} ({name})"))
            item = item or code
            if kind == LICENCE:
                values += licence_values(paper, name)
                continue
            found = _form_values(paper, name, blanks, code, kind)
            values += found
            contradictions += _unshown(paper, name)
            if kind == LETTER:
                commitment, altered = _commitment(paper, found, blanks.forms[code, kind])
                if altered:
                    contradictions.append(
                        Contradiction(
                            "commitment", f"承诺书文本被改动 / the letter's text was changed ({name})"
                        )
                    )
    if whole and not item:
        raise UsageError(
            "缺少申请单 / there is no application form among the papers",
            hint="zhengzhao packet new ITEM -o DIR",
        )
    return Packet(item, tuple(values), (*contradictions, *_contradictions(values)), digests, commitment)


def application(packet: Packet, *, holder: str, source: str, time: str) -> dict[str, Any]:
    """Return the application event (CloudEvents) of a packet; `holder` is the item's kind of holder.

    The application id follows from the papers' bytes: the same papers sent twice are the same application.
    """
    papers = _papers_digest(packet)
    application_id = f"PK-{papers[:24].upper()}"
    fields = {
        v.name.removeprefix("fields."): v.value
        for v in packet.values
        if v.name.startswith("fields.") and v.kind == FORM
    }
    get = packet.get
    data: dict[str, Any] = {
        "application_id": application_id,
        "item": packet.item,
        "action": "new",
        "applicant": {
            "kind": holder,
            "id": get("applicant.id", FORM) or get("applicant.id"),
            "name": get("applicant.name", FORM) or get("applicant.name"),
            "address": get("applicant.address", FORM) or get("applicant.address"),
            "division": get("applicant.division", FORM),
        },
        "products": _products(packet),
        "materials": [_material(kind, packet) for kind in sorted(packet.digests)],
        "channel": "packet",
    }
    if fields:
        data["fields"] = fields
    if get("window", FORM):
        data["window"] = get("window", FORM)
    return {
        "specversion": "1.0",
        "id": f"packet-{papers[:32]}-{time}",
        "source": source,
        "type": "zhengzhao.application.submitted.v1",
        "subject": application_id,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }


def supplement(packet: Packet, application_id: str, *, source: str, time: str) -> dict[str, Any]:
    """Return the event that supplies what a correction notice asked for: papers, and what a form among them says.

    Raises UsageError where no paper names the applicant.
    """
    holder = packet.get("applicant.id")
    if not holder:
        raise UsageError(
            "材料中没有申请人的代码 / no identifier of the applicant stands in these documents",
            hint="附上申请单或营业执照 / add the application form or the business licence",
        )
    names = ("name", "address", "division")
    said = {name: packet.get(f"applicant.{name}", FORM) for name in names}
    data: dict[str, Any] = {
        "application_id": application_id,
        "holder_id": holder,
        "materials": [_material(kind, packet) for kind in sorted(packet.digests)],
        "products": _products(packet) or None,
        "applicant": {name: value for name, value in said.items() if value} or None,
    }
    return {
        "specversion": "1.0",
        "id": f"packet-{_papers_digest(packet)[:32]}-{time}",
        "source": source,
        "type": "zhengzhao.application.materials-supplied.v1",
        "subject": application_id,
        "time": time,
        "datacontenttype": "application/json",
        "data": {name: value for name, value in data.items() if value is not None},
    }


def _papers_digest(packet: Packet) -> str:
    told = "".join(f"{kind}:{digest};" for kind, digest in sorted(packet.digests.items()))
    return hashlib.sha256(told.encode()).hexdigest()


def _material(kind: str, packet: Packet) -> dict[str, Any]:
    material: dict[str, Any] = {"kind": kind, "sha256": packet.digests[kind]}
    if kind == LETTER:
        signed_on = _date(packet.get("signed_on", LETTER))
        if signed_on:
            material["signed_on"] = signed_on
        material |= packet.commitment
    return material


def _products(packet: Packet) -> list[dict[str, str]]:
    rows = []
    for n in range(1, PRODUCT_ROWS + 1):
        row = {part: packet.get(f"products.{n}.{part}", FORM) for part in ("category", "site", "detail")}
        if any(row.values()):
            rows.append(row)
    return rows


def _recognise(paper: PdfDocument, name: str) -> tuple[str, str]:
    text = "".join(w.text for w in paper.words)
    mark = MARK_PATTERN.search(text)
    if mark:
        return mark.group(1), mark.group(2)
    if is_licence(paper):
        return LICENCE, ""
    raise UsageError(
        "认不出是哪一种材料 / neither a form of ours nor a business licence",
        where=name,
        hint="zhengzhao packet new ITEM -o DIR",
    )


def _form_values(paper: PdfDocument, name: str, blanks: Blanks, item: str, kind: str) -> list[Value]:
    form = blanks.forms.get((item, kind))
    if form is None:
        raise UsageError(
            f"没有事项 {item} / there is no item {item}", where=name, hint="zhengzhao items list"
        )
    known = {b.name for b in form.blanks}
    found = [
        Value(f.name, clean(f.value), name, kind, f.page, f.box)
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
            found.append(Value(blank.name, text, name, kind, place.page, box))
    return found


def _drawn(form: Form) -> PdfDocument:
    return read(form.pdf, f"{form.item}/{form.kind}")


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
        mark = MARK_PATTERN.search("".join(word.text for word in one.words))
        kind = mark.group() if mark else LICENCE if is_licence(one) else ""
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
    """Return the digest of the letter's text with its signatory, and tell whether the text differs from the form's."""
    place = find_places(_drawn(form), 1, paper)
    top = min(b.box[1] if place is None else place.box(b.box)[1] for b in form.blanks)
    page = 1 if place is None else place.page
    body = "".join(w.text for w in paper.words if w.page == page and w.box[3] <= top + 2)
    start = body.find("本申请人")
    text = body[start:] if start >= 0 else body
    signatory = next((v.value for v in found if v.name == "signatory"), "")
    digest = commitment_digest(text)
    return {"text_sha256": digest, "signatory": signatory}, digest != commitment_digest("".join(COMMITMENT))


def _contradictions(values: Sequence[Value]) -> list[Contradiction]:
    found = []
    for name in ("applicant.name", "applicant.id", "applicant.address"):
        said: dict[str, list[Value]] = {}
        for value in values:
            if value.name == name:
                said.setdefault(fold(value.value), []).append(value)
        if len(said) > 1:
            detail = " ≠ ".join(
                f"{same[0].value} ({', '.join(value.kind for value in same)})" for same in said.values()
            )
            found.append(Contradiction(name, detail))
    return found + _dates_apart(values)


def _dates_apart(values: Sequence[Value]) -> list[Contradiction]:
    """Return contradictions of the dates signed: no date, two dates, or one before the enterprise was established."""
    signed = [v for v in values if v.name == "signed_on"]
    found = [
        Contradiction("signed_on", f"不是日期 / no date: {v.value} ({v.kind})")
        for v in signed
        if _date(v.value) is None
    ]
    days = {_date(v.value): v for v in signed if _date(v.value)}
    if len(days) > 1:
        detail = " ≠ ".join(f"{day} ({v.kind})" for day, v in days.items())
        found.append(Contradiction("signed_on", detail))
    begun = next((_date(v.value) for v in values if v.name == "established_on"), None)
    early = [day for day in days if day and begun and day < begun]
    if early:
        found.append(
            Contradiction(
                "signed_on", f"{min(early)} 早于成立日期 / is before {begun}, when it was established"
            )
        )
    return found


def _date(text: str) -> str | None:
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
