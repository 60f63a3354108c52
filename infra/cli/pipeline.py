"""Commands that keep the pipeline going: `drain` and `tick` decide, `run` serves a machine, `worker` serves Kafka.

`stack` starts a Kafka and an S3 store on this machine, for trials and tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from infra.bootstrap import HOST_HINT
from infra.cli import later, output
from infra.cli.output import now, read_moment
from infra.settings import masked
from schemas.authorities import EXAMPLE_HOST
from schemas.errors import FolderHeld, KeysMissing, UsageError

if TYPE_CHECKING:
    from infra.embedded.engine import DrainProgress

app = typer.Typer()
_SIGNING = {"issue", "status"}  # the stages that need keys
listen = later("infra.http.service:listen")
is_loopback = later("infra.http.service:is_loopback")
service = later("infra.http.service:service")
serve = later("infra.http.service:serve")
check_stages = later("infra.kafka.stages:check_stages")
worker_options = later("infra.kafka.stages:Options")
worker_folder = later("infra.kafka.stages:worker_folder")
run_worker = later("infra.kafka.worker:run_worker")
stack_up = later("infra.stack.local:up")
stack_status = later("infra.stack.local:status")
stack_down = later("infra.stack.local:down")
answers = later("infra.stack.processes:answers")


@app.command(epilog="Example: zhengzhao drain")
def drain() -> None:
    """处理 / Decide, number and issue until nothing is pending; publish the status lists that changed.

    With a broker the workers do so: then it waits until they have finished.
    """
    with output.installation() as here, output.progress("drain") as bar:
        progress = here.drain("drain", say=output.note, report=_on(bar))
        example = progress is not None and progress.issued > 0 and bool(here.example_hosts())
    if progress is not None:
        _show(progress, example=example)


@app.command(epilog="Example: zhengzhao tick --at 2018-12-31T00:00:00+08:00 --confirm")
def tick(
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="报时 / the time to enter [default: now]")
    ] = None,
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm",
            help="确认时钟跳跃 / the time is right although it is more than a day past the last moment decided",
        ),
    ] = False,
    correct: Annotated[
        str | None,
        typer.Option(
            "--correct",
            metavar="TIME",
            help="更正时钟 / take back what fell due after this time, by a wrong tick",
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="更正的理由，记录在案 / why, which is recorded")] = "",
) -> None:
    """报时 / Enter the time into the ledger once, and decide what that makes due.

    A time more than a day past the last moment decided, or an hour past what this machine's running time gives, is
    refused, since it may be a wrong clock's: licences would expire for good. `--confirm` enters it. `--correct` takes a
    wrong tick back; exit 1, and nothing changes, where something irrevocable was published or decided on it.
    """
    moment = now()
    if correct is not None:
        _correct(correct, moment, reason.strip(), alone=at is None and not confirm)
        return
    with output.installation() as here, output.progress("tick") as bar:
        here.tick(read_moment(at, "--at") if at else moment, moment, confirmed=confirm)
        try:
            progress = here.drain_after_tick(say=output.note, report=_on(bar))
        except FolderHeld:
            output.note(f"已报时 / the time is entered; {here.next_step()}")
            return
    if progress is not None:
        _show(progress)


def _correct(to: str, moment: datetime, reason: str, *, alone: bool) -> None:
    if not reason or not alone:
        raise UsageError(
            "更正时钟须说明理由，且不与 --at、--confirm 同用 / a correction needs a reason, and no --at or --confirm",
            where="--correct",
            hint="zhengzhao tick --correct TIME --reason TEXT",
        )
    with output.installation() as here, output.progress("tick") as bar:
        found = here.correct_clock(
            read_moment(to, "--correct"), moment, reason, say=output.note, report=_on(bar)
        )
    if output.as_json():
        output.print_json({"corrected": not found, "to": to, "irrevocable": found})
    elif found:
        output.note("error: 未更正：以下已无法收回 / not corrected: this cannot be taken back")
        for line in found:
            output.line(line)
    else:
        output.line(f"已更正 / the clock is corrected to {to}")
    if found:
        raise typer.Exit(1)


def _on(bar: output.ProgressBar) -> Callable[[DrainProgress], None]:
    """Return a report that moves the bar."""
    return lambda p: bar.at(p.decided + p.issued, p.decided + p.issued + p.pending)


def _show(progress: DrainProgress, *, example: bool = False) -> None:
    if example:
        output.warn(
            f"{progress.issued} 份证照的二维码指向示例主机 {EXAMPLE_HOST}，扫描打不开 / licences whose QR "
            f"codes lead to the example host, which nobody has: {progress.issued}",
            HOST_HINT,
        )
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
        f"审查决定 / entries decided {progress.decided} · 制证 / licences issued {progress.issued} · "
        f"状态列表 / status lists published {len(progress.editions)}"
    )
    if progress.filings.waiting:
        output.warn(
            f"{progress.filings.waiting} 件备案待送达部门 / filings wait for their departments' webhooks",
            "zhengzhao filing deliver",
        )
    if progress.letters:
        output.warn(f"{progress.letters} 封死信 / dead letters", "zhengzhao letters list")


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
    """服务 / Serve the HTTP interface, decide, issue, and tick every minute.

    With ZHENGZHAO_BROKER it takes in and answers, and `zhengzhao worker` decides and ticks; start several behind a
    proxy. Ctrl-C ends it; nothing is lost.
    """
    settings = output.settings()
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
                    "没有令牌，本机任何人均可调用 / there are no tokens: every user of this machine may call",
                    "zhengzhao token add",
                )
            else:
                output.warn(
                    "没有令牌，只接收签名事件 / there are no tokens: only signed events are accepted",
                    "zhengzhao token add",
                )
        if not settings.require_proof:
            output.warn(
                "require_proof 未启用 / require_proof is off",
                "settings.toml：require_proof = true",
            )
        serve(built, listening)


worker_app = typer.Typer()


@worker_app.command(
    epilog="Example: zhengzhao worker --stages route,decide,number,clock --http 127.0.0.1:8080"
)
def worker(
    stages: Annotated[
        str, typer.Option(help="环节 / stages; only issue, status and log hold keys; project keeps the projection")
    ] = "route,decide,number,issue,status,clock,log",
    project: Annotated[bool, typer.Option("--project", help="查询库 / also keep the projection for queries")] = False,
    name: Annotated[str, typer.Option(help="同一目录多个进程须各有名称 / several workers in one data folder need a name each")] = "",
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="健康与指标 / /live, /ready and /metrics")] = "",
    tables: Annotated[str, typer.Option(help="memory；状态超过内存时 rocksdb / rocksdb where state outgrows memory")] = "memory",
    standbys: Annotated[
        int, typer.Option(min=0, max=3, help="其他进程上的备份 / copies of each table on other workers (rocksdb)")
    ] = 0,
    tick: Annotated[int, typer.Option(min=1, max=3600, help="报时间隔（秒）/ seconds between ticks")] = 60,
) -> None:  # fmt: skip
    """Kafka 工作进程 / Run a worker on Kafka until SIGTERM; start as many as there is work for."""
    named = check_stages(stages)
    if project and "project" not in named:
        named = (*named, "project")
    if tables not in ("memory", "rocksdb"):
        raise UsageError(f"未知的表类型 / unknown kind of tables: {tables}", hint="memory, rocksdb")
    with output.installation() as here:
        if _SIGNING & set(named) and not here.has_keys:
            raise KeysMissing(
                "没有签发密钥 / there are no keys",
                where=str(here.settings.data),
                hint="zhengzhao keys init，或 / or --stages 不含 / without issue, status",
            )
        options = worker_options(named, tables, standbys, tick, worker_folder(here.settings, name))
        replication = int(os.environ.get("ZHENGZHAO_REPLICATION", "1"))
        code = run_worker(here, options, http=_address(http), replication=replication)
    if code:
        raise typer.Exit(code)


def _address(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"不是地址 / no address: {text}", where="--http", hint="HOST:PORT")
    return host, int(port)


stack_app = typer.Typer(
    help="本机的 Kafka 与 S3 / a Kafka and an S3 store on this machine, from wheels alone",
    no_args_is_help=True,
    epilog="Example: zhengzhao stack up --json",
)


@stack_app.command(epilog="Example: eval $(zhengzhao stack up)")
def up(
    kafka_port: int = typer.Option(
        9092,
        min=1,
        max=65534,
        help="Kafka 端口，其后一个归控制器 / port of Kafka; the next one is its controller's",
    ),
    s3_port: int = typer.Option(
        8333,
        min=1,
        max=65528,
        help="S3 端口，其后七个归存储 / port of S3; the next seven are the store's own",
    ),
) -> None:
    """启动，可重复 / Start whichever server does not run yet; print the two variables to export."""
    stack = stack_up(output.settings().data, kafka_port=kafka_port, s3_port=s3_port, say=output.note)
    if output.as_json():
        output.print_json({"ZHENGZHAO_BROKER": stack.broker, "ZHENGZHAO_STORE": stack.store})
        return
    output.line(f"export ZHENGZHAO_BROKER='{stack.broker}'")
    output.line(f"export ZHENGZHAO_STORE='{stack.store}'")
    locked = "已启用 / on" if stack.object_lock else "此存储不提供 / not offered by this store"
    output.note(f"存储桶保留各版本，对象锁 / the bucket keeps versions, object lock: {locked}")


@stack_app.command(epilog="Example: zhengzhao stack status --json")
def status() -> None:
    """状态 / List the servers and their ports. Exit 1 unless both run and answer."""
    stack = stack_status(output.settings().data)
    found = {server.name: server for server in stack.servers} if stack else {}
    rows = []
    for name, use in (("kafka", "kafka"), ("store", "s3")):
        server = found.get(name)
        port = server.ports[use] if server else None
        answering = port is not None and answers(port)
        rows.append({"server": name, "running": server is not None, "answers": answering, "port": port,
                     "pid": server.pid if server else None, "log": server.log if server else None})  # fmt: skip
    output.print_list(list(rows[0]), rows)
    if stack and stack.store and not output.as_json():
        output.note(f"存储 / store: {masked(stack.store)}")
    if not all(row["answers"] for row in rows):
        raise typer.Exit(1)


@stack_app.command(epilog="Example: zhengzhao stack down")
def down() -> None:
    """停止 / End the servers that `stack up` started for this data folder, and no others. The data stay."""
    output.note("正在停止本目录的服务，数据保留 / stopping the servers of this data folder; their data stay")
    stopped = stack_down(output.settings().data)
    if output.as_json():
        output.print_json({"stopped": stopped})
    elif stopped:
        output.note(f"已停止 / stopped: {', '.join(stopped)}；再次启动 / start again: zhengzhao stack up")
    else:
        output.note("没有运行中的服务 / nothing was running")
