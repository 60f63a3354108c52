"""`zhengzhao promises`: what was promised, published beside what was kept (四亮).

`zhengzhao items`: the service items in force, and the check of a file that shall become one.

`zhengzhao guide`: service guides (办事指南), made from the items' data.

`zhengzhao schema`: the documents of the interface, for programs that send or read events.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli import output
from schemas.errors import NotFound, UsageError

app = typer.Typer()
_COLUMNS = (
    "事项 item",
    "机关 authority",
    "类型 class",
    "法定→承诺 limits",
    "压缩 less",
    "兑现 kept",
    "中位 median",
    "95%",
    "材料",
)


@app.command(epilog="Example: zhengzhao promises --from 2018-09-01 --to 2018-09-30 --html promises.html")
def promises(
    first: Annotated[
        str, typer.Option("--from", metavar="DATE", help="自（办结日）/ decided from this day on")
    ] = "",
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="至 / to this day")] = "",
    division: Annotated[
        str,
        typer.Option("--division", metavar="CODE", help="机关所在区划及其下 / authorities there and below"),
    ] = "",
    item: Annotated[
        list[str] | None, typer.Option("--item", metavar="CODE", help="事项，可重复 / item; may be repeated")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="写网页 / writes a page with a chart")
    ] = None,
) -> None:
    """公开承诺与兑现 / For each item and authority: limits, what it took, and whether the promise was kept.

    Days are working days; times stopped for hearings and testing do not count. `kept` of `measured`: decided by
    the promised day, of those decided or overdue.
    """
    from infra.bootstrap import open_register
    from infra.pages.promises import promises_page
    from processors.queries.promises import TYPES, Wanted, figures, fold
    from schemas.items import load_catalogue

    settings = output.settings()
    catalogue = load_catalogue(settings.items)
    wanted = Wanted(
        _day(first, "--from"), _day(last, "--to"), _division(division), _items(item or [], catalogue.items)
    )
    if wanted.first and wanted.last and wanted.last < wanted.first:
        raise UsageError(
            f"期间为空 / the period ends before it begins: {first} – {last}",
            where="--to",
            hint=f"--from {last}",
        )
    with open_register(settings) as register:
        found = figures(fold(register.facts(TYPES), catalogue), catalogue, wanted)
    if html is not None:
        html.write_text(promises_page(found), "utf-8")
        output.note(f"{html}: 已写 / written")
    if output.as_json():
        output.print_json(found)
        return
    output.print_table(_COLUMNS, map(_cells, found["rows"]), title=_title(found))
    output.print_fields(found["total"].items())


def _cells(row: dict[str, Any]) -> list[Any]:
    from infra.pages.promises import days, percent

    before = "" if row["materials_before"] is None else f"{row['materials_before']}→"
    return [
        row["name"],
        row["authority_name"],
        row["handling"],
        f"{row['statutory']}→{row['promised']}",
        percent(row["compression"]),
        f"{row['kept']}/{row['measured']}",
        days(row["median_days"]),
        row["p95_days"],
        f"{before}{row['materials_after']}",
    ]


def _title(found: dict[str, object]) -> str:
    period = f"{found['from'] or '…'} – {found['to'] or '…'}" if found["from"] or found["to"] else ""
    return f"承诺与兑现 / promised and kept {period}".strip()


def _day(text: str, where: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"不是日期 / no date: {text}", where=where, hint="2018-09-01") from None


def _division(code: str) -> str:
    from schemas.authorities import find

    if code and find(code) is None:
        raise UsageError(f"没有此区划 / no such division: {code}", where="--division", hint="630225")
    return code


def _items(codes: list[str], known: Collection[str]) -> tuple[str, ...]:
    for code in codes:
        if code not in known:
            raise UsageError(
                f"没有此事项 / no such item: {code}", where="--item", hint="zhengzhao items list"
            )
    return tuple(codes)


items_app = typer.Typer(
    no_args_is_help=True, help="政务服务事项 / service items", epilog="Example: zhengzhao items list --json"
)


@items_app.command("list", epilog="Example: zhengzhao items list --json")
def list_items() -> None:
    """列出事项 / The service items in force."""
    from schemas.items import load_catalogue, row

    rows = [row(item) for item in load_catalogue(output.settings().items).items.values()]
    if output.as_json():
        output.print_rows(rows)
        return
    columns = ("code", "name", "mode", "department", "level", "materials", "validity_years")
    output.print_table(columns, [[r[c] for c in columns] for r in rows])


@items_app.command(epilog="Example: zhengzhao items check my-item.toml")
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML")]) -> None:
    """检查事项文件 / Checks an item file: its form, and 六个一律取消. Exit 1 when it is wrong, 2 without a file."""
    from producers.packet_events import read_file
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


@items_app.command(epilog="Example: zhengzhao items template industrial-product-licence -o applications.xlsx")
def template(
    code: Annotated[str, typer.Argument(metavar="ITEM", help="事项代码 / code of the item")],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help=".xlsx 或 / or .csv: 写到 / file to write")
    ],
) -> None:
    """写出空白申请表格 / Write an empty table of applications, with choice lists and a sheet that explains it."""
    from infra.bootstrap import Installation
    from producers import table_forms
    from schemas import authorities

    item = Installation(output.settings()).catalogue.get(code)
    if item is None:
        raise NotFound(f"没有此事项 / no such item: {code}", hint="zhengzhao items list")
    form = target.suffix.lower()
    if form not in (".xlsx", ".csv"):
        raise UsageError(
            f"不支持的格式 / no such form: {target.name}", where="--output", hint="-o FILE.xlsx, -o FILE.csv"
        )
    divisions = [(d.code, authorities.full_name(d.code)) for d in authorities.everything()]
    target.write_bytes(table_forms.template(item, divisions, "xlsx" if form == ".xlsx" else "csv"))
    if output.as_json():
        output.print_json({"written": str(target)})
    else:
        output.line(str(target))


guide_app = typer.Typer()
_FORMATS = ("html", "pdf")


@guide_app.command(epilog="Example: zhengzhao guide industrial-product-licence -o guides")
def guide(
    item: Annotated[
        list[str] | None, typer.Argument(metavar="ITEM…", help="事项；不写则全部 / items; none: all of them")
    ] = None,
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="目录 / folder")] = Path(
        "guides"
    ),
    form: Annotated[str, typer.Option("--format", help="html, pdf；默认两种 / both by default")] = "",
    division: Annotated[
        str, typer.Option("--division", metavar="CODE", help="申请人所在区划 / where the applicant is")
    ] = "",
) -> None:
    """办事指南 / Writes a guide of each item as a web page and PDF: papers, limits, fees, who decides, how to follow."""
    from infra.pages.guide import guide_html, guide_of, guide_pdf, index_html
    from schemas.authorities import find
    from schemas.items import load_catalogue

    if form and form not in _FORMATS:
        raise UsageError(
            f"没有这种格式 / no such format: {form}", where="--format", hint=" | ".join(_FORMATS)
        )
    if division and find(division) is None:
        raise UsageError(f"没有此区划 / no such division: {division}", where="--division", hint="630225")
    catalogue = load_catalogue(output.settings().items)
    items = [catalogue.get(code) for code in item or catalogue.items]
    wanted = [found for found in items if found is not None]
    if len(wanted) < len(items):
        unknown = next(code for code in item or () if catalogue.get(code) is None)
        raise NotFound(f"没有此事项 / no such item: {unknown}", hint="zhengzhao items list")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with output.progress("guide", len(wanted)) as bar:
        for one in wanted:
            text, files = guide_of(one, division), {}
            if form in ("", "html"):
                files["html"] = folder / f"{one.code}.html"
                files["html"].write_text(guide_html(text), "utf-8")
            if form in ("", "pdf"):
                files["pdf"] = folder / f"{one.code}.pdf"
                files["pdf"].write_bytes(guide_pdf(text))
            written.append({"item": one.code, **{name: str(path) for name, path in files.items()}})
            bar.advance()
    if len(wanted) > 1 and form != "pdf":
        (folder / "index.html").write_text(index_html(wanted), "utf-8")
    if output.as_json():
        output.print_rows(written)
    else:
        output.print_table(
            ("item", *_FORMATS), [[row.get(c) for c in ("item", *_FORMATS)] for row in written]
        )


schema_app = typer.Typer(
    no_args_is_help=True,
    help="接口文档 / JSON Schema and AsyncAPI",
    epilog="Example: zhengzhao schema export docs",
)


@schema_app.callback()
def schema() -> None:
    """接口文档 / JSON Schema of every event, and AsyncAPI 3."""


@schema_app.command(epilog="Example: zhengzhao schema export ./schemas-out")
def export(folder: Annotated[Path, typer.Argument(metavar="DIR", help="目标目录 / where to write")]) -> None:
    """导出 JSON Schema 与 AsyncAPI 3 / Writes the JSON Schema of every event, and an AsyncAPI 3 document."""
    from infra.contracts import export as write

    files = write(folder)
    if output.as_json():
        output.print_json([str(file) for file in files])
    else:
        for file in files:
            output.line(str(file))
