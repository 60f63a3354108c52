"""Texts that carry proofs: C2SP tlog-proof for whoever verifies offline, and the request of tlog-witness."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.errors import VerificationError
from schemas.transparency.merkle import MAX_PROOF
from schemas.transparency.notes import MAX_NOTE, decode64, encode64, read_hash, read_size

MAX_PROOF_TEXT: Final = MAX_NOTE + (1 << 16)  # bytes
_FIRST: Final = "c2sp.org/tlog-proof@v1"


class LogProof(msgspec.Struct, frozen=True):
    """A proof that an entry stands in a log: its index, the audit path, and the checkpoint (a signed note).

    `extra` is for the application and under no signature.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def to_bytes(self) -> bytes:
        """The text of a `.tlog-proof` file."""
        extra = [] if self.extra is None else [f"extra {encode64(self.extra)}"]
        lines = [_FIRST, *extra, f"index {self.index}", *map(encode64, self.path), "", ""]
        return "\n".join(lines).encode() + self.checkpoint


class WitnessRequest(msgspec.Struct, frozen=True):
    """A request to a witness: to sign a checkpoint that continues the tree of `old` entries, by this proof."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def to_bytes(self) -> bytes:
        """The body of `POST /add-checkpoint`."""
        return "\n".join([f"old {self.old}", *map(encode64, self.proof), "", ""]).encode() + self.checkpoint


def read_proof(data: bytes) -> LogProof:
    """Return a proof, nothing verified. Raises VerificationError where the text has another form."""
    lines, checkpoint = _head(data)
    try:
        if not lines or lines.pop(0) != _FIRST:
            raise ValueError(f"the first line is not {_FIRST}")
        extra = decode64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
        index = _number(lines, "index ")
        return LogProof(index, _hashes(lines), checkpoint, extra)
    except ValueError as error:
        raise VerificationError(f"不是日志收录证明 / no tlog-proof: {error}") from None


def read_witness_request(data: bytes) -> WitnessRequest:
    """Return a request, nothing verified. Raises VerificationError where the text has another form."""
    lines, checkpoint = _head(data)
    try:
        old = _number(lines, "old ")
        return WitnessRequest(old, _hashes(lines), checkpoint)
    except ValueError as error:
        raise VerificationError(f"不是见证请求 / no add-checkpoint request: {error}") from None


def _head(data: bytes) -> tuple[list[str], bytes]:
    """Split a text at its first empty line: what stands before, as lines, and the checkpoint."""
    head, blank, checkpoint = data.partition(b"\n\n")
    if not blank or len(data) > MAX_PROOF_TEXT:
        raise VerificationError("证明中没有检查点 / a proof without a checkpoint, or over 1 MiB")
    try:
        return head.decode("ascii").split("\n"), checkpoint
    except UnicodeDecodeError:
        raise VerificationError("证明含有非 ASCII 字符 / characters other than ASCII in a proof") from None


def _number(lines: list[str], name: str) -> int:
    if not lines or not lines[0].startswith(name):
        raise ValueError(f"no line `{name.strip()}`")
    return read_size(lines.pop(0).removeprefix(name))


def _hashes(lines: list[str]) -> tuple[bytes, ...]:
    if len(lines) > MAX_PROOF:
        raise ValueError(f"over {MAX_PROOF} hashes")
    return tuple(map(read_hash, lines))
