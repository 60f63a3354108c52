"""States that a release with another form of state wrote, folded anew from the recorded facts."""

from __future__ import annotations

from infra.engines.database import Database
from infra.engines.projector import due_in_part
from processors import state as states
from processors.evolve import apply
from processors.state import HolderState
from schemas import facts as f

FORM = "state-schema"  # absent: the first form


def renew(db: Database) -> int:
    """Folds every state anew where another release wrote them; how many. Nothing happens where this one did."""
    if db.meta(FORM, "1") == str(states.STATE_SCHEMA):
        return 0
    with db.transaction():
        folded: dict[str, HolderState] = {}
        for (raw,) in db.db.execute("SELECT CAST(fact AS BLOB) FROM facts ORDER BY seq"):
            fact = f.decode(raw)
            if fact.holder not in folded:
                folded[fact.holder] = states.initial(fact.holder)
            apply(folded[fact.holder], fact)
        rows = [(holder, states.encode(state), due_in_part(state)) for holder, state in folded.items()]
        db.db.executemany("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", rows)
        db.set_meta(FORM, str(states.STATE_SCHEMA))
    return len(rows)
