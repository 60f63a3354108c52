"""Objects in an S3 bucket.

A key is written with `If-None-Match: *`, then read back: a store that knows the header lets one of two writers win;
on one that does not, the bytes that came back tell. Until this store was seen to refuse a second write, a key is
looked up first. Nothing is retried here: whoever calls knows how long to wait.
"""

from __future__ import annotations

from collections.abc import Iterator

import urllib3
from minio.error import MinioException, S3Error

from infra.stores.address import ABSENT, connect, parse
from infra.stores.probe import conditional_put, conditional_writes
from schemas.errors import NotFound, ObjectDiffers, StoreUnavailable
from schemas.ports import checked_key


class S3Store:
    """The bucket named by `s3://KEY:SECRET@HOST:PORT/BUCKET` (`s3s://` with TLS)."""

    def __init__(self, address: str) -> None:
        place = parse(address)
        self._bucket = place.bucket
        self._refuses = False  # whether this store was seen to keep a key that was there
        self._client, self._pool = connect(place)

    def __repr__(self) -> str:
        return f"<S3Store {self._bucket}>"

    def put(self, key: str, data: bytes) -> None:
        checked_key(key)
        stored = None if self._refuses else self._read(key)
        if stored is None:
            self._write(key, data)
            stored = self._read(key)
        if stored is None:
            raise StoreUnavailable("the object did not stay", where=key)
        if stored != data:
            raise ObjectDiffers("the key holds other bytes", where=key, hint="an object is written once")

    def get(self, key: str) -> bytes:
        stored = self._read(checked_key(key))
        if stored is None:
            raise NotFound("no such object", where=key)
        return stored

    def exists(self, key: str) -> bool:
        try:
            self._client.stat_object(self._bucket, checked_key(key))
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, S3Error) and error.code in ABSENT:
                return False
            raise self._unavailable(error, key) from error
        return True

    def list(self, prefix: str = "") -> Iterator[str]:
        try:
            found = self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
            yield from sorted(str(o.object_name) for o in found)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._unavailable(error, prefix) from error

    def erase(self, key: str) -> bool:
        """Deletes every version of an object, for the files of a person who is erased; False where there is none."""
        try:
            found = self._client.list_objects(self._bucket, prefix=checked_key(key), include_version=True)
            versions = [one for one in found if one.object_name == key]
            for one in versions:
                self._client.remove_object(self._bucket, key, version_id=one.version_id)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._unavailable(error, key) from error
        return bool(versions)

    def conditional(self) -> bool:
        """Whether of several writers at once exactly one wins; tried on the store, which keeps nothing of it."""
        return conditional_writes(self._client, self._bucket)

    def _write(self, key: str, data: bytes) -> None:
        """Writes the key where it is free. The first one is written twice: that tells whether the second is refused."""
        written = conditional_put(self._client, self._pool, self._bucket, key, data)
        if written and not self._refuses:
            self._refuses = not conditional_put(self._client, self._pool, self._bucket, key, data)

    def _read(self, key: str) -> bytes | None:
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
            raise self._unavailable(error, key) from error

    def _unavailable(self, error: Exception, key: str) -> StoreUnavailable:
        said = error.message if isinstance(error, S3Error) else f"{type(error).__name__}: {error}"
        return StoreUnavailable(
            f"the object store failed: {said}",
            where=f"{self._bucket}/{key}",
            hint="does the store run, and does the bucket exist? then go on with `zhengzhao drain`",
        )
