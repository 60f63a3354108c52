"""`zhengzhao filing`: filings (备案) of 多证合一, as their departments see them.

`zhengzhao registration form` lists the fields that a registration with its filings needs, each once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from infra.cli import output, sending
from infra.cli.sending import Sending, spread
from producers import agency_events
from schemas.errors import NotFound, UsageError
from schemas.identifiers import kept_id, masked
from schemas.items import fields_once
from schemas.persons import keys_of

if TYPE_CHECKING:
    from processors.state import Filing, HolderState

app = typer.Typer(
    no_args_is_help=True,
    help="多证合一的备案 / filings folded into the business licence",
    epilog="Example: zhengzhao filing list --department tax --state pushed",
)
STATES = ("pushed", "received", "claimed", "returned")
_COLUMNS = ("filing_id", "item", "department", "state", "holder_id", "pushed_on", "yellow", "red", "overdue")


@dataclass(frozen=True, kw_only=True)
class Answer(Sending):
    """The options of a department's event about a filing."""

    filing_id: Annotated[str, typer.Argument(metavar="FILING", help="备案编号 / <application_id>:<item>")]
    holder: Annotated[
        str | None,
        typer.Option(
            "--holder", metavar="ID", help="同号时指明持证人 / the holder, where several share the id"
        ),
    ] = None
    department: Annotated[
        str | None, typer.Option("--department", help="部门 / department [default: the filing's own]")
    ] = None
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="URN", help="来源 / who sends [default: that department, in the division]"
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Correction(Answer):
    """The options of an event of the office where the registration came in."""

    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="URN", help="来源 / who sends [default: where the registration came in]"
        ),
    ] = None


@app.callback()
def filing() -> None:
    """多证合一的备案 / Filings folded into the business licence."""


@app.command("list", epilog="Example: zhengzhao filing list --overdue --json")
def list_filings(
    department: Annotated[str | None, typer.Option(help="部门 / of this department")] = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"状态 / one of {', '.join(STATES)}")
    ] = None,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="只列超过黄、红日期的 / only those past their yellow or red day")
    ] = False,
) -> None:
    """列出备案 / List the filings of all holders and their states."""
    output.check_choice(state, STATES, "--state")
    with output.installation() as here, here.listings() as listings:
        rows = listings.filings(department=department, state=state, overdue=overdue)
        if output.as_json():
            output.print_rows(rows)
            return
        output.print_table(
            _COLUMNS, ([row[column] for column in _COLUMNS] for row in rows), title="备案 / filings"
        )


@app.command(epilog="Example: zhengzhao filing receive QH-2018-000001:seal-engraving-filing")
@spread
def receive(said: Answer) -> None:
    """收到 / Say that the department has received it."""
    _tell("received", said)


@app.command(epilog="Example: zhengzhao filing claim QH-2018-000001:seal-engraving-filing")
@spread
def claim(said: Answer) -> None:
    """认领 / Claim it for the department: the filing is done."""
    _tell("claimed", said)


@app.command(
    "return", epilog="Example: zhengzhao filing return QH-2018-000001:seal-engraving-filing --reason 地址不全"
)
@spread
def return_(said: Answer, reason: Annotated[str, typer.Option(help="退回原因 / the reason")]) -> None:
    """退回 / Return it for a correction."""
    _tell("returned", said, reason=reason)


@app.command(
    epilog="Example: zhengzhao filing correct QH-2018-000001:seal-engraving-filing --answers answers.json"
)
@spread
def correct(
    said: Correction,
    answers: Annotated[
        str,
        typer.Option(metavar="FILE", help="更正的字段 JSON / the corrected fields: {name: value}; - stdin"),
    ],
) -> None:
    """更正 / Correct a returned filing; it is pushed again, without a second application."""
    _tell("corrected", said, answers=sending.read_json(answers, "--answers", dict))


def _tell(kind: str, said: Answer, **more: Any) -> None:
    found = _find(said)
    who = sending.sender(found.source, said.at, said.event_id)
    event = agency_events.filing(who, kind, found.filing_id, found.holder, found.department, **more)
    sending.finish(event, event_only=said.event_only, proof_key=said.proof_key)


@app.command(epilog="Example: zhengzhao filing deliver --json")
def deliver() -> None:
    """送达 / Deliver to the departments' folders and webhooks now; list what a webhook has not taken.

    `drain` and `run` do the same, but wait longer between attempts. Exit 1 where something is left.
    """
    with output.installation() as here:
        here.require_one_machine(
            "在 Kafka 上部门读取自己的主题 / on Kafka departments read their own topics",
            "zhengzhao.filings.<department>",
        )
        done, left = here.deliver_filings(output.note)
    if output.as_json():
        output.print_json({**done._asdict(), "left": [one._asdict() for one in left]})
    else:
        output.line(
            f"写出 / files {done.files} · 送达 / delivered {done.taken} · 待送 / waiting {done.waiting}"
        )
        if left:
            output.print_table(left[0]._fields, left, title="待送达 / waiting")
    raise typer.Exit(1 if left else 0)


class _Found(NamedTuple):
    filing_id: str
    holder: str
    department: str
    source: str


def _find(said: Answer) -> _Found:
    """Return the fields of the event; those not given are looked up in the register."""
    if said.holder is not None and said.department is not None and said.source is not None:
        return _Found(said.filing_id, said.holder, said.department, said.source)
    state, one = _registered(said.filing_id, said.holder)
    number = (
        said.holder or state.holder
    )  # Only enterprises register, and their ledger key is the number itself.
    department = said.department or one.ref.department
    source = said.source
    if source is None:
        entered = state.cases[one.case].source
        source = entered if isinstance(said, Correction) else f"urn:agency:{state.division}:{department}"
    return _Found(one.ref.filing_id, number, department, source)


def _registered(filing_id: str, holder: str | None) -> tuple[HolderState, Filing]:
    key = kept_id(filing_id)
    with sending.register() as (register, persons):
        holders = register.holders_of_case(key.rpartition(":")[0])
        if holder is not None:
            wanted = keys_of(holder, persons)
            holders = [h for h in holders if h in wanted]
        states = [state for h in holders if (state := register.state(h)) is not None]
    found = [(state, state.filings[key]) for state in states if key in state.filings]
    if not found:
        raise NotFound(
            "未找到该备案 / no such filing", where=masked(filing_id)[:150], hint="zhengzhao filing list"
        )
    if len(found) > 1:
        names = "、".join(state.display for state, _ in found)
        raise UsageError(
            f"多个持证人有此编号的备案 / several holders have a filing with this id: {names}",
            where=masked(filing_id)[:150],
            hint="用 --holder ID 指明持证人 / name the holder with --holder ID",
        )
    return found[0]


registration_app = typer.Typer(
    no_args_is_help=True,
    help="多证合一登记 / registrations",
    epilog="Example: zhengzhao registration form recycling-filing seal-engraving-filing",
)
_REGISTRATION_COLUMNS = ("name", "label", "required", "example", "items")


@registration_app.callback()
def registrations() -> None:
    """多证合一登记 / Registrations."""


@registration_app.command(
    epilog="Example: zhengzhao registration form recycling-filing seal-engraving-filing --json"
)
def form(
    item: Annotated[
        list[str] | None, typer.Argument(metavar="ITEM…", help="选办的备案事项 / the filings chosen")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="全部备案事项 / all filings")] = False,
) -> None:
    """填报内容 / List the fields that the business licence and these filings need, each once."""
    with output.installation() as here:
        catalogue = here.catalogue
    licence = [found for found in catalogue.items.values() if found.mode == "consolidated"]
    filings = {code: found for code, found in catalogue.items.items() if found.mode == "filing"}
    chosen = list(filings) if every else list(dict.fromkeys(item or []))
    for code in chosen:
        if code not in catalogue.items:
            raise NotFound(f"未找到该事项 / no such item: {code}", hint="zhengzhao items list")
        if code not in filings and catalogue.items[code] not in licence:
            raise UsageError(
                f"不是备案事项 / not a filing: {code}",
                hint="用 application.submitted 单独申请 / apply for it by application.submitted",
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
    output.print_table(
        _REGISTRATION_COLUMNS,
        [[row[column] for column in _REGISTRATION_COLUMNS] for row in rows],
        title=_title(rows),
    )


def _title(rows: list[dict[str, Any]]) -> str:
    asked, needed = sum(len(row["items"]) for row in rows), len(rows)
    return f"共需 {needed} 项，免重复填报 {asked - needed} 项 / {needed} fields, {asked - needed} repetitions saved"
