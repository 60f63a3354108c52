"""The ledger: one order, per holder, of everything that `decide` reads.

`route` writes events, the clock writes ticks, `number` and `issue` write back what they did, and the catalogue of
service items is written whenever it changes. The ledger alone therefore explains every decision.

An entry is one of eight classes, told apart by `kind`; each has a payload of its own type. The stored JSON has the
keys in a fixed order (`id`, `kind`, `holder`, …), because `replay --decide` compares stored bytes.

Stored records carry a version as `v`; events carry theirs in the type (`….v1`). A release that changes a stored form
raises its number in `CURRENT` and registers one step from the number before. Steps are chained and never removed, so
the oldest record can still be read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

import msgspec

from schemas.errors import UsageError
from schemas.items import RecordedCatalogue
from schemas.licence import Issued, Numbered

LEDGER_PARTITIONS = 64  # fixed for ever, so that a holder's partition never changes

Auth = Literal["none", "proof", "token", "session", "topic", "internal"]
Kind = Literal["event", "tick", "catalogue", "numbered", "claimed", "issued", "failed", "corrected"]
P = TypeVar("P")


class NamedHolder(msgspec.Struct, frozen=True):
    """The holder that an event names: USCC or mask, and whether the number passes its check digits."""

    display: str
    id_ok: bool


class DrawnVisit(msgspec.Struct, frozen=True, omit_defaults=True):
    """The visit of a draw that an event names, as the draw's papers had it when the event was routed.

    `visit` is the id under which the draw expects the result, empty where the target was not drawn; `inspectors` maps
    the compared ids of those drawn (or who replaced them) to their departments in the announced register, empty where
    that is not at hand. `departments` may record for the draw, in the authority's division and below it.
    """

    authority: str
    departments: tuple[str, ...]
    visit: str = ""
    target: str = ""
    inspectors: dict[str, str] = {}


class RoutedEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A CloudEvent as `route` passes it on, persons' texts sealed and numbers replaced by pseudonyms.

    `data` keeps fields that this release does not know. `files` maps the `uri` of each uploaded material to
    `verified`, `mismatched` or `absent`. `folds` maps a person's sealed texts to their sealed folded forms, where the
    two differ; `unprintable` the name of a part of the data to its characters that no font of the certificates has.
    `proof` is the whole detached JWS as it was sent, `signed` the SHA-256 (hex) that its signature is over, so that
    the signature can be checked again although the event itself is not kept in clear.
    """

    type: str  # without prefix and suffix
    source: str
    id: str
    time: str  # RFC 3339, +08:00
    data: dict[str, Any]
    who: NamedHolder
    files: dict[str, str] = {}
    folds: dict[str, str] = {}
    unprintable: dict[str, str] = {}
    drawn: DrawnVisit | None = None  # of an event that names a draw on record
    rules: int = 1  # release of the rules by which it is decided (`processors.context.RULES`)
    proof: str = ""
    signed: str = ""


class ClockReading(msgspec.Struct, frozen=True):
    """The time that a tick tells (RFC 3339, +08:00)."""

    type: str
    time: str


class ClockCorrection(msgspec.Struct, frozen=True):
    """The operator's word that the clock was wrong: what fell due after `time` did not."""

    type: str
    time: str  # RFC 3339, +08:00
    reason: str


class NumberAnswer(msgspec.Struct, frozen=True):
    """The answer of `number` to an import: whether the holder may have this number."""

    number: str
    free: bool


class FailedVersion(msgspec.Struct, frozen=True):
    """A version of a licence that could not be numbered or issued."""

    licence_id: str
    version: int


class _Entry(msgspec.Struct, Generic[P], frozen=True):
    """The fields that all ledger entries share.

    `id` identifies the content: the same event routed twice has the same id. `holder` is a USCC in the compared form
    or a person's pseudonym; it is empty for ticks and catalogues, which concern everyone.
    """

    kind: ClassVar[Kind]
    id: str
    holder: str
    received_at: str  # RFC 3339 with zone, the moment of routing; empty for what a stage sent back
    payload: P
    principal: str = ""  # the sender: a source URN, an account, or a stage
    auth: Auth = "none"
    v: int = 1


class EventEntry(_Entry[RoutedEvent], frozen=True):
    """An event of an agency or applicant."""

    kind: ClassVar[Kind] = "event"


class TickEntry(_Entry[ClockReading], frozen=True):
    """A tick of the clock. `holder` is set only where one holder's tick returns from the dead letters."""

    kind: ClassVar[Kind] = "tick"


class CatalogueEntry(_Entry[RecordedCatalogue], frozen=True):
    """The service items in force from here on."""

    kind: ClassVar[Kind] = "catalogue"


class NumberedEntry(_Entry[Numbered], frozen=True):
    """A version got its number, identifier and place in a status list."""

    kind: ClassVar[Kind] = "numbered"


class ClaimedEntry(_Entry[NumberAnswer], frozen=True):
    """The answer to an import that claims a number."""

    kind: ClassVar[Kind] = "claimed"


class IssuedEntry(_Entry[Issued], frozen=True):
    """A version was signed and stored."""

    kind: ClassVar[Kind] = "issued"


class FailedEntry(_Entry[FailedVersion], frozen=True):
    """A version waits in the dead letters, unnumbered or unissued."""

    kind: ClassVar[Kind] = "failed"


class CorrectedEntry(_Entry[ClockCorrection], frozen=True):
    """A correction of the clock, which concerns everyone."""

    kind: ClassVar[Kind] = "corrected"


Entry = (
    EventEntry
    | TickEntry
    | CatalogueEntry
    | NumberedEntry
    | ClaimedEntry
    | IssuedEntry
    | FailedEntry
    | CorrectedEntry
)


def moment_of(entry: Entry) -> int:
    """Return the moment (Unix seconds) that an entry vouches for: the earlier of its time and of its receipt.

    A sender's clock never dates what we sign, so the moment of receipt bounds it. Entries that a stage sent back, and
    catalogues, vouch for none (0).
    """
    if not isinstance(entry, EventEntry | TickEntry):
        return 0
    told = datetime.fromisoformat(entry.payload.time)
    received = datetime.fromisoformat(entry.received_at) if entry.received_at else told
    return int(min(told, received).timestamp())


def clock_after(clock: int, entry: Entry) -> int:
    """Return the latest moment vouched for (Unix seconds) once an entry is decided; a correction sets it back."""
    if isinstance(entry, CorrectedEntry):
        return int(datetime.fromisoformat(entry.payload.time).timestamp())
    return max(clock, moment_of(entry))


def partition_of(holder: str) -> int:
    """Return the ledger partition (0 … 63) of a holder: SHA-256, the same in every client and release."""
    return hashlib.sha256(holder.encode()).digest()[0] % LEDGER_PARTITIONS


# --- stored form


class _Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry as it is stored; its payload is parsed once `kind` is known."""

    id: str
    kind: Kind
    holder: str
    received_at: str
    payload: msgspec.Raw
    principal: str = ""
    auth: Auth = "none"
    v: int = 1


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode
_FORMS: Final[dict[str, tuple[type[Any], Callable[[bytes | msgspec.Raw], Any]]]] = {
    "event": (EventEntry, msgspec.json.Decoder(RoutedEvent).decode),
    "tick": (TickEntry, msgspec.json.Decoder(ClockReading).decode),
    "catalogue": (CatalogueEntry, msgspec.json.Decoder(RecordedCatalogue).decode),
    "numbered": (NumberedEntry, msgspec.json.Decoder(Numbered).decode),
    "claimed": (ClaimedEntry, msgspec.json.Decoder(NumberAnswer).decode),
    "issued": (IssuedEntry, msgspec.json.Decoder(Issued).decode),
    "failed": (FailedEntry, msgspec.json.Decoder(FailedVersion).decode),
    "corrected": (CorrectedEntry, msgspec.json.Decoder(ClockCorrection).decode),
}


def encode_entry(entry: Entry) -> bytes:
    """Return the stored JSON of an entry."""
    payload = msgspec.Raw(_encode(entry.payload))
    return _encode(
        _Stored(
            entry.id, entry.kind, entry.holder, entry.received_at, payload, entry.principal, entry.auth, entry.v
        )
    )  # fmt: skip


def decode_entry(raw: bytes) -> Entry:
    """Read stored JSON of this release or an earlier one.

    Raises msgspec.DecodeError for what is no entry, UsageError for an entry of a later release.
    """
    try:
        entry = _read(raw)
    except msgspec.ValidationError:
        old = _record(raw)
        if (new := upcast_entry(old)) == old:
            raise
        return _read(_encode(new))
    return entry if _is_current(entry) else _read(_encode(upcast_entry(_record(raw))))


def entry_record(entry: Entry) -> dict[str, Any]:
    """Return an entry as plain data, for facts that carry one."""
    return _record(encode_entry(entry))


def entry_of(record: Mapping[str, Any]) -> Entry:
    """Read an entry from plain data (`entry_record`)."""
    return decode_entry(_encode(record))


def _read(raw: bytes) -> Entry:
    stored = _decode(raw)
    made, payload = _FORMS[stored.kind]
    return made(  # type: ignore[no-any-return]
        stored.id, stored.holder, stored.received_at, payload(stored.payload), stored.principal, stored.auth, stored.v
    )  # fmt: skip


def _record(raw: bytes) -> dict[str, Any]:
    return msgspec.json.decode(raw, type=dict[str, Any])


def _is_current(entry: Entry) -> bool:
    if entry.v != CURRENT["entry"]:
        return False
    if isinstance(entry, NumberedEntry):
        return entry.payload.v == CURRENT["numbered"] and entry.payload.grant.v == CURRENT["grant"]
    return entry.payload.v == CURRENT["issued"] if isinstance(entry, IssuedEntry) else True


# --- records of earlier releases

Record = dict[str, Any]
Step = Callable[[Record], Record]


class Upcasters:
    """The current version of each stored form, and the steps that lead to it."""

    def __init__(self, current: Mapping[str, int], steps: Mapping[tuple[str, int], Step]) -> None:
        """Check the steps. Raises ValueError when one is missing, or leads nowhere."""
        expected = {(form, v) for form, last in current.items() for v in range(1, last)}
        if expected != set(steps):
            raise ValueError(f"steps missing or too many: {sorted(expected ^ set(steps))}")
        self._current = dict(current)
        self._steps = dict(steps)

    def read(self, form: str, record: Record) -> Record:
        """Return the record in its current version. Raises UsageError when a later release wrote it."""
        version = record.get("v", 1)
        current = self._current[form]
        if not isinstance(version, int) or not 1 <= version <= current:
            raise UsageError(
                f"{form} 的版本 {version!r} 未知（本版读到 {current}） / "
                f"version {version!r} of {form} is unknown (this release reads up to {current})",
                hint="使用写入该数据的版本或更新的版本 / use the release that wrote it, or a later one",
            )
        while version < current:
            record = {**self._steps[form, version](record), "v": version + 1}
            version += 1
        return record


CURRENT: Final[dict[str, int]] = {"entry": 1, "fact": 1, "grant": 1, "numbered": 1, "issued": 1}
STEPS: Final[dict[tuple[str, int], Step]] = {}
UPCASTERS: Final = Upcasters(CURRENT, STEPS)


def upcast(form: str, record: Record) -> Record:
    """Return a stored `entry`, `fact`, `grant`, `numbered` or `issued` record in the form that this release reads."""
    return record if record.get("v", 1) == CURRENT[form] else UPCASTERS.read(form, record)


def upcast_within(record: Record) -> Record:
    """Bring the records that an entry's payload or a fact's body contains into their current forms."""
    nested = {
        form: upcast(form, record[form]) for form in ("grant", "issued") if isinstance(record.get(form), dict)
    }
    return {**record, **nested}


def upcast_entry(record: Record) -> Record:
    """Return a stored entry, with what it contains, in the form that this release reads."""
    record = upcast("entry", record)
    payload, kind = record.get("payload"), record.get("kind")
    if kind in ("numbered", "issued") and isinstance(payload, dict):
        return {**record, "payload": upcast_within(upcast(kind, payload))}
    return record
