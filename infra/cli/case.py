"""`zhengzhao case`: an application on its way.

`zhengzhao case list`: all cases, those of an item, those that are late.

`zhengzhao window list`: the counter of an integrated window (综合窗口): what came in, where it stands, what goes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli import output, sending
from schemas.errors import UsageError

if TYPE_CHECKING:
    from processors.queries.find import Queries

app = typer.Typer(
    no_args_is_help=True, help="办件 / cases", epilog="Example: zhengzhao case show QH-2018-000001"
)


@contextmanager
def queries() -> Iterator[Queries]:
    """The answers of this data folder; each look at a person's record is itself recorded."""
    from infra.bootstrap import open_register
    from infra.persons import open_persons
    from infra.persons.access_log import Accesses
    from processors.queries.find import Queries

    settings = output.settings()
    with open_register(settings) as register:
        persons = open_persons(settings.data, settings.shared_persons)
        try:
            yield Queries(register, persons, Accesses(settings.data).record)
        finally:
            persons.close()


def show_history(history: list[dict[str, Any]]) -> None:
    """A history as a table."""
    output.print_table(
        ("time", "event", "detail"), [(h["time"], h["event"], h["detail"]) for h in history], title="history"
    )


@app.callback()
def case() -> None:
    """办件 / cases."""


@app.command(epilog="Example: zhengzhao case show QH-2018-000001 --json")
def show(
    application: Annotated[str, typer.Argument(metavar="ID", help="办件编号 / the application's id")],
    holder: Annotated[
        str | None,
        typer.Option(metavar="H", help="同号时指明持证人 / the holder, where several share the id"),
    ] = None,
) -> None:
    """查办件 / Where an application stands, what is missing, when it is due. Exit 1 for an unknown id."""
    with queries() as ask:
        row = ask.case(application, holder)
    if output.as_json():
        output.print_json(row)
        return
    output.print_fields((name, value) for name, value in row.items() if name != "history")
    show_history(row["history"])


cases_app = typer.Typer()
_CASE_COLUMNS = ("application_id", "state", "item", "action", "holder_id", "promised", "statutory", "overdue")
STATES = ("correction-requested", "accepted", "refused", "withdrawn", "lapsed", "granted", "issued")


@cases_app.command("list", epilog="Example: zhengzhao case list --overdue --json")
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
    from infra.persons.access_log import Accesses
    from processors.queries.listings import CaseFilter, Listings
    from schemas.errors import UsageError

    if state is not None and state not in STATES:
        raise UsageError(f"没有此状态 / no such state: {state}", where="--state", hint=", ".join(STATES))
    with sending.register() as (register, _):
        listings = Listings(register, Accesses(output.settings().data).record)
        rows = listings.cases(CaseFilter(state, item, overdue))
        if output.as_json():
            output.print_rows(rows)
            return
        output.print_table(
            _CASE_COLUMNS,
            ([{**row, **row["due"]}[column] for column in _CASE_COLUMNS] for row in rows),
            title="cases",
        )


window_app = typer.Typer(
    no_args_is_help=True,
    help="综合窗口 / integrated windows",
    epilog="Example: zhengzhao window list --window 630225",
)
_COLUMNS = ("window", "application_id", "item", "action", "holder_id", "filed_on", "state", "filings", "out")


@window_app.callback()
def window() -> None:
    """综合窗口 / Integrated windows."""


@window_app.command("list", epilog="Example: zhengzhao window list --window 630225001 --json")
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
    from infra.persons.access_log import Accesses
    from processors.queries.listings import Listings

    if not re.fullmatch(r"[0-9]{6}([0-9]{3}([0-9]{3})?)?", code):
        raise UsageError(f"不是窗口代码 / no code of a window: {code}", where="--window", hint="630225")
    with sending.register() as (register, _):
        rows = Listings(register, Accesses(output.settings().data).record).window(code, below=below)
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
