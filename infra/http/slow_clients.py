"""Slow clients: a connection that sends no whole request head in time, or reads no answer, is cut.

The server's own time limit counts between an answer and the next byte only. A head that never ends, or an answer
that nobody reads, would hold one of the few hundred connections for ever (slowloris).
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from infra.http.limits import RequestLimits


class TimedProtocol(H11Protocol):
    """HTTP/1.1 with limits in seconds: for the head of a request, and for a request with its answer."""

    head_seconds: ClassVar[float]
    request_seconds: ClassVar[float]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = True
        self._since = self.loop.time()
        self._watch = self.loop.call_later(self._step, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
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


def protocol(limits: RequestLimits) -> type[Any]:
    """Return the protocol class with the limits of a service."""

    class Limited(TimedProtocol):
        head_seconds = limits.head_seconds
        request_seconds = limits.request_seconds

    return Limited
