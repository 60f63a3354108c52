"""Ed25519 keys that sign for a log or as a witness, with the name under which they sign."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from schemas.errors import KeysMissing, UsageError
from schemas.transparency.notes import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Note,
    NoteSignature,
    VerifierKey,
    cosignature_line,
    cosigned_message,
    is_key_name,
    log_line,
)


class NoteSigner:
    """A key under its name: `public` has 32 bytes, `sign` returns the signature of bytes (RFC 8032, 64 bytes)."""

    def __init__(self, name: str, public: bytes, sign: Callable[[bytes], bytes]) -> None:
        if not is_key_name(name):
            raise UsageError(
                f"名称不可用 / no name for a key: {name[:80]!r}",
                hint="like a web address without https://, no spaces, no +",
            )
        self.name = name
        self._sign = sign
        self.log_key = VerifierKey(name, ED25519, public)
        self.witness_key = VerifierKey(name, COSIGNATURE, public)

    def __repr__(self) -> str:
        return f"<NoteSigner {self.name}>"

    def sign_checkpoint(self, checkpoint: Checkpoint) -> Note:
        """Return the checkpoint as a note with the log's signature; the same checkpoint gives the same bytes."""
        signature = self._sign(checkpoint.text.encode())
        return Note(checkpoint.text, (log_line(self.log_key, signature),))

    def cosign(self, text: str, time: int) -> NoteSignature:
        """Return the witness's signature line for a checkpoint's text at `time` (seconds since 1970)."""
        signature = self._sign(cosigned_message(text, time))
        return cosignature_line(self.witness_key, time, signature)


def seeded_signer(name: str, seed: bytes) -> NoteSigner:
    """Return the signer whose private key (RFC 8032) is `seed`, 32 bytes. Raises UsageError for no name of a key."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return NoteSigner(name, private.public_key().public_bytes_raw(), private.sign)


def new_seed() -> bytes:
    """Make a private key."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def write_key(path: Path, seed: bytes, passphrase: str | None) -> None:
    """Write a private key as PEM (PKCS #8), readable for the owner alone; UsageError where the file exists."""
    sealing = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError("已有密钥 / there is a key already", where=str(path)) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def read_key_file(path: Path, passphrase: str | None) -> bytes:
    """Return the private key in a PEM file. KeysMissing without one, or with another passphrase."""
    try:
        key = load_pem_private_key(path.read_bytes(), passphrase.encode() if passphrase else None)
    except FileNotFoundError:
        raise KeysMissing("没有密钥 / no key", where=str(path), hint="zhengzhao witness init") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeysMissing(
            "密钥无法打开 / the key cannot be opened", where=str(path), hint="ZHENGZHAO_PASSPHRASE"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysMissing("不是 Ed25519 密钥 / no Ed25519 key", where=str(path))
    return key.private_bytes_raw()
