"""Service guides (办事指南) as a web page and as PDF, made from the item's data, in Chinese and English.

The texts are data (`guide.toml`). Where the item has its name in Tibetan or Mongolian, a short form in that language
follows; its words are data too (`languages.toml`) and stand beside the Chinese ones, which hold.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import typst
from markupsafe import Markup

from infra.pages.frame import BOTH, TableRow, pair, render_file
from infra.pages.promises import percent
from issuance import fonts
from processors.queries.promises import compression
from schemas.authorities import (
    NO_DIRECTORY,
    department_title,
    described_authority,
    full_name,
    issuing_authority,
)
from schemas.errors import ZhengzhaoError
from schemas.item_types import MaterialRule, ServiceItem
from schemas.items import AuthorityEntry, Directory
from schemas.licence import Authority

LANGUAGES: Final = ("bo", "mn")
_WORDS: Final = Path(__file__).parent / "languages.toml"
_TEXTS: Final = Path(__file__).parent / "guide.toml"

Row = tuple[str, str, str]
"""A term in the language, the same term in Chinese, and what is said of it."""


def short_form(item: ServiceItem, language: str, deciding: str) -> tuple[str, tuple[Row, ...]] | None:
    """Return heading and rows in a language (`bo`, `mn`); None where the item has no name in it."""
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


class GuideLine(NamedTuple):
    """One line of a guide: a label, and what is said of it, each in Chinese and English."""

    zh: str
    en: str
    says: str
    says_en: str = ""


class Part(NamedTuple):
    """A part of a guide with its heading in Chinese and English. `lines` are terms, `steps` a numbered list."""

    zh: str
    en: str
    lines: tuple[GuideLine, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()


class Guide(NamedTuple):
    """A whole guide. `names`: the item's names in other languages; `source`: the origin of the item's data."""

    code: str
    title: str
    names: tuple[str, ...]
    parts: tuple[Part, ...]
    source: str = ""


def guide_of(item: ServiceItem, division: str = "", directory: Directory = NO_DIRECTORY) -> Guide:
    """Return the guide of an item; with a division (GB/T 2260) it names the authority that decides there."""
    deciding = _deciding(item, division, directory)
    lines = {
        "basics": _basics(item, deciding),
        "limits": _limits(item),
        "materials": _materials(item),
        "categories": _categories(item),
        "fields": _fields(item),
        "after": _after(item),
        "follow": _follow(item),
    }
    texts = _texts()
    parts = [
        Part(
            heading[0],
            heading[1],
            lines=tuple(lines.get(name, ())),
            steps=_steps(item) if name == "steps" else (),
        )
        for name, heading in texts["parts"].items()
    ]
    parts += _other_languages(item, deciding)
    shown = tuple(part for part in parts if part.lines or part.steps)
    return Guide(item.code, item.name.zh, item.titles, shown, item.evidence)


@lru_cache(maxsize=1)
def _texts() -> dict[str, Any]:
    return tomllib.loads(_TEXTS.read_text("utf-8"))


def _line(name: str, **values: Any) -> GuideLine:
    """Return a line of the texts, filled with values of an item."""
    entry = _texts()["lines"][name]
    zh, en, says, says_en = (text.format(**values) for text in (*entry["label"], *entry["text"]))
    return GuideLine(zh, en, says, says_en)


def _both(name: str, pair: Sequence[str]) -> GuideLine:
    zh, en = pair
    return _line(name, zh=zh, en=en)


def _other_languages(item: ServiceItem, deciding: str) -> Iterator[Part]:
    for language in LANGUAGES:
        if found := short_form(item, language, deciding):
            heading, rows = found
            yield Part(heading, "", tuple(GuideLine(*row) for row in rows))


def _basics(item: ServiceItem, deciding: str) -> Iterator[GuideLine]:
    texts = _texts()
    yield _line("code", code=item.code)
    yield _both("mode", texts["modes"][item.mode])
    yield _both("handling", (item.handling, texts["handling"][item.handling]))
    yield _both("holder", texts["words"][item.holder])
    level, departments = texts["levels"][item.level][1], ", ".join(item.deciding)
    yield _line("deciding", authority=deciding, level=level, departments=departments)
    yield _line("fees")
    if item.mode != "filing":
        validity = texts["words"]["years" if item.validity_years else "endless"]
        yield _both("validity", [text.format(n=item.validity_years) for text in validity])
    if item.legal_basis:
        yield _line("basis", basis=item.legal_basis)


def _deciding(item: ServiceItem, division: str, directory: Directory) -> str:
    issuer = issuing_authority(item, division, "", directory) if division else None
    if issuer is not None and len(item.deciding) == 1:
        return issuer.name
    names = "、".join(department_title(department, item.level) for department in item.deciding)
    return f"{names}（{full_name(division)}）" if division else names


def _limits(item: ServiceItem) -> Iterator[GuideLine]:
    limits = item.limits
    yield _line("statutory", n=limits.statutory)
    saved = percent(compression(limits.promised, limits.statutory)) or "—"
    yield _line("promised", n=limits.promised, saved=saved)
    if item.mode == "filing":
        yield _line("reminders", yellow=item.yellow_days, red=item.red_days)
        return
    for name in ("acceptance", "correction", "certificate"):
        yield _line(name, n=getattr(limits, name))


def _materials(item: ServiceItem) -> Iterator[GuideLine]:
    for material in item.materials:
        zh, en = zip(*_asked(material), strict=True)
        yield GuideLine(material.name.zh, material.name.en, "；".join(zh), "; ".join(en))
    if item.materials_before:
        yield _line("fewer", before=item.materials_before, now=len(item.materials))


def _asked(material: MaterialRule) -> Iterator[tuple[str, str]]:
    asked = _texts()["asked"]
    yield asked["copy"]
    if material.signed:
        yield asked["signed"]
    if material.deferrable:
        yield asked["deferrable"]
    if material.how:
        yield (material.how.zh, material.how.en)
    if material.legal_basis:
        zh, en = asked["basis"]
        yield zh.format(basis=material.legal_basis), en.format(basis=material.legal_basis)


def _categories(item: ServiceItem) -> Iterator[GuideLine]:
    if item.categories:
        names = "、".join(category.name for category in item.categories)
        yield _line("categories", n=len(item.categories), names=names)


def _fields(item: ServiceItem) -> Iterator[GuideLine]:
    words = _texts()["words"]
    for field in item.fields:
        says = words["required" if field.required else "optional"]
        if field.example:
            says = [
                text.format(must=must, example=field.example)
                for text, must in zip(words["example"], says, strict=True)
            ]
        yield GuideLine(field.label.zh, field.label.en, *says)


def _steps(item: ServiceItem) -> tuple[tuple[str, str], ...]:
    names = ("choose", "push") if item.mode == "filing" else ("apply", "correct", item.mode, "issue")
    return tuple((zh, en) for zh, en in (_texts()["steps"][name] for name in names))


def _after(item: ServiceItem) -> Iterator[GuideLine]:
    if item.check:
        yield _line("check", n=item.check.days)
    if item.mode == "commitment":
        yield _line("false")


def _follow(item: ServiceItem) -> Iterator[GuideLine]:
    yield _line("progress")
    if item.mode != "filing":
        yield _line("verification")
    yield _line("remedies")
    if item.guide:
        yield _both("note", (item.guide.zh, item.guide.en))


_TEMPLATE = Path(__file__).parent / "guide.typ"


def guide_html(guide: Guide) -> str:
    """Return the guide as a page in one file."""
    return render_file("guide.html", guide=guide, title=guide.title, heading=f"办事指南：{guide.title}")


def _foot(guide: Guide) -> str:
    return f"{_made_from()}: {guide.source}" if guide.source else _made_from()


def _made_from() -> str:
    return " / ".join(_texts()["words"]["foot"])


def guide_pdf(guide: Guide) -> bytes:
    """Return the guide as PDF (A4); the same guide gives the same bytes. Raises ZhengzhaoError where it cannot be set."""
    data = {
        "title": guide.title,
        "names": list(guide.names),
        "foot": _foot(guide),
        "parts": [
            {"zh": p.zh, "en": p.en, "lines": [list(x) for x in p.lines], "steps": [list(x) for x in p.steps]}
            for p in guide.parts
        ],
    }
    try:
        made = _compiler().compile(
            sys_inputs={"data": json.dumps(data, ensure_ascii=False)}, format="pdf", timestamp=0
        )
    except typst.TypstError as error:
        raise ZhengzhaoError(
            f"指南无法排版 / the guide cannot be set: {error.message}", where=guide.code
        ) from error
    if not isinstance(made, bytes):
        raise ZhengzhaoError(
            "指南无法排版 / the guide cannot be set: the renderer gave no PDF", where=guide.code
        )
    return made


@lru_cache(maxsize=1)
def _compiler() -> typst.Compiler:
    faces = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=fonts.folders())
    return typst.Compiler(input=_TEMPLATE, root=_TEMPLATE.parent, font_paths=faces, ignore_system_fonts=True)


def index_html(items: Sequence[ServiceItem]) -> str:
    """Return the list of guides as a page in one file, each a link to its page beside this one."""
    return render_file("items.html", rows=item_rows(items, BOTH, "{code}.html"))


def item_rows(items: Sequence[ServiceItem], language: str, address: str) -> list[TableRow]:
    """Return the rows of a list of items, each a link; `address` has the item's code in place of `{code}`."""
    link = Markup('<a href="{}">{}</a>')
    return [
        TableRow(
            (
                link.format(address.replace("{code}", item.code), pair(language, item.name.zh, item.name.en)),
                item.handling,
                item.limits.statutory,
                item.limits.promised,
                len(item.materials),
            )
        )
        for item in items
    ]


class Contact(NamedTuple):
    """The ways to reach an authority, as the installation says; `known`: it says something."""

    name: str
    known: bool
    address: str
    hours: str
    telephone: str
    dial: str
    complaints: str
    email: str


def contact(issuer: Authority, directory: Directory) -> Contact:
    """Return where an authority is reached."""
    own = directory.authorities.get(issuer.code, AuthorityEntry())
    dial = "".join(c for c in own.telephone if c in "+0123456789")
    said = (own.address, own.hours, own.telephone, own.complaints, own.email)
    return Contact(
        issuer.name, any(said), own.address, own.hours, own.telephone, dial, own.complaints, own.email
    )


def contacts_of(item: ServiceItem, division: str, directory: Directory) -> list[Contact]:
    """Return where the authority of an item in a division is reached; without a division every one that is described."""
    if division:
        issuer = issuing_authority(item, division, "", directory)
        return [contact(issuer, directory)] if issuer is not None else []
    departments = {item.department, *item.deciding}
    described = (described_authority(code, directory) for code in sorted(directory.authorities))
    found = [
        contact(one, directory) for one in described if one is not None and one.department in departments
    ]
    return [one for one in found if one.known]
