"""`zhengzhao material`: uploaded files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli import output

app = typer.Typer(
    help="上传的材料 / uploaded files",
    no_args_is_help=True,
    epilog="Example: zhengzhao material put plan.pdf",
)


@app.callback()
def group() -> None:
    """上传的材料 / Uploaded files."""


@app.command(epilog="Example: zhengzhao material put plan.pdf")
def put(file: Annotated[Path, typer.Argument(help="文件 / the file")]) -> None:
    """存入一份材料，返回其 uri / Keeps a file, encrypted, under its hash; prints the `uri` that a material names."""
    from infra.packets import read_file
    from infra.persons_store import open_persons
    from infra.stores import open_store
    from infra.uploads import put_upload

    settings = output.settings()
    _, content = read_file(file)
    persons = open_persons(settings.data, settings.shared_persons)
    try:
        uri = put_upload(open_store(settings.store, settings.objects), persons, content)
    finally:
        persons.close()
    if output.as_json():
        output.print_json({"uri": uri, "sha256": uri.rpartition("/")[2], "size": len(content)})
    else:
        output.line(uri)
