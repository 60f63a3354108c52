"""The one place that opens adapters: settings in, working parts out.

`Installation` is what every command, page and worker is built from. It opens each part when it is first asked
for and closes what it opened. No other module opens a store, the persons' keys, the signer, the trust folder or
the service items, and no other module asks which engine the settings name. Imports stand inside functions here,
so that a command loads only the parts that it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from infra.readmodel.database import is_served
from infra.settings import Settings
from schemas.errors import KeysMissing, UsageError
from schemas.identifiers import unprintable
from schemas.ports import Store

if TYPE_CHECKING:
    from infra.delivery.notices import Notices
    from infra.delivery.outbox import DeliveryReport
    from infra.embedded.engine import DrainProgress, Engine
    from infra.embedded.inbox import EmbeddedInbox
    from infra.kafka.projection import Following
    from infra.persons.access_log import Accesses
    from infra.persons.keys import PersonsStore
    from infra.pool import Task
    from infra.readmodel.database import Database
    from infra.readmodel.lists import LetterBox
    from infra.recovery.replay import ReplayReport, Say
    from infra.stores.uploads import Form
    from issuance.signer import SoftwareSigner
    from processors.queries.find import Queries
    from processors.queries.listings import Listings, WholeRegister
    from producers.files import Inbox, Papers
    from producers.packet_events import PacketForms
    from producers.printed import ToldValues
    from schemas.events import Event
    from schemas.items import Catalogue
    from schemas.ledger import Auth, DrawnVisit
    from schemas.ports import LogSource
    from schemas.trust import TrustStore
    from verification.status_sources import Stored

SERVICE_SECONDS = 8.0  # the broker's time to take what a service was sent
HOSTS_GOOD = "二维码指向本单位的主机 / the QR codes lead to hosts of your own"
HOST_HINT = (
    "在数据目录写 authorities/*.toml / write authorities/*.toml in the data folder: "
    '["urn:agency:630000:market-regulation"] host = "…"'
)
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
        self.following: Following | None = None
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

    def over(self, settings: Settings) -> Installation:
        """Return the installation of other settings, such as those of a copy of the data."""
        return Installation(settings)

    # --- parts

    @cached_property
    def catalogue(self) -> Catalogue:
        """The service items, shipped and of the settings' folders, and the authorities that the data folder describes."""
        from schemas.authorities import load_directory
        from schemas.items import load_catalogue, with_directory

        directory = load_directory(self.settings.data / "authorities", self.settings.authorities)
        return with_directory(load_catalogue(self.settings.items), directory)

    @cached_property
    def trust(self) -> TrustStore:
        """The trust folder as it was at the first use. Raises UsageError where there is none."""
        return self.read_trust()

    def read_trust(self, folder: Path | None = None) -> TrustStore:
        """Read the trust folder anew, or another one that a user names."""
        return read_trust(folder or self.settings.trust)

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
        from issuance.signer import open_signer

        return open_signer(self.settings.data, self.settings.passphrase)

    def signer(self) -> SoftwareSigner:
        """Return the signer over the installation's keys, opened once. Raises KeysMissing."""
        return self._signer

    @property
    def has_keys(self) -> bool:
        """Tell if the data folder has private keys."""
        from issuance.signer import keystore_path

        return keystore_path(self.settings.data).exists()

    # --- queries

    def follow(self) -> Following:
        """Follow the topics on Kafka from now on, so that `register` answers without asking the broker."""
        from infra.kafka.projection import Following

        if self.following is None:
            self.following = Following(self.settings)
            self._opened.callback(self.following.close)
        return self.following

    @contextmanager
    def register(self) -> Iterator[WholeRegister]:
        """Open the register for queries; everything read inside the block is of one moment."""
        from infra.readmodel.lists import EmbeddedRegister, EmptyRegister

        if self.settings.on_kafka:
            from infra.kafka.projection import open_kafka_register

            with open_kafka_register(self.settings, self.following) as projection:
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

    @cached_property
    def accesses(self) -> Accesses:
        """The record of accesses to what is kept about persons."""
        from infra.persons.access_log import Accesses

        return Accesses(self.settings.data)

    @contextmanager
    def queries(self) -> Iterator[Queries]:
        """Open the answers about one case, licence or holder; every access to a person's record is recorded."""
        from processors.queries.find import Queries

        with self.register() as register:
            yield Queries(register, self.persons, self.accesses.record)

    @contextmanager
    def listings(self) -> Iterator[Listings]:
        """Open the lists over all holders; every list that shows persons is recorded."""
        from processors.queries.listings import Listings

        with self.register() as register:
            yield Listings(register, self.accesses.record)

    def artefact(self, number: str, version: int | None, form: Form) -> bytes:
        """Return an artefact of a licence version (the newest where `version` is None). Raises NotFound."""
        from infra.stores.uploads import artefact

        with self.queries() as ask:
            return artefact(ask, self.store, number, version, form, self.next_step())

    @cached_property
    def notices(self) -> Notices:
        """The letters that decisions led to; their files are sealed when they are first asked for."""
        from infra.delivery.notices import Notices

        return Notices(self, self.register)

    @property
    def log(self) -> LogSource:
        """The files of the transparency log in the store. Raises UsageError where the store keeps none."""
        from infra.transparency.tiles import StoredLog
        from schemas.ports import ReplacingStore

        if not isinstance(self.store, ReplacingStore):
            raise UsageError("该存储没有日志 / this store has no log", hint="--log DIR|URL")
        return StoredLog(self.store)

    def proof(self, number: str, version: int | None) -> bytes:
        """Return the proof (tlog-proof) that a licence version is in the log. Raises NotFound."""
        from infra.transparency.client import proof_of

        return proof_of(self.log, self.artefact(number, version, "cwt"), self.trust, self.next_step())

    def timestamp(self, number: str, version: int | None) -> bytes:
        """Return the timestamp (RFC 3161) that lies beside a licence version. Raises NotFound without one."""
        from infra.transparency.timestamps import timestamp_key

        with self.queries() as ask:
            key = ask.version(number, version)["objects"].get("licence.pdf", "none/none")
        return self.store.get(timestamp_key(key))

    def log_papers(self) -> None:
        """Bring papers of draws into the public log, where there is one, before anybody is handed them.

        Raises TransientError where that fails: the papers stay on record, and are logged by the next drain.
        """
        if self.settings.on_kafka:
            from infra.kafka.log import log_papers

            log_papers(self)
            return
        from infra.transparency.installation import log_of

        log = log_of(self.settings, self.trust, self.store, self.signer)
        if log is None:
            return
        try:
            log.take(None)
            log.publish()
        finally:
            log.close()

    def published_lists(self) -> Stored | None:
        """Return the published status lists as a source for `verify`; None where there are none."""
        from infra.stores.uploads import published_lists

        if self.settings.store is None and not (self.settings.objects / "status").is_dir():
            return None
        return published_lists(self.store)

    def example_hosts(self) -> list[str]:
        """Return the authorities whose new licences lead to the example host, which nobody has.

        Before the first licence none where at least one authority has a host of its own.
        """
        from schemas.authorities import EXAMPLE_HOST, host_of, issuing_authorities

        with self.register() as register:
            issuing = register.authorities()
        known = {one.code: one.host for one in issuing_authorities(self.catalogue)}
        hosts = {code: host_of(code, self.catalogue.directory) for code in issuing} or known
        found = [code for code, host in hosts.items() if host == EXAMPLE_HOST]
        return found if issuing or len(found) == len(hosts) else []

    def check_hosts(self) -> None:
        """Refuse authorities whose licences would lead to another host than those printed before. Raises UsageError."""
        from schemas.authorities import host_of
        from schemas.items import AuthorityEntry

        directory = self.catalogue.directory
        with self.register() as register:
            for code in register.authorities():
                own = directory.authorities.get(code, AuthorityEntry())
                for host in register.hosts(code):
                    if host not in (host_of(code, directory), *own.former_hosts):
                        raise UsageError(
                            f"{code} 已发的证照印有主机 {host}，不能改换 / licences of {code} are printed with the "
                            f"host {host}, which is fixed",
                            where="authorities/*.toml",
                            hint=f'保留旧主机，或在该机关下写明 / keep it, or add there: former_hosts = ["{host}"]',
                        )

    # --- ways in

    @contextmanager
    def inbox(self) -> Iterator[Inbox]:
        """Open the inbox of the engine that the settings name."""
        if self.settings.on_kafka:
            from infra.kafka.inbox import KafkaInbox

            with closing(KafkaInbox(self.settings)) as inbox:
                yield inbox
            return
        with self.embedded_inbox() as embedded:
            yield embedded

    @contextmanager
    def service_inbox(
        self, authenticate: Callable[[Event], Auth], sender: Callable[[Event], str]
    ) -> Iterator[Inbox]:
        """Open the inbox for a service, which has found out by `authenticate` how each `sender` is known.

        On Kafka it opens also while the broker is away; events are then refused in a few seconds.
        """
        if not self.settings.on_kafka:
            with self.embedded_inbox(authenticate, sender) as embedded:
                yield embedded
            return
        from infra.kafka.inbox import Attestations, KafkaInbox
        from infra.persons.keys import installation_secret

        attest = Attestations(installation_secret(self.settings.data))
        with closing(
            KafkaInbox(
                self.settings, seconds=SERVICE_SECONDS, known=authenticate, sender=sender, attest=attest
            )
        ) as inbox:
            yield inbox

    @contextmanager
    def embedded_inbox(
        self,
        authenticate: Callable[[Event], Auth] | None = None,
        sender: Callable[[Event], str] | None = None,
    ) -> Iterator[EmbeddedInbox]:
        """Open the inbox of the embedded engine.

        `authenticate` replaces the check of the event's proof, for a caller that has identified the sender; `sender`
        names who that is.
        """
        from infra.agencies import check_proof, require_guards
        from infra.embedded.inbox import EmbeddedInbox

        with self.database(create=True) as db:
            if db.meta("catalogue") != self.catalogue.digest:
                self.check_hosts()
            require_guards(self.settings, db)
            yield EmbeddedInbox(
                db,
                self.persons,
                self.catalogue,
                authenticate or partial(check_proof, self.settings),
                self.check_upload,
                unprintable=unprintable,
                draws=self.drawn_visit,
                backdate_days=self.settings.backdate_days,
                sender=sender,
            )

    def authenticate(self, event: Event) -> Auth:
        """Authenticate an event by its proof, against the agency register. Raises Rejected."""
        from infra.agencies import check_proof

        return check_proof(self.settings, event)

    def check_upload(self, uri: str) -> str:
        """Return what became of the uploaded file that a material names: `verified`, `mismatched` or `absent`."""
        from infra.stores.uploads import upload_state

        return upload_state(self.store, self.persons, uri)

    def drawn_visit(self, announcement: str, target: str) -> DrawnVisit | None:
        """Return the visit that a draw on record orders to a target (`infra.draw.results_page.OrderedVisits`)."""
        return self._visits(announcement, target)

    @cached_property
    def _visits(self) -> Callable[[str, str], DrawnVisit | None]:
        from infra.draw.results_page import OrderedVisits

        return OrderedVisits(self.settings.data)

    def packets(
        self, source: str, at: datetime, application_id: str = "", told: ToldValues | None = None
    ) -> Papers:
        """Return the reader that turns packets into events; their documents are kept as uploads.

        With `application_id` all documents supplement that case; `told` says what stands on scans among them.
        """
        from producers.packet_events import packet_reader

        return packet_reader(self.packet_forms, self.keep_upload, source, at, application_id, told)

    def sign_at_intake(self, raw: bytes) -> bytes:
        """Put the proof of the installation's intake key into an event that was made here from papers.

        Without such a key, as in a folder of an earlier release, the event stays as it is.
        """
        sign = self._intake_signing
        return raw if sign is None else sign(raw)

    @cached_property
    def _intake_signing(self) -> Callable[[bytes], bytes] | None:
        from infra.agencies import intake_signer

        try:
            return intake_signer(self.settings.data, self._signer) if self.has_keys else None
        except KeysMissing:
            return None  # Without the passphrase events are submitted without a proof.

    def missing_glyphs(self, text: str) -> str:
        """Return the characters of a text that no font of the certificates has, each once."""
        return unprintable(text)

    def keep_upload(self, content: bytes) -> str:
        """Keep a file, encrypted, and return its `uri`. Raises UsageError for an empty or too large one."""
        from infra.stores.uploads import put_upload

        return put_upload(self.store, self.persons, content)

    def tick(self, at: datetime, received_at: datetime, *, confirmed: bool = False) -> None:
        """Enter the time `at` into the ledger. Raises Rejected where it is over five minutes in the future.

        Raises ClockJumped where it is more than a day past the last moment decided, or an hour past what the running
        time since the last receipt gives, and was not confirmed.
        """
        from infra.embedded.inbox import CLOCK_REFUSED, last_receipt, note_receipt, running_time
        from processors.route import ClockJumped, check_running, check_tick, tick
        from schemas.calendar import read_time

        read_time(at.isoformat(), received_at)
        if self.settings.on_kafka:
            from infra.kafka.connection import parse
            from infra.kafka.inbox import last_moment, note_refused, send_kafka_tick

            try:
                check_tick(at, 0 if confirmed else last_moment(parse(self.settings.broker or "")))
            except ClockJumped as error:
                note_refused(self.settings, error.message)
                raise
            note_refused(self.settings, "")
            send_kafka_tick(self.settings, at)
            return
        with self.database(create=True) as db:
            try:
                if not confirmed:
                    check_tick(at, int(db.meta("clock", "0")))
                    check_running(at, running_time(received_at), last_receipt(db))
            except ClockJumped as error:
                db.set_meta(CLOCK_REFUSED, error.message)
                raise
            if db.meta(CLOCK_REFUSED):
                db.set_meta(CLOCK_REFUSED, "")
            if confirmed:
                note_receipt(db, received_at, confirmed=True)
        with self.embedded_inbox() as inbox:
            inbox.append(tick(at, received_at, "clock", "internal"), received_at)

    def ticks_refused(self) -> str:
        """Return why a worker or command of this data folder stopped ticks on Kafka; empty where none did."""
        from infra.kafka.inbox import REFUSED

        path = self.settings.data / REFUSED
        return path.read_text("utf-8") if path.is_file() else ""

    def correct_clock(
        self,
        to: datetime,
        received_at: datetime,
        reason: str,
        *,
        say: Callable[[str], None] = _ignore,
        report: Callable[[DrainProgress], None] = _ignore,
    ) -> list[str]:
        """Take back what fell due after `to`, and set the clock of the ledger back to it.

        Nothing is taken back where something irrevocable was published or decided on it: that is returned, in words.
        Raises FolderHeld where a service decides in the folder.
        """
        from infra.readmodel.lists import irrevocable_after
        from processors.route import correction
        from schemas.calendar import read_time

        read_time(to.isoformat(), received_at)
        entry = correction(to, received_at, reason)
        if self.settings.on_kafka:
            from infra.kafka.replay import correct_kafka_clock

            return correct_kafka_clock(self, entry, say)
        with self.engine("tick --correct", say=say) as engine:
            if found := irrevocable_after(engine.db, to):
                return found
            with self.embedded_inbox() as inbox:
                inbox.append(entry, received_at)
            engine.drain(report)
            return irrevocable_after(engine.db, to)

    # --- deciding

    def require_one_machine(self, reason: str, hint: str) -> None:
        """Raise UsageError with `reason` and `hint` where a broker carries the streams."""
        if self.settings.on_kafka:
            raise UsageError(reason, hint=hint)

    @contextmanager
    def database(self, *, create: bool = False) -> Iterator[Database]:
        """Open the data file of the embedded engine."""
        from infra.agencies import require_whole
        from infra.readmodel.database import Database

        if create:
            require_whole(self.settings)
        with Database(self.settings.database, create=create) as db:
            yield db

    @contextmanager
    def engine(
        self, purpose: str, *, wait: float = TURN_SECONDS, say: Callable[[str], None] = _ignore
    ) -> Iterator[Engine]:
        """Hold the data folder for deciding and open the embedded engine.

        Waits up to `wait` seconds for another process. Raises FolderHeld, KeysMissing.
        """
        from infra.agencies import check_guards, require_whole
        from infra.embedded.engine import holding
        from issuance.page import require_tested_packages

        require_tested_packages()
        require_whole(self.settings)
        with holding(self, purpose, wait=wait, say=say) as engine:
            check_guards(self.settings, engine.db)
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
            from infra.kafka.progress import wait_until_idle

            wait_until_idle(self, say)
            return None
        with self.engine(purpose, wait=wait, say=say) as engine:
            return engine.drain(report)

    def drain_after_tick(
        self, *, say: Callable[[str], None] = _ignore, report: Callable[[DrainProgress], None] = _ignore
    ) -> DrainProgress | None:
        """Decide what a tick made due, unless another process does so: on Kafka the workers. Raises FolderHeld."""
        return None if self.settings.on_kafka else self.drain("tick", wait=0, say=say, report=report)

    def publish_status_lists(self, say: Callable[[str], None] = _ignore) -> list[str]:
        """Publish the status lists that are due, in the data folder; return their keys."""
        from infra.embedded.writer import publish

        with self.engine("status publish", say=say) as engine:
            clock = engine.clock()
            return publish(engine.db, self.store, self.trust, self.signer, clock) if clock else []

    def deliver_filings(
        self, say: Callable[[str], None] = _ignore
    ) -> tuple[DeliveryReport, Sequence[NamedTuple]]:
        """Deliver filings to folders and webhooks at once; return what was done and what still waits."""
        from infra.delivery.outbox import Delivery, signing
        from infra.embedded.engine import decider

        with self.database() as db, decider(self.settings.data, "deliver", say=say):
            delivery = Delivery(self.settings.data, signing(self.trust, self.signer))
            try:
                return delivery.run(db, at_once=True), delivery.waiting()
            finally:
                delivery.close()

    def next_step(self) -> str:
        """Return the sentence that says when what was just taken in is decided, and by whom."""
        if self.settings.on_kafka:
            return "由工作进程在数秒内决定；zhengzhao drain 等待其完成 / the workers decide within seconds; zhengzhao drain waits for them"
        if is_served(self.settings.data):
            return "由 zhengzhao run 在一分钟内决定 / zhengzhao run decides within a minute"
        return "用 zhengzhao drain 作出决定 / zhengzhao drain decides"

    def broker_state(self) -> tuple[list[str], dict[str, int]]:
        """Return the faults of the topics on the broker, and stage → number of inputs that wait for it."""
        from infra.kafka.connection import parse
        from infra.kafka.progress import waiting
        from infra.kafka.topics import wrong_settings

        faults = wrong_settings(parse(self.settings.broker or ""), inboxes=self.settings.inboxes)
        return faults, waiting(self.settings)

    def decided_until(self) -> datetime | None:
        """Return the time of the last event or tick that was decided in the data folder; None where it is not known."""
        if self.settings.on_kafka or not self.settings.database.exists():
            return None
        with self.database() as db:
            clock = int(db.meta("clock", "0"))
        return datetime.fromtimestamp(clock, UTC) if clock else None

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
            return db.pending_of(holder)

    @contextmanager
    def letters(self) -> Iterator[LetterBox]:
        """Open the dead letters of the engine that the settings name."""
        if self.settings.on_kafka:
            from infra.kafka.letters import open_kafka_letters

            with open_kafka_letters(self) as box:
                yield box
            return
        from infra.embedded.inbox import EmbeddedLetters

        with self.database() as db:
            yield EmbeddedLetters(db)

    def open_letters(self) -> int | None:
        """Return how many dead letters wait for somebody; None where that is not known yet."""
        from infra.readmodel.database import Database

        path: Path | None = self.settings.database
        if self.settings.on_kafka:
            path = self.following.path if self.following and self.following.caught_up else None
        if path is None or not path.exists():
            return None
        with Database(path) as db:
            return int(db.db.execute("SELECT count(*) FROM letters WHERE state = 'open'").fetchone()[0])

    # --- recovery

    def replay(self, into: Path, *, decide: bool, say: Say, proofs: bool = False) -> ReplayReport:
        """Rebuild state and objects from the recorded facts in the folder `into`, and compare them.

        With `proofs` the kept proofs of events are checked against the agency register too.
        """
        from infra.agencies import load_register

        register = load_register(self.settings.data) if proofs else None
        if self.settings.on_kafka:
            from infra.kafka.replay import replay_kafka

            return replay_kafka(self, into, decide=decide, say=say, register=register)
        from infra.recovery.archive import readable
        from infra.recovery.replay import replay

        with readable(self.settings) as settings, Installation(settings) as parts:
            return replay(parts, into, decide=decide, register=register, say=say)

    def export_log(self, file: Path, say: Say) -> dict[str, object]:
        """Write everything that the engine knows into one archive; return its header."""
        if self.settings.on_kafka:
            from infra.kafka.replay import export_kafka

            return export_kafka(self, file, say)
        from infra.recovery.archive import export_log

        return export_log(self, file, say)

    def import_log(self, file: Path, say: Say) -> ReplayReport:
        """Bring an archive into a data folder without data, or into empty topics."""
        if self.settings.on_kafka:
            from infra.kafka.importing import import_log_kafka

            return import_log_kafka(self, file, say)
        from infra.recovery.archive import import_log

        return import_log(self, file, say)


def read_trust(folder: Path) -> TrustStore:
    """Read a trust folder, for a process that opens nothing else. Raises UsageError or TrustError."""
    from schemas.trust import load_trust

    return load_trust(folder)


def event_signer(path: Path) -> Callable[[bytes], bytes]:
    """Return the signing of events with an agency's private key in a PEM file. Raises UsageError."""
    from infra.agencies import event_signer

    return event_signer(path)


def issue_task(
    data: str, store: str | None, passphrase: str | None, shared_persons: str | None = None
) -> Task:
    """Build the task of a worker process that issues licences (`infra.pool.Recipe`)."""
    from infra.issue_worker import issue_task
    from infra.persons import open_persons
    from infra.stores import open_store
    from issuance.signer import open_signer
    from schemas.trust import load_trust

    folder = Path(data)
    return issue_task(
        load_trust(folder / "trust"),
        open_signer(folder, passphrase),
        open_persons(folder, shared_persons),
        open_store(store, folder / "objects"),
    )


def rebuild_task(data: str, store: str | None, shared_persons: str | None, into: str, opens: bool) -> Task:
    """Build the task of a worker process that rebuilds objects without private keys."""
    from infra.issue_worker import rebuild_task
    from infra.persons import open_persons
    from infra.stores import open_store
    from schemas.trust import load_trust

    folder = Path(data)
    persons = open_persons(folder, shared_persons) if opens else None
    return rebuild_task(
        load_trust(folder / "trust"), persons, open_store(store, folder / "objects"), Path(into)
    )
