"""A service guide as a web page and as PDF, from the same text.

A service guide's short form in Tibetan and Mongolian, where the item has its name in that language.

The words are data (`languages.toml`) and stand beside the Chinese ones, which hold.

What a service guide (办事指南) says, made from the item's data alone, in Chinese and English.

Where the item has its name in Tibetan or Mongolian, a short form in that language follows.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import typst

from infra.pages.frame import Column, Html, page, section, steps, table, terms, two
from infra.pages.promises import percent
from issuance import fonts
from processors.queries.promises import compression
from schemas.authorities import department_title, full_name, issuing_authority
from schemas.errors import ZhengzhaoError
from schemas.item_types import MaterialRule, ServiceItem

LANGUAGES: Final = ("bo", "mn")
_WORDS: Final = Path(__file__).parent / "languages.toml"

Row = tuple[str, str, str]
"""A term in the language, the same in Chinese, and what is said of it."""


def short_form(item: ServiceItem, language: str, deciding: str) -> tuple[str, tuple[Row, ...]] | None:
    """Heading and rows in a language (`bo`, `mn`); None where the item has no name in it."""
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


_MODES = {
    "commitment": (
        "告知承诺，形式审查后当场发证，事后核查",
        "on a signed commitment; form review, checked after issue",
    ),
    "review": ("审查后决定", "decided after review"),
    "consolidated": (
        "多证合一，一次登记，信息推送各部门",
        "one registration; its information reaches each department",
    ),
    "filing": (
        "备案，并入营业执照，由登记推送",
        "a filing folded into the business licence, pushed by the registration",
    ),
}
_HANDLING = {
    "马上办": "decided at once",
    "最多跑一次": "at most one visit",
    "不见面": "no visit",
    "网上办": "online",
}
_LEVELS = {
    "province": ("省级", "province"),
    "prefecture": ("市（州）级", "prefecture"),
    "county": ("县级", "county"),
}


class GuideLine(NamedTuple):
    """One line of a guide: what, and what is said of it, each in both languages."""

    zh: str
    en: str
    says: str
    says_en: str = ""


class Part(NamedTuple):
    """A part with its heading. `lines` are terms, `steps` a numbered list."""

    zh: str
    en: str
    lines: tuple[GuideLine, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()


class Guide(NamedTuple):
    """A whole guide. `names` are the names in other languages than Chinese, `source` where the item's data come from."""

    code: str
    title: str
    names: tuple[str, ...]
    parts: tuple[Part, ...]
    source: str = ""


def guide_of(item: ServiceItem, division: str = "") -> Guide:
    """The guide of an item; with a division it names the very authority that decides there."""
    parts = (
        Part("基本信息", "At a glance", tuple(_basics(item, division))),
        Part("时限（工作日）", "Limits, in working days", tuple(_limits(item))),
        Part("申请材料", "What to hand in", tuple(_materials(item))),
        Part("产品类别", "Product categories", tuple(_categories(item))),
        Part("填写内容", "What to fill in", tuple(_fields(item))),
        Part("办理流程", "How it goes", steps=tuple(_steps(item))),
        Part("事后监管", "After issue", tuple(_after(item))),
        Part("查询与救济", "Following up, and remedies", tuple(_follow(item))),
        *_other_languages(item, division),
    )
    shown = tuple(part for part in parts if part.lines or part.steps)
    return Guide(item.code, item.name.zh, item.titles, shown, item.evidence)


def _other_languages(item: ServiceItem, division: str) -> Iterator[Part]:
    for language in LANGUAGES:
        if found := short_form(item, language, _deciding(item, division)):
            heading, rows = found
            yield Part(heading, "", tuple(GuideLine(*row) for row in rows))


def _basics(item: ServiceItem, division: str) -> Iterator[GuideLine]:
    mode, level = _MODES[item.mode], _LEVELS[item.level]
    yield GuideLine("事项代码", "code", item.code)
    yield GuideLine("办理方式", "procedure", *mode)
    yield GuideLine("办理类型", "handling", item.handling, _HANDLING[item.handling])
    person = item.holder == "person"
    yield GuideLine(
        "申请人", "who applies", "个人" if person else "企业", "a person" if person else "an enterprise"
    )
    yield GuideLine(
        "决定机关", "who decides", _deciding(item, division), f"{level[1]} level: {', '.join(item.deciding)}"
    )
    yield GuideLine("收费", "fees", "不收费", "none")
    if item.mode != "filing":
        years = item.validity_years
        yield GuideLine(
            "有效期",
            "validity",
            f"{years} 年" if years else "长期",
            f"{years} years" if years else "without end",
        )
    if item.legal_basis:
        yield GuideLine("依据", "legal basis", item.legal_basis)


def _deciding(item: ServiceItem, division: str) -> str:
    issuer = issuing_authority(item, division) if division else None
    if issuer is not None and len(item.deciding) == 1:
        return issuer.name
    names = "、".join(department_title(department, item.level) for department in item.deciding)
    return f"{names}（{full_name(division)}）" if division else names


def _limits(item: ServiceItem) -> Iterator[GuideLine]:
    limits = item.limits
    yield GuideLine("法定时限", "statutory", str(limits.statutory))
    saved = percent(compression(limits.promised, limits.statutory)) or "—"
    yield GuideLine("承诺时限", "promised", f"{limits.promised}（压缩 {saved}）", f"{saved} shorter")
    if item.mode != "filing":
        yield GuideLine(
            "受理",
            "acceptance",
            str(limits.acceptance),
            "missing papers are named once; silence is acceptance",
        )
        yield GuideLine("补正", "correction", str(limits.correction), "to supply what was named")
        yield GuideLine("颁发证照", "certificate", str(limits.certificate), "at most, after the decision")
    else:
        yield GuideLine(
            "黄灯 / 红灯", "reminders", f"{item.yellow_days} / {item.red_days}", "after the push, unanswered"
        )


def _materials(item: ServiceItem) -> Iterator[GuideLine]:
    for material in item.materials:
        zh, en = zip(*_asked(material), strict=True)
        yield GuideLine(material.name.zh, material.name.en, "；".join(zh), "; ".join(en))
    if item.materials_before:
        now = len(item.materials)
        yield GuideLine(
            "精简",
            "fewer papers",
            f"{item.materials_before} 份 → {now} 份",
            f"{item.materials_before} → {now}",
        )


def _asked(material: MaterialRule) -> Iterator[tuple[str, str]]:
    yield ("1 份，电子或纸质", "one copy, electronic or paper")
    if material.signed:
        yield ("须签署并注明日期", "signed and dated")
    if material.deferrable:
        yield ("可容缺，承诺期限内补交", "may come later, by a promised date")
    if material.how:
        yield (material.how.zh, material.how.en)
    if material.legal_basis:
        yield (f"依据：{material.legal_basis}", f"legal basis: {material.legal_basis}")


def _categories(item: ServiceItem) -> Iterator[GuideLine]:
    if item.categories:
        yield GuideLine(
            f"共 {len(item.categories)} 类",
            f"{len(item.categories)} categories",
            "、".join(category.name for category in item.categories),
        )


def _fields(item: ServiceItem) -> Iterator[GuideLine]:
    for field in item.fields:
        must = ("必填", "required") if field.required else ("选填", "optional")
        yield GuideLine(
            field.label.zh,
            field.label.en,
            f"{must[0]}；例：{field.example}" if field.example else must[0],
            must[1],
        )


def _steps(item: ServiceItem) -> Iterator[tuple[str, str]]:
    if item.mode == "filing":
        yield (
            "办理营业执照登记时勾选本事项，已填信息不再重复填写。",
            "Choose it with the registration; nothing is asked twice.",
        )
        yield (
            "信息推送主管部门，由其接收、认领；退回的，补正后重新推送，不必再次申请。",
            "It is pushed to the department, which claims it; if returned, correct it, without another application.",
        )
        return
    yield (
        "网上提交，或在省、市（州）、县、乡、村任一级综合窗口提交，也可由代办员代办。",
        "Apply online or at a window of any of the five levels; an agent may do it for you.",
    )
    yield ("材料不齐的，一次性告知全部需补正内容。", "Whatever is missing is named once, all together.")
    yield _DECISION[item.mode]
    yield (
        "核发电子证照，与纸质证照同等效力；结果送回提交的窗口。",
        "The licence is issued electronically, equal to paper; the result returns to the window of entry.",
    )


_DECISION = {
    "commitment": ("材料齐全、承诺书已签署的，当即作出许可决定。", "Complete and with a signed commitment, it is granted at once."),
    "review": ("主管部门审查后作出决定；听证、检验、专家评审时间不计入时限。", "The departments review and decide; hearings and tests stop the clock."),
    "consolidated": ("登记机关核发载明备案事项的营业执照，信息推送各主管部门。", "The licence lists the filings; their information is pushed to the departments."),
}  # fmt: skip


def _after(item: ServiceItem) -> Iterator[GuideLine]:
    if item.check:
        yield GuideLine(
            "后置现场核查",
            "on-site check",
            f"发证后 {item.check.days} 日内",
            f"within {item.check.days} days of issue",
        )
    if item.mode == "commitment":
        yield GuideLine(
            "虚假承诺",
            "false commitment",
            "撤销许可，三年内不得再次申请",
            "the licence is rescinded; no new application for three years",
        )


def _follow(item: ServiceItem) -> Iterator[GuideLine]:
    yield GuideLine(
        "进度",
        "progress",
        "凭申请编号在受理窗口或网上查询",
        "by the application number, at the window or online",
    )
    if item.mode != "filing":
        yield GuideLine(
            "验真",
            "verification",
            "扫描证照二维码，或用本系统核验文件",
            "scan the QR code, or verify the file",
        )
    yield GuideLine(
        "复议与诉讼",
        "remedies",
        "对决定不服的，60 日内申请行政复议，或 6 个月内提起行政诉讼",
        "review within 60 days, or an action within 6 months",
    )
    if item.guide:
        yield GuideLine("说明", "note", item.guide.zh, item.guide.en)


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
