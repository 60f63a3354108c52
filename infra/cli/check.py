"""`zhengzhao check`: on-site checks (后置现场核查) and other inspections, recorded and listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from infra.cli import acting, inspection, output
from infra.cli.inspection import Inspection
from infra.cli.options import OnLicence, spread
from schemas.errors import UsageError

app = typer.Typer(
    no_args_is_help=True,
    help="现场核查与检查 / on-site checks and inspections",
    epilog="Example: zhengzhao check list --overdue",
)
KINDS = ("post-issuance", "random", "complaint")
STATES = ("scheduled", "overdue", "passed", "failed")
_COLUMNS = ("inspection_id", "licence_number", "holder_id", "item", "kind", "due", "state")


@app.callback()
def check() -> None:
    """现场核查与检查 / On-site checks and inspections."""


@app.command("list", epilog="Example: zhengzhao check list --state scheduled --before 2018-10-12 --json")
def list_checks(
    overdue: Annotated[bool, typer.Option("--overdue", help="只列超期的 / only the overdue ones")] = False,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"状态 / one of {', '.join(STATES)}")
    ] = None,
    item: Annotated[str | None, typer.Option(metavar="CODE", help="事项 / of this item")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="DATE", help="此日之前到期 / due before this day")
    ] = None,
) -> None:
    """列出核查 / Checks of all licences: scheduled, overdue, passed, failed."""
    from infra.accesses import Accesses
    from infra.listings import Listings

    if state is not None and state not in STATES:
        raise UsageError(f"没有此状态 / no such state: {state}", where="--state", hint=", ".join(STATES))
    day = acting.read_day(before, "--before")
    with acting.register() as (register, _):
        rows = Listings(register, Accesses(output.settings().data).look).checks(
            item=item, state="overdue" if overdue else state, before=day.isoformat() if day else None
        )
        if output.as_json():
            output.print_rows(rows)
            return
        output.print_table(_COLUMNS, ([row[column] for column in _COLUMNS] for row in rows), title="checks")


@dataclass(frozen=True, kw_only=True)
class Checked(OnLicence, Inspection):
    """The same, of a licence that is named."""


@app.command(
    epilog="Example: zhengzhao check record '(青)XK13-001-00001' --inspector 6301-01 --inspector 6301-02 "
    "--result 未发现问题 --passed"
)
@spread
def record(
    said: Checked,
    inspector: Annotated[
        list[str],
        typer.Option(
            metavar="ID[@DEPARTMENT]",
            help="检查人员，至少两名 / who inspected, at least two [department: the licence's]",
        ),
    ],
    kind: Annotated[str, typer.Option(help=f"种类 / one of {', '.join(KINDS)}")] = "post-issuance",
    inspection_id: Annotated[
        str | None,
        typer.Option("--inspection-id", metavar="ID", help="检查编号 / its id [default: a new one]"),
    ] = None,
) -> None:
    """记录检查 / Records an inspection. A failed check of a commitment item ends the licence (撤销)."""
    licence = acting.named(said.number, said.number_option, said.granted_by)
    inspection.record(said, licence, kind, inspector, inspection_id)
