"""Limits on size, speed and number of the requests of a client."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, Request

from infra.http.problems import Problem

_CLIENTS: Final = 10_000  # clients remembered at once


class RequestLimits(msgspec.Struct, frozen=True):
    """The limits of a service. `rate` is requests a second for each client, `burst` the requests at once."""

    rate: float = 100.0
    burst: int = 300
    head_seconds: float = 30.0  # for the head of a request
    body_seconds: float = 30.0
    request_seconds: float = 180.0  # for a request with its answer, the client's reading included
    batch_events: int = 1000
    batch_bytes: int = 8 * 1024 * 1024
    upload_bytes: int = 50 * 1024 * 1024
    packet_bytes: int = 80 * 1024 * 1024
    waiting: int = 2000  # requests that wait for the ledger; further ones are answered 503
    answer_seconds: float = 60.0
    memory: int = 256 * 1024 * 1024  # bytes of bodies held at once


class Rates:
    """A token bucket for each client."""

    def __init__(self, limits: RequestLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count one request. Raises Problem 429 where the client is too fast."""
        now = self._clock()
        left, last = self._buckets.pop(client, (float(self._limits.burst), now))
        left = min(float(self._limits.burst), left + (now - last) * self._limits.rate)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = math.ceil((1 - left) / self._limits.rate)
            raise Problem(429, hint="放慢，或成批发送 / slow down, or send batches", retry_after=max(1, wait))


class Bodies:
    """Bodies of requests; those in memory at once stay within a budget."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """Read the whole body, and count it to the budget while the block runs.

        Raises Problem 413 where it is over `most` bytes, 408 where it comes too slowly, 415 where it is compressed,
        503 where the budget is used up.
        """
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise Problem(415, hint="不要压缩 / send it without Content-Encoding")
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and len(declared) < 16 and int(declared) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for part in request.stream():
                    size += len(part)
                    self._held += len(part)
                    parts.append(part)
                    if size > most:
                        raise _too_large(most)
                    if self._held > self._limits.memory:
                        raise Problem(503, hint="稍后重发 / send it again later", retry_after=2)
            yield b"".join(parts)
        except TimeoutError:
            raise Problem(408, hint="重发 / send it again") from None
        except ClientDisconnect:
            raise Problem(400, "连接中断 / the connection broke off") from None
        finally:
            self._held -= size


def _too_large(most: int) -> Problem:
    return Problem(413, f"超过 {most} 字节 / over {most} bytes", hint="分开发送 / send it in parts")
