"""Objects in an S3 bucket.

A key is looked up first, then written with `If-None-Match: *`, then read back: a store that knows the header
lets one of two writers win; on one that does not, the bytes that came back tell. Nothing is retried here:
whoever calls knows how long to wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from minio.helpers import check_bucket_name

from infra.stores.probe import conditional_put, conditional_writes
from schemas.errors import NotFound, ObjectDiffers, StoreUnavailable, UsageError
from schemas.ports import checked_key

_REGION = "us-east-1"  # a name that clients must send; without one they ask the server first
_ABSENT = {"NoSuchKey", "NoSuchObject", "NotFound"}


class S3Store:
    """The bucket named by `s3://KEY:SECRET@HOST:PORT/BUCKET` (`s3s://` with TLS)."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._bucket = parts.path.strip("/")
        if parts.scheme not in ("s3", "s3s") or not parts.hostname or not self._bucket:
            raise UsageError("the store's address is incomplete", hint="s3://KEY:SECRET@HOST:PORT/BUCKET")
        self._pool = urllib3.PoolManager(
            maxsize=8, timeout=urllib3.Timeout(connect=5, read=30), retries=False
        )
        try:
            check_bucket_name(self._bucket)
            self._client = Minio(
                parts.netloc.rpartition("@")[2],
                access_key=unquote(parts.username or ""),
                secret_key=unquote(parts.password or ""),
                secure=parts.scheme == "s3s",
                region=_REGION,
                http_client=self._pool,
            )
        except ValueError as error:
            raise UsageError(
                f"no address of a store: {error}", hint="s3://KEY:SECRET@HOST:PORT/BUCKET"
            ) from None

    def __repr__(self) -> str:
        return f"<S3Store {self._bucket}>"

    def put(self, key: str, data: bytes) -> None:
        checked_key(key)
        stored = self._read(key)
        if stored is None:
            conditional_put(self._client, self._pool, self._bucket, key, data)
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
            if isinstance(error, S3Error) and error.code in _ABSENT:
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

    def _read(self, key: str) -> bytes | None:
        try:
            answer = self._client.get_object(self._bucket, key)
            try:
                return answer.read()
            finally:
                answer.close()
                answer.release_conn()
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, S3Error) and error.code in _ABSENT:
                return None
            raise self._unavailable(error, key) from error

    def _unavailable(self, error: Exception, key: str) -> StoreUnavailable:
        said = error.message if isinstance(error, S3Error) else f"{type(error).__name__}: {error}"
        return StoreUnavailable(
            f"the object store failed: {said}",
            where=f"{self._bucket}/{key}",
            hint="does the store run, and does the bucket exist? then go on with `zhengzhao drain`",
        )
