"""Readers of the elements of a worksheet (ECMA-376, part 1, 18.3): the text of cells, and the rows that they make up.

They are handlers for an XML parser and see element names without prefixes.
"""

from __future__ import annotations

import re
from typing import Final

from producers.table_cells import UNCOMPUTED, Cell, DateCell, ErrorCell, NumberCell, TruthCell, serial_text

MAX_COLUMN: Final = 16_384
MAX_ROW: Final = 1_048_576
MAX_CELL: Final = 65_534
"""Number of characters that a cell may hold: Excel's 32,767, counted as UTF-16 by some programs."""
REFERENCE: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")

SparseRow = dict[int, Cell]
"""Cells of a row by column, from 0; what is blank has none."""


class BrokenPart(Exception):
    """A part of a workbook that is not as the standard says."""


class TextReader:
    """A collector of the text of `<t>` elements; phonetic guides (`<rPh>`) do not count."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._within = False
        self._phonetic = 0

    def start(self, name: str, _: dict[str, str]) -> None:
        """Handle the start of an element."""
        if name == "rPh":
            self._phonetic += 1
        self._within = name == "t" and not self._phonetic

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if name == "rPh":
            self._phonetic -= 1
        self._within = False

    def text(self, text: str) -> None:
        """Handle text within an element."""
        if self._within:
            self._parts.append(text)

    def taken(self) -> str:
        """Return what was collected, and begin anew."""
        whole = "".join(self._parts)
        self._parts.clear()
        if len(whole) > MAX_CELL:
            raise BrokenPart
        return _ESCAPED.sub(lambda m: chr(int(m[1], 16)), whole) if "_x" in whole else whole


class RowReader:
    """A collector of the rows of a sheet, from the elements `row`, `c`, `v`, `f` and `is`."""

    def __init__(self, strings: list[str], dates: frozenset[int], epoch: int) -> None:
        self._strings, self._dates, self._epoch = strings, dates, epoch
        self._done: list[tuple[int, SparseRow]] = []
        self._row: SparseRow = {}
        self._number = 0
        self._column = -1
        self._kind, self._style = "n", 0
        self._value: list[str] | None = None
        self._reading = False
        self._formula = False
        self._inline = TextReader()

    def taken(self) -> list[tuple[int, SparseRow]]:
        """Return the rows that are whole, and begin anew."""
        done, self._done = self._done, []
        return done

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        if name == "c":
            self._cell(attributes)
        elif name == "v":
            self._value, self._reading = [], True
        elif name == "row":
            number = _whole_number(attributes.get("r"), self._number + 1)
            if not self._number < number <= MAX_ROW:
                raise BrokenPart
            self._number, self._row, self._column = number, {}, -1
        elif name == "f":
            self._formula = True
        else:
            self._inline.start(name, attributes)

    def text(self, text: str) -> None:
        """Handle text within an element."""
        if self._reading and self._value is not None:
            self._value.append(text)
        else:
            self._inline.text(text)

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if name == "c":
            cell = self._finished()
            if cell:
                self._row[self._column] = cell
        elif name == "v":
            self._reading = False
        elif name == "row":
            self._done.append((self._number, self._row))
        elif name != "f":
            self._inline.end(name)

    def _cell(self, attributes: dict[str, str]) -> None:
        column = self._column + 1
        if reference := REFERENCE.match(attributes.get("r", "")):
            column = column_number(reference[1])
        if not self._column < column < MAX_COLUMN:
            raise BrokenPart
        self._column = column
        self._kind = attributes.get("t", "n")
        self._style = _whole_number(attributes.get("s"), 0)
        self._value, self._formula = None, False

    def _finished(self) -> Cell:
        inline = self._inline.taken()
        if self._kind == "inlineStr":
            return inline
        value = "".join(self._value or ())
        if len(value) > MAX_CELL:
            raise BrokenPart
        if not value:
            return UNCOMPUTED if self._formula and self._kind != "str" else ""
        return self._typed(value)

    def _typed(self, value: str) -> Cell:
        if self._kind == "s":
            index = _whole_number(value.strip(), -1)
            if not 0 <= index < len(self._strings):
                raise BrokenPart
            return self._strings[index]
        if self._kind == "str":
            return _ESCAPED.sub(lambda m: chr(int(m[1], 16)), value)
        if self._kind == "b":
            return TruthCell("true" if value.strip() in ("1", "true") else "false")
        if self._kind == "e":
            return ErrorCell(value)
        if self._kind == "d":
            return DateCell(value.strip())
        return self._numeric(value.strip())

    def _numeric(self, value: str) -> Cell:
        if self._style not in self._dates:
            return NumberCell(value)
        try:
            return DateCell(serial_text(float(value) + self._epoch))
        except (ValueError, OverflowError):
            return NumberCell(value)


def column_number(letters: str) -> int:
    """Return the number of a column, from 0, by its letters: A is 0, AA is 26."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _whole_number(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BrokenPart
    return int(text)
