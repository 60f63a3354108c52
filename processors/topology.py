"""Read this first: the stages, in their order, with what each consumes, how it is keyed, and what it emits.

Both engines run exactly this. A stage is a pure function; what it needs from outside reaches it as a port.
"""

from __future__ import annotations

from typing import NamedTuple


class Stream(NamedTuple):
    """A stream of records. `key` says what keeps its order; on Kafka `topic` is its topic."""

    name: str
    topic: str
    key: str


INBOX = Stream("inbox", "zhengzhao.inbox", "any")
LEDGER = Stream("ledger", "zhengzhao.ledger", "holder")
FACTS = Stream("facts", "zhengzhao.facts", "holder")
GRANTS = Stream("grants", "zhengzhao.grants", "series")
NUMBERED = Stream("numbered", "zhengzhao.numbered", "grant")
LETTERS = Stream("letters", "zhengzhao.dead-letters", "any")
CASES = Stream("cases", "zhengzhao.cases", "holder")
LICENCES = Stream("licences", "zhengzhao.licences", "holder")
FILINGS = Stream("filings", "zhengzhao.filings.<department>", "holder")
INSPECTIONS = Stream("inspections", "zhengzhao.inspections", "holder")


class Stage(NamedTuple):
    """One stage. `state` is what it keeps for each key; a stage without one may run many times at once."""

    name: str
    function: str
    consumes: Stream
    keyed_by: str
    state: str
    emits: tuple[Stream, ...]


TOPOLOGY: tuple[Stage, ...] = (
    Stage("route", "processors.route:route", INBOX, "nothing", "", (LEDGER, LETTERS)),
    Stage("decide", "processors.decide:decide", LEDGER, "holder", "HolderState", (FACTS, GRANTS)),
    Stage(
        "publish",
        "processors.publish:outbound",
        FACTS,
        "holder",
        "",
        (CASES, LICENCES, FILINGS, INSPECTIONS),
    ),
    Stage("number", "processors.number:number", GRANTS, "series", "Series", (NUMBERED, LEDGER)),
    Stage("issue", "issuance.issue:Issuer", NUMBERED, "nothing", "", (LEDGER, LETTERS)),
)
