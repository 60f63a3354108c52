"""Comparison of a licence's visible pages with the body that was signed beside them.

It runs on files whose seal was verified, so an authority put everything there. Pages are read one after another, until
every text is found.

A text read from a PDF tells glyphs, not characters: where two characters share a glyph (`—` and `―`, `页` and the radical
`⻚`), the page shows one for both. So both sides are folded to glyphs (`fold_glyphs`) before they are compared.
"""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from typing import Final

import pdfplumber

from schemas.errors import VerificationError
from schemas.licence import LicenceBody

# Pairs of characters: one, and the first of those that share its glyph in the page's fonts.
# Written by `issuance.fonts.twins`; a test keeps them current.
TWINS: Final = (
    "\u00ad- ‑- –‒ •· ‧· ⋯… ➀① ➁② ➂③ ➃④ ➄⑤ ➅⑥ ➆⑦ ➇⑧ ➈⑨ ➉⑩ ➊❶ ➋❷ "
    "➌❸ ➍❹ ➎❺ ➏❻ ➐❼ ➑❽ ➒❾ ➓❿ ⮕➡ ⺲⺫ ⼪⺐ ⼳⺓ ⾧⻑ ⾷⻝ ⿁⻤ ・· 㓁⺳ 㔾⺋ 㦳㘽 䎛㖈 "
    "䐠㬻 丬⺦ 乚⺃ 乛⺂ 亀⻲ 亻⺅ 兀⺎ 刂⺉ 卤⻧ 壿墫 尢⺐ 尣⺏ 巳⺒ 幐㬺 幺⺓ 彐⺕ 彑⺔ 忄⺖ 户⼾ 扌⺘ "
    "攵⺙ 斉⻫ 旡⺛ 曶㫚 槩㮣 歺⺞ 民⺠ 氵⺡ 灬⺣ 爫⺤ 犭⺨ 礻⺭ 竜⻯ 糹⺯ 纟⺰ 罒⺫ 罓⺱ 耂⺹ 肀⺺ 胶㬵 "
    "艹⺾ 虎⻁ 衤⻂ 覀⻃ 见⻅ 角⻆ 讠⻈ 贝⻉ 车⻋ 辶⻌ 钅⻐ 長⻑ 镸⻒ 长⻓ 门⻔ 阝⻖ 青⻘ 韦⻙ 页⻚ 风⻛ "
    "飞⻜ 食⻝ 飠⻟ 饣⻠ 马⻢ 骨⻣ 鬼⻤ 鱼⻥ 鸟⻦ 麦⻨ 黄⻩ 黾⻪ 齐⻬ 齿⻮ 龙⻰ 龜⻱ \uf92c郞 \ufa0c⺎ \ufa49⺤ \ufa5d⻀ "
    "\ufa5e⺿ ／∕ ｀‵ ～〜 🄋⓪ 🄌⓿ 𠘨⺇ 𤈎㶷 𤣩⺩ 𤨁瑨 𥫗⺮ 𦥑⺽ 𧢲⻇ 𧺯﨣 𧾷⻊ 𨸏⻕ 𩙿⻞ 𩠐⻡ 𩿗𩿎 𭕄⺍ "
    "\U0002f82c𠦄 \U0002f8db𣏌 \U0002f9b2𧃰 "
)
_TABLE: Final = {ord(pair[0]): pair[1] for pair in TWINS.split()}
_DASHES: Final = dict.fromkeys(
    map(ord, "\u00ad‐‑‒–—―−﹘﹣－"), "-"
)  # some are joined by the layout of a line

_ALIKE: Final = _DASHES | {0x0F00: "\u0f68"}  # ༀ is set as its letter with signs


def fold_glyphs(text: str) -> str:
    """Return the text with characters that share a glyph as one, without white space and combining marks.

    A stack of Tibetan letters is one glyph, which a PDF names by the first stack that used it; so marks do not count.
    """
    folded = unicodedata.normalize("NFKD", text.translate(_ALIKE).translate(_TABLE))
    return "".join(c for c in folded if not c.isspace() and not unicodedata.category(c).startswith("M"))


def shows(page: str, text: str) -> bool:
    """Tell whether a page shows a text, both as `fold_glyphs` returns them.

    Tibetan letters between those of a Tibetan text do not count: the lower letters of a stack are glyphs of their own,
    which a PDF may name by the whole of another stack.
    """
    if text in page:
        return True
    if not any(_tibetan(char) for char in text):
        return False
    begin = page.find(text[0])
    while begin >= 0:
        if _follows(page, begin, text):
            return True
        begin = page.find(text[0], begin + 1)
    return False


def _follows(page: str, begin: int, text: str) -> bool:
    place = begin
    for char in text:
        while place < len(page) and page[place] != char and _tibetan(page[place]):
            place += 1
        if place == len(page) or page[place] != char:
            return False
        place += 1
    return True


def _tibetan(char: str) -> bool:
    return "\u0f00" <= char <= "\u0fff"


MAX_PAGES: Final = 200
_LONGEST: Final = 8000  # characters kept of the pages before: more than any one text has
_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_CHARACTER: Final = re.compile(r"\(cid:\d+\)")  # a glyph that is a part of the character before it
_FOOTER: Final = re.compile(
    f"(?:{fold_glyphs('附页第')}[0-9]+{fold_glyphs('页共')}[0-9]+{fold_glyphs('页')})?$"
)
"""Number of a page of the annex, which stands at its end; a text that runs over pages goes on behind it."""

logging.getLogger("pdfminer").setLevel(logging.ERROR)  # Its warnings concern no verifier.


def check_page(data: bytes, body: LicenceBody) -> None:
    """Raise VerificationError with the texts of the body that the pages do not show.

    The facts stand on the first page; particulars, products and filings there or in the annex (附页).
    """
    pages = _pages(data)
    first = next(pages)
    missing = [name for name, text in _facts(body).items() if not shows(first, _plain(text))]
    if missing:
        raise VerificationError(f"版面上没有 / the visible page does not say: {', '.join(missing)}")
    lists = [text for text in map(_plain, _lists(body)) if not shows(first, text)]
    before = ""
    for page in pages if lists else ():
        lists = [text for text in lists if not shows(page, text) and not _runs_over(text, before, page)]
        before = (before + page)[-_LONGEST:]
        if not lists:
            break
    if lists:
        raise VerificationError(f"版面上没有 / the visible pages do not say: {lists[0][:40]}")


def _facts(body: LicenceBody) -> dict[str, str]:
    until = _date(body.valid_until) if body.valid_until else "长期"
    return {
        "name of the licence": body.licence_name,
        "number": body.number,
        "holder": body.holder,
        "holder's id": body.holder_id,
        "first day": _date(body.valid_from),
        "last day": until,
        "day of issue": _date(body.issued_on),
        "authority": body.authority,
        "identifier": body.identifier,
        "version": f"第{body.version}版",
        "previous identifier": body.previous_identifier or "",
        "address": body.address,
    }


def _lists(body: LicenceBody) -> Iterator[str]:
    for particular in body.registered:
        yield particular.label
        yield _said(particular.value)
    for product in body.products:
        yield from (product.category, product.detail, product.site)
    for filing in body.filings:
        yield filing.name


def _runs_over(text: str, before: str, page: str) -> bool:
    """Tell whether a text begins on the pages before and ends on this one."""
    return any(text[:cut] in before and text[cut:] in page for cut in range(1, len(text)))


def _pages(data: bytes) -> Iterator[str]:
    """Return the text of each page, in the order in which it was set."""
    try:
        with pdfplumber.open(io.BytesIO(data)) as document:
            if not 0 < len(document.pages) <= MAX_PAGES:
                raise VerificationError(f"没有页面，或页数过多 / no page, or more than {MAX_PAGES}")
            for page in document.pages:
                yield _FOOTER.sub("", _plain("".join(char["text"] for char in page.chars)))
                page.close()
    except VerificationError:
        raise
    except Exception as error:  # A PDF library raises errors of many kinds on a page that it cannot read.
        raise VerificationError(f"版面无法读取 / the page cannot be read: {type(error).__name__}") from None


def _plain(text: str) -> str:
    """Fold a text to glyphs, without the codes of glyphs that stand for no character."""
    return fold_glyphs(_NO_CHARACTER.sub("", text))


def _said(value: str) -> str:
    """Return a particular as the page prints it: dates in words."""
    try:
        return _date(value) if _ISO.fullmatch(value) and date.fromisoformat(value) else value
    except ValueError:
        return value


def _date(iso: str) -> str:
    year, month, day = iso.split("-")
    return f"{int(year)}年{int(month)}月{int(day)}日"
