"""Tokens of callers. The file holds their SHA-256 only; a token is shown once, when it is made."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from processors.queries.access import Principal
from schemas.errors import UsageError

FILE: Final = "tokens.json"
PREFIX: Final = "zz_"


class Token(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A token as it is kept. `shown` is the subject as people may read it (a person's number masked)."""

    id: str
    sha256: str
    kind: Literal["agency", "enterprise"]
    subject: str
    shown: str
    made_at: datetime
    valid_until: datetime | None = None
    revoked_at: datetime | None = None

    def good(self, at: datetime) -> bool:
        """Tell if the token is good at a moment."""
        ended = self.valid_until is not None and at >= self.valid_until
        return self.revoked_at is None and not ended


class Tokens:
    """The tokens of a data folder; changes made by another process count at once."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()
        self._by_hash: dict[str, Token] = {}

    def all(self) -> tuple[Token, ...]:
        """Return every token, revoked ones included. Raises UsageError where the file cannot be read."""
        self._refresh()
        return self._tokens

    def principal(self, secret: str, at: datetime) -> Principal | None:
        """Return the holder of a secret; None for an unknown, ended or revoked one."""
        self._refresh()
        token = self._by_hash.get(_digest(secret))
        return Principal(token.kind, token.subject) if token is not None and token.good(at) else None

    def make(
        self,
        kind: Literal["agency", "enterprise"],
        subject: str,
        shown: str,
        at: datetime,
        until: datetime | None,
    ) -> tuple[str, Token]:
        """Make a token; return its secret and the entry that is kept."""
        secret = PREFIX + secrets.token_urlsafe(32)
        token = Token(secrets.token_hex(4), _digest(secret), kind, subject, shown, at, until)
        self._change(lambda tokens: (*tokens, token))
        return secret, token

    def revoke(self, token_id: str, at: datetime) -> Token:
        """End a token for good. Raises UsageError for an unknown one."""

        def change(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
            if all(t.id != token_id for t in tokens):
                raise UsageError(
                    "未找到这个令牌 / no such token", where=token_id[:40], hint="zhengzhao token list"
                )
            return tuple(
                msgspec.structs.replace(t, revoked_at=t.revoked_at or at) if t.id == token_id else t
                for t in tokens
            )

        self._change(change)
        return next(t for t in self._tokens if t.id == token_id)

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._tokens, self._by_hash = None, (), {}
            return
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._stamp:
            try:
                tokens = msgspec.json.decode(self._path.read_bytes(), type=tuple[Token, ...])
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise UsageError(
                    f"令牌文件无法使用 / the token file is unusable: {error}",
                    where=str(self._path),
                    hint="从备份恢复 / restore it from a backup",
                ) from None
            self._stamp, self._tokens = stamp, tokens
            self._by_hash = {t.sha256: t for t in tokens}

    def _change(self, change: Callable[[tuple[Token, ...]], tuple[Token, ...]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_name(f".{FILE}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._refresh()
            content = msgspec.json.format(msgspec.json.encode(change(self._tokens)), indent=2)
            fresh = self._path.with_name(f".{FILE}.{os.getpid()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content + b"\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            self._refresh()
        finally:
            os.close(lock)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
