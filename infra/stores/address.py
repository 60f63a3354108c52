"""An S3 store by its one address: `s3://KEY:SECRET@HOST:PORT/BUCKET`, `s3s://` with TLS.

`?ca=FILE` names the authority that signed the store's certificate, where the system does not know it.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import urllib3
from minio import Minio
from minio.error import S3Error
from minio.helpers import check_bucket_name

from infra.settings import masked
from schemas.errors import UsageError

REGION = "us-east-1"  # a name that clients must send; without one they ask the server first
ABSENT = {"NoSuchKey", "NoSuchObject", "NotFound"}
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_HINT = "s3://KEY:SECRET@HOST:PORT/BUCKET (s3s:// with TLS, and ?ca=FILE)"


class Place(msgspec.Struct, frozen=True):
    """Where a bucket is, and what opens it."""

    endpoint: str
    bucket: str
    key: str
    secret: str
    tls: bool
    ca: str = ""

    def __repr__(self) -> str:
        return f"Place({self.endpoint}/{self.bucket}, tls={self.tls})"


def parse(address: str) -> Place:
    """The place in an address; UsageError says what is wrong with it, without the secret."""
    parts = urlsplit(address)
    bucket = parts.path.strip("/")
    options = parse_qs(parts.query, keep_blank_values=True)
    if parts.scheme not in ("s3", "s3s") or not parts.hostname or not bucket or set(options) - {"ca"}:
        raise UsageError(
            "存储地址不完整 / the store's address is incomplete", where=masked(address), hint=_HINT
        )
    ca = options.get("ca", [""])[-1]
    if ca and not Path(ca).is_file():
        raise UsageError("没有这个文件 / there is no such file", where=f"ca={ca}", hint=_HINT)
    key, secret = unquote(parts.username or ""), unquote(parts.password or "")
    return Place(parts.netloc.rpartition("@")[2], bucket, key, secret, parts.scheme == "s3s", ca)


def connect(place: Place) -> tuple[Minio, urllib3.PoolManager]:
    """A client that retries nothing by itself, and its pool of connections."""
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
        raise UsageError(f"不是存储地址 / no address of a store: {error}", hint=_HINT) from None
    return made, pool


def check_admitted(client: Minio, place: Place, key: str) -> None:
    """Raises UsageError where the store turns us away: waiting mends no wrong secret. `key` is only looked at."""
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
        return  # it is away, or answers strangely: whoever works with it next says so, and tries again
