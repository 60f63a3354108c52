"""The bucket: versioned, and with object lock where the store has it."""

from __future__ import annotations

import contextlib

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from minio.versioningconfig import VersioningConfig

from infra.stores.address import REGION
from schemas.errors import StoreUnavailable


def client(endpoint: str, key: str, secret: str, *, ca: str = "") -> Minio:
    """A client that does not retry by itself: whoever calls knows how long to wait. With a `ca` it speaks TLS."""
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=2, read=10), retries=False, ca_certs=ca or None
    )
    return Minio(
        endpoint, access_key=key, secret_key=secret, secure=bool(ca), region=REGION, http_client=pool
    )


def store_answers(endpoint: str, key: str, secret: str, *, ca: str = "") -> bool:
    """Whether the store answers and knows the key."""
    try:
        client(endpoint, key, secret, ca=ca).list_buckets()
    except (S3Error, MinioException, urllib3.exceptions.HTTPError):
        return False
    return True


def ensure_bucket(endpoint: str, key: str, secret: str, bucket: str, *, ca: str = "") -> bool:
    """Makes the bucket where it is missing; True where it has object lock.

    Lock can only be chosen when a bucket is made: a store without it refuses, and the bucket is made without.
    """
    store = client(endpoint, key, secret, ca=ca)
    try:
        if not store.bucket_exists(bucket):
            try:
                store.make_bucket(bucket, object_lock=True)
            except S3Error:
                store.make_bucket(bucket)
        if store.get_bucket_versioning(bucket).status != "Enabled":
            store.set_bucket_versioning(bucket, VersioningConfig("Enabled"))
        with contextlib.suppress(S3Error, InvalidResponseError):
            store.get_object_lock_config(bucket)
            return True
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise StoreUnavailable(f"the bucket {bucket} could not be made: {error}") from error
    return False
