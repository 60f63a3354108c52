"""Service items (政务服务事项) as data: one TOML file each. A new kind of licence is a file and a template, no code.

`load_item` reads one, `load_catalogue` folders of them; what breaks a rule is named with file, key and hint. The
catalogue in force travels through the ledger as JSON, so that a decision can be made again without the files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec

from schemas.canonical import digest
from schemas.errors import ItemError

Mode = Literal["commitment", "review", "consolidated", "filing"]
Level = Literal["province", "prefecture", "county"]
Holder = Literal["enterprise", "person"]
Handling = Literal["马上办", "最多跑一次", "不见面", "网上办"]

# 一单一书一照: the papers that an application consists of are no proofs in the sense of 六个一律取消.
BASIC = frozenset({"application-form", "commitment-letter", "business-licence"})


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all parts of an item file have in common: an unknown key is a mistake."""


class Names(_Part, frozen=True):
    """A name in Chinese and English, and where it is used in Tibetan and Mongolian."""

    zh: str
    en: str
    bo: str = ""
    mn: str = ""


class MaterialRule(_Part, frozen=True):
    """A material (申请材料) that the item asks for.

    `signed`: it must carry `signed_on`. `deferrable`: it may come later (容缺). `proof`: it proves a fact; then
    `legal_basis` must be named, and neither `authorities_can_check` nor `commitment_covers` may hold.
    """

    kind: str
    name: Names
    signed: bool = False
    deferrable: bool = False
    proof: bool = False
    legal_basis: str = ""
    authorities_can_check: bool = False
    commitment_covers: bool = False


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


class Check(_Part, frozen=True):
    """The on-site check after the grant (后置现场核查): days after issue, and whether a new site calls for one."""

    days: int
    new_site: bool = True


class NumberRule(_Part, frozen=True):
    """How a licence number is made: `prefix` with `{province}`, `{division}` and `{category}`, then the serial."""

    prefix: str
    digits: int = 5


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
    check: Check | None = None
    number: NumberRule | None = None
    template: str = "general"
    handling: Handling = "最多跑一次"
    materials_before: int | None = None
    legal_basis: str = ""
    evidence: str = ""
    yellow_days: int = 7
    red_days: int = 10
    guide: str = ""

    @property
    def title(self) -> str:
        """The Chinese name: ZZMC on the licence."""
        return self.name.zh

    @property
    def titles(self) -> tuple[str, ...]:
        """The names in other languages, where the item has them."""
        return tuple(text for text in (self.name.en, self.name.bo, self.name.mn) if text)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of material that an application of action `new` needs."""
        return tuple(m.kind for m in self.materials)

    @property
    def deciding(self) -> tuple[str, ...]:
        """The departments that have to approve."""
        return self.departments or (self.department,)

    def material(self, kind: str) -> MaterialRule | None:
        """The rule of a kind of material; None where the item does not ask for it."""
        return next((m for m in self.materials if m.kind == kind), None)

    def category(self, name: str) -> Category | None:
        """The category of a name; None where it is not under the item."""
        return next((c for c in self.categories if c.name == name), None)


class Catalogue(msgspec.Struct, frozen=True):
    """The items in force. `digest` names the whole, `digests` each item."""

    items: dict[str, ServiceItem]
    digests: dict[str, str]
    digest: str

    def get(self, code: str) -> ServiceItem | None:
        """The item of a code; None where there is none."""
        return self.items.get(code)


def catalogue_of(items: Sequence[ServiceItem]) -> Catalogue:
    """A catalogue of items, in the order of their codes."""
    by_code = {item.code: item for item in sorted(items, key=lambda i: i.code)}
    digests = {code: digest(msgspec.to_builtins(item)) for code, item in by_code.items()}
    return Catalogue(by_code, digests, digest(digests))


def to_json(catalogue: Catalogue) -> dict[str, Any]:
    """The catalogue as the ledger keeps it."""
    return {"digest": catalogue.digest, "items": msgspec.to_builtins(list(catalogue.items.values()))}


def from_json(payload: Mapping[str, Any]) -> Catalogue:
    """A catalogue out of the ledger. Raises ItemError where its digest is not its own."""
    catalogue = catalogue_of(msgspec.convert(payload["items"], list[ServiceItem]))
    if catalogue.digest != payload["digest"]:
        raise ItemError("the catalogue in the ledger is not the one that its digest names")
    return catalogue


def row(item: ServiceItem) -> dict[str, Any]:
    """An item as `items list` prints it."""
    return {
        "code": item.code,
        "name": item.name.zh,
        "mode": item.mode,
        "department": item.department,
        "departments": list(item.deciding),
        "level": item.level,
        "materials": list(item.kinds),
        "signed": [m.kind for m in item.materials if m.signed],
        "deferrable": [m.kind for m in item.materials if m.deferrable],
        "products": item.products,
        "categories": [c.name for c in item.categories],
        "fields": [{"name": f.name, "required": f.required, "example": f.example} for f in item.fields],
        "limits": {
            "promised": item.limits.promised,
            "statutory": item.limits.statutory,
            "correction": item.limits.correction,
        },
        "validity_years": item.validity_years,
        "holder": item.holder,
        "check_days": item.check.days if item.check else None,
    }


def load_item(path: Path) -> ServiceItem:
    """One item file. Raises ItemError with file, line or key, and a hint."""
    try:
        raw = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ItemError(
            f"事项文件无法读取 / cannot be read: {error}", where=str(path), hint="UTF-8 TOML"
        ) from None
    try:
        data = tomllib.loads(raw)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ItemError(
            f"不是 TOML / this is no TOML: {error}", where=str(path), hint="改正此处 / mend that line"
        ) from None
    try:
        item = msgspec.convert(data, ServiceItem)
    except msgspec.ValidationError as error:
        raise ItemError(
            f"事项内容有误 / the item is wrong: {error}",
            where=str(path),
            hint="对照 / compare with: schemas/items/industrial-product-licence.toml",
        ) from None
    for key, message, hint in _faults(item):
        raise ItemError(message, where=f"{path}: {key}", hint=hint)
    return item


@lru_cache(maxsize=16)
def load_catalogue(folders: tuple[Path, ...] = ()) -> Catalogue:
    """The shipped items and those of further folders; a later folder's item replaces one of the same code."""
    shipped = Path(str(files("schemas") / "items"))
    found: dict[str, ServiceItem] = {}
    for folder in (shipped, *folders):
        if not folder.is_dir():
            raise ItemError(
                "没有此事项目录 / there is no such folder of items",
                where=str(folder),
                hint="检查路径 / check the path",
            )
        for path in sorted(folder.rglob("*.toml")):
            item = load_item(path)
            found[item.code] = item
    return catalogue_of(list(found.values()))


_Fault = tuple[str, str, str]


def _faults(item: ServiceItem) -> Iterator[_Fault]:
    """What the types cannot say."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", item.code) or len(item.code) > 64:
        yield "code", f"代码不合规则 / no code: {item.code!r}", "小写字母、数字和连字符 / a-z, 0-9 and -"
    yield from _limit_faults(item)
    yield from _name_faults(item)
    for material in item.materials:
        yield from _material_faults(material)
    if item.mode != "filing":
        yield from _licence_faults(item)


def _limit_faults(item: ServiceItem) -> Iterator[_Fault]:
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
    if item.check and not 1 <= item.check.days <= 3660:
        yield (
            "check.days",
            "核查期限须为正数 / days of the check must be positive",
            "例如 30 / for example 30",
        )


def _name_faults(item: ServiceItem) -> Iterator[_Fault]:
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


def _material_faults(material: MaterialRule) -> Iterator[_Fault]:
    """六个一律取消: which proofs may not be demanded."""
    if material.kind in BASIC or not material.proof:
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


def _licence_faults(item: ServiceItem) -> Iterator[_Fault]:
    if "application-form" not in item.kinds:
        yield (
            "materials",
            "缺少申请单 / application-form is missing",
            "一单一书一照 / every item has its form",
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
