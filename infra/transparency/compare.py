"""The log held against the record: what replay finds, which of the two is the shorter, and from where on.

1. Every fact, edition, catalogue and paper that leads to an entry has one in the published log, and the other way round.
2. The recorded order and the published log say the same, entry by entry.
3. Tiles made again from the entries are those in the store, and their root is the one of the head.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from infra.draw.store import DrawStore
from infra.readmodel.database import Database
from infra.settings import Settings
from infra.transparency.client import LogReader
from infra.transparency.installation import ORDER_FILE, draw_entries, edition_entries, trust_editions
from infra.transparency.sequencer import SqliteOrder
from infra.transparency.tiles import PREFIX, StoredLog
from processors.transparency import PUBLISHED, catalogue_logged, entries_of
from schemas import facts
from schemas.errors import NotFound, VerificationError
from schemas.ledger import CatalogueEntry, decode_entry
from schemas.ports import ReplacingStore, Store
from schemas.transparency.entries import (
    AnnouncementEntry,
    CatalogueLogged,
    LogEntry,
    ReplacementEntry,
    TranscriptEntry,
    TrustEntry,
    VoidEntry,
    read_entry,
)
from schemas.transparency.merkle import EMPTY_ROOT
from schemas.transparency.notes import Checkpoint, read_checkpoint, read_note
from schemas.transparency.tiles import RightEdge, grow, tile_at
from schemas.trust import TrustStore

Note = Callable[[str, str, str], None]  # what, subject, problem
ReadOrder = Callable[[], Iterable[bytes] | None]
"""Reads the recorded order of the log from its start; None where there is no record of it."""
_OF_DRAWS = AnnouncementEntry | VoidEntry | TranscriptEntry | ReplacementEntry
_PATIENCE = 12.0  # seconds: an issued licence is in the log within ten
_AT_ONCE = 4_096
_LOG = "log"


def compare_log(
    settings: Settings,
    trust: TrustStore,
    store: Store,
    source: Database,
    rebuilt: Store,
    note: Note,
    *,
    patient: bool,
    read_order: ReadOrder | None = None,
) -> None:
    """Note every difference between the log of an installation and its record; tiles are made again in `rebuilt`.

    With `patient` somebody may be writing: what is missing at the end gets the time in which it has to come.
    `read_order`: where the order is recorded elsewhere than in the data folder.
    """
    if not trust.log_keys or not isinstance(store, ReplacingStore):
        return
    stored, expected = StoredLog(store), _Expected(settings, source, store)
    deadline = time.monotonic() + (_PATIENCE if patient else 0)
    published = _published(stored, note)
    while expected.missing(published.entries) and time.monotonic() < deadline:
        time.sleep(1)
        published = _published(stored, note)
    # An entry has its place before it is published, so an order that is read after the log cannot be the shorter one.
    order = (read_order or partial(_order_of_folder, settings.data / ORDER_FILE))()
    recorded = None if order is None else list(order)
    compared = published
    while recorded and len(compared.entries) < len(recorded) and time.monotonic() < deadline:
        time.sleep(1)
        compared = _published(stored, note)
    expected.compare(published.entries, note)
    _compare_edition(trust, published.entries, note)
    if recorded is not None:
        _compare_order(recorded, published.entries, compared.entries, note)
    _rebuild(stored, published, rebuilt, note)


class _PublishedLog(NamedTuple):
    """A published head, None without one, and the entries under it; fewer where some cannot be read."""

    head: Checkpoint | None
    entries: list[bytes]


def _published(stored: StoredLog, note: Note) -> _PublishedLog:
    """Return the published log; what cannot be read is noted, with all that comes after it."""
    data = stored.head()
    if data is None:
        return _PublishedLog(None, [])
    entries: list[bytes] = []
    head = None
    try:
        head = read_checkpoint(read_note(data))
        entries.extend(raw for _, raw in LogReader(stored, head, data).entries())
    except (NotFound, VerificationError) as error:
        note(_LOG, f"entry {len(entries)}", f"cannot be read, nor what comes after it / 无法读取: {error}")
    return _PublishedLog(head, entries)


class _Expected:
    """The entries that the record leads to, each with the place in the record that says so."""

    def __init__(self, settings: Settings, source: Database, store: Store) -> None:
        self._draws = (settings.data / "draws").is_dir()
        self._trust = (settings.trust / "editions").is_dir()
        self._places: dict[str, str] = {}
        self._also: set[str] = set()  # entries of earlier releases
        for place, entry in self._record(settings, source, store):
            self._places.setdefault(entry.id, place)

    def missing(self, published: list[bytes]) -> list[str]:
        """Return the places in the record whose entries are not published."""
        there = {hashlib.sha256(raw).hexdigest() for raw in published}
        return [place for identity, place in self._places.items() if identity not in there]

    def compare(self, published: list[bytes], note: Note) -> None:
        """Note what either side lacks, and from where on."""
        missing = self.missing(published)
        if missing:
            more = f" and {len(missing) - 1} more / 及另外 {len(missing) - 1} 项" if len(missing) > 1 else ""
            note(_LOG, missing[0], f"is not in the log of {len(published)} entries / 不在日志中{more}")
        beside = [n for n, raw in enumerate(published) if not self._accounted(raw)]
        if beside:
            more = f" and {len(beside) - 1} more / 及另外 {len(beside) - 1} 条" if len(beside) > 1 else ""
            said = published[beside[0]].decode("utf-8", "replace")[:200]
            note(_LOG, f"entry {beside[0]}", f"no fact accounts for it / 没有对应的事实: {said}{more}")

    def _accounted(self, raw: bytes) -> bool:
        identity = hashlib.sha256(raw).hexdigest()
        if identity in self._places or identity in self._also:
            return True
        try:
            entry = read_entry(raw)
        except VerificationError:
            return False
        # Where papers or editions are not at hand, as in a copy for an auditor, nothing is said of them.
        return (isinstance(entry, _OF_DRAWS) and not self._draws) or (
            isinstance(entry, TrustEntry) and not self._trust
        )

    def _record(self, settings: Settings, source: Database, store: Store) -> Iterator[tuple[str, LogEntry]]:
        sql = "SELECT seq, CAST(fact AS BLOB) FROM facts WHERE type IN (?, ?, ?) ORDER BY seq"
        for seq, raw in source.db.execute(sql, PUBLISHED):
            for entry in entries_of(facts.decode(raw)):
                yield f"fact {seq}", entry
        for seq, raw in source.db.execute(
            "SELECT seq, entry FROM ledger WHERE kind = 'catalogue'"
        ).fetchall():
            recorded = decode_entry(raw)
            if isinstance(recorded, CatalogueEntry):
                self._also.add(CatalogueLogged(hashlib.sha256(raw).hexdigest()).id)
                yield f"ledger entry {seq}", catalogue_logged(recorded)
        for seq, entry in edition_entries(source, store, 0):
            yield f"edition {seq} of a status list", entry
        for edition in trust_editions(settings.trust, 0):
            yield f"edition {edition.sequence} of trust.json", edition
        for paper in draw_entries(DrawStore(settings.data)) if self._draws else ():
            yield f"paper of a draw ({type(paper).__name__})", paper


def _order_of_folder(path: Path) -> Iterable[bytes] | None:
    """Return the order that a data folder has recorded."""
    if not path.is_file():
        return None
    with closing(sqlite3.connect(path)) as database:
        order = SqliteOrder(database)
        return list(order.read(0, order.size()))


def _compare_edition(trust: TrustStore, published: list[bytes], note: Note) -> None:
    """Note where the log has a later edition of the trust folder than the folder itself."""
    newest = 0
    for raw in published:
        with suppress(VerificationError):  # an entry of a later form
            entry = read_entry(raw)
            newest = max(newest, entry.sequence if isinstance(entry, TrustEntry) else 0)
    own = trust.listing.sequence
    if newest > own:
        note("trust", "trust.json", f"went back to edition {own}; the log has {newest} / 退回到第 {own} 期")


def _compare_order(order: list[bytes], before: list[bytes], after: list[bytes], note: Note) -> None:
    """Note where the recorded order parts from the log that was published before it was read, and after."""
    for index, (raw, own) in enumerate(zip(after, order, strict=False)):
        if raw != own:
            note(_LOG, f"entry {index}", "differs from the recorded order / 与记录的次序不符")
            return
    if len(order) > len(after):
        said = f"the published log ends before it: the order has {len(order)} / 日志在此之前被截断"
        note(_LOG, f"entry {len(after)}", said)
    elif len(order) < len(before):
        said = f"the recorded order ends before it: the log has {len(before)} / 记录的次序在此之前被截断"
        note(_LOG, f"entry {len(order)}", said)


def _rebuild(stored: StoredLog, published: _PublishedLog, rebuilt: Store, note: Note) -> None:
    """Make the tiles again, into another store, and compare them with the stored ones, and the root with that of the head."""
    head, entries = published
    size, root = (head.size, head.root) if head is not None else (0, EMPTY_ROOT)
    if len(entries) < size:
        return  # It is noted from where on the entries cannot be read.
    edge = RightEdge()
    for start in range(0, len(entries), _AT_ONCE):
        edge, tiles = grow(edge, entries[start : start + _AT_ONCE])
        for tile, made in tiles:
            if tile != tile_at(tile.level, tile.number, size):
                continue  # It was partial when this part ended, and the next one goes on in it.
            rebuilt.put(PREFIX + tile.path, made)
            try:
                same = stored.fetch(tile.path) == made
            except NotFound:
                same = False
            if not same:
                note(_LOG, tile.path, "differs from what is rebuilt, or is missing / 与重建的不符或缺失")
    if edge.root != root:
        note(_LOG, "checkpoint", "the root is not that of the entries / 根与条目不符")
