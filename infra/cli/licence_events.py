"""Events about licences: applications as a window sends them, and orders of an authority.

`zhengzhao licence extend|change|renew|reissue|merge|surrender` sends an application,
`zhengzhao licence suspend|resume|withdraw|rescind|revoke|cancel|annul|import` an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from infra.cli import output, sending
from infra.cli.sending import At, EventId, EventOnly, Holder, OnLicence, ProofKey, Sending, spread
from processors.queries.find import Subject
from producers import agency_events
from producers.agency_events import Named
from schemas.authorities import issuing_authority
from schemas.errors import UsageError

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
        help="承诺书签署日，事项有承诺书时必填 / when the commitment letter was signed; needed where the item has one",
    ),
]
Signatory = Annotated[
    str | None,
    typer.Option(
        "--signatory",
        metavar="NAME",
        help="承诺书签署人 / who signed it; needed where the item has a commitment letter",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Paper(Sending):
    """The options of every application, beside the licences that it is about."""

    application_id: ApplicationId = None
    window: Window = None
    channel: Channel = "window"
    materials: Materials = None
    holder: Holder = None


@dataclass(frozen=True, kw_only=True)
class Application(OnLicence, Paper):
    """The options of an application about one licence."""


@dataclass(frozen=True, kw_only=True)
class Committed(Application):
    """The options of an application about one licence that needs a commitment letter."""

    signed_on: SignedOn = None
    signatory: Signatory = None


@dataclass(frozen=True, kw_only=True)
class Merging(Paper):
    """The options of an application about several licences."""

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
    signatory: Signatory = None


def _apply(action: str, said: Paper, names: list[Named], **parts: Any) -> None:
    """Build the event of an action and send it; `parts`: its products, or its change."""
    subject = sending.subject_of(names[0], said.holder)
    who = sending.sender(said.source or subject.authority, said.at, said.event_id)
    application_id = said.application_id or f"A-{who.event_id}"
    materials = sending.read_json(said.materials, "--materials", list)
    event = agency_events.application(
        who,
        application_id,
        action,
        subject.item,
        names,
        _applicant(subject, said.holder),
        window=said.window or subject.division,
        channel=said.channel,
        materials=_usual(action, said, subject) if materials is None else materials,
        **parts,
    )
    sending.finish(event, event_only=said.event_only, proof_key=said.proof_key, application_id=application_id)


def _usual(action: str, said: Paper, subject: Subject) -> list[dict[str, Any]]:
    """Return the materials that the action needs. Raises UsageError where a letter is needed and nobody signed it."""
    if not isinstance(said, Committed | Merging) or not _has_letter(subject.item):
        return agency_events.materials_of(action)
    day = output.read_day(said.signed_on, "--signed-on")
    if day is None or not (said.signatory or "").strip():
        raise UsageError(
            "请注明承诺书何日由何人签署 / say when and by whom the commitment letter was signed",
            hint="--signed-on DATE --signatory NAME，或 / or --materials FILE",
        )
    return agency_events.materials_of(action, day, said.signatory or "")


def _applicant(subject: Subject, holder: str | None) -> dict[str, Any]:
    return {
        "kind": subject.kind,
        "id": sending.holder_of(subject, holder),
        "name": subject.name,
        "address": subject.address,
        "division": subject.division,
    }


def _has_letter(code: str) -> bool:
    with output.installation() as here:
        item = here.catalogue.get(code)
    return item is None or item.material("commitment-letter") is not None


@app.command(
    epilog="Example: zhengzhao licence extend '(青)XK13-001-00001' --products more.json --signed-on 2018-09-20 "
    "--signatory 李四"
)
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
    """增项 / Apply for further products or sites: the next version of the same licence."""
    _apply("extend", said, [_one(said)], products=sending.read_json(products, "--products", list))


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
    """变更 / Apply for another name, address, division, or fewer products: the next version, the same end."""
    parts = {
        "name": name,
        "address": address,
        "division": division,
        "products": sending.read_json(products, "--products", list),
    }
    becomes = {field: value for field, value in parts.items() if value is not None}
    if not becomes:
        raise UsageError(
            "没有任何变更 / nothing changes", hint="--name, --address, --division 或 / or --products"
        )
    _apply("change", said, [_one(said)], change=becomes)


@app.command(
    epilog="Example: zhengzhao licence renew '(青)XK13-001-00001' --signed-on 2023-01-10 --signatory 李四"
)
@spread
def renew(said: Committed) -> None:
    """延续 / Apply to renew a licence, from twelve months before its end.

    Filed at least six months before it, the application counts as granted where it is not decided in time.
    """
    _apply("renew", said, [_one(said)])


@app.command(epilog="Example: zhengzhao licence reissue '(青)XK13-001-00001'")
@spread
def reissue(said: Application) -> None:
    """补发 / Apply for the same certificate again, as its next version."""
    _apply("reissue", said, [_one(said)])


@app.command(epilog="Example: zhengzhao licence surrender '(青)XK13-001-00001'")
@spread
def surrender(said: Application) -> None:
    """交回 / Give the licence back: it is cancelled. The holder may apply again."""
    _apply("surrender", said, [_one(said)])


@app.command(
    epilog="Example: zhengzhao licence merge '(青)XK13-001-00001' '(青)XK13-001-00002' --signed-on 2018-09-20 "
    "--signatory 李四"
)
@spread
def merge(said: Merging) -> None:
    """合并 / Merge licences of one item into the next version of the one issued first (一企一证)."""
    by_number = [Named(number=n) for n in (*(said.numbers or ()), *(said.number_option or ()))]
    by_case = [Named(granted_by=c) for c in said.granted_by or ()]
    names = by_number or by_case
    if (by_number and by_case) or len(names) < 2:
        raise UsageError(
            "请用同一种方式指明至少两个证照 / name at least two licences, all in the same way",
            hint="NUMBER NUMBER…，或 / or --granted-by A --granted-by B",
        )
    _apply("merge", said, names)


def _one(said: OnLicence) -> Named:
    return sending.named(said.number, said.number_option, said.granted_by)


orders_app = typer.Typer()

Ground = Annotated[str, typer.Option("--ground", help="理由 / the ground")]
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
    """The options of every order."""

    ground: Ground
    decided_on: DecidedOn = None


@dataclass(frozen=True, kw_only=True)
class LawfulOrder(Order):
    """The options of an order that names the law that it rests on."""

    legal_basis: LegalBasis = None


def _order(command: str, said: Order, **more: Any) -> None:
    licence = sending.named(said.number, said.number_option, said.granted_by)
    holder_id, urn = sending.about(licence, said.holder, said.source)
    event = agency_events.order(
        sending.sender(urn, said.at, said.event_id),
        command,
        licence,
        holder_id,
        said.ground,
        decided_on=output.read_day(said.decided_on, "--decided-on"),
        **more,
    )
    sending.finish(event, event_only=said.event_only, proof_key=said.proof_key)


@orders_app.command(
    epilog="Example: zhengzhao licence suspend '(青)XK13-001-00001' --until 2018-12-31 --ground 停业整顿"
)
@spread
def suspend(
    said: LawfulOrder,
    until: Annotated[str, typer.Option(metavar="DATE", help="最后一日 / its last day")],
) -> None:
    """暂扣 / Suspend a licence up to and including a day; a second suspension replaces the first."""
    _order("suspend", said, legal_basis=said.legal_basis, until=output.read_day(until, "--until"))


@orders_app.command(
    epilog="Example: zhengzhao licence rescind '(青)XK13-001-00001' --deceit --ground 以虚假承诺取得"
)
@spread
def rescind(
    said: LawfulOrder,
    deceit: Annotated[
        bool, typer.Option(help="以欺骗、贿赂等手段取得：三年内不得再次申请 / by deceit: bars for 3 years")
    ] = False,
) -> None:
    """撤销 / Rescind a licence that should not have been granted."""
    _order("rescind", said, legal_basis=said.legal_basis, deceit=deceit)


def _plain(command: str, text: str, ground: str) -> None:
    """Add a command that has no options but those of every order."""

    @orders_app.command(
        command,
        help=text,
        epilog=f"Example: zhengzhao licence {command} '(青)XK13-001-00001' --ground {ground}",
    )
    @spread
    def run(said: LawfulOrder) -> None:
        _order(command, said, legal_basis=said.legal_basis)


_plain("resume", "恢复 / End a suspension before its day.", "整改完毕")
_plain(
    "withdraw",
    "撤回 / Withdraw a lawful licence because law or facts have changed. The holder may apply again.",
    "法律修改",
)
_plain("revoke", "吊销 / Revoke a licence as a penalty; the holder may not apply for 3 years.", "严重违法")
_plain("cancel", "注销 / End a living licence (dissolution), or close the entry of an ended one.", "主体解散")


@orders_app.command(
    epilog="Example: zhengzhao licence annul '(青)XK13-001-00001' --ground 行政复议决定撤销原决定"
)
@spread
def annul(said: Order) -> None:
    """复议、判决 / Annul a withdrawal, rescission or revocation: the bar is lifted, the holder gets a new licence."""
    _order("annul", said)


@orders_app.command("import", epilog="Example: zhengzhao licence import old-licence.json --at 2018-01-05")
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
    """导入 / Take a licence of another system into the register, as version 0."""
    data = sending.read_json(file, "FILE", dict)
    event = agency_events.imported(sending.sender(source or _issuer(data), at, event_id), data)
    sending.finish(event, event_only=event_only, proof_key=proof_key)


def _issuer(data: dict[str, Any]) -> str:
    with output.installation() as here:
        item = here.catalogue.get(str(data.get("item")))
    holder = data.get("holder")
    division = str(holder.get("division")) if isinstance(holder, dict) else ""
    authority = issuing_authority(item, division) if item is not None else None
    if authority is None:
        raise UsageError(
            "无法确定发证机关：未找到该事项或区划 / the issuing authority is not known: no such item or division",
            where=f"item {data.get('item')}, division {division or '—'}",
            hint="zhengzhao items list，或 / or --source URN",
        )
    return authority.code
