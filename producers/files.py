"""Taking events in: from files and lines to an inbox, good neighbours of bad lines included.

An inbox is the door of an engine. It says of each event whether it was accepted, is a duplicate, or is
rejected because the same source and id came before with other content.

A file of events, line by line, in bounded memory: one line is held, and never more of it than may be valid.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import msgspec

from schemas.canonical_json import MAX_BYTES
from schemas.errors import Rejected, UsageError, ZhengzhaoError
from schemas.events import Event, parse_event

_UTF8_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_CHUNK: Final = MAX_BYTES + 8  # a BOM, the longest valid line and its end


class InputLine(msgspec.Struct, frozen=True):
    """`number` counts from 1. Of a line that is too long `raw` is the beginning, still over the limit."""

    number: int
    raw: bytes


def lines(file: BinaryIO) -> Iterator[InputLine]:
    """The lines of an open file without their ends; blank ones are left out, but counted.

    A UTF-8 BOM at the start is no fault. A file in UTF-16 has no lines that bytes could show: it comes as one.
    """
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


STDIN = "-"
_BATCH = 500
_PDF = b"%PDF-"


class Accepted(msgspec.Struct, frozen=True):
    """An event that was taken in, or had been before."""

    duplicate: bool = False


Outcome = Accepted | Rejected


class Inbox(Protocol):
    """The door of an engine."""

    def take(self, events: Sequence[Event], received_at: datetime) -> list[Outcome]:
        """Takes events in, all at once or none; one outcome for each, in order."""
        ...


class Rejection(msgspec.Struct, frozen=True):
    """A line that was not taken in. `line` is 1 for a PDF, 0 for a file that could not be used at all."""

    file: str
    line: int
    error: str
    hint: str


class Summary(msgspec.Struct):
    """What became of what was submitted."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Rejection] = msgspec.field(default_factory=list)

    def count(self, file: str, line: int, outcome: Outcome) -> None:
        """Counts one event in."""
        if isinstance(outcome, Rejected):
            self.refuse(file, line, outcome)
        elif outcome.duplicate:
            self.duplicates += 1
        else:
            self.accepted += 1

    def refuse(self, file: str, line: int, error: ZhengzhaoError) -> None:
        """Notes a rejection; the place in a file is part of the error, a whole file (line 0) is named already."""
        self.rejected.append(Rejection(file, line, str(error) if line else error.message, error.hint))


Papers = Callable[[Sequence[str]], Iterator[tuple[str, bytes | ZhengzhaoError]]]
"""From PDF files to the application event of each packet among them, named by its first file, or why not."""


class Sorted(msgspec.Struct, frozen=True):
    """Inputs by what they are. `faults`: those that cannot be used, and why; they spoil no neighbour."""

    lines: list[str]
    pdfs: list[str]
    faults: dict[str, UsageError]


def sort_out(names: Sequence[str]) -> Sorted:
    """Looks at each input before anything is taken in."""
    found = Sorted([], [], {})
    for name in names:
        try:
            (found.pdfs if _is_pdf(name) else found.lines).append(name)
        except UsageError as error:
            found.faults[name] = error
    return found


def _is_pdf(name: str) -> bool:
    """Whether a file begins as a PDF does. UsageError for one that is absent, empty, a folder or unreadable."""
    if name == STDIN:
        return False
    path = Path(name)
    if not path.exists():
        raise UsageError("文件不存在 / there is no such file", where=name, hint="检查路径 / check the path")
    if path.is_dir():
        raise UsageError("是目录 / is a folder", where=name, hint="zhengzhao submit DIR/*.jsonl")
    if path.is_fifo() or path.is_char_device():
        return False  # what is read there is gone
    with _opened(name) as file:
        start = file.read(len(_PDF))
    if not start:
        raise _empty(name)
    return start == _PDF


def submit_file(
    name: str,
    inbox: Inbox,
    summary: Summary,
    *,
    progress: Callable[[int], None] = lambda _: None,
    sign: Callable[[bytes], bytes] = lambda raw: raw,
) -> None:
    """Takes one file in (`-`: standard input), line by line; UsageError where there is nothing in it.

    `sign` puts the sender's proof into an event before it is read.
    """
    with _opened(name) as file:
        before = len(summary.rejected)
        batch: list[tuple[int, Event]] = []
        received_at = datetime.now(UTC)
        found = False
        for line in lines(file):
            found = True
            try:
                batch.append((line.number, parse_event(sign(line.raw), received_at)))
            except Rejected as error:
                summary.refuse(name, line.number, error)
            if len(batch) >= _BATCH:
                _flush(name, batch, inbox, summary, received_at)
                received_at = datetime.now(UTC)
            progress(len(line.raw) + 1)
        _flush(name, batch, inbox, summary, received_at)
    if not found:
        raise _empty(name)
    summary.rejected[before:] = sorted(summary.rejected[before:], key=lambda r: r.line)


def _flush(
    name: str, batch: list[tuple[int, Event]], inbox: Inbox, summary: Summary, received_at: datetime
) -> None:
    if batch:
        outcomes = inbox.take([event for _, event in batch], received_at)
        for (line, _), outcome in zip(batch, outcomes, strict=True):
            summary.count(name, line, outcome)
        batch.clear()


def submit_papers(
    names: Sequence[str],
    inbox: Inbox,
    summary: Summary,
    papers: Papers,
    *,
    sign: Callable[[bytes], bytes] = lambda raw: raw,
) -> None:
    """Takes PDF packets in: the papers of each application become one event."""
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
