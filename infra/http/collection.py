"""Collection of uploads that no case names: they are deleted after a number of days.

An upload may come before the application that names it, so it is kept for a while. What a fact of a case or an entry
that is not decided yet names is kept. A decision never reads an upload again, since what became of it stands in the
ledger; neither does a replay.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Final

from infra.bootstrap import Installation
from infra.stores import Erasing

KEPT_DAYS: Final = 30
_NAMED: Final = re.compile(rb"store:(uploads/[0-9a-f]{64})")
_FACTS: Final = (
    "SELECT CAST(fact AS BLOB) FROM facts WHERE instr(CAST(fact AS BLOB), CAST('store:uploads/' AS BLOB))"
)
_WAITING: Final = "SELECT CAST(entry AS BLOB) FROM ledger WHERE seq > ?"


def collect_uploads(installation: Installation, *, days: float = KEPT_DAYS, now: float | None = None) -> int:
    """Delete uploads that nothing names and that are older than `days`; return how many. For the embedded engine.

    `now` is Unix seconds (default: the clock of this machine). Raises StoreUnavailable.
    """
    store = installation.store
    if not isinstance(store, Erasing):
        return 0
    before = (time.time() if now is None else now) - days * 86_400
    old = [key for key in store.list("uploads/") if store.written_at(key) < before]
    if not old:
        return 0
    named = set(_named(installation))
    return sum(store.erase(key) for key in old if key not in named)


def _named(installation: Installation) -> Iterator[str]:
    with installation.database() as db, db.snapshot():
        position = int(db.meta("position", "0"))
        for sql, values in ((_FACTS, ()), (_WAITING, (position,))):
            for (raw,) in db.db.execute(sql, values):
                for key in _NAMED.findall(raw):
                    yield key.decode("ascii")
