"""Authorities: who issues a licence, who may send which event, and their names over the years.

An authority is a department in a division; its code is its URN, which is also the source of its events.

Administrative divisions (GB/T 2260): names, parents, former codes. The list is `data/divisions.csv`.
"""

from __future__ import annotations

import csv
import re
import tomllib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.errors import UsageError
from schemas.item_types import ServiceItem
from schemas.items import AuthorityEntry, Catalogue, Directory, ProvinceEntry
from schemas.licence import HOST, Authority

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
    """Return the division of a six-digit code, of today or former, or None where there is none."""
    tables = _tables()
    return tables.now.get(code) or tables.now.get(tables.former.get(code, ""))


def everything() -> tuple[Division, ...]:
    """Return all divisions of today, in the order of the list."""
    return tuple(_tables().now.values())


@lru_cache(maxsize=4096)
def chain(code: str) -> tuple[str, ...]:
    """Return a division and those above it, from itself to the province, in today's codes; empty where it is unknown."""
    found = find(code)
    return (found.code, *chain(found.parent)) if found else ()


def level(code: str) -> Level | None:
    """Return province, prefecture or county; None for an unknown code."""
    depth = len(chain(code))
    return LEVELS[depth - 1] if depth else None


def at_level(code: str, wanted: Level) -> str | None:
    """Return the division at a level above (or at) `code`, or None where there is none (a county above a province)."""
    above = chain(code)[::-1]
    index = LEVELS.index(wanted)
    return above[index] if index < len(above) else None


def is_at_or_above(upper: str, lower: str) -> bool:
    """Tell whether `upper` is `lower` or one above it in the same province; former codes count as today's."""
    found = find(upper)
    return found is not None and found.code in chain(lower)


def proper_name(code: str, on: str = "") -> str:
    """Return a division as its authorities called themselves on a day (ISO; none: today): a district (市辖区) after its city,
    西宁市城东区."""
    found = find(code)
    if found is None:
        return ""
    before, until = _tables().renamed.get(found.code, ("", ""))
    name = before if on and on <= until else found.name
    above = find(found.parent) if level(code) == "county" and name.endswith("区") else None
    return f"{above.name if above else ''}{name}"


def renamed_until(code: str) -> frozenset[str]:
    """Return the last days (ISO) of former names of a division and of those above it that its own name shows."""
    found = _tables().renamed
    return frozenset(found[one][1] for one in chain(code)[:2] if one in found)


def full_name(code: str) -> str:
    """Return the names from the province down: 青海省海东市循化撒拉族自治县."""
    return "".join(division.name for c in reversed(chain(code)) if (division := find(c)))


EXAMPLE_HOST: Final = "ZHENGZHAO.EXAMPLE"
"""The example host, which nobody has: a QR code with it leads nowhere."""
NO_DIRECTORY: Final = Directory()
SERVICE_HALL = "service-hall"
_SOURCE = re.compile(r"urn:agency:([0-9]{6}):([a-z0-9-]{1,64})")


class Source(NamedTuple):
    """An agency: department of a division."""

    division: str
    department: str


def source_of(urn: str) -> Source | None:
    """Return the parts of `urn:agency:<division>:<department>`, or None for another form."""
    match = _SOURCE.fullmatch(urn)
    return Source(*match.groups()) if match else None


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    return tomllib.loads((files("schemas") / "data" / "authorities.toml").read_text("utf-8"))


@lru_cache(maxsize=4096)
def authority(division: str, department: str, on: str = "") -> Authority:
    """Return the authority of a known division and a department, as its division is called on a day (ISO; none: today).

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
    """Return the name pattern of a department at a division's level; its code in brackets where no data name it."""
    found = _data()["departments"].get(department, "{division}（" + department + "）")
    return str(found if isinstance(found, str) else found.get(level(division)) or found["other"])


def department_title(department: str, at: Level) -> str:
    """Return a department at a level in general, for guides: 本省市场监督管理局."""
    where = {"province": "本省", "prefecture": "本市（州）", "county": "本县（市、区）"}[at]
    found = _data()["departments"].get(department, "{division}（" + department + "）")
    pattern = found if isinstance(found, str) else found.get(at) or found["other"]
    return str(pattern).replace("{division}", where)


def province(division: str, directory: Directory = NO_DIRECTORY) -> dict[str, str]:
    """Return the short name and the QR host of a division's province."""
    found: dict[str, str] = _data()["provinces"].get(division[:2], {"short": "", "host": EXAMPLE_HOST})
    own = directory.provinces.get(division[:2], ProvinceEntry())
    return {"short": own.short or found["short"], "host": own.host or found["host"]}


def host(division: str) -> str:
    """Return the HOST of the QR text where no directory names another."""
    return province(division)["host"]


def issuing_authority(
    item: ServiceItem, division: str, on: str = "", directory: Directory = NO_DIRECTORY
) -> Authority | None:
    """Return the item's department at the item's level above the applicant's division, whatever the window.

    None where the division is unknown, or lies above the item's level and so has no such authority. Its name is that
    of the day `on` (ISO), or today's; a directory says name and host of its own.
    """
    at = at_level(division, item.level)
    if at is None:
        return None
    return named_on(_described(authority(at, item.department), directory), item, on, directory)


def named_on(
    issuer: Authority, item: ServiceItem | None, on: str, directory: Directory = NO_DIRECTORY
) -> Authority:
    """Return the issuing authority of an item under the name that it had on a day; an empty day means now.

    Its host stays as it is, since what was printed with it leads there for ever.
    """
    if (own := directory.authorities.get(issuer.code)) is not None and own.name:
        return replace(issuer, name=own.name)
    then = authority(issuer.division, issuer.department, on)
    old = item.former(on) if item is not None and on else None
    if old is None or not old.authority:
        return replace(issuer, name=then.name)
    return replace(issuer, name=old.authority.replace("{division}", proper_name(issuer.division, on)))


def issuing_authorities(catalogue: Catalogue) -> tuple[Authority, ...]:
    """Return every authority that the items of a catalogue can have, by code."""
    found = {
        (division.code, item.department)
        for item in catalogue.items.values()
        if item.mode != "filing"
        for division in everything()
        if level(division.code) == item.level
    }
    return tuple(_described(authority(*pair), catalogue.directory) for pair in sorted(found))


def described_authority(code: str, directory: Directory) -> Authority | None:
    """Return an authority by its URN, with the name and host that a directory gives it; None for no known agency."""
    source = source_of(code)
    if source is None or find(source.division) is None:
        return None
    return _described(authority(*source), directory)


def host_of(code: str, directory: Directory) -> str:
    """Return the HOST to which new licences of an authority lead, by its URN; empty for no known agency."""
    found = described_authority(code, directory)
    return found.host if found else ""


def _described(found: Authority, directory: Directory) -> Authority:
    """Return an authority with the name and host that a directory gives it."""
    own = directory.authorities.get(found.code, AuthorityEntry())
    at = own.host or province(found.division, directory)["host"]
    return replace(found, name=own.name or found.name, host=at)


def competent_for_application(source: str, item: ServiceItem, division: str) -> bool:
    """Tell whether a source is a window: one of the item's departments or a service hall, in the division or above it."""
    agency = source_of(source)
    return (
        agency is not None
        and agency.department in {*item.deciding, item.department, SERVICE_HALL}
        and is_at_or_above(agency.division, division)
    )


def competent_as_authority(source: str, issuer: Authority) -> bool:
    """Tell whether a source is the licence's issuing authority, or the same department above it."""
    agency = source_of(source)
    return (
        agency is not None
        and agency.department == issuer.department
        and is_at_or_above(agency.division, issuer.division)
    )


def competent_for_review(source: str, department: str, item: ServiceItem, issuer: Authority) -> bool:
    """Tell whether a source is one of the item's departments (the one that the event names), at the authority or above."""
    agency = source_of(source)
    return (
        agency is not None
        and agency.department == department
        and department in item.deciding
        and is_at_or_above(agency.division, issuer.division)
    )


def competent_in_division(source: str, department: str, division: str) -> bool:
    """Tell whether a source is a department in the holder's division or above it; without a division, of the province."""
    agency = source_of(source)
    if agency is None or agency.department != department:
        return False
    if division and find(division):
        return is_at_or_above(agency.division, division)
    return level(agency.division) == "province"


# ---- what an installation says of its authorities ------------------------------------------------------------

_HINT: Final = "name, host, former_hosts, address, hours, telephone, complaints, email, logo; [provinces.44]: short, host"


def load_directory(folder: Path, settings: object = None) -> Directory:
    """Return the directory that the files `*.toml` of a folder describe, and the table `[authorities]` of settings.

    A later file's entry replaces one of the same authority. Raises UsageError, naming file and key, for what is not
    known or breaks a rule.
    """
    found = NO_DIRECTORY
    tables = [(path, _toml(path)) for path in sorted(folder.glob("*.toml"))] if folder.is_dir() else []
    if settings is not None and not isinstance(settings, dict):
        raise _wrong("不是表 / not a table", str(folder.parent / "settings.toml"), "authorities")
    for path, table in [*tables, (folder.parent / "settings.toml", dict(settings or {}))]:
        read = _directory(table, str(path))
        found = Directory(found.authorities | read.authorities, found.provinces | read.provinces)
    return found


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(
            f"机关文件无法读取 / the file of authorities cannot be read: {error}",
            where=str(path),
            hint="TOML, UTF-8",
        ) from None


def _directory(table: dict[str, Any], where: str) -> Directory:
    provinces = table.pop("provinces", {})
    for key, value in {**table, "provinces": provinces}.items():
        if not isinstance(value, dict):
            raise _wrong("不是表 / not a table", where, key)
    try:
        read = msgspec.convert({"authorities": table, "provinces": provinces}, Directory)
    except msgspec.ValidationError as error:
        raise _wrong(f"{error}", where, "") from None
    for code, entry in read.authorities.items():
        source = source_of(code)
        if source is None or find(source.division) is None:
            raise _wrong("不是已知机关的代码 / not the code of a known agency", where, code)
        for name in (entry.host, *entry.former_hosts):
            _check_host(name, where, f"{code}: host")
    for short, province_entry in read.provinces.items():
        if find(f"{short}0000") is None:
            raise _wrong("没有这个省级区划 / there is no such province", where, f"provinces.{short}")
        _check_host(province_entry.host, where, f"provinces.{short}: host")
    return _upper(read)


def _check_host(name: str, where: str, key: str) -> None:
    if name and not HOST.fullmatch(name.upper()):
        raise _wrong(f"不是主机名 / not a host name: {name}", where, key)


def _upper(read: Directory) -> Directory:
    """Return a directory with its hosts in the capitals of the QR text."""
    authorities = {
        code: replace(
            one, host=one.host.upper(), former_hosts=tuple(name.upper() for name in one.former_hosts)
        )
        for code, one in read.authorities.items()
    }
    return Directory(
        authorities, {c: replace(one, host=one.host.upper()) for c, one in read.provinces.items()}
    )


def _wrong(message: str, where: str, key: str) -> UsageError:
    place = f"{where}: {key}" if key else where
    return UsageError(
        f"机关数据有误 / the data of authorities break a rule: {message}", where=place, hint=_HINT
    )
