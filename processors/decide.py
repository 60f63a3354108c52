"""`decide(state, entry, catalogue) -> facts`: the one place where anything is decided. Pure; time is an argument.

Before an event of a holder is decided, everything of that holder that fell due by then happens first. An event is
decided as of its own time, or as of the last moment decided for that holder where that is later.
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
from schemas.ledger import (
    ClaimedEntry,
    Entry,
    EventEntry,
    FailedEntry,
    FailedVersion,
    IssuedEntry,
    NumberAnswer,
    NumberedEntry,
    TickEntry,
    entry_of,
    entry_record,
)
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


class FailedInput(NamedTuple):
    """An entry that could not be decided, and the error: a fault of the program, or content that nobody foresaw."""

    entry: Entry
    error: Exception


class Decision(NamedTuple):
    """The facts that an entry led to, and the state after them.

    `failed` are entries that had waited for this one and could not be decided: they have no effect.
    """

    facts: list[Fact]
    state: HolderState
    failed: tuple[FailedInput, ...] = ()


def decide(state: HolderState, entry: Entry, catalogue: Catalogue) -> Decision:
    """Decide one entry for one holder; `state` is not changed.

    Ticks and catalogues concern everyone; a tick is decided for each holder for whom something may be due.
    """
    desk = DecisionContext(state, catalogue)
    failed: list[FailedInput] = []
    if isinstance(entry, EventEntry | TickEntry):
        if not _known(desk.state, entry):
            if desk.state.waiting:
                _wait(desk, entry)
            else:
                _arrives(desk, entry)
    elif isinstance(entry, NumberedEntry):
        _numbered(desk, entry.payload, failed)
    elif isinstance(entry, ClaimedEntry):
        _claimed(desk, entry.payload, failed)
    elif isinstance(entry, IssuedEntry):
        _issued(desk, entry.payload)
    elif isinstance(entry, FailedEntry):
        _failed(desk, entry.payload)
    due.next_due(desk.state)  # raises where a date lies beyond the calendar
    return Decision(desk.facts, desk.state, tuple(failed))


def contradicts(state: HolderState, entry: Entry) -> bool:
    """Tell whether an event with this source and id, and other content, came for the holder before.

    The embedded engine turns such an event away at the door; on Kafka it is found here, before it leaves a trace.
    """
    if not isinstance(entry, EventEntry):
        return False
    key, content = entry.id[:KEY_LENGTH], entry.id[KEY_LENGTH:]
    known = [state.seen[key]] if key in state.seen else []
    known += [str(w["id"])[KEY_LENGTH:] for w in state.waiting if str(w["id"]).startswith(key)]
    return bool(known) and content not in known


def _known(state: HolderState, entry: EventEntry | TickEntry) -> bool:
    """Tell whether an event was decided or waits already, or whether a waiting entry makes a tick superfluous."""
    if isinstance(entry, TickEntry):
        return _covered(state, entry)
    key, content = entry.id[:KEY_LENGTH], entry.id[KEY_LENGTH:]
    return (
        state.seen.get(key) == content
        or entry.id in state.seen
        or any(w["id"] == entry.id for w in state.waiting)
    )


def _covered(state: HolderState, tick: TickEntry) -> bool:
    """Tell whether a waiting entry has the same effect as a tick, since everything falls due at the start of a day."""
    day = day_of(tick.payload.time)
    return any(day_of(waiting["payload"]["time"]) >= day for waiting in state.waiting)


def _arrives(desk: DecisionContext, entry: EventEntry | TickEntry) -> None:
    try:
        _one(desk, entry)
    except MustAsk as question:
        _ask(desk, entry, question)
        _wait(desk, entry)
    except MustWait:
        _wait(desk, entry)


def _one(desk: DecisionContext, entry: EventEntry | TickEntry) -> None:
    """Decide an entry. Raises MustWait where something has to be known first."""
    time = max(entry.payload.time, desk.state.upto)
    if isinstance(entry, TickEntry):
        due.run(desk, entry.payload.time)
        return
    sent = entry.payload
    due.run(desk, time)
    desk.open(entry.id, time)
    desk.event = sent.type
    desk.source = sent.source
    desk.rules = sent.rules
    desk.display = sent.who.display
    desk.event_day = day_of(sent.time)
    if entry.id[:KEY_LENGTH] in desk.state.seen:
        desk.refuse_event(reasons.other_content())
        return
    data = msgspec.convert(sent.data, e.EVENT_TYPES[desk.event])
    # Only one agency can write to its own topic, so the principal says who sent the event; elsewhere `auth` does.
    known_by = entry.principal if entry.auth == "topic" else entry.auth
    HANDLERS[desk.event](desk, data, {**msgspec.to_builtins(sent), "auth": known_by})
    due.run(desk, time)


def _wait(desk: DecisionContext, entry: EventEntry | TickEntry) -> None:
    desk.open(f"waits:{entry.id}", desk.state.upto or entry.payload.time)
    desk.write(f.EventWaits(entry_record(entry)))


def _ask(desk: DecisionContext, entry: EventEntry | TickEntry, question: MustAsk) -> None:
    desk.open(f"asks:{entry.id}", desk.state.upto or entry.payload.time)
    desk.write(f.NumberAsked(question.number, question.place.series, question.place.serial))


def _numbered(desk: DecisionContext, numbered: Numbered, failed: list[FailedInput]) -> None:
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
    _release(desk, failed)


def _claimed(desk: DecisionContext, answer: NumberAnswer, failed: list[FailedInput]) -> None:
    """Decide the import that waits first, now that its number is known to be free or taken."""
    if desk.state.asked == answer.number:
        _try_first(desk, answer.free, failed)
        _release(desk, failed)


def _release(desk: DecisionContext, failed: list[FailedInput]) -> None:
    """Decide what waits, in its order, up to the first entry that has to wait on."""
    while desk.state.waiting and not desk.state.asked:
        try:
            _try_first(desk, None, failed)
        except MustAsk as question:
            _ask(desk, _first(desk), question)
        except MustWait:
            return


def _try_first(desk: DecisionContext, free: bool | None, failed: list[FailedInput]) -> None:
    """Decide the entry that waits first; `free` answers for the number that it imports.

    An entry that cannot be decided is released without effect, so that the holder's other entries go on. Raises
    MustWait where it has to wait on.
    """
    trial = DecisionContext(desk.state, desk.catalogue)
    trial.free = free
    try:
        _release_first(trial)
        due.next_due(trial.state)
    except MustWait:
        raise
    except Exception as error:
        failed.append(FailedInput(_first(desk), error))
        _open_first(desk)
    else:
        desk.adopt(trial)


def _release_first(desk: DecisionContext) -> None:
    _one(desk, _open_first(desk))


def _open_first(desk: DecisionContext) -> EventEntry | TickEntry:
    """Take the first entry out of those that wait."""
    first = _first(desk)
    desk.open(f"released:{first.id}", desk.state.upto or first.payload.time)
    desk.write(f.EventReleased())
    return first


def _first(desk: DecisionContext) -> EventEntry | TickEntry:
    first = entry_of(desk.state.waiting[0])
    assert isinstance(first, EventEntry | TickEntry)  # nothing else ever waits
    return first


def _issued(desk: DecisionContext, issued: Issued) -> None:
    found = desk.state.licences[issued.licence_id].version(issued.version)
    if found is None or found.object_key:
        return
    desk.open(f"issued:{issued.grant_id}", found.grant.decided_at)
    desk.write(f.LicenceIssued(issued))


def _failed(desk: DecisionContext, failed: FailedVersion) -> None:
    """Record that a version could not be issued; the last day for its certificate falls due from here on."""
    licence = desk.state.licences[failed.licence_id]
    found = licence.version(failed.version)
    recorded = any(u.version == failed.version for u in licence.unissued)
    if found is None or found.object_key or recorded:
        return
    last = due.certificate(found.grant)
    desk.open(f"failed:{found.grant.grant_id}", found.grant.decided_at)
    digest = workday_calendar().digest
    desk.write(f.IssueFailed(failed.licence_id, failed.version, last.on.isoformat(), last.fallback, digest))
    due.run(desk, desk.state.upto)
