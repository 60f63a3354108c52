"""Who issues, and who may send what: authorities, their names, competence.

An authority is a department in a division; its code is its URN, which is also the source of its events.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from msgspec.structs import replace

from schemas.divisions import Level, at_level, everything, find, is_at_or_above, level, proper_name
from schemas.items import Catalogue, ServiceItem
from schemas.licence import Authority

SERVICE_HALL = "service-hall"
_SOURCE = re.compile(r"urn:agency:([0-9]{6}):([a-z0-9-]{1,64})")


class Source(NamedTuple):
    """An agency: department of a division."""

    division: str
    department: str


def source_of(urn: str) -> Source | None:
    """The parts of `urn:agency:<division>:<department>`; None for another form."""
    match = _SOURCE.fullmatch(urn)
    return Source(*match.groups()) if match else None


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    return tomllib.loads((files("schemas") / "data" / "authorities.toml").read_text("utf-8"))


@lru_cache(maxsize=4096)
def authority(division: str, department: str, on: str = "") -> Authority:
    """The authority of a known division and a department, as its division is called on a day (ISO; none: today).

    Raises KeyError for an unknown division.
    """
    found = find(division)
    if found is None:
        raise KeyError(division)
    code = f"urn:agency:{found.code}:{department}"
    name = _data()["names"].get(code) or _pattern(department, found.code).replace(
        "{division}", proper_name(found.code, on)
    )
    return Authority(code, name, found.code, department, host(found.code))


def _pattern(department: str, division: str) -> str:
    """How a department is called at a division's level; its code in brackets where no data name it."""
    found = _data()["departments"].get(department, "{division}（" + department + "）")
    return str(found if isinstance(found, str) else found.get(level(division)) or found["other"])


def department_title(department: str, at: Level) -> str:
    """A department at a level in general, for guides: 本省市场监督管理局."""
    where = {"province": "本省", "prefecture": "本市（州）", "county": "本县（市、区）"}[at]
    found = _data()["departments"].get(department, "{division}（" + department + "）")
    pattern = found if isinstance(found, str) else found.get(at) or found["other"]
    return str(pattern).replace("{division}", where)


def province(division: str) -> dict[str, str]:
    """Short name and QR host of a division's province."""
    found: dict[str, str] = _data()["provinces"].get(division[:2], {"short": "", "host": "ZHENGZHAO.EXAMPLE"})
    return found


def host(division: str) -> str:
    """HOST of the QR text."""
    return province(division)["host"]


def issuing_authority(item: ServiceItem, division: str, on: str = "") -> Authority | None:
    """The item's department at the item's level above the applicant's division, whatever the window.

    None where the division is unknown, or lies above the item's level and so has no such authority. Its name is that
    of the day `on` (ISO), or today's.
    """
    at = at_level(division, item.level)
    return named_on(authority(at, item.department), item, on) if at else None


def named_on(issuer: Authority, item: ServiceItem | None, on: str) -> Authority:
    """The issuing authority of an item under the name that it had on a day; an empty day means now."""
    then = authority(issuer.division, issuer.department, on)
    old = item.former(on) if item is not None and on else None
    if old is None or not old.authority:
        return replace(issuer, name=then.name)
    return replace(issuer, name=old.authority.replace("{division}", proper_name(issuer.division, on)))


def issuing_authorities(catalogue: Catalogue) -> tuple[Authority, ...]:
    """Every authority that the items of a catalogue can have, by code."""
    found = {
        (division.code, item.department)
        for item in catalogue.items.values()
        if item.mode != "filing"
        for division in everything()
        if level(division.code) == item.level
    }
    return tuple(authority(*pair) for pair in sorted(found))


def competent_for_application(source: str, item: ServiceItem, division: str) -> bool:
    """A window: one of the item's departments or a service hall, in the applicant's division or above it."""
    agency = source_of(source)
    return (
        agency is not None
        and agency.department in {*item.deciding, item.department, SERVICE_HALL}
        and is_at_or_above(agency.division, division)
    )


def competent_as_authority(source: str, issuer: Authority) -> bool:
    """The licence's issuing authority, or the same department above it."""
    agency = source_of(source)
    return (
        agency is not None
        and agency.department == issuer.department
        and is_at_or_above(agency.division, issuer.division)
    )


def competent_for_review(source: str, department: str, item: ServiceItem, issuer: Authority) -> bool:
    """One of the item's departments (the one that the event names), at the authority's division or above."""
    agency = source_of(source)
    return (
        agency is not None
        and agency.department == department
        and department in item.deciding
        and is_at_or_above(agency.division, issuer.division)
    )


def competent_in_division(source: str, department: str, division: str) -> bool:
    """A department in the holder's division or above it; a holder without a division: the province."""
    agency = source_of(source)
    if agency is None or agency.department != department:
        return False
    if division and find(division):
        return is_at_or_above(agency.division, division)
    return level(agency.division) == "province"
