"""Application events from PDF packets: the forms of the catalogue's items, and what their papers say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from producers import forms
from producers.appearances import Faces
from producers.extract import read
from producers.files import Papers
from producers.forms import FORM, LETTER, Form
from producers.packets import Blanks, Packet, application, read_packet, supplement
from schemas.calendar import time_text
from schemas.errors import TransientError, UsageError, ZhengzhaoError
from schemas.identifiers import compare
from schemas.item_types import ServiceItem
from schemas.items import Catalogue, row

SERVICE_HALL = "urn:agency:{division}:service-hall"


class PacketForms(msgspec.Struct, frozen=True):
    """The forms of application packets: the catalogue they are made from and the fonts they are drawn in.

    `font_folders` are the folders in which the files of `font_families` lie, in order of preference.
    """

    catalogue: Catalogue
    font_folders: tuple[Path, ...]
    font_families: tuple[str, ...]

    def item(self, code: str) -> ServiceItem:
        """Return the service item of a code. Raise UsageError that names the items for which forms exist."""
        item = self.catalogue.get(code)
        if item is None:
            items = self.catalogue.items.values()
            known = ", ".join(i.code for i in items if i.mode in ("commitment", "review"))
            raise UsageError(
                f"未找到事项 {code} / there is no item {code}", hint=f"zhengzhao items list; {known}"
            )
        return item

    def draw(self, item: ServiceItem, kind: str, values: dict[str, str] | None = None) -> Form:
        """Draw a form of an item; with `values` the flattened form that shows them as text."""
        return forms.draw(row(item), kind, self.font_folders, self.font_families, values)

    def blank_forms(self, item: ServiceItem) -> dict[str, bytes]:
        """Return the blank forms of an item: file name → PDF with fields to fill."""
        kinds = [kind for kind in (FORM, LETTER) if kind in item.kinds]
        return {f"{kind}.pdf": forms.with_fields(self.draw(item, kind)) for kind in kinds}

    def fill(self, pdf: bytes, values: Mapping[str, str]) -> bytes:
        """Fill a form that has fields, so that every reader shows the values. Raise UsageError for another file."""
        return forms.fill(pdf, values, Faces(self.font_folders, self.font_families))

    def read(self, papers: Sequence[tuple[str, bytes]], *, whole: bool = True) -> Packet:
        """Read the papers (name, PDF) of one application; a supplement need not be `whole`."""
        return read_packet(papers, self._blanks(papers), whole=whole)

    def event(self, packet: Packet, *, source: str, at: datetime, application_id: str = "") -> dict[str, Any]:
        """Return the event of a packet: an application, or a supplement to the case `application_id`.

        Without a `source` the service hall of the window, or of the applicant's division, is the sender. Raises
        UsageError where the papers contradict each other, or a supplement names neither sender nor holder.
        """
        if packet.contradictions:
            detail = "; ".join(f"{c.field}: {c.detail}" for c in packet.contradictions)
            raise UsageError(
                f"材料互相矛盾 / the documents contradict each other: {detail}",
                hint="改正材料后重新提交 / correct the documents and resubmit",
            )
        division = (packet.get("window", FORM) or packet.get("applicant.division", FORM))[:6]
        if application_id:
            if not source and not division:
                raise UsageError(
                    "补正材料未写明窗口，须指明来源 / no window stands in these documents: name the sender",
                    where="--source",
                    hint=SERVICE_HALL.format(division="630225"),
                )
            return supplement(
                packet,
                application_id,
                source=source or SERVICE_HALL.format(division=division),
                time=time_text(at),
            )
        return application(
            packet,
            holder=self.item(packet.item).holder,
            source=source or SERVICE_HALL.format(division=division),
            time=time_text(at),
        )

    def event_bytes(
        self,
        papers: Sequence[tuple[str, bytes]],
        keep: Callable[[bytes], str],
        *,
        source: str,
        at: datetime,
        application_id: str = "",
    ) -> bytes:
        """Return the event of one application's papers as JSON. `keep` stores a paper and returns its `uri`."""
        packet = self.read(papers, whole=not application_id)
        event = self.event(packet, source=source, at=at, application_id=application_id)
        kept = {uri.rpartition("/")[2]: uri for uri in (keep(raw) for _, raw in papers)}
        for material in event["data"]["materials"]:
            if material["sha256"] in kept:
                material["uri"] = kept[material["sha256"]]
        return json.dumps(event, ensure_ascii=False).encode()

    def _blanks(self, papers: Sequence[tuple[str, bytes]]) -> Blanks:
        """Draw the forms of the items that the papers name, and no others."""
        found: dict[tuple[str, str], Form] = {}
        for name, raw in papers:
            text = "".join(word.text for word in read(raw, name).words)
            for kind, code in {match.groups() for match in forms.MARK_PATTERN.finditer(text)}:
                item = self.catalogue.get(code)
                if item and kind in item.kinds:
                    found[item.code, kind] = self.draw(item, kind)
        return Blanks(found)


def grouped(papers: Sequence[tuple[str, bytes]]) -> list[list[tuple[str, bytes]]]:
    """Sort papers of several applications into one list for each applicant id that stands in them."""
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


def packet_row(packet: Packet) -> dict[str, Any]:
    """Return a packet as `packet read --json` shows it, without the event."""
    return {
        "item": packet.item,
        "fields": msgspec.to_builtins(packet.values),
        "contradictions": msgspec.to_builtins(packet.contradictions),
        "commitment": dict(packet.commitment),
    }


def read_file(path: Path) -> tuple[str, bytes]:
    """Return the name and bytes of a paper. Raise UsageError for a file that is absent or empty."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"无法读取 / cannot be read: {error.strerror}", where=str(path), hint="检查路径 / check the path"
        ) from None
    if not raw:
        raise UsageError("文件是空的 / the file is empty", where=str(path), hint="检查路径 / check the path")
    return str(path), raw


def packet_reader(
    forms: PacketForms, keep: Callable[[bytes], str], source: str, at: datetime, application_id: str = ""
) -> Papers:
    """Return a reader of PDF files that yields an event, or an error, for each application among them.

    With `application_id` all files supplement that case.
    """

    def read(names: Sequence[str]) -> Iterator[tuple[str, bytes | ZhengzhaoError]]:
        good: list[tuple[str, bytes]] = []
        for name in names:
            try:
                document = read_file(Path(name))
                grouped([document])  # An unreadable document must not spoil its neighbours.
                good.append(document)
            except ZhengzhaoError as error:
                yield name, error
        for group in [good] if application_id and good else grouped(good):
            try:
                made = forms.event_bytes(group, keep, source=source, at=at, application_id=application_id)
                yield group[0][0], made
            except TransientError:
                raise  # The store failed, which is no fault of the document.
            except ZhengzhaoError as error:
                yield group[0][0], error

    return read
