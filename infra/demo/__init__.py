"""The story that `zhengzhao demo` tells, in four chapters: a day of applications, the life of what was issued, one
registration with many filings, and a random draw whose failed check ends a licence.

Every chapter plays events through the same door and engine as everybody's, and looks up what came of them.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from infra.demo.chapters import Day, Life, Registration, play_day, play_life, play_registration
from infra.demo.draw import Draw, play_draw
from infra.demo.stage import Report, StoryStep, raised
from infra.settings import Settings
from schemas.errors import UsageError

FOLDER = "zhengzhao-demo"


class Story(msgspec.Struct, frozen=True):
    """Everything that the demo has to tell; `ok`: every step came out as told."""

    folder: str
    ok: bool
    day: Day
    life: Life
    registration: Registration
    draw: Draw


def fresh_folder(named: Path | None = None) -> Path:
    """`named` where nothing is in it yet; else a free name: `zhengzhao-demo`, numbered where that was played before."""
    if named is not None and not (named.exists() and any(named.iterdir())):
        return named
    names = (FOLDER, *(f"{FOLDER}-{n}" for n in range(2, 1000)))
    return next(Path(name) for name in names if not Path(name).exists())


def tell(settings: Settings, report: Report = lambda _done, _whole: None) -> Story:
    """Plays the story on a fresh data folder. UsageError where there is something in it already."""
    if settings.data.exists() and any(settings.data.iterdir()):
        raise UsageError(
            "演示目录不是空的 / the demo's folder is not empty", where=str(settings.data),
            hint="rm -r it, or name another one: zhengzhao demo --data DIR",
        )  # fmt: skip
    if settings.on_kafka:
        raise UsageError("演示只在单机上运行 / the demo runs on one machine", hint="unset ZHENGZHAO_BROKER")
    with raised(settings, report) as stage:
        day = play_day(stage)
        life = play_life(stage)
        registration = play_registration(stage)
        draw = play_draw(stage)
    steps: list[StoryStep] = [*day.told, *life.told, *registration.told, *draw.told]
    return Story(str(settings.data), all(step.ok for step in steps), day, life, registration, draw)
