"""Files of a draw as bytes: one form per content (RFC 8785), and other bytes of the same content are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import orjson

from schemas.canonical_json import canonical
from schemas.errors import DrawError, UsageError
from schemas.identifiers import compare, looks_personal, mask

T = TypeVar("T")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")  # Unicode category Cc
HEX64 = re.compile("[0-9a-f]{64}")
_ENCODER = msgspec.json.Encoder(order="sorted")


def encode(document: msgspec.Struct) -> bytes:
    """The RFC 8785 bytes of a struct whose own keys are ASCII; what it holds as `Raw` is canonical already.

    The same bytes as `schemas.canonical_json.canonical`, some twenty times faster: a national transcript has
    half a million objects. Free keys (columns in `where`) only stand in what is kept as `Raw`.
    """
    return _ENCODER.encode(document)


def canonical_json(value: Any, where: str = "") -> bytes:
    """RFC 8785 bytes; DrawError for what has no such form (huge numbers, lone surrogates)."""
    try:
        return canonical(value)
    except (ValueError, RecursionError) as error:
        raise DrawError(f"不是规范 JSON / no canonical JSON: {error}", where=where) from None


def read_file(path: Path) -> bytes:
    """The bytes of a file; UsageError where it is absent, empty or no file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"无法读取 / cannot read it: {error.strerror}", where=str(path), hint="check the path"
        ) from None
    if not data:
        raise UsageError("the file is empty / 文件为空", where=str(path))
    return data


def parse_json(data: bytes, where: str = "") -> Any:
    """Any JSON value; UsageError where the bytes are none (or nest too deeply)."""
    try:
        return orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"不是 JSON / not JSON: {error}", where=where) from None


def convert(value: Any, kind: type[T], where: str = "") -> T:
    """A JSON value as a struct; DrawError names the place of what does not fit."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise DrawError(str(error), where=where) from None


def is_text(value: str, *, blank: bool = False) -> bool:
    """Whether it is a line of text: no control characters, no lone surrogates, and (unless allowed) not blank."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return not CONTROL.search(value) and (blank or bool(value.strip()))


def shown_id(own: str) -> str:
    """An id as outputs show it: a person's number masked."""
    return mask(own) if looks_personal(compare(own)) else own
