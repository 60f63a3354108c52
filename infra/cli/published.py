"""Publications of an authority: `zhengzhao promises` (四亮), and `zhengzhao guide`, the service guides (办事指南)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli import later, output
from infra.cli.output import read_day
from infra.pages.promises import days, percent, promises_page
from processors.queries.promises import TYPES, Wanted, figures, fold
from schemas.authorities import find
from schemas.errors import NotFound, UsageError

promises_app = typer.Typer()
guide_app = typer.Typer()
guide_of = later("infra.pages.guide:guide_of")
guide_html = later("infra.pages.guide:guide_html")
guide_pdf = later("infra.pages.guide:guide_pdf")
index_html = later("infra.pages.guide:index_html")
_FORMATS = ("html", "pdf")
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


@promises_app.command(
    epilog="Example: zhengzhao promises --from 2018-09-01 --to 2018-09-30 --html promises.html"
)
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
        Path | None, typer.Option("--html", metavar="FILE", help="写成网页 / write a page with a chart")
    ] = None,
) -> None:
    """公开承诺与兑现 / Show limits, days taken, and promises kept, for each item and authority.

    Days are working days; times stopped for hearings and testing do not count. `kept` of `measured`: decided by
    the promised day, of those decided or overdue.
    """
    with output.installation() as here:
        catalogue = here.catalogue
        wanted = Wanted(
            read_day(first, "--from"),
            read_day(last, "--to"),
            _division(division),
            _items(item or [], catalogue.items),
        )
        _check_period(wanted)
        with here.register() as register:
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


def _check_period(wanted: Wanted) -> None:
    if wanted.first and wanted.last and wanted.last < wanted.first:
        raise UsageError(
            f"期间终止早于起始 / the period ends before it begins: {wanted.first} – {wanted.last}",
            where="--to",
            hint=f"--from {wanted.last}",
        )


def _division(code: str) -> str:
    if code and find(code) is None:
        raise UsageError(f"未找到该区划 / no such division: {code}", where="--division", hint="630225")
    return code


def _items(codes: list[str], known: Collection[str]) -> tuple[str, ...]:
    for code in codes:
        if code not in known:
            raise UsageError(
                f"未找到该事项 / no such item: {code}", where="--item", hint="zhengzhao items list"
            )
    return tuple(codes)


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
    """办事指南 / Write a guide of each item as a web page and a PDF."""
    if form and form not in _FORMATS:
        raise UsageError(
            f"不支持该格式 / no such format: {form}", where="--format", hint=" | ".join(_FORMATS)
        )
    _division(division)
    with output.installation() as here:
        catalogue = here.catalogue
    items = [catalogue.get(code) for code in item or catalogue.items]
    wanted = [found for found in items if found is not None]
    if len(wanted) < len(items):
        unknown = next(code for code in item or () if catalogue.get(code) is None)
        raise NotFound(f"未找到该事项 / no such item: {unknown}", hint="zhengzhao items list")
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
