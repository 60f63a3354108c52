"""`drain` on Kafka: the workers process, and this waits until nothing is under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from infra.kafka import topics
from infra.kafka.connection import Connection, client, parse
from infra.kafka.records import Place, Reader, decode_edition_record
from infra.parts import Parts
from infra.settings import Settings
from processors.topology import TOPOLOGY
from schemas.errors import BrokerUnavailable, TransientError
from schemas.ports import Store

GROUPS = {
    stage.name: (stage.consumes.topic,)
    for stage in TOPOLOGY
    if stage.name in ("route", "decide", "number", "issue")
}
"""The stages that commit offsets, with the topics that they consume."""
_STEP = 0.5


class Backlog:
    """The distance of each stage from the ends of the topics that it consumes."""

    def __init__(self, connection: Connection, inboxes: Iterable[str] = ()) -> None:
        """Connect; `inboxes` are the topics that agencies have of their own. Raises BrokerUnavailable."""
        self._groups = {**GROUPS, "route": (topics.INBOX, *inboxes)}
        try:
            self._admin = KafkaAdminClient(**client(connection), bootstrap_timeout_ms=20_000)
        except KafkaError as error:
            raise BrokerUnavailable(
                f"消息服务没有应答 / the broker does not answer: {error!r}",
                where=connection.bootstrap,
                hint="zhengzhao stack status",
            ) from error
        self._reader = Reader(connection, [name for names in self._groups.values() for name in names])

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()
        self._admin.close()

    def ends(self) -> dict[Place, int]:
        """Return the ends of everything that a stage reads."""
        return self._reader.ends()

    def lags(self, ends: dict[Place, int]) -> dict[str, int]:
        """Return for each stage how many inputs before these ends are not committed."""
        return {stage: self._lag(stage, names, ends) for stage, names in self._groups.items()}

    def committed(self, stage: str) -> dict[Place, int]:
        """Return the committed offsets of a stage."""
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


def waiting(settings: Settings) -> dict[str, int]:
    """Return stage → number of inputs that wait for it; only the stages where some do."""
    backlog = Backlog(parse(settings.broker or ""), settings.inboxes)
    try:
        return {stage: lag for stage, lag in backlog.lags(backlog.ends()).items() if lag}
    finally:
        backlog.close()


def undecided(settings: Settings, *, seconds: float) -> int:
    """Wait until everything that is there now is decided, and return how many inputs are left after `seconds`."""
    backlog = Backlog(parse(settings.broker or ""), settings.inboxes)
    deadline = time.monotonic() + seconds
    try:
        # The events that `route` has taken in must stand in the ledger before its end is read.
        for stage in ("route", "decide"):
            ends = backlog.ends()
            while left := backlog.lags(ends)[stage]:
                if time.monotonic() >= deadline:
                    return left
                time.sleep(_STEP)
        return 0
    finally:
        backlog.close()


def editions_missing(settings: Settings, store: Store) -> list[str]:
    """Return the status lists whose latest edition was published and is not stored yet."""
    latest: dict[str, str] = {}
    with Reader(parse(settings.broker or ""), [topics.EDITIONS]) as reader:
        reader.seek({})
        for records in reader.up_to(reader.ends()):
            for record in records:
                edition = decode_edition_record(record.value)
                if edition.objects:
                    latest[edition.record.name] = edition.objects[-1][0]
    return [name for name, key in latest.items() if not store.exists(key)]


def wait_until_idle(
    parts: Parts, say: Callable[[str], None] = lambda _: None, *, seconds: float = 600
) -> None:
    """Wait until every stage has committed everything and nothing came in the meantime.

    Raises TransientError where nothing moves for `seconds`, which means that no worker runs some stage.
    """
    settings = parts.settings
    backlog = Backlog(parse(settings.broker or ""), settings.inboxes)
    try:
        moved, before, quiet = time.monotonic(), None, False
        ends: dict[Place, int] = {}
        while not quiet:
            last, ends = ends, backlog.ends()
            lags = backlog.lags(ends)
            # A stage commits after its messages are acknowledged, so with unchanged ends nothing is under way.
            quiet = last == ends and not any(lags.values())
            if lags != before:
                moved, before = time.monotonic(), lags
                if any(lags.values()):
                    say("尚余 / left: " + ", ".join(f"{stage} {n}" for stage, n in lags.items() if n))
            if time.monotonic() - moved > seconds:
                raise TransientError(
                    f"{seconds:.0f} 秒内没有进展 / nothing moved for {seconds:.0f} s, left: {lags}",
                    hint="检查每个环节是否有 worker / check that a worker runs each stage",
                )
            if quiet and (missing := editions_missing(settings, parts.store)):
                say(f"尚余状态列表 / left: {len(missing)} status lists to be stored")
                quiet = False
            if not quiet:
                time.sleep(_STEP)
    finally:
        backlog.close()
