"""Which modules of the product one application meets on its way from the inbox to its stored licence.

The way is walked in this process, with the worker's task called directly: profiling sees one process only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from story import ROOT, Office

from infra.bootstrap import Installation
from infra.embedded.writer import Batch
from infra.issue_worker import decode_issued, recipe
from infra.pool import Task
from infra.readmodel.database import Database, RecordedItems
from infra.settings import load
from producers.files import Summary, submit_file

PACKAGES = ("schemas", "producers", "processors", "issuance", "infra")


def modules_of_one_event(office: Office, first: Path, file: Path) -> set[str]:
    """Submit a file of events, decide, number and issue; return the modules whose functions ran.

    The installation is at work already: its parts were opened, and the events of `first` went the same way.
    """
    met: set[str] = set()
    settings = load(office.data)
    with Installation(settings) as installation, installation.engine("trace") as engine:
        task = recipe(settings).build()
        with installation.inbox() as inbox:
            items, position = RecordedItems(engine.db), 0
            submit_file(str(first), inbox, Summary())
            position = _drain(engine.db, items, task, position)
            _profiled(met, lambda: submit_file(str(file), inbox, Summary()))
            _profiled(met, lambda: _drain(engine.db, items, task, position))
    return met


def _drain(db: Database, items: RecordedItems, task: Task, position: int) -> int:
    while rows := db.entries(position, 200):
        jobs = db.db.execute("SELECT seq, job FROM outbox ORDER BY seq").fetchall()
        with db.transaction():
            batch = Batch(db, items)
            for seq, job in jobs:
                batch.issued(seq, decode_issued(task(job)), job)
            position = batch.decide(rows, position)
            batch.write(position)
    return position


def _profiled(met: set[str], walk: Callable[[], None]) -> None:
    files: dict[str, str] = {}
    importing = 0  # what runs while a module is imported is no step of an event

    def note(frame: FrameType, event: str, _: Any) -> None:
        nonlocal importing
        if event not in ("call", "return"):
            return
        if frame.f_code.co_name == "<module>":
            importing += 1 if event == "call" else -1
        elif event == "call" and importing == 0:
            name = frame.f_code.co_filename
            if name not in files:
                files[name] = _module(name)
            met.add(files[name])

    sys.setprofile(note)
    try:
        walk()
    finally:
        sys.setprofile(None)
        met.discard("")


def _module(file: str) -> str:
    path = Path(file)
    if not path.is_absolute() or not path.is_relative_to(ROOT):
        return ""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts) if parts[0] in PACKAGES else ""
