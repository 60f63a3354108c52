"""Checks before any work: the host name that was called, the page that sent the request, the token of the caller.

Without tokens only programs on this machine may call. A browser on this machine runs pages of other sites too, so a
request under another host name (DNS rebinding) or with another `Origin` is refused (Fetch standard, 3.1).
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from starlette.requests import Request

from infra.http.problems import Problem
from infra.http.tokens import Tokens
from processors.queries.access import LOCAL, Principal
from schemas.errors import UsageError


class Callers:
    """The rule of who may call. `hosts`: names of this service, empty for any; `open_here`: no token is needed while there is none."""

    def __init__(self, tokens: Tokens, *, hosts: frozenset[str], open_here: bool) -> None:
        self._tokens = tokens
        self._hosts = hosts
        self._open_here = open_here

    def check_host(self, request: Request) -> None:
        """Refuse a host name that is not this service's. Raises Problem 421."""
        host = request.headers.get("host", "").rpartition("@")[2]
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        if self._hosts and name.lower() not in self._hosts:
            raise Problem(421, hint="zhengzhao run --allow-host NAME")

    def check_origin(self, request: Request) -> None:
        """Refuse a request that a page of another site made a browser send. Raises Problem 403."""
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host", ""):
            raise Problem(403, "来自其他网站的页面 / sent by a page of another site", where="Origin")

    def principal(self, request: Request, *, unproved: bool) -> Principal | None:
        """Return the caller that the token names; None where a proof may name it later (`unproved`).

        Raises Problem 401 for a missing or bad token, 500 where the tokens file cannot be read.
        """
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind:
            found = self._bearer(secret.strip()) if kind.lower() == "bearer" else None
            if found is None:
                raise Problem(401, hint="Authorization: Bearer TOKEN")
            return found
        if self._open_here and not self._any_tokens():
            return LOCAL
        if unproved:
            return None
        raise Problem(401, hint="Authorization: Bearer TOKEN；zhengzhao token add")

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


def _unreadable(error: UsageError) -> Problem:
    """Log that a file of this machine is broken; the caller learns no path of it."""
    print(f"error: {error}\nhint: {error.hint}", file=sys.stderr, flush=True)
    return Problem(500, hint="查看服务日志 / see the log of the service")
