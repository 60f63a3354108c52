"""`route`: from an event that may enter to a ledger entry. Stateless, whatever key or partition the event came with.

Ids of holders are brought to the compared form. A person's number goes no further: a keyed pseudonym takes its place,
with a mask for people to read; a person's name and address, sites and details of products are sealed; numbers
in other texts and ids are masked, in free texts telephone numbers and citizen ids of the old form too. Free texts about
a person are sealed whole, since a name in them cannot be told: what an authority must keep of its decision as evidence.
In free texts about an enterprise the names of persons are sealed: those that its applications gave, and those after a word
such as 法定代表人.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from processors.context import RULES
from schemas.calendar import time_text
from schemas.canonical_json import derived_id
from schemas.errors import Rejected, UsageError, VerificationError
from schemas.events import Event
from schemas.identifiers import (
    compare,
    contacts_masked,
    fold,
    is_citizen_id,
    is_uscc,
    looks_personal,
    mask,
    masked,
)
from schemas.items import Catalogue, to_record
from schemas.ledger import (
    Auth,
    CatalogueEntry,
    ClockCorrection,
    ClockReading,
    CorrectedEntry,
    DrawnVisit,
    Entry,
    EventEntry,
    NamedHolder,
    RoutedEvent,
    TickEntry,
)
from schemas.persons import Persons, holder_key, is_pseudonym, names_in, names_sealed
from schemas.signatures import read_proof, signed_digest

MOST_AHEAD = timedelta(days=1)  # a tick that is further ahead needs the operator's confirmation
MOST_AHEAD_RUNNING = timedelta(hours=1)  # as much is a clock ahead of the running time since the last receipt
_SEALED = ("name", "address", "site", "detail")
_PERSONS = ("id", "officer", "holder_id")  # fields that may name a person
_IDS = frozenset(
    (
        "application_id",
        "filing_id",
        "inspection_id",
        "licence_number",
        "licence_numbers",
        "granted_by",
        "item",
    )
)
_EVIDENCE = frozenset(
    ("grounds", "findings", "ground")
)  # of a decision: kept after an erasure, see docs/persons.md
_PRIVATE = frozenset(("reason",))  # of a withdrawal or a returned filing: goes with the person
_FREE_TEXTS = _EVIDENCE | _PRIVATE | {"legal_basis"}
_DIGESTS = frozenset(("uri", "sha256", "text_sha256", "draw", "digest"))

Files = Callable[[str], str]
"""What became of an uploaded file: a material's uri → verified, mismatched or absent."""

Unprintable = Callable[[str], str]
"""The characters of a text that no font of the certificates has, each once; empty where all can be printed."""

Draws = Callable[[str, str], DrawnVisit | None]
"""The visit that the draw of an announcement (its digest) orders to a target, as drawn; None where no such draw is on record."""


def route(
    event: Event,
    received_at: datetime,
    principal: str,
    auth: Auth,
    persons: Persons,
    files: Files | None = None,
    unprintable: Unprintable | None = None,
    draws: Draws | None = None,
) -> Entry:
    """Return the ledger entry of an event. Raises Rejected for a tick that is not the clock's.

    What depends on the installation (the state of files, the characters that fonts have, a person's key, the papers of
    draws) is settled here and stands in the entry, so that the entry decides the same on every machine.
    """
    if event.type_name == "clock.ticked":
        return tick(event.time, received_at, event.source, auth, event.department)
    plain = _plain(event.raw["data"], persons)
    key, who, data = _holder(plain, event, persons)
    if is_pseudonym(key):
        data = {name: _text_sealed(name, value, key, persons) for name, value in data.items()}
    else:
        data = _names_sealed(data, key, persons)
    routed = RoutedEvent(
        type=event.type_name,
        source=event.source,
        id=_redacted(event.id, persons),
        time=time_text(event.time),
        data=data,
        who=who,
        files={uri: files(uri) if files else "absent" for uri in _uris(data)},
        folds=_folds(plain, key, persons),
        unprintable=_unprintable(plain, is_pseudonym(key), unprintable) if unprintable else {},
        drawn=_drawn(event, persons, draws) if draws else None,
        rules=RULES,
        **_evidence(event),
    )
    return EventEntry(entry_id(event), key, time_text(received_at), routed, principal, auth)


def _evidence(event: Event) -> dict[str, str]:
    """Return the proof of an event and the digest that it signs; nothing where it carries none that can be read."""
    try:
        proof = read_proof(event.proof or "")
    except VerificationError:
        return {}
    return {"proof": event.proof or "", "signed": signed_digest(proof, event.content)}


def _folds(data: dict[str, Any], key: str, persons: Persons) -> dict[str, str]:
    """Return the sealed folded form of a person's sealed names and addresses, where it differs from the text."""
    if not is_pseudonym(key):
        return {}
    texts = [
        part[name].strip()
        for part in (data.get("applicant"), data.get("holder"), data.get("change"))
        if isinstance(part, dict)
        for name in ("name", "address")
        if isinstance(part.get(name), str) and part[name].strip()
    ]
    return {persons.seal(key, text): persons.seal(key, fold(text)) for text in texts if fold(text) != text}


def _unprintable(data: dict[str, Any], personal: bool, unprintable: Unprintable) -> dict[str, str]:
    """Return the characters that cannot be printed, by the name of what is missing because of them.

    Of a person's texts their places are named instead, since the texts are sealed.
    """
    found: dict[str, str] = {}
    for name, text in _printed(data):
        missing = unprintable(text)
        if not missing:
            continue
        if personal:
            places = ", ".join(str(n) for n, char in enumerate(text.strip(), 1) if char in missing)
            found[name] = f"第 {places} 字 / character {places}"
        else:
            found[name] = " ".join(f"{char} (U+{ord(char):04X})" for char in missing)
    return found


def _printed(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the texts that come to stand on a certificate, with the name of what they belong to."""
    for part in ("applicant", "holder", "change"):
        sent = data.get(part)
        if isinstance(sent, dict):
            yield from ((f"{part}.{n}", sent[n]) for n in ("name", "address") if isinstance(sent.get(n), str))
    changed = data["change"].get("products") if isinstance(data.get("change"), dict) else None
    for products in (data.get("products"), changed):
        for product in products if isinstance(products, list) else ():
            if isinstance(product, dict):
                yield from (
                    ("products", product[n]) for n in ("site", "detail") if isinstance(product.get(n), str)
                )
    items = data.get("items")
    choices = items if isinstance(items, list) else []
    answers = [data.get("shared"), *(one.get("answers") for one in choices if isinstance(one, dict))]
    for given in answers:
        if isinstance(given, dict):
            yield from ((f"fields.{name}", value) for name, value in given.items() if isinstance(value, str))


def entry_id(event: Event) -> str:
    """Return 32 hex digits for source and id, 16 for the content: the same event twice has the same id."""
    return derived_id("event", event.source, event.id) + event.content_digest[:16]


def tick(
    at: datetime, received_at: datetime, principal: str, auth: Auth, department: str = "clock"
) -> TickEntry:
    """Return the entry of a tick, which concerns everyone. Raises Rejected from another department than the clock."""
    if department != "clock":
        raise Rejected(
            "只有 clock 可以报时 / only the department clock tells the time",
            where="source",
            hint="urn:agency:<division>:clock",
        )
    time = time_text(at)
    reading = ClockReading("clock.ticked", time)
    return TickEntry(f"tick:{time}", "", time_text(received_at), reading, principal, auth)


def _holder(data: dict[str, Any], event: Event, persons: Persons) -> tuple[str, NamedHolder, dict[str, Any]]:
    """Return key and description of the holder, and the data with the key in the place of the number.

    A drawn target without a licence stands for itself, and a draw for its results.
    """
    if event.type_name == "inspections.published":
        return compare(data["draw"]), NamedHolder(data["draw"], True), data
    if event.type_name == "inspection.recorded" and not data.keys() & {"licence_number", "granted_by"}:
        key, who = _describe(str(event.raw["data"]["target"]), "", persons)
        return key, who, {**{k: v for k, v in data.items() if k != "holder_id"}, "target": key}
    for part in ("applicant", "holder"):
        if isinstance(data.get(part), dict) and "id" in data[part] and "holder_id" not in data:
            sent = data[part]
            key, who = _describe(str(event.raw["data"][part]["id"]), str(sent.get("kind", "")), persons)
            data = {**data, part: {**_sealed(sent, key, persons), "id": key}}
            if isinstance(data.get("change"), dict):
                data["change"] = _products_sealed(_sealed(data["change"], key, persons), key, persons)
            return key, who, _products_sealed(data, key, persons)
    key, who = _describe(str(event.raw["data"]["holder_id"]), "", persons)
    data = {**data, "holder_id": key}
    if isinstance(data.get("applicant"), dict):
        sealed = _sealed(data["applicant"], key, persons)
        data["applicant"] = {k: v for k, v in sealed.items() if k != "id"}
    return key, who, _products_sealed(data, key, persons)


def _drawn(event: Event, persons: Persons, draws: Draws) -> DrawnVisit | None:
    """Return the visit of a draw that an event names, with the ids in it as they stand in the entry."""
    sent = event.raw["data"]
    if event.type_name not in ("inspection.recorded", "inspections.published") or sent.get("draw") is None:
        return None
    found = draws(sent["draw"], str(sent.get("target") or sent.get("licence_number") or ""))
    if found is None:
        return None
    staff = {compare(_redacted(own, persons)): department for own, department in found.inspectors.items()}
    target = _describe(found.target, "", persons)[0] if found.target else ""
    return replace(found, target=target, inspectors=staff)


def _describe(number: str, kind: str, persons: Persons) -> tuple[str, NamedHolder]:
    compared = compare(number)
    key = holder_key(number, kind, persons)
    personal = key != compared
    good = is_citizen_id(compared) if kind == "person" else is_uscc(compared)
    return key, NamedHolder(mask(compared) if personal else compared, good)


def _sealed(part: dict[str, Any], key: str, persons: Persons) -> dict[str, Any]:
    """Name and address of a person, site and detail of a product, sealed; an enterprise's as they are."""
    if not is_pseudonym(key):
        return part
    return {
        name: persons.seal(key, value.strip()) if name in _SEALED and isinstance(value, str) else value
        for name, value in part.items()
    }


def _text_sealed(name: str, value: Any, key: str, persons: Persons) -> Any:
    """Seal a free text about a person; other values stay as they are."""
    if not isinstance(value, str):
        return value
    if name in _EVIDENCE:
        return persons.seal_evidence(key, value)
    return persons.seal(key, value) if name in _PRIVATE else value


def _names_sealed(data: dict[str, Any], key: str, persons: Persons) -> dict[str, Any]:
    """Seal the names of persons in free texts about an enterprise; other values stay as they are."""
    texts = {name: data[name] for name in sorted(_EVIDENCE | _PRIVATE) if isinstance(data.get(name), str)}
    given = {name for name in names_in(data) if name not in texts.values()}
    if not texts and not given:
        return data
    known = persons.names_given(key, given)
    seal = partial(persons.seal_name, key)
    return {**data, **{name: names_sealed(text, known, seal) for name, text in texts.items()}}


def _products_sealed(part: dict[str, Any], key: str, persons: Persons) -> dict[str, Any]:
    if not is_pseudonym(key) or not isinstance(part.get("products"), list):
        return part
    products = [_sealed(p, key, persons) if isinstance(p, dict) else p for p in part["products"]]
    return {**part, "products": products}


def _plain(data: dict[str, Any], persons: Persons) -> dict[str, Any]:
    """Return the data without nulls (absent) and without any person's number in clear."""
    return {masked(k): _cleaned(k, v, persons) for k, v in data.items() if v is not None}


def _cleaned(name: str, value: Any, persons: Persons) -> Any:
    if isinstance(value, str):
        if name in _PERSONS:
            return _redacted(value, persons)
        if name in _FREE_TEXTS:
            return contacts_masked(masked(value))
        return value if name in _DIGESTS else masked(value, an_id=name in _IDS)
    if isinstance(value, dict):
        return {masked(k): _cleaned(k, v, persons) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_cleaned(name, v, persons) for v in value if v is not None]
    if isinstance(value, int) and looks_personal(str(value)):
        return mask(str(value))  # in a field that nobody asked for
    return value


def _redacted(text: str, persons: Persons) -> str:
    """Return an id with a person's number replaced by its pseudonym; other ids stay as they are."""
    compared = compare(text)
    return persons.pseudonym(compared) if looks_personal(compared) else masked(text, an_id=True)


def _uris(data: dict[str, Any]) -> list[str]:
    materials = data.get("materials")
    if not isinstance(materials, list):
        return []
    return [m["uri"] for m in materials if isinstance(m, dict) and isinstance(m.get("uri"), str)]


class ClockJumped(UsageError):
    """A tick lies so far ahead of the last moment decided that the clock may be wrong."""


def check_tick(at: datetime, last: int) -> None:
    """Compare a tick with the last moment decided (Unix seconds; 0 before the first).

    Raises ClockJumped where the tick is more than a day ahead: a tick lets licences expire for good.
    """
    before = datetime.fromtimestamp(last, UTC)
    if last and at - before > MOST_AHEAD:
        raise ClockJumped(
            f"报时 {time_text(at)} 比上次办理时刻 {time_text(before)} 晚一天以上 / "
            "the tick is more than a day past the last moment decided",
            where="clock",
            hint=f"核对本机时钟；确认无误后 / check the clock of this machine; if it is right: zhengzhao tick --at {time_text(at)} --confirm",
        )


class RunningTime(NamedTuple):
    """A moment by the clock, the machine's running time at it in seconds, and which start of the machine that counts."""

    at: datetime
    seconds: float
    start: str


def check_running(at: datetime, now: RunningTime, before: RunningTime | None) -> None:
    """Compare a tick with the running time since the last receipt, where the machine was not started anew since.

    Raises ClockJumped where the tick is more than an hour past it: time that has not passed here.
    """
    if before is None or before.start != now.start:
        return
    expected = before.at + timedelta(seconds=now.seconds - before.seconds)
    if at - expected > MOST_AHEAD_RUNNING:
        raise ClockJumped(
            f"报时 {time_text(at)} 比本机运行时间所示的 {time_text(expected)} 晚一小时以上 / "
            f"the tick is more than an hour past {time_text(expected)}, which the running time since the last receipt gives",
            where="clock",
            hint=f"核对本机时钟；确认无误后 / check the clock of this machine; if it is right: zhengzhao tick --at {time_text(at)} --confirm",
        )


def correction(to: datetime, received_at: datetime, reason: str) -> CorrectedEntry:
    """Return the entry by which the operator takes back what fell due after a moment."""
    time, received = time_text(to), time_text(received_at)
    payload = ClockCorrection("clock.corrected", time, reason)
    return CorrectedEntry(f"corrected:{time}:{received}", "", received, payload, "clock", "internal")


def catalogue_entry(catalogue: Catalogue, received_at: datetime) -> CatalogueEntry:
    """Return the entry that brings a catalogue of service items into force."""
    time = time_text(received_at)
    digest = hashlib.sha256(f"{catalogue.digest}:{time}".encode()).hexdigest()[:16]
    entry_id = f"catalogue:{catalogue.digest[:32]}:{digest}"
    return CatalogueEntry(entry_id, "", time, to_record(catalogue), "settings", "internal")
