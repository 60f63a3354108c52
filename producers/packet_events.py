"""PDF packets joined with the rest: forms of the catalogue's items, papers kept as uploads, events made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from infra.persons.keys import PersonsStore
from infra.settings import Settings
from infra.stores.uploads import put_upload
from issuance import fonts
from producers import forms
from producers.extract import read
from producers.forms import FORM, LETTER, Form
from producers.packets import Blanks, Packet, application, read_packet
from schemas.calendar import time_text
from schemas.errors import UsageError
from schemas.identifiers import compare
from schemas.item_types import ServiceItem
from schemas.items import Catalogue, load_catalogue, row
from schemas.ports import Store

SERVICE_HALL = "urn:agency:{division}:service-hall"


def item_named(settings: Settings, code: str) -> ServiceItem:
    """The item of a code. Raises UsageError that names those there are."""
    catalogue = load_catalogue(settings.items)
    item = catalogue.get(code)
    if item is None:
        known = ", ".join(i.code for i in catalogue.items.values() if i.mode in ("commitment", "review"))
        raise UsageError(f"没有事项 {code} / there is no item {code}", hint=f"zhengzhao items list; {known}")
    return item


def draw(item: ServiceItem, kind: str, values: dict[str, str] | None = None) -> Form:
    """A form of an item, in the font set of the licences."""
    folders = list(dict.fromkeys(path.parent for path in fonts.paths()))
    return forms.draw(row(item), kind, folders, fonts.FAMILIES, values)


def blank_forms(item: ServiceItem) -> dict[str, bytes]:
    """The blank forms of an item: file name → PDF with fields."""
    kinds = [kind for kind in (FORM, LETTER) if kind in item.kinds]
    return {f"{kind}.pdf": forms.with_fields(draw(item, kind)) for kind in kinds}


def read_papers(settings: Settings, papers: Sequence[tuple[str, bytes]]) -> Packet:
    """Reads the papers of one application."""
    return read_packet(papers, _blanks(load_catalogue(settings.items), papers))


def _blanks(catalogue: Catalogue, papers: Sequence[tuple[str, bytes]]) -> Blanks:
    """The forms of the items that the papers name; drawn only for these."""
    found: dict[tuple[str, str], Form] = {}
    for name, raw in papers:
        match = forms.MARK_PATTERN.search("".join(word.text for word in read(raw, name).words))
        item = catalogue.get(match.group(2)) if match else None
        if match and item and match.group(1) in item.kinds:
            found[item.code, match.group(1)] = draw(item, match.group(1))
    return Blanks(found)


def event_of(settings: Settings, packet: Packet, *, source: str, at: datetime) -> dict[str, Any]:
    """The application event of a packet. Raises UsageError where its papers contradict each other."""
    if packet.contradictions:
        detail = "; ".join(f"{c.field}: {c.detail}" for c in packet.contradictions)
        raise UsageError(
            f"材料互相矛盾 / the papers contradict each other: {detail}",
            hint="改正后重交 / mend and hand in anew",
        )
    item = item_named(settings, packet.item)
    division = (packet.get("window", FORM) or packet.get("applicant.division", FORM))[:6]
    return application(
        packet,
        holder=item.holder,
        source=source or SERVICE_HALL.format(division=division),
        time=time_text(at),
    )


def grouped(papers: Sequence[tuple[str, bytes]]) -> list[list[tuple[str, bytes]]]:
    """Papers of several applications, one list for each applicant id that stands in them."""
    groups: dict[str, list[tuple[str, bytes]]] = {}
    for name, raw in papers:
        groups.setdefault(_applicant(name, raw), []).append((name, raw))
    return list(groups.values())


def _applicant(name: str, raw: bytes) -> str:
    paper = read(raw, name)
    for field in paper.fields:
        if field.name == "applicant.id":
            return compare(field.value)
    text = [compare(word.text) for word in paper.words]
    return next((t[-18:] for t in text if len(t) >= 18 and t[-18:].isalnum() and t[-18:-1].isascii()), name)


def event_bytes(
    settings: Settings,
    persons: PersonsStore,
    store: Store,
    papers: Sequence[tuple[str, bytes]],
    *,
    source: str,
    at: datetime,
) -> bytes:
    """The event of one application's papers, which are kept as uploads."""
    event = event_of(settings, read_papers(settings, papers), source=source, at=at)
    kept = {put_upload(store, persons, raw).rpartition("/")[2] for _, raw in papers}
    for material in event["data"]["materials"]:
        if material["sha256"] in kept:
            material["uri"] = f"store:uploads/{material['sha256']}"
    return json.dumps(event, ensure_ascii=False).encode()


def shown(packet: Packet) -> dict[str, Any]:
    """A packet as `packet read --json` shows it, but for the event."""
    return {
        "item": packet.item,
        "fields": msgspec.to_builtins(packet.values),
        "contradictions": msgspec.to_builtins(packet.contradictions),
        "commitment": dict(packet.commitment),
    }


def read_file(path: Path) -> tuple[str, bytes]:
    """A paper's name and bytes. Raises UsageError for a file that is absent or empty."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"无法读取 / cannot be read: {error.strerror}", where=str(path), hint="检查路径 / check the path"
        ) from None
    if not raw:
        raise UsageError("文件是空的 / the file is empty", where=str(path), hint="检查路径 / check the path")
    return str(path), raw
