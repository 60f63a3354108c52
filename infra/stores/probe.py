"""What an S3 store can promise: is `If-None-Match: *` on a PUT atomic?

`minio` has no conditional header of its own, but a presigned URL may be PUT with one: it is not part of
what was signed. A store that does not know the header ignores it, so only trying tells.
"""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import urllib3
from minio import Minio
from minio.error import MinioException

from schemas.errors import StoreUnavailable

_PREFIX = "probe/"


def conditional_put(client: Minio, pool: urllib3.PoolManager, bucket: str, key: str, body: bytes) -> bool:
    """Writes `key` only if it does not exist; True where this call wrote it.

    False says that the key was there. Raises StoreUnavailable for everything else.
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
    """Whether of `writers` parallel conditional writes of one key exactly one wins, and its bytes stay.

    False means that write-once must be kept up by reading back and comparing.
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
        raise StoreUnavailable(f"the store could not be probed: {error}") from error
    return len(winners) == 1 and stored == b"%d" % winners[0]
