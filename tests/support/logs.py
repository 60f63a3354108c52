"""Logs for tests: entries, a writer with a key of its own, witnesses in the same process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from memory_store import MemoryStore

from infra.transparency.client import WitnessFailure
from infra.transparency.sequencer import Sequencer, SqliteOrder, seeded_signer
from infra.transparency.tiles import StoredLog
from infra.transparency.witness import Witness
from schemas.ports import ReplacingStore
from schemas.transparency.entries import LicenceEntry, LogEntry
from schemas.transparency.notes import (
    Note,
    NoteSignature,
    VerifierKey,
    WitnessRequest,
    read_signature_lines,
    read_size,
)
from verification.log_book import LogPolicy

ORIGIN = "licences.example.cn/log"
SERIES = "(青)XK16-204-"


def sha(text: str) -> str:
    """Return the hex SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def seed(text: str) -> bytes:
    """Return a private key made of a text."""
    return hashlib.sha256(text.encode()).digest()


def status_uri(series: str = SERIES) -> str:
    """Return the URI of the first status list of a series."""
    return f"https://licences.example.cn/status/{sha(series)[:12]}-1"


def licence(serial: int, version: int = 1, series: str = SERIES) -> LicenceEntry:
    """Return the entry of a licence's version."""
    number = f"{series}{serial:05d}"
    name = f"{number}/{version}"
    return LicenceEntry(
        number, version, f"1.2.156.3005.2.{serial}.{version}", sha(f"c{name}"), sha(f"o{name}")
    )


def licences(count: int, start: int = 1) -> list[LicenceEntry]:
    """Return the entries of licences with serials one after the other."""
    return [licence(serial) for serial in range(start, start + count)]


class NearWitness:
    """A witness in the same process, asked as one far away is; `now` is its clock."""

    def __init__(self, folder: Path, name: str, log: VerifierKey, now: int = 1_700_000_000) -> None:
        self.witness = Witness(folder, seeded_signer(name, seed(name)), [log])
        self.key = self.witness.key
        self.now = now
        self.away = False
        self.asked: list[WitnessRequest] = []

    def cosign(self, note: Note, request: WitnessRequest) -> NoteSignature | WitnessFailure:
        """Ask the witness."""
        self.asked.append(request)
        if self.away:
            return WitnessFailure(self.key.name, "away")
        answer = self.witness.add_checkpoint(request.to_bytes(), self.now)
        if answer.status == 409:
            return WitnessFailure(self.key.name, "conflict", read_size(answer.body.decode().strip()))
        if answer.status != 200:
            return WitnessFailure(self.key.name, f"HTTP {answer.status} {answer.body.decode()}")
        return read_signature_lines(answer.body)[0]


class TestLog:
    """A log with its writer; `open` makes a new writer on the same order and store, as after a restart."""

    __test__ = False

    def __init__(
        self,
        folder: Path,
        witnesses: Sequence[NearWitness] = (),
        needed: int = 0,
        store: ReplacingStore | None = None,
    ) -> None:
        self.store: ReplacingStore = store or MemoryStore()
        self.signer = seeded_signer(ORIGIN, seed("log"))
        self.order = SqliteOrder(folder / "order.sqlite")
        self.stored = StoredLog(self.store)
        self.witnesses = witnesses
        self.needed = needed
        self.policy = LogPolicy(ORIGIN, (self.signer.log_key,), tuple(w.key for w in witnesses), needed)
        self.writer = self.open()

    def open(self) -> Sequencer:
        """Open a writer."""
        self.writer = Sequencer(self.order, self.stored, self.signer, self.witnesses, self.needed)
        return self.writer

    def add(self, entries: Iterable[LogEntry]) -> bytes:
        """Append and publish; return the head."""
        self.writer.append(entries)
        return self.writer.publish().note

    def files(self) -> dict[str, bytes]:
        """Return every object of the store."""
        return {key: self.store.get(key) for key in self.store.list()}


def forged(entry: LicenceEntry) -> LicenceEntry:
    """Return the entry with another object."""
    return msgspec.structs.replace(entry, object=sha("another"))
