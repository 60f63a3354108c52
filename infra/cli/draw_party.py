"""`zhengzhao draw party`: the registered parties, supervisors and timestamp authorities of draws."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

from infra.bootstrap import Installation
from infra.cli import output
from infra.cli.output import now
from issuance.certificates import Role
from issuance.foreign_keys import end_keys, enter_beacons, enter_public_key, enter_timestamp_authority
from schemas.draw import seed
from schemas.draw.encoding import is_text, read_file
from schemas.draw.public import read_beacons
from schemas.errors import DrawError, TrustError, UsageError
from schemas.trust import FOREIGN_USES, TrustKey

app = typer.Typer(
    no_args_is_help=True,
    help="登记抽查参与方、监督方与时间戳机构 / registered parties, supervisors, timestamp authorities",
    epilog="Example: zhengzhao draw party list",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="名称，同抽查计划 / the name, as plans have it")]


@app.callback()
def party() -> None:
    """登记抽查参与方与监督方 / Registered parties and supervisors of draws."""


@app.command(epilog="Example: zhengzhao draw party add discipline-inspection KEY.pem")
def add(
    name: Name,
    key: Annotated[Path, typer.Argument(metavar="KEY.pem", help="公钥（P-256）/ the public key, P-256")],
    supervisor: Annotated[
        bool, typer.Option("--supervisor", help="监督方，非参与方 / a supervisor, not a party")
    ] = False,
    timestamp: Annotated[
        bool,
        typer.Option("--timestamp", help="时间戳机构证书 / the certificate of a timestamp authority"),
    ] = False,
) -> None:
    """登记公钥 / Enter a public key into trust.json; announcements then accept no other key of that party."""
    if not is_text(name):
        raise UsageError(
            "名称不得为空或含控制字符 / the name is blank or has control characters", where="NAME"
        )
    if supervisor and timestamp:
        raise UsageError("只能指定一种 / one of them", where="--supervisor, --timestamp")
    settings, pem = output.settings(), read_file(key)
    trust = Installation(settings).trust
    if timestamp:
        entry = enter_timestamp_authority(
            settings.data,
            trust,
            name,
            _certificate(pem, key),
            now=now(),
            passphrase=settings.passphrase,
            root_passphrase=settings.root_passphrase,
        )
        _show([{"name": entry.name, "use": "timestamp", "kid": None, "state": "in force"}])
        return
    if b"PRIVATE KEY" in pem:
        raise UsageError(
            "这是私钥 / this is a private key",
            where=str(key),
            hint="openssl pkey -in KEY.pem -pubout; a private key stays with its party",
        )
    role = Role(name, name, "supervisor" if supervisor else "party")
    try:
        public = seed.public_key(pem, str(key))
    except DrawError as error:
        raise UsageError(error.message, where=str(key), hint="a P-256 public key in PEM") from None
    entered = enter_public_key(
        settings.data,
        trust,
        public,
        role,
        now=now(),
        passphrase=settings.passphrase,
        root_passphrase=settings.root_passphrase,
    )
    _show([_row(entered, datetime.now(UTC))])


@app.command("beacons", epilog="Example: zhengzhao draw party beacons beacons.json")
def beacons_(
    file: Annotated[Path, typer.Argument(metavar="BEACONS.json", help="信标（名称与参数）/ beacons by name")],
) -> None:
    """登记信标 / Put beacons.json into the trust folder, under the root's signature. It replaces the shipped list."""
    data, settings = read_file(file), output.settings()
    try:
        names = sorted(read_beacons(data))
    except TrustError as error:
        raise UsageError(error.message, where=str(file), hint="docs/draw.md") from None
    trust = Installation(settings).trust
    enter_beacons(
        settings.data,
        trust,
        data,
        now=now(),
        passphrase=settings.passphrase,
        root_passphrase=settings.root_passphrase,
    )
    _show([{"name": name, "use": "beacon", "kid": None, "state": "in force"} for name in names])


@app.command("list", epilog="Example: zhengzhao draw party list --json")
def list_() -> None:
    """列出已登记的各方 / List the registered parties, supervisors and timestamp authorities."""
    trust, at = Installation(output.settings()).trust, datetime.now(UTC)
    rows = [_row(key, at) for key in trust.listing.keys if key.use in FOREIGN_USES]
    rows += [
        {"name": entry.name, "use": "timestamp", "kid": None, "state": "in force"}
        for entry in trust.listing.timestamps
    ]
    _show(rows)


@app.command(epilog="Example: zhengzhao draw party remove discipline-inspection")
def remove(name: Name) -> None:
    """注销登记 / End the keys of a party or supervisor; earlier draws still verify."""
    settings = output.settings()
    trust = Installation(settings).trust
    ended = end_keys(
        settings.data,
        trust,
        name,
        now=now(),
        passphrase=settings.passphrase,
        root_passphrase=settings.root_passphrase,
    )
    _show([_row(key, datetime.now(UTC)) | {"state": "ended"} for key in ended])


def _certificate(pem: bytes, path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise UsageError("不是 PEM 证书 / not a certificate in PEM", where=str(path)) from None


def _row(key: TrustKey, at: datetime) -> dict[str, Any]:
    state = "in force" if key.signed_in_time(at) else "ended"
    return {"name": key.authority, "use": key.use, "kid": key.kid, "state": state}


def _show(rows: list[dict[str, Any]]) -> None:
    output.print_list(("name", "use", "kid", "state"), rows)
