"""The frame of the pages: words in two languages, the reader's language, templates that escape everything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.pages.frame import (
    LANGUAGES,
    NAVIGATION,
    TONES,
    TableRow,
    chosen_language,
    render,
    render_file,
    word,
    words,
)

TEMPLATES = Path(__file__).parents[3] / "infra" / "pages" / "templates"
MARKUP = "<script>alert(1)</script>&amp;\u202e"


def test_languages_have_the_same_words() -> None:
    """No word is missing in one of them, and each takes the same values."""
    names = [dict(words(language)) for language in LANGUAGES]
    assert names[0].keys() == names[1].keys()
    values = re.compile(r"\{([a-z]+)\}")
    assert [(n, sorted(values.findall(t))) for n, t in names[0].items()] == [
        (n, sorted(values.findall(names[1][n]))) for n in names[0]
    ]
    assert all(text.strip() for table in names for text in table.values())


def test_templates_say_known_words_only() -> None:
    """Every word that a template names stands in the table; so do the states and the navigation."""
    named = {
        name
        for path in TEMPLATES.glob("*.html")
        for name in re.findall(r"""\b[tw]\("([a-z]+\.[a-z0-9_-]+)\"""", path.read_text("utf-8"))
    }
    columns = {
        name
        for path in TEMPLATES.glob("*.html")
        for name in re.findall(r"""\("([a-z]+\.[a-z0-9_-]+)", "n?"\)""", path.read_text("utf-8"))
    }
    known = set(words("zh"))
    assert set() == (named | columns) - known
    assert {f"state.{state}" for state in TONES} <= known
    assert {f"nav.{name}" for _, name in NAVIGATION} <= known


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        ("en", "zh", "zh-CN", "en"),
        (None, "en", "zh-CN", "en"),
        ("fr", "en", "", "en"),
        (None, "x", "de, en;q=0.4, zh-TW;q=0.5", "zh"),
        (None, None, "en-GB,en;q=0.9,zh;q=0.8", "en"),
        (None, None, "en;q=0, zh;q=0.1", "zh"),
        (None, None, "de", "zh"),
        (None, None, "en;q=ninety," * 200, "en"),
    ],
)
def test_language_is_asked_for_kept_or_accepted(
    asked: str | None, kept: str | None, accepted: str, language: str
) -> None:
    """The address counts before the cookie, the cookie before the browser; Chinese where none names ours."""
    assert language == chosen_language(asked, kept, accepted)


@pytest.mark.parametrize("language", LANGUAGES)
def test_markup_in_a_value_stays_text(language: str) -> None:
    """A value never becomes an element, in text or attribute."""
    page = render("error.html", language, heading=MARKUP, detail=MARKUP, hint=MARKUP, code=404, path=MARKUP)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_page_in_one_file_allows_its_own_style_alone() -> None:
    """Its policy names the style by digest, and nothing unsafe."""
    page = render_file("items.html", rows=[TableRow((MARKUP, 1, 2, 3, 4))])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert "unsafe" not in policy[1]
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert "<script" not in page
    assert word("both", "results.nothing") == "尚无检查结果。 / No result yet."
