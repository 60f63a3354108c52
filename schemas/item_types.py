"""The parts of a service item (政务服务事项): the form of the TOML files under `schemas/items/`.

Every key is explained here; rules that the types cannot say stand in `schemas.item_types`.

Rules for service items that their types cannot say, and 六个一律取消.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Literal

import msgspec

Mode = Literal["commitment", "review", "consolidated", "filing"]
Level = Literal["province", "prefecture", "county"]
Holder = Literal["enterprise", "person"]
Handling = Literal["马上办", "最多跑一次", "不见面", "网上办"]

# 一单一书一照: the papers that an application consists of are no proofs in the sense of 六个一律取消.
BASIC = frozenset({"application-form", "commitment-letter", "business-licence"})


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base of all parts of an item file: an unknown key is a mistake."""


class Names(_Part, frozen=True):
    """A name in Chinese and English, and where it is used in Tibetan and Mongolian."""

    zh: str
    en: str
    bo: str = ""
    mn: str = ""

    @property
    def others(self) -> tuple[str, ...]:
        """Return the names beside the Chinese one."""
        return tuple(text for text in (self.en, self.bo, self.mn) if text)


class MaterialRule(_Part, frozen=True):
    """A material (申请材料) that the item asks for.

    `signed`: it must carry `signed_on`. `deferrable`: it may come later (容缺). Beside the papers of 一单一书一照 a
    material proves something: it needs a `legal_basis`, and may be asked for only where neither
    `authorities_can_check` nor `commitment_covers` (六个一律取消). `how` tells the applicant what satisfies it.
    """

    kind: str
    name: Names
    signed: bool = False
    deferrable: bool = False
    legal_basis: str = ""
    authorities_can_check: bool = False
    commitment_covers: bool = False
    how: Names | None = None


class Category(_Part, frozen=True):
    """A product category; `code` stands in the licence number, `evidence` says where the code comes from."""

    name: str
    code: str
    evidence: str = ""


class FieldRule(_Part, frozen=True):
    """A field that the item asks for, once over all items chosen together."""

    name: str
    label: Names
    required: bool = True
    example: str = ""


class Limits(_Part, frozen=True):
    """Limits in working days (行政许可法 art 82). `acceptance` art 32, `certificate` art 44."""

    promised: int
    statutory: int
    correction: int = 20
    acceptance: int = 5
    certificate: int = 10


class CheckRule(_Part, frozen=True):
    """The on-site check after the grant (后置现场核查): days after issue, and whether a new site calls for one."""

    days: int
    new_site: bool = True


class NumberRule(_Part, frozen=True):
    """The rule for licence numbers: `prefix` with `{province}`, `{division}` and `{category}`, then the serial."""

    prefix: str
    digits: int = 5


class Renewal(_Part, frozen=True):
    """When a renewal (延续) is heard, in months before the end: from `earliest` on; filed by `protected` it is deemed
    granted where nobody decides by the end (行政许可法 art 50, 工业产品生产许可证管理条例 art 25)."""

    earliest: int = 12
    protected: int = 6


class Former(_Part, frozen=True):
    """Former names, up to and including the day `until` (ISO): of the authority, with `{division}`, and of the item.

    What is absent was called as it is now. `evidence` says where the names and the day come from.
    """

    until: str
    authority: str = ""
    name: Names | None = None
    evidence: str = ""


class ServiceItem(_Part, frozen=True):
    """One service item. `department` issues; `departments` all review (joint review where there are several)."""

    code: str
    name: Names
    mode: Mode
    department: str
    level: Level
    holder: Holder
    limits: Limits
    type_code: str = ""
    departments: tuple[str, ...] = ()
    materials: tuple[MaterialRule, ...] = ()
    products: bool = False
    categories: tuple[Category, ...] = ()
    fields: tuple[FieldRule, ...] = ()
    validity_years: int | None = None
    check: CheckRule | None = None
    renewal: Renewal = Renewal()
    number: NumberRule | None = None
    template: str = "general"
    handling: Handling = "最多跑一次"
    materials_before: int | None = None
    legal_basis: str = ""
    evidence: str = ""
    yellow_days: int = 7
    red_days: int = 10
    guide: Names | None = None
    formerly: tuple[Former, ...] = ()
    conditions: tuple[str, ...] = ()  # of which the commitment letter informs the applicant

    @property
    def title(self) -> str:
        """Return the Chinese name: ZZMC on the licence."""
        return self.name.zh

    @property
    def titles(self) -> tuple[str, ...]:
        """Return the names in other languages, where the item has them."""
        return self.name.others

    def former(self, day: str) -> Former | None:
        """Return the names in force on a day, where they were others than now."""
        return next((old for old in self.formerly if day <= old.until), None)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of material that an application of action `new` needs."""
        return tuple(m.kind for m in self.materials)

    @property
    def deciding(self) -> tuple[str, ...]:
        """Return the departments that have to approve."""
        return self.departments or (self.department,)

    def material(self, kind: str) -> MaterialRule | None:
        """Return the rule of a kind of material, or None where the item does not ask for it."""
        return next((m for m in self.materials if m.kind == kind), None)

    def category(self, name: str) -> Category | None:
        """Return the category of a name, or None where it is not under the item."""
        return next((c for c in self.categories if c.name == name), None)


Fault = tuple[str, str, str]  # key, message, hint


def faults(item: ServiceItem) -> Iterator[Fault]:
    """Yield the faults that types cannot express: key, message, hint."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", item.code) or len(item.code) > 64:
        yield "code", f"代码不合规则 / no code: {item.code!r}", "小写字母、数字和连字符 / a-z, 0-9 and -"
    yield from _limit_faults(item)
    yield from _former_faults(item)
    yield from _name_faults(item)
    for material in item.materials:
        yield from _material_faults(material)
    if not 0 < item.yellow_days < item.red_days:
        yield "yellow_days", "黄灯须早于红灯 / yellow comes before red", "例如 / for example 7, 10"
    if item.mode != "filing":
        yield from _licence_faults(item)


def _limit_faults(item: ServiceItem) -> Iterator[Fault]:
    limits = item.limits
    for key in ("promised", "statutory", "correction", "acceptance", "certificate"):
        if not 0 <= getattr(limits, key) <= 1000:
            yield (
                f"limits.{key}",
                "时限须为 0 至 1000 个工作日 / a limit is 0 to 1000 working days",
                "改正 / mend it",
            )
    if limits.promised > limits.statutory:
        yield (
            "limits.promised",
            "承诺时限长于法定时限 / promised is longer than statutory",
            "承诺不得长于法定 / shorten it",
        )
    if item.validity_years is not None and not 1 <= item.validity_years <= 100:
        yield (
            "validity_years",
            "有效期须为 1 至 100 年 / 1 to 100 years",
            "无期限则不写 / leave it out where there is no end",
        )
    if not 1 <= item.renewal.protected <= item.renewal.earliest <= 120:
        yield (
            "renewal",
            "延续期间有误 / protected months come after the earliest, 1 to 120",
            "例如 / for example { earliest = 12, protected = 6 }",
        )
    if item.check and not 1 <= item.check.days <= 3660:
        yield (
            "check.days",
            "核查期限须为正数 / days of the check must be positive",
            "例如 30 / for example 30",
        )


def _former_faults(item: ServiceItem) -> Iterator[Fault]:
    days = [old.until for old in item.formerly]
    for old in item.formerly:
        if not _is_date(old.until):
            yield "formerly.until", f"不是日期 / no date: {old.until}", "例如 / for example 2018-10-31"
        if not old.authority and old.name is None:
            yield "formerly", "旧名为空 / nothing had another name", "authority 或 / or name"
        if old.authority and "{division}" not in old.authority:
            yield "formerly.authority", "缺少区划 / {division} is missing", "{division}质量技术监督局"
    if days != sorted(set(days)):
        yield "formerly", "须按日期先后 / earlier names come first, each day once", "until"


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _name_faults(item: ServiceItem) -> Iterator[Fault]:
    if not item.name.zh.strip() or not item.name.en.strip():
        yield "name", "名称不能为空 / names must not be blank", "zh 与 en / give zh and en"
    for key, names in (
        ("materials.kind", item.kinds),
        ("categories.name", tuple(c.name for c in item.categories)),
        ("fields.name", tuple(f.name for f in item.fields)),
        ("departments", item.departments),
    ):
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            yield key, f"重复 / stands twice: {twice}", "每个一次 / once each"
        blank = next((n for n in names if not n.strip()), None)
        if blank is not None:
            yield key, "为空 / is blank", "填写 / fill it in"
    if item.departments and item.department not in item.departments:
        yield (
            "departments",
            "须含发证部门 / must hold the issuing department",
            f"加上 / add {item.department}",
        )


def _material_faults(material: MaterialRule) -> Iterator[Fault]:
    """六个一律取消: which proofs may not be demanded."""
    if material.kind in BASIC:
        return
    key = f"materials.{material.kind}"
    hint = "删去此材料 / leave the material out"
    if material.authorities_can_check:
        yield (
            key,
            "行政机关能够自行核查的证明，一律取消 / a proof that the authorities can check themselves may not be demanded",
            hint,
        )
    if material.commitment_covers:
        yield (
            key,
            "承诺已经涵盖的证明，一律取消 / a proof that the commitment covers may not be demanded",
            hint,
        )
    if not material.legal_basis.strip():
        yield key, "没有法律法规依据的证明，一律取消 / a proof without legal basis may not be demanded", hint


def _licence_faults(item: ServiceItem) -> Iterator[Fault]:
    if "application-form" not in item.kinds:
        yield (
            "materials",
            "缺少申请单 / application-form is missing",
            "一单一书一照 / every item has its form",
        )
    letter = item.material("commitment-letter")
    if item.mode == "commitment" and not (letter and letter.signed):
        yield (
            "materials",
            "承诺制事项须有签署的承诺书 / a commitment item needs a signed commitment-letter",
            'kind = "commitment-letter", signed = true',
        )
    if item.number is None:
        yield (
            "number",
            "缺少编号规则 / there is no rule for numbers",
            'number = { prefix = "({province})XK{category}-" }',
        )
        return
    if not re.fullmatch(r"[0-9A-Z]{21}", item.type_code):
        yield "type_code", "证照类型代码须为 21 位 / the type code has 21 characters", "GB/T 36904: USCC + 3"
    left = re.sub(r"\{(province|division|category)\}", "", item.number.prefix)
    if "{" in left or "}" in left or len(item.number.prefix) > 40:
        yield "number.prefix", "编号规则有误 / the prefix is wrong", "{province}, {division}, {category}"
    if not 1 <= item.number.digits <= 9:
        yield "number.digits", "序号须为 1 至 9 位 / 1 to 9 digits", "例如 5 / for example 5"
    if item.products != bool(item.categories):
        yield (
            "categories",
            "有产品者须有类别，反之亦然 / products and categories go together",
            "products = true",
        )
    if "{category}" in item.number.prefix and not item.products:
        yield (
            "number.prefix",
            "没有产品类别 / the item has no categories",
            "去掉 {category} / leave {category} out",
        )
    if "{category}" in item.number.prefix and not all(c.code for c in item.categories):
        yield "categories.code", "类别须有代码 / each category needs its code", "例如 13-001"


def field_faults(items: Iterable[ServiceItem]) -> Iterator[Fault]:
    """Yield fields whose label or example differs between items, since a field is the same over all items."""
    seen: dict[str, tuple[str, FieldRule]] = {}
    for item in items:
        for field in item.fields:
            other, first = seen.setdefault(field.name, (item.code, field))
            if (field.label, field.example) != (first.label, first.example):
                message = f"字段含义不一 / a field with two meanings: {field.name}"
                yield item.code, message, f"与此事项一致 / as in: {other}"
