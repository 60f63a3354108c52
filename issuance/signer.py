"""The port through which everything is signed, and the signer that holds its keys in memory.

A hardware module or a signing service implements the same three lines. Our own signatures are deterministic
(RFC 6979), so that issuing again after a crash gives the same bytes; a signer with random ones is served too:
a stage that finds its object already stored verifies and adopts it.

The private keys of an installation: one file under `keys/`, sealed with a passphrase where there is one.

The passphrase goes through scrypt (N 2¹⁵, r 8, p 1) to a key for AES-256-GCM. One file, so that opening some
hundred keys costs one scrypt.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
from Crypto.Cipher import AES
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from schemas.errors import KeysMissing
from schemas.signatures import der_to_raw, low_s

ES256 = "ES256"
ED25519 = "Ed25519"  # for the transparency log alone
_SCHEME = ec.ECDSA(SHA256(), deterministic_signing=True)


class Signer(Protocol):
    """Signs bytes with a named key."""

    def sign(self, kid: str, alg: str, data: bytes) -> bytes:
        """Return the signature of 64 bytes: for ES256 `r ‖ s` with the lower s, for Ed25519 as in RFC 8032.

        Raises KeysMissing without such a key.
        """
        ...


class SoftwareSigner:
    """Private keys in memory; `scalars` maps key id → private number (32 bytes, big-endian), or Ed25519 seed."""

    def __init__(self, scalars: Mapping[str, bytes]) -> None:
        self._scalars = dict(scalars)
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}

    def __repr__(self) -> str:
        return f"<SoftwareSigner with {len(self._scalars)} keys>"

    @property
    def kids(self) -> frozenset[str]:
        """The ids of the keys that can sign here."""
        return frozenset(self._scalars)

    def private_key(self, kid: str) -> ec.EllipticCurvePrivateKey:
        """Return the key itself, for what only a private key can make (certificates). KeysMissing without it."""
        if kid not in self._keys:
            scalar = self._scalars.get(kid)
            if scalar is None:
                raise KeysMissing(
                    f"no private key {kid} / 没有该密钥",
                    hint="is this the data folder that has signed with it?",
                )
            self._keys[kid] = ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1())
        return self._keys[kid]

    def sign(self, kid: str, alg: str, data: bytes) -> bytes:
        if alg == ED25519 and kid in self._scalars:
            return Ed25519PrivateKey.from_private_bytes(self._scalars[kid]).sign(data)
        if alg != ES256:
            raise KeysMissing(f"this signer has no {alg}", hint=f"the keys of the trust folder are {ES256}")
        return low_s(der_to_raw(self.private_key(kid).sign(data, _SCHEME)))


KEYS_FOLDER: Final = "keys"
KEYSTORE_FILE: Final = "keystore.json"
_N, _R, _P = 1 << 15, 8, 1
_PASSPHRASE_HINT = "set ZHENGZHAO_PASSPHRASE to the passphrase that keys init was given"


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """scrypt salt, AES-GCM nonce, ciphertext and tag."""

    salt: bytes
    nonce: bytes
    ciphertext: bytes
    tag: bytes


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: `keys` in clear, or `sealed`."""

    v: int
    keys: dict[str, bytes] | None = None
    sealed: _Sealed | None = None


def keystore_path(data: Path) -> Path:
    """Return the path of the private keys of a data folder."""
    return data / KEYS_FOLDER / KEYSTORE_FILE


def read_keystore(data: Path, passphrase: str | None) -> dict[str, bytes]:
    """Key id → private number (32 bytes). KeysMissing without keys, or with another passphrase."""
    path = keystore_path(data)
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        raise KeysMissing(
            "no keys that can sign / 没有签发密钥", where=str(path), hint="zhengzhao keys init"
        ) from None
    except msgspec.MsgspecError as error:
        raise KeysMissing(f"no keystore: {error}", where=str(path), hint="restore it from a backup") from None
    if content.sealed is None:
        return content.keys or {}
    if not passphrase:
        raise KeysMissing("the keys are sealed / 密钥已加密", where=str(path), hint=_PASSPHRASE_HINT)
    sealed = content.sealed
    cipher = AES.new(_stretch(passphrase, sealed.salt), AES.MODE_GCM, nonce=sealed.nonce)
    try:
        plain = cipher.decrypt_and_verify(sealed.ciphertext, sealed.tag)
    except ValueError:
        raise KeysMissing(
            "the passphrase is wrong / 口令错误", where=str(path), hint=_PASSPHRASE_HINT
        ) from None
    return msgspec.json.decode(plain, type=dict[str, bytes])


def write_keystore(data: Path, keys: dict[str, bytes], passphrase: str | None) -> None:
    """Write the keys in the place of those before, whole or not at all; readable for the owner alone."""
    content = _File(v=1, keys=keys) if not passphrase else _File(v=1, sealed=_seal(keys, passphrase))
    path = keystore_path(data)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, msgspec.json.encode(content), mode=0o600)


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _seal(keys: dict[str, bytes], passphrase: str) -> _Sealed:
    salt, nonce = os.urandom(16), os.urandom(12)
    cipher = AES.new(_stretch(passphrase, salt), AES.MODE_GCM, nonce=nonce)
    ciphertext, tag = cipher.encrypt_and_digest(msgspec.json.encode(keys))
    return _Sealed(salt, nonce, ciphertext, tag)


def _stretch(passphrase: str, salt: bytes) -> bytes:
    # bytes that are no UTF-8 reach us from the environment as surrogates
    raw = passphrase.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(raw, salt=salt, n=_N, r=_R, p=_P, maxmem=256 * _N * _R, dklen=32)
