"""`zhengzhao drain` and `zhengzhao tick` of the embedded engine.

`zhengzhao run`: the service of a county office on one machine.

`zhengzhao worker`: Faust loops over Kafka.

`zhengzhao stack`: a local Kafka and S3 store for trying out and for tests.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli import output
from infra.settings import masked
from schemas.errors import UsageError

if TYPE_CHECKING:
    from infra.embedded.engine import DrainProgress
    from infra.settings import Settings

app = typer.Typer()


@app.command(epilog="Example: zhengzhao drain")
def drain() -> None:
    """处理 / Decides, numbers, issues until nothing is pending; publishes the status lists that changed."""
    settings = output.settings()
    if settings.on_kafka:
        from infra.kafka.backlog import wait_until_idle

        wait_until_idle(settings, output.note)
        return
    _show(_drain(settings, "drain"))


@app.command(epilog="Example: zhengzhao tick --at 2018-12-31T00:00:00+08:00")
def tick(
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="报时 / the time to tell [default: now]")
    ] = None,
) -> None:
    """报时 / Tells the clock once, and decides what that brings due."""
    from infra.bootstrap import send_tick
    from infra.cli.output import now, read_moment
    from infra.embedded.engine import FolderHeld

    settings = output.settings()
    moment = now()
    send_tick(settings, read_moment(at, "--at") if at else moment, moment)
    if settings.on_kafka:
        return
    try:
        _show(_drain(settings, "tick", wait=0))
    except FolderHeld:
        output.note("told; the process that drains decides what is due / 已报时，由正在处理的进程裁决")


def _drain(settings: Settings, purpose: str, *, wait: float | None = None) -> DrainProgress:
    from infra.embedded.engine import WAIT_SECONDS, holding

    limit = WAIT_SECONDS if wait is None else wait
    with output.progress(purpose) as bar, holding(settings, purpose, wait=limit, say=output.note) as engine:
        return engine.drain(lambda p: bar.at(p.decided + p.issued, p.decided + p.issued + p.pending))


def _show(progress: DrainProgress) -> None:
    if output.as_json():
        output.print_json(
            {
                "decided": progress.decided,
                "issued": progress.issued,
                "letters": progress.letters,
                "editions": progress.editions,
                "filings": progress.filings._asdict(),
            }
        )
        return
    output.line(
        f"裁决 / entries decided {progress.decided} · 制证 / licences issued {progress.issued} · "
        f"状态列表 / status lists published {len(progress.editions)}"
    )
    if progress.filings.waiting:
        output.warn(
            f"{progress.filings.waiting} filings wait for their departments' webhooks / 备案待送达",
            "zhengzhao filing deliver",
        )
    if progress.letters:
        output.warn(f"{progress.letters} dead letters", "zhengzhao letters list")


run_app = typer.Typer()


@run_app.command(epilog="Example: zhengzhao run --port 8080")
def run(
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="监听地址 / where to listen; beyond this machine tokens are needed"
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="端口，0 为任意 / port; 0: any free one")] = 8080,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", help="服务的主机名 / a host name under which it is reached"
        ),
    ] = None,
) -> None:
    """服务 / Takes events in over HTTP, decides, issues, ticks every minute. Ctrl-C ends it; nothing is lost."""
    from infra.http.service import is_loopback, listen, serve, service

    settings = output.settings()
    if settings.on_kafka:
        raise UsageError(
            "run 为单机服务，而 ZHENGZHAO_BROKER 已设 / run serves one machine, and ZHENGZHAO_BROKER is set",
            hint="Kafka: zhengzhao worker 裁决 / decides; 事件经主题 zhengzhao.inbox 或 submit 进入 / events enter by the "
            "topic zhengzhao.inbox or `zhengzhao submit`; 单机 / one machine: unset ZHENGZHAO_BROKER",
        )
    names = frozenset(name.lower() for name in allow_host or ())
    with listen(host, port) as listening, service(settings, host=host, allowed=names) as built:
        address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        if output.as_json():
            output.print_json({"url": address, "openapi": f"{address}/openapi.json"})
        else:
            output.line(f"{address}  (OpenAPI: {address}/openapi.json)")
        if not built.tokens.all():
            if is_loopback(host) and not names:
                output.warn(
                    "没有令牌，本机任何人可用 / no tokens: whoever sits at this machine may call",
                    "zhengzhao token add",
                )
            else:
                output.warn(
                    "没有令牌，只收签名事件 / no tokens: only signed events enter", "zhengzhao token add"
                )
        if not settings.require_proof:
            output.warn(
                "require_proof 未启用 / require_proof is off", "require_proof = true in settings.toml"
            )
        serve(built, listening)


worker_app = typer.Typer()


@worker_app.command(
    epilog="Example: zhengzhao worker --stages route,decide,number,clock --http 127.0.0.1:8080"
)
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
    from issuance.signer import keystore_path
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


stack_app = typer.Typer(
    help="本机的 Kafka 与 S3 / a Kafka and an S3 store on this machine, from wheels alone",
    no_args_is_help=True,
    epilog="Example: zhengzhao stack up --json",
)

_EXAMPLE = "Example: "


@stack_app.command(epilog=_EXAMPLE + "eval $(zhengzhao stack up)")
def up(
    kafka_port: int = typer.Option(
        9092, min=1, max=65534, help="port of Kafka; the next one is its controller's"
    ),
    s3_port: int = typer.Option(
        8333, min=1, max=65528, help="port of S3; the next seven are the store's own"
    ),
) -> None:
    """启动，可重复 / Starts what does not run yet; prints the two variables to export."""
    from infra.stack import local

    stack = local.up(output.settings().data, kafka_port=kafka_port, s3_port=s3_port, say=output.note)
    if output.as_json():
        output.print_json({"ZHENGZHAO_BROKER": stack.broker, "ZHENGZHAO_STORE": stack.store})
        return
    output.line(f"export ZHENGZHAO_BROKER='{stack.broker}'")
    output.line(f"export ZHENGZHAO_STORE='{stack.store}'")
    output.note(
        f"bucket: versions kept, object lock {'on' if stack.object_lock else 'not offered by this store'}"
    )


@stack_app.command(epilog=_EXAMPLE + "zhengzhao stack status --json")
def status() -> None:
    """状态 / What runs, where. Exit 1 unless both run and answer."""
    from infra.stack import local
    from infra.stack.processes import answers

    stack = local.status(output.settings().data)
    found = {server.name: server for server in stack.servers} if stack else {}
    rows = []
    for name, use in (("kafka", "kafka"), ("store", "s3")):
        server = found.get(name)
        port = server.ports[use] if server else None
        answering = port is not None and answers(port)
        rows.append({"server": name, "running": server is not None, "answers": answering, "port": port,
                     "pid": server.pid if server else None, "log": server.log if server else None})  # fmt: skip
    if output.as_json():
        output.print_rows(rows)
    else:
        output.print_table(list(rows[0]), [list(row.values()) for row in rows])
        if stack and stack.store:
            output.note(f"store: {masked(stack.store)}")
    if not all(row["answers"] for row in rows):
        raise typer.Exit(1)


@stack_app.command(epilog=_EXAMPLE + "zhengzhao stack down")
def down() -> None:
    """停止 / Ends the servers that `stack up` started for this data folder, and no others. Data stay."""
    from infra.stack import local

    stopped = local.down(output.settings().data)
    if output.as_json():
        output.print_json({"stopped": stopped})
    else:
        output.note("stopped: " + (", ".join(stopped) or "nothing was running"))
