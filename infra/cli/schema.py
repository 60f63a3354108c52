"""`zhengzhao schema`: the documents of the interface, for programs that send or read events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli import output

app = typer.Typer(
    no_args_is_help=True,
    help="接口文档 / JSON Schema and AsyncAPI",
    epilog="Example: zhengzhao schema export docs",
)


@app.callback()
def schema() -> None:
    """接口文档 / JSON Schema of every event, and AsyncAPI 3."""


@app.command(epilog="Example: zhengzhao schema export ./schemas-out")
def export(folder: Annotated[Path, typer.Argument(metavar="DIR", help="目标目录 / where to write")]) -> None:
    """导出 JSON Schema 与 AsyncAPI 3 / Writes the JSON Schema of every event, and an AsyncAPI 3 document."""
    from schemas.export import export as write

    files = write(folder)
    if output.as_json():
        output.print_json([str(file) for file in files])
    else:
        for file in files:
            output.line(str(file))
