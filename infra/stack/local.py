"""`zhengzhao stack`: one Kafka broker and one SeaweedFS with its S3 gateway, under `DIR/stack`, on 127.0.0.1.

`up` starts what does not run yet and waits until both answer; topics and bucket are made where missing, so
it may be called again at any time, also to bring back one of the two that died. `down` ends only processes
that an `up` in the same folder started.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from infra.kafka.connection import parse
from infra.kafka.topics import ensure_topics
from infra.stack.processes import (
    Server,
    answers,
    class_path,
    ensure_bucket,
    java,
    require_free,
    running,
    start,
    stop,
    store_answers,
    tail,
    wait_until,
)
from schemas.errors import TransientError

KAFKA_PORT = 9092
S3_PORT = 8333
BUCKET = "zhengzhao"
_START_SECONDS = 90


class Stack(msgspec.Struct, frozen=True):
    """The addresses of a running stack; `broker` and `store` are values of the two environment variables."""

    broker: str
    store: str
    servers: tuple[Server, ...]
    object_lock: bool = False


class _Access(msgspec.Struct, frozen=True):
    key: str
    secret: str


def up(
    data: Path,
    *,
    kafka_port: int = KAFKA_PORT,
    s3_port: int = S3_PORT,
    say: Callable[[str], None] = lambda _: None,
) -> Stack:
    """Start what is not running, waits for both, makes topics and bucket. Ports of what runs stay."""
    folder = (data / "stack").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    kafka, store = running(folder, "kafka"), running(folder, "store")
    if kafka is None:
        kafka_ports = {"kafka": kafka_port, "kafka controller": kafka_port + 1}
        require_free(kafka_ports, option="--kafka-port")
    if store is None:
        require_free(_store_ports(s3_port), option="--s3-port")
    access = _access(folder)
    if store is None:
        say("starting SeaweedFS (S3)")
        store = _start_store(folder, s3_port, access)
    if kafka is None:
        say("starting Kafka (the first start fetches its jars)")
        kafka = _start_kafka(folder, kafka_port, kafka_ports)
    port, endpoint = kafka.ports["kafka"], f"127.0.0.1:{store.ports['s3']}"
    wait_until(lambda: answers(port), kafka, seconds=_START_SECONDS)
    say("making topics")
    ensure_topics(parse(f"kafka://127.0.0.1:{port}"))
    wait_until(lambda: store_answers(endpoint, access.key, access.secret), store, seconds=_START_SECONDS)
    say("making the bucket")
    locked = ensure_bucket(endpoint, access.key, access.secret, BUCKET)
    return Stack(_broker(kafka), _store(store, access), (kafka, store), locked)


def status(data: Path) -> Stack | None:
    """Return the stack of this data folder; None where neither server runs."""
    folder = (data / "stack").absolute()
    kafka, store = running(folder, "kafka"), running(folder, "store")
    if kafka is None and store is None:
        return None
    return Stack(
        _broker(kafka) if kafka else "",
        _store(store, _access(folder)) if store else "",
        tuple(server for server in (kafka, store) if server),
    )


def down(data: Path) -> list[str]:
    """End the servers that `up` started in this data folder; returns their names. Data stay."""
    folder = (data / "stack").absolute()
    return [name for name in ("kafka", "store") if stop(folder, name)]


def _broker(kafka: Server) -> str:
    return f"kafka://127.0.0.1:{kafka.ports['kafka']}"


def _store(store: Server, access: _Access) -> str:
    return f"s3://{access.key}:{access.secret}@127.0.0.1:{store.ports['s3']}/{BUCKET}"


def _access(folder: Path) -> _Access:
    path = folder / "access.json"
    if not path.exists():
        made = _Access("zz" + secrets.token_hex(8), secrets.token_hex(24))
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode(made))
    return msgspec.json.decode(path.read_bytes(), type=_Access)


# --- SeaweedFS

_STORE_PORTS = ("s3", "s3 grpc", "master", "master grpc", "volume", "volume grpc", "filer", "filer grpc")


def _store_ports(first: int) -> dict[str, int]:
    return {use: first + n for n, use in enumerate(_STORE_PORTS)}


def _start_store(folder: Path, first_port: int, access: _Access, *more: str) -> Server:
    home = folder / "store"
    home.mkdir(exist_ok=True)
    identity = {
        "name": "zhengzhao",
        "credentials": [{"accessKey": access.key, "secretKey": access.secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = home / "s3.json"
    config.touch(mode=0o600)
    config.write_bytes(msgspec.json.encode({"identities": [identity]}))
    ports = _store_ports(first_port)
    flags = [
        f"-{use.replace(' ', '.port.') if ' ' in use else use + '.port'}={n}" for use, n in ports.items()
    ]
    command = [
        str(Path(sys.executable).parent / "weed"), "server", f"-dir={home}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={config}", "-s3.iam=false",
        # ports of services that nobody here uses
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.telemetry=false", "-master.volumeSizeLimitMB=1024", "-volume.max=200",
        "-volume.preStopSeconds=0", *flags, *more,
    ]  # fmt: skip
    return start("store", command, folder=folder, ports=ports, cwd=home)


# --- Kafka


def _start_kafka(folder: Path, port: int, ports: dict[str, int]) -> Server:
    home = folder / "kafka"
    home.mkdir(exist_ok=True)
    config = home / "server.properties"
    config.write_text(_server_properties(home / "logs", port))
    runtime = [java(), "-cp", class_path()]
    if not (home / "logs" / "meta.properties").exists():
        _format(runtime, config)
    # -Xmx512m carried everything measured in docs/scaling.md; log4j finds no file and stays quiet. One collector
    # thread and the quick compiler alone: on a small machine their work in the background is half of the broker's
    command = [runtime[0], "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *runtime[1:],
               "kafka.Kafka", str(config)]  # fmt: skip
    return start("kafka", command, folder=folder, ports=ports, cwd=home)


def _format(java: list[str], config: Path) -> None:
    tool = [*java, "kafka.tools.StorageTool"]
    uuid = _run([*tool, "random-uuid"]).strip().splitlines()[-1]
    _run([*tool, "format", "--standalone", "-t", uuid, "-c", str(config)])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TransientError(
            f"Kafka 存储格式化失败 / formatting Kafka's storage failed: {(done.stdout + done.stderr)[-500:]}"
        )
    return done.stdout


def _server_properties(logs: Path, port: int) -> str:
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{port + 1}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=3000
auto.create.topics.enable=false
message.max.bytes=4194304
replica.fetch.max.bytes=4194304
"""


def last_lines(server: Server) -> str:
    """Return the last lines of a server's log."""
    return tail(server.log)
