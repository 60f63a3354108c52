"""`zhengzhao guide`: service guides (办事指南), made from the items' data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli import output
from schemas.errors import NotFound, UsageError

app = typer.Typer()
_FORMATS = ("html", "pdf")


@app.command(epilog="Example: zhengzhao guide industrial-product-licence -o guides")
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
    from infra.pages.guide import guide_html, guide_pdf, index_html
    from infra.pages.guide_text import guide_of
    from schemas.divisions import find
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
