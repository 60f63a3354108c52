"""`number` on Kafka: grants → numbered grants, one writer for each series.

The series' record is the outbox: it holds the next serial, and what was numbered for inputs not committed yet.
Beside it stands an index record per licence: its number, and the grants that have it. It is written after the series'
record, into the same changelog partition, and can be made again from it: so a crash between the two loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec
from faust.types import TP

from infra import issue_worker
from infra.kafka import topics
from infra.kafka.faust_app import StageApp
from infra.kafka.outbox import Codec, Outbox, Record, Send, encode
from infra.kafka.records import (
    NumberClaimed,
    Question,
    SerialSeen,
    ToNumber,
    back,
    decode_to_number,
    send_entry,
    send_failed,
)
from infra.kafka.stage import StageLoop
from processors.number import Series, SeriesFull, imported, is_free, number
from schemas.errors import ZhengzhaoError

_GIVEN = b"given:"  # licence id → number, and the grants that were numbered with it
_DONE = b"done:"  # grant id → number; what was imported or numbered by an earlier release stands here
_OWNED = b"owned:"  # number → the holder who imported it; nothing where it was given here
_SERIES = b"series:"


class GivenNumber(msgspec.Struct, frozen=True, array_like=True):
    """A grant that was numbered for the input at `offset`: enough to say the same again, given the grant.

    `serial` is 0 where an earlier version had the number; `place` counts through all lists of the series. What is
    sent is not kept beside it: a series that is busy would carry hundreds of grants in each of its records.
    """

    offset: int
    grant_id: str
    licence_id: str
    number: str
    serial: int
    place: int


class Numbers(msgspec.Struct, frozen=True, array_like=True):
    """The state of a series; `given` goes back as far as the inputs that may come again."""

    series: Series
    given: tuple[GivenNumber, ...] = ()


_decode = msgspec.msgpack.Decoder(Numbers).decode
_CODEC: Codec[Numbers] = Codec(
    1,
    lambda key: Numbers(Series(key.removeprefix(_SERIES).decode())),
    msgspec.msgpack.Encoder().encode,
    _decode,
)


def series_record(series: Series) -> tuple[bytes, bytes]:
    """Key and record of a series that was numbered elsewhere, as of the first input."""
    state = _CODEC.to_bytes(Numbers(series))
    return _SERIES + series.series.encode(), encode(0, Record(_CODEC.schema, state))


def index_records(
    licences: Mapping[str, tuple[str, str]],
    grants: Mapping[str, tuple[str, str]],
    claims: Mapping[str, tuple[str, str]],
) -> Iterator[tuple[bytes, bytes, str]]:
    """(key, record, series) of the index over what was numbered elsewhere: ids → number and series.

    `claims` are the imported numbers: number → holder and series.
    """
    for prefix, found in ((_GIVEN, licences), (_DONE, grants), (_OWNED, claims)):
        for name, (value, series) in found.items():
            yield prefix + name.encode(), bytes(8) + value.encode(), series
    for given, series in licences.values():
        yield _OWNED + given.encode(), bytes(8), series


def messages(asked: ToNumber, given: GivenNumber) -> tuple[Send, ...]:
    """The numbered grant for `issue` and for the ledger: the same each time."""
    grant = asked.grant
    as_it_was = Series(grant.series, max(given.serial, 1), given.place)
    _, numbered = number(as_it_was, grant, None if given.serial else given.number)
    entry = back("numbered", grant.grant_id, grant.holder, msgspec.to_builtins(numbered))
    return Send(
        topics.NUMBERED, grant.grant_id.encode(), issue_worker.encode_job(numbered, asked.paper)
    ), *send_entry(entry)


class Numbering(StageLoop):
    """The single writer of the series in its partitions."""

    name = "number"
    topic = topics.GRANTS

    def __init__(self, app: StageApp) -> None:
        super().__init__(app)
        self.table: Any = app.Table(
            topics.SERIES_TABLE[1], key_type=bytes, value_type=bytes, partitions=topics.GRANTS_PARTITIONS
        )
        self._partitions: dict[int, Outbox[Numbers]] = {}
        app.prepare, app.starts = self._prepare, self._starts

    async def handle(self, event: Any) -> list[Any]:
        partition, offset = event.message.partition, event.message.offset
        outbox = self._partitions[partition]
        sends: list[Send] = []
        try:
            asked = decode_to_number(event.message.value)
            for key, (record, _) in outbox.again(offset).items():
                sends.append(self._changelog(key, record, partition))
                sends += self._given(asked, outbox.state(key), offset, partition)
            sends += self._number(asked, outbox, offset, partition)
            if isinstance(asked, NumberClaimed):
                sends += self._claimed(asked, offset, partition)
        except Exception as error:  # a full series, or what nobody foresaw: it waits in the dead letters
            sends.append(self.dead(event, _named(error)))
            if isinstance(error, SeriesFull) and isinstance(asked, ToNumber):
                sends += send_failed(asked.grant)
        return await self.loop.send(sends)

    def _number(self, asked: Question, outbox: Outbox[Numbers], offset: int, partition: int) -> list[Send]:
        series = asked.grant.series if isinstance(asked, ToNumber) else asked.series
        key = _SERIES + series.encode()
        if isinstance(asked, ToNumber) and self._is_done(asked):
            return []

        def step(state: Numbers) -> tuple[Numbers, tuple[Send, ...]] | None:
            kept = tuple(g for g in state.given if g.offset >= outbox.committed())
            if not isinstance(asked, ToNumber):
                free = isinstance(asked, SerialSeen) or self._free(asked)
                after = imported(state.series, asked.serial if free else None)
                return None if after == state.series else (Numbers(after, kept), ())
            if any(g.grant_id == asked.grant.grant_id for g in state.given):
                return None
            known, _ = self._index(asked.grant.licence_id)
            place = state.series.next_status
            series, numbered = number(state.series, asked.grant, known or None)
            given = GivenNumber(
                offset, asked.grant.grant_id, asked.grant.licence_id, numbered.number, numbered.serial, place
            )
            return Numbers(series, (*kept, given)), ()

        applied = outbox.apply(key, offset, step)
        if applied is None:
            return []
        return [
            self._changelog(key, applied[0], partition),
            *self._given(asked, outbox.state(key), offset, partition),
        ]

    def _free(self, asked: NumberClaimed) -> bool:
        owner = self.table.get(_OWNED + asked.number.encode())
        return is_free(owner if owner is None else owner[8:].decode(), asked.holder)

    def _claimed(self, asked: NumberClaimed, offset: int, partition: int) -> list[Send]:
        """The answer for the ledger, the same each time, and before it the record of whose the number is now."""
        free = self._free(asked)
        answer = {"number": asked.number, "free": free}
        entry = back("claimed", f"{asked.holder}:{asked.number}", asked.holder, answer)
        return [
            *(self._record(_OWNED + asked.number.encode(), asked.holder, offset, partition) if free else ()),
            *send_entry(entry),
        ]

    def _record(self, key: bytes, text: str, offset: int, partition: int) -> Iterator[Send]:
        self.table[key] = value = offset.to_bytes(8, "big") + text.encode()
        yield self._changelog(key, value, partition)

    def _given(self, asked: Question, state: Numbers, offset: int, partition: int) -> list[Send]:
        """What follows from what was given for an input: the index record, the job, the entry for the ledger."""
        given = next((g for g in state.given if g.offset == offset), None)
        if given is None or not isinstance(asked, ToNumber):
            return []
        _, grants = self._index(given.licence_id)
        text = "\n".join(dict.fromkeys((given.number, *grants, given.grant_id)))
        sends = [*self._record(_GIVEN + given.licence_id.encode(), text, offset, partition)]
        if given.serial:
            sends += self._record(_OWNED + given.number.encode(), "", offset, partition)
        return [*sends, *messages(asked, given)]

    def _index(self, licence_id: str) -> tuple[str, list[str]]:
        """A licence's number, empty where it has none yet, and the grants that were numbered with it."""
        raw = self.table.get(_GIVEN + licence_id.encode())
        found, *grants = (raw[8:] if raw else b"").decode().split("\n")
        return found, grants

    def _is_done(self, asked: ToNumber) -> bool:
        grant = asked.grant
        if grant.grant_id in self._index(grant.licence_id)[1]:
            return True
        return self.table.get(_DONE + grant.grant_id.encode()) is not None

    @staticmethod
    def _changelog(key: bytes, record: bytes, partition: int) -> Send:
        return Send(topics.changelog(topics.SERIES_TABLE), key, record, partition)

    async def _prepare(self) -> None:
        """Takes the recovered table over."""
        mine = [tp for tp in self.loop.consumer.assignment() if tp.topic == self.topic]
        progress = self.loop.consumer.progress
        partitions: dict[int, Outbox[Numbers]] = {
            tp.partition: Outbox(self.table, _CODEC, partial(progress.position, tp)) for tp in mine
        }
        for key, raw in list(self.table.items()):
            if key.startswith(_SERIES):
                series = key.removeprefix(_SERIES).decode()
                if (one := partitions.get(topics.series_partition(series))) is not None:
                    one.restore(key, raw)
        for one in partitions.values():
            one.restored()
        self._partitions = partitions

    def _starts(self, committed: Mapping[TP, int]) -> dict[TP, int]:
        """A partition whose state is behind what is committed is read again from there."""
        return {
            tp: min(offset, self._partitions[tp.partition].newest + 1)
            for tp, offset in committed.items()
            if tp.topic == self.topic and tp.partition in self._partitions
        }


def _named(error: Exception) -> Exception:
    if isinstance(error, SeriesFull):
        return ZhengzhaoError(
            str(error.reason), hint="raise the digits of the item's number, then: zhengzhao letters retry"
        )
    return error
