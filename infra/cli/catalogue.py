"""`zhengzhao items`: the service items in force, and the check of a file that shall become one.

`zhengzhao schema`: the documents of the interface, for programs that send or read events.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli import later, output
from schemas import authorities
from schemas.errors import ItemError, NotFound, UsageError
from schemas.items import load_item, row

items_app = typer.Typer(
    no_args_is_help=True, help="政务服务事项 / service items", epilog="Example: zhengzhao items list --json"
)
schema_app = typer.Typer(
    no_args_is_help=True,
    help="接口文档 / JSON Schema and AsyncAPI",
    epilog="Example: zhengzhao schema export docs",
)
write_template = later("producers.table_writer:template")
write_schemas = later("infra.contracts:export")
_COLUMNS = ("code", "name", "mode", "department", "level", "materials", "validity_years")


@items_app.command("list", epilog="Example: zhengzhao items list --json")
def list_items() -> None:
    """列出事项 / List the service items in force."""
    with output.installation() as here:
        rows = [row(item) for item in here.catalogue.items.values()]
    output.print_list(_COLUMNS, rows)


@items_app.command(epilog="Example: zhengzhao items check my-item.toml")
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML")]) -> None:
    """检查事项文件 / Check an item file: its form, and 六个一律取消. Exit 1 when it is wrong, 2 without a file."""
    if not file.is_file() or file.stat().st_size == 0:
        raise UsageError(
            "文件不存在或为空 / the file is absent or empty",
            where=str(file),
            hint="检查路径 / check the path",
        )
    try:
        item = load_item(file)
    except ItemError as error:
        output.fail(error)
        raise typer.Exit(1) from None
    if output.as_json():
        output.print_json(row(item))
    else:
        output.line(f"{file}: {item.code} {item.title}: 可用 / valid")


@items_app.command(epilog="Example: zhengzhao items template industrial-product-licence -o applications.xlsx")
def template(
    code: Annotated[str, typer.Argument(metavar="ITEM", help="事项代码 / code of the item")],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help=".xlsx 或 / or .csv: 写到 / file to write")
    ],
) -> None:
    """写出空白申请表格 / Write an empty table of applications, with choice lists and a sheet that explains it."""
    with output.installation() as here:
        item = here.catalogue.get(code)
    if item is None:
        raise NotFound(f"未找到该事项 / no such item: {code}", hint="zhengzhao items list")
    form = target.suffix.lower()
    if form not in (".xlsx", ".csv"):
        raise UsageError(
            f"不支持的格式 / no such format: {target.name}",
            where="--output",
            hint="-o FILE.xlsx, -o FILE.csv",
        )
    divisions = [(d.code, authorities.full_name(d.code)) for d in authorities.everything()]
    target.write_bytes(write_template(item, divisions, "xlsx" if form == ".xlsx" else "csv"))
    if output.as_json():
        output.print_json({"written": str(target)})
    else:
        output.line(str(target))


@schema_app.callback()
def schema() -> None:
    """接口文档 / JSON Schema of every event, and AsyncAPI 3."""


@schema_app.command(epilog="Example: zhengzhao schema export ./schemas-out")
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="目标目录 / folder to write to")],
) -> None:
    """导出接口文档 / Write the JSON Schema of every event, and an AsyncAPI 3 document."""
    files = write_schemas(folder)
    if output.as_json():
        output.print_json([str(file) for file in files])
    else:
        for file in files:
            output.line(str(file))
