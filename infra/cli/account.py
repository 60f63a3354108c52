"""`zhengzhao account`: the people who may log in to the pages, each by a link that works once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from infra.cli import output
from infra.portal.accounts import ROLES, Account, AccountKind, Accounts
from schemas.calendar import CHINA, time_text
from schemas.errors import UsageError
from schemas.events import SOURCE
from schemas.identifiers import compare, is_citizen_id, is_uscc, mask
from schemas.persons import holder_key

app = typer.Typer(
    no_args_is_help=True,
    help="账户 / accounts of the pages",
    epilog="Example: zhengzhao account add --enterprise 9163000071040638XJ",
)
_COLUMNS = ("id", "kind", "subject", "role", "name", "state", "made_at")


@app.callback()
def account() -> None:
    """账户 / Accounts of the pages."""


@app.command(epilog="Example: zhengzhao account add --agency urn:agency:630225:service-hall --role window")
def add(
    enterprise: Annotated[str | None, typer.Option(metavar="ID", help="企业 / an enterprise's USCC")] = None,
    person: Annotated[str | None, typer.Option(metavar="ID", help="个人 / a person's citizen id")] = None,
    agency: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="机构 / urn:agency:<division>:<department>")
    ] = None,
    role: Annotated[str, typer.Option(help=f"机构人员的角色 / an officer's role: {', '.join(ROLES)}")] = "",
    name: Annotated[str, typer.Option(help="称呼 / a name to show")] = "",
    login: Annotated[
        str, typer.Option(metavar="SUBJECT", help="身份提供方的主体 / subject at the provider of [oidc]")
    ] = "",
    address: Annotated[
        str, typer.Option("--url", metavar="URL", help="服务地址 / where the service is reached")
    ] = "http://127.0.0.1:8080",
) -> None:
    """添加账户 / Add an account and print a link that logs in once, within 24 hours."""
    kind, subject, shown, number = _who(enterprise, person, agency)
    if (kind == "agency") is not (role in ROLES):
        raise UsageError(
            "机构人员须有角色，企业和个人没有 / an officer has a role, an enterprise or a person has none",
            where="--role",
            hint=", ".join(ROLES),
        )
    accounts = _accounts()
    made = accounts.add(kind, subject, shown, number, role, name.strip()[:100], login)
    link = login_link(accounts, made, address)
    if output.as_json():
        output.print_json({"link": link, **_row(made)})
    else:
        output.line(link)
        output.note("hint: 只能使用一次，24 小时内有效 / it works once, within 24 hours")


@app.command(epilog="Example: zhengzhao account link acc-1a2b3c4d5e")
def link(
    account_id: Annotated[str, typer.Argument(metavar="ID", help="账户编号 / the account's id")],
    address: Annotated[
        str, typer.Option("--url", metavar="URL", help="服务地址 / where the service is reached")
    ] = "http://127.0.0.1:8080",
) -> None:
    """新链接 / Print a further one-time link of an account."""
    accounts = _accounts()
    found = accounts.get(account_id)
    if found is None:
        raise UsageError(
            "未找到这个账户 / no such account", where=account_id[:40], hint="zhengzhao account list"
        )
    made = login_link(accounts, found, address)
    if output.as_json():
        output.print_json({"link": made, **_row(found)})
    else:
        output.line(made)


@app.command("list", epilog="Example: zhengzhao account list --json")
def list_accounts() -> None:
    """列出账户 / List the accounts, removed ones included."""
    rows = [_row(one) for one in _accounts().all()]
    output.print_list(_COLUMNS, rows)


@app.command(epilog="Example: zhengzhao account remove acc-1a2b3c4d5e")
def remove(
    account_id: Annotated[str, typer.Argument(metavar="ID", help="账户编号 / the account's id")],
) -> None:
    """移除账户 / Remove an account: its sessions, links and passkeys end at once."""
    accounts = _accounts()
    accounts.remove(account_id)
    row = next(_row(one) for one in accounts.all() if one.id == account_id)
    if output.as_json():
        output.print_json(row)
    else:
        output.print_fields(row.items())


def login_link(accounts: Accounts, made: Account, address: str) -> str:
    """Return the address of a one-time login."""
    return f"{address.rstrip('/')}/login?link={accounts.link(made)}"


def _accounts() -> Accounts:
    data = output.settings().data
    data.mkdir(parents=True, exist_ok=True)
    return Accounts(data)


def _who(enterprise: str | None, person: str | None, agency: str | None) -> tuple[AccountKind, str, str, str]:
    """Return kind, subject, what is shown of it, and the number as it is kept. Raises UsageError."""
    if sum(one is not None for one in (enterprise, person, agency)) != 1:
        raise UsageError(
            "请指明企业、个人或机构之一 / name an enterprise, a person or an agency",
            hint="--enterprise ID, --person ID, --agency SOURCE",
        )
    if agency is not None:
        if not SOURCE.fullmatch(agency):
            raise UsageError(
                "来源格式不符 / not a source", where="--agency", hint="urn:agency:630225:service-hall"
            )
        return "agency", agency, agency, ""
    if enterprise is not None:
        compared = compare(enterprise)
        if not is_uscc(compared):
            raise UsageError(
                "不是有效的统一社会信用代码 / no USCC",
                where="--enterprise",
                hint="核对号码 / check its digits",
            )
        return "enterprise", compared, compared, compared
    compared = compare(person or "")
    if not is_citizen_id(compared):
        raise UsageError(
            "不是有效的证件号码 / no citizen id", where="--person", hint="核对号码 / check its digits"
        )
    output.settings().data.mkdir(parents=True, exist_ok=True)
    with output.installation() as here:
        key = holder_key(compared, "person", here.persons)
        return "person", key, mask(compared), here.persons.seal(key, compared)


def _row(one: Account) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "subject": one.shown,
        "role": one.role or None,
        "name": one.name or None,
        "state": "in-force" if one.removed_at is None else "removed",
        "made_at": time_text(datetime.fromtimestamp(one.made_at, CHINA).replace(microsecond=0)),
    }
