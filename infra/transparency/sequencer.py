"""The one writer of a log: from the recorded order to tiles, checkpoint, witnesses, and a published head.

1. New entries have their place in the order, durably, before anything else is done with them.
2. Tiles are written; the same order gives the same bytes, whoever was killed in between.
3. The head is signed, and witnesses are asked, each from the size that it knows.
4. The head is published, with what witnesses have signed; a witnessed one is kept for proofs of the past.

A witness that is away holds nothing up: the head is published all the same, and what is missing is told.

The recorded order of a log's entries: written once, before any tile, and read by whoever rebuilds the tiles.

Ed25519 keys that sign for a log or as a witness, with the name under which they sign.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from infra.failpoints import failpoint
from infra.transparency.client import Cosigner, LogReader, WitnessFailure
from infra.transparency.tiles import StoredLog
from processors.transparency import Sequenced, sequence
from schemas.errors import KeysMissing, NotFound, StoreUnavailable, UsageError, VerificationError
from schemas.transparency.entries import LogEntry, check_entry
from schemas.transparency.notes import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    LogProof,
    Note,
    NoteSignature,
    VerifierKey,
    WitnessRequest,
    cosignature_line,
    cosigned_message,
    is_key_name,
    log_line,
    read_note,
)
from schemas.transparency.tiles import RightEdge, grow
from verification.log_book import LogPolicy, WitnessedCheckpoint, verify_checkpoint

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log_order (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, entry BLOB NOT NULL)
"""
_READ = 2048  # rows at once


class LogOrder(Protocol):
    """The order, with one writer."""

    def size(self) -> int:
        """Return the number of entries that have a place."""
        ...

    def append(self, entries: Iterable[LogEntry]) -> tuple[Sequenced, ...]:
        """Give places to entries that have none, durably; return those that are new."""
        ...

    def index_of(self, identity: str) -> int | None:
        """Return the place of the entry with this id, None without one."""
        ...

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the entries from place `start` to before `stop`."""
        ...


class SqliteOrder:
    """The order in a SQLite table, which may stand in a database of its own or beside the facts."""

    def __init__(self, database: Path | sqlite3.Connection) -> None:
        if isinstance(database, Path):
            database.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
        self._database = database
        self._database.execute(_SCHEMA)

    def size(self) -> int:
        (count,) = self._database.execute("SELECT coalesce(max(place), -1) + 1 FROM log_order").fetchone()
        return int(count)

    def append(self, entries: Iterable[LogEntry]) -> tuple[Sequenced, ...]:
        """Give places to entries that have none, in one transaction. VerificationError where one breaks its form."""
        coming = list(entries)
        for entry in coming:
            check_entry(entry)
        own = not self._database.in_transaction  # else whoever began it commits it
        try:
            if own:
                self._database.execute("BEGIN IMMEDIATE")
            given = sequence(self.size(), coming, _Seen(self))
            self._database.executemany(
                "INSERT INTO log_order VALUES (?, ?, ?)", [(s.index, s.id, s.entry) for s in given]
            )
            if own:
                self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if own and self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise StoreUnavailable(f"日志次序未能写入 / the log's order was not written: {error}") from error
        return given

    def index_of(self, identity: str) -> int | None:
        row = self._database.execute("SELECT place FROM log_order WHERE id = ?", (identity,)).fetchone()
        return None if row is None else int(row[0])

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        while start < stop:
            rows = self._database.execute(
                "SELECT entry FROM log_order WHERE place >= ? AND place < ? ORDER BY place",
                (start, min(stop, start + _READ)),
            ).fetchall()
            if not rows:
                return
            yield from (row[0] for row in rows)
            start += len(rows)


class _Seen:
    """The ids that have a place, as a container."""

    def __init__(self, order: SqliteOrder) -> None:
        self._order = order

    def __contains__(self, identity: object) -> bool:
        return isinstance(identity, str) and self._order.index_of(identity) is not None


class NoteSigner:
    """A key under its name: `public` has 32 bytes, `sign` returns the signature of bytes (RFC 8032, 64 bytes)."""

    def __init__(self, name: str, public: bytes, sign: Callable[[bytes], bytes]) -> None:
        if not is_key_name(name):
            raise UsageError(
                f"名称不可用 / no name for a key: {name[:80]!r}",
                hint="like a web address without https://, no spaces, no +",
            )
        self.name = name
        self._sign = sign
        self.log_key = VerifierKey(name, ED25519, public)
        self.witness_key = VerifierKey(name, COSIGNATURE, public)

    def __repr__(self) -> str:
        return f"<NoteSigner {self.name}>"

    def sign_checkpoint(self, checkpoint: Checkpoint) -> Note:
        """Return the checkpoint as a note with the log's signature; the same checkpoint gives the same bytes."""
        signature = self._sign(checkpoint.text.encode())
        return Note(checkpoint.text, (log_line(self.log_key, signature),))

    def cosign(self, text: str, time: int) -> NoteSignature:
        """Return the witness's signature line for a checkpoint's text at `time` (seconds since 1970)."""
        signature = self._sign(cosigned_message(text, time))
        return cosignature_line(self.witness_key, time, signature)


def seeded_signer(name: str, seed: bytes) -> NoteSigner:
    """Return the signer whose private key (RFC 8032) is `seed`, 32 bytes. Raises UsageError for no name of a key."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return NoteSigner(name, private.public_key().public_bytes_raw(), private.sign)


def new_seed() -> bytes:
    """Make a private key."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def write_key(path: Path, seed: bytes, passphrase: str | None) -> None:
    """Write a private key as PEM (PKCS #8), readable for the owner alone; UsageError where the file exists."""
    sealing = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError("已有密钥 / there is a key already", where=str(path)) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def read_key_file(path: Path, passphrase: str | None) -> bytes:
    """Return the private key in a PEM file. KeysMissing without one, or with another passphrase."""
    try:
        key = load_pem_private_key(path.read_bytes(), passphrase.encode() if passphrase else None)
    except FileNotFoundError:
        raise KeysMissing("没有密钥 / no key", where=str(path), hint="zhengzhao witness init") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeysMissing(
            "密钥无法打开 / the key cannot be opened", where=str(path), hint="ZHENGZHAO_PASSPHRASE"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysMissing("不是 Ed25519 密钥 / no Ed25519 key", where=str(path))
    return key.private_bytes_raw()


_AT_ONCE = 8_192  # entries whose tiles are made together


class Head(msgspec.Struct, frozen=True):
    """A published head: its size, and the witnesses that did not sign it."""

    size: int
    note: bytes
    failures: tuple[WitnessFailure, ...] = ()


class Sequencer:
    """The writer of a log. Only one may run: whoever opens it holds the lock of the data folder or the partition."""

    def __init__(
        self,
        order: LogOrder,
        stored: StoredLog,
        signer: NoteSigner,
        witnesses: Sequence[Cosigner] = (),
        needed: int = 0,
        former_keys: tuple[VerifierKey, ...] = (),
    ) -> None:
        """Go on where the stored head ends.

        Raises VerificationError where head, tiles and order do not agree: somebody has cut or changed one of them.
        """
        self._order = order
        self._stored = stored
        self._signer = signer
        self._witnesses = tuple(witnesses)
        self._known: dict[str, int] = {}  # witness → size that it signed last
        self._needed = needed
        keys = (signer.log_key, *former_keys)
        self._policy = LogPolicy(signer.name, keys, tuple(w.key for w in self._witnesses))
        self._edge, self._seen = self._resume()

    @property
    def size(self) -> int:
        """The number of entries under the published head."""
        return self._edge.size

    def is_current(self) -> bool:
        """Tell whether the published head is the one that was seen or written here last."""
        return self._stored.head() == (self._seen.data if self._seen is not None else None)

    def append(self, entries: Iterable[LogEntry]) -> int:
        """Give new entries their place (1); return how many were new. `publish` brings them before readers."""
        return len(self._order.append(entries))

    def publish(self) -> Head:
        """Bring everything that has a place under a published head (2 to 4).

        Does nothing where all is published and enough witnesses have signed. Raises StoreUnavailable where the store
        fails; what is written by then stays good.
        """
        if self._seen is not None and self._order.size() == self._edge.size and self._is_final(self._seen):
            return Head(self._edge.size, self._seen.data)
        old = self._edge.size
        failpoint("log-before-tiles")
        edge = self._write_tiles()
        head = Checkpoint(self._signer.name, edge.size, edge.root)
        note, failures = self._cosigned(self._signer.sign_checkpoint(head), head)
        failpoint("log-before-checkpoint")
        if (
            not self.is_current()
        ):  # a writer that slept must not put an older head in the place of a newer one
            raise StoreUnavailable("另一写入者已发布日志 / another writer has published a head meanwhile")
        self._stored.publish(note.to_bytes())
        self._edge, self._seen = edge, verify_checkpoint(note.to_bytes(), self._policy)
        self._archive(self._seen)
        self._stored.tidy(old, edge.size)
        return Head(edge.size, self._seen.data, failures)

    def prove(self, identity: str, *, before: int | None = None) -> LogProof:
        """Return the proof of the entry with this id, by a witnessed head where there is one, else by the newest.

        With `before` (seconds since 1970) by the oldest kept head that has the entry, if witnesses had signed it by
        then. NotFound where the entry is not in the log, or no such head is kept.
        """
        index = self._order.index_of(identity)
        if index is None or index >= self._edge.size or self._seen is None:
            raise NotFound("尚未载入日志 / not in the published log yet")
        if before is None and self._enough(self._seen):
            return self._prove(index, self._seen)
        sizes = [size for size in self._stored.archived() if size > index]
        if before is not None:
            sizes = sizes[:1]
        for size in reversed(sizes):
            seen = verify_checkpoint(self._stored.archived_checkpoint(size), self._policy)
            signed = seen.witnessed_by(max(self._needed, 1))
            if before is None or (signed is not None and signed < before):
                return self._prove(index, seen)
        if before is not None:
            raise NotFound("该时间之前没有见证 / no witness had signed it by then")
        return self._prove(index, self._seen)

    def _prove(self, index: int, seen: WitnessedCheckpoint) -> LogProof:
        return LogReader(self._stored, seen.checkpoint, seen.data).prove(index)

    def _resume(self) -> tuple[RightEdge, WitnessedCheckpoint | None]:
        note = self._stored.head()
        if note is None:
            return RightEdge(), None
        seen = verify_checkpoint(note, self._policy)
        size, recorded = seen.checkpoint.size, self._order.size()
        if recorded < size:
            raise VerificationError(
                f"日志有 {size} 条，记录只有 {recorded} 条 / the published log has {size} entries, the order only {recorded}: "
                f"what came from entry {recorded} on is lost",
                hint="restore the data folder from a later backup",
            )
        edge = self._stored.edge(seen.checkpoint)
        last = b"".join(len(e).to_bytes(2) + e for e in self._order.read(size - size % 256, size))
        if last != edge.bundle:
            raise VerificationError(
                f"记录与日志不符 / the order differs from the published log at or after entry {size - size % 256}",
                hint="zhengzhao replay says which",
            )
        self._archive(seen)
        return edge, seen

    def _write_tiles(self) -> RightEdge:
        edge = self._edge
        entries = self._order.read(edge.size, self._order.size())
        while part := list(islice(entries, _AT_ONCE)):
            edge, tiles = grow(edge, part)
            self._stored.write(tiles)
        return edge

    def _cosigned(self, note: Note, head: Checkpoint) -> tuple[Note, tuple[WitnessFailure, ...]]:
        if not self._witnesses or head.size == 0:
            return note, ()
        with ThreadPoolExecutor(len(self._witnesses)) as threads:
            answers = list(threads.map(lambda witness: self._ask(witness, note, head), self._witnesses))
        lines = tuple(a for a in answers if isinstance(a, NoteSignature))
        failures = tuple(a for a in answers if isinstance(a, WitnessFailure))
        return msgspec.structs.replace(note, signatures=(*note.signatures, *lines)), failures

    def _ask(self, witness: Cosigner, note: Note, head: Checkpoint) -> NoteSignature | WitnessFailure:
        """Ask a witness from the size that it knows; it says another one at most twice (a restart, a race)."""
        name = str(witness.key)
        old = min(self._known.get(name, 0), head.size)
        for _ in range(3):
            proof = self._continuation(old, head, note)
            answer = witness.cosign(note, WitnessRequest(old, proof, note.to_bytes()))
            if isinstance(answer, NoteSignature):
                self._known[name] = head.size
                return answer
            if answer.size is None or answer.size == old:
                return answer
            if answer.size > head.size:
                return msgspec.structs.replace(
                    answer,
                    reason=f"它见过 {answer.size} 条的日志，本日志只有 {head.size} 条 / it has seen a longer log "
                    f"({answer.size} entries, here {head.size}): was this one cut, or restored from an old backup?",
                )
            old = answer.size
        return answer

    def _continuation(self, old: int, head: Checkpoint, note: Note) -> tuple[bytes, ...]:
        return LogReader(self._stored, head, note.to_bytes()).prove_continuation(old)

    def _is_final(self, seen: WitnessedCheckpoint) -> bool:
        """Tell whether a head needs no other signature: the log's present key has signed it, and enough witnesses."""
        return self._enough(seen) and bool(read_note(seen.data).signed_by(self._signer.log_key))

    def _enough(self, seen: WitnessedCheckpoint) -> bool:
        return self._needed == 0 or seen.witnessed_by(self._needed) is not None

    def _archive(self, seen: WitnessedCheckpoint) -> None:
        failpoint("log-before-archive")
        if seen.witnessed_by(max(self._needed, 1)) is not None:
            self._stored.archive(seen.checkpoint.size, seen.data)
