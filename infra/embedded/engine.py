"""The embedded engine: one process decides, a pool of processes issues, SQLite keeps ledger, facts and state.

`drain` is the loop. In one transaction it writes what workers have answered, decides the next entries of the ledger in
their order, and moves its position; only then are new jobs sent out. A process that is killed anywhere continues where
the last transaction ended: what a worker had stored and nobody recorded is issued again, to the same bytes.

One process decides at a time in a data folder; readers and `submit` never wait for it. The lock is the operating
system's, so that it ends with its process, however that ends. The lock file names the holder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from infra import issue_worker
from infra.delivery.outbox import DeliveryReport, deliver
from infra.embedded.inbox import EmbeddedInbox
from infra.embedded.writer import BATCH_STAGES, Batch, publish
from infra.failpoints import failpoint
from infra.parts import Parts
from infra.pool import Failure, Pool, Result
from infra.readmodel.database import Database, RecordedItems
from infra.readmodel.projector import renew
from infra.stores.folder import FolderStore
from infra.transparency.installation import InstallationLog, log_of
from infra.transparency.timestamps import stamp_licences
from issuance.signer import keystore_path
from processors.topology import TOPOLOGY
from schemas.errors import FolderHeld, KeysMissing, TransientError, ZhengzhaoError

WAIT_SECONDS = 600.0
_STEP = 0.2


@contextmanager
def decider(
    data: Path,
    purpose: str,
    *,
    wait: float = WAIT_SECONDS,
    say: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the folder for deciding; wait up to `wait` seconds for another holder. Raises FolderHeld.

    A holder whose purpose is `run` does not end by itself, so nobody waits for that one.
    """
    data.mkdir(parents=True, exist_ok=True)
    handle = os.open(data / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(handle, wait, say, sleep)
        os.truncate(handle, 0)
        os.pwrite(handle, f"{purpose} (process {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, wait: float, say: Callable[[str], None], sleep: Callable[[float], None]) -> None:
    waited = 0.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace") or "another process"
        if holder.startswith("run ") or waited >= wait:
            raise FolderHeld(
                f"数据目录正被另一进程使用 / the data folder is in use: {holder}",
                hint="`zhengzhao run` 会自行处理；否则等待或结束它 / `zhengzhao run` processes by itself; otherwise wait for it, or end it",
            )
        if waited == 0:
            say(f"正在等待另一进程 / waiting for {holder}")
        sleep(_STEP)
        waited += _STEP


BATCH = 200  # ledger entries in one transaction
_GATHER = 0.1  # seconds in which answers of workers are gathered for one transaction
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
_LOG_SECONDS = 4.0  # an issued licence is in the log within ten


class DrainProgress:
    """Counts of what a drain has done so far; `pending` entries and jobs are left."""

    def __init__(self) -> None:
        self.decided = 0
        self.issued = 0
        self.letters = 0
        self.editions: list[str] = []
        self.filings = DeliveryReport()
        self.pending = 0


class Engine:
    """The deciding side of a data folder. Hold the folder (`holding`) before `drain`.

    `runs` names what runs each stage of the topology: `route` and `clock` run where an event or tick comes in
    (`infra.embedded.inbox`), the others in `drain`.
    """

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        if not settings.trust.is_dir() or not keystore_path(settings.data).exists():
            raise KeysMissing(
                "缺少签发密钥 / there are no keys", where=str(settings.data), hint="zhengzhao keys init"
            )
        self.settings = settings
        self.store, self.trust, self.signer = parts.store, parts.trust, parts.signer
        self.db = Database(settings.database, create=True)
        self.log: InstallationLog | None = log_of(settings, self.trust, self.store, self.signer)
        self._logged = 0.0  # when the log was published last, on the monotonic clock
        self._pool: Pool | None = None  # kept from drain to drain: a service need not start workers anew

    def close(self) -> None:
        """End the workers and close the data file."""
        self._end_pool()
        if self.log is not None:
            self.log.close()
        self.db.close()

    def _end_pool(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def drain(
        self,
        report: Callable[[DrainProgress], None] = lambda _: None,
        most: Callable[[], int] = lambda: BATCH,
    ) -> DrainProgress:
        """Process until nothing is pending, then publish the status lists that changed and deliver filings.

        At most `most()` entries are decided in one transaction, since nobody else writes while it lasts.

        Raises TransientError where store or disk fail for longer than the patience; nothing is lost then.
        """
        progress = DrainProgress()
        renew(self.db)
        self.signer()  # a wrong passphrase is reported before anything is decided
        if isinstance(self.store, FolderStore):
            self.store.sweep()
        if self._pool is None:
            self._pool = Pool(issue_worker.recipe(self.settings), self.settings.workers)
        try:
            self._run(_Issuing(self.db, self._pool, self.settings.patience), progress, report, most)
        except BaseException:
            self._end_pool()  # nobody would read its answers
            raise
        for stage in TOPOLOGY:
            if stage.settled:
                self.runs[stage.name](progress)
        return progress

    def publish_log(self) -> None:
        """Bring everything on record into the transparency log, where the installation has one.

        Raises VerificationError where the log was cut or changed, StoreUnavailable where the store fails.
        """
        if self.log is not None:
            self.log.take(self.db)
            self.log.publish()

    def _log_in_between(self) -> None:
        """Publish the log every few seconds of a long drain; what fails here is told at the end of the drain."""
        if self.log is None or time.monotonic() < self._logged + _LOG_SECONDS:
            return
        began = time.monotonic()
        with suppress(ZhengzhaoError):
            self.publish_log()
        took = time.monotonic() - began  # witnesses may be slow: most of the time is left for deciding
        self._logged = time.monotonic() + 3 * took

    @property
    def runs(self) -> Mapping[str, Callable[..., object]]:
        """Return what runs each stage, by the stage's name."""
        return {
            "route": EmbeddedInbox.take,
            "clock": EmbeddedInbox.append,
            **BATCH_STAGES,
            "publish": self._deliver,  # without a broker, filings alone leave the machine
            "status": self._publish,
            "deliver": self._deliver,
            "log": self._log,
        }

    def _log(self, progress: DrainProgress) -> None:
        self.publish_log()
        if self.settings.timestamp:
            with suppress(ZhengzhaoError):  # asked again at the next drain; `doctor` says what is missing
                stamp_licences(self.settings.timestamp, self.db, self.store, self.trust)

    def _publish(self, progress: DrainProgress) -> None:
        progress.editions = publish(self.db, self.store, self.trust, self.signer, self.clock())

    def _deliver(self, progress: DrainProgress) -> None:
        progress.filings = deliver(self.settings.data, self.db, self.trust, self.signer)

    def clock(self) -> int:
        """Return the latest moment that a decided entry vouches for (Unix seconds); 0 before the first."""
        return int(self.db.meta("clock", "0"))

    def _run(
        self,
        jobs: _Issuing,
        progress: DrainProgress,
        report: Callable[[DrainProgress], None],
        most: Callable[[], int],
    ) -> None:
        position = int(self.db.meta("position", "0"))
        items = RecordedItems(self.db)
        while True:
            rows = self.db.entries(position, most())
            results = jobs.results(wait=not rows)
            if not rows and not results and not jobs.busy:
                return
            if rows or results:
                with self.db.transaction():
                    batch = Batch(self.db, items)
                    jobs.record(batch, results)
                    position = batch.decide(rows, position)
                    batch.write(position)
                    failpoint("issued-before-commit" if results else "drain-before-commit")
                failpoint("drain-after-commit")
                self._log_in_between()
                progress.decided += batch.decided
                progress.letters += len(batch.letters)
                progress.issued += sum(r.failure is None for r in results)
            jobs.send()
            progress.pending = self.db.pending() + jobs.waiting()
            report(progress)


class _Issuing:
    """The jobs of the outbox: sent to the pool, and again after a transient failure."""

    def __init__(self, db: Database, pool: Pool, patience: float) -> None:
        self._db = db
        self._pool = pool
        self._patience = patience
        self._sent = 0  # the last outbox row that was sent
        self._again: list[tuple[int, bytes]] = []
        self._jobs: dict[int, bytes] = {}
        self._pause = _FIRST_PAUSE
        self._failing_since: float | None = None
        self._hold_until = 0.0
        self._last: Failure | None = None

    @property
    def busy(self) -> bool:
        """Tell whether jobs are under way or held back."""
        return bool(self._jobs)

    def waiting(self) -> int:
        """Return how many jobs have no result yet."""
        row = self._db.db.execute("SELECT coalesce(max(seq), 0) FROM outbox").fetchone()
        return max(0, int(row[0]) - self._sent) + len(self._jobs)

    def send(self) -> None:
        """Send as many jobs as the pool has room for, unless a transient failure imposes a pause."""
        if time.monotonic() < self._hold_until:
            return
        self._pool.submit(self._again)
        self._again = []
        self._top_up()

    def _top_up(self) -> None:
        if time.monotonic() < self._hold_until:
            return
        if room := self._pool.room:
            sql = "SELECT seq, job FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?"
            rows = [(int(seq), bytes(job)) for seq, job in self._db.db.execute(sql, (self._sent, room))]
            if rows:
                self._sent = rows[-1][0]
                self._jobs.update(rows)
                self._pool.submit(rows)

    def results(self, *, wait: bool) -> list[Result]:
        """Return what workers answered; transient failures stay here and are tried again."""
        self.send()
        if wait and self._jobs and not len(self._pool):
            time.sleep(max(0.0, min(1.0, self._hold_until - time.monotonic())))
        found: list[Result] = []
        deadline = time.monotonic() + (_GATHER if wait else 0.0)
        while True:
            left = deadline - time.monotonic()
            for result in self._pool.results(max(0.0, left)):
                if result.failure is not None and result.failure.surroundings:
                    self._hold(result)
                else:
                    self._failing_since, self._pause = None, _FIRST_PAUSE
                    found.append(result)
            if left <= 0 or not len(self._pool):
                return found
            self._top_up()

    def record(self, batch: Batch, results: list[Result]) -> None:
        """Enter answers into a batch: licences that are stored, and jobs that failed permanently."""
        for result in results:
            content = self._jobs.pop(result.job)
            if result.failure is None:
                batch.issued(result.job, issue_worker.decode_issued(result.output), content)
            else:
                batch.park(result.job, content, result.failure)

    def _hold(self, result: Result) -> None:
        assert result.failure is not None
        now = time.monotonic()
        self._again.append((result.job, self._jobs[result.job]))
        self._failing_since = self._failing_since or now
        if now - self._failing_since > self._patience:
            error = result.failure.error()
            raise (
                error if isinstance(error, TransientError) else TransientError(str(error), hint=error.hint)
            )
        if now >= self._hold_until:
            self._hold_until = now + self._pause
            self._pause = min(_LONGEST_PAUSE, self._pause * 2)


@contextmanager
def holding(
    parts: Parts,
    purpose: str,
    *,
    wait: float = WAIT_SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Engine]:
    """Open the engine of a data folder and hold the folder."""
    engine = Engine(parts)
    try:
        with decider(parts.settings.data, purpose, wait=wait, say=say):
            yield engine
    finally:
        engine.close()
