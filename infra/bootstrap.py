"""The one place that opens adapters: settings in, working parts out.

`Installation` is what every command, page and worker is built from. It opens each part when it is first asked
for and closes what it opened. No other module opens a store, the persons' keys, the signer, the trust folder or
the service items, and no other module asks which engine the settings name. Imports stand inside functions here,
so that a command loads only the parts that it uses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from infra.settings import Settings
from schemas.errors import NotFound, TransientError, UsageError, VerificationError, ZhengzhaoError
from schemas.ports import Store

if TYPE_CHECKING:
    from infra.embedded.engine import DrainProgress, Engine
    from infra.embedded.inbox import EmbeddedInbox
    from infra.persons.keys import PersonsStore
    from infra.readmodel.database import Database
    from infra.readmodel.letters import LetterBox
    from infra.recovery.replay import ReplayReport, Say
    from issuance.signer import SoftwareSigner
    from processors.queries.find import Queries
    from processors.queries.register import Register
    from producers.files import Inbox, Papers
    from producers.packet_events import PacketForms
    from schemas.events import Event
    from schemas.items import Catalogue
    from schemas.ledger import Auth
    from schemas.trust import TrustStore

TURN_SECONDS = 600.0  # a command waits so long for another process to finish with the data folder


def _ignore(*_: Any) -> None:
    pass


class Installation:
    """The parts of one installation, opened on first use.

    Use it as a context manager: at the end of the block whatever was opened is closed. Not thread-safe while
    parts are being opened; the parts themselves say what they allow.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the parts that were opened."""
        self._opened.close()

    # --- parts

    @cached_property
    def catalogue(self) -> Catalogue:
        """The service items: those shipped, and those of the settings' folders."""
        from schemas.items import load_catalogue

        return load_catalogue(self.settings.items)

    @cached_property
    def trust(self) -> TrustStore:
        """The trust folder as it was at the first use. Raises UsageError where there is none."""
        return self.read_trust()

    def read_trust(self, folder: Path | None = None) -> TrustStore:
        """Read the trust folder anew, or another one that a user names."""
        from schemas.trust import load_trust

        return load_trust(folder or self.settings.trust)

    @cached_property
    def packet_forms(self) -> PacketForms:
        """The forms of application packets, of the items in force and in the fonts of the licences."""
        from issuance import fonts
        from producers.packet_events import PacketForms

        folders = tuple(dict.fromkeys(path.parent for path in fonts.paths()))
        return PacketForms(self.catalogue, folders, fonts.FAMILIES)

    @cached_property
    def store(self) -> Store:
        """The store of the objects: the S3 bucket of the settings, else the folder `objects`."""
        from infra.stores import open_store

        return open_store(self.settings.store, self.settings.objects)

    @cached_property
    def persons(self) -> PersonsStore:
        """The persons' keys. Raises KeysMissing where there are persons but the installation's secret is absent."""
        from infra.persons import open_persons

        persons = open_persons(self.settings.data, self.settings.shared_persons)
        self._opened.callback(persons.close)
        return persons

    @cached_property
    def _signer(self) -> SoftwareSigner:
        from issuance.keys import open_signer

        return open_signer(self.settings.data, self.settings.passphrase)

    def signer(self) -> SoftwareSigner:
        """Return the signer over the installation's keys, opened once. Raises KeysMissing."""
        return self._signer

    # --- queries

    @contextmanager
    def register(self) -> Iterator[Register]:
        """Open the register for queries; everything read inside the block is of one moment."""
        from infra.readmodel.register import EmbeddedRegister, EmptyRegister

        if self.settings.on_kafka:
            from infra.kafka.projection import open_kafka_register

            with open_kafka_register(self.settings) as projection:
                yield projection
            return
        if self.settings.data.is_dir() and not self.settings.database.exists():
            yield EmptyRegister()  # Nothing has happened in this folder yet, so every answer is no.
            return
        register = EmbeddedRegister(self.settings.database)
        try:
            with register.moment():
                yield register
        finally:
            register.close()

    @contextmanager
    def queries(self) -> Iterator[Queries]:
        """Open the answers to queries; each look at a person's record is itself recorded."""
        from infra.persons.access_log import Accesses
        from processors.queries.find import Queries

        with self.register() as register:
            yield Queries(register, self.persons, Accesses(self.settings.data).record)

    # --- ways in

    @contextmanager
    def inbox(self) -> Iterator[Inbox]:
        """Open the inbox of the engine that the settings name."""
        if self.settings.on_kafka:
            from infra.kafka.inbox import open_kafka_inbox

            with open_kafka_inbox(self.settings) as inbox:
                yield inbox
            return
        with self.embedded_inbox() as embedded:
            yield embedded

    @contextmanager
    def embedded_inbox(self, authenticate: Callable[[Event], Auth] | None = None) -> Iterator[EmbeddedInbox]:
        """Open the inbox of the embedded engine.

        `authenticate` replaces the check of the event's proof, for a caller that has identified the sender.
        """
        from infra.embedded.inbox import EmbeddedInbox

        with self.database(create=True) as db:
            yield EmbeddedInbox(
                db, self.persons, self.catalogue, authenticate or self.authenticate, self.check_upload
            )

    def authenticate(self, event: Event) -> Auth:
        """Authenticate an event by its proof, against the agency register. Raises Rejected."""
        from infra.agencies import check_proof

        return check_proof(self.settings, event)

    def check_upload(self, uri: str) -> str:
        """Return what became of the uploaded file that a material names: `verified`, `mismatched` or `absent`."""
        digest = uri.rpartition("/")[2]
        try:
            content = self.persons.open_file(self.store.get(f"uploads/{digest}"))
        except NotFound:
            return "absent"
        except VerificationError:
            return "mismatched"
        return "verified" if hashlib.sha256(content).hexdigest() == digest else "mismatched"

    def packets(self, source: str, at: datetime) -> Papers:
        """Return the reader that turns PDF packets into events; their documents are kept as uploads."""

        def read(names: Sequence[str]) -> Iterator[tuple[str, bytes | ZhengzhaoError]]:
            from infra.stores.uploads import put_upload
            from producers.packet_events import grouped, read_file

            keep = partial(put_upload, self.store, self.persons)
            good: list[tuple[str, bytes]] = []
            for name in names:
                try:
                    document = read_file(Path(name))
                    grouped([document])  # An unreadable document must not spoil its neighbours.
                    good.append(document)
                except ZhengzhaoError as error:
                    yield name, error
            for group in grouped(good):
                try:
                    event = self.packet_forms.event_bytes(group, keep, source=source, at=at)
                    yield group[0][0], event
                except TransientError:
                    raise  # The store failed, which is no fault of the document.
                except ZhengzhaoError as error:
                    yield group[0][0], error

        return read

    def tick(self, at: datetime, received_at: datetime) -> None:
        """Enter the time `at` into the ledger. Raises Rejected where it is over five minutes in the future."""
        from processors.route import tick
        from schemas.calendar import read_time

        read_time(at.isoformat(), received_at)
        if self.settings.on_kafka:
            from infra.kafka.inbox import send_kafka_tick

            send_kafka_tick(self.settings, at)
            return
        with self.embedded_inbox() as inbox:
            inbox.append(tick(at, received_at, "clock", "internal"), received_at)

    # --- deciding

    def require_one_machine(self, reason: str, hint: str) -> None:
        """Raise UsageError with `reason` and `hint` where a broker carries the streams."""
        if self.settings.on_kafka:
            raise UsageError(reason, hint=hint)

    @contextmanager
    def database(self, *, create: bool = False) -> Iterator[Database]:
        """Open the data file of the embedded engine."""
        from infra.readmodel.database import Database

        with Database(self.settings.database, create=create) as db:
            yield db

    @contextmanager
    def engine(
        self, purpose: str, *, wait: float = TURN_SECONDS, say: Callable[[str], None] = _ignore
    ) -> Iterator[Engine]:
        """Hold the data folder for deciding and open the embedded engine.

        Waits up to `wait` seconds for another process. Raises FolderHeld, KeysMissing.
        """
        from infra.embedded.engine import holding

        with holding(self.settings, purpose, wait=wait, say=say) as engine:
            yield engine

    def drain(
        self,
        purpose: str,
        *,
        wait: float = TURN_SECONDS,
        say: Callable[[str], None] = _ignore,
        report: Callable[[DrainProgress], None] = _ignore,
    ) -> DrainProgress | None:
        """Process until nothing is pending; return what was done, or None where workers on Kafka do it.

        On Kafka it waits until they have finished.
        """
        if self.settings.on_kafka:
            from infra.kafka.backlog import wait_until_idle

            wait_until_idle(self.settings, say)
            return None
        with self.engine(purpose, wait=wait, say=say) as engine:
            return engine.drain(report)

    def drain_after_tick(
        self, *, say: Callable[[str], None] = _ignore, report: Callable[[DrainProgress], None] = _ignore
    ) -> DrainProgress | None:
        """Decide what a tick made due, unless another process does so: on Kafka the workers. Raises FolderHeld."""
        return None if self.settings.on_kafka else self.drain("tick", wait=0, say=say, report=report)

    def unsettled(self) -> int:
        """Return how many events on the broker are not decided after a while; 0 for the embedded engine."""
        if not self.settings.on_kafka:
            return 0
        from infra.kafka.projection import unsettled

        return unsettled(self.settings)

    def undecided(self, holder: str) -> int:
        """Return how many ledger entries of a holder are not decided yet; on Kafka `unsettled` covers them."""
        if self.settings.on_kafka:
            return 0
        with self.database() as db:
            sql = "SELECT count(*) FROM ledger WHERE seq > ? AND holder = ?"
            return int(db.db.execute(sql, (int(db.meta("position", "0")), holder)).fetchone()[0])

    @contextmanager
    def letters(self) -> Iterator[LetterBox]:
        """Open the dead letters of the engine that the settings name."""
        if self.settings.on_kafka:
            from infra.kafka.letters import open_kafka_letters

            with open_kafka_letters(self.settings) as box:
                yield box
            return
        from infra.embedded.letters import EmbeddedLetters

        with self.database() as db:
            yield EmbeddedLetters(db)

    # --- recovery

    def replay(self, into: Path, *, decide: bool, say: Say) -> ReplayReport:
        """Rebuild state and objects from the recorded facts in the folder `into`, and compare them."""
        if self.settings.on_kafka:
            from infra.kafka.replay import replay_kafka

            return replay_kafka(self.settings, into, decide=decide, say=say)
        from infra.recovery.replay import replay

        return replay(self.settings, into, decide=decide, say=say)

    def export_log(self, file: Path, say: Say) -> dict[str, object]:
        """Write everything that the engine knows into one archive; return its header."""
        from infra.recovery import archive

        if self.settings.on_kafka:
            from infra.kafka.replay import copied
        else:
            copied = _itself
        with copied(self.settings, say) as copy:
            return archive.export_log(copy, file, say)

    def import_log(self, file: Path, say: Say) -> ReplayReport:
        """Bring an archive into a data folder without data, or into empty topics."""
        if self.settings.on_kafka:
            from infra.kafka.importing import import_log_kafka

            return import_log_kafka(self.settings, file, say)
        from infra.recovery import archive

        return archive.import_log(self.settings, file, say)


@contextmanager
def _itself(settings: Settings, _: Say) -> Iterator[Settings]:
    yield settings


# The functions below stay only until every caller builds an `Installation`.


@contextmanager
def open_inbox(settings: Settings) -> Iterator[Inbox]:
    """Open the inbox of an installation."""
    with Installation(settings) as installation, installation.inbox() as inbox:
        yield inbox


@contextmanager
def embedded_inbox(
    settings: Settings, authenticate: Callable[[Event], Auth] | None = None
) -> Iterator[EmbeddedInbox]:
    """Open the inbox of the embedded engine of an installation."""
    with Installation(settings) as installation, installation.embedded_inbox(authenticate) as inbox:
        yield inbox


@contextmanager
def open_register(settings: Settings) -> Iterator[Register]:
    """Open the register of an installation."""
    with Installation(settings) as installation, installation.register() as register:
        yield register


def send_tick(settings: Settings, at: datetime, received_at: datetime) -> None:
    """Enter the time into the ledger of an installation."""
    with Installation(settings) as installation:
        installation.tick(at, received_at)


def authenticator(settings: Settings) -> Callable[[Event], Auth]:
    """Return the check of proofs of an installation."""
    return Installation(settings).authenticate


def upload_checker(settings: Settings, persons: PersonsStore) -> Callable[[str], str]:
    """Return the check of uploads of an installation."""
    installation = Installation(settings)
    installation.__dict__["persons"] = persons
    return installation.check_upload
