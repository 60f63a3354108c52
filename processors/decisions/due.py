"""Deadlines: expiry, deemed renewal, lapses, the end of a suspension, alarms.

A thing is due at 00:00 in China of the day after its last day. Its facts are dated by that moment and have a cause
made of the thing itself, so that it does not matter which event or tick came by first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from processors.context import DecisionContext
from processors.decisions import grants, orders, reasons
from processors.evolve_cases import DUE
from processors.state import Case, HolderState, Licence
from schemas import calendar
from schemas import facts as f
from schemas.calendar import ONE_DAY, day_of, months_before, start_of
from schemas.item_types import ServiceItem
from schemas.licence import Grant

_NEVER = "9999-12-31"


class Deadline(NamedTuple):
    """A thing that falls due: its moment (RFC 3339, +08:00), its kind in the order of one moment, and its subject."""

    moment: str
    kind: str
    subject: str


@lru_cache(maxsize=65536)
def after_day(day: str) -> str:
    """Return 00:00 in China of the day after an ISO date."""
    return start_of(date.fromisoformat(day) + ONE_DAY).isoformat()


def dues(state: HolderState) -> Iterator[Deadline]:
    """Yield everything of a holder that will fall due; kinds begin with their order within one moment."""
    for licence in state.licences.values():
        if licence.status == "suspended" and licence.until:
            yield Deadline(after_day(licence.until), "1-suspension-ends", licence.key)
        if licence.living and licence.now.valid_until:
            yield Deadline(after_day(licence.now.valid_until), "4-validity-ends", licence.key)
        for one in licence.unissued:
            if not one.alarmed:
                yield Deadline(after_day(one.due), "8-certificate-overdue", f"{licence.key}:{one.version}")
    for case in state.cases.values():
        if case.open:
            yield from _case_dues(case)
    for check in state.checks.values():
        if check.state == "scheduled":
            yield Deadline(after_day(check.due), "6-check-overdue", check.key)
    for key, filing in state.filings.items():
        if filing.state in ("pushed", "received"):
            for colour, day in (("yellow", filing.yellow), ("red", filing.red)):
                if colour not in filing.alarmed:
                    yield Deadline(after_day(day), f"7-filing-{colour}", key)


def _case_dues(case: Case) -> Iterator[Deadline]:
    if case.deferred:
        yield Deadline(after_day(min(case.deferred.values())), "2-deferral-ends", case.key)
    if case.state == "correction-requested":
        yield Deadline(after_day(case.correction), "3-correction-ends", case.key)
        return
    stopped = min(case.clocks.values(), default=_NEVER)  # no limit passes after the first running stop
    for limit, day in (("promised", case.promised), ("statutory", case.statutory)):
        if day and day <= stopped and limit not in case.alarmed:
            yield Deadline(after_day(day), f"5-{limit}-overdue", case.key)


def certificate(grant: Grant) -> calendar.DueDate:
    """Return the last day for the certificate of a version, counted from the day of its decision."""
    return calendar.add(date.fromisoformat(grant.issued_on), grant.certificate_days)


def next_due(state: HolderState) -> str | None:
    """Return the moment at which a tick next concerns a holder, or None where nothing will fall due.

    Where entries wait, a tick of a later day than theirs waits behind them.
    """
    if state.waiting:
        return after_day(max(day_of(entry["payload"]["time"]) for entry in state.waiting).isoformat())
    return min((due.moment for due in dues(state)), default=None)


def run(context: DecisionContext, until: str) -> None:
    """Decide what fell due by a moment, that moment included, in order."""
    while True:
        first = min(dues(context.state), default=None)
        if first is None or first.moment > until:
            return
        again = f":{context.state.corrected}" if context.state.corrected else ""  # else a fact of the same id
        context.open(f"{DUE}{first.kind}:{first.subject}:{first.moment}{again}", first.moment)
        _HANDLERS[first.kind](context, first.subject)


def _suspension_ends(context: DecisionContext, key: str) -> None:
    context.write(f.LicenceStatusChanged(key, "valid", "suspension.ended"))


def _deferral_ends(context: DecisionContext, key: str) -> None:
    day = min(context.state.cases[key].deferred.values())
    context.write(f.CaseLapsed(key, (reasons.not_in_time(day),)))


def _correction_ends(context: DecisionContext, key: str) -> None:
    context.write(f.CaseLapsed(key, (reasons.not_in_time(context.state.cases[key].correction),)))


def _validity_ends(context: DecisionContext, key: str) -> None:
    licence = context.state.licences[key]
    renewal = next(
        (c for c in context.state.cases.values() if c.open and c.action == "renew" and key in c.targets), None
    )
    if renewal is not None:
        item = context.item(renewal.item)
        if item is not None and _deemed(renewal, licence, item):
            grants.grant(context, renewal, item, deemed=True)
            return
        complete = renewal.state == "accepted" and not renewal.deferred
        ground = reasons.expired_undecided() if complete else reasons.expired_incomplete()
        context.write(f.CaseRefused(renewal.key, (ground,)))
    orders.end(context, licence, "expired", "licence.expired", "有效期届满 / the validity has ended")


def _deemed(case: Case, licence: Licence, item: ServiceItem) -> bool:
    """Tell whether a renewal was filed in time and is complete: no decision by the end is then a grant (许可法 art 50)."""
    end = date.fromisoformat(licence.now.valid_until or "")
    timely = case.filed_on <= months_before(end, item.renewal.protected).isoformat()
    return timely and case.state == "accepted" and not case.deferred


def _promised_overdue(context: DecisionContext, key: str) -> None:
    context.write(f.CaseOverdue(key, "promised", context.state.cases[key].promised))


def _statutory_overdue(context: DecisionContext, key: str) -> None:
    context.write(f.CaseOverdue(key, "statutory", context.state.cases[key].statutory))


def _check_overdue(context: DecisionContext, key: str) -> None:
    context.write(f.CheckOverdue(key, context.state.checks[key].due))


def _yellow(context: DecisionContext, key: str) -> None:
    filing = context.state.filings[key]
    context.write(f.FilingOverdue(key, "yellow", filing.yellow, filing.round, filing.ref))


def _red(context: DecisionContext, key: str) -> None:
    filing = context.state.filings[key]
    context.write(f.FilingOverdue(key, "red", filing.red, filing.round, filing.ref))


def _certificate_overdue(context: DecisionContext, subject: str) -> None:
    key, _, version = subject.rpartition(":")
    one = next(u for u in context.state.licences[key].unissued if u.version == int(version))
    context.write(f.CertificateOverdue(key, one.version, one.due))


_HANDLERS: dict[str, Callable[[DecisionContext, str], None]] = {
    "1-suspension-ends": _suspension_ends,
    "2-deferral-ends": _deferral_ends,
    "3-correction-ends": _correction_ends,
    "4-validity-ends": _validity_ends,
    "5-promised-overdue": _promised_overdue,
    "5-statutory-overdue": _statutory_overdue,
    "6-check-overdue": _check_overdue,
    "7-filing-yellow": _yellow,
    "7-filing-red": _red,
    "8-certificate-overdue": _certificate_overdue,
}
