"""Events from papers: the forms of the catalogue's items, what is read of them, and the event that they make.

An application form makes an application; papers for a case make a supplement to it, and a withdrawal withdraws it. The
case is named by the sender of the papers, or by the form that was made for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from producers import forms
from producers.agency_events import Sender, event, withdrawal
from producers.extract import ScanWithoutText, read
from producers.files import Papers
from producers.form_fields import fill, with_fields
from producers.forms import CORRECTION, FORM, LETTER, PRODUCT_ROWS, WITHDRAWAL, Faces, Form, FormMark
from producers.packets import Blanks, Contradiction, Packet, iso_date, read_packet
from producers.printed import LICENCE, ToldValues
from schemas.calendar import time_text
from schemas.errors import NotFound, TransientError, UsageError, ZhengzhaoError
from schemas.identifiers import compare
from schemas.item_types import ServiceItem
from schemas.items import Catalogue, row

SERVICE_HALL = "urn:agency:{division}:service-hall"
_ON_LICENCE: Final = ("applicant.name", "applicant.id", "applicant.address", "established_on")


class CaseNeeds(msgspec.Struct, frozen=True):
    """The particulars of a case that its forms show, with what is missing; `holder_id` is empty for a person."""

    application_id: str
    item: str
    holder_id: str
    window: str
    missing: tuple[str, ...]


class PacketForms(msgspec.Struct, frozen=True):
    """The forms of application packets: the catalogue they are made from and the fonts they are drawn in.

    `font_folders` are the folders in which the files of `font_families` lie, in order of preference.
    """

    catalogue: Catalogue
    font_folders: tuple[Path, ...]
    font_families: tuple[str, ...]

    @property
    def _faces(self) -> Faces:
        return Faces(self.font_folders, self.font_families)

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

    def draw(
        self,
        item: ServiceItem,
        mark: FormMark,
        values: Mapping[str, str] | None = None,
        papers: Sequence[str] = (),
    ) -> Form:
        """Draw a form of an item; with `values` the flattened form that shows them as text."""
        return forms.draw(form_row(item), mark, self._faces, values, papers)

    def blank_forms(self, item: ServiceItem) -> dict[str, bytes]:
        """Return the blank forms of an item: file name → PDF with fields to fill."""
        kinds = [kind for kind in (FORM, LETTER) if kind in item.kinds]
        return {f"{kind}.pdf": with_fields(self.draw(item, _mark(item, kind))) for kind in kinds}

    def correction_forms(self, case: CaseNeeds) -> dict[str, bytes]:
        """Return forms that ask for what a case lacks, with what is known filled in. Raise NotFound where it lacks nothing."""
        if not case.missing:
            raise NotFound(
                "此申请无须补正 / this application asks for nothing",
                where=case.application_id,
                hint=f"zhengzhao case show {case.application_id}",
            )
        item = self.item(case.item)
        asked = forms.askable(form_row(item))
        papers = [_material_name(item, name) for name in case.missing if name not in asked]
        mark = forms.correction_mark(form_row(item), case.missing)
        known = {"application_id": case.application_id, "applicant.id": case.holder_id, "window": case.window}
        found = {f"{CORRECTION}.pdf": self._prefilled(item, mark, known, papers)}
        for kind in (FORM, LETTER):
            if kind in case.missing and kind in item.kinds:
                known = {"applicant.id": case.holder_id}
                found[f"{kind}.pdf"] = self._prefilled(item, _mark(item, kind), known)
        return found

    def withdrawal_form(self, case: CaseNeeds) -> dict[str, bytes]:
        """Return the form by which an applicant withdraws an application."""
        known = {"application_id": case.application_id, "applicant.id": case.holder_id, "window": case.window}
        item = self.item(case.item)
        return {f"{WITHDRAWAL}.pdf": self._prefilled(item, _mark(item, WITHDRAWAL), known)}

    def _prefilled(
        self, item: ServiceItem, mark: FormMark, known: Mapping[str, str], papers: Sequence[str] = ()
    ) -> bytes:
        blank = with_fields(self.draw(item, mark, papers=papers), fixed=("application_id",))
        return fill(blank, {name: value for name, value in known.items() if value}, self._faces)

    def fill(self, pdf: bytes, values: Mapping[str, str]) -> bytes:
        """Fill a form that has fields, so that every reader shows the values. Raise UsageError for another file."""
        return fill(pdf, values, self._faces)

    def read(
        self, papers: Sequence[tuple[str, bytes]], *, whole: bool = True, told: ToldValues | None = None
    ) -> Packet:
        """Read the papers (name, bytes) of one application; a supplement need not be `whole`."""
        return read_packet(papers, self._blanks(papers, told), whole=whole, told=told)

    def event(self, packet: Packet, *, source: str, at: datetime, application_id: str = "") -> dict[str, Any]:
        """Return the event of a packet: an application, a supplement to a case, or its withdrawal.

        Without a `source` the service hall of the window, or of the applicant's division, is the sender. Raises
        UsageError where the papers contradict each other, or name neither sender nor holder.
        """
        printed = packet.get("application_id")
        if application_id and printed and compare(printed) != compare(application_id):
            apart = Contradiction("application_id", f"{printed} ≠ {application_id}")
            packet = msgspec.structs.replace(packet, contradictions=(*packet.contradictions, apart))
        if packet.contradictions:
            detail = "; ".join(f"{c.field}: {c.detail}" for c in packet.contradictions)
            raise UsageError(
                f"材料互相矛盾 / the documents contradict each other: {detail}",
                hint="改正材料后重新提交 / correct the documents and resubmit",
            )
        division = (packet.get("window") or packet.get("applicant.division"))[:6]
        case = application_id or printed
        if not source and not division and (case or WITHDRAWAL in packet.digests):
            raise UsageError(
                "材料未写明窗口，须指明来源 / no window stands in these documents: name the sender",
                where="--source",
                hint=SERVICE_HALL.format(division="630225"),
            )
        sender = Sender(source or SERVICE_HALL.format(division=division), at, _event_id(packet, at))
        if WITHDRAWAL in packet.digests:
            return withdrawal(sender, case, _holder(packet), packet.get("reason"))
        if case:
            return _supplement(sender, packet, case)
        return _application(sender, packet, self.item(packet.item).holder)

    def event_bytes(
        self,
        papers: Sequence[tuple[str, bytes]],
        keep: Callable[[bytes], str],
        *,
        source: str,
        at: datetime,
        application_id: str = "",
        told: ToldValues | None = None,
    ) -> bytes:
        """Return the event of one application's papers as JSON. `keep` stores a paper and returns its `uri`."""
        packet = self.read(papers, whole=not application_id, told=told)
        made = self.event(packet, source=source, at=at, application_id=application_id)
        kept = {uri.rpartition("/")[2]: uri for uri in (keep(raw) for _, raw in papers)}
        for material in made["data"].get("materials", ()):
            if material["sha256"] in kept:
                material["uri"] = kept[material["sha256"]]
        return json.dumps(made, ensure_ascii=False).encode()

    def _blanks(self, papers: Sequence[tuple[str, bytes]], told: ToldValues | None) -> Blanks:
        """Draw the forms that the papers name, and no others; for scans list the names that may be told of each kind."""
        found: dict[FormMark, Form] = {}
        for name, raw in papers:
            try:
                text = "".join(word.text for word in read(raw, name).words)
            except ScanWithoutText:
                continue
            for mark in forms.marks(text):
                item = self.catalogue.get(mark.item)
                if item and (mark.kind in item.kinds or mark.kind in (CORRECTION, WITHDRAWAL)):
                    found[mark] = self.draw(item, mark)
        return Blanks(found, self._names(found, told) if told else {})

    def _names(self, found: Mapping[FormMark, Form], told: ToldValues) -> dict[str, Sequence[str]]:
        """Return the names of values by the kind of a scan. Raises UsageError for a value that no kind has."""
        code = told.item or next((mark.item for mark in found), "")
        names: dict[str, Sequence[str]] = {LICENCE: _ON_LICENCE}
        if code:
            shape = form_row(self.item(code))
            kinds = [kind for kind in (FORM, LETTER) if kind in shape["materials"]]
            names |= {kind: forms.field_names(shape, forms.mark_of(shape, kind)) for kind in kinds}
            names |= {kind: () for kind in shape["materials"] if kind not in names}
        else:
            names[LETTER] = ("applicant.name", "applicant.id", "signatory", "signed_on")
        unknown = set(told.papers.values()) - set(names) or set(told.values) - {
            n for v in names.values() for n in v
        }
        if unknown:
            raise UsageError(
                f"没有此栏或此类材料 / no such blank or kind of paper: {min(unknown)}",
                where="--values",
                hint=f"{'、'.join(names)}；{', '.join(names.get(FORM, names[LETTER])[:12])} …"
                + ("" if code else '；"item": "industrial-product-licence"'),
            )
        return names


def form_row(item: ServiceItem) -> dict[str, Any]:
    """Return an item as its forms need it: the row of `items list` with what the commitment letter informs of."""
    names = [material.name.zh for material in item.materials]
    more = {"legal_basis": item.legal_basis, "material_names": names, "conditions": item.conditions}
    return {**row(item), **more}


def _mark(item: ServiceItem, kind: str) -> FormMark:
    return forms.mark_of(form_row(item), kind)


def _material_name(item: ServiceItem, kind: str) -> str:
    return next((f"{m.name.zh} / {m.name.en}" for m in item.materials if m.kind == kind), kind)


def _application(sender: Sender, packet: Packet, holder: str) -> dict[str, Any]:
    """Return the application event of a packet; `holder` is the item's kind of holder.

    The application id follows from the papers' bytes: the same papers sent twice are the same application.
    """
    application_id = f"PK-{_papers_digest(packet)[:24].upper()}"
    get = packet.get
    data: dict[str, Any] = {
        "application_id": application_id,
        "item": packet.item,
        "action": "new",
        "applicant": {
            "kind": holder,
            "id": get("applicant.id", FORM) or get("applicant.id"),
            "name": get("applicant.name", FORM) or get("applicant.name"),
            "address": get("applicant.address", FORM) or get("applicant.address"),
            "division": get("applicant.division", FORM),
        },
        "products": _products(packet),
        "materials": _materials(packet),
        "channel": "packet",
        "fields": _fields(packet, FORM),
        "window": get("window", FORM) or None,
    }
    return event(sender, "application.submitted", data, application_id)


def _supplement(sender: Sender, packet: Packet, application_id: str) -> dict[str, Any]:
    """Return the event that supplies what a correction notice asked for: papers, and what a form among them says."""
    said = {
        name: packet.get(f"applicant.{name}", FORM, CORRECTION) for name in ("name", "address", "division")
    }
    data: dict[str, Any] = {
        "application_id": application_id,
        "holder_id": _holder(packet),
        "materials": _materials(packet),
        "products": _products(packet) or None,
        "applicant": {name: value for name, value in said.items() if value} or None,
        "shared": _fields(packet, CORRECTION, FORM),
    }
    return event(sender, "application.materials-supplied", data, application_id)


def _holder(packet: Packet) -> str:
    holder = packet.get("applicant.id")
    if not holder:
        raise UsageError(
            "材料中没有申请人的代码 / no identifier of the applicant stands in these documents",
            hint="附上申请单或营业执照 / add the application form or the business licence",
        )
    return holder


def _fields(packet: Packet, *kinds: str) -> dict[str, str] | None:
    names = [v.name for v in packet.values if v.name.startswith("fields.") and v.kind in kinds]
    return {name.removeprefix("fields."): packet.get(name, *kinds) for name in names} or None


def _event_id(packet: Packet, at: datetime) -> str:
    return f"packet-{_papers_digest(packet)[:32]}-{time_text(at)}"


def _papers_digest(packet: Packet) -> str:
    told = "".join(f"{kind}:{digest};" for kind, digest in sorted(packet.digests.items()))
    return hashlib.sha256(told.encode()).hexdigest()


def _materials(packet: Packet) -> list[dict[str, Any]]:
    found = []
    for kind in sorted(packet.digests):
        material: dict[str, Any] = {"kind": kind, "sha256": packet.digests[kind]}
        if kind == LETTER:
            signed_on = iso_date(packet.get("signed_on", LETTER))
            material |= {"signed_on": signed_on} if signed_on else {}
            material |= packet.commitment
        found.append(material)
    return found


def _products(packet: Packet) -> list[dict[str, str]]:
    rows = []
    for n in range(1, PRODUCT_ROWS + 1):
        parts = ("category", "site", "detail")
        row = {part: packet.get(f"products.{n}.{part}", FORM, CORRECTION) for part in parts}
        if any(row.values()):
            rows.append(row)
    return rows


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
    forms: PacketForms,
    keep: Callable[[bytes], str],
    source: str,
    at: datetime,
    application_id: str = "",
    told: ToldValues | None = None,
) -> Papers:
    """Return a reader of files that yields an event, or an error, for each application among them.

    With `application_id` all files supplement that case; with `told` they are the papers of one application.
    """

    def read(names: Sequence[str]) -> Iterator[tuple[str, bytes | ZhengzhaoError]]:
        good: list[tuple[str, bytes]] = []
        for name in names:
            try:
                document = read_file(Path(name))
                if told is None:
                    grouped([document])  # An unreadable document must not spoil its neighbours.
                good.append(document)
            except ZhengzhaoError as error:
                yield name, error
        for group in [good] if good and (application_id or told) else grouped(good):
            try:
                made = forms.event_bytes(
                    group, keep, source=source, at=at, application_id=application_id, told=told
                )
                yield group[0][0], made
            except TransientError:
                raise  # The store failed, which is no fault of the document.
            except ZhengzhaoError as error:
                yield group[0][0], error

    return read
