"""`zhengzhao promises`: what was promised, published beside what was kept (四亮)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli import output
from schemas.errors import UsageError

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
    from processors.promises import TYPES, Wanted, figures, fold
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
    from schemas.divisions import find

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
