"""One order for the ledger of many partitions.

Entries of a holder stay in their order. What concerns everyone (ticks, catalogues) stands in every partition; it is
a barrier: what came before it in any partition comes before it here, and it comes once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from infra.kafka.wire import decode_entry
from schemas.ledger import Entry


class Line(NamedTuple):
    """An entry and its bytes."""

    entry: Entry
    raw: bytes


def merge(partitions: Mapping[int, Iterable[bytes]]) -> Iterator[Line]:
    """The entries of all partitions in one order."""
    sources = {n: iter(rows) for n, rows in sorted(partitions.items())}
    told: set[str] = set()
    waiting: dict[int, Line] = {}
    while sources:
        for n in [n for n in sources if n not in waiting]:
            for raw in sources[n]:
                line = Line(decode_entry(raw), raw)
                if line.entry.holder:
                    yield line
                elif line.entry.id not in told:
                    waiting[n] = line
                    break
            else:
                del sources[n]
        if waiting:
            # two schedulers that ran at once may have told two ticks in two orders: the earlier one first
            barrier = min(waiting.values(), key=_moment)
            told.add(barrier.entry.id)
            yield barrier
            for n in [n for n, line in waiting.items() if line.entry.id in told]:
                del waiting[n]


def _moment(line: Line) -> tuple[str, str, str]:
    entry = line.entry
    # a catalogue stands before the first event: it never waits for a tick
    return ("0" if entry.kind == "catalogue" else "1", str(entry.payload.get("time", "")), entry.received_at)
