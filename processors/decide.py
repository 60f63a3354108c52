"""`decide(state, entry, catalogue) -> facts`: the one place where anything is decided. Pure; time is an argument.

Before an event of a holder is decided, everything of that holder that fell due by then happens first. An event is
decided as of its own time, or as of the last moment decided for that holder where that is later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from processors.context import DecisionContext, MustAsk, MustWait
from processors.decisions import cases, due, inspections, intake, orders, reasons, registrations
from processors.evolve import KEY_LENGTH
from processors.evolve_cases import is_correctable
from processors.state import MOST_WAITING, MOST_WAITING_BYTES, HolderState, seen_content
from schemas import event_types as e
from schemas import facts as f
from schemas.calendar import day_of, workday_calendar
from schemas.facts import Fact
from schemas.items import Catalogue
from schemas.ledger import (
    ClaimedEntry,
    CorrectedEntry,
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
    "application.withdrawn": lambda context, data, _: cases.withdrawn(context, data),
    "application.reviewed": lambda context, data, _: cases.reviewed(context, data),
    "application.clock-stopped": lambda context, data, _: cases.clock_stopped(context, data),
    "application.clock-resumed": lambda context, data, _: cases.clock_resumed(context, data),
    "registration.submitted": registrations.submitted,
    "filing.received": lambda context, data, _: registrations.moved(context, data),
    "filing.claimed": lambda context, data, _: registrations.moved(context, data),
    "filing.returned": lambda context, data, _: registrations.moved(context, data),
    "filing.corrected": lambda context, data, _: registrations.moved(context, data),
    "inspection.recorded": inspections.recorded,
    "inspections.published": inspections.published,
    "licence.withdrawn": lambda context, data, _: orders.ordered(context, data),
    "licence.rescinded": lambda context, data, _: orders.ordered(context, data),
    "licence.revoked": lambda context, data, _: orders.ordered(context, data),
    "licence.cancelled": lambda context, data, _: orders.ordered(context, data),
    "licence.suspended": lambda context, data, _: orders.ordered(context, data),
    "licence.resumed": lambda context, data, _: orders.ordered(context, data),
    "decision.annulled": lambda context, data, _: orders.annulled(context, data),
    "licence.imported": orders.imported,
    "holder.classified": lambda context, data, _: orders.classified(context, data),
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
    context = DecisionContext(state, catalogue)
    failed: list[FailedInput] = []
    if isinstance(entry, EventEntry | TickEntry):
        if not _known(context.state, entry):
            if context.state.waiting:
                _wait(context, entry)
            else:
                _arrives(context, entry)
    elif isinstance(entry, NumberedEntry):
        _numbered(context, entry.payload, failed)
    elif isinstance(entry, ClaimedEntry):
        _claimed(context, entry.payload, failed)
    elif isinstance(entry, IssuedEntry):
        _issued(context, entry.payload)
    elif isinstance(entry, FailedEntry):
        _failed(context, entry.payload)
    elif isinstance(entry, CorrectedEntry) and is_correctable(state, entry.payload.time):
        context.open(entry.id, entry.payload.time)
        context.write(f.ClockCorrected(entry.payload.time, entry.payload.reason))
    due.next_due(context.state)  # raises where a date lies beyond the calendar
    return Decision(context.facts, context.state, tuple(failed))


def contradicts(state: HolderState, entry: Entry) -> bool:
    """Tell whether an event with this source and id, and other content, came for the holder before.

    The embedded engine turns such an event away at the door; on Kafka it is found here, before it leaves a trace.
    """
    if not isinstance(entry, EventEntry):
        return False
    key, content = entry.id[:KEY_LENGTH], entry.id[KEY_LENGTH:]
    before = seen_content(state, key)
    known = [before] if before is not None else []
    known += [str(w["id"])[KEY_LENGTH:] for w in state.waiting if str(w["id"]).startswith(key)]
    return bool(known) and content not in known


def _known(state: HolderState, entry: EventEntry | TickEntry) -> bool:
    """Tell whether an event was decided or waits already, or whether a waiting entry makes a tick superfluous."""
    if isinstance(entry, TickEntry):
        return _covered(state, entry)
    key, content = entry.id[:KEY_LENGTH], entry.id[KEY_LENGTH:]
    return (
        seen_content(state, key) == content
        or entry.id in state.seen
        or any(w["id"] == entry.id for w in state.waiting)
    )


def _covered(state: HolderState, tick: TickEntry) -> bool:
    """Tell whether a waiting entry has the same effect as a tick, since everything falls due at the start of a day."""
    day = day_of(tick.payload.time)
    return any(day_of(waiting["payload"]["time"]) >= day for waiting in state.waiting)


def _arrives(context: DecisionContext, entry: EventEntry | TickEntry) -> None:
    try:
        _one(context, entry)
    except MustAsk as question:
        _ask(context, entry, question)
        _wait(context, entry)
    except MustWait:
        _wait(context, entry)


def _one(context: DecisionContext, entry: EventEntry | TickEntry) -> None:
    """Decide an entry. Raises MustWait where something has to be known first."""
    time = max(entry.payload.time, context.state.upto)
    if isinstance(entry, TickEntry):
        due.run(context, entry.payload.time)
        return
    sent = entry.payload
    due.run(context, time)
    context.open(entry.id, time)
    context.event = sent.type
    context.source = sent.source
    context.rules = sent.rules
    if sent.rules >= 3:
        context.told, context.received = sent.time, entry.received_at
    context.display = sent.who.display
    context.event_day = day_of(sent.time)
    if seen_content(context.state, entry.id[:KEY_LENGTH]) is not None:
        context.refuse_event(reasons.other_content())
        return
    data = msgspec.convert(sent.data, e.EVENT_TYPES[context.event])
    # Only one agency can write to its own topic, so the principal says who sent the event; elsewhere `auth` does.
    known_by = entry.principal if entry.auth == "topic" else entry.auth
    HANDLERS[context.event](context, data, {**msgspec.to_builtins(sent), "auth": known_by})
    due.run(context, time)


def _wait(context: DecisionContext, entry: EventEntry | TickEntry) -> None:
    if isinstance(entry, EventEntry) and entry.payload.rules >= 3 and _is_full(context.state.waiting):
        sent = entry.payload
        context.open(entry.id, context.state.upto or sent.time)
        context.event, context.source, context.display = sent.type, sent.source, sent.who.display
        context.refuse_event(reasons.too_many_wait())
        return
    context.open(f"waits:{entry.id}", context.state.upto or entry.payload.time)
    context.write(f.EventWaits(entry_record(entry)))


def _is_full(waiting: Sequence[dict[str, Any]]) -> bool:
    """Tell whether so much waits that a further event has to come again later."""
    if len(waiting) >= MOST_WAITING:
        return True
    return sum(len(msgspec.json.encode(one)) for one in waiting) >= MOST_WAITING_BYTES


def _ask(context: DecisionContext, entry: EventEntry | TickEntry, question: MustAsk) -> None:
    context.open(f"asks:{entry.id}", context.state.upto or entry.payload.time)
    context.write(f.NumberAsked(question.number, question.place.series, question.place.serial))


def _numbered(context: DecisionContext, numbered: Numbered, failed: list[FailedInput]) -> None:
    grant = numbered.grant
    found = context.state.licences[grant.licence_id].version(grant.version)
    if found is not None and found.identifier:
        return
    context.open(f"numbered:{grant.grant_id}", grant.decided_at)
    context.write(
        f.LicenceNumbered(
            grant.licence_id,
            grant.version,
            numbered.number,
            numbered.identifier,
            numbered.status_list,
            numbered.status_index,
        )
    )
    _release(context, failed)


def _claimed(context: DecisionContext, answer: NumberAnswer, failed: list[FailedInput]) -> None:
    """Decide the import that waits first, now that its number is known to be free or taken."""
    if context.state.asked == answer.number:
        _try_first(context, answer.free, failed)
        _release(context, failed)


def _release(context: DecisionContext, failed: list[FailedInput]) -> None:
    """Decide what waits, in its order, up to the first entry that has to wait on."""
    while context.state.waiting and not context.state.asked:
        try:
            _try_first(context, None, failed)
        except MustAsk as question:
            _ask(context, _first(context), question)
        except MustWait:
            return


def _try_first(context: DecisionContext, free: bool | None, failed: list[FailedInput]) -> None:
    """Decide the entry that waits first; `free` answers for the number that it imports.

    An entry that cannot be decided is released without effect, so that the holder's other entries go on. Raises
    MustWait where it has to wait on.
    """
    trial = DecisionContext(context.state, context.catalogue)
    trial.free = free
    try:
        _release_first(trial)
        due.next_due(trial.state)
    except MustWait:
        raise
    except Exception as error:
        failed.append(FailedInput(_first(context), error))
        _open_first(context)
    else:
        context.adopt(trial)


def _release_first(context: DecisionContext) -> None:
    _one(context, _open_first(context))


def _open_first(context: DecisionContext) -> EventEntry | TickEntry:
    """Take the first entry out of those that wait."""
    first = _first(context)
    context.open(f"released:{first.id}", context.state.upto or first.payload.time)
    context.write(f.EventReleased())
    return first


def _first(context: DecisionContext) -> EventEntry | TickEntry:
    first = entry_of(context.state.waiting[0])
    assert isinstance(first, EventEntry | TickEntry)  # nothing else ever waits
    return first


def _issued(context: DecisionContext, issued: Issued) -> None:
    found = context.state.licences[issued.licence_id].version(issued.version)
    if found is None or found.object_key:
        return
    context.open(f"issued:{issued.grant_id}", found.grant.decided_at)
    context.write(f.LicenceIssued(issued))


def _failed(context: DecisionContext, failed: FailedVersion) -> None:
    """Record that a version could not be issued; the last day for its certificate falls due from here on."""
    licence = context.state.licences[failed.licence_id]
    found = licence.version(failed.version)
    recorded = any(u.version == failed.version for u in licence.unissued)
    if found is None or found.object_key or recorded:
        return
    last = due.certificate(found.grant)
    context.open(f"failed:{found.grant.grant_id}", found.grant.decided_at)
    digest = workday_calendar().digest
    context.write(
        f.IssueFailed(failed.licence_id, failed.version, last.on.isoformat(), last.fallback, digest)
    )
    due.run(context, context.state.upto)
