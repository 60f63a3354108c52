"""From the papers of an application (申请单, 承诺书, 营业执照) to an application event.

Each value keeps the file, page and box that it was read from. What two papers say differently (name, USCC, date
signed) is a contradiction, and named: nobody should find out after the grant.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from producers.extract import Box, PdfDocument, read
from producers.forms import COMMITMENT, FORM, LETTER, MARK_PATTERN, PRODUCT_ROWS, Form, commitment_digest
from schemas.errors import UsageError

LICENCE = "business-licence"
_LABELS = {
    "established_on": re.compile(r"成立日期[:：]?(\d{4}年\d{1,2}月\d{1,2}日|\d{4}-\d{1,2}-\d{1,2})"),
    "applicant.id": re.compile(r"统一社会信用代码[:：]?([0-9A-HJ-NPQRTUWXY]{18})"),
    "applicant.name": re.compile(
        r"(?<!产品)名称[:：]?(.+?)(?=类型|统一社会信用代码|法定代表人|住所|经营场所|注册资本|$)"
    ),
    "applicant.address": re.compile(
        r"(?:住所|营业场所|经营场所)[:：]?(.+?)(?=法定代表人|类型|注册资本|成立日期|营业期限|经营范围|登记机关|有效期|$)"
    ),
}


class Value(msgspec.Struct, frozen=True):
    """One value as read: where it stands, and in which paper."""

    name: str
    value: str
    file: str
    kind: str
    page: int
    box: Box


class Contradiction(msgspec.Struct, frozen=True):
    """Papers that say different things of one field."""

    field: str
    detail: str


class Packet(msgspec.Struct, frozen=True):
    """The papers of one application, read."""

    item: str
    values: tuple[Value, ...]
    contradictions: tuple[Contradiction, ...]
    digests: Mapping[str, str]  # kind → SHA-256 of the file
    commitment: Mapping[str, str]  # text digest and signatory, where there is a letter

    def get(self, name: str, *kinds: str) -> str:
        """The first value of a name, in the papers named or in any."""
        for value in self.values:
            if value.name == name and (not kinds or value.kind in kinds):
                return value.value
        return ""


class Blanks(msgspec.Struct, frozen=True):
    """Where the blanks of an item's forms lie: what `read_packet` needs to find flattened text."""

    forms: Mapping[tuple[str, str], Form]  # (item, kind) → form


def read_packet(files: Sequence[tuple[str, bytes]], blanks: Blanks) -> Packet:
    """Reads the papers of one application. Raises UsageError for what is no paper of a packet."""
    values: list[Value] = []
    digests: dict[str, str] = {}
    contradictions: list[Contradiction] = []
    commitment: dict[str, str] = {}
    item = ""
    for name, raw in files:
        paper = read(raw, name)
        kind, code = _recognise(paper, name)
        if kind in digests:
            raise UsageError(
                f"同一材料两份 / two papers of one kind: {kind}", where=name, hint="每类一份 / one of each"
            )
        digests[kind] = hashlib.sha256(raw).hexdigest()
        if code and item and code != item:
            contradictions.append(Contradiction("item", f"{item} ≠ {code} ({name})"))
        item = item or code
        found = (
            _licence_values(paper, name) if kind == LICENCE else _form_values(paper, name, blanks, code, kind)
        )
        values += found
        if kind == LETTER:
            commitment, altered = _commitment(paper, found, blanks.forms[code, kind])
            if altered:
                contradictions.append(
                    Contradiction("commitment", f"承诺书文本被改动 / the letter's text was changed ({name})")
                )
    if not item:
        raise UsageError(
            "缺少申请单 / there is no application form among the papers",
            hint="zhengzhao packet new ITEM -o DIR",
        )
    return Packet(item, tuple(values), (*contradictions, *_contradictions(values)), digests, commitment)


def application(packet: Packet, *, holder: str, source: str, time: str) -> dict[str, Any]:
    """The application event (CloudEvents) of a packet; `holder` is the item's kind of holder.

    The application id follows from the papers' bytes: the same papers sent twice are the same application.
    """
    papers = hashlib.sha256(
        "".join(f"{k}:{v};" for k, v in sorted(packet.digests.items())).encode()
    ).hexdigest()
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
    if "营业执照" in text or "统一社会信用代码" in text:
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
        Value(f.name, _clean(f.value), name, kind, f.page, f.box)
        for f in paper.fields
        if f.name in known and _clean(f.value)
    ]
    have = {v.name for v in found}
    for blank in form.blanks:
        if blank.name in have:
            continue
        inside = [w for w in paper.words if w.page == blank.page and _inside(w.box, blank.box)]
        text = _clean(_join(inside))
        if text:
            found.append(Value(blank.name, text, name, kind, blank.page, blank.box))
    return found


def _licence_values(paper: PdfDocument, name: str) -> list[Value]:
    found = []
    text = "".join(w.text for w in paper.words)
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
            found.append(Value(field, _clean(match.group(1))[:200], name, LICENCE, words[0].page, box))
    return found


def _words_at(paper: PdfDocument, start: int, end: int) -> list[Any]:
    place, words = 0, []
    for word in paper.words:
        if place < end and place + len(word.text) > start:
            words.append(word)
        place += len(word.text)
    return words


def _commitment(paper: PdfDocument, found: Sequence[Value], form: Form) -> tuple[dict[str, str], bool]:
    """The digest of the letter's text, who signed it, and whether the text is another than the form's."""
    top = min(b.box[1] for b in form.blanks)
    body = "".join(w.text for w in paper.words if w.page == 1 and w.box[3] <= top)
    start = body.find("本申请人")
    text = body[start:] if start >= 0 else body
    signatory = next((v.value for v in found if v.name == "signatory"), "")
    digest = commitment_digest(text)
    return {"text_sha256": digest, "signatory": signatory}, digest != commitment_digest("".join(COMMITMENT))


def _contradictions(values: Sequence[Value]) -> list[Contradiction]:
    found = []
    for name, say in (("applicant.name", _name), ("applicant.id", _compared), ("applicant.address", _name)):
        said: dict[str, list[str]] = {}
        for value in values:
            if value.name == name:
                said.setdefault(say(value.value), []).append(value.kind)
        if len(said) > 1:
            detail = " ≠ ".join(f"{text} ({', '.join(kinds)})" for text, kinds in said.items())
            found.append(Contradiction(name, detail))
    return found + _dates_apart(values)


def _dates_apart(values: Sequence[Value]) -> list[Contradiction]:
    """Dates signed that are none, that differ, or that lie before the enterprise was established."""
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
    """`2018-09-09`, `2018年9月9日`, `2018/9/9` or `2018.9.9` as an ISO date; None for anything else."""
    match = re.fullmatch(
        r"\s*(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?\s*",
        unicodedata.normalize("NFKC", text),
    )
    try:
        return datetime.date(*map(int, match.groups())).isoformat() if match else None
    except ValueError:
        return None


def _inside(word: Box, blank: Box) -> bool:
    x, y = (word[0] + word[2]) / 2, (word[1] + word[3]) / 2
    return blank[0] <= x <= blank[2] and blank[1] <= y <= blank[3]


def _join(words: Sequence[Any]) -> str:
    """Words of a box as text: a space only between two Latin words."""
    text = ""
    for word in words:
        gap = " " if text and text[-1].isascii() and word.text[0].isascii() else ""
        text += gap + word.text
    return text


def _clean(text: str) -> str:
    return "".join(
        c for c in text.replace("\r", " ").replace("\n", " ") if unicodedata.category(c) != "Cc"
    ).strip()


def _name(text: str) -> str:
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


def _compared(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().upper()
