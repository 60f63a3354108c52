"""JSON from outside: bytes → value, and one reading of them only.

Refused, with :class:`~schemas.errors.Rejected`: what is not UTF-8 (RFC 8259, 8.1), a key twice in one object,
NaN and infinities, numbers beyond a double, lone surrogates (no UTF-8, hence no RFC 8785 form), more than
`max_bytes`, more than `max_depth` levels (the outermost value is level 1). Whole numbers beyond ±(2⁵³ − 1)
become the nearest double, as RFC 7493 and RFC 8785 read them.

One encoding of each JSON value: RFC 8785 (JSON Canonicalization Scheme).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any, Final, NoReturn

import orjson
import rfc8785

from schemas.errors import Rejected
from schemas.identifiers import masked

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_SAFE: Final = 2**53 - 1
_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKET: Final = re.compile(r"[{}\[\]]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE: Final = re.compile(r"\\u[dD][89abcdefABCDEF]")
_UTF8_HINT: Final = "以 UTF-8 编码保存 / save it as UTF-8"
_JSON_HINT: Final = (
    "每行一个 JSON 对象，见 schema export / one JSON object per line; zhengzhao schema export DIR"
)


def loads(raw: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of a JSON text. Raises Rejected says what is wrong with it."""
    if len(raw) > max_bytes:
        raise Rejected(
            f"超过 {max_bytes} 字节（{len(raw)}） / over {max_bytes} bytes ({len(raw)})",
            hint="分成多个事件，或以附件地址代替内容 / split it, or put files into the store and name their uri",
        )
    text = decode(raw)
    _check_depth(text, max_depth)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Rejected(
            f"不是 JSON（第 {error.pos + 1} 个字符：{error.msg}） / not JSON (character {error.pos + 1}: {error.msg})",
            hint=_JSON_HINT,
        ) from None
    if _ESCAPED_SURROGATE.search(text):
        _refuse_surrogates(value, "")
    return value


def decode(raw: bytes) -> str:
    """Return the text of UTF-8 bytes. Raises Rejected for other encodings, with the byte where they begin."""
    if raw[:2] in _BOMS or b"\0" in raw[:4]:
        raise Rejected("UTF-16 或 UTF-32 编码 / encoded as UTF-16 or UTF-32", hint=_UTF8_HINT)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(
            f"第 {error.start + 1} 字节起不是 UTF-8 / not UTF-8 from byte {error.start + 1} on",
            hint=_UTF8_HINT,
        ) from None


def shown(text: str) -> str:
    """Return a text from outside as it may stand in a message: short, without a person's number or what a terminal would obey."""
    text = masked(text)
    cut = text if len(text) <= 60 else f"{text[:59]}…"
    return cut if cut.isprintable() else ascii(cut)[1:-1]


def _check_depth(text: str, most: int) -> None:
    """Count brackets outside strings, so that the parser that comes after meets no excessive depth."""
    if text.count("{") + text.count("[") <= most:
        return
    depth = 0
    for mark in _BRACKET.findall(_outside_strings(text)):
        if mark in "{[":
            depth += 1
            if depth > most:
                raise Rejected(
                    f"嵌套超过 {most} 层 / nested deeper than {most} levels",
                    hint="减少嵌套 / flatten the value",
                )
        else:
            depth -= 1


def _outside_strings(text: str) -> str:
    """Return a JSON text without its strings. Without escapes every second quotation mark ends one: that is quickly done."""
    return _STRING.sub("", text) if "\\" in text else "".join(text.split('"')[::2])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Rejected(
                    f"键重复：{shown(key)} / the key {shown(key)} stands twice in one object",
                    hint="每个键只写一次 / write each key once",
                )
            seen.add(key)
    return found


def _whole(digits: str) -> int | float:
    if len(digits) <= 15:
        return int(digits)
    number = _double(digits)
    if abs(number) > MAX_SAFE:
        return number
    return int(digits)


def _double(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        shown = digits if len(digits) <= 24 else f"{digits[:20]}…"
        raise Rejected(
            f"数字过大：{shown} / a number beyond a double: {shown}",
            hint="长数字写成字符串 / write long numbers as strings",
        )
    return number


def _constant(name: str) -> NoReturn:
    raise Rejected(
        f"JSON 没有 {name} / there is no {name} in JSON", hint="删去，或写 null / leave it out or write null"
    )


def _refuse_surrogates(value: Any, where: str) -> None:
    if isinstance(value, str):
        if _SURROGATE.search(value):
            raise Rejected(
                "单独的代理码位 / a lone surrogate",
                where=where,
                hint="以成对的代理或直接以 UTF-8 书写 / write the character itself, in UTF-8",
            )
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_surrogates(key, where)
            _refuse_surrogates(inner, f"{where}.{shown(key)}" if where else shown(key))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            _refuse_surrogates(inner, f"{where}[{n}]")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_double, parse_constant=_constant
)


_MAX_SAFE = 2**53 - 1


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value made of dict, list, str, int, float, bool and None.

    Raises ValueError for what has no such form: integers beyond ±(2⁵³ − 1), NaN, lone surrogates.
    """
    if _is_plain(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # a lone surrogate, or too deep: the other way says it better
            pass
    try:
        return rfc8785.dumps(value)
    except (UnicodeEncodeError, RecursionError) as error:  # surrogates in keys; thousands of levels
        raise ValueError(f"no RFC 8785 form: {type(error).__name__}") from None


def _is_plain(value: Any) -> bool:
    """Tell whether orjson's bytes are those of RFC 8785: no floats, safe integers, keys that sort alike.

    RFC 8785 sorts keys by UTF-16 units, orjson by code points: alike for ASCII.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is dict:
        for key, inner in value.items():
            if type(key) is not str or not key.isascii():
                return False
            if type(inner) is not str and not _is_plain(inner):
                return False
        return True
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    return kind is int and -_MAX_SAFE <= value <= _MAX_SAFE


def digest(value: Any) -> str:
    """Lower-case hex SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


def derived_id(*parts: str | int) -> str:
    """Return the id of what a stage emits: a hash of (cause, stage, holder, type, n), 32 hex digits.

    Parts are length-prefixed, so that no two lists of parts run together into one text.
    """
    return id_of(joined(*parts))


def joined(*parts: str | int) -> str:
    """Return parts with their lengths before them, as `derived_id` hashes them, so that a common beginning is joined once."""
    return "".join([f"{len(p)}:{p}" for p in map(str, parts)])  # a list: this runs several times an event


def id_of(text: str) -> str:
    """Return the id of joined parts."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
