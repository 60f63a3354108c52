"""The ledger: the one order, per holder, of everything that `decide` reads.

`route` writes events, the clock writes ticks, `number` and `issue` write back what they did, and settings
and item files that influence a result are written too. So the ledger alone tells how every decision came
about. Entries carry a version; old ones are read through `schemas.upcast`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

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
