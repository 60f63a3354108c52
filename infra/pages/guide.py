"""A service guide as a web page and as PDF, from the same text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import typst

from infra.pages.frame import Column, Html, page, section, steps, table, terms, two
from infra.pages.guide_text import Guide, Part
from issuance import fonts
from schemas.errors import ZhengzhaoError
from schemas.items import ServiceItem

_TEMPLATE = Path(__file__).parent / "guide.typ"
_FOOT = "按事项数据生成 / made from the item's data"


def guide_html(guide: Guide) -> str:
    """The guide as a page for a browser."""
    return page(f"办事指南：{guide.title}", guide.names, map(_part, guide.parts), _foot(guide))


def _foot(guide: Guide) -> str:
    return f"{_FOOT}: {guide.source}" if guide.source else _FOOT


def _part(part: Part) -> Html:
    if part.steps:
        return section(part.zh, part.en, steps(two(zh, en) for zh, en in part.steps))
    return section(part.zh, part.en, terms((x.zh, x.en, two(x.says, x.says_en)) for x in part.lines))


def guide_pdf(guide: Guide) -> bytes:
    """The guide as PDF (A4); the same guide gives the same bytes."""
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
        raise ZhengzhaoError(f"the guide cannot be set: {error.message}", where=guide.code) from error
    if not isinstance(made, bytes):
        raise ZhengzhaoError("the guide cannot be set: the renderer gave no PDF", where=guide.code)
    return made


@lru_cache(maxsize=1)
def _compiler() -> typst.Compiler:
    faces = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=fonts.folders())
    return typst.Compiler(input=_TEMPLATE, root=_TEMPLATE.parent, font_paths=faces, ignore_system_fonts=True)


def index_html(items: Sequence[ServiceItem]) -> str:
    """The list of guides, each a link to its page beside this one."""
    columns = (
        Column("事项", "item"),
        Column("办理类型", "handling"),
        Column("法定", "statutory", True),
        Column("承诺", "promised", True),
        Column("材料", "materials", True),
    )
    rows = (
        (
            Html(f'<a href="{item.code}.html">{two(item.name.zh, item.name.en)}</a>'),
            item.handling,
            item.limits.statutory,
            item.limits.promised,
            len(item.materials),
        )
        for item in items
    )
    listed = section("事项", "Items", table(columns, rows))
    return page("办事指南", ("Service guides",), (listed,), _FOOT)
