"""The stage of the demo: a fresh data folder, its engine, and the questions that chapters ask of it.

A chapter says of each step what must come of it and looks up what did: `Told`. Nothing is known beforehand but the
story itself, so a step that ends otherwise is an error of the whole demo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from infra.bootstrap import open_inbox, open_register
from infra.embedded.engine import DrainProgress, Engine, holding
from infra.persons import open_persons
from infra.persons.access_log import Accesses
from infra.settings import Settings
from infra.stores import open_store
from infra.stores.uploads import published_lists
from issuance.keys import Lifetime, init, longest_validity, roles_of
from processors.queries.find import Queries
from processors.queries.register import Register
from producers.files import Summary, submit_file
from schemas.calendar import CHINA
from schemas.items import Catalogue, load_catalogue
from schemas.trust import load_trust
from verification.verify import verify_bytes

KEYS_FROM = datetime(2018, 1, 1, tzinfo=CHINA)
EVENTS = "events"  # what was sent, in clear, as the agencies have it
Report = Callable[[float, float], None]


class StoryStep(msgspec.Struct, frozen=True):
    """A step of a chapter: what happens, what must come of it, what came of it."""

    said: str
    expected: str
    found: str
    ok: bool


def told(said: str, expected: str, found: str) -> StoryStep:
    """A step, compared."""
    return StoryStep(said, expected, found, expected == found)


class DemoStage:
    """A data folder that the chapters play on, one after another."""

    def __init__(self, settings: Settings, catalogue: Catalogue, engine: Engine, report: Report) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self._engine = engine
        self._report = report
        self._done = 0

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.settings.data

    def play(self, name: str, lines: Iterable[bytes]) -> tuple[Summary, DrainProgress]:
        """Writes events into a file, takes them in, and processes until nothing is pending."""
        file = self.data / EVENTS / f"{name}.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"".join(line + b"\n" for line in lines))
        summary = Summary()
        with open_inbox(self.settings) as inbox:
            submit_file(str(file), inbox, summary)
        progress = self._engine.drain(self._moved)
        self._done += progress.decided + progress.issued
        return summary, progress

    def _moved(self, progress: DrainProgress) -> None:
        done = self._done + progress.decided + progress.issued
        self._report(done, done + progress.pending)

    @contextmanager
    def register(self) -> Iterator[Register]:
        """The register as it stands."""
        with open_register(self.settings) as register:
            yield register

    @contextmanager
    def ask(self) -> Iterator[Queries]:
        """The answers to queries as it stands."""
        persons = open_persons(self.data)
        try:
            with self.register() as register:
                yield Queries(register, persons, Accesses(self.data).record)
        finally:
            persons.close()

    def copy(self, number: str, name: str, version: int | None = None) -> Path:
        """Lays a licence's PDF out in the data folder."""
        with self.ask() as ask:
            row = ask.version(number, version)
        path = self.data / name
        store = open_store(self.settings.store, self.settings.objects)
        path.write_bytes(store.get(row["objects"]["licence.pdf"]))
        return path

    def verify(self, path: Path, at: str = "") -> dict[str, Any]:
        """What `verify` says of a file, as of a moment or (without one) now."""
        when = datetime.fromisoformat(at) if at else datetime.now(UTC).astimezone(CHINA)
        trust, lists = load_trust(self.settings.trust), published_lists(self.settings)
        verdict = verify_bytes(path.read_bytes(), name=str(path), trust=trust, status=lists, at=when)
        return verdict.to_json()


def verdict_of(verified: dict[str, Any]) -> str:
    """A verdict in a word or three: `valid`, `invalid (not genuine)`, `invalid (rescinded)`."""
    if not verified["genuine"]:
        return f"{verified['verdict']} (not genuine)"
    wrong = [check["name"] for check in verified["checks"] if not check["ok"]]
    if verified["verdict"] == "valid":
        return "valid"
    status = verified["licence"].get("status")
    return f"{verified['verdict']} ({status if status and status != 'valid' else ', '.join(wrong)})"


@contextmanager
def raised(settings: Settings, report: Report) -> Iterator[DemoStage]:
    """A stage over an empty folder: keys that sign from 2018 on, and an engine that holds it."""
    settings.data.mkdir(parents=True, exist_ok=True)
    catalogue = load_catalogue(settings.items)
    life = Lifetime(KEYS_FROM, longest_validity(catalogue))
    init(settings.data, roles_of(catalogue), life, now=datetime.now(UTC), passphrase=settings.passphrase)
    with holding(settings, "demo") as engine:
        yield DemoStage(settings, catalogue, engine, report)
