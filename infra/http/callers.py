"""Checks before any work: framing, host name, sending page, client address and token.

Without tokens only programs on this machine may call. A browser on this machine runs pages of other sites too, so a
request under another host name (DNS rebinding) or with another `Origin` is refused (Fetch standard, 3.1). A request
that came through a proxy did not begin on this machine, so it always needs a token.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request

from infra.http.limits import Rates
from infra.http.problems import Problem
from infra.http.tokens import Tokens
from processors.queries.access import LOCAL, Principal
from schemas.errors import UsageError

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


def _check_origin(request: Request) -> None:
    """Refuse a request that a page of another site made a browser send."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
        raise Problem(403, "来自其他网站的页面 / sent by a page of another site", where="Origin")


def _unreadable(error: UsageError) -> Problem:
    """Log that a file of this machine is broken; the caller learns no path of it."""
    print(f"error: {error}\nhint: {error.hint}", file=sys.stderr, flush=True)
    return Problem(500, hint="查看服务日志 / see the log of the service")
