"""Persons' keys shared by several machines: in the S3 store, each wrapped with the installation's secret.

Two workers may meet a new person at once. `If-None-Match: *` lets one of them write the key, and the other reads
that key; a compacted topic could not tell which came first. Erasing deletes every version of the object. Workers
on other machines forget a key within `_REMEMBERED` seconds.

The secret itself is a file that every worker is given (`secret/installation.key`). A worker with another secret
would make other pseudonyms, so the store holds a check value of it, and a worker that does not match does not start.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import urllib3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from minio.error import MinioException, S3Error

from infra.persons.keys import SECRET, PersonsStore, installation_secret
from infra.stores.s3 import ABSENT, check_admitted, conditional_put, connect, parse
from schemas.errors import KeysMissing, StoreUnavailable
from schemas.persons import KEY_LENGTH, Sealer, subkey

_PREFIX: Final = "persons/"
_CHECK: Final = "persons/installation.check"
_REMEMBERED: Final = 60.0
_CACHE: Final = 50_000


class SharedPersons(PersonsStore):
    """The port `schemas.persons.Persons`, its keys in an S3 store instead of a file."""

    def __init__(self, data: Path, store: str) -> None:
        """Open the keys in `store`, the value of ZHENGZHAO_STORE.

        Raises KeysMissing where the secret is not this installation's.
        """
        self._secret = installation_secret(data)
        self._wrapping = AESSIV(subkey(self._secret, "persons"))
        self._files = AESSIV(subkey(self._secret, "uploads"))
        self._objects = _Objects(store)
        self._sealer = Sealer(self._key, subkey(self._secret, "evidence"))
        self._known: dict[str, tuple[float, bytes]] = {}
        self._known_lock = threading.Lock()
        self._lock = threading.RLock()
        self._check()

    def close(self) -> None:
        """Forget the keys that are held in memory."""
        self._known.clear()

    def erase(self, pseudonym: str) -> bool:
        """Destroy a person's key for good; return False where there is none."""
        with self._known_lock:
            self._known.pop(pseudonym, None)
        return self._objects.delete(_object(pseudonym))

    def _kept_names(self, holder: str) -> list[str]:
        folder = _names_folder(self._secret, holder)
        return [
            raw.decode()
            for name in self._objects.names(folder)
            if (raw := self._objects.get(name)) is not None
        ]

    def _keep_name(self, holder: str, sealed: str) -> None:
        name = hashlib.sha256(sealed.encode()).hexdigest()[:32]
        self._objects.put_new(f"{_names_folder(self._secret, holder)}{name}", sealed.encode())

    def wrapped(self) -> Iterator[tuple[str, bytes]]:
        for name in self._objects.names(_PREFIX):
            if name.endswith(".key") and (raw := self._objects.get(name)) is not None:
                yield f"p:{name.removeprefix(_PREFIX).removesuffix('.key')}", raw

    def restore(self, pseudonym: str, wrapped: bytes) -> None:
        self._wrapping_opens(pseudonym, wrapped)
        self._objects.put_new(_object(pseudonym), wrapped)

    def _key(self, pseudonym: str, create: bool) -> bytes | None:
        now = time.monotonic()
        with self._known_lock:
            until, known = self._known.get(pseudonym, (0.0, b""))
        if now < until:
            return known
        wrapped = self._objects.get(_object(pseudonym))
        if wrapped is None and create:
            fresh = self._wrapping.encrypt(os.urandom(KEY_LENGTH), [pseudonym.encode()])
            self._objects.put_new(_object(pseudonym), fresh)
            wrapped = self._objects.get(_object(pseudonym))
            if wrapped is None:
                raise StoreUnavailable(
                    "个人密钥未能保存 / a person's key was not kept by the store", where=_object(pseudonym)
                )
        if wrapped is None:
            return None
        key = self._unwrapped(pseudonym, wrapped)
        with self._known_lock:
            if len(self._known) > _CACHE:
                self._known.clear()
            self._known[pseudonym] = (now + _REMEMBERED, key)
        return key

    def _unwrapped(self, pseudonym: str, wrapped: bytes) -> bytes:
        try:
            return self._wrapping.decrypt(wrapped, [pseudonym.encode()])
        except InvalidTag:
            raise _other_secret() from None

    def _check(self) -> None:
        mine = hmac.digest(subkey(self._secret, "check"), b"zhengzhao installation", "sha256")
        self._objects.put_new(_CHECK, mine)
        if self._objects.get(_CHECK) != mine:
            raise _other_secret()


def _other_secret() -> KeysMissing:
    return KeysMissing(
        "安装密钥与对象存储不符 / the installation's secret is not the one of this store",
        where=str(SECRET),
        hint="从最初安装的机器复制 secret/installation.key / copy it from the machine where this installation began",
    )


def _names_folder(secret: bytes, holder: str) -> str:
    """Return the folder of the names that an enterprise's applications gave."""
    return f"{_PREFIX}named/{hmac.digest(subkey(secret, 'names'), holder.encode(), 'sha256').hex()[:32]}/"


def _object(pseudonym: str) -> str:
    return f"{_PREFIX}{pseudonym.removeprefix('p:')}.key"


class _Objects:
    """The calls on the bucket that keys need; unlike a licence, a key may be deleted."""

    def __init__(self, address: str) -> None:
        place = parse(address)
        self._bucket = place.bucket
        self._client, self._pool = connect(place)
        check_admitted(self._client, place, _CHECK)

    def get(self, key: str) -> bytes | None:
        try:
            answer = self._client.get_object(self._bucket, key)
            try:
                return answer.read()
            finally:
                answer.close()
                answer.release_conn()
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, S3Error) and error.code in ABSENT:
                return None
            raise StoreUnavailable(f"GET {key}: {error}") from error

    def names(self, prefix: str) -> Iterator[str]:
        try:
            for found in self._client.list_objects(self._bucket, prefix=prefix, recursive=True):
                yield str(found.object_name)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise StoreUnavailable(f"LIST {prefix}: {error}") from error

    def put_new(self, key: str, body: bytes) -> None:
        if self.get(key) is None:
            conditional_put(self._client, self._pool, self._bucket, key, body)

    def delete(self, key: str) -> bool:
        try:
            versions = list(self._client.list_objects(self._bucket, prefix=key, include_version=True))
            for version in versions:
                self._client.remove_object(self._bucket, key, version_id=version.version_id)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise StoreUnavailable(f"DELETE {key}: {error}") from error
        return bool(versions)
