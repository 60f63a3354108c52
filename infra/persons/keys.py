"""The persons' keys of a data folder: `persons.db`, each key wrapped with the installation's secret.

The secret lies in `secret/installation.key`, apart from the keys that sign. The database alone, or the secret
alone, opens nothing. Erasing a person deletes the key, overwrites its place in the file (secure_delete) and
truncates the write-ahead log, so that no copy stays.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from schemas.errors import KeysMissing, TransientError, VerificationError
from schemas.persons import KEY_LENGTH, SECRET_LENGTH, Sealer, pseudonym, subkey

DATABASE: Final = "persons.db"
SECRET: Final = Path("secret") / "installation.key"
_CACHE: Final = 10_000
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS keys (pseudonym TEXT PRIMARY KEY, wrapped BLOB NOT NULL) WITHOUT ROWID"
)
_NAMES_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS names (holder TEXT, sealed TEXT, PRIMARY KEY (holder, sealed)) WITHOUT ROWID"
)
_MOST_NAMES: Final = 100  # of one enterprise
_WAIT: Final = 30.0  # seconds for another process to finish its transaction


class PersonsStore:
    """The port `schemas.persons.Persons` over a data folder; may be used from several threads and processes."""

    def __init__(self, data: Path) -> None:
        """Open the persons of a data folder; make secret and database where there are none yet.

        Raises KeysMissing where there are persons but no secret.
        """
        self._secret = _secret(data)
        self._wrapping = AESSIV(subkey(self._secret, "persons"))
        self._files = AESSIV(subkey(self._secret, "uploads"))
        self._lock = threading.RLock()
        path = data / DATABASE
        fresh = not path.exists()
        self._db = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        if fresh:
            path.chmod(0o600)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute(_SCHEMA)
        self._sealer = Sealer(self._key, subkey(self._secret, "evidence"))
        self._cache: dict[str, bytes] = {}
        self._version = -1

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def pseudonym(self, compared_id: str) -> str:
        return pseudonym(self._secret, compared_id)

    def seal(self, pseudonym: str, text: str) -> str:
        return self._sealer.seal(pseudonym, text)

    def open(self, pseudonym: str, sealed: str) -> str | None:
        return self._sealer.open(pseudonym, sealed)

    def seal_evidence(self, pseudonym: str, text: str) -> str:
        return self._sealer.seal_evidence(pseudonym, text)

    def seal_name(self, holder: str, name: str) -> str:
        return self._sealer.seal_name(holder, name)

    def names_given(self, holder: str, names: Collection[str]) -> Collection[str]:
        """Remember and return names as `schemas.persons.Persons` says; they lie sealed."""
        with self._lock:
            kept = set(self._kept_names(holder))
            for name in sorted({self.seal_name(holder, name) for name in names} - kept)[
                : _MOST_NAMES - len(kept)
            ]:
                self._keep_name(holder, name)
                kept.add(name)
        return {found for name in kept if (found := self.open(holder, name)) is not None}

    def _kept_names(self, holder: str) -> list[str]:
        self._db.execute(_NAMES_SCHEMA)
        return [
            str(row[0]) for row in self._db.execute("SELECT sealed FROM names WHERE holder = ?", (holder,))
        ]

    def _keep_name(self, holder: str, sealed: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO names VALUES (?, ?)", (holder, sealed))

    def open_evidence(self, pseudonym: str, sealed: str) -> str | None:
        """Open evidence, also of an erased person; see `schemas.persons.Sealer`."""
        return self._sealer.open_evidence(pseudonym, sealed)

    def seal_object(self, pseudonym: str, content: bytes) -> bytes:
        """Return an object of a person as it lies in the store; see `schemas.persons.Sealer`."""
        return self._sealer.seal_object(pseudonym, content)

    def open_object(self, pseudonym: str, stored: bytes) -> bytes | None:
        """Return an object again, None when the person was erased; see `schemas.persons.Sealer`."""
        return self._sealer.open_object(pseudonym, stored)

    def knows(self, pseudonym: str) -> bool:
        """Tell if there is a key of this person: not before the first sealed text, and not after an erasure."""
        return self._key(pseudonym, False) is not None

    def erase(self, pseudonym: str) -> bool:
        """Destroy a person's key for good; return False where there is none.

        Raises TransientError while another process reads the database; calling it again finishes the erasure.
        """
        with self._lock:
            gone = self._db.execute("DELETE FROM keys WHERE pseudonym = ?", (pseudonym,)).rowcount
            self._cache.clear()
            busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise TransientError(
                "密钥已删除，但其副本仍在日志文件中使用 / the key is deleted, but its copy in the write-ahead log is in use",
                where=DATABASE,
                hint="没有其他进程读取时再执行一次 / run it again when no other process reads",
            )
        return bool(gone)

    def seal_file(self, content: bytes) -> bytes:
        """Encrypt an uploaded file for the store; the same content gives the same bytes."""
        return self._files.encrypt(content, None) if content else b""

    def open_file(self, sealed: bytes) -> bytes:
        """Decrypt an uploaded file. Raises VerificationError where its bytes were changed."""
        try:
            return self._files.decrypt(sealed, None) if sealed else b""
        except InvalidTag:
            raise VerificationError(
                "存储中的上传文件被改动 / an uploaded file in the store was changed"
            ) from None

    def wrapped(self) -> Iterator[tuple[str, bytes]]:
        """Yield each pseudonym with its wrapped key; only the secret opens it."""
        for name, key in self._db.execute(
            "SELECT pseudonym, wrapped FROM keys ORDER BY pseudonym"
        ).fetchall():
            yield str(name), bytes(key)

    def restore(self, pseudonym: str, wrapped: bytes) -> None:
        """Put a wrapped key back, unless the person has one. Raises KeysMissing where the secret does not fit."""
        self._wrapping_opens(pseudonym, wrapped)
        self._db.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (pseudonym, wrapped))

    def _wrapping_opens(self, pseudonym: str, wrapped: bytes) -> None:
        try:
            self._wrapping.decrypt(wrapped, [pseudonym.encode()])
        except InvalidTag:
            raise KeysMissing(
                "安装密钥不符 / the installation's secret does not open the persons' keys",
                where=str(SECRET),
                hint="从导出处复制 secret/installation.key / copy it from the installation that exported them",
            ) from None

    def _key(self, pseudonym: str, create: bool) -> bytes | None:
        with self._lock:
            # Another process may have erased someone: its commit changes the version.
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version or len(self._cache) > _CACHE:
                self._cache.clear()
                self._version = version
            if pseudonym in self._cache:
                return self._cache[pseudonym]
            key = self._stored(pseudonym)
            if key is None and create:
                fresh = self._wrapping.encrypt(os.urandom(KEY_LENGTH), [pseudonym.encode()])
                self._db.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (pseudonym, fresh))
                key = self._stored(pseudonym)
            if key is not None:
                self._cache[pseudonym] = key
            return key

    def _stored(self, pseudonym: str) -> bytes | None:
        row = self._db.execute("SELECT wrapped FROM keys WHERE pseudonym = ?", (pseudonym,)).fetchone()
        if row is None:
            return None
        try:
            return self._wrapping.decrypt(row[0], [pseudonym.encode()])
        except InvalidTag:
            raise KeysMissing(
                "安装密钥不符 / the installation's secret does not open the persons' keys",
                where=str(SECRET),
                hint="从同一时间的备份恢复 secret/installation.key / restore it from a backup of the same time",
            ) from None


def installation_secret(data: Path) -> bytes:
    """Return the installation's secret (32 bytes) of a data folder; make it where there is neither secret nor person.

    Raises KeysMissing where the secret is missing or damaged.
    """
    return _secret(data)


def _secret(data: Path) -> bytes:
    path = data / SECRET
    if not path.exists():
        if (data / DATABASE).exists():
            raise KeysMissing(
                "缺少安装密钥 / the installation's secret is missing",
                where=str(path),
                hint="从备份恢复；新密钥无法打开旧数据 / restore it from a backup: a new one would open nothing",
            )
        _write_secret(path)
    secret = path.read_bytes()
    if len(secret) != SECRET_LENGTH:
        raise KeysMissing(
            "安装密钥损坏 / the installation's secret is damaged",
            where=str(path),
            hint="从备份恢复 / restore it from a backup",
        )
    return secret


def _write_secret(path: Path) -> None:
    """Write a new secret; where two processes do so at once, the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(SECRET_LENGTH))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
