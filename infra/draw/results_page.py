"""Steps after a draw: looking up visits for events, replacing in order, and publishing results.

Results are written as a page in one file, as CSV, and as a workbook.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl
from msgspec import UnsetType

from infra.draw import files
from infra.draw.pages import authority_name
from infra.draw.register import TargetRegister, departments_in, kept_register
from infra.draw.store import DrawStore, Link
from infra.pages.frame import BOTH, TableRow, render_file, word
from processors.draw import visits
from processors.draw.visits import inspection_id
from producers.table_writer import xlsx_bytes
from schemas.draw.aftermath import Absence, Aftermath, PublishedDraw, Replacement, visits_after
from schemas.draw.documents import Announcement, read_transcript
from schemas.draw.plan import PublicSource
from schemas.draw.public import BeaconValue, beacon_named, read_value, time_of
from schemas.errors import DrawError
from schemas.identifiers import compare, quoted
from schemas.ledger import DrawnVisit
from schemas.trust import TrustStore

_COLUMNS = ("inspection_id", "target", "name", "plan", "item", "authority", "authority_name", "inspectors",
            "inspected_on", "result", "passed", "publish_by", "published_on", "late")  # fmt: skip
_OVERDUE_SHOWN = 2_000  # A page with more rows is too long to read.


def results_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the results as CSV for spreadsheets: a cell that could be a formula begins with an apostrophe."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([quoted(_text(row.get(column, ""))) for column in _COLUMNS] for row in rows)
    return text.getvalue()


def results_xlsx(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write the results as a workbook, in which every cell is text."""
    return xlsx_bytes(
        "results", _COLUMNS, ([_text(row.get(column, "")) for column in _COLUMNS] for row in rows)
    )


def inspections_in(table: bytes) -> list[str]:
    """Return the ids of the inspections in a published table."""
    rows = csv.DictReader(io.StringIO(table.decode(), newline=""))
    return [row["inspection_id"] for row in rows]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def results_page(
    title: str, rows: Sequence[Mapping[str, Any]], whole: int, overdue: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Write the results as a page in one file; `whole` is the number of targets to inspect.

    It tells what was published late, and the visits that are overdue.
    """
    return render_file("results.html", title=title, results=results_values(rows, whole, BOTH, overdue))


def results_values(
    rows: Sequence[Mapping[str, Any]],
    whole: int,
    language: str,
    overdue: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return what a page shows of results of inspections."""
    late = word(language, "results.late")
    cells = [
        TableRow(
            (
                r["target"],
                r["name"],
                r["item"],
                r["inspected_on"],
                r["result"],
                r["inspectors"],
                r["authority_name"],
                r["publish_by"],
                f"{r['published_on']} {late}" if r["late"] else r["published_on"],
            )
        )
        for r in rows
    ]
    missed = [
        TableRow(
            (r["target"], r["name"], r["item"], authority_name(r["authority"]), r["inspectors"], r["until"])
        )
        for r in overdue[:_OVERDUE_SHOWN]
    ]
    return {
        "rows": cells,
        "whole": whole,
        "passed": sum(1 for row in rows if row["passed"]),
        "late": sum(1 for row in rows if row["late"]),
        "missed": len(overdue),
        "overdue": missed,
    }


def published_tables(store: DrawStore) -> visits.Tables:
    """Return the reader of the published tables that the data folder keeps, each told by its SHA-256."""
    links = {link.announcement.digest: link.announcement for link in store.every()}

    @cache
    def inspections(draw: str, digest: str) -> list[str]:
        table = store.results(links[draw], digest) if draw in links else None
        return inspections_in(table) if table else []

    return inspections


def target_names(draws: Sequence[PublishedDraw], register: Path | None, data: Path) -> dict[str, str]:
    """Return the names of the visited targets from a register; none where none is at hand."""
    wanted = pl.Series(
        "id", [target for shown in draws for target, _ in shown.visits()], dtype=pl.String
    ).implode()
    found: dict[str, str] = {}
    for shown in draws:
        path = register or kept_register(
            data / "registers", "targets", shown.announcement.registers.targets.digest
        )
        if path is None:
            continue
        with TargetRegister(path, "targets") as targets:
            for frame in targets.frames():
                found |= dict(frame.filter(pl.col("id").is_in(wanted)).select("id", "name").iter_rows())
    return found


class _Ordered(msgspec.Struct, frozen=True):
    """The visits of one draw by the compared id of their target, as they stand after some replacements."""

    link: Link
    replacements: list[Path]
    departments: dict[str, str]
    visits: dict[str, tuple[str, list[str]]]


class OrderedVisits:
    """The visits that the draws on record order, looked up for events one by one.

    What was read of a draw is kept until somebody else is replaced in it.
    """

    def __init__(self, data: Path) -> None:
        self._store = DrawStore(data)
        self._registers = data / "registers"
        self._drawn: dict[str, _Ordered] = {}

    def __call__(self, announcement: str, target: str) -> DrawnVisit | None:
        """Return the visit to a target; None where no draw of this announcement (its digest) is on record."""
        known = self._drawn.get(announcement)
        link = known.link if known else self._find(announcement)
        if link is None:
            return None
        done = self._store.replacement_files(link.announcement)
        if known is None or known.replacements != done:
            known = self._drawn[announcement] = self._read(link, done)
        plan = link.announcement.plan
        own = [plan.authority.rpartition(":")[2], *(name for name, _ in plan.groups if name is not None)]
        visit = DrawnVisit(plan.authority, tuple(dict.fromkeys(own)))
        drawn, who = known.visits.get(compare(target), ("", []))
        if not drawn:
            return visit
        sent = {inspector: known.departments.get(inspector, "") for inspector in who}
        own_id = inspection_id(announcement, drawn)
        return msgspec.structs.replace(visit, visit=own_id, target=drawn, inspectors=sent)

    def _find(self, announcement: str) -> Link | None:
        drawn = (link for link in self._store.every() if link.transcript)
        return next((link for link in drawn if link.announcement.digest == announcement), None)

    def _read(self, link: Link, done: list[Path]) -> _Ordered:
        assert link.transcript is not None  # _find has seen to it
        transcript = read_transcript(link.transcript.read_bytes(), str(link.transcript))
        ordered = visits_after(transcript.assignments, self._store.replacements(link.announcement))
        announced = link.announcement.registers.inspectors
        found = {compare(target): (target, who) for target, who in ordered.items()}
        return _Ordered(link, done, departments_in(self._registers, announced), found)


class DrawChange(NamedTuple):
    """The making of a change after a draw at the moment `now`, on top of the changes on record."""

    store: DrawStore
    after: Aftermath
    announced: Announcement
    trust: TrustStore
    now: datetime

    def next(self, unavailable: str, reason: str, target: str | None) -> Replacement:
        """Return the replacement by the next in order."""
        self._apply_recorded()
        return self.after.next(unavailable, reason, target)

    def absent(self, unavailable: str, reason: str, target: str | None) -> Absence:
        """Return an absence, which waits for a later round of the plan's beacon."""
        self._apply_recorded()
        later = self.announced.plan.replacements
        assert not isinstance(later, UnsetType)  # the caller asked
        beacon = beacon_named(later.beacon, self.trust)
        round_ = beacon.round_after(self.now + timedelta(seconds=later.wait))
        return self.after.absent(unavailable, reason, target, round_)

    def by_round(self, public: str) -> Replacement:
        """Return the replacement for the absence that waits, by its round (a file, or the value as text).

        Raises DrawError where none waits, or too early.
        """
        self._apply_recorded()
        later, absence = self.announced.plan.replacements, self.store.pending(self.announced)
        if absence is None or isinstance(later, UnsetType):
            raise DrawError(
                "没有等待递补的缺席公告 / no announced absence waits",
                hint="draw replace --unavailable ID --reason TEXT",
            )
        source = PublicSource(beacon=later.beacon, round=absence.round)
        if self.now < (at := time_of(source, self.trust)):
            raise DrawError(
                f"该轮次尚未产生 / the round does not exist before {at.isoformat()}", hint="wait for it"
            )
        value = read_value(files.text_or_file(public), source, self.trust)
        assert isinstance(value, BeaconValue)  # the source is a beacon's
        return self.after.ordered(absence, value)

    def _apply_recorded(self) -> None:
        absences = {one.digest: one for one in self.store.absences(self.announced)}
        for done in self.store.replacements(self.announced):
            self.after.apply(done, absences.get(str(done.absence)))
