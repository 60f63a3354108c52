"""A rebalance takes a partition away at any moment; what a library raises about it ends no worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.codec import has_gzip, has_lz4, has_snappy, has_zstd
from aiokafka.errors import IllegalStateError
from faust.exceptions import ConsumerNotStarted
from faust.types import TP
from kafka import codec

from infra.kafka.faust_app import Consumer, Loop
from infra.kafka.progress import OffsetProgress
from infra.metrics import StageMetrics

LOST = TP("zhengzhao.ledger", 3)
RAISED = [AssertionError("Partition is not assigned"), IllegalStateError("gone"), ConsumerNotStarted("off")]


class Gone(Consumer):
    """A consumer whose partitions a rebalance has just taken away."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.progress = OffsetProgress()
        self.progress.begin(LOST, 7)
        self.sought: list[TP] = []

    def highwater(self, tp: TP) -> int:
        raise self.error

    def assignment(self) -> set[TP]:
        raise self.error

    async def getmany(self, partitions: set[TP], timeout: float) -> None:
        raise self.error

    async def seek(self, tp: TP, offset: int) -> None:
        self.sought.append(tp)
        raise self.error


class App:
    """As much of an application as a loop needs."""

    started, rebalancing = True, False

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self.flow_control = self

    def is_active(self) -> bool:
        return True

    def timer(self, **_: Any) -> Callable[[Any], Any]:
        return lambda act: act


@pytest.mark.parametrize("error", RAISED, ids=lambda e: type(e).__name__)
def test_the_watcher_survives_a_partition_that_is_gone(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """It looks at the ends of partitions, and seeks, while they are taken away."""
    consumer = Gone(error)
    loop = Loop(App(consumer), StageMetrics("decide"))  # type: ignore[arg-type]
    loop._taken = float("-inf")
    with caplog.at_level(logging.WARNING):
        asyncio.run(loop._watch())
        asyncio.run(loop._read_again(LOST, 7, "nothing arrives"))
    assert (consumer.end_of(LOST), consumer.owns(LOST.topic), consumer.sought) == (0, False, [LOST])
    assert caplog.records == []  # reading again needs nobody


@pytest.mark.parametrize("error", [*RAISED, KeyError(LOST)], ids=lambda e: type(e).__name__)
def test_fetching_survives_a_partition_that_is_gone(error: Exception) -> None:
    """The fetcher of aiokafka drops records of a partition while they are gathered; nothing is fetched then."""
    consumer = Gone(error)
    consumer._thread = consumer  # type: ignore[assignment]
    assert asyncio.run(consumer._getmany({LOST}, 1.0)) == {}


def test_records_of_every_codec_are_read() -> None:
    """Any client may compress; without its codec a record would end each worker at each start."""
    assert (has_gzip(), has_snappy(), has_lz4(), has_zstd()) == (True, True, True, True)
    assert (codec.has_gzip(), codec.has_snappy(), codec.has_lz4(), codec.has_zstd()) == (
        True,
        True,
        True,
        True,
    )
