"""Fields laid over a drawn form (AcroForm, ISO 32000-1 12.7), so that common readers fill it with Chinese text.

Values are PDF text strings, whatever font a reader shows them in; `NeedAppearances` asks the reader to draw them
itself. The default font is the predefined Chinese one (`STSong-Light`, `UniGB-UCS2-H`), which readers replace by a
Song type of their own.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

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

from producers.forms import Form
from schemas.errors import UsageError

_PRINT = 4  # annotation flag: printed with the page
_MULTILINE = 1 << 12


def with_fields(form: Form, values: Mapping[str, str] | None = None) -> bytes:
    """The form's PDF with one text field for each blank, filled where `values` names it."""
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


def fill(pdf: bytes, values: Mapping[str, str]) -> bytes:
    """A form with fields, filled. Raises UsageError for a value without a field, or for what is no form."""
    left = dict(values)
    try:
        writer = _filled(pdf, left)
    except Exception as error:  # whatever a parser does with other bytes
        raise UsageError(
            f"不是可填写的 PDF / no PDF form: {type(error).__name__}", hint="zhengzhao packet new ITEM -o DIR"
        ) from None
    if left:
        raise UsageError(
            f"表中没有此栏 / no such field in the form: {min(left)}", hint="zhengzhao packet new ITEM -o DIR"
        )
    return _bytes(writer)


def _filled(pdf: bytes, left: dict[str, str]) -> PdfWriter:
    """The form with the values that it has fields for, which are taken out of `left`."""
    if not pdf.startswith(b"%PDF-"):
        raise ValueError("no PDF")
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf)))
    for page in writer.pages:
        for reference in page.get("/Annots", ArrayObject()):
            widget = reference.get_object()
            name = str(widget.get("/TU", ""))
            if widget.get("/FT") == "/Tx" and name in left:
                widget[NameObject("/V")] = TextStringObject(left.pop(name))
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
