"""The font set: what it covers, and what looks alike in it."""

from __future__ import annotations

import pytest

from issuance import fonts
from schemas.errors import UsageError
from verification.page_text import TWINS, fold_glyphs, shows


def test_scripts_of_the_region_are_covered() -> None:
    """Rare Han characters, Tibetan and Mongolian have a font; an emoji has none."""
    assert fonts.missing("䶮𠮷青海循化བོད་ཡིག།ᠮᠣᠩᠭᠣᠯ(XK)〔2018〕…") == ""
    assert fonts.missing("青😀海😀𪛖") == "😀𪛖"


def test_twins_are_current() -> None:
    """The shared table of characters with one glyph is that of the fonts installed."""
    assert dict(TWINS.split()[n] for n in range(len(TWINS.split()))) == fonts.twins()


def test_every_family_is_found() -> None:
    """The template's families are those of the set, and each file is there."""
    template = (fonts.OWN.parent / "templates" / "common.typ").read_text("utf-8")
    listed = ", ".join(f'"{family}"' for family in fonts.FAMILIES)
    assert f"#let faces = ({listed})" in template
    assert all(path.is_file() for path in fonts.paths())


def test_a_missing_wheel_is_named() -> None:
    """Without its wheel a face is answered with the command that installs it."""
    face = fonts.Face("Some Serif", "no_such_package_of_fonts", "some.otf", "some-fonts")
    with pytest.raises(UsageError) as caught:
        fonts.path_of(face)
    assert caught.value.hint == "pip install some-fonts"


@pytest.mark.parametrize(
    ("one", "other"),
    [("A―B—C", "A-B‑C"), ("⻚面", "页面"), ("兀", "兀"), ("（青）", "(青)"), ("é", "e\u0301"), ("a b", "ab")],
)
def test_what_looks_alike(one: str, other: str) -> None:
    """Characters that a page cannot tell apart are one in a comparison with it."""
    assert fold_glyphs(one) == fold_glyphs(other)


def test_what_differs_stays_different() -> None:
    """Nothing else is folded together."""
    assert len({fold_glyphs(text) for text in ("青海", "青梅", "青海1", "XK16", "XK76", "བོད", "མོད")}) == 7


def test_stacks_of_tibetan_letters_are_found() -> None:
    """Letters that a PDF adds within Tibetan text do not hide it; any other letter does, and so does one that lacks."""
    page = fold_glyphs("名称བསསསོད་ལརྗོངས地址")
    assert shows(page, fold_glyphs("名称བསོད་ལྗོངས地址"))
    assert not shows(page, fold_glyphs("名称བསོད་མྗོངས地址"))
    assert not shows(page, fold_glyphs("名称བསོད་ལྗོངས住所"))
    assert not shows(fold_glyphs("青X海"), fold_glyphs("青海"))
