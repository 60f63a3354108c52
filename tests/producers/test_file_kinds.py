"""Files are named for what they are."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import openpyxl
import pytest
from tables import as_csv, saved

from producers.file_kinds import JSON, PDF, TEXT, XLSX, recognise


def archive(*names: str) -> bytes:
    """A ZIP archive with empty entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in names:
            made.writestr(name, b"")
    return out.getvalue()


@pytest.mark.parametrize(
    ("raw", "en"),
    [
        (gzip.compress(b"{}", mtime=0), "a gzip file"),
        (archive("a.txt"), "a ZIP archive"),
        (archive("word/document.xml"), "a Word document (.docx)"),
        (archive("xl/workbook.bin"), "a binary Excel workbook (.xlsb)"),
        (archive("mimetype", "content.xml"), "an OpenDocument file (.ods)"),
        (b"PK\x03\x04 cut off", "a ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an old Excel file (.xls)"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "an Office file with a password",
        ),
        (b"\x00\x00\x00\x00\x07" + b'{"id":"1"}', "a record with a schema registry's framing (first byte 0x00)"),
        (b"\x00\x00\x00\x01\x00\x02H\x06abc", "a record with a schema registry's framing (first byte 0x00)"),
        (b"<html><table>", "a web page (HTML)"),
        (b"PAR1....", "a Parquet file"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named(raw: bytes, en: str) -> None:
    """With a hint of what to do."""
    kind = recognise(raw)
    assert (kind.form, kind.en) == ("other", en)
    assert kind.hint


def test_a_pdf_is_one_with_bytes_before_its_header() -> None:
    """Readers look within the first 1,024 bytes, and so does this."""
    assert recognise(b"%PDF-1.7\n") == PDF
    assert recognise(b"\n\n\xef\xbb%PDF-1.7\n") == PDF
    assert recognise(b" " * 1100 + b"%PDF-1.7\n") == TEXT


def test_workbooks_events_and_tables_are_told_apart() -> None:
    """A workbook by its parts, JSON by its first character, in UTF-16 too."""
    assert recognise(saved(openpyxl.Workbook())) == XLSX
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert recognise(("\n" + json.dumps([{"id": "1"}])).encode(encoding)) == JSON
        assert recognise(as_csv(encoding=encoding)) == TEXT
    assert recognise("id,name\n".encode("utf-16-be")) == TEXT
