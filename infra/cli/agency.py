"""`zhengzhao agency`: the register of the agencies that sign their events, and keys for them.

`zhengzhao token`: access to the service of `zhengzhao run`.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.agencies import change_register, load_register
from infra.bootstrap import event_signer
from infra.cli import output
from infra.cli.output import now, read_start
from infra.http.callers import Token, Tokens
from producers.files import read_events
from schemas.agencies import Agency, AgencyKey, public_key, public_pem, with_key, with_revocation
from schemas.calendar import time_text
from schemas.errors import Rejected, UsageError
from schemas.events import SOURCE
from schemas.identifiers import compare, is_citizen_id, is_uscc, mask
from schemas.persons import holder_key
from schemas.trust import key_id

app = typer.Typer(
    no_args_is_help=True, help="机构登记 / the agency register", epilog="Example: zhengzhao agency list"
)
_COLUMNS = ("source", "kid", "state", "valid_from", "valid_until")


@app.callback()
def group() -> None:
    """机构登记 / The agency register: the keys that sign the events of each source."""


@app.command(epilog="Example: zhengzhao agency keygen -o agency.pem")
def keygen(
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="KEY.pem", help="私钥文件，不覆盖 / never overwritten")
    ],
) -> None:
    """生成机构密钥 / Make a P-256 key: the private half for the agency, KEY.pub.pem for `agency add`."""

    key = ec.generate_private_key(ec.SECP256R1())
    public = target.with_suffix(".pub.pem")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_new(target, private, 0o600)
    _write_new(public, public_pem(key.public_key()).encode(), 0o644)
    kid = key_id(key.public_key())
    if output.as_json():
        output.print_json({"kid": kid, "private": str(target), "public": str(public)})
        return
    output.print_fields([("kid", kid), ("private", target), ("public", public)])
    output.note(f"hint: zhengzhao agency add urn:agency:<division>:<department> {public}")


@app.command(epilog="Example: zhengzhao agency add urn:agency:630000:market-regulation agency.pub.pem")
def add(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="urn:agency:<division>:<department>")],
    public: Annotated[Path, typer.Argument(metavar="PUBLIC.pem", help="机构公钥 / its public key")],
    name: Annotated[str, typer.Option(help="机构名称 / the agency's name")] = "",
    valid_from: Annotated[
        str, typer.Option("--valid-from", metavar="TIME", help="生效 / in force from [default: now]")
    ] = "",
    valid_until: Annotated[
        str, typer.Option("--valid-until", metavar="TIME", help="失效 / until [default: no end]")
    ] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="旧密钥继续有效 / the agency's other keys stay in force")
    ] = False,
) -> None:
    """登记密钥 / Register a key of an agency; it replaces the ones before, unless `--keep` is given."""

    start = read_start(valid_from, "--valid-from") if valid_from else now()
    end = read_start(valid_until, "--valid-until") if valid_until else None
    if end is not None and end <= start:
        raise UsageError(
            "失效时间不晚于生效时间 / it ends before it begins",
            where="--valid-until",
            hint="填写更晚的时间 / give a later time",
        )
    pem, loaded = _public(public)
    key = AgencyKey(key_id(loaded), pem, start, end)
    change_register(
        output.settings().data, lambda register: with_key(register, source, key, name=name, replace=not keep)
    )
    _print(source, key, now())


@app.command(epilog="Example: zhengzhao agency revoke 1a2b3c4d --reason 'key lost'")
def revoke(
    kid: Annotated[str, typer.Argument(metavar="KID", help="密钥编号 / the key's id")],
    reason: Annotated[str, typer.Option(help="原因 / the reason")] = "",
) -> None:
    """吊销密钥 / Revoke a key: from now on nothing that it signed is accepted."""

    moment = now()
    register = change_register(
        output.settings().data, lambda register: with_revocation(register, kid, moment, reason)
    )
    found = register.owner(kid)
    assert found is not None  # It has just been revoked.
    _print(found[0].source, found[1], moment)


@app.command(epilog="Example: zhengzhao agency sign agency.pem events.jsonl > signed.jsonl")
def sign(
    key: Annotated[Path, typer.Argument(metavar="KEY.pem", help="机构私钥 / the agency's private key")],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="一个事件，或每行一个 / an event, or one a line; - 标准输入 / standard input"
        ),
    ] = "-",
) -> None:
    """签署事件 / Print events with the agency's proof in them, to be sent by other means (curl, Kafka)."""

    signer, found = event_signer(key), False
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as source:
            for text in read_events(source, file):
                found = True
                try:
                    output.line(signer(text.raw).decode("utf-8"))
                except Rejected as error:
                    where = f"{file}:{text.number}"
                    raise UsageError(str(error), where=where, hint=error.hint) from None
    except OSError as error:
        raise UsageError(f"无法读取 / cannot be read: {error.strerror}", where=file, hint="FILE") from None
    if not found:
        raise UsageError("文件是空的 / the file is empty", where=file, hint="一个事件 / an event")


@app.command("list", epilog="Example: zhengzhao agency list --json")
def list_agencies() -> None:
    """列出机构与密钥 / List every key of every agency and its state today."""

    moment = now()
    rows = [
        _row(agency, key, moment)
        for agency in load_register(output.settings().data).agencies
        for key in agency.keys
    ]
    if output.as_json():
        output.print_rows(rows)
        return
    output.print_table(_COLUMNS, [[row[c] for c in _COLUMNS] for row in rows])
    if not output.settings().require_proof:
        output.warn("require_proof 未启用 / require_proof is off", "require_proof = true in settings.toml")


def _row(agency: Agency, key: AgencyKey, moment: datetime) -> dict[str, Any]:
    return {"source": agency.source, "name": agency.name, **_shown(key, moment)}


def _shown(key: AgencyKey, moment: datetime) -> dict[str, Any]:

    return {
        "kid": key.kid,
        "state": _state(key, moment),
        "valid_from": time_text(key.valid_from),
        "valid_until": time_text(key.valid_until) if key.valid_until else None,
        "replaced_by": key.replaced_by,
        "revoked_at": time_text(key.revoked_at) if key.revoked_at else None,
        "reason": key.reason or None,
    }


def _state(key: AgencyKey, moment: datetime) -> str:
    if key.revoked_at is not None and moment >= key.revoked_at:
        return "revoked"
    if key.replaced_at is not None and moment >= key.replaced_at:
        return "replaced"
    if moment < key.valid_from:
        return "pending"
    return "expired" if key.valid_until is not None and moment >= key.valid_until else "in-force"


def _print(source: str, key: AgencyKey, moment: datetime) -> None:
    row = {"source": source, **_shown(key, moment)}
    if output.as_json():
        output.print_json(row)
    else:
        output.print_fields((name, value) for name, value in row.items() if value is not None)


def _public(path: Path) -> tuple[str, ec.EllipticCurvePublicKey]:
    """Read a public key's PEM. A private one is refused, since it belongs to the agency alone."""

    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no PEM"
        raise UsageError(f"无法读取 / cannot be read: {reason}", where=str(path), hint="PUBLIC.pem") from None
    if "PRIVATE KEY" in text:
        raise UsageError(
            "这是私钥 / this is a private key",
            where=str(path),
            hint="登记 .pub.pem；私钥只留在机构 / register the .pub.pem; the private key stays with the agency",
        )
    key = public_key(text)
    return public_pem(key), key


def _write_new(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise UsageError(
            f"无法写入 / cannot be written: {error.strerror}",
            where=str(path),
            hint="密钥从不覆盖，另取文件名 / keys are never overwritten; choose another name",
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


token_app = typer.Typer(
    no_args_is_help=True, help="令牌 / tokens of the HTTP service", epilog="Example: zhengzhao token list"
)
_TOKEN_COLUMNS = ("id", "kind", "subject", "state", "made_at", "valid_until")


@token_app.callback()
def token_group() -> None:
    """令牌 / Tokens of the HTTP service."""


@token_app.command("add", epilog="Example: zhengzhao token add --agency urn:agency:630225:service-hall")
def add_token(
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
    """发放令牌 / Make a token and print it, once. An enterprise sees only its own cases and licences."""
    if (agency is None) is (enterprise is None):
        raise UsageError(
            "请指明机构或企业 / name an agency or an enterprise", hint="--agency SOURCE, --enterprise ID"
        )
    until = read_start(valid_until, "--valid-until") if valid_until else None
    if agency is not None:
        if not SOURCE.fullmatch(agency):
            raise UsageError(
                "来源格式不符 / not a source", where="--agency", hint="urn:agency:630225:service-hall"
            )
        secret, token = _tokens().make("agency", agency, agency, now(), until)
    else:
        key, shown = _holder(enterprise or "")
        secret, token = _tokens().make("enterprise", key, shown, now(), until)
    if output.as_json():
        output.print_json({"token": secret, **_token_row(token)})
    else:
        output.line(secret)
        output.note("hint: 只显示一次 / shown once; Authorization: Bearer TOKEN")


@token_app.command("list", epilog="Example: zhengzhao token list --json")
def list_tokens() -> None:
    """列出令牌 / List the tokens, without their secrets."""
    rows = [_token_row(token) for token in _tokens().all()]
    output.print_list(_TOKEN_COLUMNS, rows)


@token_app.command("revoke", epilog="Example: zhengzhao token revoke 1a2b3c4d")
def revoke_token(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="令牌编号 / the token's id")],
) -> None:
    """吊销令牌 / End a token at once, for good."""
    row = _token_row(_tokens().revoke(token_id, now()))
    if output.as_json():
        output.print_json(row)
    else:
        output.print_fields(row.items())


def _tokens() -> Tokens:

    return Tokens(output.settings().data)


def _holder(number: str) -> tuple[str, str]:
    """Return the ledger key of a holder, and the number as it may be shown."""

    compared = compare(number)
    if not is_uscc(compared) and not is_citizen_id(compared):
        raise UsageError(
            "不是有效的信用代码或证件号码 / neither a USCC nor a citizen id",
            where="--enterprise",
            hint="核对号码 / check its digits",
        )
    output.settings().data.mkdir(parents=True, exist_ok=True)
    with output.installation() as here:
        key = holder_key(number, "enterprise" if is_uscc(compared) else "person", here.persons)
    return key, compared if key == compared else mask(compared)


def _token_row(token: Token) -> dict[str, Any]:

    return {
        "id": token.id,
        "kind": token.kind,
        "subject": token.shown,
        "state": "in-force" if token.good(now()) else "revoked" if token.revoked_at else "expired",
        "made_at": time_text(token.made_at),
        "valid_until": time_text(token.valid_until) if token.valid_until else None,
    }
