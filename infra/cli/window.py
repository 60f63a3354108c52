"""`zhengzhao window list`: the counter of an integrated window (综合窗口): what came in, where it stands, what goes out."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from infra.cli import acting, output
from schemas.errors import UsageError

app = typer.Typer(
    no_args_is_help=True,
    help="综合窗口 / integrated windows",
    epilog="Example: zhengzhao window list --window 630225",
)
_COLUMNS = ("window", "application_id", "item", "action", "holder_id", "filed_on", "state", "filings", "out")


@app.callback()
def window() -> None:
    """综合窗口 / Integrated windows."""


@app.command("list", epilog="Example: zhengzhao window list --window 630225001 --json")
def list_window(
    code: Annotated[
        str,
        typer.Option(
            "--window", metavar="CODE", help="6、9 或 12 位 / county, township or village: 6, 9 or 12 digits"
        ),
    ],
    below: Annotated[
        bool, typer.Option("--below", help="连同下级窗口 / with the windows of the levels below")
    ] = False,
) -> None:
    """收件与出件 / What came in at a window, where it stands, and what the window hands out, the result included."""
    from infra.accesses import Accesses
    from infra.listings import Listings

    if not re.fullmatch(r"[0-9]{6}([0-9]{3}([0-9]{3})?)?", code):
        raise UsageError(f"不是窗口代码 / no code of a window: {code}", where="--window", hint="630225")
    with acting.register() as (register, _):
        rows = Listings(register, Accesses(output.settings().data).look).window(code, below=below)
        if output.as_json():
            output.print_rows(rows)
            return
        shown = ({**row, "out": said(row["out"])} for row in rows)
        output.print_table(
            _COLUMNS, ([row[column] for column in _COLUMNS] for row in shown), title=f"window {code}"
        )


def said(out: dict[str, Any] | None) -> str:
    """What goes out over the counter, in words."""
    if out is None:
        return ""
    match out["what"]:
        case "licence":
            return f"证照 / licence {out['number']}，第 {out['version']} 版 / v{out['version']}"
        case "correction-notice":
            return f"补正通知 / correction by {out['until']}: {'、'.join(out['missing'])}"
        case "acceptance":
            return f"受理通知 / accepted, promised by {out['promised'] or '—'}"
        case "refusal":
            return f"不予许可 / refused: {out['reason']}"
    return f"注销 / cancelled: {out['number']}"
