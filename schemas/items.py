"""Service items (政务服务事项) as data: one TOML file each. A new kind of licence is a file and a template, no code.

`load_item` reads one, `load_catalogue` folders of them; what breaks a rule is named with file, key and hint. The
catalogue in force travels through the ledger as JSON, so that a decision can be made again without the files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from schemas.canonical_json import digest
from schemas.errors import ItemError
from schemas.item_types import FieldRule, ServiceItem, faults, field_faults


class AuthorityEntry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An authority as an installation describes it; what is empty is not known, or is as shipped.

    `host` is the HOST of the QR text of its licences, `former_hosts` those of earlier ones. The rest is for people:
    it stands on guides and licence pages, and influences no decision.
    """

    name: str = ""
    host: str = ""
    former_hosts: tuple[str, ...] = ()
    address: str = ""
    hours: str = ""
    telephone: str = ""
    complaints: str = ""
    email: str = ""
    logo: str = ""


class ProvinceEntry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A province as an installation describes it: its short name in licence numbers, and the HOST of its authorities."""

    short: str = ""
    host: str = ""


class Directory(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The authorities (by URN) and provinces (by the first two digits of their codes) that an installation describes."""

    authorities: dict[str, AuthorityEntry] = {}
    provinces: dict[str, ProvinceEntry] = {}

    def decisive(self) -> Directory:
        """Return the part that influences decisions and what is printed: names and hosts."""
        kept = {
            code: AuthorityEntry(name=one.name, host=one.host)
            for code, one in sorted(self.authorities.items())
            if one.name or one.host
        }
        return Directory(kept, dict(sorted(self.provinces.items())))


class Catalogue(msgspec.Struct, frozen=True):
    """The items in force. `digest` names the whole, `digests` each item; `directory` describes authorities."""

    items: dict[str, ServiceItem]
    digests: dict[str, str]
    digest: str
    directory: Directory = Directory()

    def get(self, code: str) -> ServiceItem | None:
        """Return the item of a code, or None where there is none."""
        return self.items.get(code)


def catalogue_of(items: Sequence[ServiceItem], directory: Directory = Directory()) -> Catalogue:  # noqa: B008  # frozen
    """Return a catalogue of items, in the order of their codes, and of the authorities that a directory describes."""
    by_code = {item.code: item for item in sorted(items, key=lambda i: i.code)}
    digests = {code: digest(msgspec.to_builtins(item)) for code, item in by_code.items()}
    named: dict[str, Any] = dict(digests)
    if (decisive := directory.decisive()) != Directory():
        named["authorities/"] = msgspec.to_builtins(decisive)  # no item has such a code
    return Catalogue(by_code, digests, digest(named), directory)


def with_directory(catalogue: Catalogue, directory: Directory) -> Catalogue:
    """Return a catalogue with the authorities that a directory describes."""
    return catalogue_of(list(catalogue.items.values()), directory) if directory != Directory() else catalogue


class RecordedCatalogue(msgspec.Struct, frozen=True, omit_defaults=True):
    """A catalogue as the ledger keeps it: its digest, its items as plain data, and what decides of its directory."""

    digest: str
    items: list[dict[str, Any]]
    directory: Directory = Directory()


def to_record(catalogue: Catalogue) -> RecordedCatalogue:
    """Return the catalogue in the form that the ledger keeps."""
    items = msgspec.to_builtins(list(catalogue.items.values()))
    return RecordedCatalogue(catalogue.digest, items, catalogue.directory.decisive())


def from_record(recorded: RecordedCatalogue) -> Catalogue:
    """Read a catalogue from the ledger. Raises ItemError where its digest is not its own."""
    catalogue = catalogue_of(msgspec.convert(recorded.items, list[ServiceItem]), recorded.directory)
    if catalogue.digest != recorded.digest:
        raise ItemError("the catalogue in the ledger is not the one that its digest names")
    return catalogue


def row(item: ServiceItem) -> dict[str, Any]:
    """Return an item as `items list` prints it."""
    return {
        "code": item.code,
        "name": item.name.zh,
        "mode": item.mode,
        "department": item.department,
        "departments": list(item.deciding),
        "level": item.level,
        "materials": list(item.kinds),
        "signed": [m.kind for m in item.materials if m.signed],
        "deferrable": [m.kind for m in item.materials if m.deferrable],
        "products": item.products,
        "categories": [c.name for c in item.categories],
        "fields": [{"name": f.name, "required": f.required, "example": f.example} for f in item.fields],
        "limits": {
            "promised": item.limits.promised,
            "statutory": item.limits.statutory,
            "correction": item.limits.correction,
        },
        "validity_years": item.validity_years,
        "holder": item.holder,
        "check_days": item.check.days if item.check else None,
    }


def fields_once(items: Sequence[ServiceItem]) -> list[tuple[FieldRule, tuple[str, ...]]]:
    """Return the fields that items ask for together, each once, with the codes of those that ask.

    A field is required where any of them requires it.
    """
    found: dict[str, tuple[FieldRule, tuple[str, ...]]] = {}
    for item in items:
        for field in item.fields:
            first, codes = found.get(field.name, (field, ()))
            rule = field if field.required and not first.required else first
            found[field.name] = (rule, (*codes, item.code))
    return list(found.values())


def load_item(path: Path) -> ServiceItem:
    """Read an item file. Raises ItemError with file, line or key, and a hint."""
    try:
        raw = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ItemError(
            f"事项文件无法读取 / cannot be read: {error}", where=str(path), hint="UTF-8 TOML"
        ) from None
    try:
        data = tomllib.loads(raw)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ItemError(
            f"不是有效的 TOML / not valid TOML: {error}", where=str(path), hint="改正该行 / correct that line"
        ) from None
    try:
        item = msgspec.convert(data, ServiceItem)
    except msgspec.ValidationError as error:
        raise ItemError(
            f"事项内容有误 / the item breaks a rule: {error}",
            where=str(path),
            hint="对照 / compare with: schemas/items/industrial-product-licence.toml",
        ) from None
    for key, message, hint in faults(item):
        raise ItemError(message, where=f"{path}: {key}", hint=hint)
    return item


@lru_cache(maxsize=16)
def load_catalogue(folders: tuple[Path, ...] = ()) -> Catalogue:
    """Return the shipped items and those of further folders; a later folder's item replaces one of the same code."""
    shipped = Path(str(files("schemas") / "items"))
    found: dict[str, ServiceItem] = {}
    for folder in (shipped, *folders):
        if not folder.is_dir():
            raise ItemError(
                "未找到事项目录 / there is no such folder of items",
                where=str(folder),
                hint="检查路径 / check the path",
            )
        found |= _folder(folder)
    for code, message, hint in field_faults(found.values()):
        raise ItemError(message, where=f"{code}: fields.name", hint=hint)
    return catalogue_of(list(found.values()))


def _folder(folder: Path) -> dict[str, ServiceItem]:
    """Return the items of a folder and the folders in it, by code."""
    found: dict[str, tuple[Path, ServiceItem]] = {}
    for path in sorted(folder.rglob("*.toml")):
        item = load_item(path)
        if item.code in found:
            raise ItemError(
                f"事项代码重复 / two files have this code: {item.code}",
                where=f"{path}: code",
                hint=f"另见 / the other one: {found[item.code][0]}",
            )
        found[item.code] = (path, item)
    return {code: item for code, (_, item) in found.items()}


# ---- series of licence numbers ------------------------------------------------------------------------------

_PARTS = {"{province}": r"\w{1,2}", "{division}": "[0-9]{6}", "{category}": ".+?"}
_DIGITS = "0123456789"


class SeriesSlot(NamedTuple):
    """The series that a number belongs to, and its serial there; None where it is of no series of ours."""

    series: str
    serial: int | None


def place_of(number: str, catalogue: Catalogue) -> SeriesSlot:
    """Return the one series whose writer answers for a number, whatever item it is imported for.

    A number made like an item's is of that item's series; of any other, what stands before its last digits names it.
    """
    for prefix, digits in sorted(
        {(i.number.prefix, i.number.digits) for i in catalogue.items.values() if i.number}
    ):
        head, tail = number[:-digits], number[-digits:]
        if tail.isascii() and tail.isdigit() and _made_by(prefix).fullmatch(head):
            return SeriesSlot(head, int(tail))
    return SeriesSlot(number.rstrip(_DIGITS) or number, None)


@lru_cache(maxsize=1024)
def _made_by(prefix: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[a-z]+\})", prefix)
    return re.compile("".join(_PARTS.get(part, re.escape(part)) for part in parts))
