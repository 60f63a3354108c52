"""The ledger: the one order, per holder, of everything that `decide` reads.

`route` writes events, the clock writes ticks, `number` and `issue` write back what they did, and settings
and item files that influence a result are written too. So the ledger alone tells how every decision came
about. Entries carry a version; old ones are read through `schemas.ledger`.

Records of earlier releases, read as records of this one.

Whatever is stored carries its version as `v`; events carry theirs in the type (`….v1`). A release that
changes a form raises the form's number in `CURRENT` and registers one step from the number before; steps
are chained, so the oldest record still reads. Steps are pure, and never leave: what was written once is read
for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from schemas.errors import UsageError

LEDGER_PARTITIONS = 64  # for ever: a holder's partition never changes

Auth = Literal["none", "proof", "token", "topic", "internal"]
Kind = Literal["event", "tick", "catalogue", "numbered", "claimed", "issued", "failed", "material"]


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One ledger entry.

    `id` identifies the content: the same event routed twice has the same id. `holder` is the compared form
    of a USCC or a person's pseudonym; empty for ticks and catalogues, which concern everyone. `payload` is
    the routed event (personal fields sealed), or what a stage sent back.
    """

    id: str
    kind: Kind
    holder: str
    received_at: str  # RFC 3339 with zone; for events the moment of routing
    payload: dict[str, Any]
    principal: str = ""  # who sent it: the source URN, or the stage
    auth: Auth = "none"
    v: int = 1


def partition_of(holder: str) -> int:
    """The ledger partition (0 … 63) of a holder, the same in every client and release: SHA-256, not murmur2."""
    return hashlib.sha256(holder.encode()).digest()[0] % LEDGER_PARTITIONS


Record = dict[str, Any]
Step = Callable[[Record], Record]


class Upcasters:
    """The current version of each form, and the steps that lead to it."""

    def __init__(self, current: Mapping[str, int], steps: Mapping[tuple[str, int], Step]) -> None:
        """ValueError when a step is missing, or leads nowhere."""
        expected = {(form, v) for form, last in current.items() for v in range(1, last)}
        if expected != set(steps):
            raise ValueError(f"steps missing or too many: {sorted(expected ^ set(steps))}")
        self._current = dict(current)
        self._steps = dict(steps)

    def read(self, form: str, record: Record) -> Record:
        """The record in its current version. UsageError when a newer release wrote it."""
        version = record.get("v", 1)
        current = self._current[form]
        if not isinstance(version, int) or not 1 <= version <= current:
            raise UsageError(
                f"{form} 的版本 {version!r} 未知（本版读到 {current}） / "
                f"version {version!r} of {form} is unknown (this release reads up to {current})",
                hint="使用写入该数据的版本或更新的版本 / use the release that wrote it, or a later one",
            )
        while version < current:
            record = {**self._steps[form, version](record), "v": version + 1}
            version += 1
        return record


CURRENT: Final[dict[str, int]] = {"entry": 1, "fact": 1, "grant": 1, "numbered": 1, "issued": 1}
STEPS: Final[dict[tuple[str, int], Step]] = {}
UPCASTERS: Final = Upcasters(CURRENT, STEPS)


def upcast(form: str, record: Record) -> Record:
    """A stored `entry`, `fact`, `grant`, `numbered` or `issued` record in the form that this release reads."""
    return record if record.get("v", 1) == CURRENT[form] else UPCASTERS.read(form, record)
