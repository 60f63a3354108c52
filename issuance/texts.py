"""How texts stand on a page: dates, validity, where a long run may break, how wide it is and how small it is set."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

from schemas.body import LicenceBody

_UNBROKEN = re.compile(r"[^\s⺀-鿿＀-￯\U00020000-\U0003ffff་-]{25,}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PIECE = 6


def date_text(iso: str) -> str:
    """How a date stands on the page: 2018年9月12日."""
    year, month, day = iso.split("-")
    return f"{int(year)}年{int(month)}月{int(day)}日"


def particular_text(value: str) -> str:
    """How a particular stands on the page: a date as dates do, everything else as it is."""
    try:
        return date_text(date.fromisoformat(value).isoformat()) if _DATE.fullmatch(value) else value
    except ValueError:
        return value


def validity_text(body: LicenceBody) -> str:
    """How the validity stands on the page."""
    start = date_text(body.valid_from)
    return f"自{start}至{date_text(body.valid_until)}" if body.valid_until else f"自{start}起长期有效"


def breakable(text: str) -> str | list[str]:
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


def units(text: str) -> float:
    """Width in ems, roughly and rather too much: a Han character is one wide, a letter less."""
    return sum(
        1.0 if ord(char) > 0x2E7F or char in "MW@" else 0.8 if char.isupper() else 0.62 for char in text
    )


def small(key: str, text: str) -> int:
    """How small a text is set: its place in `sizes` of the templates. The longest still fits its room."""
    wide = units(text)
    if key == "validity":
        return 1
    return 0 if wide <= 25 else 1 if wide <= 58 else 2 if wide <= 100 else 3 if wide <= 120 else 4
