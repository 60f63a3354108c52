"""Looks of filled form fields, drawn with embedded fonts so that every reader shows the same text.

Each value is set by Typst on a page as large as its field; the page becomes the field's appearance stream (ISO 32000-1,
12.5.5). A reader, printer or program that flattens the form then draws outlines and needs no font of its own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import typst
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NameObject,
)


class Faces(NamedTuple):
    """The fonts of a form: the folders of their files, and the families in order of preference."""

    folders: Sequence[Path]
    families: Sequence[str]


class Filled(NamedTuple):
    """A field to be drawn: its widget and its text."""

    widget: DictionaryObject
    text: str

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the field, in points."""
        left, bottom, right, top = (float(v) for v in self.widget["/Rect"])  # type: ignore[attr-defined]
        return abs(right - left), abs(top - bottom)


def draw_fields(writer: PdfWriter, fields: Sequence[Filled], faces: Faces) -> None:
    """Give each field the appearance of its text; one without text gets an empty appearance."""
    written = [field for field in fields if field.text.strip()]
    pages = _pages(written, faces) if written else []
    for field, stream in zip(written, pages, strict=True):
        _show(writer, field, stream)
    for field in fields:
        if not field.text.strip():
            _show(writer, field, DecodedStreamObject())


def _pages(fields: Sequence[Filled], faces: Faces) -> list[DecodedStreamObject]:
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


def _show(writer: PdfWriter, field: Filled, stream: DecodedStreamObject) -> None:
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
