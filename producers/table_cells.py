"""Cells of spreadsheets: what a cell may hold, and how ids, days and texts are read from it.

A cell is text. Its class keeps what the spreadsheet held, since a number or a date that stands where an id belongs
is a value that the spreadsheet has changed. Full-width digits and letters are read in ids, codes and days; names,
addresses and details stand as they were written but for spaces at their ends and line breaks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final

from schemas.errors import Rejected
from schemas.identifiers import compare, is_citizen_id, is_uscc, mask

Cell = str


class NumberCell(str):
    """A number, spelt as the file spells it."""

    __slots__ = ()


class DateCell(str):
    """A day or a moment (ISO 8601) that the spreadsheet held as a number with a date's format."""

    __slots__ = ()


class TruthCell(str):
    """A truth value, `true` or `false`."""

    __slots__ = ()


class ErrorCell(str):
    """An error of the spreadsheet, such as `#N/A`, or a formula without a value."""

    __slots__ = ()


UNCOMPUTED: Final = ErrorCell("=")
"""A formula without a stored value, as a program leaves it that computes none."""

EXACT_DIGITS: Final = 15
"""Number of significant digits that a spreadsheet keeps of a number (IEEE 754 double precision)."""

_EXPONENT: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?[eE][+-]?[0-9]{1,3}")
_ERRORS: Final = re.compile(r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|#+)")
_BREAKS: Final = re.compile(r"\s*[\r\n\t\v\f]\s*")
_FORCED: Final = re.compile(r'="([^"]*)"')
_CODED: Final = re.compile(r"([0-9]{6}|[0-9]{9}|[0-9]{12})\s*[^0-9\s].*", re.DOTALL)
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))
_EIGHTEEN: Final = re.compile(r"[0-9]{15}000")
_AS_TEXT: Final = (
    "把该列设为文本格式后重新输入 / format the column as text and type the value again; "
    "zhengzhao items template ITEM -o FILE.xlsx"
)


def is_blank(cell: Cell) -> bool:
    """Tell whether a cell shows nothing."""
    return not cell or (not isinstance(cell, ErrorCell) and not cell.strip().strip("\ufeff\u200b"))


def plain_number(text: str) -> str:
    """Return a number as people write it: whole ones without point or exponent, others in their shortest form.

    Raises ValueError for what is no finite number.
    """
    if re.fullmatch(r"-?[0-9]{1,15}", text):
        return text
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("no finite number")
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)


def is_inexact(text: str) -> bool:
    """Tell whether a number has more digits than a spreadsheet keeps, so that its last ones are lost."""
    try:
        return abs(float(text)) >= 10**EXACT_DIGITS
    except ValueError:
        return False


def read_id(cell: Cell, column: str) -> str:
    """Return an id: NFKC, without spaces at its ends, invisible characters or a spreadsheet's marks for text.

    Raises Rejected for an id that a spreadsheet turned into a number or a date.
    """
    text = _unmarked(_whole(cell, column))
    if isinstance(cell, NumberCell):
        return _id_of_number(cell, column)
    if _EXPONENT.fullmatch(text) and "e" in text.lower():
        raise _turned(text, column)
    return text


def read_holder_id(cell: Cell, column: str) -> str:
    """Return the id of a holder as `read_id` does.

    Raises Rejected too for eighteen digits that end in 000 and fail every check: a spreadsheet keeps fifteen.
    """
    text = read_id(cell, column)
    if _EIGHTEEN.fullmatch(text) and not (is_uscc(text) or is_citizen_id(text)):
        raise _turned(mask(text), column)
    return text


def read_code(cell: Cell, column: str) -> str:
    """Return a division or window: digits, behind which the name may stand, as in the choice list of a template."""
    text = read_id(cell, column)
    found = _CODED.fullmatch(text)
    return found[1] if found else text


def read_choice(cell: Cell, column: str, words: dict[str, str]) -> str:
    """Return a value of an enumeration; `words` maps Chinese words to values. An unknown one stands as it is."""
    text = read_id(cell, column)
    return words.get(text, text.lower())


def read_text(cell: Cell, column: str) -> str:
    """Return a name, address or detail; a line break within it becomes a space.

    Raises Rejected for a date, and for a number that has lost digits.
    """
    text = _BREAKS.sub(" ", _whole(cell, column)).strip()
    if isinstance(cell, DateCell):
        raise Rejected(
            f"电子表格把此值变成了日期：{text} / the spreadsheet turned this value into a date: {text}",
            where=column,
            hint=_AS_TEXT,
        )
    return _text_of_number(cell, column) if isinstance(cell, NumberCell) else text


def read_answer(cell: Cell, column: str) -> str:
    """Return the value of an item's field: text as `read_text` gives it, a date as ISO 8601."""
    if isinstance(cell, DateCell):
        return str(cell).removesuffix("T00:00:00")
    return read_text(cell, column)


def read_category(cell: Cell, column: str, known: Iterable[str]) -> str:
    """Return the name of a category as the item spells it, whatever its width; an unknown one as it stands."""
    text = read_text(cell, column)
    wanted = compare(text)
    return next((name for name in known if compare(name) == wanted), text)


# ---- days ---------------------------------------------------------------------------------------------------

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2999
_DAY: Final = re.compile(
    r"([0-9]{4})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,2})\s*日?"
    r"(?:[T\s]\s*[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?"
)
_COMPACT: Final = re.compile(r"([12][0-9]{3})([0-9]{2})([0-9]{2})")
_SERIAL: Final = re.compile(r"([0-9]{5,7})(?:\.[0-9]+)?")
_HYPHENS: Final = str.maketrans(dict.fromkeys("‐‑‒–—−﹣－", "-"))
_MONTH_MISSING: Final = date(1899, 12, 31)
_SERIAL_ZERO: Final = date(1899, 12, 30)
_LEAP_BUG: Final = 60  # Excel counts 29 February 1900, which did not exist, as day 60
LAST_SERIAL: Final = 2_958_465
"""Serial of 9999-12-31, the last day that Excel knows."""
_DAY_HINT: Final = "例如 2018-09-10、2018/9/10、2018.9.10 或 2018年9月10日；未签署则留空 / for example 2018-09-10; leave it blank where nothing was signed"


def serial_day(serial: int) -> date:
    """Return the day of an Excel serial number (1900 system). Raises ValueError outside 0 to `LAST_SERIAL`."""
    if not 0 <= serial <= LAST_SERIAL:
        raise ValueError("no serial of a day")
    return (_MONTH_MISSING if 0 < serial < _LEAP_BUG else _SERIAL_ZERO) + timedelta(days=serial)


def serial_text(serial: float) -> str:
    """Return the day, or the moment to the second, of an Excel serial number. Raises ValueError for no such number."""
    days = int(serial // 1)
    seconds = round((serial - days) * 86_400)
    if not seconds:
        return serial_day(days).isoformat()
    day = serial_day(days)
    return (datetime(day.year, day.month, day.day) + timedelta(seconds=seconds)).isoformat()


def read_day(cell: Cell, column: str) -> str:
    """Return a day as ISO 8601, from text in the orders year-month-day or from a serial number of Excel.

    Orders that begin with day or month are ambiguous. Raises Rejected for them, for what is no real day, and for
    one outside 1900 to 2999, such as the 0001-01-01 or 1899-12-30 that stand for "none" in some programs.
    """
    text = unicodedata.normalize("NFKC", _whole(cell, column)).translate(_HYPHENS)
    text = _invisible_gone(text).strip().lstrip("'")
    try:
        day = _day_of(plain_number(text) if isinstance(cell, NumberCell) else text)
    except ValueError:
        raise Rejected(
            f"不是真实的日期：{_shown(text)} / no real date: {_shown(text)}", where=column, hint=_DAY_HINT
        ) from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Rejected(
            f"日期不在 1900 至 2999 年之间：{day.isoformat()} / a date outside 1900 to 2999: {day.isoformat()}",
            where=column,
            hint=_DAY_HINT,
        )
    return day.isoformat()


def _day_of(text: str) -> date:
    found = _DAY.fullmatch(text) or _COMPACT.fullmatch(text)
    if found:
        return date(*map(int, found.groups()))
    serial = _SERIAL.fullmatch(text)
    if serial is None:
        raise ValueError("no day")
    return serial_day(int(serial[1]))


# ---- parts --------------------------------------------------------------------------------------------------


def _whole(cell: Cell, column: str) -> str:
    """Return the text of a cell. Raises Rejected for an error of the spreadsheet."""
    text = str(cell)
    if cell is UNCOMPUTED:
        raise Rejected(
            "公式没有结果 / a formula without a value",
            where=column,
            hint="在电子表格软件中打开并保存，或改为数值 / open and save it in a spreadsheet program, or put the value in",
        )
    if isinstance(cell, ErrorCell) or _ERRORS.fullmatch(text.strip()):
        raise Rejected(
            f"单元格有错误：{text} / the cell holds an error: {text}",
            where=column,
            hint="在电子表格中改正并保存 / mend it in the spreadsheet and save the file",
        )
    return text


def _unmarked(text: str) -> str:
    """Return an id without what spreadsheets put around it to keep it text: `'916…`, `="916…"`."""
    text = _invisible_gone(unicodedata.normalize("NFKC", text)).strip()
    found = _FORCED.fullmatch(text)
    return (found[1] if found else text).lstrip("'").strip()


def _invisible_gone(text: str) -> str:
    return text if text.isascii() else text.translate(_INVISIBLE)


def _id_of_number(cell: Cell, column: str) -> str:
    try:
        text = plain_number(cell)
    except ValueError:
        raise _turned(str(cell), column) from None
    if is_inexact(cell) or not text.isdigit():
        raise _turned(str(cell), column)
    return text


def _text_of_number(cell: Cell, column: str) -> str:
    try:
        text = plain_number(cell)
    except ValueError:
        raise _turned(str(cell), column) from None
    if is_inexact(cell):
        raise _turned(str(cell), column)
    return text


def _turned(text: str, column: str) -> Rejected:
    return Rejected(
        f"电子表格把此编号变成了数字，末几位已丢失：{_shown(text)} / "
        f"the spreadsheet turned this into a number, its last digits are lost: {_shown(text)}",
        where=column,
        hint=_AS_TEXT,
    )


def _shown(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
