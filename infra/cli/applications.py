"""`zhengzhao licence extend|change|renew|reissue|merge|surrender`: applications on a licence, as a window sends them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli import acting, output
from infra.cli.acting import Holder
from infra.cli.options import OnLicence, Sending, spread
from producers import orders
from producers.orders import Named
from schemas.errors import UsageError
from schemas.times import china_date

if TYPE_CHECKING:
    from infra.subjects import Subject

app = typer.Typer()

ApplicationId = Annotated[
    str | None,
    typer.Option("--application-id", metavar="ID", help="办件编号 / id of the case [default: a new one]"),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window", metavar="CODE", help="收件窗口 / where it entered [default: the holder's division]"
    ),
]
Channel = Annotated[str, typer.Option("--channel", help="渠道 / window, online, agent, …")]
Materials = Annotated[
    str | None,
    typer.Option(
        "--materials", metavar="FILE", help="材料 JSON / the materials [default: those that the action needs]"
    ),
]
SignedOn = Annotated[
    str | None,
    typer.Option(
        "--signed-on",
        metavar="DATE",
        help="承诺书签署日 / when the letter was signed [default: day of the event]",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Paper(Sending):
    """What every application takes beside the licences that it is about."""

    application_id: ApplicationId = None
    window: Window = None
    channel: Channel = "window"
    materials: Materials = None
    holder: Holder = None


@dataclass(frozen=True, kw_only=True)
class Application(OnLicence, Paper):
    """The same, about one licence."""


@dataclass(frozen=True, kw_only=True)
class Committed(Application):
    """The same, with a commitment letter."""

    signed_on: SignedOn = None


@dataclass(frozen=True, kw_only=True)
class Merging(Paper):
    """About several licences."""

    numbers: Annotated[
        list[str] | None,
        typer.Argument(metavar="NUMBER…", help="证照编号，至少两个 / their numbers, at least two"),
    ] = None
    number_option: Annotated[
        list[str] | None, typer.Option("--number", metavar="NUMBER", help="同上 / the same, as an option")
    ] = None
    granted_by: Annotated[
        list[str] | None,
        typer.Option(
            "--granted-by",
            metavar="APPLICATION",
            help="或：由哪些申请取得 / or: the applications that led to them",
        ),
    ] = None
    signed_on: SignedOn = None


def _apply(action: str, said: Paper, names: list[Named], **parts: Any) -> None:
    """Builds the event of an action and sends it; `parts`: its products, or its change."""
    subject = acting.subject_of(names[0], said.holder)
    who = acting.sender(said.source or subject.authority, said.at, said.event_id)
    application_id = said.application_id or f"A-{who.event_id}"
    materials = acting.read_json(said.materials, "--materials", list)
    event = orders.application(
        who,
        application_id,
        action,
        subject.item,
        names,
        _applicant(subject, said.holder),
        window=said.window or subject.division,
        channel=said.channel,
        materials=_usual(action, said, subject, china_date(who.at)) if materials is None else materials,
        **parts,
    )
    acting.finish(event, event_only=said.event_only, proof_key=said.proof_key, application_id=application_id)


def _usual(action: str, said: Paper, subject: Subject, today: date) -> list[dict[str, Any]]:
    """The materials that the action needs, signed on the day given or today."""
    signed_on = said.signed_on if isinstance(said, Committed | Merging) else None
    day = acting.read_day(signed_on, "--signed-on") or today
    return orders.materials_of(action, _has_letter(subject.item), day)


def _applicant(subject: Subject, holder: str | None) -> dict[str, Any]:
    return {
        "kind": subject.kind,
        "id": acting.holder_of(subject, holder),
        "name": subject.name,
        "address": subject.address,
        "division": subject.division,
    }


def _has_letter(code: str) -> bool:
    from schemas.items import load_catalogue

    item = load_catalogue(output.settings().items).get(code)
    return item is None or item.material("commitment-letter") is not None


@app.command(epilog="Example: zhengzhao licence extend '(青)XK13-001-00001' --products more.json")
@spread
def extend(
    said: Committed,
    products: Annotated[
        str,
        typer.Option(
            "--products", metavar="FILE", help="新增产品 JSON / what is added: [{category, site, detail}, …]"
        ),
    ],
) -> None:
    """增项 / Further products or sites: the next version of the same certificate."""
    _apply("extend", said, [_one(said)], products=acting.read_json(products, "--products", list))


@app.command(epilog="Example: zhengzhao licence change '(青)XK13-001-00001' --name 青海新名化工有限公司")
@spread
def change(
    said: Application,
    name: Annotated[str | None, typer.Option(help="新名称 / the new name")] = None,
    address: Annotated[str | None, typer.Option(help="新地址 / the new address")] = None,
    division: Annotated[str | None, typer.Option(help="新区划 / the new division")] = None,
    products: Annotated[
        str | None, typer.Option(metavar="FILE", help="保留的全部产品 JSON / all products that shall remain")
    ] = None,
) -> None:
    """变更 / Another name, address, division, or fewer products: the next version, the same end."""
    parts = {
        "name": name,
        "address": address,
        "division": division,
        "products": acting.read_json(products, "--products", list),
    }
    becomes = {field: value for field, value in parts.items() if value is not None}
    if not becomes:
        raise UsageError(
            "没有任何变更 / nothing is changed", hint="--name, --address, --division 或 / or --products"
        )
    _apply("change", said, [_one(said)], change=becomes)


@app.command(epilog="Example: zhengzhao licence renew '(青)XK13-001-00001'")
@spread
def renew(said: Committed) -> None:
    """延续 / Renews a licence, from twelve months before its end; six months before protects until the decision."""
    _apply("renew", said, [_one(said)])


@app.command(epilog="Example: zhengzhao licence reissue '(青)XK13-001-00001'")
@spread
def reissue(said: Application) -> None:
    """补发 / The same certificate again, as its next version."""
    _apply("reissue", said, [_one(said)])


@app.command(epilog="Example: zhengzhao licence surrender '(青)XK13-001-00001'")
@spread
def surrender(said: Application) -> None:
    """交回 / The holder gives the licence back: it is cancelled. Nothing is barred."""
    _apply("surrender", said, [_one(said)])


@app.command(epilog="Example: zhengzhao licence merge '(青)XK13-001-00001' '(青)XK13-001-00002'")
@spread
def merge(said: Merging) -> None:
    """合并 / Several licences of one item become the next version of the one issued first (一企一证)."""
    by_number = [Named(number=n) for n in (*(said.numbers or ()), *(said.number_option or ()))]
    by_case = [Named(granted_by=c) for c in said.granted_by or ()]
    names = by_number or by_case
    if (by_number and by_case) or len(names) < 2:
        raise UsageError(
            "指明至少两个证照，用同一种方式 / name at least two licences, all in the same way",
            hint="NUMBER NUMBER…，或 / or --granted-by A --granted-by B",
        )
    _apply("merge", said, names)


def _one(said: OnLicence) -> Named:
    return acting.named(said.number, said.number_option, said.granted_by)
