"""Checks that a licence must pass before anything is signed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from typing import Final

from schemas.errors import LintError
from schemas.identifiers import (
    compare,
    looks_personal,
    parse_identifier,
    serial_text,
    shows_nothing,
    unprintable,
)
from schemas.licence import HOST, MAX_BODY, MAX_PARTICULAR, LicenceBody, Numbered, object_key
from schemas.persons import is_sealed
from schemas.ports import MAX_KEY

MAX_TEXT: Final = 200  # code points of a name, address, site or detail: the contract's limit
_MASK = re.compile(r"(.{3})?\*{11}(.{4})?")
# A sign of its own is set on the character before it, and no program reads that glyph back.
_LOOSE_SIGN = re.compile("(?:^|[^\u0f00-\u0fff])[\u0f71-\u0f84\u0f8d-\u0fbc]")
_BIDI = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
# Characters that fonts set one by one, each with a glyph of its own, so that a page reads back as it was written.
_PLAIN = re.compile("[ -~·—…\u3000-\u3002\u3008-\u301b\u4e00-\u9fa5\uff01-\uff5e]*")


def lint(numbered: Numbered, body: LicenceBody, body_size: int) -> None:
    """Raise LintError with every fault of a numbered grant and the body made of it."""
    faults = [
        *_numbers(numbered, body),
        *_dates(body),
        *_holder(numbered, body),
        *_authority(numbered),
        *_texts(body),
    ]
    if body_size > MAX_BODY:
        faults.append(f"licence.json 过大 / licence.json has {body_size} bytes, over {MAX_BODY}")
    if faults:
        raise LintError(
            "; ".join(faults), where=numbered.number or numbered.grant.grant_id, hint=_hint(faults)
        )


def has_unusual_text(body: LicenceBody) -> bool:
    """Tell whether a text of a page has characters that fonts may join, reorder or share glyphs for."""
    return not all(_PLAIN.fullmatch(text) for _, text in shown(body))


def _hint(faults: list[str]) -> str:
    if any("no font" in fault for fault in faults):
        return (
            "请当事人提供字库中有的字形 / ask for the name in characters of the font set, "
            "or add a font to issuance.fonts"
        )
    return "更正数据或事项后重试 / correct the data or the item, then: zhengzhao letters retry"


def _numbers(numbered: Numbered, body: LicenceBody) -> Iterator[str]:
    grant = numbered.grant
    if not numbered.number.strip():
        yield "没有编号 / the licence has no number"
    elif not numbered.number.startswith(grant.series) and grant.number is None:
        yield f"编号不属于其序列 / the number {numbered.number} is not of its series {grant.series}"
    if grant.number is not None and grant.number != numbered.number:
        yield f"编号不符 / the number {numbered.number} is not the licence's own, {grant.number}"
    if len(object_key(numbered.number, grant.version)) > MAX_KEY:
        yield "编号过长 / the number is too long for an object key"
    if numbered.status_index < 0 or not numbered.status_list:
        yield "状态列表中没有位置 / the licence has no place in a status list"
    if body.version < 1:
        yield f"版本号不对 / version {body.version} is below 1"
    yield from _identifier(numbered, body)


def _identifier(numbered: Numbered, body: LicenceBody) -> Iterator[str]:
    try:
        parts = parse_identifier(body.identifier)
    except ValueError as error:
        yield f"{body.identifier}: {error}"
        return
    expected = {
        "type": (parts.type_code, body.type_code),
        "issuer": (parts.issuer, numbered.grant.authority.division),
        "serial": (parts.serial, serial_text(body.number)),
        "version": (parts.version, f"{body.version:03d}"),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            yield f"证照标识不符 / the identifier's {name} is {found}, the licence's {wanted}"


def _dates(body: LicenceBody) -> Iterator[str]:
    try:
        issued, start = date.fromisoformat(body.issued_on), date.fromisoformat(body.valid_from)
        end = date.fromisoformat(body.valid_until) if body.valid_until is not None else None
    except ValueError as error:
        yield f"不是日期 / no date: {error}"
        return
    if issued > start:
        yield f"生效早于颁发 / valid from {start}, before it was issued on {issued}"
    if end is not None and end < start:
        yield f"到期早于生效 / valid until {end}, before it is valid from {start}"


def _holder(numbered: Numbered, body: LicenceBody) -> Iterator[str]:
    if shows_nothing(body.holder):
        yield "持证人没有名称 / the holder has no name"
    if any(is_sealed(text) for _, text in shown(body)):
        yield "有文字仍加密 / a text of the holder's is still sealed"
    if looks_personal(compare(body.holder_id)):
        yield "个人号码未遮盖 / a person's number stands in clear"
    elif numbered.grant.holder_kind == "person" and not _MASK.fullmatch(body.holder_id):
        yield "个人号码未遮盖 / a person's number is not masked"


def _authority(numbered: Numbered) -> Iterator[str]:
    authority = numbered.grant.authority
    if not authority.name.strip():
        yield f"发证机关没有名称 / the authority {authority.code} has no name"
    if not HOST.fullmatch(authority.host):
        yield f"主机名不符 / {authority.host!r} is no host for a QR: A-Z, 0-9, '.', '-' and a port"


def _texts(body: LicenceBody) -> Iterator[str]:
    texts = list(shown(body))
    for name, text in texts:
        most = MAX_PARTICULAR if name.startswith("the field ") else MAX_TEXT
        if len(text) > most:
            yield f"文字过长 / {name} has {len(text)} characters, over {most}"
    whole = "".join(text for _, text in texts)
    controls = [c for c in dict.fromkeys(whole) if c in _BIDI or unicodedata.category(c) in ("Cc", "Cs")]
    for char in controls:
        yield f"控制字符 / the control character U+{ord(char):04X} in {_first(texts, char)}"
    for name, text in texts:
        if _LOOSE_SIGN.search(text):
            yield f"藏文符号没有字母 / a Tibetan sign without its letter in {name}"
    for char in unprintable(whole):
        if char not in controls:
            yield f"字库没有此字 / no font has {char!r} (U+{ord(char):04X}) in {_first(texts, char)}"


def _first(texts: list[tuple[str, str]], char: str) -> str:
    return next(name for name, text in texts if char in text)


def shown(body: LicenceBody) -> Iterator[tuple[str, str]]:
    """Return every text of a body that stands on its page, with the name of its field."""
    yield "the licence's name", body.licence_name
    yield "the number", body.number
    yield "the holder's name", body.holder
    yield "the holder's id", body.holder_id
    yield "the address", body.address
    yield "the authority's name", body.authority
    for product in body.products:
        yield "a category", product.category
        yield "a site", product.site
        yield "a detail", product.detail
    for particular in body.registered:
        yield f"a field's label, {particular.name}", particular.label
        yield f"the field {particular.name}", particular.value
    for filing in body.filings:
        yield "a filing", filing.name
        yield "a filing's id", filing.filing_id
