"""One record per key, which is state and outbox in one.

A record holds the state of a key, the offset of the input that it reflects, and everything sent for inputs
that are not committed yet. It is written as a whole, so a crash leaves it before an input or after it, never
between. An input that comes again sends the same again; whoever receives it drops it by its id. (To skip it
silently would lose what a crash kept from being sent.)
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Generic, TypeVar

import msgspec

S = TypeVar("S")
_OFFSET_BYTES = 8


class Send(msgspec.Struct, frozen=True, array_like=True):
    """A message to send. Without a partition, the key's hash decides."""

    topic: str
    key: bytes
    value: bytes
    partition: int | None = None


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """The records that one input, known by its offset, has to send; there may be none."""

    offset: int
    sends: tuple[Send, ...] = ()


class Record(msgspec.Struct, frozen=True, array_like=True):
    """The value that the table holds under a key.

    `schema` is the number of the state's form, `due` the moment when something next falls due by itself, `link` the
    chain of the inputs up to the one that the record reflects (`InputChain`), empty where it is not known.
    """

    schema: int
    state: bytes
    pending: tuple[Pending, ...] = ()
    due: str = ""
    link: bytes = b""


class InputChain:
    """The chain of one partition's inputs: SHA-256(link before ‖ bytes), from the offset at which it began.

    Its stored form names that offset in front of the link, so that whoever has the inputs can compute it again.
    """

    def __init__(self, upto: int = -1, stored: bytes = b"") -> None:
        self._upto = upto if stored else -1
        self._start = int.from_bytes(stored[:_OFFSET_BYTES], "big")
        self._link = stored[_OFFSET_BYTES:]

    def take(self, offset: int, raw: bytes) -> bytes:
        """Return the stored form after an input; empty for one of before the last that was taken."""
        if self._link and offset <= self._upto:
            return self.stored if offset == self._upto else b""
        if not self._link or offset != self._upto + 1:
            self._start, self._link = offset, b""
        self._link, self._upto = hashlib.sha256(self._link + raw).digest(), offset
        return self.stored

    @property
    def stored(self) -> bytes:
        """Return the chain as a record keeps it."""
        return self._start.to_bytes(_OFFSET_BYTES, "big") + self._link


def broken_links(inputs: Iterable[tuple[int, bytes]], recorded: Mapping[int, bytes]) -> list[tuple[int, int]]:
    """Return the spans of offsets in which an input is not what it was, by links that were recorded at offsets.

    `inputs` are all of a partition in their order. A span begins after the last link that holds.
    """
    chains: dict[int, InputChain] = {}
    starts = {int.from_bytes(link[:_OFFSET_BYTES], "big") for link in recorded.values()}
    good = dict.fromkeys(starts, -1)
    broken: dict[int, tuple[int, int]] = {}
    for offset, raw in inputs:
        if offset in starts:
            chains[offset] = InputChain()
        links = {start: chain.take(offset, raw) for start, chain in chains.items()}
        if (told := recorded.get(offset)) is not None:
            start = int.from_bytes(told[:_OFFSET_BYTES], "big")
            if links.get(start) == told:
                good[start] = offset
            elif start not in broken:
                broken[start] = (max(start, good[start] + 1), offset)
    return sorted(set(broken.values()))


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Record)


def encode(offset: int, record: Record) -> bytes:
    """Return the bytes of a record; the offset stands in front, so that it is read without the rest."""
    return offset.to_bytes(_OFFSET_BYTES, "big") + _ENCODER.encode(record)


def decode(raw: bytes) -> Record:
    """Return the record in the bytes of `encode`."""
    return _DECODER.decode(raw[_OFFSET_BYTES:])


def offset_of(raw: bytes) -> int:
    """Return the offset that the bytes of a record reflect."""
    return int.from_bytes(raw[:_OFFSET_BYTES], "big")


class Codec(Generic[S]):
    """The encoding of a state as bytes; `empty` gives the state of a key that nothing happened to."""

    def __init__(
        self,
        schema: int,
        empty: Callable[[bytes], S],
        to_bytes: Callable[[S], bytes],
        from_bytes: Callable[[bytes], S],
        due: Callable[[S], str | None] = lambda _: None,
    ) -> None:
        self.schema = schema
        self.empty = empty
        self.to_bytes = to_bytes
        self.from_bytes = from_bytes
        self.due = due


class Outbox(Generic[S]):
    """The records of one partition.

    `committed` tells the offset below which inputs never come again; what was sent for those is dropped
    when the record is written next.
    """

    def __init__(
        self,
        table: MutableMapping[bytes, bytes],
        codec: Codec[S],
        committed: Callable[[], int],
        *,
        cached: int = 4096,
    ) -> None:
        self._table = table
        self._codec = codec
        self.committed = committed
        self._cache: dict[bytes, tuple[int, S, tuple[Pending, ...]]] = {}
        self._cached = cached
        self._keys_of: dict[int, set[bytes]] = {}  # offset of an input → keys with something pending for it
        self._dues = _Dues()
        self._renewed: dict[
            bytes, bytes
        ] = {}  # records of another release, rebuilt, until they are written next
        self.newest = -1  # the highest offset that any record reflects
        self.newest_link = b""  # the link in the record that reflects it

    def restore(self, key: bytes, raw: bytes) -> None:
        """Take a record of this partition into account after the partition was assigned."""
        record = decode(raw)
        if record.schema != self._codec.schema:
            raise OldState(key, record.schema)
        if (offset := offset_of(raw)) >= self.newest:
            self.newest_link = record.link or (self.newest_link if offset == self.newest else b"")
            self.newest = offset
        self._dues.put(key, record.due)
        for item in record.pending:
            self._keys_of.setdefault(item.offset, set()).add(key)

    def renew(self, key: bytes, raw: bytes) -> None:
        """Take a rebuilt record in the place of the one in the table."""
        self._renewed[key] = raw
        self.restore(key, raw)

    def restored(self) -> None:
        """All records of the partition were taken into account."""
        self._keys_of = dict(sorted(self._keys_of.items()))  # `_tidy` drops from the front

    def due(self, until: str) -> list[bytes]:
        """Return the keys for which something is due by a moment, in the order of their due moments."""
        return self._dues.until(until)

    def every_key(self) -> list[bytes]:
        """Return the keys of the table, of other partitions too."""
        return list(self._table)

    def state(self, key: bytes) -> S:
        """Return the state of a key as it stands."""
        return self._load(key)[1]

    def again(self, offset: int) -> dict[bytes, tuple[bytes, tuple[Send, ...]]]:
        """Return, for an input that was applied before, key → record as stored, and what it sent.

        The record too has to be sent again: a local table may be ahead of its changelog.
        """
        found = {}
        for key in sorted(self._keys_of.get(offset, ())):
            pending = self._load(key)[2]
            sends = next((p.sends for p in pending if p.offset == offset), None)
            if sends is not None:
                found[key] = (self._table[key], sends)
        return found

    def apply(
        self,
        key: bytes,
        offset: int,
        step: Callable[[S], tuple[S, tuple[Send, ...]] | None],
        link: bytes = b"",
    ) -> tuple[bytes, tuple[Send, ...]] | None:
        """Apply the input at `offset` to a key, unless its record reflects it already.

        `step` returns the new state and what to send, or None where nothing changes. Returns the record
        written and what to send; None where there was nothing to do. `link` is kept in the record.
        """
        seen, state, pending = self._load(key)
        if offset <= seen or (outcome := step(state)) is None:
            return None
        after, sends = outcome
        self._tidy()
        keep = (*(p for p in pending if p.offset >= self.committed()), Pending(offset, sends))
        due = self._codec.due(after) or ""
        record = encode(offset, Record(self._codec.schema, self._codec.to_bytes(after), keep, due, link))
        self._table[key] = record
        self._renewed.pop(key, None)
        self._dues.put(key, due)
        self._remember(key, (offset, after, keep))
        self._keys_of.setdefault(offset, set()).add(key)
        self.newest = max(self.newest, offset)
        return record, sends

    def _load(self, key: bytes) -> tuple[int, S, tuple[Pending, ...]]:
        if (known := self._cache.get(key)) is not None:
            return known
        raw = self._renewed.get(key) or self._table.get(key)
        if raw is None:
            return -1, self._codec.empty(key), ()
        record = decode(raw)
        if record.schema != self._codec.schema:
            raise OldState(key, record.schema)
        loaded = offset_of(raw), self._codec.from_bytes(record.state), record.pending
        self._remember(key, loaded)
        return loaded

    def _remember(self, key: bytes, loaded: tuple[int, S, tuple[Pending, ...]]) -> None:
        self._cache.pop(key, None)
        self._cache[key] = loaded
        if len(self._cache) > self._cached:
            del self._cache[next(iter(self._cache))]

    def _tidy(self) -> None:
        committed = self.committed()
        while self._keys_of and (first := next(iter(self._keys_of))) < committed:
            del self._keys_of[first]


class _Dues:
    """Keys by the moment of their next due; a key has one at most."""

    def __init__(self) -> None:
        self._of: dict[bytes, str] = {}
        self._heap: list[tuple[str, bytes]] = []

    def put(self, key: bytes, due: str) -> None:
        if due == self._of.get(key, ""):
            return
        if due:
            self._of[key] = due
            heapq.heappush(self._heap, (due, key))
        else:
            del self._of[key]

    def until(self, moment: str) -> list[bytes]:
        found: dict[tuple[str, bytes], None] = {}
        while self._heap and self._heap[0][0] <= moment:
            due, key = heapq.heappop(self._heap)
            if self._of.get(key) == due:
                found[due, key] = None
        for entry in found:  # they stay due until their record says otherwise
            heapq.heappush(self._heap, entry)
        return [key for _, key in found]


class OldState(Exception):
    """A record was written by a release with another form of state: it must be rebuilt from facts."""

    def __init__(self, key: bytes, schema: int) -> None:
        super().__init__(f"the state of {key!r} has the form {schema}")
        self.key = key
        self.schema = schema
