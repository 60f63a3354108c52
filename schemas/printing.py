"""Characters that can stand on a licence.

The fonts of the pages have a glyph for each of them, and a verifier reads it back from the page. The list is data, made
from the font set (`tests/support/printable_table.py`), so that intake and issuance judge by one rule everywhere, fonts or
no fonts, and `replay --decide` judges as the day did.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

TABLE: Final = "printable.txt"
"""Data file: one code point or range of code points a line, in hexadecimal."""


@lru_cache(maxsize=1)
def _printable() -> frozenset[str]:
    found: set[str] = set()
    for line in (files("schemas") / "data" / TABLE).read_text("ascii").split():
        first, _, last = line.partition("-")
        found.update(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    return frozenset(found)


def unprintable(text: str) -> str:
    """Return the characters of a text that cannot stand on a licence, each once, in their order."""
    printable = _printable()
    return "".join(dict.fromkeys(char for char in text if char not in printable))


def named(characters: str) -> str:
    """Return characters with their code points, for a message: `𪚥 (U+2A6A5)、😀 (U+1F600)`."""
    return "、".join(f"{char} (U+{ord(char):04X})" for char in characters)
