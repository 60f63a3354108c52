"""Names, addresses and other texts that people read: when two of them say the same, and when one shows nothing.

Fonts, keyboards and printed forms write one name in several ways: CJK radicals for characters (browsers print ⻢ for
马), full-width letters, any of several middle dots, spaces. `fold` gives the one form in which such texts are
compared, wherever a name, an address or a paper is held against another. What is stored and printed stays as it came.
"""

from __future__ import annotations

import unicodedata
from typing import Final

RADICALS: Final = str.maketrans(  # the radicals of U+2E80 that show a character; NFKC knows two of them alone
    "⺁⺅⺉⺋⺎⺏⺐⺒⺓⺔⺕⺖⺘⺙⺛⺝⺞⺠⺡⺣⺤⺦⺨⺪⺫⺬⺭⺯⺰⺱⺲⺳⺶⺷⺸⺹⺺⺼⺾⺿⻀⻁⻂⻃⻄⻅⻆⻈⻉⻋⻌⻍⻎⻏⻐⻑⻒⻓⻔⻖⻗⻘⻙⻚⻛⻜⻝⻟⻠⻢⻣⻤⻥⻦⻧⻨⻩⻪⻫⻬⻭⻮⻯⻰⻱⻲",
    "厂亻刂㔾兀尣尢巳幺彑彐忄扌攵旡月歺民氵灬爫丬犭疋罒示礻糹纟罓罒㓁羊羊羊耂肀月艹艹艹虎衤覀西见角讠贝车辶辶辶阝钅長镸长门阝雨青韦页风飞食飠饣马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀",
)
_ALIKE: Final = str.maketrans(
    {
        **dict.fromkeys("·•・‧.∙⋅●ᐧ", "·"),
        **dict.fromkeys("〇○◯", "〇"),
        **dict.fromkeys("-‐‑‒–—―−－", "-"),
    }
)
_BLANK: Final = frozenset(  # they are letters or marks by category, and show nothing all the same
    "\u3164\u115f\u1160\uffa0\u2800\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f"
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


def is_blank(character: str) -> bool:
    """Tell whether a character shows nothing: categories C (other) and Z (separator), fillers, variation selectors."""
    return unicodedata.category(character)[0] in "CZ" or character in _BLANK


def shows_nothing(text: str) -> bool:
    """Tell whether every character of a text shows nothing; true of an empty text."""
    return all(map(is_blank, text))


def fold(text: str) -> str:
    """Return the form in which names and addresses are compared: alike characters as one, upper case, no blanks."""
    folded = _folded_once(text)
    while (
        again := _folded_once(folded)
    ) != folded:  # a mark joins a letter once the space between them is gone
        folded = again
    return folded


def _folded_once(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text.translate(RADICALS)).translate(_ALIKE)
    return "".join(character for character in plain if not is_blank(character)).upper()


def same_text(one: str, other: str) -> bool:
    """Tell whether two texts say the same to a reader."""
    return one == other or fold(one) == fold(other)
