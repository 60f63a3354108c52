"""Adapters are built here, and nowhere else: settings in, working parts out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from infra.embedded import letters
from infra.embedded.inbox import EmbeddedInbox
from infra.persons import open_persons
from infra.persons.keys import PersonsStore
from infra.readmodel.database import Database
from infra.readmodel.register import EmbeddedRegister, EmptyRegister
from infra.recovery import archive
from infra.recovery.replay import ReplayReport, Say
from infra.recovery.replay import replay as run_replay
from infra.settings import Settings
from infra.stores import open_store
from processors.queries.register import Register
from processors.route import tick as tick_entry
from producers.files import Inbox, Papers
from schemas.errors import NotFound, TransientError, VerificationError, ZhengzhaoError
from schemas.events import Event
from schemas.items import load_catalogue
from schemas.ledger import Auth


@contextmanager
def open_inbox(settings: Settings) -> Iterator[Inbox]:
    """The door of the engine that the settings name."""
    if settings.on_kafka:
        from infra.kafka.inbox import open_kafka_inbox

        with open_kafka_inbox(settings) as inbox:
            yield inbox
        return
    with embedded_inbox(settings) as embedded:
        yield embedded


@contextmanager
def embedded_inbox(
    settings: Settings, authenticate: Callable[[Event], Auth] | None = None
) -> Iterator[EmbeddedInbox]:
    """The door of the embedded engine; `authenticate` in the place of the proof's check, for who knows more."""
    with Database(settings.database, create=True) as db:
        persons = open_persons(settings.data, settings.shared_persons)
        try:
            yield EmbeddedInbox(
                db,
                persons,
                load_catalogue(settings.items),
                authenticate or authenticator(settings),
                upload_checker(settings, persons),
            )
        finally:
            persons.close()


@contextmanager
def open_register(settings: Settings) -> Iterator[Register]:
    """The register for queries; everything read inside the block is of one moment."""
    if settings.on_kafka:
        from infra.kafka.projection import open_kafka_register

        with open_kafka_register(settings) as projection:
            yield projection
        return
    if settings.data.is_dir() and not settings.database.exists():
        yield EmptyRegister()  # a folder in which nothing has happened yet: every answer is no
        return
    register = EmbeddedRegister(settings.database)
    try:
        with register.moment():
            yield register
    finally:
        register.close()


def send_tick(settings: Settings, at: datetime, received_at: datetime) -> None:
    """Tells the ledger the time. Rejected for a time more than five minutes ahead."""
    from schemas.calendar import read_time

    read_time(at.isoformat(), received_at)
    if settings.on_kafka:
        from infra.kafka.inbox import send_kafka_tick

        send_kafka_tick(settings, at)
        return
    with embedded_inbox(settings) as inbox:
        inbox.append(tick_entry(at, received_at, "clock", "internal"), received_at)


def authenticator(settings: Settings) -> Callable[[Event], Auth]:
    """How events are authenticated: by their proof, against the agency register."""

    def authenticate(event: Event) -> Auth:
        if event.proof is None and not settings.require_proof:
            return "none"
        from infra.agencies import check_proof

        return check_proof(settings, event)

    return authenticate


def upload_checker(settings: Settings, persons: PersonsStore) -> Callable[[str], str]:
    """What became of an uploaded file that a material names: verified, mismatched or absent."""
    store = open_store(settings.store, settings.objects)

    def check(uri: str) -> str:
        digest = uri.rpartition("/")[2]
        try:
            content = persons.open_file(store.get(f"uploads/{digest}"))
        except NotFound:
            return "absent"
        except VerificationError:
            return "mismatched"
        return "verified" if hashlib.sha256(content).hexdigest() == digest else "mismatched"

    return check


def paper_reader(settings: Settings, source: str, at: datetime) -> Papers:
    """How PDF packets become events; their papers are kept as uploads."""

    def papers(names: Sequence[str]) -> Iterator[tuple[str, bytes | ZhengzhaoError]]:
        from producers.packet_events import event_bytes, grouped, read_file

        persons = open_persons(settings.data, settings.shared_persons)
        store = open_store(settings.store, settings.objects)
        try:
            good: list[tuple[str, bytes]] = []
            for name in names:
                try:
                    paper = read_file(Path(name))
                    grouped([paper])  # an unreadable one spoils no neighbour
                    good.append(paper)
                except ZhengzhaoError as error:
                    yield name, error
            for group in grouped(good):
                try:
                    yield group[0][0], event_bytes(settings, persons, store, group, source=source, at=at)
                except TransientError:
                    raise  # no fault of a paper's
                except ZhengzhaoError as error:
                    yield group[0][0], error
        finally:
            persons.close()

    return papers


def replay(settings: Settings, into: Path, *, decide: bool, say: Say) -> ReplayReport:
    """Replays what the settings name into the folder `into`."""
    if settings.on_kafka:
        from infra.kafka.replay import replay_kafka

        return replay_kafka(settings, into, decide=decide, say=say)
    return run_replay(settings, into, decide=decide, say=say)


class LetterBox(Protocol):
    """Dead letters of an engine."""

    def letters(self) -> Iterator[dict[str, Any]]:
        """The open letters."""
        ...

    def content(self, letter: int) -> bytes:
        """The original bytes of a letter."""
        ...

    def retry(self, wanted: Sequence[int]) -> int:
        """Sends letters back; how many."""
        ...


class _EmbeddedLetters:
    def __init__(self, db: Database) -> None:
        self._db = db

    def letters(self) -> Iterator[dict[str, Any]]:
        return letters.letters(self._db)

    def content(self, letter: int) -> bytes:
        return letters.content(self._db, letter)

    def retry(self, wanted: Sequence[int]) -> int:
        return letters.retry(self._db, wanted)


@contextmanager
def open_letters(settings: Settings) -> Iterator[LetterBox]:
    """The dead letters of the engine that the settings name."""
    if settings.on_kafka:
        from infra.kafka.letters import open_kafka_letters

        with open_kafka_letters(settings) as box:
            yield box
        return
    with Database(settings.database) as db:
        yield _EmbeddedLetters(db)


def export_log(settings: Settings, file: Path, say: Say) -> dict[str, object]:
    """Everything that the engine knows, as one file."""
    if settings.on_kafka:
        from infra.kafka.replay import copied

        with copied(settings, say) as copy:
            return archive.export_log(copy, file, say)
    return archive.export_log(settings, file, say)


def import_log(settings: Settings, file: Path, say: Say) -> ReplayReport:
    """An exported file into a data folder without data, or into empty topics."""
    if settings.on_kafka:
        from infra.kafka.importing import import_log_kafka

        return import_log_kafka(settings, file, say)
    return archive.import_log(settings, file, say)
