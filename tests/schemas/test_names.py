"""Texts that people read: what is compared as the same, and what shows nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identifiers import fold, same_text, shows_nothing


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("青海⻢场", "青海马场"),  # a CJK radical that a browser prints
        ("⼀厂", "一厂"),  # a Kangxi radical
        ("买买提·艾力", "买买提•艾力"),
        ("买买提·艾力", "买买提・艾力"),
        ("买买提·艾力", "买买提‧艾力"),
        ("买买提·艾力", "买买提.艾力"),
        ("买买提·艾力", "买买提 · 艾力"),
        ("二〇一八厂", "二○一八厂"),
        ("青海（西宁）一厂", "青海(西宁)一厂"),
        ("ＡＢＣ公司", "abc公司"),
        ("青海 一厂", "青海\u3000一厂"),
        ("城东区１２号", "城东区12号"),
        ("青海\u200b一厂", "青海一厂"),
        ("A\u2013B", "A-B"),
        ("A\u2011B", "A-B"),
        ("A\u2212B", "A-B"),
    ],
)
def test_what_looks_the_same_is_the_same(one: str, other: str) -> None:
    """Radicals, compatibility forms, middle dots, zeros, hyphens and spaces make no other name."""
    assert same_text(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("青海一厂", "青海二厂"), ("甲乙", "乙甲"), ("东区12号", "东区21号")]
)
def test_other_names_are_others(one: str, other: str) -> None:
    """A folding never makes two names one."""
    assert not same_text(one, other)


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    """The folded form is its own folded form."""
    assert fold(text) == fold(fold(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\u3000",
        "\u200b",
        "\u3164",
        "\u115f\u1160",
        "\uffa0 \u2060",
        "\ufe0f",
        "\u2800",
        "\U000e0100",
    ],
)
def test_a_text_can_show_nothing(text: str) -> None:
    """Spaces, format characters, Hangul fillers and variation selectors show nothing."""
    assert shows_nothing(text)


@pytest.mark.parametrize("text", ["甲", "\u3164甲", "-", "·", "a\u200b"])
def test_a_text_with_one_visible_character_shows_something(text: str) -> None:
    """One visible character is enough."""
    assert not shows_nothing(text)
