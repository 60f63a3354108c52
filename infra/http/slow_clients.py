"""Slow and greedy clients: limits of time for a connection, and of number for the connections of a client.

The server's own time limit counts between an answer and the next byte only. A head that never ends, or an answer
that nobody reads, would hold one of the few hundred connections for ever (slowloris). A client with too many
connections gets no further ones, so that it cannot take them all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from infra.http.callers import network_of
from infra.http.limits import RequestLimits


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
