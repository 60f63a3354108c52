"""`zhengzhao holder page`: everything about one holder, as a page for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli import output
from infra.cli.case import queries

app = typer.Typer()


@app.command(epilog="Example: zhengzhao holder page 9163000071040638XJ -o holder.html")
def page(
    number: Annotated[str, typer.Argument(metavar="ID", help="USCC, or a person's number in clear")],
    file: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="网页 / the page")] = Path(
        "holder.html"
    ),
) -> None:
    """证照档案 / Writes a page with one holder's licences, filings, cases and checks. Exit 1 for an unknown one."""
    from infra.pages.holder import holder_page
    from schemas.items import load_catalogue

    with queries() as ask:
        found = ask.holder(number)
    file.write_text(holder_page(found, load_catalogue(output.settings().items)), "utf-8")
    if output.as_json():
        output.print_json({"file": str(file)})
    else:
        output.line(f"{file}: 已写 / written")
