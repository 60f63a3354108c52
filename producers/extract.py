"""What a PDF says, read in a process of its own with little memory and time.

A PDF from outside may hold bombs, loops, hostile fonts. So it is never parsed in the process that serves others:
`read` starts a child with hard limits, and takes back a plain structure of words and form fields with their places.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
from functools import lru_cache
from typing import Any

import msgspec

from schemas.errors import UsageError

MAX_BYTES = 20 * 1024 * 1024
MAX_PAGES = 50
MAX_WORDS = 20_000
MEMORY_BYTES = 900 * 1024 * 1024
SECONDS = 8

Box = tuple[float, float, float, float]


class Word(msgspec.Struct, frozen=True):
    """A run of text without white space; page from 1, box in points from the top left."""

    text: str
    page: int
    box: Box


class Field(msgspec.Struct, frozen=True):
    """A form field with a value."""

    name: str
    value: str
    page: int
    box: Box


class Paper(msgspec.Struct, frozen=True):
    """Everything that was read of one PDF."""

    pages: int
    words: tuple[Word, ...]
    fields: tuple[Field, ...]


@lru_cache(maxsize=32)
def read(pdf: bytes, name: str) -> Paper:
    """Reads a PDF in a child process. Raises UsageError that names the file and says what to do."""
    if len(pdf) > MAX_BYTES:
        raise UsageError(
            "文件过大 / the file is larger than 20 MiB", where=name, hint="压缩后重试 / reduce it"
        )
    if b"%PDF-" not in pdf[:1024]:
        raise UsageError("不是 PDF / this is no PDF", where=name, hint="zhengzhao packet new ITEM -o DIR")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "producers.extract"],
            input=pdf,
            capture_output=True,
            timeout=SECONDS + 2,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            "读取超时 / reading took too long", where=name, hint="重新打印为 PDF / print it to PDF anew"
        ) from None
    if done.returncode != 0 or not done.stdout:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UsageError(
            f"PDF 无法读取 / the PDF cannot be read ({reason[-1][:200] if reason else 'no answer'})",
            where=name,
            hint="重新打印为 PDF，去掉密码 / print it to PDF anew, without a password",
        )
    paper = msgspec.json.decode(done.stdout, type=Paper)
    if not paper.words and not paper.fields:
        raise UsageError(
            "扫描件，没有文字 / a scan without text",
            where=name,
            hint="请提交可填写的表格或带文字的 PDF / send the form filled in, or a PDF with text",
        )
    return paper


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(400)


def _parse(raw: bytes) -> Paper:
    import pdfplumber

    words: list[Word] = []
    fields: list[Field] = []
    with pdfplumber.open(io.BytesIO(raw)) as pdf:
        if len(pdf.pages) > MAX_PAGES:
            raise ValueError(f"more than {MAX_PAGES} pages")
        for number, page in enumerate(pdf.pages, 1):
            for word in page.extract_words(keep_blank_chars=False):
                box = (word["x0"], word["top"], word["x1"], word["bottom"])
                words.append(Word(word["text"], number, tuple(round(float(v), 2) for v in box)))  # type: ignore[arg-type]
                if len(words) > MAX_WORDS:
                    raise ValueError(f"more than {MAX_WORDS} words")
            fields += _fields(page, number)
            page.close()
        return Paper(len(pdf.pages), tuple(words), tuple(fields))


def _fields(page: Any, number: int) -> list[Field]:
    found = []
    for annotation in page.annots:
        data = annotation.get("data", {})
        name = _text(data.get("TU")) or _text(data.get("T")).replace("/", ".")
        value = _text(data.get("V"))
        if name and value:
            box = tuple(round(float(annotation[k]), 2) for k in ("x0", "top", "x1", "bottom"))
            found.append(Field(name, value, number, box))  # type: ignore[arg-type]
    return found


def _text(value: Any) -> str:
    """A PDF text string: UTF-16 with a mark, UTF-8 with a mark, or PDFDocEncoding (near Latin-1)."""
    from pdfminer.pdftypes import resolve1

    value = resolve1(value)
    if isinstance(value, bytes):
        if value[:2] in (b"\xfe\xff", b"\xff\xfe"):
            return value.decode("utf-16", "replace")
        if value[:3] == b"\xef\xbb\xbf":
            return value[3:].decode("utf-8", "replace")
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def main() -> int:
    """The child: a PDF on standard input, a `Paper` as JSON on standard output."""
    _limit()
    try:
        paper = _parse(sys.stdin.buffer.read())
    except Exception as error:  # whatever a parser does with hostile bytes ends here, in one line
        print(f"{type(error).__name__}: {error}"[:300].replace("\n", " "), file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(paper))
    return 0


if __name__ == "__main__":
    sys.exit(main())
