"""`decide(state, entry, catalogue) -> facts`: the one place where anything is decided. Pure; time is an argument.

Before an event of a holder is decided, what of that holder fell due by then happens first. Everything is decided as
of the later of the event's time and the moment as of which something was decided for that holder before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from processors.context import DecisionContext, MustAsk, MustWait
from processors.decisions import cases, due, inspections, intake, orders, reasons, registrations
from processors.evolve import KEY_LENGTH
from processors.state import HolderState
from schemas import event_types as e
from schemas import facts as f
from schemas.calendar import day_of, workday_calendar
from schemas.facts import Fact
from schemas.items import Catalogue
from schemas.ledger import Entry
from schemas.licence import Issued, Numbered

Handler = Callable[[DecisionContext, Any, dict[str, Any]], None]

HANDLERS: dict[str, Handler] = {
    "application.submitted": intake.submitted,
    "application.materials-supplied": cases.supplied,
    "application.withdrawn": lambda desk, data, _: cases.withdrawn(desk, data),
    "application.reviewed": lambda desk, data, _: cases.reviewed(desk, data),
    "application.clock-stopped": lambda desk, data, _: cases.clock_stopped(desk, data),
    "application.clock-resumed": lambda desk, data, _: cases.clock_resumed(desk, data),
    "registration.submitted": registrations.submitted,
    "filing.received": lambda desk, data, _: registrations.moved(desk, data),
    "filing.claimed": lambda desk, data, _: registrations.moved(desk, data),
    "filing.returned": lambda desk, data, _: registrations.moved(desk, data),
    "filing.corrected": lambda desk, data, _: registrations.moved(desk, data),
    "inspection.recorded": lambda desk, data, _: inspections.recorded(desk, data),
    "licence.withdrawn": lambda desk, data, _: orders.ordered(desk, data),
    "licence.rescinded": lambda desk, data, _: orders.ordered(desk, data),
    "licence.revoked": lambda desk, data, _: orders.ordered(desk, data),
    "licence.cancelled": lambda desk, data, _: orders.ordered(desk, data),
    "licence.suspended": lambda desk, data, _: orders.ordered(desk, data),
    "licence.resumed": lambda desk, data, _: orders.ordered(desk, data),
    "decision.annulled": lambda desk, data, _: orders.annulled(desk, data),
    "licence.imported": orders.imported,
    "holder.classified": lambda desk, data, _: orders.classified(desk, data),
}


class Decision(NamedTuple):
    """The facts that an entry led to, and the state after them."""

    facts: list[Fact]
    state: HolderState


def decide(state: HolderState, entry: Entry, catalogue: Catalogue) -> Decision:
    """Decides one entry for one holder; `state` stays as it is.

    Ticks and catalogues concern everyone: a tick is put to each holder for whom something may be due.
    """
    desk = DecisionContext(state, catalogue)
    if entry.kind in ("event", "tick"):
        if not _known(desk.state, entry):
            if desk.state.waiting:
                _wait(desk, entry)
            else:
                _arrives(desk, entry)
    elif entry.kind == "numbered":
        _numbered(desk, entry)
    elif entry.kind == "claimed":
        _claimed(desk, entry)
    elif entry.kind == "issued":
        _issued(desk, entry)
    elif entry.kind == "failed":
        _failed(desk, entry)
    return Decision(desk.facts, desk.state)


def contradicts(state: HolderState, entry: Entry) -> bool:
    """Whether an event of this holder had the same source and id, and other content: it may not enter.

    Where one door sees every event it is turned away there; on Kafka here, before it leaves a trace.
    """
    if entry.kind != "event":
        return False
    key, content = entry.id[:KEY_LENGTH], entry.id[KEY_LENGTH:]
    known = [state.seen[key]] if key in state.seen else []
    known += [str(w["id"])[KEY_LENGTH:] for w in state.waiting if str(w["id"]).startswith(key)]
    return bool(known) and content not in known


def _known(state: HolderState, entry: Entry) -> bool:
    """Whether this very entry was decided, or waits already; of a tick, whether a waiting entry does the same."""
    if entry.kind == "tick":
        return _covered(state, entry)
    key, content = entry.id[:KEY_LENGTH], entry.id[KEY_LENGTH:]
    return (
        state.seen.get(key) == content
        or entry.id in state.seen
        or any(w["id"] == entry.id for w in state.waiting)
    )


def _covered(state: HolderState, tick: Entry) -> bool:
    """Whether something waits that will let happen what this tick would: all falls due at the beginning of a day."""
    day = day_of(tick.payload["time"])
    return any(day_of(waiting["payload"]["time"]) >= day for waiting in state.waiting)


def _arrives(desk: DecisionContext, entry: Entry) -> None:
    try:
        _one(desk, entry)
    except MustAsk as question:
        _ask(desk, entry, question)
        _wait(desk, entry)
    except MustWait:
        _wait(desk, entry)


def _one(desk: DecisionContext, entry: Entry) -> None:
    """Decides an entry. Raises MustWait where something has to be known first."""
    time = max(entry.payload["time"], desk.state.upto)
    if entry.kind == "tick":
        due.run(desk, entry.payload["time"])
        return
    due.run(desk, time)
    desk.open(entry.id, time)
    desk.event = entry.payload["type"]
    desk.source = entry.payload["source"]
    desk.display = entry.payload["who"]["display"]
    desk.event_day = day_of(entry.payload["time"])
    if entry.id[:KEY_LENGTH] in desk.state.seen:
        desk.refuse_event(reasons.other_content())
        return
    data = msgspec.convert(entry.payload["data"], e.EVENT_TYPES[desk.event])
    # of an agency's own topic its name says who sent it; else the source does
    known_by = entry.principal if entry.auth == "topic" else entry.auth
    HANDLERS[desk.event](desk, data, {**entry.payload, "auth": known_by})
    due.run(desk, time)


def _wait(desk: DecisionContext, entry: Entry) -> None:
    desk.open(f"waits:{entry.id}", desk.state.upto or entry.payload["time"])
    desk.write(f.EventWaits(msgspec.to_builtins(entry)))


def _ask(desk: DecisionContext, entry: Entry, question: MustAsk) -> None:
    desk.open(f"asks:{entry.id}", desk.state.upto or entry.payload["time"])
    desk.write(f.NumberAsked(question.number, question.place.series, question.place.serial))


def _numbered(desk: DecisionContext, entry: Entry) -> None:
    numbered = msgspec.convert(entry.payload, Numbered)
    grant = numbered.grant
    found = desk.state.licences[grant.licence_id].version(grant.version)
    if found is not None and found.identifier:
        return
    desk.open(f"numbered:{grant.grant_id}", grant.decided_at)
    desk.write(
        f.LicenceNumbered(
            grant.licence_id,
            grant.version,
            numbered.number,
            numbered.identifier,
            numbered.status_list,
            numbered.status_index,
        )
    )
    _release(desk)


def _claimed(desk: DecisionContext, entry: Entry) -> None:
    """The number of the import that waits first is free, or somebody else's."""
    if desk.state.asked == entry.payload["number"]:
        desk.free = entry.payload["free"]
        _release_first(desk)
        desk.free = None
        _release(desk)


def _release(desk: DecisionContext) -> None:
    """Decides what waits, in its order, up to the first entry that has to wait on."""
    while desk.state.waiting and not desk.state.asked:
        trial = DecisionContext(desk.state, desk.catalogue)
        try:
            _release_first(trial)
        except MustAsk as question:
            _ask(desk, msgspec.convert(desk.state.waiting[0], Entry), question)
        except MustWait:
            return
        else:
            desk.adopt(trial)


def _release_first(desk: DecisionContext) -> None:
    first = msgspec.convert(desk.state.waiting[0], Entry)
    desk.open(f"released:{first.id}", desk.state.upto or first.payload["time"])
    desk.write(f.EventReleased())
    _one(desk, first)


def _issued(desk: DecisionContext, entry: Entry) -> None:
    issued = msgspec.convert(entry.payload, Issued)
    found = desk.state.licences[issued.licence_id].version(issued.version)
    if found is None or found.object_key:
        return
    desk.open(f"issued:{issued.grant_id}", found.grant.decided_at)
    desk.write(f.LicenceIssued(issued))


def _failed(desk: DecisionContext, entry: Entry) -> None:
    """A version could not be issued: its certificate's last day falls due from here on, or has passed already."""
    key, version = entry.payload["licence_id"], entry.payload["version"]
    licence = desk.state.licences[key]
    found = licence.version(version)
    told = any(u.version == version for u in licence.unissued)
    if found is None or found.object_key or told:
        return
    last = due.certificate(found.grant)
    desk.open(f"failed:{found.grant.grant_id}", found.grant.decided_at)
    digest = workday_calendar().digest
    desk.write(f.IssueFailed(key, version, last.on.isoformat(), last.fallback, digest))
    due.run(desk, desk.state.upto)
