"""`zhengzhao token`: who may call the service of `zhengzhao run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli import output
from infra.cli.moments import now, read_start
from schemas.errors import UsageError

if TYPE_CHECKING:
    from infra.http.tokens import Token, Tokens

app = typer.Typer(
    no_args_is_help=True, help="令牌 / tokens of the HTTP service", epilog="Example: zhengzhao token list"
)
_COLUMNS = ("id", "kind", "subject", "state", "made_at", "valid_until")


@app.callback()
def group() -> None:
    """令牌 / Tokens of the HTTP service."""


@app.command(epilog="Example: zhengzhao token add --agency urn:agency:630225:service-hall")
def add(
    agency: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="机构 / an agency: urn:agency:<division>:<department>"),
    ] = None,
    enterprise: Annotated[
        str | None, typer.Option(metavar="ID", help="企业或个人 / an enterprise's USCC, or a person's number")
    ] = None,
    valid_until: Annotated[
        str, typer.Option("--valid-until", metavar="TIME", help="失效 / until [default: no end]")
    ] = "",
) -> None:
    """发放令牌 / Makes a token and prints it, once. An enterprise sees its own cases and licences only."""
    if (agency is None) is (enterprise is None):
        raise UsageError(
            "指明机构或企业 / name an agency or an enterprise", hint="--agency SOURCE, --enterprise ID"
        )
    until = read_start(valid_until, "--valid-until") if valid_until else None
    if agency is not None:
        from schemas.events import SOURCE

        if not SOURCE.fullmatch(agency):
            raise UsageError("来源不符 / no source", where="--agency", hint="urn:agency:630225:service-hall")
        secret, token = _tokens().make("agency", agency, agency, now(), until)
    else:
        key, shown = _holder(enterprise or "")
        secret, token = _tokens().make("enterprise", key, shown, now(), until)
    if output.as_json():
        output.print_json({"token": secret, **_row(token)})
    else:
        output.line(secret)
        output.note("hint: 只显示一次 / shown once; Authorization: Bearer TOKEN")


@app.command("list", epilog="Example: zhengzhao token list --json")
def list_tokens() -> None:
    """列出令牌 / Every token but its secret."""
    rows = [_row(token) for token in _tokens().all()]
    if output.as_json():
        output.print_rows(rows)
    else:
        output.print_table(_COLUMNS, [[row[c] for c in _COLUMNS] for row in rows])


@app.command(epilog="Example: zhengzhao token revoke 1a2b3c4d")
def revoke(token_id: Annotated[str, typer.Argument(metavar="ID", help="令牌编号 / the token's id")]) -> None:
    """吊销令牌 / Ends a token at once, for good."""
    row = _row(_tokens().revoke(token_id, now()))
    if output.as_json():
        output.print_json(row)
    else:
        output.print_fields(row.items())


def _tokens() -> Tokens:
    from infra.http.tokens import Tokens

    return Tokens(output.settings().data)


def _holder(number: str) -> tuple[str, str]:
    """Ledger key of a holder, and the number as it may be shown."""
    from infra.persons_store import open_persons
    from processors.route import holder_key
    from schemas.identifiers import compare, is_citizen_id, is_uscc, mask

    compared = compare(number)
    if not is_uscc(compared) and not is_citizen_id(compared):
        raise UsageError(
            "不是有效的代码或证件号 / no USCC, no citizen id",
            where="--enterprise",
            hint="核对号码 / check its digits",
        )
    settings = output.settings()
    settings.data.mkdir(parents=True, exist_ok=True)
    persons = open_persons(settings.data, settings.shared_persons)
    try:
        kind = "enterprise" if is_uscc(compared) else "person"
        key = holder_key(number, kind, persons)
    finally:
        persons.close()
    return key, compared if key == compared else mask(compared)


def _row(token: Token) -> dict[str, Any]:
    from schemas.dates import time_text

    return {
        "id": token.id,
        "kind": token.kind,
        "subject": token.shown,
        "state": "in-force" if token.good(now()) else "revoked" if token.revoked_at else "expired",
        "made_at": time_text(token.made_at),
        "valid_until": time_text(token.valid_until) if token.valid_until else None,
    }
