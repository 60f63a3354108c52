"""Objects in an S3 bucket, named by one address: `s3://KEY:SECRET@HOST:PORT/BUCKET`, `s3s://` with TLS.

`?ca=FILE` names the authority that signed the store's certificate, where the system does not know it.

A key is written with `If-None-Match: *`, then read back: a store that knows the header lets one of two writers win;
on a store that ignores it, the bytes read back tell. Until this store was seen to refuse a second write, a key is
looked up first. Nothing is retried here, since only the caller knows how long to wait.

`minio` has no conditional header of its own, but a presigned URL may be PUT with one, because headers are no part of
the signature. A store that does not know the header ignores it, so only a trial tells (`conditional_writes`).
"""

from __future__ import annotations

import io
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from minio.helpers import check_bucket_name

from infra.settings import masked
from schemas.errors import NotFound, ObjectDiffers, StoreUnavailable, UsageError
from schemas.ports import checked_key

REGION = "us-east-1"  # without a region clients ask the server for it first
ABSENT = {"NoSuchKey", "NoSuchObject", "NotFound"}
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_HINT = "s3://KEY:SECRET@HOST:PORT/BUCKET (s3s:// with TLS, and ?ca=FILE)"


class BucketAddress(msgspec.Struct, frozen=True):
    """The address of a bucket, with its credentials."""

    endpoint: str
    bucket: str
    key: str
    secret: str
    tls: bool
    ca: str = ""

    def __repr__(self) -> str:
        return f"BucketAddress({self.endpoint}/{self.bucket}, tls={self.tls})"


def parse(address: str) -> BucketAddress:
    """Return the bucket of an address. Raises UsageError, which never shows the secret."""
    parts = urlsplit(address)
    bucket = parts.path.strip("/")
    options = parse_qs(parts.query, keep_blank_values=True)
    if parts.scheme not in ("s3", "s3s") or not parts.hostname or not bucket or set(options) - {"ca"}:
        raise UsageError(
            "存储地址不完整 / the store's address is incomplete", where=masked(address), hint=_HINT
        )
    ca = options.get("ca", [""])[-1]
    if ca and not Path(ca).is_file():
        raise UsageError("未找到这个文件 / there is no such file", where=f"ca={ca}", hint=_HINT)
    key, secret = unquote(parts.username or ""), unquote(parts.password or "")
    return BucketAddress(parts.netloc.rpartition("@")[2], bucket, key, secret, parts.scheme == "s3s", ca)


def connect(place: BucketAddress) -> tuple[Minio, urllib3.PoolManager]:
    """Return a client that retries nothing by itself, and its pool of connections. Raises UsageError."""
    pool = urllib3.PoolManager(
        maxsize=8, timeout=urllib3.Timeout(connect=5, read=30), retries=False, ca_certs=place.ca or None
    )
    try:
        check_bucket_name(place.bucket)
        made = Minio(
            place.endpoint,
            access_key=place.key,
            secret_key=place.secret,
            secure=place.tls,
            region=REGION,
            http_client=pool,
        )
    except ValueError as error:
        raise UsageError(f"不是存储地址 / not the address of a store: {error}", hint=_HINT) from None
    return made, pool


def check_admitted(client: Minio, place: BucketAddress, key: str) -> None:
    """Raise UsageError where the store refuses the credentials or its TLS cannot be trusted; `key` is only looked up.

    Any other failure passes: the next call meets it and is tried again.
    """
    try:
        client.stat_object(place.bucket, key)
    except S3Error as error:
        if error.code in _REFUSED:
            raise UsageError(
                f"对象存储拒绝了这个密钥 / the store refuses this key: {error.code}",
                where=f"{place.endpoint}/{place.bucket}",
                hint="KEY and SECRET in ZHENGZHAO_STORE; it must be allowed to read and write the bucket",
            ) from None
    except urllib3.exceptions.SSLError as error:
        raise UsageError(
            f"证书不可信 / TLS with the store failed: {error}",
            where=place.endpoint,
            hint="s3s://…?ca=FILE names the authority that signed its certificate",
        ) from None
    except Exception:
        return  # The store may be away; the next call says so and is tried again.


_PREFIX = "probe/"


def conditional_put(client: Minio, pool: urllib3.PoolManager, bucket: str, key: str, body: bytes) -> bool:
    """Write `key` unless it exists; return True where this call wrote it, False where the key was there.

    Raises StoreUnavailable for every other answer.
    """
    try:
        url = client.presigned_put_object(bucket, key, expires=timedelta(minutes=15))
        answer = pool.request("PUT", url, body=body, headers={"If-None-Match": "*"}, retries=False)
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise StoreUnavailable(f"PUT {key}: {error}") from error
    if answer.status == 200:
        return True
    if answer.status in (409, 412):  # 409: another write of the same key is under way
        return False
    raise StoreUnavailable(f"PUT {key}: HTTP {answer.status} {answer.data[:200]!r}")


def conditional_writes(client: Minio, bucket: str, *, writers: int = 12, rounds: int = 2) -> bool:
    """Tell if of `writers` parallel conditional writes of one key exactly one wins, and its bytes stay.

    False means that write-once rests on reading back and comparing alone.
    """
    pool = urllib3.PoolManager(maxsize=writers, timeout=urllib3.Timeout(connect=5, read=30))
    return all(_one_round(client, pool, bucket, writers) for _ in range(rounds))


def _one_round(client: Minio, pool: urllib3.PoolManager, bucket: str, writers: int) -> bool:
    key = _PREFIX + secrets.token_hex(12)
    gate = threading.Barrier(writers)

    def write(n: int) -> tuple[int, bool]:
        gate.wait(30)
        return n, conditional_put(client, pool, bucket, key, b"%d" % n)

    try:
        with ThreadPoolExecutor(writers) as threads:
            winners = [n for n, won in threads.map(write, range(writers)) if won]
        with client.get_object(bucket, key) as answer:
            stored = answer.read()
        client.remove_object(bucket, key)
    except MinioException as error:
        raise StoreUnavailable(f"无法测试对象存储 / the store could not be probed: {error}") from error
    return len(winners) == 1 and stored == b"%d" % winners[0]


class S3Store:
    """The bucket named by `s3://KEY:SECRET@HOST:PORT/BUCKET` (`s3s://` with TLS)."""

    def __init__(self, address: str) -> None:
        place = parse(address)
        self._bucket = place.bucket
        self._refuses = False  # True once this store was seen to refuse a second write
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
            raise StoreUnavailable("对象未能保存 / the object was not kept", where=key)
        if stored != data:
            raise ObjectDiffers(
                "该键已有不同内容 / the key holds other bytes",
                where=key,
                hint="对象只写一次 / an object is written once",
            )

    def get(self, key: str) -> bytes:
        stored = self._read(checked_key(key))
        if stored is None:
            raise NotFound("未找到对象 / no such object", where=key)
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

    def written_at(self, key: str) -> float:
        """Return the moment at which an object was written, in Unix seconds. Raises NotFound."""
        try:
            found = self._client.stat_object(self._bucket, checked_key(key)).last_modified
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, S3Error) and error.code in ABSENT:
                raise NotFound("未找到对象 / no such object", where=key) from None
            raise self._unavailable(error, key) from error
        return found.timestamp() if found is not None else 0.0

    def refresh(self, key: str, data: bytes) -> None:
        """Let an object count as written now, see `infra.stores.Erasing`."""
        self.replace(key, data)

    def erase(self, key: str) -> bool:
        """Delete every version of an object, see `infra.stores.Erasing`; return False where there is none."""
        try:
            found = self._client.list_objects(self._bucket, prefix=checked_key(key), include_version=True)
            versions = [one for one in found if one.object_name == key]
            for one in versions:
                self._client.remove_object(self._bucket, key, version_id=one.version_id)
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._unavailable(error, key) from error
        return bool(versions)

    def replace(self, key: str, data: bytes) -> None:
        """Put an object in the place of the one before; S3 shows readers the old one or the new one, whole."""
        try:
            self._client.put_object(self._bucket, checked_key(key), io.BytesIO(data), len(data))
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._unavailable(error, key) from error

    def conditional(self) -> bool:
        """Tell if of several writers at once exactly one wins; the trial leaves nothing in the store."""
        return conditional_writes(self._client, self._bucket)

    def _write(self, key: str, data: bytes) -> None:
        """Write the key where it is free. The first key is written twice, to learn if the store refuses the second write."""
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
            f"对象存储故障 / the object store failed: {said}",
            where=f"{self._bucket}/{key}",
            hint="检查存储是否运行、存储桶是否存在；没有丢失，恢复后继续 / check that the store runs and the bucket exists; nothing is lost, and work goes on when it is back",
        )
