"""Logs for tests: entries, a writer with a key of its own, witnesses in the same process, and what two engines log."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import psutil
from memory_store import MemoryStore
from story import COMMAND, ROOT, Events, Office, uscc

from infra.stores.folder import FolderStore
from infra.transparency.client import WitnessFailure, read_head
from infra.transparency.sequencer import Sequencer, SqliteOrder, seeded_signer
from infra.transparency.tiles import StoredLog
from infra.transparency.witness import Witness
from schemas.calendar import CHINA
from schemas.ports import ReplacingStore
from schemas.transparency.entries import LicenceEntry, LogEntry, read_entry
from schemas.transparency.notes import (
    Note,
    NoteSignature,
    VerifierKey,
    WitnessRequest,
    read_signature_lines,
    read_size,
)
from schemas.trust import load_trust
from verification.log_audit import audit
from verification.log_book import LogPolicy, policy_of

ORIGIN = "licences.example.cn/log"
SERIES = "(青)XK16-204-"
CATEGORIES = ("化肥", "钢丝绳", "电线电缆", "人造板")
MORE_CATEGORIES = (*CATEGORIES, "砂轮", "饲料粉碎机械", "耐火材料", "建筑防水卷材", "汽车制动液", "救生设备")
VERSIONS = 5
_START = datetime(2018, 3, 1, 9, tzinfo=CHINA)


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


def versions_of(categories: Sequence[str] = CATEGORIES, versions: int = VERSIONS, first: int = 1) -> Events:
    """Return a licence of each category with so many versions; each is the only one of its series.

    `first` is the number of the first holder.
    """
    events = Events()
    for n, category in enumerate(categories, first):
        products = [{"category": category, "site": "厂区1号", "detail": "型号"}]
        at = _START + timedelta(minutes=n)
        events.apply(at.isoformat(), f"N-{n}", uscc(n), products=products)
        for version in range(1, versions):
            events.apply(
                (at + timedelta(hours=version)).isoformat(),
                f"N-{n}-{version}",
                uscc(n),
                action="reissue",
                granted_by=f"N-{n}",
                products=...,
                materials=[{"kind": "application-form"}],
            )
    return events


def logged(log: StoredLog) -> list[LogEntry]:
    """Return the entries of a published log, none where there is no head."""
    return [] if log.head() is None else [read_entry(raw) for _, raw in read_head(log).entries()]


def log_of(office: Office) -> StoredLog:
    """Return the log that an office publishes."""
    return StoredLog(FolderStore(office.data / "objects"))


def as_on_one_machine(log: StoredLog, office: Office, seconds: float) -> dict[str, LogEntry]:
    """Wait until a log has the entries of the office's, and no others; return them."""
    expected = {entry.id for entry in logged(log_of(office))}
    deadline = time.monotonic() + seconds
    while {entry.id for entry in logged(log)} != expected and time.monotonic() < deadline:
        time.sleep(0.5)
    told = {entry.id: entry for entry in logged(log)}
    assert expected == set(told)
    return told


def _drain_killed(office: Office, seconds: float) -> bool:
    """Start a drain and kill it after a while, as a power cut would; return False where it had ended before."""
    environment = {**os.environ, "ZHENGZHAO_DATA": str(office.data), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*COMMAND, "drain"], env=environment, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    return process.wait(30) == -signal.SIGKILL


def through_kills(office: Office, kills: int, dice: random.Random) -> dict[str, int]:
    """Let drains die at random moments; assert that log, facts and objects agree, and return how many there are.

    Each head continues the one before, nothing is missing at last, and replay finds no difference.
    """
    office.init()
    policy = policy_of(load_trust(office.data / "trust"))
    assert policy is not None
    seen: bytes | None = None
    done = drains = n = 0
    while done < kills:
        events = Events()
        for _ in range(6):
            n += 1
            moment = _START + timedelta(seconds=n)
            events.apply(moment.isoformat(), f"N-{n}", uscc(n))
            events.lines[-1]["id"] = f"n-{n}"
        office.submit(events)
        drains += 1
        done += _drain_killed(office, 0.5 + dice.random() * 3)
        if log_of(office).head() is not None:
            report = audit(log_of(office), policy, since=seen)
            assert [] == [check for check in report.checks if not check.ok]
            seen = report.checkpoint
    office.run("drain")
    assert n == len(office.rows("licence", "list"))
    replayed = office.json("replay", "--into", office.folder / "again")
    assert [] == replayed["findings"]
    assert audit(log_of(office), policy, since=seen).ok
    return {
        "kills": done,
        "drains that ended before": drains - done,
        "facts": replayed["facts"],
        "objects": replayed["objects"],
        "entries of the log": len(logged(log_of(office))),
    }
