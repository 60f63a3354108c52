"""What a service item (政务服务事项) consists of: the form of the TOML files under `schemas/items/`.

Every key is explained here; rules that the types cannot say stand in `schemas.item_rules`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

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

    @property
    def others(self) -> tuple[str, ...]:
        """The names beside the Chinese one."""
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


class Check(_Part, frozen=True):
    """The on-site check after the grant (后置现场核查): days after issue, and whether a new site calls for one."""

    days: int
    new_site: bool = True


class NumberRule(_Part, frozen=True):
    """How a licence number is made: `prefix` with `{province}`, `{division}` and `{category}`, then the serial."""

    prefix: str
    digits: int = 5


class Renewal(_Part, frozen=True):
    """When a renewal (延续) is heard, in months before the end: from `earliest` on; filed by `protected` it is deemed
    granted where nobody decides by the end (行政许可法 art 50, 工业产品生产许可证管理条例 art 25)."""

    earliest: int = 12
    protected: int = 6


class Former(_Part, frozen=True):
    """How things were called up to and including the day `until` (ISO): the authority, with `{division}`, and the item.

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
    check: Check | None = None
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

    @property
    def title(self) -> str:
        """The Chinese name: ZZMC on the licence."""
        return self.name.zh

    @property
    def titles(self) -> tuple[str, ...]:
        """The names in other languages, where the item has them."""
        return self.name.others

    def former(self, day: str) -> Former | None:
        """The names in force on a day, where they were others than now."""
        return next((old for old in self.formerly if day <= old.until), None)

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
