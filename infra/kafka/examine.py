"""What `doctor` looks at on Kafka beside topics and store: what waits, and what failed."""

from __future__ import annotations

from collections.abc import Iterator

from infra.findings import Finding
from infra.kafka.connection import parse
from infra.kafka.letters import open_kafka_letters
from infra.kafka.wait import Backlog
from infra.settings import Settings


def examine_kafka(settings: Settings) -> Iterator[Finding]:
    """The backlog of each stage, and the dead letters."""
    connection = parse(settings.broker or "")
    backlog = Backlog(connection, settings.inboxes)
    try:
        lags = {stage: lag for stage, lag in backlog.lags(backlog.ends()).items() if lag}
    finally:
        backlog.close()
    said = ", ".join(f"{stage} {lag}" for stage, lag in lags.items())
    yield Finding(
        "backlog", None if lags else True, said or "nothing waits", "is there a worker for each stage?"
    )
    with open_kafka_letters(settings) as box:
        open_ones = len(list(box.letters()))
    if open_ones:
        yield Finding("letters", False, f"{open_ones} dead letters", "zhengzhao letters list")
