"""Forms of 一单一书一照 as PDFs: application form (申请单) and commitment letter (承诺书).

A form is drawn by Typst from a service item's row (the one that `items list` prints). The drawing gives the place of each
blank, so that fields can be laid over it and text found in it again. Given values, the same drawing shows them as plain
text: the flattened form, as a print or a PDF printer leaves it.

Fields are laid over a drawn form (AcroForm, ISO 32000-1 12.7), so that common readers fill it with Chinese text. Values
are PDF text strings. A form that `fill` fills carries their looks with embedded fonts (`producers.appearances`). While
somebody fills it in a reader, the default font is the predefined Chinese one (`STSong-Light`, `UniGB-UCS2-H`), which
readers replace by a Song type of their own.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import typst
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

from producers.appearances import Faces, Filled, draw_fields
from schemas.errors import UsageError

FORM, LETTER = "application-form", "commitment-letter"
PRODUCT_ROWS = 8
MARK = "zhengzhao/{kind}/{item}/1"
MARK_PATTERN = re.compile(r"zhengzhao/(application-form|commitment-letter)/([a-z0-9-]{1,64})/1")

COMMITMENT = (
    "本申请人现就所申请事项郑重承诺：一、已经知晓行政机关告知的许可条件、标准和要求，并保证符合；"
    "二、所填写的信息和提交的材料真实、合法、有效；三、取得证照后接受后置现场核查和随机抽查，并持续符合法定条件；"
    "四、如承诺不实或者核查不合格，自愿接受撤销证照，并承担由此产生的法律责任和经济损失。",
    "The applicant declares: (1) it knows the conditions of this licence and meets them; (2) what it states and submits "
    "is true, lawful and valid; (3) after the grant it accepts the on-site check and random inspections and keeps "
    "meeting the conditions; (4) should this commitment prove false or a check fail, the licence may be rescinded "
    "(撤销), and it bears the consequences.",
)


class Blank(msgspec.Struct, frozen=True):
    """A blank of a form: page from 1, box in points from the top left corner (x0, top, x1, bottom)."""

    name: str
    page: int
    box: tuple[float, float, float, float]


class Form(msgspec.Struct, frozen=True):
    """A drawn form: the PDF with the places of its blanks."""

    kind: str
    item: str
    pdf: bytes
    blanks: tuple[Blank, ...]


def commitment_digest(text: str = "".join(COMMITMENT)) -> str:
    """Return the hex SHA-256 of a commitment's text without white space: the evidence of the promise."""
    return hashlib.sha256(re.sub(r"\s+", "", text).encode()).hexdigest()


def field_names(row: Mapping[str, Any], kind: str) -> list[str]:
    """Return the names of a form's blanks, in the order of the page."""
    names = [entry["name"] for entry in _rows(row, kind)]
    if kind == FORM and row["products"]:
        names += [
            f"products.{n}.{part}"
            for n in range(1, PRODUCT_ROWS + 1)
            for part in ("category", "site", "detail")
        ]
    return names


def draw(
    row: Mapping[str, Any],
    kind: str,
    fonts: Sequence[Path],
    families: Sequence[str],
    values: Mapping[str, str] | None = None,
) -> Form:
    """Draw a form of an item, blank or with `values` as plain text.

    Raises UsageError for a kind that the item does not ask for, or a value whose name is no blank of it.
    """
    if kind not in (FORM, LETTER) or kind not in row["materials"]:
        raise UsageError(
            f"事项 {row['code']} 没有 {kind} / the item {row['code']} has no {kind}",
            hint="zhengzhao items list",
        )
    unknown = set(values or {}) - set(field_names(row, kind))
    if unknown:
        raise UsageError(
            f"表中没有此栏 / no such blank in the form: {min(unknown)}",
            hint=f"栏目 / blanks: {', '.join(field_names(row, kind)[:12])} …",
        )
    compiler = typst.Compiler(
        input=str(files("producers") / "templates" / "form.typ"),
        font_paths=[str(p) for p in fonts],
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(_data(row, kind, families, values or {}), ensure_ascii=False)},
    )
    pdf = compiler.compile(format="pdf", timestamp=0)
    places = json.loads(compiler.query("<field>", field="value"))
    assert isinstance(pdf, bytes)  # one document, one file
    return Form(kind=kind, item=row["code"], pdf=pdf, blanks=tuple(map(_blank, places)))


def _blank(place: Mapping[str, Any]) -> Blank:
    x, y = place["x"], place["y"]
    return Blank(place["name"], place["page"], (x, y, x + place["width"], y + place["height"]))


def _rows(row: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    def entry(name: str, label: str, english: str, height: int = 24) -> dict[str, Any]:
        return {"name": name, "label": label, "english": english, "height": height}

    person, letter_too = row["holder"] == "person", LETTER in row["materials"]
    who = [
        entry("applicant.name", "姓名" if person else "名称", "Name"),
        entry("applicant.id", *(("公民身份号码", "Citizen id") if person else ("统一社会信用代码", "USCC"))),
    ]
    if kind == LETTER:
        return [
            *who,
            entry("signatory", "签署人（法定代表人或申请人）", "Signed by"),
            entry("signed_on", "签署日期（年-月-日）", "Signed on (YYYY-MM-DD)"),
        ]
    return [
        *who,
        entry("applicant.address", "住所", "Address", 34),
        entry("applicant.division", "所在地区划代码（6 位）", "Division (6 digits)"),
        entry("window", "受理窗口代码（6、9 或 12 位）", "Window (6, 9 or 12 digits)"),
        *(
            [entry("signed_on", "签署日期（与承诺书相同）", "Signed on (as the letter)")]
            if letter_too
            else []
        ),
        *(entry(f"fields.{f['name']}", f["name"], f"e.g. {f['example']}") for f in row["fields"]),
    ]


def _data(
    row: Mapping[str, Any], kind: str, families: Sequence[str], values: Mapping[str, str]
) -> dict[str, Any]:
    letter = kind == LETTER
    return {
        "title": f"{row['name']}{'告知承诺书' if letter else '申请单'}",
        "subtitle": "Commitment letter" if letter else "Application form",
        "mark": MARK.format(kind=kind, item=row["code"]),
        "fonts": list(families),
        "values": dict(values),
        "paragraphs": list(COMMITMENT) if letter else [],
        "rows": _rows(row, kind),
        "products": PRODUCT_ROWS if row["products"] and not letter else 0,
        "products_title": "产品 / Products",
        "product_labels": ["类别 / Category", "生产地址 / Site", "产品明细 / Detail"],
        "categories": "类别 / Categories: " + "、".join(row.get("categories") or []),
        "note": "除申请单、承诺书和营业执照外，不得要求其他材料。"
        "Nothing but the form, the commitment letter and the business licence may be demanded.",
    }


_PRINT = 4  # annotation flag: printed with the page
_MULTILINE = 1 << 12


def with_fields(form: Form, values: Mapping[str, str] | None = None) -> bytes:
    """Return the form's PDF with one text field for each blank, filled where `values` names it."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(form.pdf)))
    fields = ArrayObject()
    for blank in form.blanks:
        page = writer.pages[blank.page - 1]
        height = float(page.mediabox.height)
        x0, top, x1, bottom = blank.box
        widget = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Annot"),
                NameObject("/Subtype"): NameObject("/Widget"),
                NameObject("/FT"): NameObject("/Tx"),
                NameObject("/T"): TextStringObject(blank.name.replace(".", "/")),
                NameObject("/TU"): TextStringObject(blank.name),
                NameObject("/V"): TextStringObject((values or {}).get(blank.name, "")),
                NameObject("/F"): NumberObject(_PRINT),
                NameObject("/Ff"): NumberObject(_MULTILINE if bottom - top > 30 else 0),
                NameObject("/DA"): TextStringObject("/Song 10 Tf 0 g"),
                NameObject("/Rect"): ArrayObject(
                    FloatObject(round(v, 2)) for v in (x0 + 1, height - bottom + 1, x1 - 1, height - top - 1)
                ),
                NameObject("/P"): page.indirect_reference or page,
            }
        )
        reference = writer._add_object(widget)
        page[NameObject("/Annots")] = ArrayObject([*page.get("/Annots", ArrayObject()), reference])
        fields.append(reference)
    writer.root_object[NameObject("/AcroForm")] = _form(writer, fields)
    return _bytes(writer)


def fill(pdf: bytes, values: Mapping[str, str], faces: Faces | None = None) -> bytes:
    """Fill a form that has fields. Raise UsageError for a value without a field, or for a file that is no form.

    With `faces` the values are drawn into the file; else it asks the reader to draw them.
    """
    left = dict(values)
    try:
        writer = _filled(pdf, left, faces)
    except Exception as error:  # whatever a parser does with other bytes
        raise UsageError(
            f"不是可填写的 PDF / no PDF form: {type(error).__name__}", hint="zhengzhao packet new ITEM -o DIR"
        ) from None
    if left:
        raise UsageError(
            f"表中没有此栏 / no such field in the form: {min(left)}", hint="zhengzhao packet new ITEM -o DIR"
        )
    return _bytes(writer)


def _filled(pdf: bytes, left: dict[str, str], faces: Faces | None) -> PdfWriter:
    """Fill the values that the form has fields for, and take them out of `left`."""
    if not pdf.startswith(b"%PDF-"):
        raise ValueError("no PDF")
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf)))
    fields = []
    for page in writer.pages:
        for reference in page.get("/Annots", ArrayObject()):
            widget = reference.get_object()
            name = str(widget.get("/TU", ""))
            if widget.get("/FT") != "/Tx":
                continue
            if name in left:
                widget[NameObject("/V")] = TextStringObject(left.pop(name))
            fields.append(Filled(widget, str(widget.get("/V", ""))))
    if faces is not None and not left:
        draw_fields(writer, fields, faces)
        writer.root_object["/AcroForm"].pop("/NeedAppearances", None)  # type: ignore[attr-defined]
    return writer


def _form(writer: PdfWriter, fields: ArrayObject) -> DictionaryObject:
    descendant = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/CIDFontType0"),
            NameObject("/BaseFont"): NameObject("/STSong-Light"),
            NameObject("/CIDSystemInfo"): DictionaryObject(
                {
                    NameObject("/Registry"): TextStringObject("Adobe"),
                    NameObject("/Ordering"): TextStringObject("GB1"),
                    NameObject("/Supplement"): NumberObject(4),
                }
            ),
            NameObject("/FontDescriptor"): writer._add_object(_descriptor()),
            NameObject("/DW"): NumberObject(1000),
        }
    )
    song = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type0"),
            NameObject("/BaseFont"): NameObject("/STSong-Light"),
            NameObject("/Encoding"): NameObject("/UniGB-UCS2-H"),
            NameObject("/DescendantFonts"): ArrayObject([writer._add_object(descendant)]),
        }
    )
    fonts = DictionaryObject({NameObject("/Song"): writer._add_object(song)})
    return DictionaryObject(
        {
            NameObject("/Fields"): fields,
            NameObject("/NeedAppearances"): BooleanObject(True),
            NameObject("/DA"): TextStringObject("/Song 10 Tf 0 g"),
            NameObject("/DR"): DictionaryObject({NameObject("/Font"): fonts}),
        }
    )


def _descriptor() -> DictionaryObject:
    numbers = {
        "/Flags": 6,
        "/ItalicAngle": 0,
        "/Ascent": 880,
        "/Descent": -120,
        "/CapHeight": 880,
        "/StemV": 93,
    }
    box = ArrayObject(NumberObject(n) for n in (-25, -254, 1000, 880))
    return DictionaryObject(
        {
            NameObject("/Type"): NameObject("/FontDescriptor"),
            NameObject("/FontName"): NameObject("/STSong-Light"),
            NameObject("/FontBBox"): box,
            **{NameObject(k): NumberObject(v) for k, v in numbers.items()},
        }
    )


def _bytes(writer: PdfWriter) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
