"""`zhengzhao check`: on-site checks (后置现场核查) and other inspections, recorded and listed."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli import acting, output
from infra.cli.acting import At, EventId, EventOnly, GrantedBy, Holder, Number, NumberOption, ProofKey, Source
from producers import orders
from schemas.errors import UsageError
from schemas.times import china_date

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


@app.command(
    epilog="Example: zhengzhao check record '(青)XK13-001-00001' --inspector 6301-01 --inspector 6301-02 "
    "--result 未发现问题 --passed"
)
def record(
    inspector: Annotated[
        list[str],
        typer.Option(
            metavar="ID[@DEPARTMENT]",
            help="检查人员，至少两名 / who inspected, at least two [department: the licence's]",
        ),
    ],
    result: Annotated[
        str, typer.Option(help="结果；随机抽查用规定用语 / result; official text where random")
    ],
    passed: Annotated[bool, typer.Option("--passed/--failed", help="合格与否 / whether it passed")],
    number: Number = None,
    number_option: NumberOption = None,
    granted_by: GrantedBy = None,
    kind: Annotated[str, typer.Option(help=f"种类 / one of {', '.join(KINDS)}")] = "post-issuance",
    commitment_false: Annotated[
        bool, typer.Option("--commitment-false", help="承诺不实 / the commitment was false")
    ] = False,
    findings: Annotated[str | None, typer.Option(help="发现的问题 / what was found")] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="DATE", help="检查日期 / day [default: of the event]")
    ] = None,
    inspection_id: Annotated[
        str | None,
        typer.Option("--inspection-id", metavar="ID", help="检查编号 / its id [default: a new one]"),
    ] = None,
    holder: Holder = None,
    source: Source = None,
    at: At = None,
    event_id: EventId = None,
    event_only: EventOnly = False,
    proof_key: ProofKey = None,
) -> None:
    """记录检查 / Records an inspection. A failed check of a commitment item ends the licence (撤销)."""
    licence = acting.named(number, number_option, granted_by)
    holder_id, urn = acting.about(licence, holder, source)
    who = acting.sender(urn, at, event_id)
    own = inspection_id or f"I-{who.event_id}"
    day = acting.read_day(on, "--on") or china_date(who.at)
    data = {
        "inspection_id": own,
        "kind": kind,
        "holder_id": holder_id,
        "inspectors": [_inspector(text, urn) for text in inspector],
        "inspected_on": day.isoformat(),
        "result": result,
        "passed": passed,
        "commitment_false": commitment_false,
        "findings": findings,
    }
    event = orders.inspection(who, licence, data)
    acting.finish(event, event_only=event_only, proof_key=proof_key, inspection_id=own)


def _inspector(text: str, source: str) -> dict[str, str]:
    own, _, department = text.partition("@")
    return {"id": own, "department": department or source.rpartition(":")[2]}
