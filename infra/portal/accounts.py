"""Accounts of the people who log in, their one-time links, sessions and passkeys.

They lie in `accounts.db` of the data folder, which is its owner's alone. Links, sessions and shares are kept as
digests, so that who reads a copy of the file can neither log in nor open anything. A person's number is kept sealed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from infra.persons.keys import installation_secret
from schemas.errors import TransientError, UsageError
from schemas.persons import subkey

FILE: Final = "accounts.db"
LINK_SECONDS: Final = 24 * 3600.0
IDLE_SECONDS: Final = 30 * 60.0
LONGEST_SECONDS: Final = 12 * 3600.0
KEPT_SECONDS: Final = 7 * 86_400.0
"""Seconds for which an ended session is remembered, with what its last form had typed."""
_ADDRESS: Final = re.compile(r"[\w.!#$%&'*+/^`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)
AccountKind = Literal["enterprise", "person", "agency"]
ROLES: Final = ("window", "reviewer", "supervisor", "regulator", "inspector")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS accounts (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, shown TEXT NOT NULL, number TEXT NOT NULL,
    role TEXT NOT NULL, name TEXT NOT NULL, login TEXT NOT NULL, made_at REAL NOT NULL, removed_at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (digest TEXT PRIMARY KEY, account TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    digest TEXT PRIMARY KEY, account TEXT NOT NULL, began REAL NOT NULL, seen REAL NOT NULL, ended INTEGER NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS drafts (
    digest TEXT PRIMARY KEY, account TEXT NOT NULL, path TEXT NOT NULL, typed BLOB NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS passkeys (
    credential TEXT PRIMARY KEY, account TEXT NOT NULL, public BLOB NOT NULL, uses INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent (
    subject TEXT, application TEXT, at REAL NOT NULL, PRIMARY KEY (subject, application)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS addresses (account TEXT PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shares (
    digest TEXT PRIMARY KEY, subject TEXT NOT NULL, number TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS proposals (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, account TEXT NOT NULL, what TEXT NOT NULL, event BLOB NOT NULL,
    at REAL NOT NULL, settled TEXT NOT NULL) WITHOUT ROWID;
"""


class Account(msgspec.Struct, frozen=True):
    """Somebody who may log in: for an enterprise, a person or an agency (`subject`: ledger key, or source URN)."""

    id: str
    kind: AccountKind
    subject: str
    shown: str  # as people may read it: a person's number is masked
    number: str  # an enterprise's USCC, a person's number sealed, empty for an agency
    role: str
    name: str
    login: str  # issuer and subject of a provider; empty for a local account
    made_at: float
    removed_at: float | None = None

    def may(self, *roles: str) -> bool:
        """Tell whether an officer has one of these roles."""
        return self.kind == "agency" and self.role in roles


class Session(msgspec.Struct, frozen=True):
    """A session of an account; `token` is the value of its cookie."""

    token: str
    account: Account


class Proposal(msgspec.Struct, frozen=True):
    """An order that a second officer of the same agency has to confirm."""

    id: str
    source: str
    account: str
    what: str
    event: bytes
    at: float
    settled: str


class Accounts:
    """The accounts of a data folder; may be used from several threads and processes. `clock` gives Unix seconds."""

    def __init__(self, data: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        secret = installation_secret(data)
        self._cipher = AESSIV(subkey(secret, "drafts"))
        self._key = subkey(secret, "forms")
        path = data / FILE
        if not path.exists():
            path.touch(mode=0o600)
        self._lock = threading.RLock()
        with self._translated():
            self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # --- accounts

    def add(
        self, kind: AccountKind, subject: str, shown: str, number: str, role: str, name: str, login: str = ""
    ) -> Account:
        """Add an account."""
        account = Account(
            f"acc-{secrets.token_hex(5)}", kind, subject, shown, number, role, name, login, self._clock()
        )
        row = msgspec.structs.astuple(account)
        self._do(f"INSERT INTO accounts VALUES ({', '.join('?' * len(row))})", row)
        return account

    def all(self) -> list[Account]:
        """Return every account, removed ones included, in the order in which they were made."""
        return [Account(*row) for row in self._do("SELECT * FROM accounts ORDER BY made_at, id")]

    def get(self, account_id: str) -> Account | None:
        """Return an account that was not removed."""
        rows = self._do("SELECT * FROM accounts WHERE id = ? AND removed_at IS NULL", (account_id,))
        return Account(*rows[0]) if rows else None

    def by_login(self, login: str) -> Account | None:
        """Return the account of somebody whom a provider names."""
        rows = self._do("SELECT * FROM accounts WHERE login = ? AND removed_at IS NULL", (login,))
        return Account(*rows[0]) if rows else None

    def remove(self, account_id: str) -> Account:
        """End an account with its sessions, links and passkeys. Raises UsageError for an unknown one."""
        found = self.get(account_id)
        if found is None:
            raise UsageError(
                "未找到这个账户 / no such account", where=account_id[:40], hint="zhengzhao account list"
            )
        self._do("UPDATE accounts SET removed_at = ? WHERE id = ?", (self._clock(), account_id))
        self._do("UPDATE sessions SET ended = 1 WHERE account = ?", (account_id,))
        for table in ("links", "passkeys"):
            self._do(f"DELETE FROM {table} WHERE account = ?", (account_id,))
        return found

    # --- links

    def link(self, account: Account) -> str:
        """Make a link's token, which works once, for a day."""
        token = secrets.token_urlsafe(32)
        self._do(
            "INSERT INTO links VALUES (?, ?, ?)", (_digest(token), account.id, self._clock() + LINK_SECONDS)
        )
        return token

    def knows_link(self, token: str) -> bool:
        """Tell whether a link would still work."""
        sql = "SELECT 1 FROM links WHERE digest = ? AND until > ?"
        return bool(self._do(sql, (_digest(token), self._clock())))

    def use_link(self, token: str) -> Account | None:
        """Use a link up; return its account, None where it was used, ended or never made."""
        sql = "DELETE FROM links WHERE digest = ? AND until > ? RETURNING account"
        rows = self._do(sql, (_digest(token), self._clock()))
        return self.get(str(rows[0][0])) if rows else None

    # --- sessions

    def begin(self, account: Account, before: str = "") -> Session:
        """Begin a session under a new token; the one before, if any, ends."""
        if before:
            self.end(before)
        now, token = self._clock(), secrets.token_urlsafe(32)
        self._do("INSERT INTO sessions VALUES (?, ?, ?, ?, 0)", (_digest(token), account.id, now, now))
        self._do("DELETE FROM sessions WHERE seen < ?", (now - KEPT_SECONDS,))
        self._do("DELETE FROM drafts WHERE at < ?", (now - KEPT_SECONDS,))
        return Session(token, account)

    def session(self, token: str) -> Session | None:
        """Return a session that has not ended, and note that it was seen."""
        now = self._clock()
        rows = self._do(
            "SELECT account, began, seen, ended FROM sessions WHERE digest = ?", (_digest(token),)
        )
        if not token or not rows:
            return None
        account_id, began, seen, ended = rows[0]
        account = self.get(str(account_id))
        if account is None or ended or now - seen > IDLE_SECONDS or now - began > LONGEST_SECONDS:
            return None
        if now - seen > 1:  # one write a second is often enough
            self._do("UPDATE sessions SET seen = ? WHERE digest = ?", (now, _digest(token)))
        return Session(token, account)

    def end(self, token: str) -> None:
        """End a session."""
        self._do("UPDATE sessions SET ended = 1 WHERE digest = ?", (_digest(token),))

    def form_token(self, token: str, path: str) -> str:
        """Return the token that the form of a path carries within a session or a visit."""
        return hmac.new(self._key, f"{token}\0{path}".encode(), "sha256").hexdigest()[:32]

    def good_form(self, token: str, path: str, given: str) -> bool:
        """Tell whether a form was made by this service for this session or visit."""
        return bool(token) and hmac.compare_digest(self.form_token(token, path).encode(), given.encode())

    # --- what was typed when a session ended

    def keep_draft(self, session_token: str, path: str, typed: dict[str, str]) -> str:
        """Keep what a form of a session had typed; return the token by which the same browser gets it back.

        Nothing is kept, and the token is empty, for a session that never was: anybody could fill the disk.
        """
        rows = self._do("SELECT account FROM sessions WHERE digest = ?", (_digest(session_token),))
        if not rows:
            return ""
        token = secrets.token_urlsafe(32)
        sealed = self._cipher.encrypt(json.dumps(typed).encode(), None)
        row = (_digest(token), str(rows[0][0]), path, sealed, self._clock())
        self._do("INSERT INTO drafts VALUES (?, ?, ?, ?, ?)", row)
        return token

    def take_draft(self, token: str, account: Account, path: str) -> dict[str, str]:
        """Return what the account had typed into the form of a path, once; empty where there is nothing."""
        sql = "DELETE FROM drafts WHERE digest = ? AND path = ? AND account = ? AND at > ? RETURNING typed"
        rows = (
            self._do(sql, (_digest(token), path, account.id, self._clock() - KEPT_SECONDS)) if token else []
        )
        try:
            return dict(json.loads(self._cipher.decrypt(rows[0][0], None))) if rows else {}
        except InvalidTag:
            return {}

    # --- applications on their way into the register

    def note_sent(self, subject: str, application: str) -> None:
        """Remember that a holder's application was sent and may not be decided yet."""
        self._do("INSERT OR IGNORE INTO sent VALUES (?, ?, ?)", (subject, application, self._clock()))

    def sent_at(self, subject: str, application: str) -> float:
        """Return when a holder sent an application here (Unix seconds); 0 where it did not."""
        sql = "SELECT at FROM sent WHERE subject = ? AND application = ?"
        rows = self._do(sql, (subject, application))
        return float(rows[0][0]) if rows else 0.0

    def was_sent(self, subject: str, application: str) -> bool:
        """Tell whether a holder sent an application here."""
        return bool(
            self._do("SELECT 1 FROM sent WHERE subject = ? AND application = ?", (subject, application))
        )

    # --- licences shown to others

    def share(self, subject: str, number: str, seconds: float) -> str:
        """Make the token of a link that shows a licence until it ends by itself."""
        token = secrets.token_urlsafe(24)
        self._do(
            "INSERT INTO shares VALUES (?, ?, ?, ?)",
            (_digest(token), subject, number, self._clock() + seconds),
        )
        return token

    def shared(self, token: str) -> tuple[str, str, float] | None:
        """Return holder, number and end of a link that shows a licence; None after its end."""
        sql = "SELECT subject, number, until FROM shares WHERE digest = ? AND until > ?"
        rows = self._do(sql, (_digest(token), self._clock()))
        return (str(rows[0][0]), str(rows[0][1]), float(rows[0][2])) if rows else None

    # --- addresses for letters

    def set_address(self, account: Account, address: str) -> None:
        """Keep the e-mail address to which an account wants letters; an empty one ends that.

        Raises UsageError for what is no address.
        """
        if address and not (_ADDRESS.fullmatch(address) and len(address) <= 200):
            raise UsageError(
                "不是电子邮件地址 / no e-mail address", where="email", hint="例如 / e.g. name@example.cn"
            )
        self._do("DELETE FROM addresses WHERE account = ?", (account.id,))
        if address:
            self._do("INSERT INTO addresses VALUES (?, ?)", (account.id, address))

    def address(self, account: Account) -> str:
        """Return the e-mail address of an account; empty where there is none."""
        rows = self._do("SELECT address FROM addresses WHERE account = ?", (account.id,))
        return str(rows[0][0]) if rows else ""

    def addresses_of(self, subject: str) -> list[str]:
        """Return the e-mail addresses to which a holder's accounts want letters."""
        sql = (
            "SELECT DISTINCT address FROM addresses JOIN accounts ON account = id "
            "WHERE subject = ? AND removed_at IS NULL ORDER BY address"
        )
        return [str(row[0]) for row in self._do(sql, (subject,))]

    # --- passkeys

    def add_passkey(self, account: Account, credential: str, public: bytes, uses: int) -> None:
        """Keep the public half of a passkey."""
        self._do("INSERT INTO passkeys VALUES (?, ?, ?, ?)", (credential, account.id, public, uses))

    def passkey(self, credential: str) -> tuple[Account, bytes, int] | None:
        """Return account, public key and counter of a passkey."""
        rows = self._do("SELECT account, public, uses FROM passkeys WHERE credential = ?", (credential,))
        account = self.get(str(rows[0][0])) if rows else None
        return (account, bytes(rows[0][1]), int(rows[0][2])) if account else None

    def passkeys(self, account: Account) -> list[str]:
        """Return the ids of an account's passkeys."""
        rows = self._do(
            "SELECT credential FROM passkeys WHERE account = ? ORDER BY credential", (account.id,)
        )
        return [str(row[0]) for row in rows]

    def passkey_used(self, credential: str, uses: int) -> None:
        """Note the counter of a passkey."""
        self._do("UPDATE passkeys SET uses = ? WHERE credential = ?", (uses, credential))

    # --- orders that a second officer confirms

    def propose(self, account: Account, what: str, event: bytes) -> str:
        """Keep an order until a second officer of the agency confirms it; return its id."""
        proposal = f"P-{secrets.token_hex(5)}"
        row = (proposal, account.subject, account.id, what, event, self._clock(), "")
        self._do("INSERT INTO proposals VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return proposal

    def proposals(self, source: str) -> list[Proposal]:
        """Return the orders of an agency that wait."""
        sql = "SELECT * FROM proposals WHERE source = ? AND settled = '' ORDER BY at"
        return [Proposal(*row) for row in self._do(sql, (source,))]

    def settle(self, proposal_id: str, account: Account, how: str) -> Proposal | None:
        """Settle an order of one's agency that waits, once; None where there is none."""
        sql = "UPDATE proposals SET settled = ? WHERE id = ? AND source = ? AND settled = '' RETURNING *"
        rows = self._do(sql, (f"{how}:{account.id}", proposal_id, account.subject))
        return Proposal(*rows[0]) if rows else None

    def _do(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock, self._translated():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise TransientError(
                f"账户文件故障 / the file of the accounts failed: {error}",
                where=FILE,
                hint="稍后重试 / try again later",
            ) from error


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
