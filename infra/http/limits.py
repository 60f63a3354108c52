"""Limits on size, speed and number of the requests of a client."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, Request

from infra.http.problems import Problem

_CLIENTS: Final = 10_000  # clients remembered at once
_DAY: Final = 86_400.0
_MIB: Final = 1024 * 1024


class RequestLimits(msgspec.Struct, frozen=True):
    """The limits of a service. `rate` is requests a second for each client, `burst` the requests at once."""

    rate: float = 100.0
    burst: int = 300
    head_seconds: float = 30.0  # for the head of a request
    body_seconds: float = 30.0
    request_seconds: float = 180.0  # for a request with its answer, the client's reading included
    connections: int = 100  # of one client at once, proxies named in the settings excepted
    batch_events: int = 1000
    batch_bytes: int = 8 * _MIB
    unproved_bytes: int = _MIB  # of a batch without a token
    refused_rate: float = 256 * 1024  # bytes a second of requests without a token that were all refused
    refused_burst: int = 4 * _MIB
    wrong_tokens_rate: float = 0.5
    wrong_tokens_burst: int = 20
    upload_bytes: int = 50 * _MIB
    upload_day: int = 2048 * _MIB  # bytes that one caller may upload in a day
    packet_bytes: int = 80 * _MIB
    waiting: int = 2000  # requests that wait for the ledger; further ones are answered 503
    answer_seconds: float = 60.0
    verify_seconds: float = 10.0  # for one file, decoding included
    verify_waiting: int = 32  # files that wait to be verified, of all clients
    verify_client: int = 4  # files of one client that wait or are verified at once
    memory: int = 256 * _MIB  # bytes of bodies held at once


class Buckets:
    """A token bucket for each client: `rate` tokens come back a second, at most `burst` are saved."""

    def __init__(
        self,
        rate: float,
        burst: float,
        *,
        hint: str = "放慢，或成批发送 / slow down, or send batches",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._hint = hint
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, cost: float = 1.0) -> None:
        """Take tokens. Raises Problem 429 where they are used up; then nothing is taken."""
        left = self._left(client)
        allowed = left >= min(cost, self._burst)
        self._keep(client, left - cost if allowed else left)
        if not allowed:
            raise self._used_up(min(cost, self._burst) - left)

    def check(self, client: str) -> None:
        """Raise Problem 429 where no token is left; take none."""
        if (left := self._left(client)) < 0:
            raise self._used_up(-left)

    def charge(self, client: str, cost: float = 1.0) -> None:
        """Take tokens for what was done already, below zero if need be."""
        self._keep(client, self._left(client) - cost)

    def _left(self, client: str) -> float:
        left, last = self._buckets.get(client, (self._burst, self._clock()))
        return min(self._burst, left + (self._clock() - last) * self._rate)

    def _keep(self, client: str, left: float) -> None:
        self._buckets.pop(client, None)
        self._buckets[client] = (left, self._clock())
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)

    def _used_up(self, missing: float) -> Problem:
        return Problem(429, hint=self._hint, retry_after=max(1, math.ceil(missing / self._rate)))


class Rates:
    """The budgets of a service's clients: requests, refused work, wrong tokens, slow files, uploads."""

    def __init__(self, limits: RequestLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests = Buckets(limits.rate, limits.burst, clock=clock)
        self.refused = Buckets(
            limits.refused_rate,
            limits.refused_burst,
            hint="使用令牌，或先修正事件 / use a token, or correct the events first",
            clock=clock,
        )
        self.wrong_tokens = Buckets(
            limits.wrong_tokens_rate,
            limits.wrong_tokens_burst,
            hint="核对令牌后再试 / check the token and try again later",
            clock=clock,
        )
        self.slow_files = Buckets(
            1 / 30,
            1,
            hint="此前的文件处理超时，稍后再试 / an earlier file took too long, try again later",
            clock=clock,
        )
        self.uploads = Buckets(
            limits.upload_day / _DAY,
            limits.upload_day,
            hint="今日上传已达上限，稍后再传 / today's upload quota is used up, upload later",
            clock=clock,
        )


class Turns:
    """Work under way and waiting: at most `most_client` of one client, `most` of all."""

    def __init__(self, most_client: int, most: int) -> None:
        self._most_client = most_client
        self._most = most
        self._clients: Counter[str] = Counter()

    @contextmanager
    def turn(self, client: str) -> Iterator[None]:
        """Count one piece of work while the block runs. Raises Problem 429 or 503 where there is too much already."""
        if self._clients[client] >= self._most_client:
            raise Problem(429, hint="等待前一个结果 / wait for the answers before", retry_after=1)
        if self._clients.total() >= self._most:
            raise Problem(503, hint="稍后重试 / try again later", retry_after=2)
        self._clients[client] += 1
        try:
            yield
        finally:
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]


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
        if declared.isascii() and declared.isdigit() and len(declared) < 16 and int(declared) > most:
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
