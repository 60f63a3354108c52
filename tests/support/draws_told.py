"""Two draws for tests of pages, told by the command: one with a published result, one that was voided."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from story import PROVINCE

from schemas.calendar import CHINA
from schemas.draw.documents import read_announcement

Run = Callable[..., str]
RESULT = "未发现问题"
REASON = "名录有误<b>"
_PLAN = f"""
plan = "{{plan}}"
item = "publicity-check"
title = "化肥抽查{{plan}}"
authority = "{PROVINCE}"
period = ["{{begins}}", "{{ends}}"]
inspectors_per_target = 2
qualification = "market"
weights = {{{{ A = 1, B = 2, C = 4, D = 8 }}}}
[[strata]]
name = "products"
where = {{{{ item = "industrial-product-licence" }}}}
count = 2
[seed]
parties = ["regulator", "discipline"]
"""


class ToldDraws(NamedTuple):
    """Digests of the announcements, and the target whose result was published, with its name."""

    drawn: str
    voided: str
    target: str
    name: str


def two_draws(folder: Path, run: Run) -> ToldDraws:
    """Draw today among the licences on record, publish a result, and void a second announcement.

    `run` runs the command over the installation and returns what it prints.
    """
    folder.mkdir()
    inspectors = ("I1,甲,market-regulation,630000,market", "I2,乙,market-regulation,630000,market")
    registers = {name: folder / f"{name}.csv" for name in ("register", "inspectors", "conflicts")}
    run("register", "snapshot", "-o", registers["register"])
    with registers["register"].open(encoding="utf-8", newline="") as file:
        names = {row["id"]: row["name"] for row in csv.DictReader(file)}
    registers["inspectors"].write_text(
        "\n".join(["id,name,department,division,qualifications", *inspectors, ""]), "utf-8"
    )
    registers["conflicts"].write_text("inspector_id,target_id,reason\n", "utf-8")
    known = [word for name, path in registers.items() for word in (f"--{name}", path)]
    announced = _announced(folder, run, "Q1", known)
    reveals: list[str | Path] = []
    for party in ("regulator", "discipline"):
        said = run("draw", "reveal", folder / f"Q1{party}.secret", "--announcement", announced)
        (folder / f"Q1{party}.reveal").write_text(said, "utf-8")
        reveals += ["--reveal", folder / f"Q1{party}.reveal"]
    transcript = folder / "T.json"
    run("draw", "run", announced, *known, *reveals, "-o", transcript)
    target = json.loads(transcript.read_bytes())["assignments"][0]["target"]
    said = ("--result", RESULT, "--passed", "--at", datetime.now(CHINA).isoformat(timespec="seconds"))
    run("inspect", "record", transcript, "--target", target, *said)
    run("drain")
    run("inspect", "publish", transcript, "-o", folder / "out")
    run("drain")
    second = _announced(folder, run, "Q2", known)
    run("draw", "void", second, "--reason", REASON, "-o", folder / "V.json")
    return ToldDraws(_digest(announced), _digest(second), target, names[target])


def _announced(folder: Path, run: Run, plan: str, known: list[str | Path]) -> Path:
    path = folder / f"{plan}.toml"
    today = datetime.now(CHINA).date()
    ends = today + timedelta(days=60)
    path.write_text(_PLAN.format(plan=plan, begins=today.isoformat(), ends=ends.isoformat()), "utf-8")
    promised: list[str | Path] = []
    for party in ("regulator", "discipline"):
        said = run("draw", "commit", "--party", party, "-o", folder / f"{plan}{party}.secret")
        (folder / f"{plan}{party}.commitment").write_text(said, "utf-8")
        promised += ["--commitment", folder / f"{plan}{party}.commitment"]
    run("draw", "announce", path, *known, *promised, "-o", folder / f"{plan}.json")
    return folder / f"{plan}.json"


def _digest(announcement: Path) -> str:
    return read_announcement(announcement.read_bytes()).digest
