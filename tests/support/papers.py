"""Every kind of page that an issuer makes, for tests: short and long, annexed, rare characters, each template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from bureau import Bureau, Item, numbered

from issuance.issue import Issuer
from schemas.identifiers import make_identifier, serial_text
from schemas.items import load_catalogue
from schemas.licence import FilingRef, Grant, Issued, Numbered, Particular, Product
from schemas.trust import TrustStore

LONG = "循化撒拉族自治县积石镇托坝村民族用品" * 12
FILINGS = (
    "公章刻制备案",
    "住房公积金缴存登记",
    "保安服务公司分公司备案",
    "经营性人力资源服务机构设立分支机构备案",
    "报关单位注册登记证书（进出口货物收发货人）",
    "设立出版物出租企业或者其他单位、个人从事出版物出租业务备案",
)
MANY = tuple(item.name.zh for item in load_catalogue().items.values() if item.mode == "filing")
PARTICULARS = (
    Particular("enterprise-type", "类型", "有限责任公司(自然人投资或控股)"),
    Particular("legal-representative", "法定代表人", "马木沙"),
    Particular("registered-capital", "注册资本（万元）", "500"),
    Particular("established-on", "成立日期", "2018-09-10"),
    Particular("business-scope", "经营范围", "化肥生产、销售；农产品收购；货物进出口；民族用品制造" * 4),
)
SCOPE = ("许可项目：食品生产；食品经营；一般项目：农副产品销售；" * 160)[:4000]
ITEMS = {
    "industrial-product-licence": Item(titles=("Industrial Product Production Licence",)),
    "business-licence": Item(
        "营业执照", template="business-licence", titles=("Business Licence", "ཚོང་ལས་ལག་འཁྱེར།")
    ),
    "special-equipment-operator": Item("特种设备作业人员证", template="person", titles=("Operator",)),
    "food-workshop-licence": Item("食品生产加工小作坊许可证", template="general", titles=()),
    "unknown-template": Item("其他许可证", template="no-such-template"),
}
RARE = {
    "holder_name": '青海䶮𠮷བོད་ལྗོངས་མཚོ་སྔོན་ཞིང་ཆེན་ᠮᠣᠩᠭᠣᠯ有限公司 #read("x") $a$ \\ <b>',
    "address": "西宁市 བོད་ཡིག ᠬᠥᠬᠡ ᠨᠠᠭᠤᠷ A―B—C‐D‑E “甲”…⋯ ⻚页",
}
PERSON: dict[str, Any] = {
    "item": "special-equipment-operator",
    "holder": "p:" + "0" * 32,
    "holder_kind": "person",
    "holder_id": "630***********1234",
    "holder_name": "马木沙",
    "products": (),
}


def licence(serial: int = 1, **changes: Any) -> Numbered:
    """A numbered grant with its own number and a true identifier."""
    number = f"(青)XK16-204-{serial:05d}"
    version = changes.get("version", 1)
    type_code = ITEMS[changes.get("item", "industrial-product-licence")].type_code
    before = make_identifier(type_code, "630000", serial_text(number), version - 1) if version > 1 else None
    return numbered(
        number=number,
        serial=serial,
        identifier=make_identifier(type_code, "630000", serial_text(number), version),
        previous_identifier=before,
        status_index=serial,
        **changes,
    )


def kinds() -> dict[str, Numbered]:
    """A licence for each kind of page."""
    return dict(_kinds())


def _kinds() -> Iterator[tuple[str, Numbered]]:
    yield "short", licence(1)
    yield "rare", licence(2, **RARE)
    yield (
        "annex",
        licence(
            3,
            version=2,
            holder_name=LONG[:200],
            address=LONG[:199] + "号",
            products=tuple(
                Product("危险化学品包装物、容器", f"{LONG[:30]}{n}号", "钢瓶" * n) for n in range(40)
            ),
        ),
    )
    yield (
        "unbroken",
        licence(
            4, holder_name="W" * 200, address="A" * 200, products=(Product("化肥", "S" * 200, "D" * 200),)
        ),
    )
    yield "business", licence(5, item="business-licence", valid_until=None, **_filings(FILINGS))
    many = tuple(f"{name}{n}" for n in range(7) for name in FILINGS)
    yield (
        "business-annex",
        licence(6, item="business-licence", holder_name=LONG[:200], address=LONG[:200], **_filings(many)),
    )
    whole = {"item": "business-licence", "valid_until": None}
    yield "business-whole", licence(11, **whole, particulars=PARTICULARS, **_filings(MANY))
    yield (
        "business-scope",
        licence(
            12,
            **whole,
            holder_name=LONG[:200],
            address="W" * 200,
            particulars=(*PARTICULARS[:-1], Particular("business-scope", "经营范围", SCOPE)),
            **_filings(MANY * 2),
        ),
    )
    yield "business-plain", licence(13, **whole, products=())
    yield "person", licence(7, **PERSON)
    yield "person-long", licence(8, **PERSON | {"holder_name": LONG[:200], "address": LONG[:200]})
    yield "general", licence(9, item="food-workshop-licence")
    yield "unknown-template", licence(10, item="unknown-template")


def _filings(names: tuple[str, ...]) -> dict[str, Any]:
    filings = tuple(
        FilingRef(f"QH-2018-000005:item-{n}", f"item-{n}", name, "d") for n, name in enumerate(names)
    )
    return {"filings": filings, "products": ()}


class Office:
    """An issuer over a bureau's keys."""

    def __init__(self, bureau: Bureau) -> None:
        self.data = bureau.data
        self.trust: TrustStore = bureau.trust
        self.signer = bureau.signer
        self.issuer = self.another_issuer()

    def another_issuer(self) -> Issuer:
        """A fresh one, as another process would build it."""
        return Issuer(self.trust, item_of)

    def issue(self, numbered: Numbered) -> tuple[Issued, bytes]:
        grant = numbered.grant
        return self.issuer.issue(numbered, grant.holder_name, grant.address, self.signer)

    def rebuild(self, numbered: Numbered, issued: Issued, **changes: Any) -> bytes:
        grant = numbered.grant
        record = msgspec.structs.replace(issued, **changes)
        return self.another_issuer().rebuild(numbered, record, grant.holder_name, grant.address)


def item_of(grant: Grant) -> Item:
    """The item of a grant."""
    return ITEMS[grant.item]
