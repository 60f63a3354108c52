"""`zhengzhao keys`: the keys that sign, and the trust folder that tells strangers whom to believe."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli import output
from infra.cli.output import now, read_start
from schemas.errors import UsageError

if TYPE_CHECKING:
    from schemas.trust import TrustKey

app = typer.Typer(
    no_args_is_help=True,
    help="签发密钥与信任文件夹 / keys that sign, and the trust folder",
    epilog="Example: zhengzhao keys init --valid-from 2018-01-01",
)
_YEARS = (1950, 9000)  # certificates know no earlier ones, and must outlive signing
_USES = ("credential", "seal", "status", "draw")


@app.command(epilog="Example: zhengzhao keys init --valid-from 2018-01-01")
def init(
    valid_from: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="从何日起签发 / from when the keys sign [default: today]"),
    ] = None,
) -> None:
    """建立根证书、签发证书与密钥；再次执行不改变任何内容 / Root, certificates and keys; again: changes nothing.

    ZHENGZHAO_PASSPHRASE protects the private half.
    """
    from infra.persons.keys import installation_secret
    from issuance import keys
    from issuance.keys import longest_validity, roles_of
    from schemas.items import load_catalogue

    settings, moment = output.settings(), now()
    start = _midnight(moment) if valid_from is None else read_start(valid_from, "--valid-from")
    if not _YEARS[0] <= start.year <= _YEARS[1]:
        raise UsageError(
            f"年份不可用于密钥 / no year for keys: {start.year}",
            where="--valid-from",
            hint="from 1950 to 9000",
        )
    catalogue = load_catalogue(settings.items)
    life = keys.Lifetime(start, longest_validity(catalogue))
    made = keys.init(settings.data, roles_of(catalogue), life, now=moment, passphrase=settings.passphrase)
    installation_secret(settings.data)
    if made and not settings.passphrase:
        output.warn("the private keys are not encrypted", "set ZHENGZHAO_PASSPHRASE before keys init")
    _report("created" if made else "unchanged", made)


@app.command("list", epilog="Example: zhengzhao keys list --json")
def list_keys() -> None:
    """列出密钥 / The keys of the trust folder."""
    from schemas.trust import load_trust

    _show(load_trust(output.settings().trust).listing.keys)


@app.command(epilog="Example: zhengzhao keys rotate --from 2023-01-01 --use seal")
def rotate(
    start: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="from when the new keys sign [default: now]")
    ] = None,
    authority: Annotated[str | None, typer.Option(metavar="URN", help="only keys of this authority")] = None,
    use: Annotated[str | None, typer.Option(metavar="USE", help=f"only one of: {', '.join(_USES)}")] = None,
) -> None:
    """换发密钥，并补齐新机构的密钥 / New keys; also for authorities that have none yet.

    Decisions from that day on are signed with the new keys; what the old ones signed stays good.
    """
    from issuance import keys
    from issuance.keys import longest_validity, roles_of
    from schemas.items import load_catalogue

    settings, moment = output.settings(), now()
    catalogue = load_catalogue(settings.items)
    roles = [
        role
        for role in roles_of(catalogue)
        if authority in (None, role.authority) and use in (None, role.use)
    ]
    if not roles:
        raise UsageError(
            "没有这样的密钥 / no such keys", where="--authority, --use", hint="zhengzhao keys list"
        )
    life = keys.Lifetime(
        moment if start is None else read_start(start, "--from"), longest_validity(catalogue)
    )
    made = keys.rotate(settings.data, roles, life, now=moment, passphrase=settings.passphrase)
    _show(made)


@app.command(epilog="Example: zhengzhao keys revoke 1a2b3c4d --since 2020-03-01")
def revoke(
    kid: Annotated[str, typer.Argument(metavar="KID", help="the key's id, as `keys list` shows it")],
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="自何时起不再可信 / from when on [default: now]")
    ] = None,
) -> None:
    """吊销密钥 / Revokes a key from a moment on, and makes its successor.

    What it signed before still verifies; what it signs from then on does not.
    """
    from issuance import keys
    from issuance.keys import longest_validity, name_of
    from schemas.items import load_catalogue
    from schemas.trust import load_trust

    settings, moment = output.settings(), now()
    known = load_trust(settings.trust).keys.get(kid)
    successor = keys.revoke(
        settings.data,
        kid,
        moment if since is None else read_start(since, "--since"),
        name=name_of(known.authority if known else ""),
        outlives=longest_validity(load_catalogue(settings.items)),
        now=moment,
        passphrase=settings.passphrase,
    )
    _show((successor,))


def _report(state: str, made: bool) -> None:
    from schemas.trust import load_trust

    settings = output.settings()
    trust = load_trust(settings.trust)
    report: dict[str, Any] = {
        "state": state,
        "trust": str(settings.trust),
        "sequence": trust.listing.sequence,
        "keys": len(trust.keys),
        "signs_from": min(key.signs_from for key in trust.listing.keys),
    }
    if output.as_json():
        output.print_json(report)
    else:
        output.print_fields(report.items())
        output.line(
            "把 trust/ 交给核验者；keys/ 与 secret/ 请备份 / give trust/ to verifiers; back up keys/ and secret/"
            if made
            else "已有密钥，未作更改 / there are keys already; nothing was changed"
        )


def _show(keys: tuple[TrustKey, ...]) -> None:
    if output.as_json():
        import msgspec

        output.print_rows(msgspec.to_builtins(key) for key in keys)
        return
    columns = ("kid", "use", "authority", "signs_from", "signs_until", "revoked_since")
    output.print_table(columns, ([getattr(key, column) for column in columns] for key in keys))


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0)
