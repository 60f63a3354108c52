"""`drain` on Kafka: the workers process; this waits until nothing is under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from infra.kafka import topics
from infra.kafka.connection import Connection, client, parse
from infra.kafka.reading import Place, Reader
from infra.settings import Settings
from schemas.errors import BrokerUnavailable, TransientError

GROUPS = {
    "route": (topics.INBOX,),
    "decide": (topics.LEDGER,),
    "number": (topics.GRANTS,),
    "issue": (topics.NUMBERED,),
}
_STEP = 0.5


class Backlog:
    """How far each stage is behind the ends of what it reads."""

    def __init__(self, connection: Connection, inboxes: Iterable[str] = ()) -> None:
        """`inboxes`: the topics that agencies have of their own."""
        self._groups = {**GROUPS, "route": (topics.INBOX, *inboxes)}
        try:
            self._admin = KafkaAdminClient(**client(connection), bootstrap_timeout_ms=20_000)
        except KafkaError as error:
            raise BrokerUnavailable(
                f"the broker does not answer: {error!r}",
                where=connection.bootstrap,
                hint="zhengzhao stack status",
            ) from error
        self._reader = Reader(connection, [name for names in self._groups.values() for name in names])

    def close(self) -> None:
        """Closes the connections."""
        self._reader.close()
        self._admin.close()

    def ends(self) -> dict[Place, int]:
        """The ends of everything that a stage reads."""
        return self._reader.ends()

    def lags(self, ends: dict[Place, int]) -> dict[str, int]:
        """Stage → inputs before these ends that are not committed."""
        return {stage: self._lag(stage, names, ends) for stage, names in self._groups.items()}

    def committed(self, stage: str) -> dict[Place, int]:
        """The committed offsets of a stage."""
        group = f"{topics.APP_ID}-{stage}"
        try:
            found = self._admin.list_group_offsets(group)
        except KafkaError:
            return {}  # a group that never committed
        offsets = found.get(group, found)
        return {(tp.topic, tp.partition): max(0, meta.offset) for tp, meta in offsets.items()}

    def _lag(self, stage: str, names: tuple[str, ...], ends: dict[Place, int]) -> int:
        committed = self.committed(stage)
        return sum(max(0, end - committed.get(place, 0)) for place, end in ends.items() if place[0] in names)


def undecided(settings: Settings, *, seconds: float) -> int:
    """How many of the events and entries that are there now are not decided after `seconds`; 0 once all are."""
    backlog = Backlog(parse(settings.broker or ""), settings.inboxes)
    deadline = time.monotonic() + seconds
    try:
        # what route takes in must stand in the ledger before the ledger's end is looked at
        for stage in ("route", "decide"):
            ends = backlog.ends()
            while left := backlog.lags(ends)[stage]:
                if time.monotonic() >= deadline:
                    return left
                time.sleep(_STEP)
        return 0
    finally:
        backlog.close()


def editions_missing(settings: Settings) -> list[str]:
    """Status lists whose latest edition was told and is not stored yet."""
    from infra.kafka.status import decode_told
    from infra.stores import open_store

    latest: dict[str, str] = {}
    with Reader(parse(settings.broker or ""), [topics.EDITIONS]) as reader:
        reader.seek({})
        for records in reader.up_to(reader.ends()):
            for record in records:
                told = decode_told(record.value)
                if told.objects:
                    latest[told.record.name] = told.objects[-1][0]
    store = open_store(settings.store, settings.objects)
    return [name for name, key in latest.items() if not store.exists(key)]


def wait_until_idle(
    settings: Settings, say: Callable[[str], None] = lambda _: None, *, seconds: float = 600
) -> None:
    """Waits until every stage has committed everything and nothing came in the meantime.

    SurroundingsError where nothing moves for `seconds`: then no worker runs some stage.
    """
    backlog = Backlog(parse(settings.broker or ""), settings.inboxes)
    try:
        moved, before, quiet = time.monotonic(), None, False
        ends: dict[Place, int] = {}
        while not quiet:
            last, ends = ends, backlog.ends()
            lags = backlog.lags(ends)
            # a stage commits after its messages are there: with the ends as they were, nothing is under way
            quiet = last == ends and not any(lags.values())
            if lags != before:
                moved, before = time.monotonic(), lags
                if any(lags.values()):
                    say("left: " + ", ".join(f"{stage} {n}" for stage, n in lags.items() if n))
            if time.monotonic() - moved > seconds:
                raise TransientError(
                    f"nothing moved for {seconds:.0f} s, left: {lags}", hint="does a worker run each stage?"
                )
            if quiet and (missing := editions_missing(settings)):
                say(f"left: {len(missing)} status lists to be stored")
                quiet = False
            if not quiet:
                time.sleep(_STEP)
    finally:
        backlog.close()
