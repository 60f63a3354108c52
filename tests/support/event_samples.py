"""One good event of every inbound type, to be bent by the tests."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from typing import Any

RECEIVED = datetime.fromisoformat("2018-09-10T10:00:00+08:00")
HOLDER = "9163000071040638XJ"
_ORDER = {
    "licence_number": "(青)XK16-204-00001",
    "holder_id": HOLDER,
    "ground": "依法",
    "decided_on": "2018-09-09",
}
_CLOCK = {"application_id": "QH-1", "holder_id": HOLDER, "cause": "hearing"}
_FILING = {"filing_id": "QH-1:seal", "holder_id": HOLDER, "department": "public-security"}

DATA: dict[str, dict[str, Any]] = {
    "application.submitted": {
        "application_id": "QH-2018-000001",
        "item": "industrial-product-licence",
        "action": "new",
        "applicant": {
            "kind": "enterprise",
            "id": HOLDER,
            "name": "青海甲化工有限公司",
            "address": "循化县一号",
            "division": "630225",
        },
        "products": [{"category": "化肥", "site": "积石镇", "detail": "复混肥料"}],
        "materials": [
            {"kind": "application-form", "uri": "store:uploads/" + "0a" * 32},
            {"kind": "commitment-letter", "signed_on": "2018-09-09"},
            {"kind": "business-licence", "deferred_until": "2018-10-01"},
        ],
        "channel": "online",
        "window": "630225",
    },
    "application.materials-supplied": {
        "application_id": "QH-1",
        "holder_id": HOLDER,
        "materials": [{"kind": "business-licence"}],
        "products": [{"category": "化肥"}],
        "applicant": {"name": "青海甲化工有限公司"},
        "shared": {"phone": "0971-1"},
    },
    "application.withdrawn": {"application_id": "QH-1", "holder_id": HOLDER, "reason": "不办了\n谢谢"},
    "application.reviewed": {
        "application_id": "QH-1",
        "holder_id": HOLDER,
        "department": "market-regulation",
        "officer": "o-1",
        "decision": "reject",
        "grounds": "一\r\n\t二",
        "false_material": False,
    },
    "application.clock-stopped": _CLOCK,
    "application.clock-resumed": _CLOCK,
    "registration.submitted": {
        "application_id": "R-1",
        "applicant": {"kind": "enterprise", "id": HOLDER},
        "items": [{"item": "seal", "answers": {"form": "圆", "count": 2}}],
        "shared": {"phone": "0971-1"},
        "materials": [{"kind": "application-form"}],
    },
    "filing.received": _FILING,
    "filing.claimed": _FILING,
    "filing.returned": {**_FILING, "reason": "缺"},
    "filing.corrected": {**_FILING, "answers": {"form": "方"}},
    "inspection.recorded": {
        "inspection_id": "I-1",
        "kind": "random",
        "holder_id": HOLDER,
        "licence_number": "(青)XK16-204-00001",
        "inspectors": [{"id": "i1", "department": "market-regulation"}],
        "inspected_on": "2018-09-09",
        "result": "未发现问题",
        "passed": True,
        "commitment_false": False,
        "findings": "无\n",
    },
    "inspections.published": {
        "draw": "ab" * 32,
        "digest": "01" * 32,
        "published_on": "2018-09-10",
        "count": 2,
    },
    "licence.withdrawn": _ORDER,
    "licence.rescinded": {**_ORDER, "deceit": True},
    "licence.revoked": {**_ORDER, "legal_basis": "行政许可法第六十九条"},
    "licence.cancelled": _ORDER,
    "licence.suspended": {**_ORDER, "until": "2018-10-01"},
    "licence.resumed": _ORDER,
    "decision.annulled": _ORDER,
    "licence.imported": {
        "holder": {"kind": "enterprise", "id": HOLDER, "name": "甲", "address": "乙", "division": "630225"},
        "licence_number": "青XK-1",
        "item": "industrial-product-licence",
        "issued_on": "2016-01-01",
        "valid_from": "2016-01-01",
        "valid_until": "2020-12-31",
    },
    "holder.classified": {"holder_id": HOLDER, "credit_class": "A"},
    "clock.ticked": {},
}

APPLICATION = "application.submitted"
# What is no reason to reject: whether an application is good is decided later.
GOOD: list[tuple[str, str, Any]] = [
    (APPLICATION, "applicant.name", None),
    (APPLICATION, "applicant.name", ...),
    (APPLICATION, "applicant.name", "  "),
    (APPLICATION, "applicant.address", ""),
    (APPLICATION, "applicant.division", ...),
    (APPLICATION, "applicant.division", "nowhere"),
    (APPLICATION, "products", []),
    (APPLICATION, "products", [{"category": "化肥"}] * 200),
    (APPLICATION, "applicant.name", "𠮷" * 200),
    (APPLICATION, "applicant.name", "#import $x$ \\ <b>&amp;</b> བོད ᠮᠣᠩ"),
    (APPLICATION, "applicant.id", "91630000710406380A"),
    (APPLICATION, "applicant.id", " ９１６３００００７１０４０６３８ｘｊ "),
    (APPLICATION, "item", "no-such-item"),
    (APPLICATION, "materials", []),
    (APPLICATION, "materials.0.sha256", "ab"),
    (APPLICATION, "materials.1.signed_on", None),
    (APPLICATION, "materials.1.signed_on", "2900-01-01"),
    (APPLICATION, "window", "630225100"),
    (APPLICATION, "window", "630225100200"),
    (APPLICATION, "application_id", "（青）-1"),
    (APPLICATION, "application_id", "〔2018〕1号"),
    (APPLICATION, "application_id", "é" * 64),
    (APPLICATION, "application_id", "x" * 64 + " "),
    (APPLICATION, "licence_number", None),
    (APPLICATION, "unknown", {"a": [1, 2.5, None, 12345678901234567890]}),
    (APPLICATION, "applicant.unknown", True),
    ("inspection.recorded", "inspectors", []),
    ("licence.revoked", "decided_on", "2999-01-01"),
    ("licence.suspended", "until", "1900-01-01"),
    ("registration.submitted", "items", []),
    ("clock.ticked", "unknown", 1),
]


def event(kind: str = "application.submitted", **over: Any) -> dict[str, Any]:
    """A good event; `over` replaces envelope attributes (`...` leaves one out)."""
    value = {
        "specversion": "1.0",
        "id": "01J0000000000000000000000A",
        "source": "urn:agency:630000:market-regulation",
        "type": f"zhengzhao.{kind}.v1",
        "subject": "QH-2018-000001",
        "time": "2018-09-10T09:12:00+08:00",
        "datacontenttype": "application/json",
        "data": copy.deepcopy(DATA[kind]),
        **over,
    }
    return {k: v for k, v in value.items() if v is not ...}


def bend(kind: str, path: str, value: Any) -> dict[str, Any]:
    """A good event with the value at a path of its data replaced; `...` leaves the field out."""
    whole = event(kind)
    place: Any = whole["data"]
    *steps, last = [int(s) if s.isdigit() else s for s in path.split(".")]
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return whole


def raw(value: Any) -> bytes:
    """Its JSON text, characters as they are; lone surrogates as escapes."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
