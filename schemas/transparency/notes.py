"""Signed notes, checkpoints, cosignatures, and proofs (C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof).

A note is a text, an empty line, and signature lines. A checkpoint is a note whose text is origin, size and root of
a log. A witness signs the same text with a time before it. Keys are written as `name+id+base64` (vkey).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.errors import UsageError, VerificationError
from schemas.transparency.merkle import HASH_SIZE, MAX_PROOF, MAX_SIZE

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04  # cosignature/v1
MAX_NOTE: Final = 1 << 20  # bytes
MAX_SIGNATURES: Final = 100
MAX_PROOF_TEXT: Final = MAX_NOTE + (1 << 16)  # bytes
_PROOF_FIRST: Final = "c2sp.org/tlog-proof@v1"
MAX_NAME: Final = 255
_MARK: Final = "— "
_SPACES = re.compile(r"[\s\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key that signs notes under a name; `kind` is the signature type byte."""

    name: str
    kind: Literal[1, 4]
    public: bytes

    def __post_init__(self) -> None:
        if not is_key_name(self.name) or len(self.public) != 32:
            raise ValueError("no verifier key")

    @property
    def key_id(self) -> bytes:
        """The four bytes before each signature: of SHA-256 over name, line feed, type and public key."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes((self.kind,)) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes((self.kind,)) + self.public)}"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether a raw Ed25519 signature (RFC 8032) over `message` is by this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class NoteSignature(msgspec.Struct, frozen=True):
    """A signature line: the key's name and id, and what the key made."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"{_MARK}{self.name} {encode64(self.key_id + self.value)}\n"


class Note(msgspec.Struct, frozen=True):
    """A note as it was read: its text (with the last line feed) and its signatures, none verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """Return the note's bytes."""
        return f"{self.text}\n{''.join(map(str, self.signatures))}".encode()

    def signed_by(self, key: VerifierKey) -> list[bytes]:
        """Return what lines of this name and key id hold, not verified."""
        return [s.value for s in self.signatures if (s.name, s.key_id) == (key.name, key.key_id)]


class Cosignature(msgspec.Struct, frozen=True):
    """A witness's verified signature: at `time` (seconds since 1970) this was the largest tree that it had seen."""

    witness: VerifierKey
    time: int


class Checkpoint(msgspec.Struct, frozen=True):
    """The head of a log: its origin, the number of its entries and the root of its tree."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note's text."""
        return "\n".join([self.origin, str(self.size), encode64(self.root), *self.extensions, ""])


def is_key_name(name: str) -> bool:
    """Tell whether a key may have this name: not empty, no space of Unicode, no plus, no control character."""
    return 0 < len(name) <= MAX_NAME and not _SPACES.search(name) and not _CONTROL.search(name)


def read_key(text: str) -> VerifierKey:
    """Return the key that a vkey describes. Raises UsageError where form or key id are wrong."""
    name, _, rest = text.strip().partition("+")
    key_id, _, material = rest.partition("+")
    try:
        raw = decode64(material)
        key = VerifierKey(name, _kind(raw[:1]), raw[1:])
    except ValueError:
        raise UsageError(
            "不是日志或见证人的公钥 / no verifier key",
            where=text[:80],
            hint="NAME+8 hex digits+base64, as `witness init` and `transparency show` print it",
        ) from None
    if key_id != key.key_id.hex():
        raise UsageError("公钥标识与公钥不符 / the key id is not the key's", where=text[:80])
    return key


def read_note(data: bytes) -> Note:
    """Return a note, nothing verified. Raises VerificationError where its form is wrong."""
    if len(data) > MAX_NOTE:
        raise VerificationError(f"超过 {MAX_NOTE} 字节 / a note over {MAX_NOTE} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise VerificationError("不是 UTF-8 / a note that is not UTF-8") from None
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n") or _CONTROL.search(whole):
        raise VerificationError("不是签名文本 / no signed note: text, empty line, signature lines")
    signed = lines[:-1].split("\n")
    if len(signed) > MAX_SIGNATURES:
        raise VerificationError(f"签名超过 {MAX_SIGNATURES} 个 / over {MAX_SIGNATURES} signatures in a note")
    return Note(text + "\n", tuple(map(_signature_line, signed)))


def read_signature_lines(data: bytes) -> tuple[NoteSignature, ...]:
    """Return the signature lines that a witness answered with. Raises VerificationError where there are none."""
    return read_note(b"\n\n" + data).signatures


def read_checkpoint(note: Note) -> Checkpoint:
    """Return the checkpoint that a note's text is. Raises VerificationError where it is none."""
    lines = note.text[:-1].split("\n")
    try:
        if len(lines) < 3 or not all(lines):
            raise ValueError("three lines at least, none empty")
        root = decode64(lines[2])
        checkpoint = Checkpoint(lines[0], read_size(lines[1]), root, tuple(lines[3:]))
        if len(root) != HASH_SIZE:
            raise ValueError("no SHA-256 root")
    except ValueError as error:
        raise VerificationError(f"不是日志检查点 / no checkpoint: {error}") from None
    return checkpoint


def check_log_signature(note: Note, keys: Iterable[VerifierKey]) -> VerifierKey:
    """Verify the log's own signature; return the first key that signed.

    Raises VerificationError where no key of `keys` signed, or one did badly (signed-note, "Signatures").
    """
    found = None
    for key in keys:
        for value in note.signed_by(key):
            if not key.verifies(value, note.text.encode()):
                raise VerificationError(
                    f"日志签名不符 / the signature of {key.name} does not fit the checkpoint"
                )
            found = found or key
    if found is None:
        raise VerificationError("没有可信的日志签名 / no signature by a known key of the log")
    return found


def check_cosignatures(note: Note, witnesses: Sequence[VerifierKey]) -> tuple[Cosignature, ...]:
    """Return what known witnesses signed, one for each: the earliest that it gave.

    Raises VerificationError where a known witness's line does not verify. Unknown signatures are ignored.
    """
    found = []
    for witness in witnesses:
        times = []
        for value in note.signed_by(witness):
            time = int.from_bytes(value[:8])
            message = cosigned_message(note.text, time)
            if len(value) != 72 or time > MAX_SIZE or not witness.verifies(value[8:], message):
                raise VerificationError(f"见证签名不符 / the cosignature of {witness.name} does not fit")
            times.append(time)
        if times:
            found.append(Cosignature(witness, min(times)))
    return tuple(found)


def cosigned_message(text: str, time: int) -> bytes:
    """Return the bytes that a witness signs at `time` for a checkpoint's text (tlog-cosignature)."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def log_line(key: VerifierKey, signature: bytes) -> NoteSignature:
    """Return the line for a raw signature over the note's text."""
    return NoteSignature(key.name, key.key_id, signature)


def cosignature_line(key: VerifierKey, time: int, signature: bytes) -> NoteSignature:
    """Return the line for a raw signature over `cosigned_message`."""
    return NoteSignature(key.name, key.key_id, time.to_bytes(8) + signature)


def read_size(text: str) -> int:
    """Return a decimal number without leading zeros; ValueError for another text or one beyond 2⁶²."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise ValueError(f"no size: {text[:40]!r}")
    return int(text)


def encode64(data: bytes) -> str:
    """Return the standard base64 form with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode64(text: str) -> bytes:
    """Return the bytes of a base64 text in its one form; ValueError for any other text."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError(f"no base64: {text[:40]!r}") from None
    if encode64(data) != text:
        raise ValueError(f"not the one base64 form: {text[:40]!r}")
    return data


def read_hash(text: str) -> bytes:
    """Return a hash of 32 bytes from its base64 form; ValueError for any other text."""
    data = decode64(text)
    if len(data) != HASH_SIZE:
        raise ValueError("a hash has 32 bytes")
    return data


def _kind(raw: bytes) -> Literal[1, 4]:
    if raw == b"\x01":
        return 1
    if raw == b"\x04":
        return 4
    raise ValueError("another signature type")


def _signature_line(line: str) -> NoteSignature:
    name, space, value = line.removeprefix(_MARK).partition(" ")
    try:
        raw = decode64(value)
    except ValueError:
        raw = b""
    if not line.startswith(_MARK) or not space or not is_key_name(name) or len(raw) < 5:
        raise VerificationError("签名行格式不符 / a signature line of another form")
    return NoteSignature(name, raw[:4], raw[4:])


# --- proofs and requests


class LogProof(msgspec.Struct, frozen=True):
    """A proof that an entry stands in a log: its index, the audit path, and the checkpoint (a signed note).

    `extra` is for the application and under no signature.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def to_bytes(self) -> bytes:
        """Return the text of a `.tlog-proof` file."""
        extra = [] if self.extra is None else [f"extra {encode64(self.extra)}"]
        lines = [_PROOF_FIRST, *extra, f"index {self.index}", *map(encode64, self.path), "", ""]
        return "\n".join(lines).encode() + self.checkpoint


class WitnessRequest(msgspec.Struct, frozen=True):
    """A request to a witness: to sign a checkpoint that continues the tree of `old` entries, by this proof."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def to_bytes(self) -> bytes:
        """Return the body of `POST /add-checkpoint`."""
        return "\n".join([f"old {self.old}", *map(encode64, self.proof), "", ""]).encode() + self.checkpoint


def is_proof(data: bytes) -> bool:
    """Tell whether bytes begin as a proof does."""
    return data.startswith(_PROOF_FIRST.encode() + b"\n")


def read_proof(data: bytes) -> LogProof:
    """Return a proof, nothing verified. Raises VerificationError where the text has another form."""
    lines, checkpoint = _split_head(data)
    try:
        if not lines or lines.pop(0) != _PROOF_FIRST:
            raise ValueError(f"the first line is not {_PROOF_FIRST}")
        extra = decode64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
        index = _number(lines, "index ")
        return LogProof(index, _hashes(lines), checkpoint, extra)
    except ValueError as error:
        raise VerificationError(f"不是日志收录证明 / no tlog-proof: {error}") from None


def read_witness_request(data: bytes) -> WitnessRequest:
    """Return a request, nothing verified. Raises VerificationError where the text has another form."""
    lines, checkpoint = _split_head(data)
    try:
        old = _number(lines, "old ")
        return WitnessRequest(old, _hashes(lines), checkpoint)
    except ValueError as error:
        raise VerificationError(f"不是见证请求 / no add-checkpoint request: {error}") from None


def _split_head(data: bytes) -> tuple[list[str], bytes]:
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
