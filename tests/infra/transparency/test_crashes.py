"""kill -9 while a log is written: the head that is published is always supported, and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from log_writer import open_folder, write
from logs import licences, through_kills
from story import Office

from infra.failpoints import OF_LOG
from infra.stores.folder import FolderStore
from infra.transparency.tiles import StoredLog
from schemas.transparency.notes import read_checkpoint, read_note
from verification.log_audit import audit

ROOT = Path(__file__).parents[3]
COUNT, STEP = 700, 90


def writer(
    folder: Path, count: int = COUNT, step: int = STEP, failpoint: str = ""
) -> subprocess.Popen[bytes]:
    """Start a writer."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    environment = {**os.environ, "PYTHONPATH": paths, "ZHENGZHAO_FAILPOINT": failpoint}
    command = [sys.executable, "-m", "log_writer", str(folder), str(count), str(step)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def head_of(folder: Path) -> bytes | None:
    """Return the published head, as a reader finds it, once all its tiles are seen to support it."""
    stored = StoredLog(FolderStore(folder / "objects"))
    return stored.head()


def objects(folder: Path) -> dict[str, bytes]:
    """Return what readers of the last head find: everything but partial tiles of earlier heads."""
    root = folder / "objects"
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    return {key: data for key, data in files.items() if ".p/" not in key and ".writing" not in key}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a log that nobody interrupts."""
    folder = tmp_path_factory.mktemp("unbroken")
    write(folder, COUNT, STEP)
    return objects(folder)


@pytest.mark.parametrize("place", [*OF_LOG, *(f"{name}:4" for name in OF_LOG), "log-between-tiles:17"])
def test_killed_and_gone_on(place: str, unbroken: dict[str, bytes], tmp_path: Path) -> None:
    """Killed at a named place, then run again: no head without its tiles, and the same log at the end."""
    killed = writer(tmp_path, failpoint=place)
    assert -signal.SIGKILL == killed.wait(60)
    before = head_of(tmp_path)
    if before is not None:
        log = open_folder(tmp_path)  # whoever goes on compares head, tiles and order
        assert audit(log.stored, log.policy).ok
    again = writer(tmp_path)
    assert (0, b"") == (again.wait(60), again.stderr.read() if again.stderr else b"")
    assert unbroken == objects(tmp_path)
    log = open_folder(tmp_path)
    assert audit(log.stored, log.policy, since=before).ok


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Twenty kills at any moment: every head continues the one before, none lacks a tile, nothing stands twice."""
    dice = random.Random(25)
    seen: bytes | None = None
    count, kills = 40_000, 0
    while kills < 20:
        process = writer(tmp_path, count, 97)
        time.sleep(0.5 + dice.random() * 1.5)
        process.kill()
        kills += process.wait(30) == -signal.SIGKILL
        if head_of(tmp_path) is None:
            continue
        log = open_folder(tmp_path)
        report = audit(log.stored, log.policy, since=seen)
        assert [] == [check for check in report.checks if not check.ok]
        seen = report.checkpoint
    assert seen is not None
    log = open_folder(tmp_path)
    size = read_checkpoint(read_note(log.add(licences(1)))).size
    assert [e.to_bytes() for e in licences(size)] == list(log.order.read(0, size))


def test_log_facts_and_objects_agree_after_kills(tmp_path: Path) -> None:
    """Three drains die at random moments: each head continues the one before, and at last replay finds no difference.

    `python -m tests.soak --log-kills 100` is the long form.
    """
    assert 3 == through_kills(Office(tmp_path), 3, random.Random(3))["kills"]
