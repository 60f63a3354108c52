"""`zhengzhao items`: the service items in force, and the check of a file that shall become one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli import output

app = typer.Typer(
    no_args_is_help=True, help="政务服务事项 / service items", epilog="Example: zhengzhao items list --json"
)


@app.command("list", epilog="Example: zhengzhao items list --json")
def list_items() -> None:
    """列出事项 / The service items in force."""
    from schemas.items import load_catalogue, row

    rows = [row(item) for item in load_catalogue(output.settings().items).items.values()]
    if output.as_json():
        output.print_rows(rows)
        return
    columns = ("code", "name", "mode", "department", "level", "materials", "validity_years")
    output.print_table(columns, [[r[c] for c in columns] for r in rows])


@app.command(epilog="Example: zhengzhao items check my-item.toml")
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML")]) -> None:
    """检查事项文件 / Checks an item file: its form, and 六个一律取消. Exit 1 when it is wrong, 2 without a file."""
    from infra.packets import read_file
    from schemas.errors import ItemError
    from schemas.items import load_item, row

    read_file(file)
    try:
        item = load_item(file)
    except ItemError as error:
        output.fail(error)
        raise typer.Exit(1) from None
    if output.as_json():
        output.print_json(row(item))
    else:
        output.line(f"{file}: {item.code} {item.title}: 可用 / good")
