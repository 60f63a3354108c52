"""Which series a licence number is of: its writer is the one that can say whether the number is free."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from schemas.items import Catalogue

_PARTS = {"{province}": r"\w{1,2}", "{division}": "[0-9]{6}", "{category}": ".+?"}
_DIGITS = "0123456789"


class Place(NamedTuple):
    """The series that a number belongs to, and its serial there; None where it is of no series of ours."""

    series: str
    serial: int | None


def place_of(number: str, catalogue: Catalogue) -> Place:
    """The one series whose writer answers for a number, whatever item it is imported for.

    A number made like an item's is of that item's series; of any other, what stands before its last digits names it.
    """
    for prefix, digits in sorted(
        {(i.number.prefix, i.number.digits) for i in catalogue.items.values() if i.number}
    ):
        head, tail = number[:-digits], number[-digits:]
        if tail.isascii() and tail.isdigit() and _made_by(prefix).fullmatch(head):
            return Place(head, int(tail))
    return Place(number.rstrip(_DIGITS) or number, None)


@lru_cache(maxsize=1024)
def _made_by(prefix: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[a-z]+\})", prefix)
    return re.compile("".join(_PARTS.get(part, re.escape(part)) for part in parts))
