"""How the samples write events: identifiers with right check digits of nobody, and the envelope."""

from __future__ import annotations

import json
from typing import Any

PROVINCE = "urn:agency:630000:market-regulation"
Event = dict[str, Any]

_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CODE_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_BODY_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def uscc(n: int, division: str) -> str:
    """The n-th made-up unified social credit code (统一社会信用代码) of a division (GB 32100, GB 11714)."""
    body = f"{n:08d}"
    rest = 11 - sum(int(c) * w for c, w in zip(body, _BODY_WEIGHTS, strict=True)) % 11
    seventeen = f"91{division}{body}" + {10: "X", 11: "0"}.get(rest, str(rest))
    total = sum(_CODE.index(c) * w for c, w in zip(seventeen, _CODE_WEIGHTS, strict=True))
    return seventeen + _CODE[(31 - total % 31) % 31]


def with_wrong_digit(code: str) -> str:
    """The code with another check digit than its own."""
    return code[:-1] + _CODE[(_CODE.index(code[-1]) + 1) % 31]


def citizen_id(division: str) -> str:
    """A made-up citizen id number (GB 11643) of somebody born on 31 December 1899: nobody has it."""
    seventeen = f"{division}18991231001"
    total = sum(int(c) * w for c, w in zip(seventeen, _CITIZEN_WEIGHTS, strict=True))
    return seventeen + "10X98765432"[total % 11]


def event(own: str, kind: str, time: str, data: dict[str, Any], source: str = PROVINCE) -> Event:
    """A CloudEvent; its subject is the application, filing, inspection or licence that it is about."""
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
    """An event as a line of JSON, without its end."""
    return json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()
