"""`status` on Kafka: one worker publishes the status lists that changed.

The worker to whom the one partition of `zhengzhao.status` is assigned folds the facts into a projection of its own. An
edition is first written to `zhengzhao.editions`, signatures and objects included, and stored once it is read back from
there. Of two workers that publish at once the first one in that topic counts, because an edition is valid only where
it follows the one that it names as its last. A worker that takes over stores what its predecessor had not stored.

It also gets the timestamps of licences that never end, where the settings name an authority.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from infra.kafka import topics
from infra.kafka.connection import Connection
from infra.kafka.faust_app import StageApp
from infra.kafka.inbox import last_moments
from infra.kafka.outbox import Send
from infra.kafka.progress import Backlog
from infra.kafka.projection import Projection
from infra.kafka.records import (
    Place,
    PublishedEdition,
    Reader,
    cluster_id,
    decode_edition_record,
    encode_edition_record,
)
from infra.kafka.stage import PollingLoop
from infra.parts import Parts
from infra.readmodel.lists import due_lists, follows_last, read_list, set_published
from infra.transparency.timestamps import stamp_licences
from issuance.status_lists import sign_edition
from processors import topology
from schemas.errors import ZhengzhaoError
from schemas.ledger import clock_after, decode_entry

log = logging.getLogger(__name__)
_STAMPS = 10  # timestamps at one look
_STAMP_PAUSE = 60.0  # seconds until an authority that was away is asked again


class StatusPublishing(PollingLoop):
    """The loop that publishes status lists as long as the partition is ours."""

    stage = topology.stage("status")
    interval = 2.0
    pause = 10.0
    waiting = "status lists wait"

    def __init__(self, app: StageApp, parts: Parts, connection: Connection, folder: Path) -> None:
        self._publisher = StatusPublisher(parts, connection, folder)
        super().__init__(app, self._publisher)

    @property
    def topic(self) -> str:
        """Return the topic whose one partition decides which worker publishes."""
        return topics.STATUS

    async def look(self) -> None:
        for edition in await self.in_thread(self._publisher.poll):
            raw = encode_edition_record(edition)
            send = Send(topics.EDITIONS, edition.record.name.encode(), raw, 0)
            await asyncio.gather(*await self.loop.send([send]))
            self.metrics.handled(None)
        await self.in_thread(self._publisher.stamp)


class StatusPublisher:
    """The publisher of status lists; it runs in one thread, and nothing in it is shared."""

    def __init__(self, parts: Parts, connection: Connection, path: Path) -> None:
        self._installation = parts
        self._connection = connection
        self._path = path
        self._open: _Open | None = None
        self._stamp_at = 0.0

    def poll(self) -> list[PublishedEdition]:
        """Store the editions written since the last call, and return those that are due now, signed."""
        if self._open is None:
            path = self._path / f"status-{cluster_id(self._connection)}.sqlite"
            self._open = _Open(self._installation, self._connection, path)
        return self._open.poll()

    def stamp(self) -> None:
        """Get timestamps (RFC 3161) for some licences that never end; an authority that is away holds no list up."""
        address = self._installation.settings.timestamp
        if not address or self._open is None or time.monotonic() < self._stamp_at:
            return
        try:
            self._open.stamp(address)
        except ZhengzhaoError as error:
            log.warning("timestamps wait: %s", error)
            self._stamp_at = time.monotonic() + _STAMP_PAUSE

    def close(self) -> None:
        """Close every connection and file; the next `poll` begins anew."""
        if self._open is not None:
            self._open.close()
            self._open = None


class _Open:
    def __init__(self, parts: Parts, connection: Connection, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._projection = Projection(path)
        self._facts = Reader(connection, [topics.FACTS])
        self._editions = Reader(connection, [topics.EDITIONS])
        self._ticks = Reader(connection, [topics.LEDGER])
        self._backlog = Backlog(connection)
        self._store, self._trust, self._signer = parts.store, parts.trust, parts.signer
        self._clock = 0
        self._facts.seek(self._projection.positions())
        self._editions.seek({})
        # Only the last events and ticks can be the latest moment of a partition.
        self._seen = last_moments(self._ticks)

    def close(self) -> None:
        for part in (self._facts, self._editions, self._ticks, self._backlog, self._projection):
            part.close()

    def poll(self) -> list[PublishedEdition]:
        self._read_editions()
        self._read_facts()
        db = self._projection.db
        if not self._clock:
            return []
        found = []
        for name in due_lists(db, self._clock):
            listed, last = read_list(db, name)
            record, edition = sign_edition(listed, last, self._clock, self._trust, self._signer())
            objects = ((edition.reasons_key, edition.reasons_cwt), (edition.list_key, edition.list_cwt))
            upto = {str(n): at for (_, n), at in self._projection.positions().items()}
            found.append(PublishedEdition(record, objects, upto))
        return found

    def stamp(self, address: str) -> None:
        stamp_licences(address, self._projection.db, self._store, self._trust, _STAMPS)

    def _read_facts(self) -> None:
        """Fold every fact, then set the clock to the last event or tick that all partitions have decided."""
        ends = self._ticks.ends()
        for records in self._ticks.up_to(ends):
            for record in records:
                before = self._seen.get(record.partition, 0)
                self._seen[record.partition] = clock_after(before, decode_entry(record.value))
        committed = self._backlog.committed("decide")
        decided = all(committed.get(place, 0) >= end for place, end in ends.items())
        for records in self._facts.up_to(self._facts.ends()):
            self._projection.take(records)
        if decided:
            self._clock = max(self._seen.values(), default=0)

    def _read_editions(self) -> None:
        for records in self._editions.up_to(self._editions.ends()):
            for record in records:
                self._accept(decode_edition_record(record.value))

    def _accept(self, edition: PublishedEdition) -> None:
        """Fold the facts of an edition that follows the latest one, and store it."""
        wanted: dict[Place, int] = {(topics.FACTS, int(n)): at for n, at in edition.upto.items()}
        for records in self._facts.up_to(wanted):
            self._projection.take(records)
        db = self._projection.db
        if not follows_last(db, edition.record):
            return
        for key, data in edition.objects:
            if not self._store.exists(key):
                self._store.put(key, data)
        with db.transaction():
            set_published(db, edition.record, changed=True)
