"""The loop of stages that look by themselves: only the owner of the partition looks, and failures are waited out."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
from stage_app import FakeStageApp

from infra.kafka.stage import PollingLoop
from processors import topology
from schemas.errors import StoreUnavailable


class Notebook:
    """A poller that notes in which thread it was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.error: Exception | None = None

    def note(self, call: str) -> None:
        self.calls.append(call)
        self.threads.add(threading.get_ident())

    def poll(self) -> None:
        self.note("poll")
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.note("close")


class Noting(PollingLoop):
    """A stage that only polls."""

    stage = topology.stage("status")
    interval = 1.0
    pause = 3600.0
    waiting = "it waits"

    def __init__(self, notebook: Notebook, *, owner: bool = True) -> None:
        super().__init__(FakeStageApp(), notebook)  # type: ignore[arg-type]
        self.notebook = notebook
        self.loop = SimpleNamespace(consumer=SimpleNamespace(owns=lambda _: owner))  # type: ignore[assignment]

    async def look(self) -> None:
        await self.in_thread(self.notebook.poll)


async def _times(stage: Noting, times: int) -> None:
    for _ in range(times):
        await stage._maybe()
    await stage.close()


def test_the_owner_looks_and_another_worker_closes_what_it_had() -> None:
    """Every call comes from one thread, which is not that of the loop."""
    mine, theirs = Notebook(), Notebook()
    asyncio.run(_times(Noting(mine), 2))
    asyncio.run(_times(Noting(theirs, owner=False), 1))
    assert mine.calls == ["poll", "poll", "close"]
    assert theirs.calls == ["close", "close"]
    assert len(mine.threads) == 1
    assert threading.get_ident() not in mine.threads


def test_a_transient_failure_is_waited_out_and_begun_anew() -> None:
    """Everything is closed, and nothing is looked at until the pause is over."""
    notebook = Notebook()
    notebook.error = StoreUnavailable("the store is away")
    stage = Noting(notebook)
    asyncio.run(_times(stage, 3))
    assert notebook.calls == ["poll", "close", "close"]
    assert stage.metrics.retries == 1


def test_another_error_ends_the_stage() -> None:
    """What no waiting mends is never swallowed, and the next look is not held up by it."""
    notebook = Notebook()
    notebook.error = ValueError("a fault of ours")
    stage = Noting(notebook)
    with pytest.raises(ValueError, match="a fault of ours"):
        asyncio.run(_times(stage, 1))
    assert stage._busy is False
