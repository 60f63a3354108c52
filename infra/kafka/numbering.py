"""`number` on Kafka: grants → numbered grants, one writer for each series.

The series' record is the outbox: it holds the next serial, and what was numbered for inputs not committed yet. Beside
it stands an index record per licence with its number and the grants that have it. The index record is written after
the series' record, into the same changelog partition, and can be made again from it, so a crash between the two loses
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import partial
from typing import Any

import msgspec
from faust.types import TP

from infra.kafka import topics
from infra.kafka.faust_app import StageApp
from infra.kafka.outbox import Codec, Outbox, Record, Send, encode
from infra.kafka.records import decode_question, sends
from infra.kafka.stage import StageLoop
from processors import topology
from processors.number import Series, number, place_in_series
from processors.stages import NumberClaimed, Question, ToNumber, number_step, numbered_again, unnumbered
from schemas.licence import Grant, Numbered

_OFFSET_BYTES = 8  # in front of an index record's text
_GIVEN = b"given:"  # licence id → number, and the grants that were numbered with it
_DONE = b"done:"  # grant id → number; for imports, and for what an earlier release numbered
_OWNED = b"owned:"  # number → the holder who imported it; empty where a series gave it
_SERIES = b"series:"


class GivenNumber(msgspec.Struct, frozen=True, array_like=True):
    """A grant that was numbered for the input at `offset`: enough to send the same again, given the grant.

    `serial` is 0 where an earlier version had the number; `place` counts through all lists of the series. The messages
    themselves are not kept, because a busy series would carry hundreds of grants in each of its records.
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
    """Return key and record of a series that was numbered elsewhere, as of the first input."""
    state = _CODEC.to_bytes(Numbers(series))
    return _SERIES + series.series.encode(), encode(0, Record(_CODEC.schema, state))


def index_records(
    licences: Mapping[str, tuple[str, str]],
    grants: Mapping[str, tuple[str, str]],
    claims: Mapping[str, tuple[str, str]],
) -> Iterator[tuple[bytes, bytes, str]]:
    """Yield (key, record, series) of the index over what was numbered elsewhere.

    `licences` and `grants` map ids to number and series, `claims` map imported numbers to holder and series.
    """
    for prefix, found in ((_GIVEN, licences), (_DONE, grants), (_OWNED, claims)):
        for name, (value, series) in found.items():
            yield prefix + name.encode(), bytes(_OFFSET_BYTES) + value.encode(), series
    for given, series in licences.values():
        yield _OWNED + given.encode(), bytes(_OFFSET_BYTES), series


class SeriesBook:
    """The book of one partition for the input at `offset` (`processors.stages.NumberBook`).

    What a step puts is kept until `write`, which stores it and returns the changelog records.
    """

    def __init__(self, table: MutableMapping[bytes, bytes], outbox: Outbox[Numbers], offset: int) -> None:
        self._table = table
        self._outbox = outbox
        self._offset = offset
        self._series: dict[str, Series] = {}
        self._numbered: Numbered | None = None
        self._index_records: list[tuple[bytes, str]] = []

    def series(self, name: str) -> Series:
        """Return a series as it stands."""
        return self._series.get(name) or self._outbox.state(_series_key(name)).series

    def number_of(self, licence_id: str) -> str | None:
        """Return the number that a licence got, None before its first version."""
        return self._index(licence_id)[0] or None

    def is_numbered(self, grant: Grant) -> bool:
        """Tell whether a grant was numbered before: it may come again."""
        if any(g.grant_id == grant.grant_id for g in self._outbox.state(_series_key(grant.series)).given):
            return True
        if grant.grant_id in self._index(grant.licence_id)[1]:
            return True
        return self._table.get(_DONE + grant.grant_id.encode()) is not None

    def owner(self, number: str) -> str | None:
        """Return the holder who imported a number, empty where a series gave it, None where nobody has it."""
        raw = self._table.get(_OWNED + number.encode())
        return None if raw is None else raw[_OFFSET_BYTES:].decode()

    def put_series(self, series: Series) -> None:
        """Keep a series as it stands now."""
        self._series[series.series] = series

    def put_numbered(self, numbered: Numbered) -> None:
        """Keep the number of a licence."""
        self._numbered = numbered
        grant = numbered.grant
        _, grants = self._index(grant.licence_id)
        text = "\n".join(dict.fromkeys((numbered.number, *grants, grant.grant_id)))
        self._index_records.append((_GIVEN + grant.licence_id.encode(), text))
        if numbered.serial:
            self._index_records.append((_OWNED + numbered.number.encode(), ""))

    def put_claim(self, claimed: NumberClaimed) -> None:
        """Keep the holder of an imported number."""
        self._index_records.append((_OWNED + claimed.number.encode(), claimed.holder))

    def write(self) -> Iterator[tuple[bytes, bytes]]:
        """Store what was put and yield the records (key, value): the series first, then the index."""
        for name, series in self._series.items():
            applied = self._outbox.apply(_series_key(name), self._offset, partial(self._step, series))
            if applied is not None:
                yield _series_key(name), applied[0]
        for key, text in self._index_records:
            self._table[key] = value = self._offset.to_bytes(_OFFSET_BYTES, "big") + text.encode()
            yield key, value

    def _step(self, series: Series, state: Numbers) -> tuple[Numbers, tuple[Send, ...]]:
        kept = tuple(g for g in state.given if g.offset >= self._outbox.committed())
        return Numbers(series, (*kept, *self._given())), ()

    def _given(self) -> Iterator[GivenNumber]:
        if (one := self._numbered) is not None:
            grant = one.grant
            place = place_in_series(one)
            yield GivenNumber(self._offset, grant.grant_id, grant.licence_id, one.number, one.serial, place)

    def _index(self, licence_id: str) -> tuple[str, list[str]]:
        """Return a licence's number, empty where it has none yet, and the grants that were numbered with it."""
        raw = self._table.get(_GIVEN + licence_id.encode())
        found, *grants = (raw[_OFFSET_BYTES:] if raw else b"").decode().split("\n")
        return found, grants


def given_again(question: ToNumber, given: GivenNumber) -> Numbered:
    """Return the numbered grant as it was, from what is kept of it."""
    host = question.grant.authority.host
    as_it_was = Series(question.grant.series, max(given.serial, 1), given.place, host)
    return number(as_it_was, question.grant, None if given.serial else given.number)[1]


class Numbering(StageLoop):
    """The single writer of the series in its partitions."""

    stage = topology.stage("number")

    def __init__(self, app: StageApp) -> None:
        super().__init__(app)
        self.table: Any = app.Table(
            topics.SERIES_TABLE[1], key_type=bytes, value_type=bytes, partitions=topics.GRANTS_PARTITIONS
        )
        self._partitions: dict[int, Outbox[Numbers]] = {}
        app.prepare, app.starts = self._prepare, self._starts

    async def handle(self, event: Any) -> list[Any]:
        """Number a grant, or answer a question."""
        try:
            question = decode_question(event.message.value)
        except (msgspec.DecodeError, TypeError) as error:
            return await self.loop.send([self.dead(event, error)])
        return await self.loop.send(self._answer(question, event))

    def _answer(self, question: Question, event: Any) -> list[Send]:
        partition, offset = event.message.partition, event.message.offset
        outbox = self._partitions[partition]
        messages = self._again(question, outbox, offset, partition)
        try:
            book = SeriesBook(self.table, outbox, offset)
            produced = number_step(book, question)
            messages += (_changelog(key, value, partition) for key, value in book.write())
        except (
            Exception
        ) as error:  # a full series, or a fault of ours: the question waits in the dead letters
            messages.append(self.dead(event, error))
            produced = unnumbered(question)
        return [*messages, *sends(produced)]

    def _again(self, question: Question, outbox: Outbox[Numbers], offset: int, partition: int) -> list[Send]:
        """Return the records and messages of an input that was applied before, to be sent once more."""
        messages: list[Send] = []
        for key, (record, _) in outbox.again(offset).items():
            messages.append(_changelog(key, record, partition))
            given = next((g for g in outbox.state(key).given if g.offset == offset), None)
            if given is not None and isinstance(question, ToNumber):
                numbered = given_again(question, given)
                book = SeriesBook(self.table, outbox, offset)
                book.put_numbered(numbered)
                messages += (_changelog(k, value, partition) for k, value in book.write())
                messages += sends(numbered_again(question, numbered))
        return messages

    async def _prepare(self) -> None:
        """Take the recovered table over."""
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
        """Return where to read from: a partition whose state is behind what is committed is read again."""
        return {
            tp: min(offset, self._partitions[tp.partition].newest + 1)
            for tp, offset in committed.items()
            if tp.topic == self.topic and tp.partition in self._partitions
        }


def _series_key(name: str) -> bytes:
    return _SERIES + name.encode()


def _changelog(key: bytes, record: bytes, partition: int) -> Send:
    return Send(topics.changelog(topics.SERIES_TABLE), key, record, partition)
