"""Fields of a form as a PDF (AcroForm, ISO 32000-1, 12.7): laid over a drawn form, filled, and drawn for every reader.

Values are PDF text strings. Each value that `fill` writes is also set by Typst on a page as large as its field; the page
becomes the field's appearance stream (12.5.5), with the font embedded. A reader, printer or program that flattens the form
then draws outlines and needs no font of its own. While somebody fills the form in a reader, the default font is the
predefined Chinese one (`STSong-Light`, `UniGB-UCS2-H`), which readers replace by a Song type of their own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping, Sequence
from importlib.resources import files
from typing import Final, NamedTuple

import typst
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

from producers.forms import Faces, Form
from schemas.errors import UsageError

_PRINT: Final = 4  # annotation flag: printed with the page
_READ_ONLY: Final = 1
_MULTILINE: Final = 1 << 12
_COMBO: Final = 1 << 17  # a list that drops down
_EDITED: Final = 1 << 18  # in which something else may be typed
_HINT: Final = "zhengzhao packet new ITEM -o DIR"


def with_fields(form: Form, *, fixed: Collection[str] = ()) -> bytes:
    """Return the form's PDF with a field for each blank; those `fixed` cannot be changed in a reader.

    A blank with choices becomes a list in which something else may be typed all the same.
    """
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(form.pdf)))
    fields = ArrayObject()
    for blank in form.blanks:
        page = writer.pages[blank.page - 1]
        height = float(page.mediabox.height)
        x0, top, x1, bottom = blank.box
        choices = form.choices.get(blank.name, ())
        flags = (_READ_ONLY if blank.name in fixed else 0) | (
            _COMBO | _EDITED if choices else _MULTILINE if bottom - top > 30 else 0
        )
        widget = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Annot"),
                NameObject("/Subtype"): NameObject("/Widget"),
                NameObject("/FT"): NameObject("/Ch" if choices else "/Tx"),
                NameObject("/T"): TextStringObject(blank.name.replace(".", "/")),
                NameObject("/TU"): TextStringObject(blank.name),
                NameObject("/V"): TextStringObject(""),
                NameObject("/F"): NumberObject(_PRINT),
                NameObject("/Ff"): NumberObject(flags),
                NameObject("/DA"): TextStringObject("/Song 10 Tf 0 g"),
                NameObject("/Rect"): ArrayObject(
                    FloatObject(round(v, 2)) for v in (x0 + 1, height - bottom + 1, x1 - 1, height - top - 1)
                ),
                NameObject("/P"): page.indirect_reference or page,
            }
        )
        if choices:
            widget[NameObject("/Opt")] = ArrayObject(map(TextStringObject, choices))
        reference = writer._add_object(widget)
        page[NameObject("/Annots")] = ArrayObject([*page.get("/Annots", ArrayObject()), reference])
        fields.append(reference)
    writer.root_object[NameObject("/AcroForm")] = _acro_form(writer, fields)
    return _bytes(writer)


def fill(pdf: bytes, values: Mapping[str, str], faces: Faces | None = None) -> bytes:
    """Fill a form that has fields. Raise UsageError for a value without a field, or for a file that is no form.

    With `faces` the values are drawn into the file; else it asks the reader to draw them.
    """
    left = dict(values)
    try:
        writer = _filled(pdf, left, faces)
    except Exception as error:  # whatever a parser does with other bytes
        raise UsageError(f"不是可填写的 PDF / no PDF form: {type(error).__name__}", hint=_HINT) from None
    if left:
        raise UsageError(f"表中没有此栏 / no such field in the form: {min(left)}", hint=_HINT)
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
            if widget.get("/FT") not in ("/Tx", "/Ch"):
                continue
            if name in left:
                value = _chosen(left.pop(name), [str(option) for option in widget.get("/Opt", ())])
                widget[NameObject("/V")] = TextStringObject(value)
            fields.append(_Filled(widget, str(widget.get("/V", ""))))
    if faces is not None and not left:
        _draw_fields(writer, fields, faces)
        writer.root_object["/AcroForm"].pop("/NeedAppearances", None)  # type: ignore[attr-defined]
    return writer


def _chosen(value: str, choices: Sequence[str]) -> str:
    """Return the choice that begins with the value's code, such as a division's; else the value."""
    return next((choice for choice in choices if choice.startswith(f"{value} ")), value)


class _Filled(NamedTuple):
    """A field to be drawn: its widget and its text."""

    widget: DictionaryObject
    text: str

    @property
    def size(self) -> tuple[float, float]:
        """Return width and height of the field, in points."""
        left, bottom, right, top = (float(v) for v in self.widget["/Rect"])  # type: ignore[attr-defined]
        return abs(right - left), abs(top - bottom)


def _draw_fields(writer: PdfWriter, fields: Sequence[_Filled], faces: Faces) -> None:
    """Give each field the appearance of its text; one without text gets an empty appearance."""
    written = [field for field in fields if field.text.strip()]
    pages = _pages(written, faces) if written else []
    for field, stream in zip(written, pages, strict=True):
        _show(writer, field, stream)
    for field in fields:
        if not field.text.strip():
            _show(writer, field, DecodedStreamObject())


def _pages(fields: Sequence[_Filled], faces: Faces) -> list[DecodedStreamObject]:
    data = {
        "fonts": list(faces.families),
        "fields": [{"width": f.size[0], "height": f.size[1], "text": f.text} for f in fields],
    }
    pdf = typst.compile(
        str(files("producers") / "templates" / "appearance.typ"),
        font_paths=[str(folder) for folder in faces.folders],
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
        format="pdf",
        timestamp=0,
    )
    assert isinstance(pdf, bytes)  # one document, one file
    streams = []
    for page in PdfReader(io.BytesIO(pdf)).pages[: len(fields)]:
        stream = DecodedStreamObject()
        contents = page.get_contents()
        stream.set_data(contents.get_data() if contents is not None else b"")
        stream[NameObject("/Resources")] = page["/Resources"]
        streams.append(stream)
    return streams


def _show(writer: PdfWriter, field: _Filled, stream: DecodedStreamObject) -> None:
    width, height = field.size
    resources = stream.get("/Resources")
    stream[NameObject("/Resources")] = (
        resources.clone(writer) if resources is not None else DictionaryObject()
    )
    stream[NameObject("/Type")] = NameObject("/XObject")
    stream[NameObject("/Subtype")] = NameObject("/Form")
    stream[NameObject("/BBox")] = ArrayObject(FloatObject(v) for v in (0, 0, width, height))
    reference: IndirectObject = writer._add_object(stream)
    field.widget[NameObject("/AP")] = DictionaryObject({NameObject("/N"): reference})


def _acro_form(writer: PdfWriter, fields: ArrayObject) -> DictionaryObject:
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
