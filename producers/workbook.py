"""Reading of `.xlsx` workbooks (ECMA-376): the rows of a sheet as text cells, one by one, in bounded memory.

A workbook comes from anybody. So every part is read through a counter (a ZIP archive can unpack to a thousand times
its size), rows are sparse (two cells at opposite corners of a sheet are two cells), a document type declaration is
refused (entities can grow without end), and no formula is computed: the value that the spreadsheet stored counts.
A library that builds a dense table first cannot be stopped from asking for hundreds of gigabytes.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from xml.parsers import expat

from producers.sheet_rows import REFERENCE, BrokenPart, RowReader, SparseRow, TextReader, column_number
from producers.table_cells import Cell
from schemas.errors import UsageError

MAX_UNPACKED: Final = 512 << 20
"""Number of bytes that all parts read of one workbook may unpack to."""
MAX_STRINGS: Final = 5_000_000
MAX_MERGES: Final = 100_000
_CHUNK: Final = 1 << 16
_DAYS_TO_1904: Final = 1462

_DATE_FORMATS: Final = frozenset({*range(14, 23), *range(27, 37), 45, 46, 47, *range(50, 59)})
_NOT_FORMAT: Final = re.compile(r'"[^"]*"|\\.|[_*].|\[(?!(?:h+|m+|s+)\])[^\]]*\]', re.IGNORECASE)


class Worksheet(NamedTuple):
    """A sheet of a workbook; `part` is the archive's entry that holds it."""

    name: str
    part: str
    visible: bool


class Workbook:
    """The workbook in `raw`. Raises UsageError where the bytes are none, or are damaged or too large."""

    def __init__(self, raw: bytes, where: str, *, max_unpacked: int = MAX_UNPACKED) -> None:
        self._where = where
        self._left = max_unpacked
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(raw))
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            raise self._damaged("ZIP") from None
        self._names = {name.casefold(): name for name in self._archive.namelist()}
        self._strings: list[str] | None = None
        self._dates: frozenset[int] | None = None
        self._epoch = 0
        start = self._relations("_rels/.rels", "")
        book = next((p for kind, p in start.values() if kind == "officeDocument"), "xl/workbook.xml")
        folder, name = posixpath.split(book)
        self._parts = self._relations(f"{folder}/_rels/{name}.rels", folder)
        self.sheets = self._sheets(book)

    def rows(self, sheet: Worksheet) -> Iterator[tuple[int, SparseRow]]:
        """Yield the rows of a sheet that hold anything, with their numbers from 1, in order.

        A cell merged downwards stands in every row that has other cells.
        """
        if self._strings is None:
            self._strings = self._shared_strings()
            self._dates = self._date_styles()
        merged = self._merges(sheet.part)
        reader = RowReader(self._strings, self._dates or frozenset(), self._epoch)
        open_merges: dict[int, tuple[int, Cell]] = {}
        for _ in self._parse(sheet.part, reader.start, reader.end, reader.text):
            for number, row in reader.taken():
                for column, (last, value) in list(open_merges.items()):
                    if number > last:
                        del open_merges[column]
                    elif row:
                        row.setdefault(column, value)
                for column, last in merged.get(number, ()):
                    if column in row:
                        open_merges[column] = (last, row[column])
                if row:
                    yield number, row

    # ---- parts ----------------------------------------------------------------------------------------------

    def _sheets(self, book: str) -> tuple[Worksheet, ...]:
        found: list[Worksheet] = []

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "workbookPr" and attributes.get("date1904") in ("1", "true", "on"):
                self._epoch = _DAYS_TO_1904
            if name == "sheet":
                relation = next((v for a, v in attributes.items() if a.endswith(":id")), "")
                kind, part = self._parts.get(relation, ("", ""))
                if kind == "worksheet":
                    visible = attributes.get("state", "visible") == "visible"
                    found.append(Worksheet(attributes.get("name", ""), part, visible))

        self._run(book, start)
        if not found:
            raise self._damaged("workbook.xml")
        return tuple(found)

    def _relations(self, part: str, folder: str) -> dict[str, tuple[str, str]]:
        """Return the relations of a part: id → last step of the type, entry in the archive."""
        found: dict[str, tuple[str, str]] = {}

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.join("/" + folder, attributes.get("Target", ""))
                kind = attributes.get("Type", "").rpartition("/")[2]
                found[attributes.get("Id", "")] = (
                    kind,
                    posixpath.normpath(target).lstrip("/"),
                )

        if part.casefold() in self._names:
            self._run(part, start)
        return found

    def _part_of(self, kind: str) -> str | None:
        part = next((p for k, p in self._parts.values() if k == kind), "")
        return part if part.casefold() in self._names else None

    def _shared_strings(self) -> list[str]:
        part = self._part_of("sharedStrings")
        strings: list[str] = []
        if part is None:
            return strings
        reader = TextReader()

        def end(name: str) -> None:
            reader.end(name)
            if name == "si":
                strings.append(reader.taken())
                if len(strings) > MAX_STRINGS:
                    raise self._too_large()

        self._run(part, reader.start, end, reader.text)
        return strings

    def _date_styles(self) -> frozenset[int]:
        """Return the numbers of the cell styles that show a number as a date."""
        part = self._part_of("styles")
        formats: dict[str, str] = {}
        dates: set[int] = set()
        state = {"within": False, "count": 0}

        def start(name: str, attributes: dict[str, str]) -> None:
            if name == "numFmt":
                formats[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
            elif name == "cellXfs":
                state["within"] = True
            elif name == "xf" and state["within"]:
                if _is_date(attributes.get("numFmtId", "0"), formats):
                    dates.add(state["count"])
                state["count"] += 1

        def end(name: str) -> None:
            if name == "cellXfs":
                state["within"] = False

        if part is not None:
            self._run(part, start, end)
        return frozenset(dates)

    def _merges(self, part: str) -> dict[int, list[tuple[int, int]]]:
        """Return the merged ranges by first row: column, last row. They stand behind the rows that they concern."""
        found: dict[int, list[tuple[int, int]]] = {}
        if not any(b"mergeCell" in chunk for chunk in self._overlapping(part)):
            return found
        count = 0

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal count
            if name != "mergeCell":
                return
            first, _, last = attributes.get("ref", "").partition(":")
            a, b = REFERENCE.fullmatch(first), REFERENCE.fullmatch(last)
            if a and b and int(b[2]) > int(a[2]):
                found.setdefault(int(a[2]), []).append((column_number(a[1]), int(b[2])))
                count += 1
                if count > MAX_MERGES:
                    raise self._too_large()

        self._run(part, start)
        return found

    # ---- bytes ----------------------------------------------------------------------------------------------

    def _overlapping(self, part: str) -> Iterator[bytes]:
        """Yield the chunks of a part, each with the end of the one before, so that no word is cut."""
        tail = b""
        for chunk in self._chunks(part, counted=False):
            yield tail + chunk
            tail = chunk[-16:]

    def _chunks(self, part: str, *, counted: bool = True) -> Iterator[bytes]:
        """Yield the bytes of a part. UsageError where it is absent, damaged, or more than may be unpacked."""
        left = self._left
        try:
            with self._archive.open(self._names.get(part.casefold(), part)) as file:
                while chunk := file.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise self._too_large()
                    yield chunk
        except (
            KeyError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            RuntimeError,
            NotImplementedError,
        ):
            raise self._damaged(part) from None
        if counted:
            self._left = left

    def _run(self, part: str, *handlers: Callable[..., None]) -> None:
        for _ in self._parse(part, *handlers):
            pass

    def _parse(
        self,
        part: str,
        start: Callable[[str, dict[str, str]], None],
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
    ) -> Iterator[None]:
        """Parse a part, yielding after each chunk. Elements have no prefix for the handlers, as in most files."""
        parser = expat.ParserCreate()
        parser.buffer_text = True

        def root(name: str, attributes: dict[str, str]) -> None:
            prefix = name.rpartition(":")[0]
            plain = len(prefix) + 1 if prefix else 0
            parser.StartElementHandler = (lambda n, a: start(n[plain:], a)) if plain else start
            if end is not None:
                ending = end
                parser.EndElementHandler = (lambda n: ending(n[plain:])) if plain else ending
            parser.CharacterDataHandler = text
            start(name[plain:], attributes)

        parser.StartElementHandler = root
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        try:
            for chunk in self._chunks(part):
                parser.Parse(chunk, False)
                yield
            parser.Parse(b"", True)
            yield
        except (expat.ExpatError, BrokenPart):
            raise self._damaged(part) from None

    def _refuse_doctype(self, *_: object) -> None:
        raise BrokenPart

    def _damaged(self, part: str) -> UsageError:
        return UsageError(
            f"Excel 工作簿损坏（{part}） / the workbook is damaged ({part})",
            where=self._where,
            hint="用电子表格软件打开后另存 / open it in a spreadsheet program and save it anew",
        )

    def _too_large(self) -> UsageError:
        return UsageError(
            "Excel 工作簿展开后过大 / the workbook is too large when unpacked",
            where=self._where,
            hint="删去多余的工作表和空行，或分成几个文件 / delete sheets and rows that are not needed, or split the file",
        )


def _is_date(number: str, formats: dict[str, str]) -> bool:
    code = formats.get(number)
    if code is None:
        return number.isascii() and number.isdigit() and int(number) in _DATE_FORMATS
    first = _NOT_FORMAT.sub("", code).split(";")[0].lower()
    return first != "general" and any(letter in first for letter in "ymdhs")
