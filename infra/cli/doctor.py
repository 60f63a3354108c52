"""`zhengzhao doctor`: the examination of a set-up. `zhengzhao bench`: figures of this machine."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from infra.cli import later, output
from infra.cli.words import check_name, one_language

app = typer.Typer()
examine = later("infra.doctor:examine")
forget_guards = later("infra.agencies:forget_guards")
bench_licences = later("infra.bench.licences:bench")
bench_http = later("infra.bench.http:bench_http")
bench_log = later("infra.bench.licences:bench_log")
bench_web = later("infra.bench.http:bench_web")
bench_kafka = later("infra.bench.kafka:bench_kafka")
bench_shared = later("infra.bench.kafka:bench_shared")
bench_draw = later("infra.bench.draw:bench_draw")
bench_big = later("infra.bench.draw:bench_big")
beside_consistent_sampler = later("infra.bench.draw:beside_consistent_sampler")
_MARKS = {True: "✓", False: "✗", None: "!"}


@app.command(epilog="Example: zhengzhao doctor --json")
def doctor(
    forget: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="有意撤去的安全设置 / a guard that was given up on purpose"),
    ] = None,
) -> None:
    """检查环境 / Check fonts, keys, storage, clock, proofs and what waits. Exit 1 where something is wrong.

    What guarded this installation before (require_proof, agencies, tokens, accounts) and is missing is wrong, until it
    is restored or named with --forget.
    """
    with output.installation() as here:
        if forget:
            with here.database() as db:
                forget_guards(db, forget)
        findings = examine(here)
    if output.as_json():
        output.print_rows(msgspec.to_builtins(f) for f in findings)
    else:
        for finding in findings:
            output.line(f"{_MARKS[finding.ok]} {check_name(finding.name)}: {one_language(finding.detail)}")
            if finding.hint:
                output.line(f"    hint: {finding.hint}")
    raise typer.Exit(1 if any(f.ok is False for f in findings) else 0)


bench_app = typer.Typer()


_Licences = Annotated[
    int,
    typer.Option(
        min=10,
        max=10_000_000,
        help="件数 / licences to issue end to end; --web: licences in the register",
    ),
]
_Kafka = Annotated[
    bool,
    typer.Option(
        "--kafka",
        help="Kafka 引擎 / only the Kafka engine, in a stack of its own, beside the embedded one",
    ),
]
_Share = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        help="--kafka: 每个工作进程只用一核的这一份 / each worker held to this share of a core, one against two",
    ),
]
_Targets = Annotated[
    int,
    typer.Option(
        min=0,
        max=200_000_000,
        help="--draw: 超出内存的名录行数 / instead, a register of so many rows, beyond memory",
    ),
]


@bench_app.command(epilog="Example: zhengzhao bench --licences 2000")
def bench(
    licences: _Licences = 1000,
    workers: Annotated[
        int, typer.Option(min=0, max=256, help="签发进程 / issuing processes; 0: one a core")
    ] = 0,
    http: Annotated[
        bool,
        typer.Option(
            "--http", help="只测 HTTP 收件 / only the HTTP service: signed events in batches of 100"
        ),
    ] = False,
    web: Annotated[
        bool,
        typer.Option("--web", help="只测公开网页 / only the public pages: home, search, licence"),
    ] = False,
    draw: Annotated[
        bool,
        typer.Option("--draw", help="只测抽查 / only the draw: Jiangsu 2018, compared with another sampler"),
    ] = False,
    log: Annotated[
        bool,
        typer.Option("--log", help="只测透明日志 / only the public log, with a witness: entries a second"),
    ] = False,
    kafka: _Kafka = False,
    share: _Share = 0.0,
    targets: _Targets = 0,
) -> None:
    """测速 / Measure each stage, licences, checks and replays per second, memory, in a folder of its own; print JSON."""
    if draw:
        if targets:
            output.print_json(bench_big(targets, output.note))
            return
        found = {suffix: bench_draw(say=output.note, suffix=f".{suffix}") for suffix in ("parquet", "csv")}
        output.print_json({**found, "consistent_sampler": beside_consistent_sampler()})
        return
    if kafka:
        output.print_json(
            bench_shared(licences, share, output.note) if share else bench_kafka(licences, output.note)
        )
        return
    if log:
        output.print_json(bench_log(max(licences, 1000), say=output.note))
        return
    if web:
        output.print_json(bench_web(licences, output.note))
        return
    if http:
        output.print_json(bench_http(max(licences, 10_000) // 100 * 100, output.note))
        return
    output.print_json(bench_licences(licences, workers, output.note))
