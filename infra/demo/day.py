"""First chapter: a day of applications, what became of them, and three licences put to the test."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from infra.demo.stage import Stage, Told, told, verdict_of
from infra.intake import Summary
from infra.samples import day

AT = f"{day.DAY}T18:00:00+08:00"
_SHOWN = ("complete", "several", "rare")  # scenes of which a licence is laid out to be opened


class Outcome(msgspec.Struct, frozen=True):
    """A row of the table: a scene of the day, how many there were, and what became of them."""

    scene: str
    said: str
    count: int
    states: dict[str, int]
    expected: str


class Day(msgspec.Struct, frozen=True):
    """What the first chapter has to tell."""

    events: str
    submitted: Summary
    decided: int
    issued: int
    editions: list[str]
    outcomes: list[Outcome]
    licences: list[dict[str, str]]
    verified: dict[str, Any]
    today: dict[str, Any]
    tampered: dict[str, Any]
    told: list[Told]


def play_day(stage: Stage) -> Day:
    """Plays 12 September 2018."""
    summary, progress = stage.play("day", day.lines())
    outcomes, licences = _outcomes(stage)
    pdf = Path(licences[0]["pdf"])
    verified, today = stage.verify(pdf, AT), stage.verify(pdf)
    tampered = stage.verify(_tampered(pdf), AT)
    steps = [
        told(o.said, f"{o.expected} {o.count}", ", ".join(f"{s} {n}" for s, n in sorted(o.states.items())))
        for o in outcomes
    ]
    taken = f"{day.RESENT} duplicates, {len(day.BROKEN)} rejected"
    steps += [
        told("重发与损坏 / sent twice, broken", taken, f"{summary.duplicates} duplicates, {len(summary.rejected)} rejected"),
        told("当日核验 / verified that day", "valid", verdict_of(verified)),
        told("今日核验：有效期已过 / verified today: its time is over", "invalid (expired)", verdict_of(today)),
        told("改动一个字节 / one byte changed", "invalid (not genuine)", verdict_of(tampered)),
    ]  # fmt: skip
    return Day(
        events=str(stage.data / "events" / "day.jsonl"),
        submitted=summary,
        decided=progress.decided,
        issued=progress.issued,
        editions=progress.editions,
        outcomes=outcomes,
        licences=licences,
        verified=verified,
        today=today,
        tampered=tampered,
        told=steps,
    )


def _outcomes(stage: Stage) -> tuple[list[Outcome], list[dict[str, str]]]:
    states: dict[str, Counter[str]] = {scene.name: Counter() for scene in day.SCENES}
    shown: dict[str, dict[str, Any]] = {}
    with stage.ask() as ask:
        for application, scene in day.scenes():
            case = ask.case(application)
            states[scene][case["state"]] += 1
            if case["state"] == "issued" and scene in _SHOWN and scene not in shown:
                shown[scene] = ask.licence(case["licence_number"])
    licences = []
    for n, row in enumerate((shown[scene] for scene in _SHOWN), 1):
        pdf = stage.copy(row["number"], f"licence-{n}.pdf")
        licences.append({"number": row["number"], "holder": row["holder_name"], "pdf": str(pdf)})
    outcomes = [Outcome(s.name, s.said, s.number, dict(states[s.name]), s.becomes) for s in day.SCENES]
    return outcomes, licences


def _tampered(pdf: Path) -> Path:
    """A copy in which one bit differs."""
    changed = bytearray(pdf.read_bytes())
    changed[len(changed) // 2] ^= 1
    copy = pdf.with_name("licence-tampered.pdf")
    copy.write_bytes(changed)
    return copy
