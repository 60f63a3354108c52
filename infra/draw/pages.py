"""Summaries and pages of a draw, in one file without network or on the site.

Persons appear masked; a conflict of interest appears as the digest of its row, which auditors who have the register
can look up. Before the plan's `publish_after` a page has digests and counts, and no names.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from markupsafe import Markup
from msgspec import UnsetType

from infra.draw.register import TargetRegister
from infra.pages.frame import BOTH, TableRow, render_file, said, word
from processors.draw.lookup import chance_by_class, check_register
from schemas.authorities import authority, source_of
from schemas.authorities import find as find_division
from schemas.draw.aftermath import PublishedDraw
from schemas.draw.documents import Transcript
from schemas.draw.encoding import shown_id, shown_name
from schemas.draw.plan import day
from schemas.draw.strata import build_frame

Bar = tuple[str, int, int, str]
"""A bar: its name, the part, the whole, and what is said of it."""
_ROWS = 5_000  # A page with more rows is too long to read.


class PageFacts(msgspec.Struct, frozen=True):
    """The facts that come from the register: names and divisions of the drawn, chances by class, changes."""

    names: dict[str, str]
    divisions: dict[str, str]
    chances: dict[str, dict[str, float]]
    changes: dict[str, int] | None


def summary(shown: PublishedDraw) -> dict[str, Any]:
    """Return the figures of an announcement or transcript."""
    announced, transcript = shown.announcement, shown.transcript
    plan = announced.plan
    fields: dict[str, Any] = {
        "plan": plan.plan,
        "item": plan.item,
        "title": plan.title,
        "authority": plan.authority,
        "period": plan.period,
        "announcement_digest": announced.digest,
        "sequence": announced.sequence,
        "previous": announced.previous,
        "replaces": announced.replaces,
        "strata": [{"name": s.name, "population": s.population, "drawn": s.drawn} for s in announced.strata],
        "registers": {
            name: getattr(announced.registers, name).digest for name in ("targets", "inspectors", "conflicts")
        },
        "parties": plan.seed.parties,
    }
    if transcript is not None:
        fields |= {
            "seed": transcript.seed,
            "opened": [r.party for r in transcript.reveals if r.opened is True],
            "assignments": len(transcript.assignments),
            "skipped": len(transcript.skipped),
            "excluded": len(transcript.excluded),
            "replacements": len(shown.replacements),
        }
    return fields


def html(
    shown: PublishedDraw,
    register: Path | None,
    before: Path | None,
    today: date,
    smallest_choice: int | None = None,
) -> str:
    """Write the page of an announcement or a transcript; `smallest_choice` is the fewest inspectors of any target."""
    places = page_facts(shown, register, before) if register else None
    return render_file("draw.html", **draw_values(shown, places, today, BOTH, smallest_choice))


def draw_values(
    shown: PublishedDraw,
    places: PageFacts | None,
    today: date,
    language: str,
    smallest_choice: int | None = None,
) -> dict[str, Any]:
    """Return what `draw.html` shows of an announcement and, where it was drawn, of its transcript."""
    view = _DrawView(shown, places, language)
    announced, transcript = shown.announcement, shown.transcript
    values: dict[str, Any] = {
        "plan": announced.plan,
        "kind": "announcement" if transcript is None else "transcript",
        "stands": "announced" if transcript is None else "drawn",
        "authority": authority_name(announced.plan.authority),
        "sequence": announced.sequence,
        "digest": announced.digest,
        "facts": view.plan(smallest_choice),
        "parties": view.parties(),
        "seed": view.seed(),
        "registers": view.registers(),
        "changes": view.changes(),
        **view.strata(),
        **dict.fromkeys(
            ("voided", "results", "where", "loads", "later", "visits", "replaced", "skipped", "excluded")
        ),
        "more": 0,
        "again": "",
        "files": (),
    }
    if transcript is None:
        return values
    later = announced.plan.publish_after
    values["loads"] = view.loads(transcript)
    if not isinstance(later, UnsetType) and today < day(later, "publish_after"):
        return {**values, "later": later}
    return {
        **values,
        "where": view.where(transcript),
        "visits": view.visits(transcript),
        "more": max(0, len(transcript.assignments) - _ROWS),
        "replaced": view.replaced(),
        "skipped": view.skipped(transcript),
        "excluded": view.excluded(transcript),
    }


def page_facts(shown: PublishedDraw, register: Path, before: Path | None) -> PageFacts:
    """Read what a page shows of the register of the targets, and of the one before it where that is at hand."""
    plan = shown.announcement.plan
    transcript = shown.transcript
    listed = [d.id for s in transcript.strata for d in s.drawn] if transcript else []
    out = (
        {e.id: e.reason for e in transcript.excluded if e.reason.startswith("drawn in ")}
        if transcript
        else {}
    )
    with TargetRegister(register, "targets") as targets:
        check_register(shown.announcement, targets)
        frame = build_frame(plan, targets, out)
        counts = {s.name: s.drawn for s in shown.announcement.strata}
        chances = chance_by_class(plan, frame.classes, counts)
        wanted = pl.Series("id", listed, dtype=pl.String).implode()
        found = pl.concat(
            [f.filter(pl.col("id").is_in(wanted)).select("id", "name", "division") for f in targets.frames()]
        )
        changes = _changed(targets, before) if before else None
    names = dict(found.select("id", "name").iter_rows())
    return PageFacts(names, dict(found.select("id", "division").iter_rows()), chances, changes)


def _changed(targets: TargetRegister, before: Path) -> dict[str, int]:
    """Count the targets added, removed, and of another class or division since another register."""
    columns = ["id", "credit_class", "division"]
    with TargetRegister(before, "targets") as old:
        then = pl.concat([f.select(columns) for f in old.frames()])
    now = pl.concat([f.select(columns) for f in targets.frames()])
    both = now.join(then, on="id", how="inner", suffix="_then")
    return {
        "added": len(now) - len(both),
        "removed": len(then) - len(both),
        "reclassified": int((both["credit_class"] != both["credit_class_then"]).sum()),
        "moved": int((both["division"] != both["division_then"]).sum()),
    }


class _DrawView:
    """The parts of a draw's page in one language."""

    def __init__(self, shown: PublishedDraw, places: PageFacts | None, language: str) -> None:
        self._shown = shown
        self._announced = shown.announcement
        self._places = places
        self._language = language

    def _said(self, name: str, **values: Any) -> Markup:
        return said(self._language, f"draw.{name}", **values)

    def _word(self, name: str, **values: Any) -> str:
        return word(self._language, f"draw.{name}", **values)

    def plan(self, smallest_choice: int | None) -> list[tuple[Any, Any]]:
        announced, plan = self._announced, self._announced.plan
        rows = (
            ("authority", authority_name(plan.authority)),
            ("code", plan.authority),
            ("name", plan.plan),
            ("item", plan.item),
            ("period", " — ".join(plan.period)),
            ("inspectors_per_target", plan.inspectors_per_target),
            ("qualification", plan.needs or ""),
            ("smallest", smallest_choice),
            ("digest", announced.digest),
            ("previous", announced.previous),
            ("replaces", announced.replaces or ""),
        )
        return [(self._said(name), value) for name, value in rows if value not in ("", None)]

    def strata(self) -> dict[str, Any]:
        """Return the strata with the chance of each class, bars of their shares, and the sums."""
        rows, shares = [], []
        for stratum in self._announced.strata:
            share = f"{stratum.drawn / stratum.population:.2%}" if stratum.population else ""
            chance = self._places.chances.get(stratum.name, {}) if self._places else {}
            by_class = ", ".join(f"{c or '—'} {p:.3%}" for c, p in chance.items())
            counts = f"{stratum.population:,}", f"{stratum.drawn:,}"
            rows.append(TableRow((stratum.name, *counts, share, by_class or share)))
            says = self._word("of", drawn=counts[1], population=counts[0])
            shares.append((stratum.name, stratum.drawn, stratum.population, says))
        whole = (
            sum(s.population for s in self._announced.strata),
            sum(s.drawn for s in self._announced.strata),
        )
        return {"strata": rows, "shares": shares, "population": f"{whole[0]:,}", "drawn": f"{whole[1]:,}"}

    def parties(self) -> list[TableRow]:
        transcript = self._shown.transcript
        reveals = {r.party: r for r in transcript.reveals} if transcript else {}
        rows = []
        for commitment in self._announced.commitments:
            reveal = reveals.get(commitment.party)
            how = "" if reveal is None else self._word("opened" if reveal.opened is True else "revealed")
            secret = reveal.secret if reveal else ""
            rows.append(TableRow((commitment.party, commitment.commitment, secret, how)))
        return rows

    def seed(self) -> list[tuple[Any, Any]]:
        """Return the public value, its source and the seed, where they are there."""
        transcript, source = self._shown.transcript, self._announced.plan.seed.public
        rows: list[tuple[Any, Any]] = []
        if not isinstance(source, UnsetType):
            beacon = isinstance(source.beacon, str)
            named = (
                self._word("round", beacon=source.beacon, round=source.round)
                if beacon
                else f"{source.source} ({source.at})"
            )
            rows.append((self._said("public"), named))
        if transcript is None:
            return rows
        if not isinstance(value := transcript.public, UnsetType):
            rows.append((self._said("value"), value if isinstance(value, str) else value.signature))
        return [*rows, (self._said("seed_value"), transcript.seed)]

    def registers(self) -> list[tuple[Any, Any]]:
        return [
            (self._said(name), f"{register.count:,} · {register.digest}")
            for name in ("targets", "inspectors", "conflicts")
            if (register := getattr(self._announced.registers, name))
        ]

    def changes(self) -> list[tuple[Any, Any]]:
        found = self._places.changes if self._places else None
        return [(f"{count:,}", self._said(name)) for name, count in (found or {}).items()]

    def where(self, transcript: Transcript) -> list[Bar]:
        if self._places is None or not self._places.divisions:
            return []
        divisions = self._places.divisions
        near = Counter(divisions.get(d.id, "") for s in transcript.strata for d in s.drawn)
        most = max(near.values(), default=0)
        return [
            (_place(d), n, most, self._word("visits_n", n=f"{n:,}")) for d, n in sorted(near.items())[:120]
        ]

    def loads(self, transcript: Transcript) -> list[Bar]:
        loads = Counter(Counter(i for a in transcript.assignments for i in a.inspectors).values())
        most = max(loads.values(), default=0)
        return [
            (self._word("load_n", n=n), people, most, self._word("people_n", n=f"{people:,}"))
            for n, people in sorted(loads.items())[:60]
        ]

    def visits(self, transcript: Transcript) -> list[TableRow]:
        names = self._places.names if self._places else {}
        divisions = self._places.divisions if self._places else {}
        stratum = {d.id: s.name for s in transcript.strata for d in s.drawn}
        return [
            TableRow(
                (
                    n,
                    shown_id(a.target),
                    shown_name(names.get(a.target, ""), a.target),
                    divisions.get(a.target, ""),
                    stratum.get(a.target, ""),
                    "、".join(map(shown_id, a.inspectors)),
                )
            )
            for n, a in enumerate(transcript.assignments[:_ROWS], 1)
        ]

    def replaced(self) -> list[TableRow]:
        return [
            TableRow(
                (
                    one.number,
                    self._word("an_inspector" if isinstance(one.target, str) else "a_target"),
                    shown_id(one.unavailable),
                    shown_id(one.target) if isinstance(one.target, str) else "",
                    shown_id(one.next),
                    one.reason,
                )
            )
            for one in self._shown.replacements[:_ROWS]
        ]

    def skipped(self, transcript: Transcript) -> list[TableRow]:
        return [
            TableRow(
                (shown_id(s.target), shown_id(s.inspector), conflict_digest(s.inspector, s.target, s.reason))
            )
            for s in transcript.skipped[:_ROWS]
        ]

    def excluded(self, transcript: Transcript) -> list[TableRow]:
        reasons = Counter(e.reason for e in transcript.excluded)
        return [TableRow((reason, f"{number:,}")) for reason, number in sorted(reasons.items())]


def _place(division: str) -> str:
    """Return a division's name before its code, where data has one."""
    known = find_division(division)
    return f"{known.name} {division}" if known else division


def authority_name(urn: str) -> str:
    """Return the name of an authority where data has its division, else its URN."""
    source = source_of(urn)
    if source is None or find_division(source.division) is None:
        return urn
    return authority(*source).name


def conflict_digest(inspector: str, target: str, reason: str) -> str:
    """Return the digest of a conflict's row, by which a reader of the register finds the row."""
    return sha256(f"{inspector}\t{target}\t{reason}\n".encode()).hexdigest()
