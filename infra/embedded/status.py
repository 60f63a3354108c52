"""Publication of status lists by the embedded engine.

An edition is first recorded, signatures included, then stored, then marked as stored. An edition in the store is
therefore always one of the record, and what a crash interrupted is finished by the next run with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from infra.failpoints import failpoint
from infra.readmodel.database import Database
from infra.readmodel.lists import due_lists, read_list, record_edition
from issuance.signer import Signer
from issuance.status_lists import sign_edition
from schemas.ports import Store
from schemas.trust import TrustStore


def publish(
    db: Database, store: Store, trust: TrustStore, signer: Callable[[], Signer], now: int
) -> list[str]:
    """Publish the lists that are due at `now` (Unix seconds) and return the keys of those stored.

    An edition that a crash left unstored is finished first.
    """
    stored = finish(db, store)
    for name in due_lists(db, now):
        with db.transaction():
            listed, last = read_list(db, name)
            record, edition = sign_edition(listed, last, now, trust, signer())
            record_edition(db, record)
            # The objects wait in this table until they are stored.
            db.db.executemany(
                "INSERT INTO unstored (key, object) VALUES (?, ?)",
                [(edition.reasons_key, edition.reasons_cwt), (edition.list_key, edition.list_cwt)],
            )
        stored += finish(db, store)
    return stored


def finish(db: Database, store: Store) -> list[str]:
    """Store what is recorded and not stored yet, the reasons before their list; return the lists' keys."""
    rows = db.db.execute("SELECT seq, key, object FROM unstored ORDER BY seq").fetchall()
    for n, (seq, key, data) in enumerate(rows):
        failpoint("publish-before-store" if n % 2 == 0 else "publish-between")
        store.put(key, data)
        failpoint("publish-after-store")
        with db.transaction():
            db.db.execute("DELETE FROM unstored WHERE seq = ?", (seq,))
    return [key for _, key, _ in rows if ".reasons." not in key]
