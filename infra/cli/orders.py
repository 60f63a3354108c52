"""`zhengzhao licence suspend|resume|withdraw|rescind|revoke|cancel|annul|import`: orders of an authority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from infra.cli import acting
from infra.cli.acting import At, EventId, EventOnly, ProofKey
from infra.cli.options import OnLicence, spread
from producers import orders
from schemas.errors import UsageError

app = typer.Typer()

Ground = Annotated[str, typer.Option("--ground", help="理由 / why")]
LegalBasis = Annotated[
    str | None, typer.Option("--legal-basis", metavar="TEXT", help="法律依据 / the law that says so")
]
DecidedOn = Annotated[
    str | None,
    typer.Option(
        "--decided-on", metavar="DATE", help="决定日期 / day of the decision [default: of the event]"
    ),
]


@dataclass(frozen=True, kw_only=True)
class Order(OnLicence):
    """What every order takes."""

    ground: Ground
    decided_on: DecidedOn = None


@dataclass(frozen=True, kw_only=True)
class LawfulOrder(Order):
    """The same, with the law that it rests on."""

    legal_basis: LegalBasis = None


def _order(command: str, said: Order, **more: Any) -> None:
    licence = acting.named(said.number, said.number_option, said.granted_by)
    holder_id, urn = acting.about(licence, said.holder, said.source)
    event = orders.order(
        acting.sender(urn, said.at, said.event_id),
        command,
        licence,
        holder_id,
        said.ground,
        decided_on=acting.read_day(said.decided_on, "--decided-on"),
        **more,
    )
    acting.finish(event, event_only=said.event_only, proof_key=said.proof_key)


@app.command(
    epilog="Example: zhengzhao licence suspend '(青)XK13-001-00001' --until 2018-12-31 --ground 停业整顿"
)
@spread
def suspend(
    said: LawfulOrder,
    until: Annotated[str, typer.Option(metavar="DATE", help="最后一日 / its last day")],
) -> None:
    """暂扣 / Suspends a licence up to and including a day; a second suspension replaces the first."""
    _order("suspend", said, legal_basis=said.legal_basis, until=acting.read_day(until, "--until"))


@app.command(
    epilog="Example: zhengzhao licence rescind '(青)XK13-001-00001' --deceit --ground 以虚假承诺取得"
)
@spread
def rescind(
    said: LawfulOrder,
    deceit: Annotated[
        bool, typer.Option(help="以欺骗、贿赂等手段取得：三年内不得再次申请 / by deceit: bars for 3 years")
    ] = False,
) -> None:
    """撤销 / Rescinds a licence that should not have been granted."""
    _order("rescind", said, legal_basis=said.legal_basis, deceit=deceit)


def _plain(command: str, text: str, ground: str) -> None:
    """Adds a command that takes nothing but what every order takes."""

    @app.command(
        command,
        help=text,
        epilog=f"Example: zhengzhao licence {command} '(青)XK13-001-00001' --ground {ground}",
    )
    @spread
    def run(said: LawfulOrder) -> None:
        _order(command, said, legal_basis=said.legal_basis)


_plain("resume", "恢复 / Ends a suspension before its day.", "整改完毕")
_plain(
    "withdraw",
    "撤回 / Withdraws a lawful licence because law or facts have changed. It bars nothing.",
    "法律修改",
)
_plain("revoke", "吊销 / Revokes a licence as a penalty; bars for 3 years.", "严重违法")
_plain(
    "cancel", "注销 / Ends a living licence (dissolution), or closes the entry of an ended one.", "主体解散"
)


@app.command(epilog="Example: zhengzhao licence annul '(青)XK13-001-00001' --ground 行政复议决定撤销原决定")
@spread
def annul(said: Order) -> None:
    """复议、判决 / Annuls 撤回, 撤销 or 吊销: the bar is lifted, the holder gets a new licence."""
    _order("annul", said)


@app.command("import", epilog="Example: zhengzhao licence import old-licence.json --at 2018-01-05")
def import_licence(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="JSON：holder{kind,id,name,address,division}, licence_number, item, products?, issued_on, valid_from, "
            "valid_until; - 标准输入 / standard input",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(metavar="URN", help="来源 / who sends [default: who issues this item in that division]"),
    ] = None,
    at: At = None,
    event_id: EventId = None,
    event_only: EventOnly = False,
    proof_key: ProofKey = None,
) -> None:
    """导入 / Takes a licence of another system into the register, as version 0."""
    data = acting.read_json(file, "FILE", dict)
    event = orders.imported(acting.sender(source or _issuer(data), at, event_id), data)
    acting.finish(event, event_only=event_only, proof_key=proof_key)


def _issuer(data: dict[str, Any]) -> str:
    from infra.cli import output
    from schemas.authorities import issuing_authority
    from schemas.items import load_catalogue

    item = load_catalogue(output.settings().items).get(str(data.get("item")))
    holder = data.get("holder")
    division = str(holder.get("division")) if isinstance(holder, dict) else ""
    authority = issuing_authority(item, division) if item is not None else None
    if authority is None:
        raise UsageError(
            "看不出由谁发证：事项或区划未知 / who issues it is not known: no such item or division",
            where=f"item {data.get('item')}, division {division or '—'}",
            hint="zhengzhao items list, 或 / or --source URN",
        )
    return authority.code
