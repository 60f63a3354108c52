"""Service items as data: those of the contract, the filings, what the loader refuses."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.errors import ItemError
from schemas.items import RecordedCatalogue, from_record, load_catalogue, load_item, row, to_record

SHIPPED = Path(str(files("schemas") / "items"))
HAINAN = Path(str(files("schemas") / "catalogues" / "hainan-41"))
SEVENTEEN = [
    "砂轮",
    "饲料粉碎机械",
    "建筑卷扬机",
    "钢丝绳",
    "轻小型起重运输设备",
    "预应力混凝土用钢材",
    "预应力混凝土枕",
    "救生设备",
    "特种劳动防护用品",
    "电线电缆",
    "耐火材料",
    "建筑钢管脚手架扣件",
    "建筑防水卷材",
    "危险化学品包装物及容器",
    "汽车制动液",
    "人造板",
    "化肥",
]


def test_the_industrial_product_licence_is_that_of_qinghai_in_2018() -> None:
    """Its row says what the contract says."""
    item = load_catalogue().get("industrial-product-licence")
    assert item is not None
    assert row(item) == {
        "code": "industrial-product-licence",
        "name": "全国工业产品生产许可证",
        "mode": "commitment",
        "department": "market-regulation",
        "departments": ["market-regulation"],
        "level": "province",
        "materials": ["application-form", "commitment-letter", "business-licence"],
        "signed": ["commitment-letter"],
        "deferrable": [],
        "products": True,
        "categories": SEVENTEEN,
        "fields": [],
        "limits": {"promised": 3, "statutory": 60, "correction": 20},
        "validity_years": 5,
        "holder": "enterprise",
        "check_days": 30,
    }
    codes = [category.code for category in item.categories]
    assert len(set(codes)) == 17


def test_the_other_items_of_the_contract() -> None:
    """A review item for persons without products, a consolidated item without end, joint review, 容缺."""
    catalogue = load_catalogue()
    rows = {code: row(item) for code, item in catalogue.items.items()}
    operator, licence = rows["special-equipment-operator"], rows["business-licence"]
    assert (operator["mode"], operator["holder"], operator["products"]) == ("review", "person", False)
    assert (licence["mode"], licence["materials"], licence["validity_years"]) == (
        "consolidated",
        ["application-form"],
        None,
    )
    assert [r["code"] for r in rows.values() if len(r["departments"]) > 1] == [
        "hazardous-chemicals-operation"
    ]
    assert any(r["deferrable"] for r in rows.values())
    assert sum(r["mode"] == "commitment" for r in rows.values()) >= 2


def test_filings_of_both_catalogues() -> None:
    """19 filings of the national list; with the local set 41; each says where it comes from."""
    national = [i for i in load_catalogue().items.values() if i.mode == "filing"]
    local = [i for i in load_catalogue((HAINAN,)).items.values() if i.mode == "filing"]
    assert (len(national), len(local)) == (19, 41)
    assert all(i.evidence for i in local)
    by_memory = [i for i in national if "by memory" in i.evidence]
    assert (len(by_memory), len(national)) == (17, 19)  # the others were found in a published notice
    assert all("this row is an example" in i.evidence for i in local if i not in national)
    assert {(i.yellow_days, i.red_days) for i in local} == {(7, 10)}
    assert len({i.department for i in national}) >= 8


def test_every_required_field_has_an_example() -> None:
    """Whoever fills a form with the examples leaves nothing required empty."""
    blank = [
        (item.code, field.name)
        for item in load_catalogue((HAINAN,)).items.values()
        for field in item.fields
        if field.required and not field.example.strip()
    ]
    assert blank == []


def test_the_ledger_gives_the_catalogue_back() -> None:
    """Through JSON it is the same, with the same digests; a changed item is noticed."""
    catalogue = load_catalogue()
    recorded = msgspec.json.decode(msgspec.json.encode(to_record(catalogue)), type=RecordedCatalogue)
    assert from_record(recorded) == catalogue
    recorded.items[0]["limits"]["promised"] += 1
    with pytest.raises(ItemError, match="digest"):
        from_record(recorded)


Change = Callable[[str], str]


def swap(old: str, new: str) -> Change:
    """A change of the shipped file that must find its place."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


PROOF = '[[materials]]\nkind = "tax-proof"\nname = { zh = "完税证明", en = "Proof of tax" }\n'
WRONG: list[tuple[str, Change, str]] = [
    ("no TOML", swap("[[materials]]", "[[materials"), "line"),
    ("unknown key", swap("mode =", "fee = 3\nmode ="), "fee"),
    ("missing key", swap('level = "province"\n', ""), "level"),
    ("another mode", swap('"commitment"', '"lottery"'), "lottery"),
    ("a limit as text", swap("promised = 3", 'promised = "3"'), "limits.promised"),
    ("promised over statutory", swap("promised = 3", "promised = 61"), "limits.promised"),
    ("negative limit", swap("promised = 3", "promised = -1"), "limits.promised"),
    ("code with blanks", swap('code = "industrial-product-licence"', 'code = "My Item"'), "code"),
    ("category twice", swap('name = "饲料粉碎机械"', 'name = "砂轮"'), "categories.name"),
    ("category without code", swap('code = "13-001"', 'code = ""'), "categories.code"),
    ("unsigned letter", swap("signed = true\n", ""), "materials"),
    ("no form", swap('kind = "application-form"', 'kind = "form"'), "materials"),
    ("type code", swap("11100000MB0143028R001", "11100000MB0143028R"), "type_code"),
    ("strange prefix", swap("{province}", "{planet}"), "number.prefix"),
    ("yellow after red", swap("products = true", "products = true\nyellow_days = 11"), "yellow_days"),
    ("no day", swap('"2018-10-31"', '"2018-10"'), "formerly.until"),
    ("nothing former", swap('authority = "{division}质量技术监督局"\n', ""), "formerly"),
    ("no place for the division", swap("{division}质量技术监督局", "质量技术监督局"), "formerly.authority"),
    ("protected before it is heard", swap("check = {", "renewal = { earliest = 3 }\ncheck = {"), "renewal"),
    ("no products", swap("products = true", "products = false"), "categories"),
    (
        "the authorities can check it",
        lambda t: t + PROOF + 'legal_basis = "x"\nauthorities_can_check = true\n',
        "自行核查",
    ),
    (
        "the commitment covers it",
        lambda t: t + PROOF + 'legal_basis = "x"\ncommitment_covers = true\n',
        "承诺已经涵盖",
    ),
    ("no legal basis", lambda t: t + PROOF, "没有法律法规依据"),
]


@pytest.mark.parametrize(("change", "said"), [(c, s) for _, c, s in WRONG], ids=[n for n, _, _ in WRONG])
def test_a_wrong_item_is_refused(tmp_path: Path, change: Change, said: str) -> None:
    """The error names file, key or line, and has a hint."""
    path = tmp_path / "item.toml"
    path.write_text(change((SHIPPED / "industrial-product-licence.toml").read_text("utf-8")), "utf-8")
    with pytest.raises(ItemError) as caught:
        load_item(path)
    assert said in str(caught.value)
    assert str(path) in caught.value.where
    assert caught.value.hint


def test_the_papers_of_the_application_are_no_proofs(tmp_path: Path) -> None:
    """一单一书一照 may be asked for without a legal basis of their own."""
    assert load_item(SHIPPED / "industrial-product-licence.toml").kinds == (
        "application-form",
        "commitment-letter",
        "business-licence",
    )


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe", b"a = 1", b"[" * 5000], ids=["empty", "UTF-16", "other", "deep"]
)
def test_unusable_files(tmp_path: Path, raw: bytes) -> None:
    """Whatever the file holds, the error is one about the item."""
    path = tmp_path / "item.toml"
    path.write_bytes(raw)
    with pytest.raises(ItemError):
        load_item(path)


def test_folders_of_items(tmp_path: Path) -> None:
    """A later folder replaces an item; one code twice in a folder, or a field with two meanings, is refused."""
    text = (SHIPPED / "industrial-product-licence.toml").read_text("utf-8")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.toml").write_text(text.replace("promised = 3", "promised = 2"), "utf-8")
    item = load_catalogue((mine,)).get("industrial-product-licence")
    assert item is not None
    assert item.limits.promised == 2
    twice = tmp_path / "twice"
    twice.mkdir()
    for name in ("a.toml", "b.toml"):
        (twice / name).write_text(text, "utf-8")
    with pytest.raises(ItemError, match="industrial-product-licence"):
        load_catalogue((twice,))
    other = tmp_path / "other"
    other.mkdir()
    filing = (SHIPPED / "recycling-filing.toml").read_text("utf-8")
    (other / "a.toml").write_text(filing.replace("积石镇二号", "别处"), "utf-8")
    with pytest.raises(ItemError, match="site-address"):
        load_catalogue((other,))
    with pytest.raises(ItemError):
        load_catalogue((tmp_path / "absent",))


def test_items_differ_in_digest() -> None:
    """Each item has its own digest, and the local set another than the national one."""
    catalogue: Any = load_catalogue()
    assert len(set(catalogue.digests.values())) == len(catalogue.items)
    assert load_catalogue((HAINAN,)).digest != catalogue.digest
