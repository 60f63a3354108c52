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
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import typst

from issuance import fonts
from issuance.seal import Box
from schemas.body import LicenceBody
from schemas.errors import LintError, ZhengzhaoError

TEMPLATES = Path(__file__).parent / "templates"
WRITER = 1  # of our own part of the file: pdf, cms, qr, emblem, seal; raised with every change of their bytes
POINTS = 72 / 25.4  # in a millimetre


class RendererMissing(ZhengzhaoError):
    """The renderer, template or fonts that made a licence are not installed here."""


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
    """Sets pages; the compilers and the fonts in them are kept for the next licence. One for each process."""

    def __init__(self) -> None:
        self._fonts = typst.Fonts(
            include_system_fonts=False, include_embedded_fonts=False, font_paths=fonts.folders()
        )
        self._compilers: dict[Path, typst.Compiler] = {}

    def render(self, layout: Layout, data: Mapping[str, Any], time: int) -> bytes:
        """The PDF/A-3b of one licence; `time` (Unix seconds) becomes its date. LintError where it cannot be set."""
        compiler = self._compilers.get(layout.path)
        if compiler is None:
            compiler = typst.Compiler(
                input=layout.path, root=TEMPLATES, font_paths=self._fonts, ignore_system_fonts=True
            )
            self._compilers[layout.path] = compiler
        try:
            pdf = compiler.compile(
                sys_inputs={"data": orjson.dumps(data).decode()},
                format="pdf",
                pdf_standards="a-3b",
                pdf_tags=False,
                timestamp=time,
            )
        except typst.TypstError as error:
            raise LintError(
                f"the page cannot be set: {error.message}", hint="; ".join(error.hints)
            ) from error
        if not isinstance(pdf, bytes):
            raise LintError("the page cannot be set: the renderer gave no PDF")
        return pdf


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
    """Width in ems, roughly: a Han character is one wide, a letter a little over half."""
    return sum(1.0 if ord(char) > 0x2E7F else 0.62 for char in text)


def _small(text: str) -> int:
    """How small a text is set: its place in `sizes` of the templates."""
    units = _units(text)
    return 0 if units <= 26 else 1 if units <= 60 else 2 if units <= 100 else 3


def _row(label: str, text: str, small: int | None = None) -> tuple[str, str | list[str], int]:
    return label, _breakable(text), _small(text) if small is None else small


_ROOM_FOR_LISTS = {"industrial": 9, "general": 9, "business-licence": 6, "person": 2}  # lines of 10 points
_LINE = {"industrial": 33, "general": 33, "business-licence": 58, "person": 22}  # ems
_NOTES = (
    "扫描二维码核验真伪与现时状态。Scan the code to check that this licence is genuine and in force.",
    "本电子证照带有发证机关的电子签章，与纸质证照具有同等法律效力（国务院令第716号第八条至第十条）。",
)


def page_data(body: LicenceBody, template: str, titles: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the template sets: everything on the page, as text. `titles` stand under the title, in other languages."""
    person = body.holder_id_type_code == "111"
    title = body.licence_name
    if template == "industrial" and not title.startswith("全国"):
        title = f"全国{title}"
    rows = [
        _row("证书编号", body.number),
        _row("姓名" if person else "名称" if template == "business-licence" else "企业名称", body.holder),
    ]
    if template != "business-licence":
        rows.append(_row("证件号码" if person else "统一社会信用代码", body.holder_id))
    if body.address:
        rows.append(_row("住所", body.address))
    annex: list[dict[str, Any]] = []
    for label, shown, part in _lists(body, template):
        rows += [_row(label if first else "", text, 2) for first, text in shown]
        annex += part
    rows.append(_row("有效期", validity_text(body), 1))
    version = f"第{body.version}版"
    notes = [*_NOTES, f"电子证照标识 {body.identifier}　{version}"]
    if body.previous_identifier:
        notes.append(f"前一版本标识 {body.previous_identifier}")
    return {
        "title": title,
        "titles": titles,
        "number": body.number,
        "holder-id": body.holder_id,
        "rows": rows,
        "authority": body.authority,
        "issued": date_text(body.issued_on),
        "version": version,
        "notes": notes,
        "annex": annex,
    }


_List = tuple[str, list[tuple[bool, str]], list[dict[str, Any]]]


def _lists(body: LicenceBody, template: str) -> list[_List]:
    """Products and filings: on the page where they fit, else in the annex (附页)."""
    lists = []
    if body.products:
        lines = [_product(product.category, product.detail, product.site) for product in body.products]
        cells = [
            [str(n), _breakable(p.category), _breakable(p.detail), _breakable(p.site)]
            for n, p in enumerate(body.products, 1)
        ]
        head = ["序号", "产品", "明细", "生产地址"]
        lists.append(_list("产品及生产地址", template, lines, "产品明细", head, [1, 4, 5, 6], cells))
    if body.filings:
        lines = ["、".join(filing.name for filing in body.filings)]
        cells = [[str(n), _breakable(f.name), f.filing_id] for n, f in enumerate(body.filings, 1)]
        head = ["序号", "备案事项", "备案编号"]
        lists.append(_list("多证合一备案事项", template, lines, "备案事项", head, [1, 6, 6], cells))
    return lists


def _list(
    label: str,
    template: str,
    lines: list[str],
    title: str,
    head: list[str],
    columns: list[int],
    cells: list[list[Any]],
) -> _List:
    width = _LINE.get(template, 33)
    if sum(math.ceil(_units(line) / width) for line in lines) <= _ROOM_FOR_LISTS.get(template, 9):
        return label, [(n == 0, line) for n, line in enumerate(lines)], []
    annex = {"title": title, "head": head, "columns": columns, "rows": cells}
    return label, [(True, f"共{len(cells)}项，见附页")], [annex]


def _product(category: str, detail: str, site: str) -> str:
    parts = [category]
    if detail:
        parts.append(f"（{detail}）")
    if site:
        parts.append(f"　{site}")
    return "".join(parts)
