"""四亮: what was promised beside what was kept, for each item and authority, as a fold over facts.

A case counts from the fact that accepted it to the one that decided it, in working days that count (行政许可法 art 45,
82); a filing from its push to the department's answer. Facts of different holders may come in any order: the figures
are the same. Nothing is asked but the facts and the catalogue, so a replay gives the same table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from math import ceil
from typing import Any, NamedTuple

import msgspec

from schemas import calendar
from schemas import facts as f
from schemas.authorities import at_level, authority, is_at_or_above, issuing_authority
from schemas.calendar import ONE_DAY, day_of
from schemas.facts import Fact
from schemas.identifiers import compare
from schemas.item_types import ServiceItem
from schemas.items import Catalogue

TYPES = (
    "case.opened", "case.accepted", "case.completed", "case.clock-stopped", "case.clock-resumed", "case.granted", "case.refused",
    "case.withdrawn", "case.lapsed", "case.overdue", "licence.granted", "licence.imported", "licence.status",
    "licence.issue-failed", "licence.issued", "filing.pushed", "filing.moved", "filing.overdue", "check.overdue", "event.refused",
    "clock.corrected",
)  # fmt: skip


class Handled(msgspec.Struct):
    """A case or one push of a filing: what was promised and when it was decided."""

    item: str
    division: str
    authority: str = ""  # where a licence names it
    complete_on: str = ""
    promised: str = ""
    stops: list[tuple[str, str]] = []
    running: dict[str, str] = {}  # stops that have not ended: cause → day
    decided_on: str = ""
    unissued: bool = False  # its certificate could not be made
    outcome: str = ""  # granted, refused, withdrawn, lapsed, claimed, returned
    decided_at: str = ""  # the moment, by which a corrected clock takes a decision back


class Kept(NamedTuple):
    """The figures that facts give, before a period is asked for."""

    handled: tuple[Handled, ...]
    as_of: str  # the last moment that any fact tells of; empty where there is none


class Wanted(NamedTuple):
    """A question: decided from `first` to `last`, authorities in `division` and below, these items."""

    first: date | None = None
    last: date | None = None
    division: str = ""
    items: tuple[str, ...] = ()


def fold(facts: Iterable[Fact], catalogue: Catalogue) -> Kept:
    """Return everything handled, from facts in which those of each holder are in order."""
    folding = _Folding(catalogue)
    for fact in facts:
        folding.take(fact)
    return folding.kept()


class _Folding:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._cases: dict[tuple[str, str], Handled] = {}
        self._filings: dict[tuple[str, str, int], Handled] = {}
        self._rounds: dict[tuple[str, str], int] = {}
        self._divisions: dict[str, str] = {}
        self._issuers: dict[str, str] = {}  # licence → authority
        self._versions: dict[tuple[str, str, int], str] = {}  # holder, licence, version → case
        self._as_of = ""

    def take(self, fact: Fact) -> None:
        """Take in one fact."""
        body, holder = fact.body, fact.holder
        self._as_of = max(self._as_of, fact.time)
        match body:
            case f.CaseOpened():
                case = Handled(body.item, body.applicant.division, stops=[], running={})
                case.authority = next((self._issuers[t] for t in body.targets if t in self._issuers), "")
                self._cases[holder, body.case] = case
                self._divisions.setdefault(holder, body.applicant.division)
            case f.LicenceGranted() | f.ImportRecorded():
                self._issuers[body.grant.licence_id] = body.grant.authority.code
                self._divisions[holder] = body.grant.division
            case f.IssueFailed():
                self._issued(holder, body.licence, body.version, failed=True)
            case f.LicenceIssued():
                self._issued(holder, body.issued.licence_id, body.issued.version, failed=False)
            case f.FilingPushed():
                key = compare(body.filing.filing_id)
                self._rounds[holder, key] = body.round
                self._filings[holder, key, body.round] = self._pushed(holder, body)
            case f.FilingMoved() if body.state in ("claimed", "returned"):
                filing = self._filings.get(
                    (holder, body.filing_id, self._rounds.get((holder, body.filing_id), 1))
                )
                if filing is not None:
                    filing.decided_on, filing.outcome = day_of(fact.time).isoformat(), body.state
            case f.ClockCorrected():
                for (one, _), case in self._cases.items():
                    if one == holder and case.outcome in ("lapsed", "refused") and case.decided_at > body.to:
                        case.decided_on = case.decided_at = case.outcome = ""
            case _:
                self._case(fact)

    def _issued(self, holder: str, licence: str, version: int, *, failed: bool) -> None:
        case = self._cases.get((holder, self._versions.get((holder, licence, version), "")))
        if case is not None:
            case.unissued = failed

    def _case(self, fact: Fact) -> None:
        case = self._cases.get((fact.holder, getattr(fact.body, "case", "")))
        if case is None:
            return
        match fact.body:
            case f.CaseAccepted() | f.CaseCompleted() as body:
                case.complete_on, case.promised = body.complete_on, body.promised
            case f.ClockStopped() as body:
                case.running[body.clock] = body.on
            case f.ClockResumed() as body:
                case.stops.append((case.running.pop(body.clock, body.on), body.on))
                case.promised = body.promised
            case f.CaseGranted() | f.CaseRefused() | f.CaseWithdrawn() | f.CaseLapsed():
                case.decided_on, case.outcome = day_of(fact.time).isoformat(), fact.type.removeprefix("case.")
                case.decided_at = fact.time
                if isinstance(fact.body, f.CaseGranted):
                    granted = fact.body
                    self._versions[fact.holder, granted.licence, granted.version] = granted.case
            case _:
                pass

    def _pushed(self, holder: str, body: f.FilingPushed) -> Handled:
        item = self._catalogue.get(body.filing.item)
        due = (
            calendar.add(date.fromisoformat(body.pushed_on), item.limits.promised).on.isoformat()
            if item
            else ""
        )
        division = self._divisions.get(holder, "")
        return Handled(
            body.filing.item,
            division,
            _department(body.filing.department, item, division),
            body.pushed_on,
            due,
            stops=[],
            running={},
        )

    def kept(self) -> Kept:
        """Return what was handled, each with its authority."""
        for case in self._cases.values():
            item = self._catalogue.get(case.item)
            issuer = issuing_authority(item, case.division) if item else None
            case.authority = case.authority or (issuer.code if issuer else "")
        return Kept((*self._cases.values(), *self._filings.values()), self._as_of)


def _department(department: str, item: ServiceItem | None, division: str) -> str:
    """Return the authority that answers a filing."""
    at = at_level(division, item.level) if item else None
    return f"urn:agency:{at}:{department}" if at else ""


# ---- figures ------------------------------------------------------------------------------------------------


def actual_days(one: Handled) -> int:
    """Working days that count, from the day after it was complete to its decision; stops do not count."""
    start, end = date.fromisoformat(one.complete_on), date.fromisoformat(one.decided_on)
    total = calendar.between(start + ONE_DAY, end)
    stops = [*one.stops, *((since, one.decided_on) for since in one.running.values())]
    off: set[date] = set()
    for first, last in stops:
        day = max(start, date.fromisoformat(first)) + ONE_DAY
        while day <= min(end, date.fromisoformat(last)):
            if calendar.is_workday(day):
                off.add(day)
            day += timedelta(days=1)
    return total - len(off)


def in_time(one: Handled, as_of: str) -> bool | None:
    """Tell whether the promise was kept, or None where that is not known yet, or there was nothing to keep."""
    if not one.promised or one.outcome in ("withdrawn", "lapsed"):
        return None
    if one.unissued:
        return False
    if (
        one.decided_on and one.running
    ):  # decided while the clock was stopped: the limit did not move, so days are compared
        allowed = msgspec.structs.replace(one, decided_on=one.promised, running={})
        return actual_days(one) <= actual_days(allowed)
    if one.decided_on:
        return one.decided_on <= one.promised
    overdue = not one.running and day_of(as_of).isoformat() > one.promised
    return False if overdue else None


def figures(kept: Kept, catalogue: Catalogue, wanted: Wanted = Wanted()) -> dict[str, Any]:  # noqa: B008
    """Return the published table: rows for each item and authority, and their totals."""
    rows = list(_rows(kept, catalogue, wanted))
    limits = {
        row["item"]: (row["promised"], row["statutory"]) for row in rows if row["statutory"] is not None
    }
    statutory, promised, saved = totals(limits)
    measured, good = (sum(row[name] for row in rows) for name in ("measured", "kept"))
    return {
        "from": wanted.first.isoformat() if wanted.first else None,
        "to": wanted.last.isoformat() if wanted.last else None,
        "as_of": kept.as_of or None,
        "rows": rows,
        "total": {
            "items": len({row["item"] for row in rows}),
            "statutory": statutory,
            "promised": promised,
            "compression": saved,
            "measured": measured,
            "kept": good,
            "kept_rate": _rate(good, measured),
        },
    }


def compression(promised: int, statutory: int) -> float | None:
    """1 − promised ÷ statutory, to a tenth of a per cent; None where there is no statutory limit."""
    return round(1 - promised / statutory, 3) if statutory else None


def _rows(kept: Kept, catalogue: Catalogue, wanted: Wanted) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, str], list[Handled]] = {}
    for one in kept.handled:
        if _is_wanted(one, wanted, kept.as_of):
            groups.setdefault((one.item, one.authority), []).append(one)
    seen = {item for item, _ in groups}
    silent = [c for c in catalogue.items if c not in seen and (not wanted.items or c in wanted.items)]
    for code, issuer in sorted([*groups, *((c, "") for c in silent if not wanted.division)]):
        yield _row(code, issuer, groups.get((code, issuer), []), catalogue.get(code), kept.as_of)


def _is_wanted(one: Handled, wanted: Wanted, as_of: str) -> bool:
    if wanted.items and one.item not in wanted.items:
        return False
    if wanted.division and not is_at_or_above(
        wanted.division, one.authority.split(":")[2] if one.authority else ""
    ):
        return False
    day = one.decided_on or (one.promised if in_time(one, as_of) is False else day_of(as_of).isoformat())
    first, last = (d.isoformat() if d else None for d in (wanted.first, wanted.last))
    return (first is None or day >= first) and (last is None or day <= last)


def _row(
    code: str, issuer: str, handled: list[Handled], item: ServiceItem | None, as_of: str
) -> dict[str, Any]:
    measured = [in_time(one, as_of) for one in handled]
    days = sorted(actual_days(one) for one in handled if one.decided_on and one.complete_on and _counts(one))
    outcomes = [one.outcome for one in handled]
    good = measured.count(True)
    known = len(measured) - measured.count(None)
    return {
        "item": code,
        "name": item.name.zh if item else code,
        "name_en": item.name.en if item else code,
        "mode": item.mode if item else None,
        "authority": issuer or None,
        "authority_name": _name(issuer),
        "handling": item.handling if item else None,
        "statutory": item.limits.statutory if item else None,
        "promised": item.limits.promised if item else None,
        "compression": compression(item.limits.promised, item.limits.statutory) if item else None,
        "median_days": _median(days),
        "p95_days": _p95(days),
        "measured": known,
        "kept": good,
        "kept_rate": _rate(good, known),
        "granted": sum(outcome in ("granted", "claimed") for outcome in outcomes),
        "refused": sum(outcome in ("refused", "returned") for outcome in outcomes),
        "ended": sum(outcome in ("withdrawn", "lapsed") for outcome in outcomes),
        "open": outcomes.count(""),
        "materials_before": item.materials_before if item else None,
        "materials_after": len(item.materials) if item else None,
    }


def _counts(one: Handled) -> bool:
    """Tell whether the authority decided it; what the applicant withdrew or let lapse does not measure its speed."""
    return one.outcome not in ("withdrawn", "lapsed")


def _name(code: str) -> str | None:
    if not code:
        return None
    _, _, division, department = code.split(":")
    return authority(division, department).name


def _median(days: list[int]) -> float | None:
    if not days:
        return None
    middle = len(days) // 2
    return float(days[middle]) if len(days) % 2 else (days[middle - 1] + days[middle]) / 2


def _p95(days: list[int]) -> int | None:
    """Return the smallest number of days in which at least 95 of 100 were decided (nearest rank)."""
    return days[ceil(0.95 * len(days)) - 1] if days else None


def _rate(good: int, known: int) -> float | None:
    return round(good / known, 3) if known else None


def totals(limits: Mapping[str, tuple[int, int]]) -> tuple[int, int, float | None]:
    """Statutory and promised days of several items (code → promised, statutory), and their compression."""
    promised = sum(pair[0] for pair in limits.values())
    statutory = sum(pair[1] for pair in limits.values())
    return statutory, promised, compression(promised, statutory)
