"""`zhengzhao doctor`: what is wrong with this set-up.

`zhengzhao bench`: figures of this machine.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from infra.cli import output

app = typer.Typer()
_MARKS = {True: "✓", False: "✗", None: "!"}


@app.command(epilog="Example: zhengzhao doctor --json")
def doctor() -> None:
    """检查环境 / Fonts, keys, storage, clock, proofs, and what lies waiting. Exit 1 where something is wrong."""
    from infra.doctor import examine

    findings = examine(output.settings())
    if output.as_json():
        output.print_rows(msgspec.to_builtins(f) for f in findings)
    else:
        for finding in findings:
            output.line(f"{_MARKS[finding.ok]} {finding.name}: {finding.detail}")
            if finding.hint:
                output.line(f"    hint: {finding.hint}")
    raise typer.Exit(1 if any(f.ok is False for f in findings) else 0)


bench_app = typer.Typer()


@bench_app.command(epilog="Example: zhengzhao bench --licences 2000")
def bench(
    licences: Annotated[
        int, typer.Option(min=10, max=100_000, help="件数 / licences to issue end to end")
    ] = 1000,
    workers: Annotated[
        int, typer.Option(min=0, max=256, help="签发进程 / issuing processes; 0: one a core")
    ] = 0,
    http: Annotated[
        bool,
        typer.Option(
            "--http", help="只测 HTTP 收件 / only the HTTP service: signed events in batches of 100"
        ),
    ] = False,
    draw: Annotated[
        bool,
        typer.Option("--draw", help="只测抽查 / only the draw: Jiangsu 2018, and another sampler beside it"),
    ] = False,
    kafka: Annotated[
        bool,
        typer.Option(
            "--kafka",
            help="Kafka 引擎 / only the Kafka engine, in a stack of its own, beside the embedded one",
        ),
    ] = False,
    share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="--kafka: 每个工作进程只用一核的这一份 / each worker held to this share of a core, one against two",
        ),
    ] = 0.0,
    targets: Annotated[
        int,
        typer.Option(
            min=0,
            max=200_000_000,
            help="--draw: 超出内存的名录行数 / instead, a register of so many rows, beyond memory",
        ),
    ] = 0,
) -> None:
    """测速 / Milliseconds per stage, licences, checks and replays per second, memory; in a folder of its own. JSON."""
    if draw:
        from infra.bench.draw import bench_big, bench_draw, beside_consistent_sampler

        if targets:
            output.print_json(bench_big(targets, output.note))
            return
        found = {suffix: bench_draw(say=output.note, suffix=f".{suffix}") for suffix in ("parquet", "csv")}
        output.print_json({**found, "consistent_sampler": beside_consistent_sampler()})
        return
    if kafka:
        from infra.bench.kafka import bench_kafka, bench_shared

        output.print_json(
            bench_shared(licences, share, output.note) if share else bench_kafka(licences, output.note)
        )
        return
    if http:
        from infra.bench.http import bench_http

        output.print_json(bench_http(max(licences, 10_000) // 100 * 100, output.note))
        return
    from infra.bench.licences import bench as measure

    output.print_json(measure(licences, workers, output.note))
