"""Identifiers and their check digits: USCC, citizen id, e-licence identifier, licence number.

Ids are compared after NFKC, trimming and upper-casing (`compare`); outputs of a person show a mask.

Names, addresses and other texts that people read: when two of them say the same, and when one shows nothing.

Fonts, keyboards and printed forms write one name in several ways: CJK radicals for characters (browsers print ⻢ for
马), full-width letters, any of several middle dots, spaces. `fold` gives the one form in which such texts are
compared, wherever a name, an address or a paper is held against another. What is stored and printed stays as it came.

Characters that can stand on a licence.

The fonts of the pages have a glyph for each of them, and a verifier reads it back from the page. The list is data, made
from the font set (`tests/support/printable_table.py`), so that intake and issuance judge by one rule everywhere, fonts or
no fonts, and `replay --decide` judges as the day did.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib.resources import files
from operator import mul
from typing import Final, NamedTuple

_CHARSET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUE: Final = {c: i for i, c in enumerate(_CHARSET)}
_WEIGHTS: Final = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANISATION_WEIGHTS: Final = (3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_CHECK: Final = "10X98765432"
_CITIZEN: Final = re.compile(r"[0-9]{17}[0-9X]")
_OLD_CITIZEN: Final = re.compile(r"[0-9]{15}")
_BORN: Final = re.compile(  # province, county, year, month, day, order, check
    r"(1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])[0-9]{4}(19|20)[0-9]{2}"
    r"(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9X]"
)
_BASE36: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

ELICENCE_ROOT: Final = "1.2.156.3005.2"


def compare(text: str) -> str:
    """Return the form in which ids are compared: NFKC, trimmed, upper case."""
    return unicodedata.normalize("NFKC", text).strip().upper()


def is_uscc(code: str) -> bool:
    """Tell whether a compared code is a unified social credit code (统一社会信用代码, GB 32100): form and check, mod 31.

    The organisation code inside (characters 9 to 17) has a check of its own, `has_organisation_code`; registers
    hold codes without a good one, so it decides nothing here.
    """
    if len(code) != 18:
        return False
    try:
        total = sum(map(mul, map(_VALUE.__getitem__, code), _WEIGHTS))
    except KeyError:
        return False
    return _CHARSET[-total % 31] == code[17]


def has_organisation_code(code: str) -> bool:
    """Tell whether characters 9 to 17 of a USCC are an organisation code with its check character (GB 11714)."""
    total = sum(_BASE36.index(c) * w for c, w in zip(code[8:16], _ORGANISATION_WEIGHTS, strict=True))
    return {10: "X", 11: "0"}.get(11 - total % 11, str(11 - total % 11)) == code[16]


def is_citizen_id(number: str) -> bool:
    """Tell whether a compared number is a citizen id: 17 digits and the check of ISO 7064 MOD 11-2 (GB 11643)."""
    if not _CITIZEN.fullmatch(number):
        return False
    return _CITIZEN_CHECK[sum(map(mul, map(int, number[:17]), _CITIZEN_WEIGHTS)) % 11] == number[17]


def looks_personal(code: str) -> bool:
    """Tell whether a compared id must be treated as a person's number, whatever its sender calls it.

    One citizen id in 31 passes the check of a USCC by chance: with its own check, a province and a date of birth
    it is a person's all the same.
    """
    if not (_CITIZEN.fullmatch(code) or _OLD_CITIZEN.fullmatch(code)):
        return False
    return not is_uscc(code) or (bool(_BORN.fullmatch(code)) and is_citizen_id(code))


def mask(number: str) -> str:
    """Return a person's number as outputs show it: first three and last four characters, eleven `*` between.

    A number of fewer than eleven characters shows nothing but the `*`.
    """
    stars = "*" * 11
    return f"{number[:3]}{stars}{number[-4:]}" if len(number) >= 11 else stars


_SEPARATORS: Final = " ‐–－·-"
_SPELT: Final = re.compile(rf"(?=((?:\d[{_SEPARATORS}]?){{17}}[\dXxＸｘ]))")
_ALONE: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{17}[0-9Xx](?![0-9A-Za-z])")


def masked(text: str, *, an_id: bool = False) -> str:
    """Return a text with every citizen id in it masked, whatever stands around it or between its digits.

    Eighteen characters that stand alone in free text need the check digit; in an id of something else, or as a part
    of a longer text, a province and a date of birth too, so that a serial is not taken for a person.
    """
    if len(text) < 18 or _SPELT.search(text) is None:
        return text
    parts, end = [], 0
    for found in _SPELT.finditer(text):
        start, spelt = found.start(), found[1]
        number = compare("".join(c for c in spelt if c not in _SEPARATORS))
        if start < end or not (is_citizen_id(number) and looks_personal(number)):
            continue
        if _BORN.fullmatch(number) or (not an_id and _ALONE.match(text, start)):
            parts += [text[end:start], mask(number)]
            end = start + len(spelt)
    return "".join([*parts, text[end:]])


_DIGITS: Final = str.maketrans("０１２３４５６７８９", "0123456789")
_GAP: Final = r"[ .·‐–—－-]?"
_CONTACT: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])[0-9]{4}"  # a citizen id of 15 digits: division,
    rf"{_GAP}[0-9]{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]){_GAP}[0-9]{{3}}(?![A-Za-z])"  # day, order
    rf"|(?:\+?86{_GAP})?1[3-9][0-9]{_GAP}[0-9]{{4}}{_GAP}[0-9]{{4}}"  # a mobile telephone
    rf"|(?:\+?86{_GAP})?0[0-9]{{2,3}}{_GAP}[0-9]{{3,4}}{_GAP}[0-9]{{4}}"  # a fixed telephone with its area code
    rf"|(?<=[(（])0[0-9]{{2,3}}[)）]{_GAP}[0-9]{{3,4}}{_GAP}[0-9]{{4}}"
    r")(?![0-9])"
)  # the ids: GB 11643-1989


def contacts_masked(text: str) -> str:
    """Return free text with telephone numbers and citizen ids of 15 digits masked: three and four characters are left."""
    parts, end = [], 0
    for found in _CONTACT.finditer(text.translate(_DIGITS)):
        start, stop = found.span()
        parts += [text[end:start], text[start : start + 3], "*" * (stop - start - 7), text[stop - 4 : stop]]
        end = stop
    return "".join([*parts, text[end:]])


def kept_id(text: str) -> str:
    """Return the compared form in which an id of an application, a filing, an inspection or a licence is kept."""
    return compare(masked(text, an_id=True))


class Identifier(NamedTuple):
    """The parts of an e-licence identifier (电子证照标识, GB/T 36904)."""

    type_code: str
    issuer: str
    serial: str
    version: str
    check: str

    def __str__(self) -> str:
        return ".".join((ELICENCE_ROOT, *self))


def check_character(text: str) -> str:
    """ISO 7064 MOD 37,36 (GB/T 17710) over 0-9 and A-Z. Raises ValueError for other characters."""
    product = 36
    for char in text:
        product = (product + _BASE36.index(char)) % 36 or 36
        product = product * 2 % 37
    return _BASE36[(37 - product) % 36]


MOST_VERSIONS = 999
"""The versions of a licence that an identifier can number (three digits)."""


def make_identifier(type_code: str, issuer: str, serial: str, version: int) -> str:
    """Return the identifier of a licence's version: root, type, issuer, serial, three digits of version, check."""
    text = f"{version:03d}"
    return str(
        Identifier(type_code, issuer, serial, text, check_character(type_code + issuer + serial + text))
    )


def parse_identifier(text: str) -> Identifier:
    """Return the parts of an identifier. Raises ValueError where form or check character are wrong."""
    if not text.startswith(ELICENCE_ROOT + "."):
        raise ValueError(f"an e-licence identifier begins with {ELICENCE_ROOT}.")
    parts = text[len(ELICENCE_ROOT) + 1 :].split(".")
    if len(parts) != 5 or not all(parts) or not re.fullmatch(r"[0-9]{3}", parts[3]):
        raise ValueError("an e-licence identifier has type, issuer, serial, three digits of version, check")
    found = Identifier(*parts)
    if check_character("".join(found[:4])) != found.check:
        raise ValueError("the check character of the e-licence identifier is wrong")
    return found


def serial_text(number: str) -> str:
    """Return the serial of an identifier, from a licence number: its ASCII letters and digits."""
    return "".join(c for c in number.upper() if c in _BASE36)


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


TABLE: Final = "printable.txt"
"""Data file: one code point or range of code points a line, in hexadecimal."""


_COMMON: Final = re.compile(
    "[ -~\u4e00-\u9fa5，。（）·、：；《》“”—－]*"
)  # All of these can; a test compares them.


@lru_cache(maxsize=1)
def _printable() -> frozenset[str]:
    found: set[str] = set()
    for line in (files("schemas") / "data" / TABLE).read_text("ascii").split():
        first, _, last = line.partition("-")
        found.update(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    return frozenset(found)


def unprintable(text: str) -> str:
    """Return the characters of a text that cannot stand on a licence, each once, in their order."""
    if _COMMON.fullmatch(text):
        return ""
    printable = _printable()
    return "".join(dict.fromkeys(char for char in text if char not in printable))


def named(characters: str) -> str:
    """Return characters with their code points, for a message: `𪚥 (U+2A6A5)、😀 (U+1F600)`."""
    return "、".join(f"{char} (U+{ord(char):04X})" for char in characters)


FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Characters with which a spreadsheet begins a formula, or which some skip before one; full-width ones in some locales."""


def quoted(text: str) -> str:
    """Return a text as a cell of exported CSV: with an apostrophe before it where a formula could begin."""
    return (
        f"'{text}"
        if text.lstrip(" \u3000\xa0").startswith(FORMULA_STARTS) or text[:1] in FORMULA_STARTS
        else text
    )
