"""licence.json: the names of GB/T 36903, one encoding, and nothing else read."""

from __future__ import annotations

import json

import pytest
from bureau import Item, identifier, numbered

from schemas.canonical_json import canonical
from schemas.errors import VerificationError
from schemas.licence import MAX_BODY, FilingRef, Particular, body_json, licence_body, read_body

LICENCE = numbered(version=2, filings=(FilingRef("QH-1:seal", "seal", "公章刻制备案", "public-security"),))
BODY = body_json(LICENCE, "青海盐湖化肥有限公司", "积石镇", Item())


def test_body_has_the_names_of_the_standard() -> None:
    """Each field of GB/T 36903 with its value, then what the standard does not name."""
    expected = {
        "ZZMC": "工业产品生产许可证",
        "ZZLXDM": "11100000000013338W011",
        "ZZBH": "(青)XK16-204-00001",
        "ZZBS": identifier(2),
        "ZZBFRQ": "2018-09-10",
        "CZZT": "青海盐湖化肥有限公司",
        "CZZTDM": "9163000071040638XJ",
        "CZZTDMLX": "统一社会信用代码",
        "CZZTDMLXDM": "001",
        "ZZYXQQSRQ": "2018-09-10",
        "ZZYXQJZRQ": "2023-09-09",
        "ZZBFJG": "青海省市场监督管理局",
        "ZZBFJGDM": "urn:agency:630000:market-regulation",
        "version": 2,
        "item": "industrial-product-licence",
        "application_id": "QH-2018-000001",
        "address": "积石镇",
        "previous_identifier": identifier(1),
        "filings": [
            {
                "filing_id": "QH-1:seal",
                "item": "seal",
                "name": "公章刻制备案",
                "department": "public-security",
            }
        ],
    }
    read = json.loads(BODY)
    products = read.pop("products")
    assert expected == read
    assert products[:1] == [{"category": "化肥", "site": "积石镇1号", "detail": "复合肥料"}]


def test_person_is_told_by_the_mask_and_its_code_type() -> None:
    """111 is the citizen id; no end and no predecessor are null."""
    person = numbered(holder_kind="person", holder_id="630***********001X", valid_until=None)
    read = json.loads(body_json(person, "扎西", "", Item()))
    assert (read["CZZTDMLXDM"], read["CZZTDMLX"]) == ("111", "公民身份号码")
    assert (
        read["CZZTDM"],
        read["ZZYXQJZRQ"],
        read["previous_identifier"],
    ) == ("630***********001X", None, None)


def test_particulars_stand_in_a_consolidated_certificate_alone() -> None:
    """With name, label and value; where there are none, the key is absent, and an empty list is another encoding."""
    given = Particular("legal-representative", "法定代表人", "马木沙")
    body = body_json(numbered(particulars=(given,)), "青海盐湖化肥有限公司", "积石镇", Item())
    expected = [{"name": "legal-representative", "label": "法定代表人", "value": "马木沙"}]
    assert expected == json.loads(body)["particulars"]
    assert (given,) == read_body(body).registered
    assert "particulars" not in VALUE
    assert read_body(BODY).registered == ()
    with pytest.raises(VerificationError):
        read_body(canonical(VALUE | {"particulars": []}))


def test_body_is_read_back() -> None:
    """To what it was made of."""
    assert licence_body(LICENCE, "青海盐湖化肥有限公司", "积石镇", Item()) == read_body(BODY)


VALUE = json.loads(BODY)
OTHERS = {
    "empty": b"",
    "white space": BODY + b"\n",
    "BOM": b"\xef\xbb\xbf" + BODY,
    "indented": json.dumps(VALUE, indent=1, ensure_ascii=False).encode(),
    "escaped": json.dumps(VALUE, sort_keys=True, separators=(",", ":")).encode(),
    "key twice": BODY.replace(b'{"CZZT"', b'{"CZZT":"x","CZZT"', 1),
    "further key": canonical(VALUE | {"extra": 1}),
    "key missing": canonical({k: v for k, v in VALUE.items() if k != "ZZBH"}),
    "number for text": canonical(VALUE | {"ZZBH": 5}),
    "float for number": BODY.replace(b'"version":2', b'"version":2.0'),
    "null for text": canonical(VALUE | {"ZZMC": None}),
    "not UTF-8": BODY.replace("青".encode(), b"\xff\xff\xff"),
    "nested without end": b'{"products":' + b"[" * 100_000,
    "too large": BODY + b" " * MAX_BODY,
    "NaN": BODY.replace(b'"version":2', b'"version":NaN'),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_bytes_are_refused(name: str) -> None:
    """Other encodings of the same content too: there is one."""
    with pytest.raises(VerificationError):
        read_body(OTHERS[name])
