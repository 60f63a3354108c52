"""Every topic with its partitions and retention. The names are those of `processors.stages`.

The contract fixes the names of the public ones (`stages.PUBLIC`); all others are internal.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from infra.kafka.connection import Connection, client
from processors import stages
from processors.stages import filings_topic
from schemas.errors import BrokerUnavailable
from schemas.ledger import LEDGER_PARTITIONS

APP_ID = "zhengzhao"  # Faust's: names consumer group and changelogs, and so never changes with a release

INBOX = stages.INBOX.topic
LEDGER = stages.LEDGER.topic
FACTS = stages.FACTS.topic
GRANTS = stages.GRANTS.topic
NUMBERED = stages.NUMBERED.topic
CASES = stages.CASES.topic
LICENCES = stages.LICENCES.topic
INSPECTIONS = stages.INSPECTIONS.topic
DEAD_LETTERS = stages.LETTERS.topic
CLOCK = stages.CLOCK.topic
STATUS = stages.STATUS.topic
EDITIONS = stages.EDITIONS.topic
LOGGED = stages.LOGGED.topic
CATALOGUE = stages.CATALOGUE.topic

# (stage, table): the changelog is named after both
HOLDERS_TABLE = ("decide", "holders")
CATALOGUES_TABLE = ("decide", "catalogues")
SERIES_TABLE = ("number", "series")

GRANTS_PARTITIONS = 16
_DAY = 86_400_000
_FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_WEEK = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY), "retention.bytes": "-1"}
# A worker that was paused and comes back may append an older state after a newer one. Recovery takes the one with the
# higher offset, so both have to be there until somebody has recovered: nothing younger is compacted.
_COMPACTED = {"cleanup.policy": "compact", "min.compaction.lag.ms": str(7 * _DAY)}
_KEPT_LAST = {"cleanup.policy": "compact"}


class Topic(msgspec.Struct, frozen=True):
    """The required settings of a topic."""

    name: str
    partitions: int
    config: Mapping[str, str]


def changelog(table: tuple[str, str]) -> str:
    """Return the name that Faust gives to a table's changelog."""
    return f"{APP_ID}-{table[0]}-{table[1]}-changelog"


def series_partition(series: str) -> int:
    """Return the partition in which the single writer of a series works; it never changes."""
    return hashlib.sha256(series.encode()).digest()[0] % GRANTS_PARTITIONS


# The broker's clock stamps records as they enter, so a record that is read twice has one moment of receipt.
_STAMPED = {"message.timestamp.type": "LogAppendTime"}
_INBOX = {**_WEEK, **_STAMPED, "max.message.bytes": "4194304"}
TOPICS: tuple[Topic, ...] = (
    Topic(INBOX, 12, _INBOX),
    Topic(LEDGER, LEDGER_PARTITIONS, {**_FOREVER, "max.message.bytes": "4194304"}),
    Topic(FACTS, LEDGER_PARTITIONS, {**_FOREVER, "max.message.bytes": "4194304"}),
    Topic(GRANTS, GRANTS_PARTITIONS, {**_FOREVER, "max.message.bytes": "4194304"}),
    Topic(NUMBERED, 12, {**_WEEK, "max.message.bytes": "4194304"}),
    Topic(CASES, 12, _FOREVER),
    Topic(LICENCES, 12, _FOREVER),
    Topic(INSPECTIONS, 12, _FOREVER),
    Topic(DEAD_LETTERS, 4, {**_FOREVER, "max.message.bytes": "8388608"}),
    Topic(changelog(HOLDERS_TABLE), LEDGER_PARTITIONS, {**_COMPACTED, "max.message.bytes": "8388608"}),
    Topic(changelog(CATALOGUES_TABLE), LEDGER_PARTITIONS, {**_COMPACTED, "max.message.bytes": "8388608"}),
    Topic(STATUS, 1, _WEEK),
    Topic(EDITIONS, 1, {**_FOREVER, "max.message.bytes": "8388608"}),
    Topic(LOGGED, 1, _FOREVER),
    Topic(CLOCK, 1, _WEEK),
    Topic(CATALOGUE, 1, {**_KEPT_LAST, "max.message.bytes": "8388608"}),
    Topic(changelog(SERIES_TABLE), GRANTS_PARTITIONS, {**_COMPACTED, "max.message.bytes": "8388608"}),
)


def topics(departments: Iterable[str] = (), inboxes: Iterable[str] = ()) -> tuple[Topic, ...]:
    """Return all topics of an installation; `departments` get filings, `inboxes` are topics of agencies' own."""
    filings = tuple(Topic(filings_topic(d), 4, _FOREVER) for d in sorted(set(departments)))
    return TOPICS + filings + tuple(Topic(name, 12, _INBOX) for name in sorted(inboxes))


def ensure_topics(
    connection: Connection,
    departments: Iterable[str] = (),
    inboxes: Iterable[str] = (),
    *,
    replication: int = 1,
    seconds: float = 60,
) -> list[str]:
    """Create missing topics, leave existing ones as they are, and return the names created.

    Waits until every partition has a leader. Raises BrokerUnavailable.
    """
    wanted = topics(departments, inboxes)
    try:
        admin = KafkaAdminClient(**client(connection), bootstrap_timeout_ms=int(seconds * 1000))
        try:
            made = _create(admin, wanted, replication)
            _wait_for_leaders(admin, [t.name for t in wanted], seconds)
        finally:
            admin.close()
    except KafkaError as error:
        raise BrokerUnavailable(
            f"主题无法创建 / the topics could not be created on {connection.bootstrap}: {error!r}"
        ) from error
    return made


def _create(admin: KafkaAdminClient, wanted: Iterable[Topic], replication: int) -> list[str]:
    there = set(admin.list_topics())
    missing = [t for t in wanted if t.name not in there]
    if missing:
        new = [NewTopic(t.name, t.partitions, replication, topic_configs=dict(t.config)) for t in missing]
        try:
            admin.create_topics(new)
        except TopicAlreadyExistsError:  # another process was quicker
            return _create(admin, wanted, replication)
    return [t.name for t in missing]


def _wait_for_leaders(admin: KafkaAdminClient, names: list[str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _all_led(admin, names):
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"分区没有主节点 / partitions without a leader after {seconds:.0f} s")
        time.sleep(0.2)


def _all_led(admin: KafkaAdminClient, names: list[str]) -> bool:
    described = admin.describe_topics(names)
    return all(
        not topic.get("error_code")
        and all(p.get("leader_id", p.get("leader", -1)) >= 0 for p in topic["partitions"])
        for topic in described
    )


def wrong_settings(
    connection: Connection, departments: Iterable[str] = (), inboxes: Iterable[str] = ()
) -> list[str]:
    """Return what is wrong with the settings of an installation's topics, one sentence each, for `doctor`.

    Entries and facts that the broker deletes could never be decided or replayed again.
    """
    wanted = topics(departments, inboxes)
    try:
        admin = KafkaAdminClient(**client(connection), bootstrap_timeout_ms=10_000)
        try:
            there = set(admin.list_topics())
            missing = [f"topic {t.name} is missing" for t in wanted if t.name not in there]
            found = [t for t in wanted if t.name in there]
            counts = {t["name"]: len(t["partitions"]) for t in admin.describe_topics([t.name for t in found])}
            configs = _configs(admin, [t.name for t in found])
        finally:
            admin.close()
    except KafkaError as error:
        raise BrokerUnavailable(
            f"无法读取主题设置 / the topics of {connection.bootstrap} cannot be described: {error!r}"
        ) from error
    return missing + [line for t in found for line in _differences(t, counts[t.name], configs[t.name])]


def _configs(admin: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {name: dict(entries) for name, entries in _flat(answer)}


def _flat(answer: Any) -> Iterable[tuple[str, dict[str, str]]]:
    by_name = answer.get("topic", answer) if isinstance(answer, dict) else {}
    for name, entries in by_name.items():
        yield name, {k: (v["value"] if isinstance(v, dict) else v) for k, v in entries.items()}


def _differences(topic: Topic, partitions: int, config: Mapping[str, str]) -> Iterable[str]:
    if topic.name in (LEDGER, FACTS) and partitions != topic.partitions:
        yield f"topic {topic.name} has {partitions} partitions, it must have {topic.partitions}"
    for key in ("cleanup.policy", "retention.ms", "retention.bytes", "message.timestamp.type"):
        wanted, has = topic.config.get(key), config.get(key)
        if wanted is not None and has != wanted:
            yield f"topic {topic.name} has {key}={has}, it must be {wanted}"
