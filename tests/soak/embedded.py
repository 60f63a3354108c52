"""The embedded engine, killed at random moments: `submit` and `drain` die with SIGKILL until the work is done."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from logs import through_kills
from story import COMMAND, ROOT, Events, Office, uscc

BATCH = 40  # applications a round brings


def events(rounds: int) -> list[Events]:
    """The work of each round: new applications, and an extension of one of the round before."""
    told = []
    for r in range(rounds):
        e = Events()
        for n in range(BATCH):
            e.apply(f"2018-03-{1 + r % 28:02d}T10:00:00+08:00", f"N-{r}-{n}", uscc(r * BATCH + n))
        if r:
            e.apply(
                f"2018-03-{1 + r % 28:02d}T11:00:00+08:00", f"X-{r}", uscc((r - 1) * BATCH), action="reissue",
                granted_by=f"N-{r - 1}-0", products=..., materials=[{"kind": "application-form"}],
            )  # fmt: skip
        for event in e.lines:
            event["id"] = f"{event['data']['application_id']}-{r}"
        told.append(e)
    return told


def objects(office: Office) -> dict[str, bytes]:
    """The licences in the store; how often lists were published depends on how often a run was broken."""
    root = office.data / "objects" / "licences"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def pending(office: Office) -> bool:
    """Whether ledger entries wait to be decided, or licences to be issued; True where a kill left no file yet."""
    path = office.data / "zhengzhao.sqlite"
    if not path.exists():
        return True
    with sqlite3.connect(path) as db:
        (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM ledger").fetchone()
        (decided,) = db.execute(
            "SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE name = 'position'"
        ).fetchone()
        (waiting,) = db.execute("SELECT count(*) FROM outbox").fetchone()
    return int(last) > int(decided) or waiting > 0


def start(office: Office, *args: str) -> subprocess.Popen[bytes]:
    """Starts the command in a group of its own, so that its workers die with it."""
    env = {**os.environ, "ZHENGZHAO_DATA": str(office.data), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*COMMAND, *args], cwd=office.folder, env=env, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def run(kills: int, seed: int) -> dict[str, Any]:
    """Kills until `kills` kills have hit a running process; gives figures, and whether all came out the same."""
    rng = random.Random(seed)
    began = time.monotonic()
    rounds = max(2, kills // 4)
    told = events(rounds)
    with tempfile.TemporaryDirectory() as folder:
        keyed = Office(Path(folder) / "keyed")
        keyed.folder.mkdir()
        keyed.init()
        broken, unbroken = (Office(Path(folder) / name) for name in ("broken", "unbroken"))
        for office in (broken, unbroken):
            office.folder.mkdir()
            shutil.copytree(keyed.data, office.data)
        hit = in_flight = finished = 0
        for n, work in enumerate(told):
            path = broken.folder / f"{n}.jsonl"
            path.write_text(work.text(), "utf-8")
            for args in (["submit", str(path)], ["drain"], ["drain"], ["drain"]):
                process = start(broken, *args)
                try:
                    process.wait(rng.uniform(0.4, 1.8))
                    finished += 1
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    hit += 1
                    in_flight += pending(broken) or args[0] == "submit"
                if (
                    args[0] == "submit"
                ):  # serials follow the order of arrival: the round is in before the next comes
                    broken.run("submit", path)
        broken.run("drain")
        for work in told:
            unbroken.submit(work)
            unbroken.run("drain")
        same = objects(broken) == objects(unbroken)
        broken.run("replay", "--into", Path(folder) / "again", "--decide")
        numbers = [row["number"] for row in broken.rows("licence", "list")]
        serials = sorted(int(number[-5:]) for number in numbers)
        return {
            "kills": hit,
            "with work in flight": in_flight,
            "commands that ended by themselves": finished,
            "applications": sum(len(w.lines) for w in told),
            "objects": len(objects(broken)),
            "same objects, byte for byte": same,
            "numbers without a gap": serials == list(range(1, len(numbers) + 1)),
            "seconds": round(time.monotonic() - began),
            "seed": seed,
        }


def log_kills(kills: int, seed: int) -> dict[str, Any]:
    """Kill drains at random moments; after each the log has to go on, at last log, facts and objects agree."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zhengzhao-soak-") as folder:
        figures = through_kills(Office(Path(folder)), kills, random.Random(seed))
    return {
        **figures,
        "log, facts and objects agree": True,
        "seconds": round(time.monotonic() - began),
        "seed": seed,
    }
