"""Inbound events: CloudEvents 1.0 with JSON data, and every reason to reject one at the door.

`parse_event` does all that one event alone can show. Whether the same source and id came before with other
content is known where events are kept; whether an application is *good* is decided later, by a fact.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from schemas.calendar import read_time
from schemas.canonical_json import canonical, loads, shown
from schemas.errors import Rejected
from schemas.event_rules import Check, absent_field, check_controls, checker
from schemas.event_types import EVENT_TYPES, PREFIX, SUFFIX, EventData
from schemas.identifiers import compare

MAX_EVENT_ID: Final = 256
SOURCE: Final = re.compile(r"urn:agency:([0-9]{6}):([A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?)")
_TEXTS: Final = ("specversion", "id", "source", "type", "time")
_OPTIONAL_TEXTS: Final = ("subject", "datacontenttype", "dataschema", "proof")


class Event(msgspec.Struct, frozen=True):
    """An event that may enter.

    `type_name` is the type without prefix and suffix, `division` and `department` are the source's, `raw` the
    JSON as it was sent, `content` its RFC 8785 form without `proof`, `content_digest` the SHA-256 (hex) of that:
    same source, id and digest = the same event.
    """

    id: str
    source: str
    division: str
    department: str
    type: str
    type_name: str
    time: datetime
    data: EventData
    raw: dict[str, Any]
    content: bytes
    content_digest: str
    subject: str | None = None
    proof: str | None = None

    @property
    def holder_id(self) -> str | None:
        """Return the holder's id (or a drawn target's) in the compared form, or None for the clock, which concerns everyone."""
        data: Any = self.data
        for name in ("holder_id", "applicant", "holder", "target", "draw"):
            if (value := getattr(data, name, None)) is not None:
                return compare(value if isinstance(value, str) else value.id)
        return None


def parse_event(raw: bytes, received_at: datetime, backdate_days: int | None = None) -> Event:
    """Return an event from its JSON text. Raises Rejected with message, field and hint.

    `received_at` has a zone; an event dated more than `backdate_days` before it is rejected (None: no limit).
    """
    value = loads(raw)
    if isinstance(value, dict) and value.get("data_base64") is not None:
        raw = _with_decoded(value)
        value = loads(raw)
    if not isinstance(value, dict):
        raise Rejected(
            "不是 JSON 对象 / not a JSON object",
            hint="一个事件是一个 JSON 对象 / one event is one JSON object",
        )
    return read_event(value, received_at, controls=not is_clean(raw), backdate_days=backdate_days)


def with_data(attributes: Mapping[str, Any], data: bytes) -> bytes:
    """Return the structured form of an event whose data come apart from its attributes, as in binary mode.

    Raises Rejected where the data are no JSON text by themselves, so that nothing in them passes for an attribute.
    """
    if "data" in attributes:
        raise Rejected(
            "数据给了两次 / the data are given twice", where="data", hint="只给一次 / give them once"
        )
    try:
        loads(data)
    except Rejected as fault:
        raise Rejected(fault.message, hint=fault.hint, where="data") from None
    envelope = json.dumps(attributes, ensure_ascii=False).encode()
    return envelope[:-1] + (b', "data": ' if attributes else b'"data": ') + data + b"}"


def _with_decoded(value: dict[str, Any]) -> bytes:
    """Return an event with the JSON of its `data_base64` as `data`, which is its one form for digest and proof."""
    encoded = value["data_base64"]
    if not isinstance(encoded, str):
        raise _other_type("data_base64")
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise Rejected(
            "不是 base64 / not base64", where="data_base64", hint="RFC 4648，第 4 节 / RFC 4648, section 4"
        ) from None
    return with_data(
        {k: v for k, v in value.items() if k != "data_base64" and (k, v) != ("data", None)}, data
    )


def read_event(
    value: dict[str, Any],
    received_at: datetime,
    *,
    controls: bool = True,
    backdate_days: int | None = None,
) -> Event:
    """Return an event from a value that `canonical_json.loads` gave; as `parse_event`.

    `controls` may be False only where no text of the value can hold a control character.
    """
    for name in _TEXTS:
        _text(value, name, required=True)
    for name in _OPTIONAL_TEXTS:
        _text(value, name, required=False)
    if controls:
        for name, attribute in value.items():
            if isinstance(attribute, str) and name != "id":
                check_controls(attribute, shown(name))
    type_name = _envelope(value)
    division, department = _source(value["source"])
    try:
        time = read_time(value["time"], received_at, backdate_days)
    except Rejected as fault:
        raise Rejected(fault.message, hint=fault.hint, where="time") from None
    data = _data(value.get("data"), type_name, controls)
    content = canonical({k: v for k, v in value.items() if k != "proof"})
    return Event(
        id=value["id"],
        source=value["source"],
        division=division,
        department=department,
        type=value["type"],
        type_name=type_name,
        time=time,
        data=data,
        raw=value,
        content=content,
        content_digest=hashlib.sha256(content).hexdigest(),
        subject=value.get("subject"),
        proof=value.get("proof"),
    )


def is_clean(raw: bytes) -> bool:
    """Tell whether no text in a JSON document can hold a control character: no escapes, nothing unprintable.

    Line feeds and tabs between values do not count: JSON has none inside a text.
    """
    return b"\\" not in raw and raw.translate(None, b"\t\n\r").decode().isprintable()


def _text(value: dict[str, Any], name: str, *, required: bool) -> None:
    found = value.get(name)
    if isinstance(found, str):
        return
    if found is not None:
        raise _other_type(name)
    if required:
        raise absent_field(name)


def _envelope(value: dict[str, Any]) -> str:
    """Check specversion, id and type, and return the type's name without prefix and suffix."""
    if value["specversion"] != "1.0":
        raise Rejected(
            f"不支持的 specversion：{shown(value['specversion'])} / CloudEvents 1.0 only",
            where="specversion",
            hint='写 "1.0" / write "1.0"',
        )
    if not 1 <= len(value["id"]) <= MAX_EVENT_ID or not value["id"].isprintable():
        raise Rejected(
            f"事件编号须为 1 至 {MAX_EVENT_ID} 个可打印字符 / an event id is 1 to {MAX_EVENT_ID} printable characters",
            where="id",
            hint="例如 UUID 或 ULID / a UUID or ULID, say",
        )
    kind: str = value["type"]
    name = kind.removeprefix(PREFIX).removesuffix(SUFFIX)
    if name not in EVENT_TYPES or kind != f"{PREFIX}{name}{SUFFIX}":
        raise Rejected(
            f"未知的事件类型：{shown(kind)} / unknown event type: {shown(kind)}",
            where="type",
            hint="zhengzhao schema export DIR 列出全部类型 / zhengzhao schema export DIR lists all types",
        )
    return name


def _source(source: str) -> tuple[str, str]:
    found = SOURCE.fullmatch(source)
    if found is None:
        raise Rejected(
            f"来源不是 urn:agency:<区划>:<部门>：{shown(source)} / not urn:agency:<division>:<department>",
            where="source",
            hint="例如 / for example: urn:agency:630000:market-regulation",
        )
    return found[1], found[2]


def _data(value: Any, type_name: str, controls: bool) -> EventData:
    if value is None:
        raise absent_field("data")
    try:
        data: EventData = msgspec.convert(value, EVENT_TYPES[type_name])
    except msgspec.ValidationError as error:
        raise _translated(str(error)) from None
    try:
        _checks(type_name, controls)(data)
    except Rejected as fault:
        raise Rejected(fault.message, hint=fault.hint, where=f"data.{fault.where}") from None
    return data


_CHECKS: Final[dict[tuple[str, bool], Check]] = {
    (name, controls): checker(struct, controls=controls)
    for name, struct in EVENT_TYPES.items()
    for controls in (False, True)
}


def _checks(type_name: str, controls: bool) -> Check:
    return _CHECKS[type_name, controls]


_AT: Final = re.compile(r"^(?P<fault>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`")
_ENUM: Final = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)


def _translated(message: str) -> Rejected:
    """Return an error of msgspec in the words of the contract, with the path of the field."""
    parts = _AT.match(message)
    assert parts is not None  # every text matches
    fault, path = parts["fault"], parts["path"] or ""
    inside = partial(".".join, ["data", path] if path else ["data"])
    if found := _MISSING.fullmatch(fault):
        return absent_field(f"{inside()}.{found['name']}")
    if found := _ENUM.fullmatch(fault):
        value = shown(found["value"])
        return Rejected(
            f"不在允许的取值之内：{value} / a value outside the enumeration: {value}",
            where=inside(),
            hint="zhengzhao schema export DIR 列出取值 / zhengzhao schema export DIR lists the values",
        )
    if "date" in fault and fault.startswith("Invalid"):
        return Rejected(
            "不是真实的日期 / not a real date", where=inside(), hint="例如 / for example: 2018-09-10"
        )
    return _other_type(inside(), fault)


def _other_type(where: str, fault: str = "") -> Rejected:
    more = f": {fault}" if fault else ""
    return Rejected(
        f"JSON 类型不符 / of another JSON type{more}",
        where=where,
        hint="zhengzhao schema export DIR 说明每个字段 / zhengzhao schema export DIR describes each field",
    )
