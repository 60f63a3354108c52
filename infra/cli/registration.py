"""`zhengzhao registration form`: which fields a registration with its filings needs, each asked once (多证合一)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from infra.cli import output
from schemas.errors import NotFound, UsageError

app = typer.Typer()
registration = typer.Typer(
    no_args_is_help=True,
    help="多证合一登记 / registrations",
    epilog="Example: zhengzhao registration form recycling-filing seal-engraving-filing",
)
app.add_typer(registration, name="registration")
_COLUMNS = ("name", "label", "required", "example", "items")


@registration.callback()
def registrations() -> None:
    """多证合一登记 / Registrations."""


@registration.command(
    epilog="Example: zhengzhao registration form recycling-filing seal-engraving-filing --json"
)
def form(
    item: Annotated[
        list[str] | None, typer.Argument(metavar="ITEM…", help="选办的备案事项 / the filings chosen")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="全部备案事项 / all filings")] = False,
) -> None:
    """填报内容 / The fields that the business licence and these filings need: each once, whichever item asks."""
    from schemas.items import fields_once, load_catalogue

    catalogue = load_catalogue(output.settings().items)
    licence = [found for found in catalogue.items.values() if found.mode == "consolidated"]
    filings = {code: found for code, found in catalogue.items.items() if found.mode == "filing"}
    chosen = list(filings) if every else list(dict.fromkeys(item or []))
    for code in chosen:
        if code not in catalogue.items:
            raise NotFound(f"没有此事项 / no such item: {code}", hint="zhengzhao items list")
        if code not in filings and catalogue.items[code] not in licence:
            raise UsageError(
                f"不是备案事项 / no filing: {code}",
                hint="单独申请 / apply for it by application.submitted",
            )
    asked = [*licence, *(filings[code] for code in chosen if code in filings)]
    rows: list[dict[str, Any]] = [
        {
            "name": rule.name,
            "label": f"{rule.label.zh} / {rule.label.en}",
            "required": rule.required,
            "example": rule.example,
            "items": list(codes),
        }
        for rule, codes in fields_once(asked)
    ]
    if output.as_json():
        output.print_rows(rows)
        return
    output.print_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in rows], title=_title(rows))


def _title(rows: list[dict[str, Any]]) -> str:
    asked, needed = sum(len(row["items"]) for row in rows), len(rows)
    return f"共需 {needed} 项，免重复 {asked - needed} 项 / {needed} fields, {asked - needed} repeats spared"
