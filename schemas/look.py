"""What looks the same on a page. A text read from a PDF tells glyphs, not characters.

Where two characters share a glyph (`—` and `―`, `页` and the radical `⻚`), a reader of the page sees one of them for both.
So what is compared with a page is compared by its looks.
"""

from __future__ import annotations

import unicodedata
from typing import Final

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


def look(text: str) -> str:
    """The text by its looks: compatible characters and those with a common glyph as one, no white space.

    Nor combining marks: a stack of Tibetan letters is one glyph, which a PDF names by the first stack that used it.
    """
    folded = unicodedata.normalize("NFKD", text.translate(_ALIKE).translate(_TABLE))
    return "".join(c for c in folded if not c.isspace() and not unicodedata.category(c).startswith("M"))


def shows(page: str, text: str) -> bool:
    """Whether a page shows a text, both by their looks.

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
