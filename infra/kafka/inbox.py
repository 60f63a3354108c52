"""The inbox on Kafka: `submit` sends events to it, and `route` checks them again.

The events that this data folder has sent are remembered (source and id → content), so that an interrupted file
continues where it stopped, and an event that was sent before counts as a duplicate. Events that others sent are known
only behind the ledger.

The catalogue in force stands in every partition of the ledger, before any event that it decides. A worker that routes
compares its own catalogue with the last one recorded and writes the new one first. Workers of one installation
therefore need the same item files; the last one started wins.
"""

from __future__ import annotations

import hmac
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from infra.kafka.connection import Connection, parse
from infra.kafka.outbox import Send
from infra.kafka.publisher import Publisher, send_all
from infra.kafka.records import Place, Reader, cluster_id, send_entry
from infra.kafka.topics import CATALOGUE, LEDGER
from infra.persons.keys import installation_secret
from infra.settings import Settings
from processors.route import ClockJumped, catalogue_entry, check_tick, entry_id
from processors.stages import is_duplicate
from producers.files import Accepted, Outcome
from schemas.calendar import check_backdate, time_text
from schemas.errors import BrokerUnavailable, Rejected, TransientError
from schemas.events import Event
from schemas.items import Catalogue
from schemas.ledger import Auth, CatalogueEntry, clock_after, decode_entry, encode_entry
from schemas.persons import subkey

_SENT = "CREATE TABLE IF NOT EXISTS sent (event TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID"
_encode = msgspec.json.Encoder().encode
_LAST = 50  # entries of each partition that are looked at first for the time
REFUSED = "worker/clock-refused"
_PAUSE: Final = 2.0  # seconds after a fault of the broker in which it is not asked again
ATTESTED: Final = "zhengzhao-attested"  # the header
_AUTHS: Final[tuple[Auth, ...]] = ("none", "proof", "token", "session", "internal")
_LOOK_SECONDS: Final = 10.0  # between two looks at the ledger for ticks of others


class Attested(NamedTuple):
    """The way in which a sender is known, and the account of a session."""

    auth: Auth
    account: str = ""


class Attestations:
    """The attestations of a service about events that it took in: how a sender is known (`proof`, `token`, `none`).

    That of a `session` names the account too; `internal` is a tick that the operator's command sends.

    One travels in a header of the record, under a key that only this installation has, and binds the bytes: nobody
    else who may write to the inbox can make it. Where proofs are required, `token` and `none` are not enough.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = subkey(secret, "attested")

    def header(self, auth: Auth, raw: bytes, account: str = "") -> tuple[str, bytes]:
        """Return the header for a record with the value `raw`."""
        said = f"{auth}/{account}".encode() if account else auth.encode()
        return ATTESTED, said + b":" + self._tag(said, raw)

    def read(self, header: bytes, raw: bytes) -> Attested | None:
        """Return what a header says about a record; None where this installation did not attest these bytes."""
        said, _, tag = header.partition(b":")
        auth, _, account = said.partition(b"/")
        for known in _AUTHS:
            if auth == known.encode() and hmac.compare_digest(tag, self._tag(said, raw)):
                return Attested(known, account.decode("utf-8", "replace"))
        return None

    def _tag(self, said: bytes, raw: bytes) -> bytes:
        return hmac.new(self._key, said + b"\0" + raw, "sha256").hexdigest().encode()


class KafkaInbox:
    """The sender of events to the inbox; those of one holder stay in order.

    It connects when it is first needed, and anew after a fault of the broker. `seconds` is the time that the broker has
    to take an event. `known` tells how the sender of an event is known, for a caller that has found that out; the record
    then carries it, attested.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        seconds: float = 120,
        known: Callable[[Event], Auth] | None = None,
        sender: Callable[[Event], str] = lambda event: event.source,
        attest: Attestations | None = None,
    ) -> None:
        self._settings = settings
        self._connection = parse(settings.broker or "")
        self._seconds = seconds
        self._known_by = known
        self._sender = sender
        self._attest = attest
        self._publisher: Publisher | None = None
        self._sent: SentEvents | None = None
        self._fault: tuple[float, BrokerUnavailable] | None = None

    def close(self) -> None:
        """Close the record of sent events and the connection."""
        for part in (self._publisher, self._sent):
            if part is not None:
                part.close()
        self._publisher = self._sent = None

    def take(self, events: Sequence[Event], received_at: datetime) -> list[Outcome]:
        """Send new events to the inbox and return the outcome of each.

        Raises BrokerUnavailable where the broker did not take all of them in time. Then nothing is remembered of them,
        and they may be sent again: those that did arrive are known by their ids when they are decided.
        """
        try:
            publisher, sent = self._opened()
            outcomes, new = self._compared(events, received_at, sent)
            for event in new.values():
                self._send(publisher, event)
            publisher.flush()  # an event is remembered only once the broker has acknowledged it
        except BrokerUnavailable as error:
            self.close()
            self._fault = (time.monotonic(), error)
            raise
        sent.remember({key: event.content_digest for key, event in new.items()})
        return outcomes

    def _opened(self) -> tuple[Publisher, SentEvents]:
        if self._fault is not None and time.monotonic() - self._fault[0] < _PAUSE:
            # Callers who waited meanwhile need not wait for the broker one after the other.
            raise self._fault[1]
        if self._sent is None:
            place = self._settings.data / "sent" / f"{cluster_id(self._connection, self._seconds)}.db"
            self._sent = SentEvents(place)
        if self._publisher is None:
            self._publisher = Publisher(self._connection, seconds=self._seconds)
        return self._publisher, self._sent

    def _compared(
        self, events: Sequence[Event], received_at: datetime, sent: SentEvents
    ) -> tuple[list[Outcome], dict[str, Event]]:
        """Compare each event with those that were sent before, in this call too; return outcomes and new events."""
        outcomes: list[Outcome] = []
        new: dict[str, Event] = {}
        for event in events:
            key = entry_id(event)[:32]
            before = new[key].content_digest if key in new else sent.digest(key)
            try:
                duplicate = is_duplicate(before, event.content_digest)
                if not duplicate:
                    check_backdate(event.time, received_at, self._settings.backdate_days)
            except Rejected as error:
                outcomes.append(error)
                continue
            if not duplicate:
                new[key] = event
            outcomes.append(Accepted(duplicate=duplicate))
        return outcomes, new

    def _send(self, publisher: Publisher, event: Event) -> None:
        raw = _encode(event.raw)
        headers: tuple[tuple[str, bytes], ...] = ()
        if self._known_by is not None and self._attest is not None:
            sender = self._sender(event)
            account = "" if sender == event.source else sender
            headers = (self._attest.header(self._known_by(event), raw, account),)
        publisher.send(event.holder_id or "", raw, headers=headers)


class SentEvents:
    """The events that this data folder has sent: source and id → content."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._db.execute(_SENT)
        except sqlite3.Error as error:
            raise TransientError(
                f"发送记录无法写入 / the record of sent events cannot be written: {error}", where=str(path)
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def digest(self, key: str) -> str | None:
        """Return the content under which an event was sent; None where it was not."""
        row = self._db.execute("SELECT digest FROM sent WHERE event = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    def remember(self, sent: Mapping[str, str]) -> None:
        """Remember events by key and content."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?)", sent.items())
        self._db.execute("COMMIT")


def last_moment(connection: Connection) -> int:
    """Return the latest moment (Unix seconds) that the last entries of the ledger vouch for; 0 where there are none."""
    with Reader(connection, [LEDGER]) as reader:
        return max(last_moments(reader).values(), default=0)


def last_moments(reader: Tail) -> dict[int, int]:
    """Return partition → the latest moment that its last entries vouch for; the reader of the ledger ends at its ends.

    Behind many events at once stand as many answers of `number` and `issue`, which tell no time: one looks further back
    until an entry does.
    """
    moments: dict[int, int] = {}
    ends = reader.ends()
    left, most = dict(ends), _LAST
    while left:
        reader.seek({**ends, **{place: end - most for place, end in left.items()}})
        for records in reader.up_to(ends):
            for record in records:
                before = moments.get(record.partition, 0)
                moments[record.partition] = clock_after(before, decode_entry(record.value))
        left = {place: end for place, end in left.items() if not moments.get(place[1]) and end > most}
        most *= 8
    return moments


def note_refused(settings: Settings, problem: str) -> None:
    """Note in the data folder why ticks have stopped, for `doctor`; an empty text: they go on."""
    path = settings.data / REFUSED
    if problem:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(problem, "utf-8")
    else:
        path.unlink(missing_ok=True)


class Tail(Protocol):
    """A reader of the ledger from positions to its ends; `infra.kafka.records.Reader` is one."""

    def ends(self) -> dict[Place, int]:
        """Return the ends as they are now."""
        ...

    def seek(self, positions: Mapping[Place, int]) -> None:
        """Go on from these positions; a partition without one, or with one below 0, from its beginning."""
        ...

    def up_to(self, ends: Mapping[Place, int]) -> Iterator[list[Any]]:
        """Yield the records up to these ends."""
        ...


class LedgerClock:
    """The last moment that the ledger vouches for, with which ticks of others are compared as those of our own clock."""

    def __init__(self, read: Callable[[], int], steady: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._steady = steady
        self._lock = threading.Lock()
        self._known = 0
        self._look_at = -math.inf

    def check(self, at: datetime) -> None:
        """Raise ClockJumped where a tick is more than a day past the last moment decided."""
        with self._lock:
            try:
                if self._known:
                    check_tick(at, self._known)
                    return
            except ClockJumped:
                pass  # the ledger may have gone on since
            if self._steady() >= self._look_at:
                self._known = self._read()
                self._look_at = self._steady() + _LOOK_SECONDS
            check_tick(at, self._known)


def send_kafka_tick(settings: Settings, at: datetime) -> None:
    """Send the operator's tick through the inbox, attested by this installation."""
    moment = time_text(at)
    raw = _encode(
        {
            "specversion": "1.0",
            "id": f"tick-{moment}",
            "source": "urn:agency:000000:clock",
            "type": "zhengzhao.clock.ticked.v1",
            "time": moment,
            "data": {},
        }
    )
    attested = Attestations(installation_secret(settings.data)).header("internal", raw)
    with Publisher(parse(settings.broker or "")) as publisher:
        publisher.send("", raw, headers=[attested])


def ensure_catalogue(connection: Connection, catalogue: Catalogue) -> bool:
    """Write the catalogue into the ledger where another one is in force; return True where it was written."""
    recorded = last_catalogue(connection)
    if recorded is not None and recorded.payload.digest == catalogue.digest:
        return False
    entry = catalogue_entry(catalogue, datetime.now(UTC))
    send_all(connection, send_entry(entry))  # into every partition first, so that nobody writes it again
    send_all(connection, [Send(CATALOGUE, b"catalogue", encode_entry(entry))])
    return True


def last_catalogue(connection: Connection) -> CatalogueEntry | None:
    """Return the catalogue entry written last; None before the first."""
    last: CatalogueEntry | None = None
    with Reader(connection, [CATALOGUE]) as reader:
        reader.seek({})
        for records in reader.up_to(reader.ends()):
            entry = decode_entry(records[-1].value)
            last = entry if isinstance(entry, CatalogueEntry) else last
    return last
