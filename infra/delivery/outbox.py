"""Outbox of filings on one machine: a folder for each department, and a webhook where the department has one.

Each message that the department's topic carries on Kafka becomes one file, written once:
`outbox/<department>/<filing_id>-<round>.json` for a filing pushed, `…-<round>-yellow.json` and `…-red.json` for its
alarms. A file is a CloudEvent with a `proof` by the installation's status key; every process writes the same bytes.
A department with a webhook (`departments.toml`) is sent these bytes with the fact's id as `Idempotency-Key`, until
it answers 2xx: three tries in a row (one, where the answer is slow), then with growing pauses. A department that
cannot be reached rests as a whole and holds up no other; a filing that it refuses rests alone. Deliveries stand in
`deliveries.db`; a process that dies in between delivers again, and the id shows that it is the same message.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from infra.delivery.webhooks import Failed, Hook, Post, load_departments, post
from infra.failpoints import failpoint
from infra.readmodel.database import Database
from infra.stores.folder import FolderStore
from issuance.signer import ES256, Signer
from processors.stages import outbound
from schemas import facts as f
from schemas.errors import LintError, NotFound, ObjectDiffers, TransientError
from schemas.facts import Fact, FilingOverdue, FilingPushed
from schemas.licence import FilingRef
from schemas.signatures import FIELD, make_proof
from schemas.trust import ANY_AUTHORITY, TrustStore

DATABASE: Final = "deliveries.db"
OUTBOX: Final = "outbox"
_BATCH: Final = 200
_TRIES: Final = (0.0, 0.2, 0.8)  # seconds before each try of one call
_SLOW: Final = 2.0  # seconds after which a try is not repeated, because deciding waits meanwhile
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 3600.0
_LONGEST_NAME: Final = 180
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
INSERT OR IGNORE INTO progress VALUES (1, 0);
CREATE TABLE IF NOT EXISTS waiting (
    fact TEXT PRIMARY KEY, seq INTEGER NOT NULL, department TEXT NOT NULL, file TEXT NOT NULL,
    attempts INTEGER NOT NULL, next_at REAL NOT NULL, error TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS resting (
    department TEXT PRIMARY KEY, failures INTEGER NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
"""

Sign = Callable[[dict[str, Any], datetime], dict[str, Any]]
"""Returns an event with its proof, signed as of a moment."""


class Waiting(NamedTuple):
    """A filing that a webhook has not taken yet; `next_at` in Unix seconds."""

    fact: str
    department: str
    file: str
    attempts: int
    next_at: float
    error: str


class DeliveryReport(NamedTuple):
    """The outcome of a run: files written, filings taken by webhooks, filings that still wait."""

    files: int = 0
    taken: int = 0
    waiting: int = 0


def signing(trust: TrustStore, signer: Callable[[], Signer]) -> Sign:
    """Return a function that signs with the status key in force at the moment of the fact; it raises LintError without one."""

    def sign(event: dict[str, Any], at: datetime) -> dict[str, Any]:
        kid = trust.signing_key(ANY_AUTHORITY, "status", at).kid
        return {**event, FIELD: make_proof(event, kid, lambda data: signer().sign(kid, ES256, data))}

    return sign


class Delivery:
    """The deliveries of a data folder. `clock` gives Unix seconds."""

    def __init__(
        self,
        data: Path,
        sign: Sign,
        *,
        send: Post = post,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._hooks = load_departments(data)
        self._store = FolderStore(data / OUTBOX)
        self._sign = sign
        self._send = send
        self._clock = clock
        self._sleep = sleep
        self._db = sqlite3.connect(data / DATABASE, timeout=30, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the record of deliveries."""
        self._db.close()

    def run(self, db: Database, *, at_once: bool = False) -> DeliveryReport:
        """Write new filings and send what is due; with `at_once` also what waits for its next try."""
        files = sum(self._write(rows) for rows in self._new(db))
        taken = sum(self._send_all(department, at_once) for department in self._departments())
        return DeliveryReport(files, taken, len(self.waiting()))

    def waiting(self) -> list[Waiting]:
        """Return the filings that webhooks have not taken yet, the oldest first."""
        sql = "SELECT fact, department, file, attempts, next_at, error FROM waiting ORDER BY seq"
        return [Waiting(*row) for row in self._db.execute(sql)]

    def _new(self, db: Database) -> Iterator[list[tuple[int, Fact]]]:
        sql = (
            "SELECT seq, fact FROM facts WHERE seq > ? AND type IN ('filing.pushed', 'filing.overdue') "
            "ORDER BY seq LIMIT ?"
        )
        while True:
            (after,) = self._db.execute("SELECT seq FROM progress").fetchone()
            last, _ = db.head()
            rows = [(int(seq), f.decode(raw)) for seq, raw in db.db.execute(sql, (after, _BATCH))]
            if rows:
                yield rows
            # Nothing up to `last` is left, so later runs need not read it again.
            done = rows[-1][0] if len(rows) == _BATCH else last
            self._db.execute("UPDATE progress SET seq = max(seq, ?)", (done,))
            if len(rows) < _BATCH:
                return

    def _write(self, rows: list[tuple[int, Fact]]) -> int:
        written: list[tuple[str, int, str, str]] = []
        count = 0
        for seq, fact in rows:
            filing = _filing(fact)
            if filing is None:
                continue
            failpoint("deliver-before-file")
            key = self._put(fact, filing.department)
            count += 1
            if filing.department in self._hooks:
                written.append((fact.id, seq, filing.department, key))
        failpoint("deliver-after-file")
        self._db.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?, 0, 0, '')", written)
        failpoint("deliver-after-record")
        return count

    def _put(self, fact: Fact, department: str) -> str:
        """Write the file of a fact and return its key; where two holders share a filing's id, the second name is longer."""
        content = self._content(fact)
        name = file_name(fact)
        for key in (f"{department}/{name}.json", f"{department}/{name}~{fact.id[:8]}.json"):
            try:
                self._store.put(key, content)
                return key
            except ObjectDiffers:
                if json.loads(self._store.get(key))["id"] == fact.id:
                    return key  # A signer with random signatures wrote it before.
        raise ObjectDiffers(
            "发件箱中同名文件属于另一备案 / the outbox holds another filing under this name",
            where=f"{department}/{name}",
        )

    def _content(self, fact: Fact) -> bytes:
        message = outbound(fact)
        assert message is not None  # every fact of a filing is published
        event = message.event
        # Without a key in force at that time the file goes out without a proof, which a webhook can see.
        with contextlib.suppress(LintError):
            event = self._sign(event, datetime.fromisoformat(fact.time))
        return (json.dumps(event, ensure_ascii=False, indent=1) + "\n").encode()

    def _departments(self) -> list[str]:
        rows = self._db.execute("SELECT DISTINCT department FROM waiting ORDER BY department")
        return [name for (name,) in rows if name in self._hooks]

    def _send_all(self, department: str, at_once: bool) -> int:
        """Send what is due, oldest first, until the department cannot be reached; return how many were taken."""
        now = float("inf") if at_once else self._clock()
        rests = self._db.execute(
            "SELECT 1 FROM resting WHERE department = ? AND until > ?", (department, now)
        )
        if rests.fetchone():
            return 0
        sql = "SELECT fact, file, attempts FROM waiting WHERE department = ? AND next_at <= ? ORDER BY seq"
        taken = 0
        for fact, file, attempts in self._db.execute(sql, (department, now)).fetchall():
            failed = self._try(self._hooks[department], fact, file)
            if failed is None:
                failpoint("deliver-after-answer")
                self._db.execute("DELETE FROM waiting WHERE fact = ?", (fact,))
                self._db.execute("DELETE FROM resting WHERE department = ?", (department,))
                taken += 1
                continue
            self._db.execute(
                "UPDATE waiting SET attempts = attempts + 1, next_at = ?, error = ? WHERE fact = ?",
                (0.0 if failed.down else self._clock() + _pause(attempts), failed.error, fact),
            )
            if failed.down:
                self._rest(department)
                break
        return taken

    def _rest(self, department: str) -> None:
        sql = "SELECT failures FROM resting WHERE department = ?"
        row = self._db.execute(sql, (department,)).fetchone()
        failures = int(row[0]) if row else 0
        until = self._clock() + _pause(failures)
        self._db.execute("INSERT OR REPLACE INTO resting VALUES (?, ?, ?)", (department, failures + 1, until))

    def _try(self, hook: Hook, fact: str, file: str) -> Failed | None:
        """Send one filing; return the failure of the last try, None where the department has taken it."""
        try:
            content = self._store.get(file)
        except NotFound:
            return Failed("发件箱中文件已缺失 / the file is missing from the outbox", False)
        failed: Failed | None = None
        for pause in _TRIES:
            if pause:
                self._sleep(pause)
            began = time.monotonic()
            failed = self._send(hook, fact, content)
            if failed is None or not failed.down or time.monotonic() - began > _SLOW:
                break
        return failed


def _pause(failures: int) -> float:
    """Return the seconds until the next try after `failures` failures."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 20))


def _filing(fact: Fact) -> FilingRef | None:
    """Return the filing of a fact; None for an alarm by an early release, which did not record it."""
    return fact.body.filing if isinstance(fact.body, FilingPushed | FilingOverdue) else None


def file_name(fact: Fact) -> str:
    """Return `<filing_id>-<round>` and the colour of an alarm as a name that every file system takes.

    Bytes other than ASCII letters, digits, `-`, `.`, `_` and `:` become `~XX`; a very long name is cut and hashed.
    """
    filing = _filing(fact)
    assert isinstance(fact.body, FilingPushed | FilingOverdue)
    assert filing is not None
    last = (
        f"{fact.body.round}-{fact.body.colour}"
        if isinstance(fact.body, FilingOverdue)
        else f"{fact.body.round}"
    )
    text = f"{filing.filing_id}-{last}"
    name = "".join(
        chr(b) if chr(b).isascii() and (chr(b).isalnum() or b in b"-._:") else f"~{b:02X}"
        for b in text.encode()
    )
    if len(name) > _LONGEST_NAME:
        name = f"{name[:120]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}-{last}"
    return name


def deliver(
    data: Path, db: Database, trust: TrustStore, signer: Callable[[], Signer], *, at_once: bool = False
) -> DeliveryReport:
    """Deliver what is new and what is due. Raises TransientError where the record of deliveries fails."""
    try:
        delivery = Delivery(data, signing(trust, signer))
        try:
            return delivery.run(db, at_once=at_once)
        finally:
            delivery.close()
    except sqlite3.Error as error:
        raise TransientError(
            f"投递记录故障 / the record of deliveries failed: {error}",
            where=str(data / DATABASE),
            hint="检查目录；未丢失任何内容 / check the folder; nothing is lost",
        ) from error
