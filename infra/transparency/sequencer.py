"""The one writer of a log: from the recorded order to tiles, checkpoint, witnesses, and a published head.

1. New entries have their place in the order, durably, before anything else is done with them.
2. Tiles are written; the same order gives the same bytes, whoever was killed in between.
3. The head is signed, and witnesses are asked, each from the size that it knows.
4. The head is published, with what witnesses have signed; a witnessed one is kept for proofs of the past.

A witness that is away holds nothing up: the head is published all the same, and what is missing is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import msgspec

from infra.failpoints import failpoint
from infra.transparency.client import Cosigner, LogReader, WitnessFailure
from infra.transparency.order import LogOrder
from infra.transparency.signer import NoteSigner
from infra.transparency.tiles import StoredLog
from schemas.errors import NotFound, VerificationError
from schemas.transparency.entries import LogEntry
from schemas.transparency.notes import (
    Checkpoint,
    LogProof,
    Note,
    NoteSignature,
    VerifierKey,
    WitnessRequest,
    read_note,
)
from schemas.transparency.tiles import RightEdge, grow
from verification.transparency import LogPolicy, WitnessedCheckpoint, verify_checkpoint

_AT_ONCE = 8_192  # entries whose tiles are made together


class Head(msgspec.Struct, frozen=True):
    """A published head: its size, and the witnesses that did not sign it."""

    size: int
    note: bytes
    failures: tuple[WitnessFailure, ...] = ()


class Sequencer:
    """The writer of a log. Only one may run: whoever opens it holds the lock of the data folder or the partition."""

    def __init__(
        self,
        order: LogOrder,
        stored: StoredLog,
        signer: NoteSigner,
        witnesses: Sequence[Cosigner] = (),
        needed: int = 0,
        former_keys: tuple[VerifierKey, ...] = (),
    ) -> None:
        """Go on where the stored head ends.

        Raises VerificationError where head, tiles and order do not agree: somebody has cut or changed one of them.
        """
        self._order = order
        self._stored = stored
        self._signer = signer
        self._witnesses = tuple(witnesses)
        self._known: dict[str, int] = {}  # witness → size that it signed last
        self._needed = needed
        keys = (signer.log_key, *former_keys)
        self._policy = LogPolicy(signer.name, keys, tuple(w.key for w in self._witnesses))
        self._edge, self._seen = self._resume()

    @property
    def size(self) -> int:
        """The number of entries under the published head."""
        return self._edge.size

    def is_current(self) -> bool:
        """Tell whether the published head is the one that was seen or written here last."""
        return self._stored.head() == (self._seen.data if self._seen is not None else None)

    def append(self, entries: Iterable[LogEntry]) -> int:
        """Give new entries their place (1); return how many were new. `publish` brings them before readers."""
        return len(self._order.append(entries))

    def publish(self) -> Head:
        """Bring everything that has a place under a published head (2 to 4).

        Does nothing where all is published and enough witnesses have signed. Raises StoreUnavailable where the store
        fails; what is written by then stays good.
        """
        if self._seen is not None and self._order.size() == self._edge.size and self._is_final(self._seen):
            return Head(self._edge.size, self._seen.data)
        old = self._edge.size
        failpoint("log-before-tiles")
        edge = self._write_tiles()
        head = Checkpoint(self._signer.name, edge.size, edge.root)
        note, failures = self._cosigned(self._signer.sign_checkpoint(head), head)
        failpoint("log-before-checkpoint")
        self._stored.publish(note.to_bytes())
        self._edge, self._seen = edge, verify_checkpoint(note.to_bytes(), self._policy)
        self._archive(self._seen)
        self._stored.tidy(old, edge.size)
        return Head(edge.size, self._seen.data, failures)

    def prove(self, identity: str, *, before: int | None = None) -> LogProof:
        """Return the proof of the entry with this id, by a witnessed head where there is one, else by the newest.

        With `before` (seconds since 1970) by the oldest kept head that has the entry, if witnesses had signed it by
        then. NotFound where the entry is not in the log, or no such head is kept.
        """
        index = self._order.index_of(identity)
        if index is None or index >= self._edge.size or self._seen is None:
            raise NotFound("尚未载入日志 / not in the published log yet")
        if before is None and self._enough(self._seen):
            return self._prove(index, self._seen)
        sizes = [size for size in self._stored.archived() if size > index]
        if before is not None:
            sizes = sizes[:1]
        for size in reversed(sizes):
            seen = verify_checkpoint(self._stored.archived_checkpoint(size), self._policy)
            signed = seen.witnessed_by(max(self._needed, 1))
            if before is None or (signed is not None and signed < before):
                return self._prove(index, seen)
        if before is not None:
            raise NotFound("该时间之前没有见证 / no witness had signed it by then")
        return self._prove(index, self._seen)

    def _prove(self, index: int, seen: WitnessedCheckpoint) -> LogProof:
        return LogReader(self._stored, seen.checkpoint, seen.data).prove(index)

    def _resume(self) -> tuple[RightEdge, WitnessedCheckpoint | None]:
        note = self._stored.head()
        if note is None:
            return RightEdge(), None
        seen = verify_checkpoint(note, self._policy)
        size, recorded = seen.checkpoint.size, self._order.size()
        if recorded < size:
            raise VerificationError(
                f"日志有 {size} 条，记录只有 {recorded} 条 / the published log has {size} entries, the order only {recorded}: "
                f"what came from entry {recorded} on is lost",
                hint="restore the data folder from a later backup",
            )
        edge = self._stored.edge(seen.checkpoint)
        last = b"".join(len(e).to_bytes(2) + e for e in self._order.read(size - size % 256, size))
        if last != edge.bundle:
            raise VerificationError(
                f"记录与日志不符 / the order differs from the published log at or after entry {size - size % 256}",
                hint="zhengzhao replay says which",
            )
        self._archive(seen)
        return edge, seen

    def _write_tiles(self) -> RightEdge:
        edge = self._edge
        entries = self._order.read(edge.size, self._order.size())
        while part := list(islice(entries, _AT_ONCE)):
            edge, tiles = grow(edge, part)
            self._stored.write(tiles)
        return edge

    def _cosigned(self, note: Note, head: Checkpoint) -> tuple[Note, tuple[WitnessFailure, ...]]:
        if not self._witnesses or head.size == 0:
            return note, ()
        with ThreadPoolExecutor(len(self._witnesses)) as threads:
            answers = list(threads.map(lambda witness: self._ask(witness, note, head), self._witnesses))
        lines = tuple(a for a in answers if isinstance(a, NoteSignature))
        failures = tuple(a for a in answers if isinstance(a, WitnessFailure))
        return msgspec.structs.replace(note, signatures=(*note.signatures, *lines)), failures

    def _ask(self, witness: Cosigner, note: Note, head: Checkpoint) -> NoteSignature | WitnessFailure:
        """Ask a witness from the size that it knows; it says another one at most twice (a restart, a race)."""
        name = str(witness.key)
        old = min(self._known.get(name, 0), head.size)
        for _ in range(3):
            proof = self._continuation(old, head, note)
            answer = witness.cosign(note, WitnessRequest(old, proof, note.to_bytes()))
            if isinstance(answer, NoteSignature):
                self._known[name] = head.size
                return answer
            if answer.size is None or answer.size == old:
                return answer
            if answer.size > head.size:
                return msgspec.structs.replace(
                    answer,
                    reason=f"它见过 {answer.size} 条的日志，本日志只有 {head.size} 条 / it has seen a longer log "
                    f"({answer.size} entries, here {head.size}): was this one cut, or restored from an old backup?",
                )
            old = answer.size
        return answer

    def _continuation(self, old: int, head: Checkpoint, note: Note) -> tuple[bytes, ...]:
        return LogReader(self._stored, head, note.to_bytes()).prove_continuation(old)

    def _is_final(self, seen: WitnessedCheckpoint) -> bool:
        """Tell whether a head needs no other signature: the log's present key has signed it, and enough witnesses."""
        return self._enough(seen) and bool(read_note(seen.data).signed_by(self._signer.log_key))

    def _enough(self, seen: WitnessedCheckpoint) -> bool:
        return self._needed == 0 or seen.witnessed_by(self._needed) is not None

    def _archive(self, seen: WitnessedCheckpoint) -> None:
        failpoint("log-before-archive")
        if seen.witnessed_by(max(self._needed, 1)) is not None:
            self._stored.archive(seen.checkpoint.size, seen.data)
