"""`zhengzhao filing`: filings (备案) of 多证合一, as their departments see them.

`zhengzhao registration form`: which fields a registration with its filings needs, each asked once (多证合一).
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
    """What is said of a filing by its department."""

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
    """What is said by the registration's own office."""

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
    """列出备案 / Filings of all holders and where they stand."""
    from infra.persons.access_log import Accesses
    from processors.queries.listings import Listings

    if state is not None and state not in STATES:
        raise UsageError(f"没有此状态 / no such state: {state}", where="--state", hint=", ".join(STATES))
    with sending.register() as (register, _):
        listings = Listings(register, Accesses(output.settings().data).record)
        rows = listings.filings(department=department, state=state, overdue=overdue)
        if output.as_json():
            output.print_rows(rows)
            return
        output.print_table(_COLUMNS, ([row[column] for column in _COLUMNS] for row in rows), title="filings")


@app.command(epilog="Example: zhengzhao filing receive QH-2018-000001:seal-engraving-filing")
@spread
def receive(said: Answer) -> None:
    """收到 / The department has it."""
    _tell("received", said)


@app.command(epilog="Example: zhengzhao filing claim QH-2018-000001:seal-engraving-filing")
@spread
def claim(said: Answer) -> None:
    """认领 / The department takes it over: done."""
    _tell("claimed", said)


@app.command(
    "return", epilog="Example: zhengzhao filing return QH-2018-000001:seal-engraving-filing --reason 地址不全"
)
@spread
def return_(said: Answer, reason: Annotated[str, typer.Option(help="退回原因 / why")]) -> None:
    """退回 / The department sends it back for a correction."""
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
    """更正 / Corrects a returned filing; it is pushed again, without a second application."""
    _tell("corrected", said, answers=sending.read_json(answers, "--answers", dict))


def _tell(kind: str, said: Answer, **more: Any) -> None:
    found = _find(said)
    who = sending.sender(found.source, said.at, said.event_id)
    event = agency_events.filing(who, kind, found.filing_id, found.holder, found.department, **more)
    sending.finish(event, event_only=said.event_only, proof_key=said.proof_key)


@app.command(epilog="Example: zhengzhao filing deliver --json")
def deliver() -> None:
    """送达 / Delivers to the departments' folders and webhooks now, and lists what a webhook has not taken.

    `drain` and `run` do the same, but wait longer from try to try. Exit 1 where something is left.
    """
    from infra.delivery.outbox import Delivery, signing
    from infra.embedded.engine import decider
    from infra.readmodel.database import Database
    from issuance.keys import open_signer
    from schemas.trust import load_trust

    settings = output.settings()
    if settings.on_kafka:
        raise UsageError(
            "在 Kafka 上部门读取自己的主题 / on Kafka departments read their topics",
            hint="zhengzhao.filings.<department>",
        )
    with Database(settings.database) as db, decider(settings.data, "deliver", say=output.note):
        sign = signing(load_trust(settings.trust), lambda: open_signer(settings.data, settings.passphrase))
        delivery = Delivery(settings.data, sign)
        try:
            done = delivery.run(db, at_once=True)
            left = delivery.waiting()
        finally:
            delivery.close()
    if output.as_json():
        output.print_json({**done._asdict(), "left": [one._asdict() for one in left]})
    else:
        output.line(f"写出 / files {done.files} · 送达 / taken {done.taken} · 待送 / waiting {done.waiting}")
        if left:
            output.print_table(left[0]._fields, left, title="waiting")
    raise typer.Exit(1 if left else 0)


class _Found(NamedTuple):
    filing_id: str
    holder: str
    department: str
    source: str


def _find(said: Answer) -> _Found:
    """What the event says beside the filing's id; looked up in the register."""
    if said.holder is not None and said.department is not None and said.source is not None:
        return _Found(said.filing_id, said.holder, said.department, said.source)
    state, one = _registered(said.filing_id, said.holder)
    number = said.holder or state.holder  # registrations are of enterprises: the ledger key is the code
    department = said.department or one.ref.department
    source = said.source
    if source is None:
        entered = state.cases[one.case].source
        source = entered if isinstance(said, Correction) else f"urn:agency:{state.division}:{department}"
    return _Found(one.ref.filing_id, number, department, source)


def _registered(filing_id: str, holder: str | None) -> tuple[HolderState, Filing]:
    from schemas.persons import keys_of

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
            "没有这个备案 / no such filing", where=masked(filing_id)[:150], hint="zhengzhao filing list"
        )
    if len(found) > 1:
        names = "、".join(state.display for state, _ in found)
        raise UsageError(
            f"几个持证人有同号备案 / several holders have a filing of this id: {names}",
            where=masked(filing_id)[:150],
            hint="--holder ID",
        )
    return found[0]


registration_app = typer.Typer()
registration = typer.Typer(
    no_args_is_help=True,
    help="多证合一登记 / registrations",
    epilog="Example: zhengzhao registration form recycling-filing seal-engraving-filing",
)
registration_app.add_typer(registration, name="registration")
_REGISTRATION_COLUMNS = ("name", "label", "required", "example", "items")


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
    output.print_table(
        _REGISTRATION_COLUMNS,
        [[row[column] for column in _REGISTRATION_COLUMNS] for row in rows],
        title=_title(rows),
    )


def _title(rows: list[dict[str, Any]]) -> str:
    asked, needed = sum(len(row["items"]) for row in rows), len(rows)
    return f"共需 {needed} 项，免重复 {asked - needed} 项 / {needed} fields, {asked - needed} repeats spared"
