"""Characters that can stand on a licence."""

from __future__ import annotations

import pytest

from issuance import fonts
from schemas.identifiers import _printable, named, unprintable


@pytest.mark.parametrize(
    "text",
    [
        "青海盐湖化肥有限公司",
        "买买提·吐尔逊",
        "A&B (Qinghai) Co., Ltd.",
        "西宁市城东区①号—２",
        "བོད་ལྗོངས",
        "ᠮᠣᠩᠭᠣᠯ",
        "𠮷野家",
    ],
)
def test_names_of_every_script_here_can_be_printed(text: str) -> None:
    """Han (rare ones too), Latin, Tibetan and Mongolian."""
    assert "" == unprintable(text)


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("李𪚥", "𪚥"),
        ("Łódź", "Łź"),
        ("甲😀乙😀", "😀"),
        ("甲\u3164乙", "\u3164"),
        ("甲\n乙", "\n"),
        ("甲\u200b乙", "\u200b"),
    ],
)
def test_what_no_font_has_or_nobody_reads_back_is_named(text: str, characters: str) -> None:
    """Each such character once, in order; fillers and controls too."""
    assert characters == unprintable(text)


def test_the_list_fits_the_fonts() -> None:
    """Nothing is in it that the fonts of the pages lack."""
    assert "" == fonts.missing("".join(_printable()))


def test_characters_are_named_with_their_code_points() -> None:
    """For the reason of a correction."""
    assert "𪚥 (U+2A6A5)、Ł (U+0141)" == named("𪚥Ł")
