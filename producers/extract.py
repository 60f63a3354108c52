"""Text and form fields of a PDF, read in a separate process with little memory and time.

A PDF from outside may hold bombs, loops, hostile fonts. So it is never parsed in the process that serves others:
`producers.extract` keeps a process that has the parser loaded and forks a child with hard limits for each paper;
back comes a plain structure of words and form fields with their places.

The processes that read PDFs: started when first needed, kept, one paper each at a time, replaced when they end.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import math
import os
import queue
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, OrderedDict
from contextlib import suppress
from typing import Any, BinaryIO, Final, cast

import msgspec
import pypdfium2  # type: ignore[import-untyped]
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from producers.file_kinds import START, recognise
from schemas.errors import UsageError

_IDLE_READERS: Final = 4  # idle readers
_idle: queue.LifoQueue[_Reader] = queue.LifoQueue()


class _Reader:
    """A process that loads the parser once and forks for each paper (`producers.extract`)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "producers.extract"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._asked = cast("BinaryIO", self._process.stdin)
        self._told = cast("BinaryIO", self._process.stdout)

    def ask(self, pdf: bytes) -> bytes | None:
        """Return the answer; None where the process is gone."""
        try:
            self._asked.write(len(pdf).to_bytes(8) + pdf)
            self._asked.flush()
            length = self._told.read(8)
            answer = self._told.read(int.from_bytes(length))
        except OSError:
            return None
        return answer if len(length) == 8 else None

    def close(self) -> None:
        with suppress(OSError):
            self._process.communicate(timeout=5)


def ask(pdf: bytes) -> bytes:
    """Return a reader's findings about a PDF; empty where no reader found any."""
    for fresh in (False, True):
        reader = _reader(fresh)
        if (answer := reader.ask(pdf)) is not None:
            _back(reader)
            return answer
        reader.close()
    return b""


def _reader(fresh: bool) -> _Reader:
    with suppress(queue.Empty):
        if not fresh:
            return _idle.get_nowait()
    return _Reader()


def _back(reader: _Reader) -> None:
    if _idle.qsize() < _IDLE_READERS:
        _idle.put(reader)
    else:
        reader.close()


@atexit.register
def _close() -> None:
    with suppress(queue.Empty):
        while True:
            _idle.get_nowait().close()


MAX_BYTES = 20 * 1024 * 1024
MAX_PAGES = 50
MAX_WORDS = 20_000
MAX_TEXT = 2_000_000  # characters
MEMORY_BYTES = 900 * 1024 * 1024
SECONDS = 8  # of processor time, and by the clock
_KEPT = 16  # papers remembered: one is asked for several times, and parsed once
_READ, _REFUSED = b"+", b"-"

_NO_CHARACTER: Final = "(cid:"  # how the parser writes an outline of which no character is told
_SHOWN: Final = 2000  # characters of a field that a page shows

_SCAN: Final = (
    "写明其内容 / tell what stands on it: --values FILE.json; over HTTP a .json file beside it; "
    "或提交填好的表格 / or send the form filled in, a PDF with text"
)

Box = tuple[float, float, float, float]


class ScanWithoutText(UsageError):
    """The error for a scan or photograph, in which nothing stands that a program reads."""


class Word(msgspec.Struct, frozen=True):
    """A run of text without white space; page from 1, box in points from the top left."""

    text: str
    page: int
    box: Box


class Field(msgspec.Struct, frozen=True):
    """A form field with a value; `shown` is the text that the page shows for it, empty where it shows none."""

    name: str
    value: str
    page: int
    box: Box
    shown: str = ""


class PdfDocument(msgspec.Struct, frozen=True):
    """Everything that was read of one PDF."""

    pages: int
    words: tuple[Word, ...]
    fields: tuple[Field, ...]


_papers: OrderedDict[bytes, PdfDocument] = OrderedDict()
_lock = threading.Lock()


def read(pdf: bytes, name: str) -> PdfDocument:
    """Read a PDF in a child process. Raises UsageError that names the file and says what to do."""
    if len(pdf) > MAX_BYTES:
        raise UsageError(
            "文件过大 / the file is larger than 20 MiB", where=name, hint="压缩后重试 / reduce it"
        )
    if recognise(pdf[:START]).form == "picture":
        raise ScanWithoutText("照片，没有文字 / a photograph without text", where=name, hint=_SCAN)
    if b"%PDF-" not in pdf[:1024]:
        raise UsageError("不是 PDF / this is no PDF", where=name, hint="zhengzhao packet new ITEM -o DIR")
    digest = hashlib.sha256(pdf).digest()
    with _lock:
        known = _papers.get(digest)
    paper = known or _read(pdf, name)
    with _lock:
        _papers[digest] = paper
        while len(_papers) > _KEPT:
            _papers.popitem(last=False)
    return paper


def _read(pdf: bytes, name: str) -> PdfDocument:
    answer = ask(pdf)
    if answer[:1] != _READ:
        reason = answer[1:].decode("utf-8", "replace") or "no answer"
        raise UsageError(
            f"PDF 无法读取 / the PDF cannot be read ({reason})",
            where=name,
            hint="重新打印为 PDF，去掉密码 / print it to PDF anew, without a password",
        )
    paper = msgspec.json.decode(answer[1:], type=PdfDocument)
    unreadable = sum(_NO_CHARACTER in word.text for word in paper.words)
    if paper.words and not paper.fields and unreadable * 2 > len(paper.words):
        raise ScanWithoutText(
            "只有字形，没有文字：另一程序去掉了字形与字符的对应 / outlines without text: a program left out which characters they are",
            where=name,
            hint=_SCAN,
        )
    if not paper.words and not paper.fields:
        raise ScanWithoutText("扫描件，没有文字 / a scan without text", where=name, hint=_SCAN)
    return paper


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(400)


def _parse(raw: bytes) -> PdfDocument:
    import pdfplumber

    words: list[Word] = []
    fields: list[tuple[Field, Any]] = []
    letters = 0
    with pdfplumber.open(io.BytesIO(raw)) as pdf:
        if len(pdf.pages) > MAX_PAGES:
            raise ValueError(f"more than {MAX_PAGES} pages")
        for number, found in enumerate(pdf.pages, 1):
            page = _upright(found)
            for word in page.extract_words(keep_blank_chars=False):
                box = (word["x0"], word["top"], word["x1"], word["bottom"])
                words.append(Word(word["text"], number, tuple(round(float(v), 2) for v in box)))  # type: ignore[arg-type]
                letters += len(word["text"])
                if len(words) > MAX_WORDS or letters > MAX_TEXT:
                    raise ValueError(f"more than {MAX_WORDS} words or {MAX_TEXT} characters")
            fields += _fields(page, number)
            if sum(len(field.value) for field, _ in fields) > MAX_TEXT:
                raise ValueError(f"more than {MAX_TEXT} characters in its fields")
            page.close()
        return PdfDocument(len(pdf.pages), tuple(words), tuple(_with_shown(raw, fields)))


def _upright(page: Any) -> Any:
    """Turn a page so that most of its text runs from left to right."""
    turns = Counter(
        round(math.degrees(math.atan2(char["matrix"][1], char["matrix"][0])) / 90) % 4 for char in page.chars
    )
    turn = turns.most_common(1)[0][0] if turns else 0
    if not turn:
        return page
    inner = page.page_obj
    inner.rotate = (inner.rotate + 90 * turn) % 360
    inner.attrs = {**inner.attrs, "Rotate": inner.rotate}
    return type(page)(page.pdf, inner, page.page_number, page.initial_doctop)


def _fields(page: Any, number: int) -> list[tuple[Field, Any]]:
    """Return the fields of a page that have a value, each with its rectangle in the page's own space."""
    found = []
    for annotation in page.annots:
        data = annotation.get("data", {})
        name = _text(_own(data, "TU")) or _text(_own(data, "T")).replace("/", ".")
        value = _text(_own(data, "V"))
        if name and value:
            box = tuple(round(float(annotation[k]), 2) for k in ("x0", "top", "x1", "bottom"))
            found.append((Field(name, value, number, box), data.get("Rect")))  # type: ignore[arg-type]
    return found


def _with_shown(raw: bytes, fields: list[tuple[Field, Any]]) -> list[Field]:
    """Add the texts that the pages show in their fields, as PDFium draws them after flattening."""
    if not fields:
        return []
    document = pypdfium2.PdfDocument(raw)
    texts: dict[int, Any] = {}
    shown = []
    for field, rectangle in fields:
        if field.page not in texts:
            page = document[field.page - 1]
            pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY)
            texts[field.page] = document[field.page - 1].get_textpage()
        left, bottom, right, top = (float(edge) for edge in rectangle)
        sides = (min(left, right), min(bottom, top), max(left, right), max(bottom, top))
        said = texts[field.page].get_text_bounded(*sides)
        shown.append(msgspec.structs.replace(field, shown=" ".join(said.split())[:_SHOWN]))
    return shown


def _own(widget: Any, key: str) -> Any:
    """Return a value of a field: in its widget, or where a reader split the two in the field above."""
    from pdfminer.pdftypes import resolve1

    value = widget.get(key)
    above = None if value is not None else resolve1(widget.get("Parent"))
    return above.get(key) if isinstance(above, dict) else value


def _text(value: Any) -> str:
    """Return a PDF text string: UTF-16 with a mark, UTF-8 with a mark, or PDFDocEncoding (ISO 32000-1, annex D)."""
    from pdfminer.pdftypes import resolve1
    from pdfminer.utils import decode_text

    value = resolve1(value)
    if isinstance(value, bytes):
        if value[:2] in (b"\xfe\xff", b"\xff\xfe"):
            return value.decode("utf-16", "replace")
        if value[:3] == b"\xef\xbb\xbf":
            return value[3:].decode("utf-8", "replace")
        return str(decode_text(value))
    return value if isinstance(value, str) else ""


def main() -> int:
    """Run the process that forks: answer each PDF on standard input; 8 bytes of length stand before either."""
    import pdfplumber  # noqa: F401  # loaded once, here

    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while len(length := requests.read(8)) == 8:
        answer = _in_child(requests.read(int.from_bytes(length)))
        answers.write(len(answer).to_bytes(8) + answer)
        answers.flush()
    return 0


def _in_child(pdf: bytes) -> bytes:
    """Return the answer of a child that parses a PDF, or the reason for its lack."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.close(out)
        with os.fdopen(into, "wb") as pipe:
            _answer(pdf, pipe)
        os._exit(0)
    os.close(into)
    answer = _received(out, time.monotonic() + SECONDS)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if answer is None or (not answer and os.WIFSIGNALED(status)):
        return _REFUSED + "读取超时 / reading took too long, or too much".encode()
    return answer


def _answer(pdf: bytes, pipe: BinaryIO) -> None:
    try:
        _limit()
        answer = _READ + msgspec.json.encode(_parse(pdf))
    except BaseException as error:  # whatever a parser does with hostile bytes ends here, in one line
        line = " ".join(f"{type(error).__name__}: {error}"[:200].split())
        answer = _REFUSED + line.encode("utf-8", "replace")
    pipe.write(answer)


def _received(out: int, end: float) -> bytes | None:
    """Read a pipe to its end; return None where that takes too long."""
    parts: list[bytes] = []
    with os.fdopen(out, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
            part = pipe.read(1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
    return None


if __name__ == "__main__":
    sys.exit(main())
