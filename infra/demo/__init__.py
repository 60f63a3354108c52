"""The story of `zhengzhao demo`, in four chapters.

They are a day of applications, the life of the licences issued, one registration with many filings, and a random draw
whose failed check ends a licence. Events enter by the same inbox and engine as all others.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from infra.bootstrap import Installation
from infra.demo.chapters import Day, Life, Registration, play_day, play_life, play_registration
from infra.demo.draw import Draw, play_draw
from infra.demo.stage import Report, StoryStep, raised
from infra.settings import Settings
from schemas.errors import UsageError

FOLDER = "zhengzhao-demo"


class Story(msgspec.Struct, frozen=True):
    """The results of the demo; `ok`: every step has the expected result."""

    folder: str
    ok: bool
    day: Day
    life: Life
    registration: Registration
    draw: Draw


def fresh_folder(named: Path | None = None) -> Path:
    """Return `named` where it is empty; else `zhengzhao-demo`, numbered where that name is taken."""
    if named is not None and not (named.exists() and any(named.iterdir())):
        return named
    names = (FOLDER, *(f"{FOLDER}-{n}" for n in range(2, 1000)))
    return next(Path(name) for name in names if not Path(name).exists())


def tell(settings: Settings, report: Report = lambda _done, _whole: None) -> Story:
    """Play the story on a fresh data folder. Raises UsageError where the folder is not empty."""
    if settings.data.exists() and any(settings.data.iterdir()):
        raise UsageError(
            "演示目录非空 / the demo's folder is not empty", where=str(settings.data),
            hint="另用目录 / use another folder: zhengzhao demo --data DIR",
        )  # fmt: skip
    with Installation(settings) as here:
        here.require_one_machine(
            "演示只在单机上运行 / the demo runs on one machine", "unset ZHENGZHAO_BROKER"
        )
    with raised(settings, report) as stage:
        day = play_day(stage)
        life = play_life(stage)
        registration = play_registration(stage)
        draw = play_draw(stage)
    steps: list[StoryStep] = [*day.told, *life.told, *registration.told, *draw.told]
    return Story(str(settings.data), all(step.ok for step in steps), day, life, registration, draw)
