"""A day of a provincial bureau in 2018, as events: the same ones on every machine.

Nothing here is drawn at random and nobody in it exists: enterprises have names of places, plain words and
trades, and codes whose check digits are right. A scene is a kind of application; the scenes are mixed over the
day by a hash of their names.

How the samples write events: identifiers with right check digits of nobody, and the envelope.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

PROVINCE = "urn:agency:630000:market-regulation"
Event = dict[str, Any]

_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CODE_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_BODY_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def uscc(n: int, division: str) -> str:
    """Return the n-th made-up unified social credit code (统一社会信用代码) of a division (GB 32100, GB 11714)."""
    body = f"{n:08d}"
    rest = 11 - sum(int(c) * w for c, w in zip(body, _BODY_WEIGHTS, strict=True)) % 11
    seventeen = f"91{division}{body}" + {10: "X", 11: "0"}.get(rest, str(rest))
    total = sum(_CODE.index(c) * w for c, w in zip(seventeen, _CODE_WEIGHTS, strict=True))
    return seventeen + _CODE[(31 - total % 31) % 31]


def with_wrong_digit(code: str) -> str:
    """Return the code with another check digit than its own."""
    return code[:-1] + _CODE[(_CODE.index(code[-1]) + 1) % 31]


def citizen_id(division: str) -> str:
    """Return a made-up citizen id number (GB 11643) of somebody born on 31 December 1899: nobody has it."""
    seventeen = f"{division}18991231001"
    total = sum(int(c) * w for c, w in zip(seventeen, _CITIZEN_WEIGHTS, strict=True))
    return seventeen + "10X98765432"[total % 11]


def event(own: str, kind: str, time: str, data: dict[str, Any], source: str = PROVINCE) -> Event:
    """Return a CloudEvent; its subject is the application, filing, inspection or licence that it is about."""
    names = ("application_id", "filing_id", "inspection_id", "licence_number", "granted_by", "holder_id")
    subject = next((data[name] for name in names if name in data), "clock")
    return {
        "specversion": "1.0",
        "id": own,
        "source": source,
        "type": f"zhengzhao.{kind}.v1",
        "subject": subject,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }


def line(written: Event) -> bytes:
    """Return an event as a line of JSON, without its end."""
    return json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()


__all__ = [
    "DAY",
    "ITEM",
    "PROVINCE",
    "SCENES",
    "Scene",
    "applications",
    "applications_of",
    "lines",
    "scenes",
    "uscc",
]

DAY = "2018-09-12"
ITEM = "industrial-product-licence"

# places as they stand in names and addresses, and their division codes
_PLACES = (
    ("循化", "循化撒拉族自治县积石镇", "630225"),
    ("西宁", "西宁市城东区八一路", "630102"),
    ("海东", "海东市平安区平安镇", "630203"),
    ("互助", "互助土族自治县威远镇", "630223"),
    ("格尔木", "格尔木市昆仑路", "632801"),
    ("德令哈", "德令哈市柴达木路", "632802"),
    ("共和", "共和县恰卜恰镇", "632521"),
    ("大通", "大通回族土族自治县桥头镇", "630121"),
    ("民和", "民和回族土族自治县川口镇", "630222"),
    ("门源", "门源回族自治县浩门镇", "632221"),
    ("湟源", "湟源县城关镇", "630123"),
    ("贵德", "贵德县河阴镇", "632523"),
)
_WORDS = ("三江", "昆仑", "祁连", "河湟", "青唐", "雪域", "湖滨", "高原", "金源", "恒达", "宏泰", "瑞丰")
_TRADES = (
    ("化肥", "化肥有限公司", "复混肥料"),
    ("人造板", "木业有限公司", "胶合板"),
    ("电线电缆", "线缆有限公司", "架空绞线"),
    ("建筑防水卷材", "建材有限公司", "弹性体改性沥青防水卷材"),
    ("耐火材料", "耐火材料有限公司", "定形耐火砖"),
    ("砂轮", "磨具有限公司", "陶瓷砂轮"),
    ("饲料粉碎机械", "农机有限公司", "锤片式粉碎机"),
    ("钢丝绳", "金属制品有限公司", "一般用途钢丝绳"),
    ("特种劳动防护用品", "防护用品有限公司", "安全帽"),
    ("建筑钢管脚手架扣件", "铸造有限公司", "直角扣件"),
)
_RARE = ("䶮", "𠮷")  # characters that a font set may lack: they must come out on the page


class Scene(NamedTuple):
    """A kind of application of the day: how many, what is said of it in the table, and how each must end."""

    name: str
    number: int
    said: str
    becomes: str


SCENES = (
    Scene("complete", 152, "材料齐全 / complete", "issued"),
    Scene("several", 12, "多个产品、多个厂址 / several products and sites", "issued"),
    Scene("rare", 2, "名称含生僻字 / rare characters in the name", "issued"),
    Scene("incomplete", 14, "缺材料 / materials missing", "correction-requested"),
    Scene("supplied", 10, "缺材料，当日补齐 / missing, supplied the same day", "issued"),
    Scene("unsigned", 6, "承诺书未签 / the letter of commitment not signed", "correction-requested"),
    Scene("wrong-id", 8, "统一社会信用代码校验位错误 / a wrong check digit", "refused"),
    Scene("incompetent", 5, "来源无权受理 / an incompetent source", "refused"),
    Scene("unknown-category", 4, "产品不在目录 / a category under no licence", "refused"),
    Scene("withdrawn", 4, "申请人撤回 / withdrawn", "withdrawn"),
    Scene("twice", 6, "同一申请又来一次，另一事件号 / the same application under another event id", "issued"),
)
RESENT = 9  # events that a client sends again, byte for byte
BROKEN = (
    b'{"specversion":"1.0","id":"broken-1","type":"zhengzhao.application.submitted.v1"',
    b'{"specversion":"1.0","id":"broken-2","source":"urn:agency:630000:market-regulation",'
    b'"type":"zhengzhao.application.submitted.v1","time":"2018-09-12T10:00:00","data":{}}',
)


def applications() -> int:
    """Return how many applications the day has."""
    return sum(scene.number for scene in SCENES)


def lines() -> Iterator[bytes]:
    """Return the day as lines of JSON, in the order of their times, two broken ones among them."""
    events = sorted(_events(), key=lambda e: (e["time"], e["id"]))
    step = len(events) // RESENT
    for n, one in enumerate(events):
        text = line(one)
        yield text
        if n % step == step - 1 and n // step < RESENT:
            yield text
        if n in (40, 90):
            yield BROKEN[n == 90]


def scenes() -> Iterator[tuple[str, str]]:
    """Every application of the day with the scene to which it belongs."""
    for n, scene in enumerate(_order(), 1):
        yield f"QH-2018-{n:06d}", scene


def applications_of(scene: str) -> list[dict[str, Any]]:
    """Return the data of every application of a scene, as first submitted, in their order."""
    return [next(_application(n, name))["data"] for n, name in enumerate(_order(), 1) if name == scene]


def _events() -> Iterator[Event]:
    for number, scene in enumerate(_order(), 1):
        yield from _application(number, scene)


def _order() -> list[str]:
    names = [(scene.name, n) for scene in SCENES for n in range(scene.number)]
    return [
        name for name, _ in sorted(names, key=lambda p: hashlib.sha256(f"{p[0]}:{p[1]}".encode()).digest())
    ]


def _application(n: int, scene: str) -> Iterator[Event]:
    place, street, division = _PLACES[n % len(_PLACES)]
    category, kind, detail = _TRADES[n * 7 % len(_TRADES)]
    rare = _RARE[n % 2] if scene == "rare" else ""
    holder = uscc(10_000_000 + n * 7919, division)
    minute = 8 * 60 + 30 + n * 2
    data: dict[str, Any] = {
        "application_id": f"QH-2018-{n:06d}",
        "item": ITEM,
        "action": "new",
        "applicant": {
            "kind": "enterprise",
            "id": holder,
            "name": f"青海{place}{_WORDS[n * 5 % len(_WORDS)]}{rare}{_WORDS[(n // 12) % len(_WORDS)]}{kind}",
            "address": f"青海省{street}{n}号",
            "division": division,
        },
        "products": [{"category": category, "site": f"{street}工业园{n % 9 + 1}号厂房", "detail": detail}],
        "materials": [
            {"kind": "application-form"},
            {"kind": "commitment-letter", "signed_on": DAY},
            {"kind": "business-licence"},
        ],
        "channel": ("online", "window")[n % 3 == 0],
        "window": division if n % 2 else f"{division}{n % 20 + 1:03d}",
    }
    source = (PROVINCE, f"urn:agency:{division}:service-hall", f"urn:agency:{division}:market-regulation")[
        n % 3
    ]
    _vary(data, scene, n)
    if scene == "incompetent":
        source = ("urn:agency:620100:market-regulation", f"urn:agency:{division}:agriculture")[n % 2]
    yield _event(n, "a", "application.submitted", minute, source, data)
    if scene == "supplied":
        supplied = [{"kind": "commitment-letter", "signed_on": DAY}, {"kind": "business-licence"}]
        part = {"application_id": data["application_id"], "holder_id": holder, "materials": supplied}
        yield _event(n, "b", "application.materials-supplied", minute + 25, source, part)
    if scene == "withdrawn":
        part = {"application_id": data["application_id"], "holder_id": holder, "reason": "企业改变计划"}
        yield _event(n, "b", "application.withdrawn", minute + 25, source, part)
    if scene == "twice":
        yield _event(n, "b", "application.submitted", minute + 25, source, data)


def _vary(data: dict[str, Any], scene: str, n: int) -> None:
    holder = data["applicant"]
    if scene in ("incomplete", "supplied", "withdrawn"):
        data["materials"] = [{"kind": "application-form"}]
        if scene == "incomplete" and n % 2:
            holder["address"] = ""
    elif scene == "unsigned":
        data["materials"][1] = {"kind": "commitment-letter"}
    elif scene == "wrong-id":
        holder["id"] = with_wrong_digit(holder["id"])
    elif scene == "unknown-category":
        data["products"][0]["category"] = ("烟花爆竹", "民用航空器")[n % 2]
    elif scene == "several":
        data["products"] += [
            {"category": c, "site": f"{data['products'][0]['site']}（{k}车间）", "detail": d}
            for k, (c, _, d) in zip(
                "甲乙丙", (_TRADES[(n + i) % len(_TRADES)] for i in range(3)), strict=True
            )
        ]


def _event(n: int, part: str, kind: str, minute: int, source: str, data: dict[str, Any]) -> Event:
    time = f"{DAY}T{minute // 60:02d}:{minute % 60:02d}:00+08:00"
    return event(f"sample-{n:06d}-{part}", kind, time, data, source)
