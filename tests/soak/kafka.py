"""The Kafka engine with kills at random: broker, store and workers die as in a power cut, a worker sleeps now and then.

At the end decisions are those of an unbroken embedded run, and replay finds every object byte for byte.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from cluster import Cluster
from laws import Kills, agree, folder_of, in_portions, unbroken
from scenario import phases

KILLS = int(os.environ.get("SOAK_KILLS", "60"))
HOLDERS = int(os.environ.get("SOAK_HOLDERS", str(26 * KILLS)))
WORKERS = ("a", "b", "c")


def run(seed: int) -> dict[str, Any]:
    """Runs until all kills are done; the figures. A law that does not hold raises."""
    dice = random.Random(seed)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zhengzhao-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        scenario = phases(HOLDERS)
        office = folder_of(folder / "unbroken")
        told = unbroken(office, scenario)
        cluster = Cluster(folder, keys_of=office.data)
        try:
            kills = _run(cluster, scenario, dice)
            agree(cluster, told)
            report = json.loads(cluster.run("replay", "--into", folder / "again", "--json"))
        finally:
            cluster.close()
    return {
        "seed": seed,
        "events": sum(map(len, scenario)),
        "holders": HOLDERS,
        "workers": len(WORKERS),
        **{f"kills of {kind}": count for kind, count in kills.kinds.items()},
        "kills with work in flight": f"{kills.busy} of {kills.count}",
        "inputs in flight at a kill, on average": round(sum(kills.in_flight) / kills.count),
        "80 % of the kills with work in flight": kills.busy >= 0.8 * kills.count,
        "facts": report["facts"],
        "objects the same byte for byte": report["objects"],
        "editions of status lists": report["editions"],
        "minutes": round((time.monotonic() - started) / 60, 1),
        "decisions as in the unbroken run, numbers without gaps, no dead letter": True,
        "replay without a difference": report["findings"] == [],
    }


def _run(cluster: Cluster, scenario: list[list[dict[str, object]]], dice: random.Random) -> Kills:
    for name in WORKERS:
        cluster.start(name)
    for name in WORKERS:
        cluster.workers[name].wait_ready()
    kills = Kills(cluster)
    wanted = ["kafka", "store"] * max(1, KILLS // 5) + ["worker"] * KILLS
    order = wanted[:KILLS]
    dice.shuffle(order)
    share = KILLS * 2 // 3
    for phase, count in zip(scenario, (share, 0, KILLS - share, 0), strict=True):
        if not count:
            cluster.submit(phase)
        for events in in_portions(phase, count) if count else ():
            cluster.submit(events)
            _one(cluster, kills, order.pop(), dice)
            print(kills.report(), flush=True)
        cluster.idle(400)
    return kills


def _one(cluster: Cluster, kills: Kills, kind: str, dice: random.Random) -> None:
    if dice.random() < 0.1:
        sleeper = cluster.workers[dice.choice(WORKERS)]
        sleeper.send(signal.SIGSTOP)
        time.sleep(30)
        sleeper.send(signal.SIGCONT)
    if kind == "worker":
        kills.worker(dice.choice(WORKERS))
    else:
        kills.server(kind)
    for name in WORKERS:  # whoever watches over workers starts those anew that ended
        if cluster.workers[name].process.poll() is not None:
            cluster.start(name)
    time.sleep(dice.uniform(0, 3))
