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
    """Return the RFC 8785 bytes of a struct whose own keys are ASCII and whose `Raw` members are canonical already.

    The result equals that of `schemas.canonical_json.canonical` and comes about twenty times faster: a national
    transcript has half a million objects. Free keys (columns in `where`) occur only in `Raw` members.
    """
    return _ENCODER.encode(document)


def canonical_json(value: Any, where: str = "") -> bytes:
    """Return the RFC 8785 bytes of a value. Raise DrawError where it has none (huge numbers, lone surrogates)."""
    try:
        return canonical(value)
    except (ValueError, RecursionError) as error:
        raise DrawError(f"不能写成规范 JSON / has no canonical JSON form: {error}", where=where) from None


def read_file(path: Path) -> bytes:
    """Return the bytes of a file. Raise UsageError where it is absent, empty or not a file."""
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
    """Decode any JSON value. Raise UsageError where the bytes are not JSON or nest too deeply."""
    try:
        return orjson.loads(data)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"不是 JSON / not JSON: {error}", where=where) from None


def convert(value: Any, kind: type[T], where: str = "") -> T:
    """Convert a JSON value into a struct. Raise DrawError with the place of the first mismatch."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise DrawError(str(error), where=where) from None


def is_text(value: str, *, blank: bool = False) -> bool:
    """Return True for a line of text: no control characters, no lone surrogates, not blank unless `blank` allows it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return not CONTROL.search(value) and (blank or bool(value.strip()))


def shown_id(own: str) -> str:
    """Return an id for display: a person's number is masked."""
    return mask(own) if looks_personal(compare(own)) else own


def shown_name(name: str, own: str) -> str:
    """Return a name for display beside its id: only the first character of a person's."""
    return name[:1] + "*" * max(len(name) - 1, 1) if looks_personal(compare(own)) else name
