"""`log import` on Kafka: an exported log becomes the topics of an installation, as if it had been decided there.

The archive is unpacked and verified by replay in a scratch folder first. Then ledger and facts are written in their
order, the tables of `decide` and `number` as they stand after them, and the offsets of both stages are committed behind
them, so that nothing is decided again. The topics have to be empty, so no worker may run yet; or they have, in each
partition, the first records of the same import, which was broken off: it goes on behind them.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NotCoordinatorError,
)
from kafka.structs import OffsetAndMetadata, TopicPartition

from infra.agencies import IMPORTING, NamedValues, missing_guards
from infra.failpoints import failpoint
from infra.kafka import topics
from infra.kafka.connection import Connection, client, parse
from infra.kafka.deciding import CATALOGUE_KEY
from infra.kafka.numbering import index_records, series_record
from infra.kafka.outbox import Record, Send, encode
from infra.kafka.publisher import send_all
from infra.kafka.records import (
    Place,
    PublishedEdition,
    Reader,
    encode_edition_record,
    send_entry,
    send_facts,
    send_question,
)
from infra.parts import Parts
from infra.persons.keys import DATABASE, PersonsStore
from infra.readmodel.database import Database
from infra.recovery import archive
from infra.recovery.replay import ReplayReport
from infra.recovery.unpack import Say
from infra.settings import Settings, load
from infra.stores.folder import FolderStore
from infra.transparency.installation import ORDER_FILE
from issuance.signer import write_whole
from issuance.status_lists import decode_edition
from processors import state as states
from processors.number import Series
from processors.stages import SerialSeen
from schemas import facts as f
from schemas.errors import BrokerUnavailable, UsageError
from schemas.ledger import (
    LEDGER_PARTITIONS,
    CatalogueEntry,
    Entry,
    NumberedEntry,
    decode_entry,
    encode_entry,
    partition_of,
)

GOES_ON = "an import was broken off and goes on"  # what is said where an import that was broken off goes on behind so many records
_ORDERED = (topics.LEDGER, topics.FACTS, topics.EDITIONS, topics.GRANTS)
_STEP = 2000
_COORDINATOR_SECONDS = 60


def import_log_kafka(parts: Parts, file: Path, say: Say = lambda *_: None) -> ReplayReport:
    """Import an exported file into empty topics and the store; nothing is written where replay finds a difference."""
    settings = parts.settings
    connection = parse(settings.broker or "")
    there = _there(connection)
    settings.data.mkdir(parents=True, exist_ok=True)
    left = archive.emptied(settings.data)
    with tempfile.TemporaryDirectory(prefix=IMPORTING, dir=settings.data) as scratch:
        staged = Settings(Path(scratch) / "data", workers=settings.workers)
        staged.data.mkdir()
        secret = settings.data / "secret"
        if secret.is_dir():
            (staged.data / "secret").symlink_to(secret.absolute())
        with parts.over(staged) as staged_parts:
            report = archive.import_log(staged_parts, file, say)
        # A log that is some seconds behind the facts catches up afterwards.
        if all(finding.what == "log" for finding in report.findings):
            with Database(staged.database) as db:
                if there:
                    _check_begun(db, there, connection)
                    say(GOES_ON, sum(map(len, there.values())), -1)
                _beside(staged, parts, say)
                check_restored(load(settings.data), db)
                _log(db, connection, there)
            for folder in left:
                folder.rmdir()
        return report


def check_restored(settings: Settings, memory: NamedValues) -> None:
    """Refuse a folder that lacks what guarded the exported installation. Raise UsageError.

    The folder has settings of its own, which name the broker and stay when others come with the file.
    """
    if missing := missing_guards(settings, memory):
        raise UsageError(
            f"缺少原有的安全设置 / what guarded the exported installation is missing: {', '.join(missing)}",
            where=str(settings.data / "settings.toml"),
            hint="写入 settings.toml 后再导入 / put it into settings.toml (require_proof = true), then import again",
        )


_Written = dict[Place, list[bytes]]
"""The digests of a partition's records, in their order."""


def _there(connection: Connection) -> _Written:
    """Return what an earlier import has written, whose records come in a fixed order."""
    written: _Written = {}
    with Reader(connection, _ORDERED) as reader:
        reader.seek({})
        for records in reader.up_to(reader.ends()):
            for record in records:
                written.setdefault((record.topic, record.partition), []).append(_digest(record.value))
    return written


def _check_begun(db: Database, there: _Written, connection: Connection) -> None:
    """Raise UsageError where the topics have anything but the first records of this very import."""
    taken, known = _Taken(db), 0
    counts: Counter[Place] = Counter()
    for send in taken.ordered():
        place = (send.topic, send.partition or 0)
        digests, n = there.get(place, ()), counts[place]
        if n < len(digests) and digests[n] != _digest(send.value):
            break
        known += n < len(digests)
        counts[place] += 1
    if known != sum(map(len, there.values())):
        raise UsageError(
            "主题不是空的，也不是同一存档导入中断所留 / "
            "the topics are not empty, and not what a broken-off import of this archive leaves",
            where=connection.bootstrap,
            hint="请在首个 worker 启动前导入新集群 / import into a new cluster, before the first worker starts",
        )


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def _beside(staged: Settings, parts: Parts, say: Say) -> None:
    """Copy objects, the trust folder and the persons' keys."""
    settings = parts.settings
    (staged.data / ORDER_FILE).unlink(
        missing_ok=True
    )  # here the order is a topic, which the log's writer fills
    archive.place_beside(staged.data, settings.data, keep=True)
    objects, store = FolderStore(staged.objects), parts.store
    keys = list(objects.list())
    for n, key in enumerate(keys, 1):
        store.put(key, objects.get(key))
        say("objects", n, len(keys))
    for path in staged.trust.rglob("*"):
        if path.is_file() and not (target := settings.trust / path.relative_to(staged.trust)).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, path.read_bytes())
    if (staged.data / DATABASE).exists():
        theirs = PersonsStore(staged.data)
        for pseudonym, wrapped in theirs.wrapped():
            parts.persons.restore(pseudonym, wrapped)
        theirs.close()


def _log(db: Database, connection: Connection, there: _Written) -> None:
    taken = _Taken(db)
    for chunk in _chunks(_missing(taken.ordered(), there)):
        send_all(connection, chunk)
    send_all(connection, taken.tables())
    failpoint("import-before-offsets")
    _commit(connection, taken.ledger)


def _missing(sends: Iterable[Send], there: _Written) -> Iterator[Send]:
    """Yield what is not there yet."""
    left = {place: len(digests) for place, digests in there.items()}
    for send in sends:
        failpoint("import-among-records")
        place = (send.topic, send.partition or 0)
        if left.get(place, 0):
            left[place] -= 1
        else:
            yield send


class ImportedNumbers(NamedTuple):
    """A number that was given to a licence or for a grant, and its series."""

    number: str
    series: str


class _Taken:
    """The messages that a log becomes. `ledger` and `facts` count the records of each partition."""

    def __init__(self, db: Database) -> None:
        self._db = db.db
        self._catalogue: Entry | None = None
        self._licences: dict[str, ImportedNumbers] = {}
        self._grants: dict[str, ImportedNumbers] = {}
        self.ledger: Counter[int] = Counter()
        self.facts: Counter[int] = Counter()

    def ordered(self) -> Iterator[Send]:
        """Yield what is written once, in its order: ledger, facts and editions, and a beginning of the grants."""
        for (raw,) in self._db.execute("SELECT CAST(entry AS BLOB) FROM ledger ORDER BY seq"):
            yield from self._entry(decode_entry(raw))
        editions = self._db.execute(
            "SELECT after_fact, edition FROM editions ORDER BY after_fact, seq"
        ).fetchall()
        for seq, raw in self._db.execute("SELECT seq, CAST(fact AS BLOB) FROM facts ORDER BY seq"):
            while editions and editions[0][0] < seq:
                yield self._edition(editions.pop(0)[1])
            fact = f.decode(raw)
            self.facts[partition_of(fact.holder)] += 1
            yield from send_facts([fact])
        for _, raw in editions:
            yield self._edition(raw)
        # The tables have to reflect some offset, so each partition begins with a record that changes nothing.
        for partition in range(topics.GRANTS_PARTITIONS):
            nothing = send_question(SerialSeen("imported", "-", 0))
            yield msgspec.structs.replace(nothing, partition=partition)

    def _entry(self, entry: Entry) -> Iterator[Send]:
        if isinstance(entry, CatalogueEntry):
            self._catalogue = entry
        elif isinstance(entry, NumberedEntry):
            numbered = entry.payload
            given = ImportedNumbers(numbered.number, numbered.grant.series)
            self._licences[numbered.grant.licence_id] = self._grants[numbered.grant.grant_id] = given
        for send in send_entry(entry):
            assert send.partition is not None
            self.ledger[send.partition] += 1
            yield send

    def _edition(self, raw: bytes) -> Send:
        record = decode_edition(raw)
        upto = {str(n): count for n, count in self.facts.items()}
        return Send(
            topics.EDITIONS,
            record.name.encode(),
            encode_edition_record(PublishedEdition(record, (), upto)),
            0,
        )

    def tables(self) -> Iterator[Send]:
        """Yield the tables' changelogs, and the catalogue in force; of each key the last record counts."""
        for holder, state, due in self._db.execute("SELECT holder, state, due FROM states"):
            partition = partition_of(holder)
            raw = encode(self.ledger[partition] - 1, Record(states.STATE_SCHEMA, state, (), due or ""))
            yield Send(topics.changelog(topics.HOLDERS_TABLE), holder.encode(), raw, partition)
        if self._catalogue is not None:
            entry = encode_entry(self._catalogue)
            yield Send(topics.CATALOGUE, b"catalogue", entry)
            for partition in range(LEDGER_PARTITIONS):
                raw = encode(self.ledger[partition] - 1, Record(1, entry))
                yield Send(
                    topics.changelog(topics.CATALOGUES_TABLE), CATALOGUE_KEY % partition, raw, partition
                )
        changelog = topics.changelog(topics.SERIES_TABLE)
        for name, state in self._db.execute("SELECT name, state FROM series"):
            key, raw = series_record(msgspec.json.decode(state, type=Series))
            yield Send(changelog, key, raw, topics.series_partition(name))
        claims = {
            n: (holder, s) for n, holder, s in self._db.execute("SELECT number, holder, series FROM claims")
        }
        for key, raw, series in index_records(self._licences, self._grants, claims):
            yield Send(changelog, key, raw, topics.series_partition(series))


def _chunks(sends: Iterable[Send]) -> Iterator[list[Send]]:
    chunk: list[Send] = []
    for send in sends:
        chunk.append(send)
        if len(chunk) >= _STEP:
            yield chunk
            chunk = []
    yield chunk


def _commit(connection: Connection, ledger: Counter[int]) -> None:
    groups = {
        "decide": {TopicPartition(topics.LEDGER, n): count for n, count in ledger.items()},
        "number": {TopicPartition(topics.GRANTS, n): 1 for n in range(topics.GRANTS_PARTITIONS)},
    }
    try:
        admin = KafkaAdminClient(**client(connection), bootstrap_timeout_ms=20_000)
        try:
            for stage, offsets in groups.items():
                wanted = {tp: OffsetAndMetadata(offset, "", -1) for tp, offset in offsets.items()}
                _alter(admin, f"{topics.APP_ID}-{stage}", wanted)
        finally:
            admin.close()
    except KafkaError as error:
        raise BrokerUnavailable(
            f"消费位置无法设置 / the offsets could not be set: {error!r}", where=connection.bootstrap
        ) from error


def _alter(admin: KafkaAdminClient, group: str, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
    """Set the offsets of a group; a broker that never had a group first creates the topic that keeps offsets."""
    deadline = time.monotonic() + _COORDINATOR_SECONDS
    while True:
        try:
            admin.alter_group_offsets(group, offsets)
            return
        except (CoordinatorNotAvailableError, NotCoordinatorError, CoordinatorLoadInProgressError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
