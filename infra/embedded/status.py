"""Status lists: what is published, when, and what survives a crash in between.

An edition is first recorded, signatures included, then stored, then marked as stored. So an edition in the
store is always one of the record, and what a crash left half done is finished by the next run with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from infra.failpoints import failpoint
from infra.readmodel.database import Database
from issuance.signer import ES256, Signer
from issuance.status_lists import Edition, Published, StatusList, UnsignedEdition, is_due, prepare
from schemas.ports import Store
from schemas.signatures import verifies
from schemas.status_list import StatusReason
from schemas.trust import ANY_AUTHORITY, TrustStore


class EditionRecord(msgspec.Struct, frozen=True):
    """Enough to rebuild an edition without private keys, from the lists as they stood after a fact."""

    name: str
    now: int
    kid: str
    last: Published | None
    published: Published
    list_signature: bytes
    reasons_signature: bytes


_encode = msgspec.msgpack.Encoder().encode


def encode_edition(record: EditionRecord) -> bytes:
    """A recorded edition as it is kept."""
    return _encode(record)


def decode_edition(raw: bytes) -> EditionRecord:
    """A recorded edition."""
    return msgspec.msgpack.decode(raw, type=EditionRecord)


def read_list(db: Database, name: str) -> tuple[StatusList, Published | None]:
    """A list as it stands, and its latest edition."""
    uri, length, published = db.db.execute(
        "SELECT uri, length, published FROM lists WHERE name = ?", (name,)
    ).fetchone()
    statuses: dict[int, int] = {}
    reasons: dict[int, StatusReason] = {}
    sql = "SELECT place, status, reason FROM places WHERE list = ? ORDER BY place"
    for place, status, reason in db.db.execute(sql, (name,)):
        statuses[place] = status
        reasons[place] = msgspec.msgpack.decode(reason, type=StatusReason)
    last = msgspec.msgpack.decode(published, type=Published) if published else None
    return StatusList(name, uri, length, statuses, reasons), last


def due_lists(db: Database, now: int) -> list[str]:
    """Lists that changed, or whose last edition is a day old at `now` (Unix seconds of the last event decided)."""
    found = []
    for name, changed in db.db.execute("SELECT name, changed FROM lists ORDER BY name").fetchall():
        listed, last = read_list(db, name) if changed or _aged(db, name, now) else (None, None)
        if listed is not None and is_due(listed, last, now):
            found.append(name)
    return found


def publish(
    db: Database, store: Store, trust: TrustStore, signer: Callable[[], Signer], now: int
) -> list[str]:
    """Publishes what is due; the keys of the lists stored. Finishes first what a crash left."""
    stored = finish(db, store)
    for name in due_lists(db, now):
        with db.transaction():
            listed, last = read_list(db, name)
            record, unsigned = _signed(listed, last, now, trust, signer())
            facts, _ = db.head()
            db.db.execute(
                "INSERT INTO editions (list, after_fact, edition) VALUES (?, ?, ?)",
                (name, facts, _encode(record)),
            )
            db.db.execute(
                "UPDATE lists SET changed = 0, published = ? WHERE name = ?",
                (_encode(unsigned.published), name),
            )
            # the objects themselves wait here until they are stored
            edition = unsigned.finish(record.list_signature, record.reasons_signature)
            db.db.executemany(
                "INSERT INTO unstored (key, object) VALUES (?, ?)",
                [(edition.reasons_key, edition.reasons_cwt), (edition.list_key, edition.list_cwt)],
            )
        stored += finish(db, store)
    return stored


def finish(db: Database, store: Store) -> list[str]:
    """Stores what is recorded and not stored yet: the reasons before their list."""
    rows = db.db.execute("SELECT seq, key, object FROM unstored ORDER BY seq").fetchall()
    for n, (seq, key, data) in enumerate(rows):
        failpoint("publish-before-store" if n % 2 == 0 else "publish-between")
        store.put(key, data)
        failpoint("publish-after-store")
        with db.transaction():
            db.db.execute("DELETE FROM unstored WHERE seq = ?", (seq,))
    return [key for _, key, _ in rows if ".reasons." not in key]


def rebuild(record: EditionRecord, listed: StatusList) -> list[tuple[str, bytes]]:
    """The objects of a recorded edition again, from the list as it stood: (key, bytes)."""
    unsigned = prepare(listed, record.last, record.now, record.kid)
    edition = unsigned.finish(record.list_signature, record.reasons_signature)
    return [(edition.reasons_key, edition.reasons_cwt), (edition.list_key, edition.list_cwt)]


def verified(record: EditionRecord, listed: StatusList, trust: TrustStore) -> bool:
    """Whether the recorded signatures are over the edition as it is rebuilt."""
    if record.kid not in trust.keys:
        return False
    unsigned = prepare(listed, record.last, record.now, record.kid)
    public = trust.public_key(record.kid)
    return verifies(public, record.list_signature, unsigned.list_to_be_signed) and verifies(
        public, record.reasons_signature, unsigned.reasons_to_be_signed(record.list_signature)
    )


def sign_edition(
    listed: StatusList, last: Published | None, now: int, trust: TrustStore, signer: Signer
) -> tuple[EditionRecord, Edition]:
    """The next edition of a list: what is recorded of it, and its objects."""
    record, unsigned = _signed(listed, last, now, trust, signer)
    return record, unsigned.finish(record.list_signature, record.reasons_signature)


def _aged(db: Database, name: str, now: int) -> bool:
    (published,) = db.db.execute("SELECT published FROM lists WHERE name = ?", (name,)).fetchone()
    last = msgspec.msgpack.decode(published, type=Published) if published else None
    return last is None or now >= last.issued_at + 86_400


def _signed(
    listed: StatusList, last: Published | None, now: int, trust: TrustStore, signer: Signer
) -> tuple[EditionRecord, UnsignedEdition]:
    at = datetime.fromtimestamp(max(now, last.issued_at if last else now)).astimezone()
    kid = trust.signing_key(ANY_AUTHORITY, "status", at).kid
    unsigned = prepare(listed, last, now, kid)
    first = signer.sign(kid, ES256, unsigned.list_to_be_signed)
    second = signer.sign(kid, ES256, unsigned.reasons_to_be_signed(first))
    return EditionRecord(listed.name, now, kid, last, unsigned.published, first, second), unsigned
