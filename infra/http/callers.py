"""Checks before any work: framing, host name, sending page, client address and token.

Without tokens only programs on this machine may call. A browser on this machine runs pages of other sites too, so a
request under another host name (DNS rebinding) or with another `Origin` is refused (Fetch standard, 3.1). A request
that came through a proxy did not begin on this machine, so it always needs a token.

Tokens of callers. The file holds their SHA-256 only; a token is shown once, when it is made.

Connections have a limit of time, and a client one of their number. The server's own time limit counts between an answer and the next byte only. A head that never ends, or an answer
that nobody reads, would hold one of the few hundred connections for ever (slowloris). A client with too many
connections gets no further ones, so that it cannot take them all.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import ipaddress
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import h11
import msgspec
from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from infra.http.limits import Rates, RequestLimits
from infra.http.problems import Problem
from processors.queries.access import LOCAL, Principal
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


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_FORWARDED: Final = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
    "x-client-ip", "true-client-ip", "cf-connecting-ip",
)  # fmt: skip


class Callers:
    """The rule of who may call.

    `hosts`: names of this service, empty for any; `open_here`: no token is needed while there is none; `proxies`:
    networks whose `X-Forwarded-For` is believed.
    """

    def __init__(
        self,
        tokens: Tokens,
        rates: Rates,
        *,
        hosts: frozenset[str],
        open_here: bool,
        proxies: Sequence[Network] = (),
    ) -> None:
        self._tokens = tokens
        self._rates = rates
        self._hosts = hosts
        self._open_here = open_here
        self._proxies = tuple(proxies)

    def check(self, request: Request) -> None:
        """Refuse what no honest client sends. Raises Problem 400, 403 or 421."""
        _check_framing(request)
        self._check_host(request)
        _check_origin(request)

    def client(self, request: Request) -> str:
        """Return the client's address: the nearest one in `X-Forwarded-For` that is no proxy of ours, else the peer's."""
        peer = request.client.host if request.client else ""
        if not self.is_proxy(peer):
            return network_of(peer)
        hops = [hop.strip() for line in request.headers.getlist("x-forwarded-for") for hop in line.split(",")]
        return network_of(next((hop for hop in reversed(hops) if hop and not self.is_proxy(hop)), peer))

    def principal(self, request: Request, client: str, *, unproved: bool) -> Principal | None:
        """Return the caller that the token names; None where a proof may name it later (`unproved`).

        Raises Problem 401 for a missing or bad token, 429 after too many bad ones of a client, 500 where the tokens
        file cannot be read.
        """
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind:
            self._rates.wrong_tokens.check(client)
            found = self._bearer(secret.strip()) if kind.lower() == "bearer" else None
            if found is None:
                self._rates.wrong_tokens.charge(client)
                raise Problem(401, hint="Authorization: Bearer TOKEN")
            return found
        direct = not any(name in request.headers for name in _FORWARDED)
        if self._open_here and direct and not self._any_tokens():
            return LOCAL
        if unproved:
            return None
        raise Problem(401, hint="Authorization: Bearer TOKEN；zhengzhao token add")

    def _check_host(self, request: Request) -> None:
        host = request.headers.get("host", "").rpartition("@")[2]
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        if self._hosts and name.lower() not in self._hosts:
            raise Problem(421, hint="zhengzhao run --allow-host NAME")

    def is_proxy(self, address: str) -> bool:
        """Tell if an address is one of the proxies in front of this service."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)

    def _bearer(self, secret: str) -> Principal | None:
        try:
            return self._tokens.principal(secret, datetime.now(UTC))
        except UsageError as error:
            raise _unreadable(error) from None

    def _any_tokens(self) -> bool:
        try:
            return bool(self._tokens.all())
        except UsageError as error:
            raise _unreadable(error) from None


def network_of(address: str) -> str:
    """Return the address by which a client is counted: an IPv4 address, or the /64 network of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:60]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def _check_framing(request: Request) -> None:
    """Refuse two lengths of one body, which a proxy and this service may read differently (RFC 9112, 6.1)."""
    if "transfer-encoding" in request.headers and "content-length" in request.headers:
        raise Problem(400, "Content-Length 与 Transfer-Encoding 并存 / Content-Length with Transfer-Encoding",
                      hint="只发送其一 / send one of them", close=True)  # fmt: skip


_READ_BY_ALL: Final = ("/trust/", "/status/")  # what a verifier on any other site may read


def _check_origin(request: Request) -> None:
    """Refuse a request that a page of another site made a browser send."""
    if request.method in ("GET", "HEAD") and request.url.path.startswith(_READ_BY_ALL):
        return
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise Problem(403, "来自其他网站的页面 / sent by a page of another site", where="Origin")


def _unreadable(error: UsageError) -> Problem:
    """Log that a file of this machine is broken; the caller learns no path of it."""
    print(f"error: {error}\nhint: {error.hint}", file=sys.stderr, flush=True)
    return Problem(500, hint="查看服务日志 / see the log of the service")


class TimedProtocol(H11Protocol):
    """HTTP/1.1 with limits in seconds: for the head of a request, and for a request with its answer."""

    head_seconds: ClassVar[float]
    request_seconds: ClassVar[float]
    most_connections: ClassVar[int]
    open_of: ClassVar[Counter[str]]

    @staticmethod
    def is_shared(address: str) -> bool:
        """Tell if many clients share an address, as behind a proxy."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._peer = network_of(str(peer[0])) if isinstance(peer, tuple) else ""
        self.open_of[self._peer] += 1
        self._head = True
        self._since = self.loop.time()
        self._watch = self.loop.call_later(self._step, self._check)
        if self.open_of[self._peer] > self.most_connections and not self.is_shared(str(peer[0])):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        self.open_of[self._peer] -= 1
        if self.open_of[self._peer] <= 0:
            del self.open_of[self._peer]
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    @property
    def _step(self) -> float:
        return min(self.head_seconds, self.request_seconds) / 4

    def _check(self) -> None:
        now, head = self.loop.time(), self.conn.their_state is h11.IDLE
        if head is not self._head:
            self._head, self._since = head, now
        if now - self._since > (self.head_seconds if head else self.request_seconds):
            self.transport.abort()
            return
        self._watch = self.loop.call_later(self._step, self._check)


def protocol(limits: RequestLimits, shared: Callable[[str], bool]) -> type[Any]:
    """Return the protocol class with the limits of a service; behind a shared address (a proxy) are many clients."""

    class Limited(TimedProtocol):
        head_seconds = limits.head_seconds
        request_seconds = limits.request_seconds
        most_connections = limits.connections

        @staticmethod
        def is_shared(address: str) -> bool:
            return shared(address)

    Limited.open_of = Counter()

    return Limited
