"""Tables that leave: CSV and `.xlsx` for people to open in a spreadsheet, in which no cell can act as a formula.

A cell of CSV that begins like a formula is opened by an apostrophe, the usual defence against formula injection (CWE-1236):
spreadsheets then take it for text. In `.xlsx` a text is a text, so nothing is changed there. Files that programs read
(registers of a draw, JSON) are not exports: their values stand as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import xlsxwriter

Value = str | int | None

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Characters with which a spreadsheet begins a formula, or which some skip before one; full-width ones in some locales."""

CREATED: Final = datetime(2018, 1, 1)
"""Date in the properties of every workbook, so that the same content gives the same bytes."""

BOM: Final = "\ufeff"


def quoted(text: str) -> str:
    """Return a text as a cell of exported CSV: with an apostrophe before it where a formula could begin."""
    return (
        f"'{text}"
        if text.lstrip(" \u3000\xa0").startswith(FORMULA_STARTS) or text[:1] in FORMULA_STARTS
        else text
    )


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """Return CSV (RFC 4180) with quoted texts, beginning with a BOM, without which Excel takes UTF-8 for another code."""
    out = io.StringIO()
    out.write(BOM)
    writer = csv.writer(out)
    writer.writerow([quoted(name) for name in header])
    writer.writerows([quoted(v) if isinstance(v, str) else v for v in row] for row in rows)
    return out.getvalue()


def new_workbook(out: io.BytesIO) -> Any:
    """Return a workbook to be written into `out`, in which a text never becomes a formula, a number or a link."""
    book = xlsxwriter.Workbook(
        out,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_numbers": False,
            "strings_to_urls": False,
        },
    )
    book.set_properties({"created": CREATED})
    return book


def xlsx_bytes(title: str, header: Sequence[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """Return a workbook of one sheet named `title`, with a bold header that stays in sight, texts as texts."""
    out = io.BytesIO()
    book = new_workbook(out)
    sheet = book.add_worksheet(title)
    bold, text = book.add_format({"bold": True}), book.add_format({"num_format": "@"})
    for at, name in enumerate(header):
        sheet.write_string(0, at, name, bold)
    for number, row in enumerate(rows, start=1):
        for at, value in enumerate(row):
            if isinstance(value, str):
                sheet.write_string(number, at, value, text)
            elif value is not None:
                sheet.write_number(number, at, value)
    sheet.freeze_panes(1, 0)
    book.close()
    return out.getvalue()
