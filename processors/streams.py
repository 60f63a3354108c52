"""The streams between stages: names, topics, and what keeps the order of their records."""

from __future__ import annotations

from typing import Final, NamedTuple


class Stream(NamedTuple):
    """A stream of records. Records with the same `key` stay in order; on Kafka `topic` carries them."""

    name: str
    topic: str
    key: str


INBOX: Final = Stream("inbox", "zhengzhao.inbox", "any")
LEDGER: Final = Stream("ledger", "zhengzhao.ledger", "holder")
FACTS: Final = Stream("facts", "zhengzhao.facts", "holder")
GRANTS: Final = Stream("grants", "zhengzhao.grants", "series")
NUMBERED: Final = Stream("numbered", "zhengzhao.numbered", "grant")
LETTERS: Final = Stream("letters", "zhengzhao.dead-letters", "any")
CASES: Final = Stream("cases", "zhengzhao.cases", "holder")
LICENCES: Final = Stream("licences", "zhengzhao.licences", "holder")
FILINGS: Final = Stream("filings", "zhengzhao.filings", "holder")  # one topic for each department
INSPECTIONS: Final = Stream("inspections", "zhengzhao.inspections", "holder")
EDITIONS: Final = Stream("editions", "zhengzhao.editions", "list")
CATALOGUE: Final = Stream(
    "catalogue", "zhengzhao.catalogue", "none"
)  # the catalogue in force; the last one counts
# These two carry nothing: the worker to whom their one partition is assigned ticks, or publishes status lists.
CLOCK: Final = Stream("clock", "zhengzhao.clock", "none")
STATUS: Final = Stream("status", "zhengzhao.status", "none")

PUBLIC: Final = (INBOX, CASES, LICENCES, FILINGS, INSPECTIONS, LETTERS)
"""The streams whose names and records the contract fixes."""


def filings_topic(department: str) -> str:
    """Return the topic that carries the filings of one department."""
    return f"{FILINGS.topic}.{department}"
