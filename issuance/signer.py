"""The port through which everything is signed, and the signer that holds its keys in memory.

A hardware module or a signing service implements the same three lines. Our own signatures are deterministic
(RFC 6979), so that issuing again after a crash gives the same bytes; a signer with random ones is served too:
a stage that finds its object already stored verifies and adopts it.

The private keys of an installation: `keys/keystore.json` has the keys that sign, `keys/root` the root's alone,
`keys/log.json` that of the transparency log, so that a machine that only writes the log holds no other. Each is sealed with a passphrase where there is one. The root may be taken away: only a new edition of the trust folder needs it.

The passphrase goes through scrypt (N 2¹⁷, r 8, p 1; files of earlier releases: N 2¹⁵) to a key for AES-256-GCM. One
file, so that opening some hundred keys costs one scrypt.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec
from Crypto.Cipher import AES
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from schemas.errors import KeysMissing, UsageError
from schemas.signatures import der_to_raw, low_s
from schemas.trust import key_id

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

    def __init__(
        self, scalars: Mapping[str, bytes], more: Callable[[], Mapping[str, bytes]] | None = None
    ) -> None:
        """Hold keys; `more` gives all of them, and is called once one is asked for that is not held."""
        self._scalars = dict(scalars)
        self._more = more
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}

    def __repr__(self) -> str:
        return f"<SoftwareSigner with {len(self._scalars)} keys>"

    def _load(self, kid: str | None) -> None:
        if self._more is not None and kid not in self._scalars:
            self._scalars |= self._more()
            self._more = None

    @property
    def kids(self) -> frozenset[str]:
        """The ids of the keys that can sign here."""
        self._load(None)
        return frozenset(self._scalars)

    def private_key(self, kid: str) -> ec.EllipticCurvePrivateKey:
        """Return the key itself, for what only a private key can make (certificates). KeysMissing without it."""
        self._load(kid)
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
        self._load(kid)
        if alg == ED25519 and kid in self._scalars:
            return Ed25519PrivateKey.from_private_bytes(self._scalars[kid]).sign(data)
        if alg != ES256:
            raise KeysMissing(f"this signer has no {alg}", hint=f"the keys of the trust folder are {ES256}")
        return low_s(der_to_raw(self.private_key(kid).sign(data, _SCHEME)))


KEYS_FOLDER: Final = "keys"
KEYSTORE_FILE: Final = "keystore.json"
ROOT_KEY_FILE: Final = "root"
LOG_KEYSTORE_FILE: Final = "log.json"
SHORTEST_PASSPHRASE: Final = 12  # characters
_EARLIER_N = 1 << 15  # of files that do not name it
_N, _R, _P = 1 << 17, 8, 1
_MOST_N = 1 << 20  # 1 GiB of memory: a file that names more was not written here
_PASSPHRASE_HINT = "set ZHENGZHAO_PASSPHRASE to the passphrase that keys init was given"
_ROOT_HINT = "set ZHENGZHAO_ROOT_PASSPHRASE (without it ZHENGZHAO_PASSPHRASE counts) to the root's passphrase"


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """scrypt salt and N, AES-GCM nonce, ciphertext and tag."""

    salt: bytes
    nonce: bytes
    ciphertext: bytes
    tag: bytes
    n: int = _EARLIER_N


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: `keys` in clear, or `sealed`."""

    v: int
    keys: dict[str, bytes] | None = None
    sealed: _Sealed | None = None


def keystore_path(data: Path) -> Path:
    """Return the path of the private keys of a data folder."""
    return data / KEYS_FOLDER / KEYSTORE_FILE


def root_path(data: Path) -> Path:
    """Return the path of the root's private key of a data folder."""
    return data / KEYS_FOLDER / ROOT_KEY_FILE


def read_keystore(data: Path, passphrase: str | None, *, log: bool = True) -> dict[str, bytes]:
    """Return key id → private number (32 bytes), with that of the log where `log` asks for it.

    KeysMissing without keys, or with another passphrase.
    """
    path, apart = keystore_path(data), data / KEYS_FOLDER / LOG_KEYSTORE_FILE
    if not path.exists() and not apart.exists():
        raise KeysMissing("no keys that can sign / 没有签发密钥", where=str(path), hint="zhengzhao keys init")
    keys = _read(path, passphrase, _PASSPHRASE_HINT) if path.exists() else {}
    return keys | (_read(apart, passphrase, _PASSPHRASE_HINT) if log and apart.exists() else {})


def read_root(data: Path, passphrase: str | None) -> dict[str, bytes]:
    """Root's key id → private number. KeysMissing where the file was taken away, or with another passphrase."""
    path = root_path(data)
    if not path.exists():
        raise KeysMissing(
            "根密钥不在此处，信任目录的新版次须由它签名 / the root's private key is not here: it signs each new edition of the trust folder",
            where=str(path),
            hint="把 keys/root 放回后再执行，用毕再取走 / put keys/root back for this command, and take it away afterwards",
        )
    return _read(path, passphrase, _ROOT_HINT)


def _read(path: Path, passphrase: str | None, hint: str) -> dict[str, bytes]:
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except msgspec.MsgspecError as error:
        raise KeysMissing(f"no keystore: {error}", where=str(path), hint="restore it from a backup") from None
    if content.sealed is None:
        return content.keys or {}
    if not passphrase:
        raise KeysMissing("the keys are sealed / 密钥已加密", where=str(path), hint=hint)
    sealed = content.sealed
    if not _EARLIER_N <= sealed.n <= _MOST_N or sealed.n & (sealed.n - 1):
        raise KeysMissing(f"no keystore: n = {sealed.n}", where=str(path), hint="restore it from a backup")
    cipher = AES.new(_stretch(passphrase, sealed.salt, sealed.n), AES.MODE_GCM, nonce=sealed.nonce)
    try:
        plain = cipher.decrypt_and_verify(sealed.ciphertext, sealed.tag)
    except ValueError:
        raise KeysMissing("the passphrase is wrong / 口令错误", where=str(path), hint=hint) from None
    return msgspec.json.decode(plain, type=dict[str, bytes])


def check_passphrase(passphrase: str | None, variable: str) -> None:
    """Refuse a passphrase that is too short to protect a key. Raise UsageError; none at all is the user's choice."""
    if passphrase and len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(
            f"口令不足 {SHORTEST_PASSPHRASE} 个字符 / a passphrase of fewer than {SHORTEST_PASSPHRASE} characters",
            where=variable,
            hint="用几个不相关的词组成一句 / a phrase of several unrelated words",
        )


def write_keystore(
    data: Path, keys: dict[str, bytes], passphrase: str | None, log: Collection[str] = ()
) -> None:
    """Write the keys in the place of those before, whole or not at all; readable for the owner alone.

    `log` names those of the transparency log: they go into their own file, before the other one is replaced.
    """
    apart = {kid: number for kid, number in keys.items() if kid in log}
    if apart:
        _write(data / KEYS_FOLDER / LOG_KEYSTORE_FILE, apart, passphrase)
    _write(keystore_path(data), {k: number for k, number in keys.items() if k not in log}, passphrase)


def write_root(data: Path, keys: dict[str, bytes], passphrase: str | None) -> None:
    """Write the root's key into a file of its own, as `write_keystore` does."""
    _write(root_path(data), keys, passphrase)


def _write(path: Path, keys: dict[str, bytes], passphrase: str | None) -> None:
    content = _File(v=1, keys=keys) if not passphrase else _File(v=1, sealed=_seal(keys, passphrase))
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
    cipher = AES.new(_stretch(passphrase, salt, _N), AES.MODE_GCM, nonce=nonce)
    ciphertext, tag = cipher.encrypt_and_digest(msgspec.json.encode(keys))
    return _Sealed(salt, nonce, ciphertext, tag, _N)


def _stretch(passphrase: str, salt: bytes, n: int) -> bytes:
    # bytes that are no UTF-8 reach us from the environment as surrogates
    raw = passphrase.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(raw, salt=salt, n=n, r=_R, p=_P, maxmem=256 * n * _R, dklen=32)


def add_key(data: Path, passphrase: str | None) -> ec.EllipticCurvePublicKey:
    """Make a further key in the keystore of a data folder and return its public half. Raises KeysMissing."""
    scalars = read_keystore(data, passphrase, log=False)
    key = ec.generate_private_key(ec.SECP256R1())
    scalars[key_id(key.public_key())] = key.private_numbers().private_value.to_bytes(32)
    write_keystore(data, scalars, passphrase)
    return key.public_key()


def open_signer(data: Path, passphrase: str | None) -> SoftwareSigner:
    """Return the signer over the data folder's keys. Raise KeysMissing without keys, or with another passphrase."""
    keys = read_keystore(
        data, passphrase, log=False
    )  # scrypt is slow, and most that sign need no key of the log
    return SoftwareSigner(keys, lambda: read_keystore(data, passphrase))
