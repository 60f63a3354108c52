"""The register for queries on Kafka: the projection, caught up to the ends found when the query began."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from infra.kafka.connection import parse
from infra.kafka.projection import open_caught_up
from infra.kafka.wait import undecided
from infra.register import EmbeddedRegister, Register
from infra.settings import Settings

SETTLING = 10.0  # seconds for what was there to be decided and told
PATIENCE = 10.0  # seconds of catching up before a query says how far behind it is


@contextmanager
def open_kafka_register(settings: Settings) -> Iterator[Register]:
    """The register; says on standard error how far behind it is where 10 s did not do."""
    projection, behind = open_caught_up(settings, parse(settings.broker or ""), PATIENCE)
    path = projection.db.path
    projection.close()
    if behind:
        sys.stderr.write(
            f"warning: this answer is {behind} records behind the broker / 查询结果落后 {behind} 条记录\n"
            "hint: `zhengzhao worker --project` keeps it up to date\n"
        )
    register = EmbeddedRegister(path)
    try:
        with register.moment():
            yield register
    finally:
        register.close()


def unsettled(settings: Settings) -> int:
    """How many of the events and records that are there now are not decided and told after a while.

    0 where what a query answers next includes all of them.
    """
    if left := undecided(settings, seconds=SETTLING):
        return left
    projection, behind = open_caught_up(settings, parse(settings.broker or ""), SETTLING)
    projection.close()
    return behind
