"""`zhengzhao licence extend|change|renew|reissue|merge|surrender`: applications on a licence, as a window sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli import acting, output
from infra.cli.acting import At, EventId, EventOnly, GrantedBy, Holder, Number, NumberOption, ProofKey, Source
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
Products = Annotated[
    str | None,
    typer.Option("--products", metavar="FILE", help="产品 JSON / [{category, site, detail}, …]; - stdin"),
]


def _apply(
    action: str,
    names: list[Named],
    common: dict[str, Any],
    *,
    signed_on: str | None = None,
    products: list[Any] | None = None,
    change: dict[str, Any] | None = None,
) -> None:
    subject = acting.subject_of(names[0], common["holder"])
    who = acting.sender(common["source"] or subject.authority, common["at"], common["event_id"])
    application_id = common["application_id"] or f"A-{who.event_id}"
    day = acting.read_day(signed_on, "--signed-on") or china_date(who.at)
    materials = acting.read_json(common["materials"], "--materials", list)
    event = orders.application(
        who,
        application_id,
        action,
        subject.item,
        names,
        _applicant(subject, common["holder"]),
        window=common["window"] or subject.division,
        channel=common["channel"],
        materials=orders.materials_of(action, _has_letter(subject.item), day)
        if materials is None
        else materials,
        products=products,
        change=change,
    )
    acting.finish(
        event,
        event_only=common["event_only"],
        proof_key=common["proof_key"],
        application_id=application_id,
    )


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
def extend(
    products: Annotated[
        str,
        typer.Option(
            "--products", metavar="FILE", help="新增产品 JSON / what is added: [{category, site, detail}, …]"
        ),
    ],
    number: Number = None,
    number_option: NumberOption = None,
    granted_by: GrantedBy = None,
    signed_on: SignedOn = None,
    application_id: ApplicationId = None,
    window: Window = None,
    channel: Channel = "window",
    materials: Materials = None,
    holder: Holder = None,
    source: Source = None,
    at: At = None,
    event_id: EventId = None,
    event_only: EventOnly = False,
    proof_key: ProofKey = None,
) -> None:
    """增项 / Further products or sites: the next version of the same certificate."""
    common = locals()
    added = acting.read_json(products, "--products", list)
    _apply("extend", _one(common), common, signed_on=signed_on, products=added)


@app.command(epilog="Example: zhengzhao licence change '(青)XK13-001-00001' --name 青海新名化工有限公司")
def change(
    number: Number = None,
    number_option: NumberOption = None,
    granted_by: GrantedBy = None,
    name: Annotated[str | None, typer.Option(help="新名称 / the new name")] = None,
    address: Annotated[str | None, typer.Option(help="新地址 / the new address")] = None,
    division: Annotated[str | None, typer.Option(help="新区划 / the new division")] = None,
    products: Annotated[
        str | None, typer.Option(metavar="FILE", help="保留的全部产品 JSON / all products that shall remain")
    ] = None,
    application_id: ApplicationId = None,
    window: Window = None,
    channel: Channel = "window",
    materials: Materials = None,
    holder: Holder = None,
    source: Source = None,
    at: At = None,
    event_id: EventId = None,
    event_only: EventOnly = False,
    proof_key: ProofKey = None,
) -> None:
    """变更 / Another name, address, division, or fewer products: the next version, the same end."""
    common = locals()
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
    _apply("change", _one(common), common, change=becomes)


@app.command(epilog="Example: zhengzhao licence renew '(青)XK13-001-00001'")
def renew(
    number: Number = None,
    number_option: NumberOption = None,
    granted_by: GrantedBy = None,
    signed_on: SignedOn = None,
    application_id: ApplicationId = None,
    window: Window = None,
    channel: Channel = "window",
    materials: Materials = None,
    holder: Holder = None,
    source: Source = None,
    at: At = None,
    event_id: EventId = None,
    event_only: EventOnly = False,
    proof_key: ProofKey = None,
) -> None:
    """延续 / Renews a licence, from twelve months before its end; six months before protects until the decision."""
    common = locals()
    _apply("renew", _one(common), common, signed_on=signed_on)


@app.command(epilog="Example: zhengzhao licence reissue '(青)XK13-001-00001'")
def reissue(
    number: Number = None,
    number_option: NumberOption = None,
    granted_by: GrantedBy = None,
    application_id: ApplicationId = None,
    window: Window = None,
    channel: Channel = "window",
    materials: Materials = None,
    holder: Holder = None,
    source: Source = None,
    at: At = None,
    event_id: EventId = None,
    event_only: EventOnly = False,
    proof_key: ProofKey = None,
) -> None:
    """补发 / The same certificate again, as its next version."""
    common = locals()
    _apply("reissue", _one(common), common)


@app.command(epilog="Example: zhengzhao licence surrender '(青)XK13-001-00001'")
def surrender(
    number: Number = None,
    number_option: NumberOption = None,
    granted_by: GrantedBy = None,
    application_id: ApplicationId = None,
    window: Window = None,
    channel: Channel = "window",
    materials: Materials = None,
    holder: Holder = None,
    source: Source = None,
    at: At = None,
    event_id: EventId = None,
    event_only: EventOnly = False,
    proof_key: ProofKey = None,
) -> None:
    """交回 / The holder gives the licence back: it is cancelled. Nothing is barred."""
    common = locals()
    _apply("surrender", _one(common), common)


@app.command(epilog="Example: zhengzhao licence merge '(青)XK13-001-00001' '(青)XK13-001-00002'")
def merge(
    numbers: Annotated[
        list[str] | None,
        typer.Argument(metavar="NUMBER…", help="证照编号，至少两个 / their numbers, at least two"),
    ] = None,
    number_option: Annotated[
        list[str] | None, typer.Option("--number", metavar="NUMBER", help="同上 / the same, as an option")
    ] = None,
    granted_by: Annotated[
        list[str] | None,
        typer.Option(
            "--granted-by",
            metavar="APPLICATION",
            help="或：由哪些申请取得 / or: the applications that led to them",
        ),
    ] = None,
    signed_on: SignedOn = None,
    application_id: ApplicationId = None,
    window: Window = None,
    channel: Channel = "window",
    materials: Materials = None,
    holder: Holder = None,
    source: Source = None,
    at: At = None,
    event_id: EventId = None,
    event_only: EventOnly = False,
    proof_key: ProofKey = None,
) -> None:
    """合并 / Several licences of one item become the next version of the one issued first (一企一证)."""
    common = locals()
    by_number = [Named(number=n) for n in (*(numbers or ()), *(number_option or ()))]
    by_case = [Named(granted_by=c) for c in granted_by or ()]
    names = by_number or by_case
    if (by_number and by_case) or len(names) < 2:
        raise UsageError(
            "指明至少两个证照，用同一种方式 / name at least two licences, all in the same way",
            hint="NUMBER NUMBER…，或 / or --granted-by A --granted-by B",
        )
    _apply("merge", names, common, signed_on=signed_on)


def _one(common: dict[str, Any]) -> list[Named]:
    return [acting.named(common["number"], common["number_option"], common["granted_by"])]
