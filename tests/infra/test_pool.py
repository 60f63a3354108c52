"""The pool of workers: results, failures, and workers that die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from infra.pool import Failure, Pool, Recipe, Result
from schemas.errors import KeysMissing, LintError, StoreUnavailable

HERE = "tests_infra_pool_tasks"


@pytest.fixture(autouse=True)
def _tasks(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers import their task by name: a module on the path of this test."""
    (tmp_path / f"{HERE}.py").write_text(  # type: ignore[operator]
        "import os, signal, time\n"
        "from schemas.errors import KeysMissing, LintError, StoreUnavailable\n"
        "def upper(): return bytes.upper\n"
        "def keyless(): raise KeysMissing('no key', hint='keys init')\n"
        "def moody():\n"
        "    def task(data):\n"
        "        if data == b'lint': raise LintError('bad', hint='h', where='w')\n"
        "        if data == b'store': raise StoreUnavailable('away')\n"
        "        if data == b'bug': raise KeyError('k')\n"
        "        if data == b'die': os.kill(os.getpid(), signal.SIGKILL)\n"
        "        if data == b'slow': time.sleep(0.3)\n"
        "        return data + str(os.getpid()).encode()\n"
        "    return task\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.getcwd()}")


def run(
    builder: str, *jobs: bytes, workers: int = 2, between: Callable[[Pool], None] = lambda _: None
) -> dict[int, Result]:
    with Pool(Recipe(f"{HERE}:{builder}"), workers) as pool:
        found = {}
        for result in pool.map(enumerate(jobs)):
            between(pool)
            assert result.job not in found
            found[result.job] = result
        return found


def test_every_job_has_its_result() -> None:
    """Many jobs, each answered once, by several processes."""
    found = run("upper", *[b"job %d" % n for n in range(100)])
    assert {n: b"JOB %d" % n for n in range(100)} == {n: r.output for n, r in found.items()}


def test_failures_keep_their_class_and_do_not_stop_others() -> None:
    """What fails by itself, what the surroundings do, and a fault of ours are told apart."""
    found = run("moody", b"a", b"lint", b"store", b"bug", b"b")
    kinds = [r.failure and (r.failure.kind, r.failure.surroundings) for _, r in sorted(found.items())]
    assert kinds == [None, ("LintError", False), ("StoreUnavailable", True), ("KeyError", False), None]
    failures = [found[n].failure for n in (1, 2)]
    assert [type(f.error()) for f in failures if f] == [LintError, StoreUnavailable]
    assert failures[0] == Failure("LintError", "bad", "h", "w", False)


def test_a_job_that_kills_workers_is_reported_and_its_neighbours_are_done() -> None:
    """Three workers may die of it; everything else comes to its end."""
    found = run("moody", b"a", b"die", b"b", b"c", b"d", b"e")
    assert [n for n, r in found.items() if r.failure] == [1]
    assert found[1].failure
    assert found[1].failure.kind == "WorkerDied"
    assert len(found) == 6


def test_workers_killed_from_outside_lose_nothing() -> None:
    """A worker that the system kills is replaced; its jobs are done by another."""
    killed = []

    def kill(pool: Pool) -> None:
        if len(killed) < 2 and pool.pids:
            killed.append(pool.pids[0])
            os.kill(pool.pids[0], signal.SIGKILL)
            time.sleep(0.05)

    found = run("moody", *[b"x"] * 40, between=kill)
    assert len(killed) == 2
    assert [r for r in found.values() if r.failure] == []
    assert len(found) == 40


def test_a_task_that_cannot_be_built_stops_the_pool() -> None:
    """Missing keys are told once, with their hint."""
    with pytest.raises(KeysMissing) as caught:
        run("keyless", b"a")
    assert caught.value.hint == "keys init"


def test_the_interrupt_key_does_not_reach_workers() -> None:
    """Only the main process decides what to do about it."""
    with Pool(Recipe(f"{HERE}:moody"), 1) as pool:
        pool.submit([(1, b"slow")])
        time.sleep(1.0)
        for pid in pool.pids:
            os.kill(pid, signal.SIGINT)
        results = pool.results()
    assert [r.failure for r in results] == [None]
