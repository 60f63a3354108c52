"""Read this first: the stages in their order, with what each consumes, how that is keyed, and what it emits.

Both engines iterate over `TOPOLOGY`: they run each stage's step and store what it returns. A step is a pure function.
Where a stage touches the world outside (`reaches`), an engine's port does that; two stages consist of such a port alone
and have no step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from processors import route, stages
from processors.stages import (
    CASES,
    CLOCK,
    EDITIONS,
    FACTS,
    FILINGS,
    GRANTS,
    INBOX,
    INSPECTIONS,
    LEDGER,
    LETTERS,
    LICENCES,
    LOGGED,
    NUMBERED,
    Stream,
)
from processors.transparency import entries_of


class Stage(NamedTuple):
    """One stage.

    `step` is applied to each input; where a stage `reaches` outside (keys, store, webhooks), its step only says what
    follows from the outcome. `state` names what the stage keeps for each key; a stage without state may run many
    times at once. `settled`: on one machine the stage runs once nothing else is pending.
    """

    name: str
    step: Callable[..., Any] | None
    consumes: Stream
    keyed_by: str
    state: str
    emits: tuple[Stream, ...]
    reaches: str = ""
    settled: bool = False


TOPOLOGY: Final[tuple[Stage, ...]] = (
    Stage("route", route.route, INBOX, "nothing", "", (LEDGER, LETTERS)),
    Stage("clock", route.tick, CLOCK, "nothing", "", (LEDGER,)),
    Stage("decide", stages.decide_step, LEDGER, "holder", "HolderState", (FACTS, GRANTS, LETTERS)),
    Stage("publish", stages.publish_step, FACTS, "holder", "", (CASES, LICENCES, FILINGS, INSPECTIONS)),
    Stage("number", stages.number_step, GRANTS, "series", "Series", (NUMBERED, LEDGER, LETTERS)),
    Stage("issue", stages.issued_step, NUMBERED, "nothing", "", (LEDGER, LETTERS), "keys, objects"),
    Stage("status", None, FACTS, "list", "StatusList", (EDITIONS,), "keys, objects", settled=True),
    Stage("deliver", None, FILINGS, "department", "", (), "folders, webhooks", settled=True),
    Stage("log", entries_of, FACTS, "nothing", "LogOrder", (LOGGED,), "keys, objects", settled=True),
)

_BY_NAME: Final = {stage.name: stage for stage in TOPOLOGY}


def stage(name: str) -> Stage:
    """Return the stage of a name. Raises KeyError for an unknown one."""
    return _BY_NAME[name]


def returns_to(place: str) -> Stream:
    """Return the stream that takes a dead letter back: what the stage that failed consumes."""
    return stage(place).consumes
