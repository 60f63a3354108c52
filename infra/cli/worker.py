"""`zhengzhao worker`: Faust loops over Kafka."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from infra.cli import output

app = typer.Typer()


@app.command(epilog="Example: zhengzhao worker --stages route,decide,number,clock --http 127.0.0.1:8080")
def worker(
    stages: Annotated[
        str,
        typer.Option(help="环节 / route, decide, number, issue, status, clock, project; only issue and "
                     "status hold keys"),
    ] = "",
    project: Annotated[bool, typer.Option("--project", help="查询库 / also keep the projection for queries")] = False,
    name: Annotated[str, typer.Option(help="several workers in one data folder need a name each")] = "",
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="/live, /ready and /metrics")] = "",
    tables: Annotated[str, typer.Option(help="memory, or rocksdb where state outgrows memory")] = "memory",
    standbys: Annotated[int, typer.Option(min=0, max=3, help="copies of each table on other workers (rocksdb)")] = 0,
    tick: Annotated[int, typer.Option(min=1, max=3600, help="seconds between ticks")] = 60,
) -> None:  # fmt: skip
    """Kafka 工作进程 / A worker on Kafka; runs until SIGTERM. Start as many as there is work for."""
    from infra.kafka.stages import DEFAULT_STAGES, SIGNING, Options, check_stages, worker_folder
    from infra.kafka.worker import run_worker
    from issuance.keystore import keystore_path
    from schemas.errors import KeysMissing, UsageError

    settings = output.settings()
    named = check_stages(stages) if stages else DEFAULT_STAGES
    if project and "project" not in named:
        named = (*named, "project")
    if tables not in ("memory", "rocksdb"):
        raise UsageError(f"未知的表类型 / unknown kind of tables: {tables}", hint="memory or rocksdb")
    if SIGNING & set(named) and not keystore_path(settings.data).exists():
        raise KeysMissing(
            "没有签发密钥 / there are no keys", where=str(settings.data),
            hint="zhengzhao keys init, or --stages without issue and status",
        )  # fmt: skip
    options = Options(named, tables, standbys, tick, worker_folder(settings, name))
    replication = int(os.environ.get("ZHENGZHAO_REPLICATION", "1"))
    code = run_worker(settings, options, http=_address(http), replication=replication)
    if code:
        raise typer.Exit(code)


def _address(text: str) -> tuple[str, int] | None:
    from schemas.errors import UsageError

    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"不是地址 / no address: {text}", hint="--http HOST:PORT")
    return host, int(port)
