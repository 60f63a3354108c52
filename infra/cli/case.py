"""`zhengzhao case`: applications and where they stand.

`zhengzhao window list`: the counter of an integrated window (综合窗口): applications filed there, their state, and
what the window hands out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from infra.cli import output, sending
from infra.cli.sending import Sending, spread
from processors.queries.find import find_case
from processors.queries.listings import CaseFilter
from producers import agency_events
from schemas.errors import UsageError
from schemas.persons import is_pseudonym

app = typer.Typer(
    no_args_is_help=True, help="办件 / cases", epilog="Example: zhengzhao case show QH-2018-000001"
)
STATES: Final = ("correction-requested", "accepted", "refused", "withdrawn", "lapsed", "granted", "issued")
_CASE_COLUMNS = ("application_id", "state", "item", "action", "holder_id", "promised", "statutory", "overdue")
_WINDOW_COLUMNS = (
    "window",
    "application_id",
    "item",
    "action",
    "holder_id",
    "filed_on",
    "state",
    "filings",
    "out",
)
_WINDOW_CODE = re.compile(r"[0-9]{6}([0-9]{3}([0-9]{3})?)?")


@app.callback()
def case() -> None:
    """办件 / Cases."""


@app.command(epilog="Example: zhengzhao case show QH-2018-000001 --json")
def show(
    application: Annotated[str, typer.Argument(metavar="ID", help="申请编号 / the application's id")],
    holder: Annotated[
        str | None,
        typer.Option(metavar="H", help="同号时指明持证人 / the holder, where several share the id"),
    ] = None,
) -> None:
    """查办件 / Show where an application stands, what is missing, when it is due. Exit 1 for an unknown id."""
    with output.installation() as here, here.queries() as ask:
        row = ask.case(application, holder, proofs=True)
    if output.as_json():
        output.print_json(row)
        return
    output.print_fields((name, value) for name, value in row.items() if name not in ("history", "proofs"))
    output.print_history(row["history"])
    for one in row["proofs"]:
        output.line(f"签名 / proof {one['time']} {one['event']} {one['source']}: {one['proof']}")


@app.command("list", epilog="Example: zhengzhao case list --overdue --json")
def list_cases(
    overdue: Annotated[
        bool,
        typer.Option(
            "--overdue",
            help="只列超期的 / only those past a limit: of the decision, or of issuing the certificate",
        ),
    ] = False,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"状态 / one of {', '.join(STATES)}")
    ] = None,
    item: Annotated[str | None, typer.Option(metavar="CODE", help="事项 / of this item")] = None,
) -> None:
    """列出办件 / List the cases of all holders; a case is found late by an event or a tick, so `tick` first."""
    output.check_choice(state, STATES, "--state")
    with output.installation() as here:
        output.check_choice(item, tuple(here.catalogue.items), "--item")
        with here.listings() as listings:
            rows = listings.cases(CaseFilter(state, item, overdue))
            if output.as_json():
                output.print_rows(rows)
            else:
                cells = ([{**row, **row["due"]}[column] for column in _CASE_COLUMNS] for row in rows)
                output.print_table(_CASE_COLUMNS, cells, title="办件 / cases")
        output.note_as_of(here)


@dataclass(frozen=True, kw_only=True)
class Withdrawal(Sending):
    """The options of the withdrawal of an application."""

    application: Annotated[str, typer.Argument(metavar="ID", help="申请编号 / the application's id")]
    holder: Annotated[
        str | None,
        typer.Option(
            "--holder", metavar="ID", help="持证人号码，个人必填 / the holder's number; needed for a person"
        ),
    ] = None
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="URN", help="来源 / who sends [default: where the application came in]"
        ),
    ] = None


@app.command(epilog="Example: zhengzhao case withdraw QH-2018-000001 --reason 企业自行撤回")
@spread
def withdraw(said: Withdrawal, reason: Annotated[str, typer.Option(help="原因 / the reason")] = "") -> None:
    """撤回申请 / Withdraw an application that is not decided yet."""
    with output.installation() as here, here.register() as register:
        state, case = find_case(register, here.persons, said.application, said.holder)
        here.accesses.record(state.holder, "event prepared", case.application_id)
    number = said.holder or (None if is_pseudonym(state.holder) else state.holder)
    if number is None:
        raise UsageError(
            "登记簿中没有个人号码的明文 / the register has no person's number in clear",
            where=case.application_id,
            hint="--holder ID",
        )
    who = sending.sender(said.source or case.source, said.at, said.event_id)
    event = agency_events.withdrawal(who, case.application_id, number, reason)
    sending.finish(event, event_only=said.event_only, proof_key=said.proof_key)


window_app = typer.Typer(
    no_args_is_help=True,
    help="综合窗口 / integrated windows",
    epilog="Example: zhengzhao window list --window 630225",
)


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
    """收件与出件 / List the applications filed at a window, their states, and what the window hands out."""
    if not _WINDOW_CODE.fullmatch(code):
        raise UsageError(f"不是窗口代码 / no code of a window: {code}", where="--window", hint="630225")
    with output.installation() as here, here.listings() as listings:
        rows = listings.window(code, below=below)
        if output.as_json():
            output.print_rows(rows)
            return
        shown = ({**row, "out": said(row["out"])} for row in rows)
        cells = ([row[column] for column in _WINDOW_COLUMNS] for row in shown)
        output.print_table(_WINDOW_COLUMNS, cells, title=f"窗口 / window {code}")


def said(out: dict[str, Any] | None) -> str:
    """Return in words what the window hands out; empty where there is nothing."""
    if out is None:
        return ""
    match out["what"]:
        case "licence":
            return f"证照 / licence {out['number']}，第 {out['version']} 版 / v{out['version']}"
        case "correction-notice":
            return f"补正告知书 / correction by {out['until']}: {'、'.join(out['missing'])}"
        case "acceptance":
            return f"受理通知书 / accepted, promised by {out['promised'] or '—'}"
        case "refusal":
            return f"不予许可决定书 / refused: {out['reason']}"
    return f"注销 / cancelled: {out['number']}"
