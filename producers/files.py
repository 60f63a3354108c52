"""Intake of files: each input is recognised by its bytes, and its events go to an inbox.

An inbox is the door of an engine. It answers for each event: accepted, a duplicate, or rejected because the same
source and id came before with other content. A bad event, row or file never keeps its neighbours out.

Events in a file: one a line (JSON Lines), or as JSON documents that people and programs pretty-print.

JSON Lines are read in bounded memory: one line is held, and never more of it than may be valid. A file that begins
with `[`, or with an object that its first line does not close, is read whole and cut into its values.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import msgspec

from producers.file_kinds import START, recognise
from producers.tables import RowOutcome, is_text_table
from schemas.canonical_json import MAX_BYTES
from schemas.errors import Rejected, UsageError, ZhengzhaoError
from schemas.events import Event, parse_event

MAX_DOCUMENT: Final = 64 << 20
"""Number of bytes that a JSON array or a pretty-printed file may have."""

_UTF8_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_CHUNK: Final = MAX_BYTES + 8  # a BOM, the longest valid line and its end
_BLANK: Final = " \t\r\n"


class InputLine(msgspec.Struct, frozen=True):
    """The text of one event. `number` is the line on which it begins, from 1; a text that is too long is cut, yet still
    over the limit."""

    number: int
    raw: bytes


def read_events(file: BinaryIO, where: str) -> Iterator[InputLine]:
    """Return the text of each event in an open file, in order; blank lines are left out but counted.

    A UTF-8 BOM at the start is no fault. A file in UTF-16 has no lines that bytes could show: it comes as one.
    Raises UsageError for a JSON document over `MAX_DOCUMENT` bytes.
    """
    given = _lines(file)
    first = next(given, None)
    if first is None:
        return
    second = next(given, None) if first.raw.lstrip()[:1] == b"{" else None
    if _is_document(first, second):
        start = [first] if second is None else [first, second]
        yield from _values(_whole(start, file, where), first.number)
        return
    yield first
    if second is not None:
        yield second
    yield from given


def _lines(file: BinaryIO) -> Iterator[InputLine]:
    number = 0
    while part := file.readline(_CHUNK):
        number += 1
        if number == 1:
            if part[:2] in _UTF16_BOMS or b"\0" in part[:4]:
                yield InputLine(1, part)
                return
            part = part.removeprefix(_UTF8_BOM)
        if not part.endswith(b"\n"):
            while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
                pass
        raw = part.removesuffix(b"\n").removesuffix(b"\r")
        if raw.strip():
            yield InputLine(number, raw)


def _is_document(first: InputLine, second: InputLine | None) -> bool:
    """Tell whether a file is one JSON document. No line of JSON Lines begins with `[`, a string or a closing brace."""
    if len(first.raw) > MAX_BYTES:
        return False
    start = first.raw.lstrip()[:1]
    return start == b"[" or (start == b"{" and second is not None and second.raw.lstrip()[:1] in (b'"', b"}"))


def _whole(start: list[InputLine], file: BinaryIO, where: str) -> bytes:
    """Return all bytes from the first value on, with the line ends between the lines that were read already."""
    gap = start[-1].number - start[0].number
    text = start[0].raw + b"\n" * gap + (start[1].raw if len(start) > 1 else b"") + b"\n"
    text += file.read(MAX_DOCUMENT + 1 - len(text))
    if len(text) > MAX_DOCUMENT:
        raise UsageError(
            f"JSON 文件超过 {MAX_DOCUMENT >> 20} MiB / a JSON document over {MAX_DOCUMENT >> 20} MiB",
            where=where,
            hint="每行一个事件，不限大小 / one event a line has no limit: jq -c '.[]' FILE",
        )
    return text


def _values(raw: bytes, number: int) -> Iterator[InputLine]:
    """Cut a JSON document into its values: the elements of an array, or the values that follow each other.

    Where the document breaks, the rest comes as one text, which is then rejected with its line.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        yield InputLine(number, raw[:_CHUNK])
        return
    decoder = json.JSONDecoder()
    array = text.lstrip(_BLANK)[:1] == "["
    place = text.index("[") + 1 if array else 0
    counted, line = 0, number
    between = _BLANK + "," if array else _BLANK
    while (place := _past(text, place, between)) < len(text) and not (array and text[place] == "]"):
        line += text.count("\n", counted, place)
        counted = place
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = len(text)
        yield InputLine(line, text[place:end].rstrip(_BLANK).encode()[:_CHUNK])
        place = end
    rest = text[place + 1 :].strip(_BLANK)
    if array and rest:
        yield InputLine(line + text.count("\n", counted, place), rest.encode()[:_CHUNK])


def _past(text: str, place: int, skipped: str) -> int:
    while place < len(text) and text[place] in skipped:
        place += 1
    return place


STDIN: Final = "-"
_BATCH: Final = 500


class Accepted(msgspec.Struct, frozen=True):
    """An event that was taken in, now or before."""

    duplicate: bool = False


Outcome = Accepted | Rejected


class Inbox(Protocol):
    """The door of an engine."""

    def take(self, events: Sequence[Event], received_at: datetime) -> list[Outcome]:
        """Take events in, all at once or none; return one outcome for each, in order."""
        ...


class Rejection(msgspec.Struct, frozen=True):
    """A line or row that was not taken in. `line` is 1 for a PDF, 0 for a file that could not be used at all."""

    file: str
    line: int
    error: str
    hint: str


class Summary(msgspec.Struct):
    """The outcome of a submission: counts, and each rejection."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Rejection] = msgspec.field(default_factory=list)

    def count(self, file: str, line: int, outcome: Outcome) -> None:
        """Count one event."""
        if isinstance(outcome, Rejected):
            self.refuse(file, line, outcome)
        elif outcome.duplicate:
            self.duplicates += 1
        else:
            self.accepted += 1

    def refuse(self, file: str, line: int, error: ZhengzhaoError) -> None:
        """Record a rejection. The place in a file is part of the error; a whole file (line 0) is named already."""
        self.rejected.append(Rejection(file, line, str(error) if line else error.message, error.hint))


Papers = Callable[[Sequence[str]], Iterator[tuple[str, bytes | ZhengzhaoError]]]
"""Function from PDF files to the application event of each packet among them, named by its first file, or an error."""


class Sorted(msgspec.Struct, frozen=True):
    """Inputs by their form: files of events, PDFs, tables of applications, and unusable ones with the reason."""

    lines: list[str]
    pdfs: list[str]
    tables: list[str]
    faults: dict[str, UsageError]


def sort_out(names: Sequence[str]) -> Sorted:
    """Sort inputs by their content before anything is taken in; an unusable one spoils no neighbour."""
    found = Sorted([], [], [], {})
    for name in names:
        try:
            form = _form(name)
        except UsageError as error:
            found.faults[name] = error
            continue
        {"pdf": found.pdfs, "xlsx": found.tables}.get(form, found.lines).append(name)
    return found


def _form(name: str) -> str:
    """Return `pdf`, `xlsx` (any table) or `json`. Raise UsageError for a file that cannot be submitted."""
    if name == STDIN:
        return "json"
    path = Path(name)
    if not path.exists():
        raise UsageError("文件不存在 / there is no such file", where=name, hint="检查路径 / check the path")
    if path.is_dir():
        raise UsageError("是目录 / is a folder", where=name, hint="zhengzhao submit DIR/*.jsonl")
    if path.is_fifo() or path.is_char_device():
        return "json"  # A pipe cannot be read twice.
    with _opened(name) as file:
        start = file.read(START)
        if not start:
            raise _empty(name)
        kind = recognise(start + file.read() if start[:2] == b"PK" else start)
    if kind.form in ("picture", "other") and start.strip(
        b"\0"
    ):  # Zeros alone have no form; their line is rejected.
        raise UsageError(
            f"不能提交{kind.zh} / {kind.en} cannot be submitted",
            where=name,
            hint=kind.hint
            or "提交 JSON 事件、PDF 材料、.xlsx 或 CSV / submit events, PDF papers, .xlsx or CSV",
        )
    return "xlsx" if kind.form == "text" and is_text_table(start) else kind.form


def read_table_file(name: str) -> bytes:
    """Return the bytes of a table. Raise UsageError for a file that cannot be read."""
    with _opened(name) as file:
        return file.read()


def submit_file(
    name: str,
    inbox: Inbox,
    summary: Summary,
    *,
    progress: Callable[[int], None] = lambda _: None,
    sign: Callable[[bytes], bytes] = lambda raw: raw,
) -> None:
    """Take the events of one file in (`-`: standard input). Raise UsageError where there is nothing in it.

    `sign` puts the sender's proof into an event before it is read; `progress` is told the bytes read.
    """
    with _opened(name) as file:
        before = len(summary.rejected)
        batch = _Batch(name, inbox, summary)
        found = False
        for line in read_events(file, name):
            found = True
            batch.add(line.number, line.raw, sign)
            progress(len(line.raw) + 1)
        batch.flush()
    if not found:
        raise _empty(name)
    summary.rejected[before:] = sorted(summary.rejected[before:], key=lambda r: r.line)


def submit_rows(
    name: str,
    rows: Iterator[RowOutcome],
    inbox: Inbox,
    summary: Summary,
    *,
    sign: Callable[[bytes], bytes] = lambda raw: raw,
) -> None:
    """Take the applications of a table in; a rejection names the row."""
    before = len(summary.rejected)
    batch = _Batch(name, inbox, summary)
    for number, made in rows:
        if isinstance(made, Rejected):
            summary.refuse(name, number, made)
        else:
            batch.add(number, json.dumps(made, ensure_ascii=False).encode(), sign)
    batch.flush()
    summary.rejected[before:] = sorted(summary.rejected[before:], key=lambda r: r.line)


class _Batch:
    """Events of one file on their way to the inbox, some hundred at a time."""

    def __init__(self, name: str, inbox: Inbox, summary: Summary) -> None:
        self._name, self._inbox, self._summary = name, inbox, summary
        self._events: list[tuple[int, Event]] = []
        self._received_at = datetime.now(UTC)

    def add(self, number: int, raw: bytes, sign: Callable[[bytes], bytes]) -> None:
        try:
            self._events.append((number, parse_event(sign(raw), self._received_at)))
        except Rejected as error:
            self._summary.refuse(self._name, number, error)
        if len(self._events) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        if self._events:
            outcomes = self._inbox.take([event for _, event in self._events], self._received_at)
            for (number, _), outcome in zip(self._events, outcomes, strict=True):
                self._summary.count(self._name, number, outcome)
            self._events.clear()
        self._received_at = datetime.now(UTC)


def submit_papers(
    names: Sequence[str],
    inbox: Inbox,
    summary: Summary,
    papers: Papers,
    *,
    sign: Callable[[bytes], bytes] = lambda raw: raw,
) -> None:
    """Take PDF packets in: the papers of each application become one event."""
    received_at = datetime.now(UTC)
    for name, made in papers(names):
        try:
            if isinstance(made, ZhengzhaoError):
                raise made
            event = parse_event(sign(made), received_at)
        except ZhengzhaoError as error:
            summary.refuse(name, 1, error)
            continue
        summary.count(name, 1, inbox.take([event], received_at)[0])


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with open(name, "rb") as file:
            yield file
    except OSError as error:
        if error.filename is None:
            raise
        raise UsageError(
            f"无法读取 / cannot be read: {error.strerror}", where=name, hint="检查权限 / check its rights"
        ) from None


def _empty(name: str) -> UsageError:
    return UsageError("文件是空的 / the file is empty", where=name, hint="每行一个事件 / one event a line")
