"""A rebalance takes a partition away at any moment; what a library raises about it ends no worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.codec import has_gzip, has_lz4, has_snappy, has_zstd
from aiokafka.errors import IllegalStateError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from crc32c import crc32c
from faust.exceptions import ConsumerNotStarted
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from kafka import codec

from infra.kafka.faust_app import Consumer, Loop
from infra.kafka.progress import OffsetProgress
from infra.kafka.stage import ForgivingRecords, SlicedRecords, Unreadable
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


def batch(base: int, values: list[bytes], codec: int = 0) -> bytearray:
    """A batch of records as a broker stores it."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
    for n, value in enumerate(values):
        builder.append(n, 1_600_000_000_000 + n, None, value, [])
    raw = bytearray(builder.build())
    raw[:8] = base.to_bytes(8)
    return raw


def test_a_batch_that_cannot_be_decoded_is_passed() -> None:
    """A wrong checksum, a broken compression: a marker for each offset, the bytes with the first, and the rest is read."""
    damaged = batch(2, [b"c" * 50, b"d" * 50], 1)
    damaged[70] ^= 0xFF
    broken = batch(5, [b"x" * 100], 4)
    broken[-10:] = b"0" * 10
    broken[17:21] = crc32c(bytes(broken[21:])).to_bytes(4)
    whole = bytes(batch(0, [b"a", b"b"]) + damaged + batch(4, [b"e"]) + broken + batch(6, [b"y"]))
    records = ForgivingRecords(LOST, SlicedRecords(whole), [], 1, None, None, True, 0)
    found = [(r.offset, "?" if isinstance(r.value, Unreadable) else bytes(r.value)) for r in records]
    assert [(1, b"b"), (2, "?"), (3, "?"), (4, b"e"), (5, "?"), (6, b"y")] == found
    assert 7 == records.next_fetch_offset
    alone = list(ForgivingRecords(LOST, SlicedRecords(bytes(damaged)), [], 2, None, None, True, 0))
    assert [2] == [one.offset for one in alone]  # its length cannot be trusted: the next one is asked for
    again = list(ForgivingRecords(LOST, SlicedRecords(whole), [], 0, None, None, True, 0))
    assert [bytes(damaged), b""] == [bytes(one.value) for one in again[2:4]]
    assert "CRC" in again[2].value.reason


@given(st.binary(max_size=400), st.integers(0, 300))
def test_no_bytes_stop_the_reading(junk: bytes, place: int) -> None:
    """Whatever stands in the place of a batch, the next good one is read."""
    raw = batch(0, [b"a" * 100, b"b" * 100], 1)
    raw[12 + place % (len(raw) - 12) :] = (junk + bytes(raw))[: len(raw) - 12 - place % (len(raw) - 12)]
    whole = bytes(raw + batch(2, [b"z"]))
    records = ForgivingRecords(LOST, SlicedRecords(whole), [], 0, None, None, True, 0)
    assert b"z" in [bytes(one.value) for one in records]
