"""The service items that the ledger has brought into force, as the data file keeps them."""

from __future__ import annotations

import msgspec

from infra.readmodel.database import Database
from schemas.item_types import ServiceItem
from schemas.items import Catalogue, from_record
from schemas.ledger import CatalogueEntry, decode_entry, encode_entry
from schemas.licence import issuance_item


class RecordedItems:
    """The catalogue in force, and every item that ever was; kept in memory from batch to batch."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._catalogue: Catalogue | None = None
        self._papers: dict[str, bytes] = {}

    def enter(self, entry: CatalogueEntry) -> None:
        """Bring a catalogue into force; call it inside a transaction."""
        self._catalogue = from_record(entry.payload)
        self._db.set_meta("in-force", encode_entry(entry).decode())
        rows = [
            (digest, msgspec.json.encode(self._catalogue.items[code]))
            for code, digest in self._catalogue.digests.items()
        ]
        self._db.db.executemany("INSERT OR IGNORE INTO items VALUES (?, ?)", rows)

    def in_force(self) -> Catalogue:
        """Return the catalogue in force."""
        if self._catalogue is None:
            entry = decode_entry(self._db.meta("in-force").encode())
            assert isinstance(entry, CatalogueEntry)  # `enter` writes nothing else there
            self._catalogue = from_record(entry.payload)
        return self._catalogue

    def paper(self, digest: str) -> bytes:
        """Return what issuance needs of the item with a digest (`schemas.licence.Job.item`)."""
        if digest not in self._papers:
            row = self._db.db.execute("SELECT item FROM items WHERE digest = ?", (digest,)).fetchone()
            self._papers[digest] = issuance_item(msgspec.json.decode(row[0], type=ServiceItem))
        return self._papers[digest]
