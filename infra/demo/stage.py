"""The stage of the demo: a fresh data folder, its engine, and the queries that chapters make.

A chapter names the expected result of each step and looks up the true one (`StoryStep`). Only the story is known
beforehand, so a step with another result is an error of the whole demo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from infra.bootstrap import Installation
from infra.embedded.engine import DrainProgress, Engine
from infra.settings import PAST_DAYS, Settings, allow_past
from issuance.certificates import longest_validity, roles_of
from issuance.keys import Lifetime, init
from producers.files import Summary, submit_file
from schemas.calendar import CHINA
from verification.verify import verify_bytes

KEYS_FROM = datetime(2018, 1, 1, tzinfo=CHINA)
EVENTS = "events"  # what was sent, in clear, as the agencies have it
Report = Callable[[float, float], None]


class StoryStep(msgspec.Struct, frozen=True):
    """A step of a chapter: the event told, the expected result, the result found."""

    said: str
    expected: str
    found: str
    ok: bool


def told(said: str, expected: str, found: str) -> StoryStep:
    """Return a step whose `ok` says whether the result is the expected one."""
    return StoryStep(said, expected, found, expected == found)


class DemoStage:
    """A data folder on which the chapters play, one after another."""

    def __init__(self, here: Installation, engine: Engine, report: Report) -> None:
        self.here = here
        self.settings = here.settings
        self.catalogue = here.catalogue
        self._engine = engine
        self._report = report
        self._done = 0

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.settings.data

    def play(self, name: str, lines: Iterable[bytes]) -> tuple[Summary, DrainProgress]:
        """Write events into a file, take them in, and process until nothing is pending."""
        file = self.data / EVENTS / f"{name}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"".join(line + b"\n" for line in lines))
        summary = Summary()
        with self.here.inbox() as inbox:
            submit_file(str(file), inbox, summary)
        progress = self._engine.drain(self._moved)
        self._done += progress.decided + progress.issued
        return summary, progress

    def _moved(self, progress: DrainProgress) -> None:
        done = self._done + progress.decided + progress.issued
        self._report(done, done + progress.pending)

    def copy(self, number: str, name: str, version: int | None = None) -> Path:
        """Copy a licence's PDF into the data folder and return its path."""
        path = self.data / name
        path.write_bytes(self.here.artefact(number, version, "pdf"))
        return path

    def verify(self, path: Path, at: str = "") -> dict[str, Any]:
        """Verify a file as of a moment, or (without one) as of now."""
        when = datetime.fromisoformat(at) if at else datetime.now(UTC).astimezone(CHINA)
        trust, lists = self.here.trust, self.here.published_lists()
        verdict = verify_bytes(path.read_bytes(), name=str(path), trust=trust, status=lists, at=when)
        return verdict.to_json()


def verdict_of(verified: dict[str, Any]) -> str:
    """Return a verdict in short: `valid`, `invalid (not genuine)`, `invalid (rescinded)`."""
    if not verified["genuine"]:
        return f"{verified['verdict']} (not genuine)"
    wrong = [check["name"] for check in verified["checks"] if not check["ok"]]
    if verified["verdict"] == "valid":
        return "valid"
    status = verified["licence"].get("status")
    return f"{verified['verdict']} ({status if status and status != 'valid' else ', '.join(wrong)})"


@contextmanager
def raised(settings: Settings, report: Report) -> Iterator[DemoStage]:
    """Open a stage over an empty folder: keys that sign from 2018 on, events of the past let in, an engine that holds it."""
    settings.data.mkdir(parents=True, exist_ok=True)
    allow_past(settings.data)
    settings.backdate_days = PAST_DAYS  # they were read before the folder had any
    with Installation(settings) as here:
        life = Lifetime(KEYS_FROM, longest_validity(here.catalogue))
        roles = roles_of(here.catalogue)
        init(
            settings.data,
            roles,
            life,
            now=datetime.now(UTC),
            passphrase=settings.passphrase,
            root_passphrase=settings.root_passphrase,
        )
        with here.engine("demo") as engine:
            yield DemoStage(here, engine, report)
