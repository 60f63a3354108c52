"""Recognition of files by their first bytes, so that a message can name the form that somebody handed in.

Nothing is opened or decompressed here but the directory of a ZIP archive, which has to be whole for that.
"""

from __future__ import annotations

import io
import zipfile
from typing import Final, Literal, NamedTuple

Form = Literal["xlsx", "pdf", "json", "text", "picture", "other"]

START: Final = 4096
"""Number of bytes that recognition needs of any file but a ZIP archive."""


class FileKind(NamedTuple):
    """The form of a file for programs, its name in Chinese and English for people, a hint where it cannot be used."""

    form: Form
    zh: str
    en: str
    hint: str = ""


_UNPACK: Final = "先解压 / unpack it first"
_SAVE_AS: Final = "另存为 .xlsx 或 UTF-8 的 CSV / save it as .xlsx or as CSV in UTF-8"
_FRAMED: Final = "发送纯 JSON，不带登记处的五字节前缀 / send plain JSON without the five bytes that a registry's serializer adds"
_PICTURE: Final = "写明图片的内容 / tell what stands on it: zhengzhao submit FILE… --values FILE.json"

XLSX: Final = FileKind("xlsx", "Excel 工作簿", "an Excel workbook (.xlsx)")
PDF: Final = FileKind("pdf", "PDF", "a PDF")
JSON: Final = FileKind("json", "JSON", "JSON")
TEXT: Final = FileKind("text", "文本", "text")

_MAGIC: Final = (
    (b"\x1f\x8b", FileKind("other", "gzip 压缩文件", "a gzip file", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", FileKind("other", "zstd 压缩文件", "a zstd file", _UNPACK)),
    (b"BZh", FileKind("other", "bzip2 压缩文件", "a bzip2 file", _UNPACK)),
    (b"\xfd7zXZ\x00", FileKind("other", "xz 压缩文件", "an xz file", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", FileKind("other", "7z 压缩文件", "a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", FileKind("other", "RAR 压缩文件", "a RAR archive", _UNPACK)),
    (b"PAR1", FileKind("other", "Parquet 文件", "a Parquet file", _SAVE_AS)),
    (b"Obj\x01", FileKind("other", "Avro 文件", "an Avro file", "导出为 JSON / export it as JSON")),
    (b"\x89PNG\r\n\x1a\n", FileKind("picture", "PNG 图片", "a PNG picture", _PICTURE)),
    (b"\xff\xd8\xff", FileKind("picture", "JPEG 图片", "a JPEG picture", _PICTURE)),
    (b"II*\x00", FileKind("picture", "TIFF 图片", "a TIFF picture", _PICTURE)),
    (b"MM\x00*", FileKind("picture", "TIFF 图片", "a TIFF picture", _PICTURE)),
)
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLD_EXCEL: Final = FileKind("other", "旧版 Excel 文件", "an old Excel file (.xls)", _SAVE_AS)
_LOCKED: Final = FileKind(
    "other",
    "有密码的 Office 文件",
    "an Office file with a password",
    "去掉密码再保存 / save it without a password",
)
_FRAMING: Final = FileKind(
    "other",
    "带登记处前缀的记录（首字节 0x00）",
    "a record with a schema registry's framing (first byte 0x00)",
    _FRAMED,
)
_ZIPS: Final = (
    (
        "xl/workbook.bin",
        FileKind("other", "二进制 Excel 工作簿", "a binary Excel workbook (.xlsb)", _SAVE_AS),
    ),
    ("word/", FileKind("other", "Word 文档", "a Word document (.docx)", _SAVE_AS)),
    ("ppt/", FileKind("other", "演示文稿", "a presentation (.pptx)", _SAVE_AS)),
    ("content.xml", FileKind("other", "OpenDocument 文件", "an OpenDocument file (.ods)", _SAVE_AS)),
    ("OFD.xml", FileKind("other", "OFD 文件", "an OFD file", _SAVE_AS)),
)
_ZIP: Final = FileKind("other", "ZIP 压缩文件", "a ZIP archive", _UNPACK)
_MARKUP: Final = (
    (b"<!doctype html", FileKind("other", "网页", "a web page (HTML)", _SAVE_AS)),
    (b"<html", FileKind("other", "网页", "a web page (HTML)", _SAVE_AS)),
    (b"<table", FileKind("other", "网页", "a web page (HTML)", _SAVE_AS)),
    (b"<?xml", FileKind("other", "XML 文件", "an XML file", _SAVE_AS)),
)
_PDF_WITHIN: Final = 1024  # ISO 32000-1, annex H.3: readers look for the header in the first 1,024 bytes
_WIDE: Final = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def recognise(raw: bytes) -> FileKind:
    """Return the kind of a file from its bytes; the first `START` of them will do unless it is a ZIP archive.

    A file without any mark counts as text.
    """
    if raw[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _archive(raw)
    start = raw[:START]
    if start.startswith(_OLE):
        return _LOCKED if "EncryptedPackage".encode("utf-16-le") in raw else _OLD_EXCEL
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if b"%PDF-" in start[:_PDF_WITHIN]:
        return PDF
    return _text(start)


def _archive(raw: bytes) -> FileKind:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return _ZIP
    if any(name.startswith("xl/workbook") and name.endswith(".xml") for name in names):
        return XLSX
    for name, kind in _ZIPS:
        if any(entry.startswith(name) for entry in names):
            return kind
    return _ZIP


def _text(start: bytes) -> FileKind:
    for bom, encoding in _WIDE:
        if start.startswith(bom):
            wide = start[2 : len(start) // 2 * 2].decode(encoding, "replace")
            return JSON if wide.lstrip()[:1] in ("{", "[") else TEXT
    if start[:1] == b"\0" and not _is_wide(start):
        return _FRAMING
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        return JSON
    lower = text[:64].lower()
    return next((kind for mark, kind in _MARKUP if lower.startswith(mark)), TEXT)


def _is_wide(start: bytes) -> bool:
    """Tell whether text in UTF-16 (big-endian, without a BOM) begins here: every other byte is 0, none between."""
    return len(start) >= 4 and not any(start[0:8:2]) and all(start[1:8:2])
