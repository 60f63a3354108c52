"""Status lists in a data file: their content as it stands, and which of them are due for an edition."""

from __future__ import annotations

import msgspec

from infra.readmodel.database import Database
from issuance.status_lists import EditionRecord, Published, StatusList, encode_edition, is_due
from schemas.status_list import StatusReason

_DAY = 86_400


def read_list(db: Database, name: str) -> tuple[StatusList, Published | None]:
    """Return a list as it stands, and its latest edition."""
    uri, length, published = db.db.execute(
        "SELECT uri, length, published FROM lists WHERE name = ?", (name,)
    ).fetchone()
    statuses: dict[int, int] = {}
    reasons: dict[int, StatusReason] = {}
    sql = "SELECT place, status, reason FROM places WHERE list = ? ORDER BY place"
    for place, status, reason in db.db.execute(sql, (name,)):
        statuses[place] = status
        reasons[place] = msgspec.msgpack.decode(reason, type=StatusReason)
    return StatusList(name, uri, length, statuses, reasons), _published(published)


def due_lists(db: Database, now: int) -> list[str]:
    """Return the lists that changed, or whose latest edition is a day old at `now` (Unix seconds)."""
    found = []
    for name, changed, published in db.db.execute(
        "SELECT name, changed, published FROM lists ORDER BY name"
    ).fetchall():
        last = _published(published)
        if changed or last is None or now >= last.issued_at + _DAY:
            listed, last = read_list(db, name)
            if is_due(listed, last, now):
                found.append(name)
    return found


def follows_last(db: Database, record: EditionRecord) -> bool:
    """Tell whether an edition names the latest one of its list as the one before it."""
    row = db.db.execute("SELECT published FROM lists WHERE name = ?", (record.name,)).fetchone()
    return row is not None and _published(row[0]) == record.last


def record_edition(db: Database, record: EditionRecord) -> None:
    """Record an edition after the facts that it was made from; call it inside a transaction."""
    db.db.execute(
        "INSERT INTO editions (list, after_fact, edition) VALUES (?, ?, ?)",
        (record.name, db.head()[0], encode_edition(record)),
    )
    set_published(db, record, changed=False)


def set_published(db: Database, record: EditionRecord, *, changed: bool) -> None:
    """Note an edition as the latest of its list; `changed` makes `due_lists` compare the content once more."""
    db.db.execute(
        "UPDATE lists SET changed = ?, published = ? WHERE name = ?",
        (int(changed), msgspec.msgpack.encode(record.published), record.name),
    )


def _published(raw: bytes | None) -> Published | None:
    return msgspec.msgpack.decode(raw, type=Published) if raw else None
