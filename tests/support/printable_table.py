"""Writer of `schemas/data/printable.txt`: the characters that a licence can print and its verifier reads back.

Run it after a change of the font set: `python tests/support/printable_table.py`. Every character of the fonts is set on
a page, between two Han characters, and the page is read as the verifier reads it.
"""

from __future__ import annotations

import io
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pdfplumber

from issuance import fonts, page
from issuance.page import Pages
from verification.page_text import _plain, fold_glyphs, shows

TABLE = Path(__file__).parents[2] / "schemas" / "data" / "printable.txt"
ROWS, TOGETHER = 400, 10


def candidates() -> Iterator[str]:
    """Return every character that some font covers, without controls and code points that mean nothing."""
    for char in map(chr, sorted(fonts.coverage())):
        if unicodedata.category(char) not in ("Cc", "Cs", "Cn", "Co"):
            yield char


def batched(things: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Return runs of at most `size`."""
    return (things[at : at + size] for at in range(0, len(things), size))


def read_back(texts: Sequence[str]) -> list[bool]:
    """Tell of each text whether the pages on which it was set show it."""
    said: list[bool] = []
    pages, layout = Pages(), page.layout("industrial")
    for some in batched(texts, ROWS):
        rows = [[str(n), text] for n, text in enumerate(some)]
        values = {
            "layer": "values", "title": "t", "authority": "a", "values": {}, "rows": [], "lists": {}, "issued": "",
            "fixed-notes": 0, "notes": [], "number": "n", "version": "v", "annex": [{"title": "t", "head": ["n", "t"], "columns": [1, 9], "rows": rows}],
        }  # fmt: skip
        pdf = pages.values(layout, page.Sheet({}, values), 0)
        with pdfplumber.open(io.BytesIO(pdf)) as document:
            whole = _plain("".join(char["text"] for one in document.pages for char in one.chars))
        said += [shows(whole, fold_glyphs(text)) for text in some]
        print(len(said), file=sys.stderr)
    return said


def printable() -> list[str]:
    """Return the printable characters: first many together, then those of a text that failed one by one."""
    chars = list(candidates())
    groups = ["".join(some) for some in batched(chars, TOGETHER)]
    failed = [c for group, good in zip(groups, read_back(groups), strict=True) if not good for c in group]
    alone = dict(zip(failed, read_back([f"甲{char}乙" for char in failed]), strict=True))
    return [char for char in chars if alone.get(char, True)]


def ranges(chars: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Return runs of code points, first and last."""
    first = last = -2
    for point in map(ord, chars):
        if point != last + 1:
            if first >= 0:
                yield first, last
            first = point
        last = point
    yield first, last


if __name__ == "__main__":
    lines = [f"{a:04X}-{b:04X}" if a != b else f"{a:04X}" for a, b in ranges(printable())]
    TABLE.write_text("\n".join(lines) + "\n", "ascii")
