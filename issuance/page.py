"""Page of a licence: its body set by typst, with one template for each kind of document.

Data go in as JSON; nothing in a name is ever markup. The compiler sees the template folder and the fonts, no other file,
and its output depends on body, template, fonts and versions alone: `Issued` names all of them.

`WRITER` counts the forms of a licence file. A licence of an earlier form is rebuilt in that form: its templates stay in a
folder of their own (`templates/page2`), and whatever else differs is decided by the number.

| writer | differs from the one before |
|---|---|
| 2 | form of the first releases |
| 3 | the file certifies itself (DocMDP), pages of the annex are numbered, notes are larger and black, the QR has level M where there is room, a business licence's term begins with the enterprise |
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import re
from collections import OrderedDict
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import typst
from packaging.requirements import Requirement

from issuance import fonts, pdf
from issuance.page_text import (
    breakable,
    date_text,
    filing_table,
    rows_of,
    small,
    term_text,
    units,
    validity_text,
)
from issuance.seal import Box
from schemas.errors import LintError, UsageError, ZhengzhaoError
from schemas.licence import LicenceBody, Product

TEMPLATES = Path(__file__).parent / "templates"
WRITER: Final = 3
"""Number of the form in which files are made now; it goes up with every change of their bytes."""

WRITERS: Final = (2, 3)
"""Forms in which files can be rebuilt."""

INSTALL: Final = "pip install --require-hashes -r requirements.txt"
"""The command that installs the packages with which a release was tested."""

MAX_FORMS = 256  # kept for each process, some 25 KB each
POINTS = 72 / 25.4  # in a millimetre


class RendererMissing(ZhengzhaoError):
    """The renderer, template or fonts that made a licence are not installed here."""


@lru_cache(maxsize=len(WRITERS))
def renderer(writer: int = WRITER) -> str:
    """Name the programs that make the bytes of a page, beside template and fonts, with the form of the file."""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in ("typst", "zint-bindings"))
    return f"{', '.join(versions)}, page {writer}"


def untested_packages() -> list[str]:
    """Return what is installed in another version than this release was tested with, each as `name version (bound)`.

    The bounds are those of the release's own metadata (`pyproject.toml`): packages that shape bytes, or whose private
    parts are used. A package that is absent counts as another version.
    """
    found = []
    for line in importlib.metadata.requires("zhengzhao") or ():
        needed = Requirement(line)
        if not needed.specifier or needed.marker is not None:
            continue
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            version = "-"
        if version == "-" or not needed.specifier.contains(version, prereleases=True):
            found.append(f"{needed.name} {version} ({needed.specifier})")
    return found


def require_tested_packages() -> None:
    """Refuse to issue with packages that were not tested: a page of theirs may not be made, or not made again.

    Raises UsageError.
    """
    if found := untested_packages():
        raise UsageError(
            f"已安装的程序包与本版本所测试的不符 / installed packages are not those of this release: {', '.join(found)}",
            hint=INSTALL,
        )


def writer_of(recorded: str) -> int:
    """Return the form of file that a recorded renderer made; the present one where it is none that can be rebuilt."""
    number = recorded.rpartition(", page ")[2]
    return int(number) if number.isdecimal() and int(number) in WRITERS else WRITER


class Layout(NamedTuple):
    """A template with the room that it leaves on its first page, in points from the lower left corner."""

    name: str
    path: Path
    digest: str  # of the template and what it imports
    qr: Box
    seal: Box


_ROOM = re.compile(r"^//! (qr|seal) (\S+) (\S+) (\S+)$", re.MULTILINE)
_PAPER = re.compile(r"paper\.with\((\d+)mm, (\d+)mm[,)]")


@lru_cache(maxsize=32)
def layout(name: str, writer: int = WRITER) -> Layout:
    """Return the layout of a template in a form of file; an unknown name means `general`."""
    folder = TEMPLATES if writer == WRITER else TEMPLATES / f"page{writer}"
    path = folder / f"{name}.typ"
    if not re.fullmatch(r"[a-z][a-z-]*", name) or name == "common" or not path.is_file():
        return layout("general", writer)
    source = path.read_text(encoding="utf-8")
    paper = _PAPER.search(source)
    room = {kind: (float(x), float(y), float(size)) for kind, x, y, size in _ROOM.findall(source)}
    if paper is None or set(room) != {"qr", "seal"}:
        raise ZhengzhaoError("a template names its paper and the room for qr and seal", where=path.name)
    height = float(paper[2])
    left, top, side = room["qr"]
    x, y, radius = room["seal"]
    digest = hashlib.sha256((folder / "common.typ").read_bytes() + path.read_bytes()).hexdigest()
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
    """Setter of pages. Keep one for each process: it holds compilers with their fonts, and the forms that were set."""

    def __init__(self) -> None:
        self._fonts = typst.Fonts(
            include_system_fonts=False, include_embedded_fonts=False, font_paths=fonts.folders()
        )
        self._compilers: dict[Path, typst.Compiler] = {}
        self._forms: OrderedDict[tuple[Path, bytes], pdf.FormXObject] = OrderedDict()

    def form(self, layout: Layout, sheet: Sheet) -> pdf.FormXObject:
        """Return the layer under the values, which is the same on many licences."""
        key = (layout.path, orjson.dumps(sheet.form))
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = pdf.FormXObject(self._compile(layout, key[1], 0))
            if len(self._forms) > MAX_FORMS:
                self._forms.popitem(last=False)
        return form

    def values(self, layout: Layout, sheet: Sheet, time: int) -> bytes:
        """Return the PDF/A-3b with the values of one licence; `time` (Unix seconds) becomes its date."""
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
                f"版面无法生成 / the page cannot be set: {error.message}", hint="; ".join(error.hints)
            ) from error
        if not isinstance(document, bytes):
            raise LintError("版面无法生成 / the page cannot be set: the renderer gave no PDF")
        return document


def seconds(rfc3339: str) -> int:
    """Return the Unix seconds of a time with zone."""
    return math.floor(datetime.fromisoformat(rfc3339).timestamp())


class Sheet(NamedTuple):
    """Content of the two layers of a page, as JSON values (see templates/common.typ)."""

    form: dict[str, Any]
    values: dict[str, Any]


class _Lines(NamedTuple):
    """Room for lists on a first page: number of lines, and width of each in ems."""

    most: int
    width: float


_LINES = {"person": _Lines(1, 14)}
_FOR_LISTS = _Lines(9, 34)
_NOTES = (
    "扫描二维码核验真伪与现时状态。Scan the code to check that this licence is genuine and in force.",
    "本电子证照带有发证机关的电子签章，与纸质证照具有同等法律效力（国务院令第716号第八条至第十条）。",
)
# Every business licence says this to its holder (企业信息公示暂行条例, art. 8).
_BUSINESS_NOTES = (
    "国家企业信用信息公示系统网址：http://www.gsxt.gov.cn　　市场主体应当于每年1月1日至6月30日通过该系统报送公示年度报告。",
    _NOTES[1],
)
_CAPTION = ("扫描二维码核验真伪与现时状态", "Scan the code to check this licence")


def sheet(body: LicenceBody, template: str, titles: tuple[str, ...] = (), writer: int = WRITER) -> Sheet:
    """Return the page of a body in a form of file. `titles` stand under the title, in other languages."""
    title = body.licence_name
    if template == "industrial" and not title.startswith("全国"):
        title = f"全国{title}"
    parts = _business(body, writer) if template == "business-licence" else _parts(body, template)
    form = {
        "layer": "form",
        "title": title,
        "titles": titles,
        "labels": parts.labels,
        "rows": parts.rows,
        "authority": body.authority,
        "notes": parts.notes,
        "caption": _CAPTION,
    }
    values = {
        "layer": "values",
        "title": f"{title} {body.number}",
        "authority": body.authority,
        "values": parts.values,
        "rows": parts.rows,
        "lists": {"list": [breakable(line) for line in parts.lines]} if parts.lines else {},
        "issued": date_text(body.issued_on),
        "fixed-notes": len(parts.notes),
        "notes": _own_notes(body),
        "annex": parts.annex,
        "number": body.number,
        "version": _version(body),
    }
    return Sheet(form, values)


class _Parts(NamedTuple):
    """The parts in which kinds of licence differ."""

    labels: dict[str, str]
    values: dict[str, tuple[str | list[str], int]]
    rows: list[dict[str, Any]]
    lines: list[str]
    annex: list[dict[str, Any]]
    notes: tuple[str, ...]


def _parts(body: LicenceBody, template: str) -> _Parts:
    person = body.holder_id_type_code == "111"
    labels = {
        "number": "证书编号",
        "holder": "姓名" if person else "企业名称",
        "id": "证件号码" if person else "统一社会信用代码",
        "address": "住所" if body.address else "",
        "list": "产品及生产地址" if body.products else "多证合一备案事项" if body.filings else "",
        "validity": "有效期",
    }
    texts = {
        "number": body.number,
        "holder": body.holder,
        "id": body.holder_id,
        "address": body.address,
        "validity": validity_text(body),
    }
    values = {key: (breakable(text), small(key, text)) for key, text in texts.items() if text}
    lines, annex = _lists(body, _LINES.get(template, _FOR_LISTS))
    return _Parts(labels, values, [], lines, annex, _NOTES)


def _business(body: LicenceBody, writer: int) -> _Parts:
    rows = rows_of(body, validity_text(body) if writer == 2 else term_text(body))
    labels = {"number": "证书编号", "id": "统一社会信用代码", **rows.labels}
    own = {"number": (body.number, 1), "id": (body.holder_id, 0)}
    annex = [*rows.annex, *([_products(body)] if body.products else [])]
    return _Parts(labels, {**own, **rows.values}, rows.rows, [], annex, _BUSINESS_NOTES)


def _version(body: LicenceBody) -> str:
    return f"第{body.version}版"


def _own_notes(body: LicenceBody) -> list[str]:
    notes = [f"电子证照标识 {body.identifier}　{_version(body)}"]
    if body.previous_identifier:
        notes.append(f"前一版本标识 {body.previous_identifier}")
    return notes


def _lists(body: LicenceBody, room: _Lines) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the lines for products and filings on the first page, and the annex (附页) where there is no room."""
    products = [_product(product) for product in body.products]
    filings = ["、".join(filing.name for filing in body.filings)] if body.filings else []
    if sum(math.ceil(units(line) / room.width) for line in (*products, *filings)) <= room.most:
        return products + filings, []
    lines, annex = [], []
    if body.products:
        lines.append(f"产品共{len(body.products)}项，见附页")
        annex.append(_products(body))
    if body.filings:
        lines.append(f"备案事项共{len(body.filings)}项，见附页")
        annex.append(filing_table(body))
    return lines, annex


def _products(body: LicenceBody) -> dict[str, Any]:
    rows = [
        [str(n), breakable(p.category), breakable(p.detail), breakable(p.site)]
        for n, p in enumerate(body.products, 1)
    ]
    head = ["序号", "产品", "明细", "生产地址"]
    return {"title": "产品明细", "head": head, "columns": [1, 4, 5, 6], "rows": rows}


def _product(product: Product) -> str:
    detail = f"（{product.detail}）" if product.detail else ""
    site = f"　{product.site}" if product.site else ""
    return product.category + detail + site
