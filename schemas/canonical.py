"""One encoding of each JSON value: RFC 8785 (JSON Canonicalization Scheme)."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value made of dict, list, str, int, float, bool and None.

    Raises ValueError for what has no such form: integers beyond ±(2⁵³ − 1), NaN, lone surrogates.
    """
    return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """Lower-case hex SHA-256 of the canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


def derived_id(*parts: str | int) -> str:
    """The id of what a stage emits: a hash of (cause, stage, holder, type, n), 32 hex digits.

    Parts are length-prefixed, so that no two lists of parts run together into one text.
    """
    text = "".join(f"{len(p)}:{p}" for p in map(str, parts))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
