"""Administrative divisions (GB/T 2260): names, parents, former codes. The list is `data/divisions.csv`."""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

Level = Literal["province", "prefecture", "county"]
LEVELS: tuple[Level, ...] = ("province", "prefecture", "county")


class Division(NamedTuple):
    """One division; `parent` is empty for a province."""

    code: str
    name: str
    parent: str


class _Tables(NamedTuple):
    """Divisions by code; former codes (named in the notes) → today's; today's code → the name before, its last day (ISO)."""

    now: dict[str, Division]
    former: dict[str, str]
    renamed: dict[str, tuple[str, str]]


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    text = (files("schemas") / "data" / "divisions.csv").read_text("utf-8")
    tables = _Tables({}, {}, {})
    for row in csv.DictReader(text.splitlines()):
        tables.now[row["code"]] = Division(row["code"], row["name"], row["parent"])
        for code in re.findall(r"\b[0-9]{6}\b", row["note"]):
            tables.former[code] = row["code"]
        if row["formerly"]:
            tables.renamed[row["code"]] = (row["formerly"], row["until"])
    return tables


@lru_cache(maxsize=4096)
def find(code: str) -> Division | None:
    """The division of a six-digit code, of today or former; None where there is none."""
    tables = _tables()
    return tables.now.get(code) or tables.now.get(tables.former.get(code, ""))


def everything() -> tuple[Division, ...]:
    """All divisions of today, in the order of the list."""
    return tuple(_tables().now.values())


@lru_cache(maxsize=4096)
def chain(code: str) -> tuple[str, ...]:
    """A division and those above it, from itself to the province, in today's codes; empty where it is unknown."""
    found = find(code)
    return (found.code, *chain(found.parent)) if found else ()


def level(code: str) -> Level | None:
    """Province, prefecture or county; None for an unknown code."""
    depth = len(chain(code))
    return LEVELS[depth - 1] if depth else None


def at_level(code: str, wanted: Level) -> str | None:
    """The division at a level above (or at) `code`; None where there is none (a county above a province)."""
    above = chain(code)[::-1]
    index = LEVELS.index(wanted)
    return above[index] if index < len(above) else None


def is_at_or_above(upper: str, lower: str) -> bool:
    """Whether `upper` is `lower` or one above it in the same province; former codes count as today's."""
    found = find(upper)
    return found is not None and found.code in chain(lower)


def proper_name(code: str, on: str = "") -> str:
    """A division as its authorities called themselves on a day (ISO; none: today): a district (市辖区) after its city,
    西宁市城东区."""
    found = find(code)
    if found is None:
        return ""
    before, until = _tables().renamed.get(found.code, ("", ""))
    name = before if on and on <= until else found.name
    above = find(found.parent) if level(code) == "county" and name.endswith("区") else None
    return f"{above.name if above else ''}{name}"


def full_name(code: str) -> str:
    """The names from the province down: 青海省海东市循化撒拉族自治县."""
    return "".join(division.name for c in reversed(chain(code)) if (division := find(c)))
