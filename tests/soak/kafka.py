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
from laws import Kills, agree, folder_of, in_portions, through_rebalances, unbroken
from logs import MORE_CATEGORIES, as_on_one_machine, log_of, logged, versions_of
from scenario import phases
from story import Events

from infra.bootstrap import Installation
from infra.settings import load
from infra.stores.s3 import S3Store
from infra.transparency.tiles import StoredLog
from schemas.transparency.entries import LicenceEntry

KILLS = int(os.environ.get("SOAK_KILLS", "60"))
HOLDERS = int(os.environ.get("SOAK_HOLDERS", str(26 * KILLS)))
WORKERS = ("a", "b", "c")
_VERSIONS = 600  # of one licence at most


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


def rebalances(count: int) -> dict[str, Any]:
    """So many rebalances under load: half of them workers that join, half workers that leave."""
    started, guests = time.monotonic(), count // 2
    with tempfile.TemporaryDirectory(prefix="zhengzhao-soak-", ignore_cleanup_errors=True) as name:
        cluster = Cluster(Path(name))
        try:
            through_rebalances(cluster, 1, guests)
            warned = {
                worker.name: sum(" WARNING " in line for line in worker.log.read_text().splitlines())
                for worker in cluster.workers.values()
            }
        finally:
            cluster.close()
    return {
        "workers that joined and left": guests,
        "rebalances": 2 * guests,
        "of the leaving, killed": guests // 2,
        "licences issued meanwhile": 12 * guests,
        "warnings in all logs": sum(warned.values()),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "no traceback, the steady worker lives, everything issued": True,
    }


def rounds_of(count: int) -> list[Events]:
    """Return events that lead to about so many versions, one round after another.

    A round has one licence of each series, so that numbers do not depend on which holder comes first; no licence gets
    more versions than its identifier can number.
    """
    each = max(1, count // len(MORE_CATEGORIES))
    parts = -(-each // _VERSIONS)
    rounds = [versions_of(MORE_CATEGORIES, each // parts, 1 + n * len(MORE_CATEGORIES)) for n in range(parts)]
    for n, told in enumerate(rounds):
        for event in told.lines:
            event["id"] = f"round-{n}-{event['id']}"
    return rounds


def both_engines(count: int) -> dict[str, Any]:
    """Issue so many licence versions on one machine and on Kafka, and compare what the two logs say."""
    started = time.monotonic()
    rounds = rounds_of(count)
    total = sum(len(told.lines) for told in rounds)
    with tempfile.TemporaryDirectory(prefix="zhengzhao-soak-", ignore_cleanup_errors=True) as name:
        office = folder_of(Path(name) / "embedded")
        office.init()
        for told in rounds:
            office.submit(told)
        with Installation(load(office.data, {})) as here, here.engine("soak") as engine:
            engine.drain()
        middle = time.monotonic()
        print(f"one machine: {len(logged(log_of(office)))} entries, {middle - started:.0f} s", flush=True)
        cluster = Cluster(Path(name), keys_of=office.data)
        try:
            cluster.env["ZHENGZHAO_WORKERS"] = "2"
            cluster.start("a", "route,decide,number,issue").wait_ready()
            for told in rounds:
                cluster.submit(told.lines)
                cluster.idle(7200)
            print(f"kafka: issued after {time.monotonic() - middle:.0f} s", flush=True)
            cluster.start("b", "status,log").wait_ready()
            entries = as_on_one_machine(StoredLog(S3Store(cluster.stack.store)), office, 1200).values()
        finally:
            cluster.close()
    licences = sum(isinstance(entry, LicenceEntry) for entry in entries)
    return {
        "licence versions": total,
        "entries of each log": len(entries),
        "minutes on one machine": round((middle - started) / 60, 1),
        "minutes on Kafka": round((time.monotonic() - middle) / 60, 1),
        "the same entries, every licence among them": licences == total,
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
