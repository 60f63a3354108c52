"""One encoding of each JSON value: RFC 8785 (JSON Canonicalization Scheme)."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import rfc8785

_MAX_SAFE = 2**53 - 1


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value made of dict, list, str, int, float, bool and None.

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
    """Whether orjson's bytes are those of RFC 8785: no floats, safe integers, keys that sort alike.

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
    """The id of what a stage emits: a hash of (cause, stage, holder, type, n), 32 hex digits.

    Parts are length-prefixed, so that no two lists of parts run together into one text.
    """
    return id_of(joined(*parts))


def joined(*parts: str | int) -> str:
    """Parts length-prefixed, as `derived_id` hashes them: what many ids begin with is joined once."""
    return "".join([f"{len(p)}:{p}" for p in map(str, parts)])  # a list: this runs several times an event


def id_of(text: str) -> str:
    """The id of joined parts."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
