"""`zhengzhao bench`: figures of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli import output

app = typer.Typer()


@app.command(epilog="Example: zhengzhao bench --licences 2000")
def bench(
    licences: Annotated[
        int, typer.Option(min=10, max=100_000, help="件数 / licences to issue end to end")
    ] = 1000,
    workers: Annotated[
        int, typer.Option(min=0, max=256, help="签发进程 / issuing processes; 0: one a core")
    ] = 0,
) -> None:
    """测速 / Milliseconds per stage, licences, checks and replays per second, memory; in a folder of its own. JSON."""
    from infra.bench import bench as measure

    output.print_json(measure(licences, workers, output.note))
