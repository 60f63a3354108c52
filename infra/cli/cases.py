"""`zhengzhao case list`: all cases, those of an item, those that are late."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli import acting, output

app = typer.Typer()
_COLUMNS = ("application_id", "state", "item", "action", "holder_id", "promised", "statutory", "overdue")
STATES = ("correction-requested", "accepted", "refused", "withdrawn", "lapsed", "granted", "issued")


@app.command("list", epilog="Example: zhengzhao case list --overdue --json")
def list_cases(
    overdue: Annotated[
        bool,
        typer.Option(
            "--overdue", help="只列超期的 / only those past a limit: of the decision, or of the certificate"
        ),
    ] = False,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"状态 / one of {', '.join(STATES)}")
    ] = None,
    item: Annotated[str | None, typer.Option(metavar="CODE", help="事项 / of this item")] = None,
) -> None:
    """列出办件 / Cases of all holders. Late ones are those that an event or a tick found late: `tick` first."""
    from infra.accesses import Accesses
    from infra.listings import CaseFilter, Listings
    from schemas.errors import UsageError

    if state is not None and state not in STATES:
        raise UsageError(f"没有此状态 / no such state: {state}", where="--state", hint=", ".join(STATES))
    with acting.register() as (register, _):
        listings = Listings(register, Accesses(output.settings().data).look)
        rows = listings.cases(CaseFilter(state, item, overdue))
        if output.as_json():
            output.print_rows(rows)
            return
        output.print_table(
            _COLUMNS, ([{**row, **row["due"]}[column] for column in _COLUMNS] for row in rows), title="cases"
        )
