"""Drainer of the service: one thread decides, issues, publishes, and records the time every minute.

While many events come in it gives way to them: an event that is durable may be decided a little later.

Collection of uploads that no case names: they are deleted after a number of days, on both engines.

An upload may come before the application that names it, so it is kept for a while. What a fact of a case names is kept,
and so is what waits: an entry that is not decided yet, a dead letter that may return. A decision never reads an upload
again, since what became of it stands in the ledger; neither does a replay.
"""

from __future__ import annotations

import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from infra.bootstrap import Installation
from infra.embedded.engine import BATCH, DrainProgress, Engine
from infra.metrics import StageMetrics
from infra.stores import Erasing
from processors.route import ClockJumped
from schemas.case_facts import CaseOpened, MaterialsTaken
from schemas.errors import ZhengzhaoError

if TYPE_CHECKING:
    from infra.kafka.projection import Following

KEPT_DAYS: Final = 30
_NAMED: Final = re.compile(rb"store:(uploads/[0-9a-f]{64})")
_TYPES: Final = (CaseOpened.__struct_config__.tag, MaterialsTaken.__struct_config__.tag)
_WAITING: Final = "SELECT CAST(entry AS BLOB) FROM ledger WHERE seq > ?"
_HOUR: Final = 3_600.0


def collect_uploads(
    installation: Installation, *, days: float = KEPT_DAYS, now: float | None = None
) -> int | None:
    """Delete uploads that nothing names and that are older than `days`; return how many.

    None where events on the broker wait to be decided: nobody knows yet what they name. `now` is Unix seconds
    (default: the clock of this machine). Raises StoreUnavailable.
    """
    store = installation.store
    if not isinstance(store, Erasing):
        return 0
    before = (time.time() if now is None else now) - days * _DAY
    old = [key for key in store.list("uploads/") if store.written_at(key) < before]
    if not old:
        return 0
    if installation.unsettled():
        return None
    named = set(_named(installation))
    return sum(store.erase(key) for key in old if key not in named)


def _named(installation: Installation) -> Iterator[str]:
    for raw in _records(installation):
        for key in _NAMED.findall(raw):
            yield key.decode("ascii")


def _records(installation: Installation) -> Iterator[bytes]:
    """Yield the bytes of everything that may name an upload."""
    with installation.letters() as box:
        for letter in box.letters():
            yield box.content(int(letter["letter"]))
    if not installation.settings.on_kafka:
        with installation.database() as db, db.snapshot():
            rows = db.db.execute(_WAITING, (int(db.meta("position", "0")),))
            yield from (bytes(raw) for (raw,) in rows)
    with installation.register() as register:
        for fact in register.facts([str(tag) for tag in _TYPES]):
            yield msgspec.json.encode(fact)


@contextmanager
def daily_collection(installation: Installation, say: Callable[[str], None]) -> Iterator[None]:
    """Collect uploads once a day while the block runs, in a thread; after a fault, or while events wait, in an hour."""
    ended = threading.Event()

    def run() -> None:
        pause = 0.0
        while not ended.wait(pause):
            try:
                pause = _HOUR if collect_uploads(installation) is None else _DAY
            except (ZhengzhaoError, OSError) as error:  # the uploads lie there until the next time
                say(f"error: {error}")
                pause = _HOUR

    thread = threading.Thread(target=run, name="collection", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


TICK_SECONDS: Final = 60.0
_GIVE_WAY: Final = 3.0  # times the length of a transaction, while a request waits for the ledger
_GIVE_WAY_MOST: Final = 1.0  # seconds
_FEW: Final = 50  # entries in a transaction for which a request may have to wait
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_DAY: Final = 86_400.0


class _Stopped(Exception):
    """The service ends; the next start goes on with what is pending."""


class DecidingProcess(Protocol):
    """The process that decides what was taken in, as health and metrics see it."""

    def metrics(self) -> list[StageMetrics]:
        """Return the figures of what it runs or follows."""
        ...

    @property
    def pending(self) -> int:
        """Return how much waits for it."""
        ...

    @property
    def running(self) -> bool:
        """Tell if its thread runs."""
        ...

    @property
    def alive(self) -> bool:
        """Tell if it runs without a fault."""
        ...

    @property
    def ready(self) -> bool:
        """Tell if what is asked now is answered from all that was there at the start."""
        ...


class ExternalDrainer:
    """Stand-in for workers elsewhere, which decide what this process takes in; `following` is what it sees of them."""

    def __init__(self, following: Following | None = None) -> None:
        self._following = following

    def metrics(self) -> list[StageMetrics]:
        """Return how far what it sees of the workers is behind."""
        return [self._following.metrics()] if self._following else []

    @property
    def pending(self) -> int:
        """Return how many records of the workers are not read yet."""
        return self._following.behind if self._following else 0

    @property
    def running(self) -> bool:
        """Tell if the workers' records are followed."""
        return self._following is None or self._following.alive

    @property
    def alive(self) -> bool:
        """Tell if they are followed without a fault."""
        return self._following is None or (self._following.alive and not self._following.fault)

    @property
    def ready(self) -> bool:
        """Tell if everything that was there at the start has been read."""
        return self._following is None or self._following.caught_up


class Drainer:
    """A thread that drains when woken and at every tick. `last_fault` is empty while it works."""

    def __init__(
        self,
        installation: Installation,
        wake: threading.Event,
        *,
        tick_seconds: float = TICK_SECONDS,
        busy: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
    ) -> None:
        self._installation = installation
        self._wake = wake
        self._tick_seconds = tick_seconds
        self._busy = busy
        self._say = say
        self._stopping = threading.Event()
        self._ready: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="drainer", daemon=True)
        self._began = 0.0  # the transaction under way
        self._clock_stopped = False
        self.last_fault = ""
        self.decided = 0
        self.issued = 0
        self.letters = 0
        self.pending = 0
        self.filings = 0  # filings that webhooks have not taken
        self.ticks = 0

    def start(self) -> None:
        """Take the data folder. Raises KeysMissing without keys, Held where another process decides there."""
        self._thread.start()
        if (fault := self._ready.get()) is not None:
            raise fault

    def close(self) -> None:
        """End after the transaction under way."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def metrics(self) -> list[StageMetrics]:
        """Return the figures of the engine, and of the stages whose inputs it counts."""
        engine = StageMetrics("engine", timed=False)
        engine.dead_letters = self.letters
        engine.lag = lambda: self.pending
        engine.healthy = lambda: self.alive
        deliver = StageMetrics("deliver", timed=False)
        deliver.lag = lambda: self.filings
        stages = [engine, deliver]
        for name, done in (("decide", self.decided), ("issue", self.issued), ("clock", self.ticks)):
            stages.append(StageMetrics(name, timed=False))
            stages[-1].outcomes["done"] = done
            stages[-1].healthy = engine.healthy
        return stages

    @property
    def running(self) -> bool:
        """Tell if the engine runs."""
        return self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Tell if the engine runs and did not fail the last time."""
        return self.running and not self.last_fault

    ready = alive

    def _run(self) -> None:
        try:
            with self._installation.engine("run", wait=0) as engine:
                self._ready.put(None)
                self._serve(engine)
        except BaseException as error:  # raised again in the thread that starts it
            self.last_fault = str(error)
            self._ready.put(error)

    def _serve(self, engine: Engine) -> None:
        next_tick = time.monotonic() + self._tick_seconds
        next_collection = time.monotonic()
        pause = _FIRST_PAUSE
        self._wake.set()  # the last run may have left something
        while not self._stopping.is_set():
            self._wake.wait(max(0.0, next_tick - time.monotonic()))
            self._wake.clear()
            try:
                if time.monotonic() >= next_tick:
                    self._tick()
                    next_tick = time.monotonic() + self._tick_seconds
                self._drain(engine)
                if time.monotonic() >= next_collection:
                    collect_uploads(self._installation)
                    next_collection = time.monotonic() + _DAY
                pause, self.last_fault = _FIRST_PAUSE, ""
            except _Stopped:
                return
            except Exception as error:  # nothing is lost: the ledger has it, and the next round tries again
                self.last_fault = str(error) if isinstance(error, ZhengzhaoError) else type(error).__name__
                self._say(f"error: {self.last_fault}\nhint: trying again in {pause:.0f} s")
                self._stopping.wait(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
                self._wake.set()

    def _give_way(self) -> None:
        """Let waiting requests go first between two transactions; a quarter of the time is left for deciding."""
        now = time.monotonic()
        end = now + min(_GIVE_WAY_MOST, _GIVE_WAY * (now - self._began))
        while self._busy() and time.monotonic() < end and not self._stopping.is_set():
            time.sleep(0.005)
        if self._stopping.is_set():
            raise _Stopped
        self._began = time.monotonic()

    def _tick(self) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        try:
            self._installation.tick(now, now)
        except ClockJumped as error:  # events are decided all the same; the operator has to look at the clock
            if not self._clock_stopped:
                self._say(f"error: {error}\nhint: {error.hint}")
            self._clock_stopped = True
            return
        self._clock_stopped = False
        self.ticks += 1

    def _drain(self, engine: Engine) -> None:
        before = (self.decided, self.issued, self.letters)
        self._began = time.monotonic()

        def report(progress: DrainProgress) -> None:
            self.decided = before[0] + progress.decided
            self.issued = before[1] + progress.issued
            self.letters = before[2] + progress.letters
            self.pending = progress.pending
            self._give_way()

        done = engine.drain(report, lambda: _FEW if self._busy() else BATCH)
        self.filings = done.filings.waiting
        self.pending = 0
