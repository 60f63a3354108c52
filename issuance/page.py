"""The page: a licence body set by typst, with one template for each kind of paper.

Data go in as JSON; nothing in a name is ever markup. The compiler sees the template folder and the fonts, no
other file, and its output depends on body, template, fonts and versions alone: `Issued` names all of them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import re
import unicodedata
from collections import OrderedDict
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import typst

from issuance import fonts, pdf
from issuance.seal import Box
from schemas.body import LicenceBody
from schemas.errors import LintError, ZhengzhaoError
from schemas.licence import Product

TEMPLATES = Path(__file__).parent / "templates"
WRITER = 1  # of our own part of the file: pdf, cms, qr, emblem, seal; raised with every change of their bytes
MAX_FORMS = 256  # kept for each process, some 25 KB each
POINTS = 72 / 25.4  # in a millimetre


class RendererMissing(ZhengzhaoError):
    """The renderer, template or fonts that made a licence are not installed here."""


@lru_cache(maxsize=1)
def renderer() -> str:
    """What makes the bytes of a page, beside template and fonts."""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in ("typst", "zint-bindings"))
    return f"{', '.join(versions)}, page {WRITER}"


class Layout(NamedTuple):
    """A template, and where it leaves room on its first page: points from the lower left corner."""

    name: str
    path: Path
    digest: str  # of the template and what it imports
    qr: Box
    seal: Box


_ROOM = re.compile(r"^//! (qr|seal) (\S+) (\S+) (\S+)$", re.MULTILINE)
_PAPER = re.compile(r"paper\.with\((\d+)mm, (\d+)mm\)")


@lru_cache(maxsize=32)
def layout(name: str) -> Layout:
    """The layout of a template; an unknown name means `general`."""
    path = TEMPLATES / f"{name}.typ"
    if not re.fullmatch(r"[a-z][a-z-]*", name) or name == "common" or not path.is_file():
        return layout("general")
    source = path.read_text(encoding="utf-8")
    paper = _PAPER.search(source)
    room = {kind: (float(x), float(y), float(size)) for kind, x, y, size in _ROOM.findall(source)}
    if paper is None or set(room) != {"qr", "seal"}:
        raise ZhengzhaoError("a template names its paper and the room for qr and seal", where=path.name)
    height = float(paper[2])
    left, top, side = room["qr"]
    x, y, radius = room["seal"]
    digest = hashlib.sha256((TEMPLATES / "common.typ").read_bytes() + path.read_bytes()).hexdigest()
    return Layout(
        name,
        path,
        digest,
        _box(left, height - top - side, left + side, height - top),
        _box(x - radius, height - y - radius, x + radius, height - y + radius),
    )


def _box(*millimetres: float) -> Box:
    return Box(*(round(value * POINTS, 3) for value in millimetres))


class Pages:
    """Sets pages. The compilers with their fonts, and the forms set, are kept for the next licence: one for
    each process."""

    def __init__(self) -> None:
        self._fonts = typst.Fonts(
            include_system_fonts=False, include_embedded_fonts=False, font_paths=fonts.folders()
        )
        self._compilers: dict[Path, typst.Compiler] = {}
        self._forms: OrderedDict[tuple[Path, bytes], pdf.Form] = OrderedDict()

    def form(self, layout: Layout, sheet: Sheet) -> pdf.Form:
        """The form under the values: what is the same on many licences."""
        key = (layout.path, orjson.dumps(sheet.form))
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = pdf.Form(self._compile(layout, key[1], 0))
            if len(self._forms) > MAX_FORMS:
                self._forms.popitem(last=False)
        return form

    def values(self, layout: Layout, sheet: Sheet, time: int) -> bytes:
        """The PDF/A-3b with the values of one licence; `time` (Unix seconds) becomes its date."""
        return self._compile(layout, orjson.dumps(sheet.values), time)

    def _compile(self, layout: Layout, data: bytes, time: int) -> bytes:
        compiler = self._compilers.get(layout.path)
        if compiler is None:
            compiler = typst.Compiler(
                input=layout.path, root=TEMPLATES, font_paths=self._fonts, ignore_system_fonts=True
            )
            self._compilers[layout.path] = compiler
        try:
            document = compiler.compile(
                sys_inputs={"data": data.decode()},
                format="pdf",
                pdf_standards="a-3b",
                pdf_tags=False,
                timestamp=time,
            )
        except typst.TypstError as error:
            raise LintError(
                f"the page cannot be set: {error.message}", hint="; ".join(error.hints)
            ) from error
        if not isinstance(document, bytes):
            raise LintError("the page cannot be set: the renderer gave no PDF")
        return document


def date_text(iso: str) -> str:
    """How a date stands on the page: 2018年9月12日."""
    year, month, day = iso.split("-")
    return f"{int(year)}年{int(month)}月{int(day)}日"


def validity_text(body: LicenceBody) -> str:
    """How the validity stands on the page."""
    start = date_text(body.valid_from)
    return f"自{start}至{date_text(body.valid_until)}" if body.valid_until else f"自{start}起长期有效"


def seconds(rfc3339: str) -> int:
    """Unix seconds of a time with zone."""
    return math.floor(datetime.fromisoformat(rfc3339).timestamp())


_UNBROKEN = re.compile(r"[^\s⺀-鿿＀-￯\U00020000-\U0003ffff་-]{25,}")
_PIECE = 6


def _breakable(text: str) -> str | list[str]:
    """The text, or its pieces where a run without a place to break would leave its line."""
    if not _UNBROKEN.search(text):
        return text
    pieces: list[str] = []
    for char in text:
        joins = unicodedata.category(char).startswith("M") or char in "‌‍" or 0xE0100 <= ord(char) <= 0xE01EF
        if pieces and (joins or len(pieces[-1]) < _PIECE):
            pieces[-1] += char
        else:
            pieces.append(char)
    return pieces


def _units(text: str) -> float:
    """Width in ems, roughly and rather too much: a Han character is one wide, a letter less."""
    return sum(
        1.0 if ord(char) > 0x2E7F or char in "MW@" else 0.8 if char.isupper() else 0.62 for char in text
    )


def _small(key: str, text: str) -> int:
    """How small a text is set: its place in `sizes` of the templates. The longest still fits its room."""
    units = _units(text)
    if key == "validity":
        return 1
    return 0 if units <= 25 else 1 if units <= 58 else 2 if units <= 100 else 3 if units <= 120 else 4


class Sheet(NamedTuple):
    """What the two layers of a page set, as JSON values: see templates/common.typ."""

    form: dict[str, Any]
    values: dict[str, Any]


class _Lines(NamedTuple):
    """Room for lists on a first page: how many lines, and how many ems each has."""

    most: int
    width: float


_LINES = {"business-licence": _Lines(7, 59), "person": _Lines(1, 14)}
_FOR_LISTS = _Lines(9, 34)
_NOTES = (
    "扫描二维码核验真伪与现时状态。Scan the code to check that this licence is genuine and in force.",
    "本电子证照带有发证机关的电子签章，与纸质证照具有同等法律效力（国务院令第716号第八条至第十条）。",
)


def sheet(body: LicenceBody, template: str, titles: tuple[str, ...] = ()) -> Sheet:
    """The page of a body. `titles` stand under the title, in other languages."""
    person = body.holder_id_type_code == "111"
    labels = {
        "number": "证书编号",
        "holder": "姓名" if person else "名称" if template == "business-licence" else "企业名称",
        "id": "证件号码" if person else "统一社会信用代码",
        "address": "住所" if body.address else "",
        "list": "产品及生产地址" if body.products else "多证合一备案事项" if body.filings else "",
        "validity": "有效期",
    }
    title = body.licence_name
    if template == "industrial" and not title.startswith("全国"):
        title = f"全国{title}"
    lines, annex = _lists(body, _LINES.get(template, _FOR_LISTS))
    texts = {
        "number": body.number,
        "holder": body.holder,
        "id": body.holder_id,
        "address": body.address,
        "validity": validity_text(body),
    }
    form = {
        "layer": "form",
        "title": title,
        "titles": titles,
        "labels": labels,
        "authority": body.authority,
        "notes": _NOTES,
    }
    values = {
        "layer": "values",
        "title": f"{title} {body.number}",
        "authority": body.authority,
        "values": {key: (_breakable(text), _small(key, text)) for key, text in texts.items() if text},
        "lists": {"list": [_breakable(line) for line in lines]} if lines else {},
        "issued": date_text(body.issued_on),
        "fixed-notes": len(_NOTES),
        "notes": _own_notes(body),
        "annex": annex,
        "number": body.number,
        "version": _version(body),
    }
    return Sheet(form, values)


def _version(body: LicenceBody) -> str:
    return f"第{body.version}版"


def _own_notes(body: LicenceBody) -> list[str]:
    notes = [f"电子证照标识 {body.identifier}　{_version(body)}"]
    if body.previous_identifier:
        notes.append(f"前一版本标识 {body.previous_identifier}")
    return notes


def _lists(body: LicenceBody, room: _Lines) -> tuple[list[str], list[dict[str, Any]]]:
    """The lines for products and filings on the first page, and the annex (附页) where there is no room."""
    products = [_product(product) for product in body.products]
    filings = ["、".join(filing.name for filing in body.filings)] if body.filings else []
    if sum(math.ceil(_units(line) / room.width) for line in (*products, *filings)) <= room.most:
        return products + filings, []
    lines, annex = [], []
    if body.products:
        lines.append(f"产品共{len(body.products)}项，见附页")
        rows: list[list[Any]] = [
            [str(n), _breakable(p.category), _breakable(p.detail), _breakable(p.site)]
            for n, p in enumerate(body.products, 1)
        ]
        annex.append(_annex("产品明细", ["序号", "产品", "明细", "生产地址"], [1, 4, 5, 6], rows))
    if body.filings:
        lines.append(f"备案事项共{len(body.filings)}项，见附页")
        rows = [[str(n), _breakable(f.name), _breakable(f.filing_id)] for n, f in enumerate(body.filings, 1)]
        annex.append(_annex("多证合一备案事项", ["序号", "备案事项", "备案编号"], [1, 7, 6], rows))
    return lines, annex


def _annex(title: str, head: list[str], columns: list[int], rows: list[list[Any]]) -> dict[str, Any]:
    return {"title": title, "head": head, "columns": columns, "rows": rows}


def _product(product: Product) -> str:
    detail = f"（{product.detail}）" if product.detail else ""
    site = f"　{product.site}" if product.site else ""
    return product.category + detail + site
