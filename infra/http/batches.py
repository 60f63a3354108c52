"""Batches of events: a JSON array cut into the bytes of its elements, before any element is read.

Each element is then read on its own, by the strict rules for one event, so that a key twice, NaN or a lone surrogate
in one of them refuses that one and no neighbour (CloudEvents JSON batch format, 1.0).
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final

from infra.http.problems import Problem

_HINT: Final = "application/cloudevents-batch+json"
_SPACE: Final = re.compile(r"[ \t\r\n]*")
# It only finds where values end, and so takes whatever the strict reading refuses later with a better reason.
_SCANNER: Final = json.JSONDecoder(strict=False, parse_int=float)
_MAX_ID: Final = 256


def elements(raw: bytes, most: int) -> list[bytes]:
    """Return the bytes of each element of a JSON array.

    Raises Problem 400 where it is not an array of at most `most` elements.
    """
    # In Latin-1 each byte is one character, so that an element in a broken encoding spoils no other one.
    text = raw.removeprefix(codecs.BOM_UTF8).decode("latin-1")
    place = _after_space(text, 0)
    if text[place : place + 1] != "[":
        raise _not_a_batch(most)
    found: list[bytes] = []
    place = _after_space(text, place + 1)
    if text[place : place + 1] != "]":
        while True:
            end = _end_of_value(text, place, most)
            found.append(text[place:end].encode("latin-1"))
            if len(found) > most:
                raise _not_a_batch(most)
            place = _after_space(text, end)
            mark = text[place : place + 1]
            if mark == "]":
                break
            if mark != ",":
                raise _not_a_batch(most)
            place = _after_space(text, place + 1)
    if _after_space(text, place + 1) != len(text):
        raise _not_a_batch(most)
    return found


def element_id(raw: bytes) -> str:
    """Return the id that an element claims, so that its refusal can name it; empty where there is none."""
    try:
        value: Any = _SCANNER.decode(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ""
    claimed = value.get("id") if isinstance(value, dict) else None
    if not isinstance(claimed, str):
        return ""
    return claimed[:_MAX_ID].encode("utf-8", "replace").decode()


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match is not None  # it matches nothing, too
    return match.end()


def _end_of_value(text: str, place: int, most: int) -> int:
    try:
        _, end = _SCANNER.raw_decode(text, place)
    except (ValueError, RecursionError):
        raise _not_a_batch(most) from None
    return end


def _not_a_batch(most: int) -> Problem:
    return Problem(400, f"不是至多 {most} 个事件的数组 / not an array of at most {most} events", hint=_HINT)
