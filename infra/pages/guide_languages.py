"""A service guide's short form in Tibetan and Mongolian, where the item has its name in that language.

The words are data (`languages.toml`) and stand beside the Chinese ones, which hold.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from schemas.item_types import MaterialRule, ServiceItem

LANGUAGES: Final = ("bo", "mn")
_WORDS: Final = Path(__file__).parent / "languages.toml"

Row = tuple[str, str, str]
"""A term in the language, the same in Chinese, and what is said of it."""


def short_form(item: ServiceItem, language: str, deciding: str) -> tuple[str, tuple[Row, ...]] | None:
    """Heading and rows in a language (`bo`, `mn`); None where the item has no name in it."""
    name = getattr(item.name, language)
    if not name:
        return None
    words = _words()[language]
    return f"{words['title']} {name}", tuple(_rows(item, words, language, deciding))


@lru_cache(maxsize=1)
def _words() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_WORDS.read_text("utf-8"))


def _rows(item: ServiceItem, words: dict[str, Any], language: str, deciding: str) -> Iterator[Row]:
    yield words["decides"], "决定机关", deciding
    yield words["fees"], "收费", words["none"]
    yield words["statutory"], "法定时限", words["working-days"].format(n=item.limits.statutory)
    yield words["promised"], "承诺时限", words["working-days"].format(n=item.limits.promised)
    if item.mode != "filing":
        years = item.validity_years
        yield words["validity"], "有效期", words["years"].format(n=years) if years else words["endless"]
    if item.materials:
        asked = [_material(one, words["kinds"], language) for one in item.materials]
        yield words["materials"], "申请材料", " · ".join(asked)


def _material(rule: MaterialRule, kinds: dict[str, str], language: str) -> str:
    own = getattr(rule.name, language) or kinds.get(rule.kind, "")
    return f"{own}（{rule.name.zh}）" if own else rule.name.zh
