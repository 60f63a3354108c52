"""Texts of a page: dates, validity, breaks in long runs, widths and sizes; and the rows of a business licence.

A business licence (营业执照) has name, particulars side by side where they are short, term and address; then business scope
and filings in the room that is left. Whatever finds no room goes to the annex (附页). Lengths are millimetres and ems at
the sizes of templates/common.typ; the room is that of business-licence.typ.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date
from typing import Any, Final, NamedTuple

from schemas.licence import LicenceBody

_UNBROKEN = re.compile(r"[^\s⺀-鿿＀-￯\U00020000-\U0003ffff་-]{25,}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PIECE = 6


def date_text(iso: str) -> str:
    """Return a date as the page prints it: 2018年9月12日."""
    year, month, day = iso.split("-")
    return f"{int(year)}年{int(month)}月{int(day)}日"


def particular_text(value: str) -> str:
    """Return a particular as the page prints it: a date in words, everything else unchanged."""
    try:
        return date_text(date.fromisoformat(value).isoformat()) if _DATE.fullmatch(value) else value
    except ValueError:
        return value


def validity_text(body: LicenceBody) -> str:
    """Return the validity as the page prints it."""
    start = date_text(body.valid_from)
    return f"自{start}至{date_text(body.valid_until)}" if body.valid_until else f"自{start}起长期有效"


def term_text(body: LicenceBody) -> str:
    """Return the term of a business licence (营业期限): it begins with the enterprise, not with a later version.

    Without a date of establishment the first version counts, and a later one prints the end alone.
    """
    given = next((p.value for p in body.registered if p.name == ESTABLISHED), "")
    begun = given if _is_date(given) else body.valid_from if body.version == 1 else ""
    start = f"自{date_text(begun)}" if begun else ""
    end = f"至{date_text(body.valid_until)}" if body.valid_until else "长期有效"
    return f"{start}起{end}" if start and not body.valid_until else start + end


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def breakable(text: str) -> str | list[str]:
    """Return the text, or its pieces where a run without a place to break would leave its line."""
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


def units(text: str) -> float:
    """Estimate the width in ems, never too little: a Han character is one wide, a letter less."""
    return sum(
        1.0 if ord(char) > 0x2E7F or char in "MW@" else 0.8 if char.isupper() else 0.62 for char in text
    )


def small(key: str, text: str) -> int:
    """Return the size of a text as its index in `sizes` of the templates, so that the longest fits its room."""
    wide = units(text)
    if key == "validity":
        return 1
    return 0 if wide <= 25 else 1 if wide <= 58 else 2 if wide <= 100 else 3 if wide <= 120 else 4


ESTABLISHED: Final = "established-on"
"""Name of the field that holds the day on which an enterprise was established."""

_ROOM = 92.0  # from the first row to the notes below the last
_FULL = (61.0, 4.5)  # ems of a line over the whole width at 10 pt, and its height
_LIST = (51.5, 3.8)  # the same beside the seal, at 8.5 pt
_MOST_LINES = 4  # of a long particular on the first page
_HALVES = ((20.0, 1), (24.5, 2), (29.0, 3))  # ems that fit half the width, and the size that they need
_FEW = 4  # rows that are set wide apart


class Rows(NamedTuple):
    """Rows for both layers: keys with heights, labels, values with their sizes, and the parts of the annex."""

    rows: list[dict[str, Any]]
    labels: dict[str, str]
    values: dict[str, tuple[str | list[str], int]]
    annex: list[dict[str, Any]]


class _Text(NamedTuple):
    key: str
    label: str
    text: str


def rows_of(body: LicenceBody, term: str) -> Rows:
    """Lay out the rows of a business licence; `term` is its 营业期限 as printed."""
    texts = [_Text(f"p-{p.name}", p.label, particular_text(p.value)) for p in body.registered]
    name, address = _Text("holder", "名称", body.holder), _Text("address", "住所", body.address)
    span = _Text("validity", "营业期限", term)
    short = [t for t in texts if units(t.text) <= _HALVES[-1][0]] + [span]
    long = [t for t in texts if units(t.text) > _HALVES[-1][0]]
    made = Rows([], {}, {}, [])
    lines = 2 + math.ceil(len(short) / 2) + len(long)
    pitch = 12.0 if lines <= _FEW else 9.5
    _row(made, [name], _height(name, pitch))
    for first in range(0, len(short), 2):
        _row(made, short[first : first + 2], pitch)
    if address.text:
        _row(made, [address], _height(address, pitch))
    _long(made, long, body)
    if body.products:
        _row(made, [_Text("products", "产品", f"产品共{len(body.products)}项，见附页")], 7.0, 2)
    return made


def _height(text: _Text, pitch: float) -> float:
    """Return the height of a row; a name or address of more than two lines is set small and needs more."""
    return pitch if units(text.text) <= 58 else 15.0


def _row(made: Rows, texts: list[_Text], height: float, size: int | None = None) -> None:
    for t in texts:
        made.labels[t.key] = t.label
        made.values[t.key] = (breakable(t.text), _size(t) if size is None else size)
    made.rows.append({"keys": [t.key for t in texts], "height": height})


def _size(text: _Text) -> int:
    if text.key in ("holder", "address"):
        return small(text.key, text.text)
    return next(size for room, size in _HALVES if units(text.text) <= room)


def _long(made: Rows, long: list[_Text], body: LicenceBody) -> None:
    """Lay out long particulars and filings: on the first page while there is room, the filings first."""
    left = _ROOM - sum(row["height"] for row in made.rows)
    notes = len(long) * 7.0  # where each goes to the annex, a line says so
    filings = _filings(body)
    held = _lines(filings.text, _LIST) if filings else 0.0
    if filings and held + notes > left:
        made.annex.append(filing_table(body))
        filings = filings._replace(text=f"备案事项共{len(body.filings)}项，见附页")
        held = _lines(filings.text, _LIST)
    left -= held
    for n, t in enumerate(long):
        height = _lines(t.text, _FULL) + 3.5
        if units(t.text) > _MOST_LINES * _FULL[0] or height + (len(long) - n - 1) * 7.0 > left:
            made.annex.insert(n, {"title": t.label, "text": breakable(t.text)})
            t, height = t._replace(text="见附页"), 7.0
        _row(made, [t], height, 2)
        left -= height
    if filings:
        _row(made, [filings], held, 3)
        made.rows[-1]["narrow"] = True


def _lines(text: str, room: tuple[float, float]) -> float:
    width, height = room
    return math.ceil(units(text) / width) * height


def _filings(body: LicenceBody) -> _Text | None:
    names = "、".join(filing.name for filing in body.filings)
    return _Text("list", "多证合一", names) if names else None


def filing_table(body: LicenceBody) -> dict[str, Any]:
    """Return the part of the annex that lists the filings."""
    rows = [[str(n), breakable(f.name), breakable(f.filing_id)] for n, f in enumerate(body.filings, 1)]
    return {
        "title": "多证合一备案事项",
        "head": ["序号", "备案事项", "备案编号"],
        "columns": [1, 7, 6],
        "rows": rows,
    }
