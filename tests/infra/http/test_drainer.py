"""The engine of the service while others hand in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from story import Events, uscc

from infra.bootstrap import Installation
from infra.cli import main
from infra.http.drainer import Drainer
from infra.settings import Settings
from producers.files import Summary, submit_file


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A folder with keys, and five applications in its ledger."""
    data = tmp_path / "data"
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    told = Events()
    for n in range(5):
        told.apply(f"2018-09-10T09:0{n}:00+08:00", f"O-{n}", uscc(n))
    (tmp_path / "events.jsonl").write_text(told.text(), "utf-8")
    settings, summary = Settings(data, workers=1), Summary()
    with Installation(settings) as here, here.inbox() as inbox:
        submit_file(str(tmp_path / "events.jsonl"), inbox, summary)
    assert summary.accepted == 5
    return settings


def until(true: Callable[[], bool], seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def test_it_goes_on_while_somebody_always_waits(settings: Settings) -> None:
    """It gives way, and is never starved."""
    drainer = Drainer(Installation(settings), threading.Event(), tick_seconds=3600, busy=lambda: True)
    drainer.start()
    try:
        assert until(lambda: drainer.issued == 5)
        assert (drainer.alive, drainer.letters) == (True, 0)
    finally:
        drainer.close()


class Failing(Drainer):
    """A drainer with two transient failures."""

    faults = 2

    def _drain(self, engine: object) -> None:
        if self.faults:
            self.faults -= 1
            raise OSError("no room")
        super()._drain(engine)  # type: ignore[arg-type]


def test_a_fault_is_told_and_tried_again(settings: Settings) -> None:
    """Health says so meanwhile; nothing is lost, and afterwards all is well."""
    said: list[str] = []
    drainer = Failing(Installation(settings), threading.Event(), tick_seconds=3600, say=said.append)
    drainer.start()
    try:
        assert until(lambda: not drainer.alive)
        assert until(lambda: drainer.issued == 5)
        assert until(lambda: drainer.alive)
        assert ["OSError" in text for text in said] == [True, True]
    finally:
        drainer.close()
