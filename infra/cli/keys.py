"""`zhengzhao keys`: the keys that sign, and the trust folder against which strangers verify."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from cryptography.hazmat.primitives.hashes import SHA256

from infra.cli import later, output
from infra.cli.output import now, read_start
from infra.settings import allow_past
from schemas.errors import UsageError

if TYPE_CHECKING:
    from infra.bootstrap import Installation
    from infra.transparency.trust_folder import TrustChange
    from issuance.keys import LogTerms, TrustEdition
    from schemas.trust import TrustKey, TrustStore

app = typer.Typer(
    no_args_is_help=True,
    help="签发密钥与信任文件夹 / keys that sign, and the trust folder",
    epilog="Example: zhengzhao keys init --valid-from 2018-01-01",
)
trust_app = typer.Typer(
    no_args_is_help=True,
    help="核验者的信任目录 / the trust folder of a verifier",
    epilog="Example: zhengzhao trust update https://licences.example.cn",
)
_Trust = Annotated[
    Path | None, typer.Option(metavar="DIR", help="信任目录 / trust folder [default: the data folder's]")
]
lifetime = later("issuance.keys:Lifetime")
longest_validity = later("issuance.certificates:longest_validity")
roles_of = later("issuance.certificates:roles_of")
log_origin = later("issuance.certificates:log_origin")
log_terms = later("issuance.keys:LogTerms")
name_of = later("issuance.certificates:name_of")
make_keys = later("issuance.keys:init")
rotate_keys = later("issuance.keys:rotate")
revoke_key = later("issuance.keys:revoke")
open_edition = later("issuance.keys:open_edition")
update_trust = later("infra.transparency.trust_folder:update_trust")
trust_place = later("infra.transparency.trust_folder:trust_place")
make_intake_key = later("infra.agencies:make_intake_key")
installation_secret = later("infra.persons.keys:installation_secret")
_YEARS = (1950, 9000)  # X.509 dates begin in 1950, and a certificate must outlive signing.
_USES = ("credential", "seal", "status", "draw", "log")


@app.command(epilog="Example: zhengzhao keys init --valid-from 2018-01-01")
def init(
    valid_from: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="从何日起签发 / from when the keys sign [default: today]"),
    ] = None,
) -> None:
    """建立密钥；再次执行不改变任何内容 / Make root, issuing certificates and keys; a second time changes nothing.

    ZHENGZHAO_PASSPHRASE protects the private half, ZHENGZHAO_ROOT_PASSPHRASE the root in keys/root (without it the
    other one). Each has at least 12 characters. Take keys/root away afterwards: only new editions of trust/ need it.
    """
    moment = now()
    start = _midnight(moment) if valid_from is None else read_start(valid_from, "--valid-from")
    if not _YEARS[0] <= start.year <= _YEARS[1]:
        raise UsageError(
            f"密钥不能用这一年份 / not a year for keys: {start.year}",
            where="--valid-from",
            hint="1950–9000",
        )
    with output.installation() as here:
        life = lifetime(start, longest_validity(here.catalogue))
        made = make_keys(
            here.settings.data,
            roles_of(here.catalogue),
            life,
            now=moment,
            passphrase=here.settings.passphrase,
            root_passphrase=here.settings.root_passphrase,
            log=_log_terms(here),
        )
        installation_secret(here.settings.data)
        intake = make_intake_key(here.settings.data, here.settings.passphrase, start)
        if intake and not made:
            output.note("已补建收件密钥 / the intake key, which earlier releases did not have, was made")
        if made and start < _midnight(moment):
            allow_past(here.settings.data)
        if made and not here.settings.passphrase:
            output.warn(
                "私钥未加密 / the private keys are not encrypted",
                "在 keys init 之前设 ZHENGZHAO_PASSPHRASE / set ZHENGZHAO_PASSPHRASE before keys init",
            )
        _report(here, made)


@app.command("list", epilog="Example: zhengzhao keys list --json")
def list_keys() -> None:
    """列出密钥 / List the keys of the trust folder."""
    with output.installation() as here:
        _show(here.trust.listing.keys)


@app.command(epilog="Example: zhengzhao keys rotate --from 2023-01-01 --use seal")
def rotate(
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DATE", help="新密钥何时起签发 / from when the new keys sign [default: now]"
        ),
    ] = None,
    authority: Annotated[
        str | None, typer.Option(metavar="URN", help="只换此机关的密钥 / only keys of this authority")
    ] = None,
    use: Annotated[
        str | None,
        typer.Option(metavar="USE", help=f"只换此用途的密钥 / only keys of this use: {', '.join(_USES)}"),
    ] = None,
) -> None:
    """换发密钥，并补齐新机关的密钥 / Make new keys, also for authorities that have none yet.

    Decisions from that day on are signed with the new keys; what the old ones signed stays valid. It needs keys/root,
    and moves the root there where an earlier release left it in the keystore.
    """
    moment = now()
    begins = moment if start is None else read_start(start, "--from")
    with output.installation() as here:
        roles = [
            role
            for role in roles_of(here.catalogue)
            if authority in (None, role.authority) and use in (None, role.use)
        ]
        if not roles:
            raise UsageError(
                "没有这样的密钥 / no such keys", where="--authority, --use", hint="zhengzhao keys list"
            )
        life = lifetime(begins, longest_validity(here.catalogue))
        made = rotate_keys(
            here.settings.data,
            here.trust,
            roles,
            life,
            now=moment,
            passphrase=here.settings.passphrase,
            root_passphrase=here.settings.root_passphrase,
            log=_log_terms(here),
        )
    _show(made)


@app.command(epilog="Example: zhengzhao keys revoke 1a2b3c4d --since 2020-03-01")
def revoke(
    kid: Annotated[
        str,
        typer.Argument(metavar="KID", help="密钥编号，见 keys list / the key's id, as `keys list` shows it"),
    ],
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="自何时起不再可信 / from when on [default: now]")
    ] = None,
) -> None:
    """吊销密钥 / Revoke a key from a moment on, and make its successor.

    What it signed before still verifies; what it signs from then on does not. It needs keys/root.
    """
    moment = now()
    begins = moment if since is None else read_start(since, "--since")
    with output.installation() as here:
        known = here.trust.keys.get(kid)
        successor = revoke_key(
            here.settings.data,
            here.trust,
            kid,
            begins,
            name=name_of(here.catalogue, known.authority if known else "", begins),
            outlives=longest_validity(here.catalogue),
            now=moment,
            passphrase=here.settings.passphrase,
            root_passphrase=here.settings.root_passphrase,
            log=_log_terms(here),
        )
    _show((successor,))


@app.command(epilog="Example: zhengzhao keys refresh")
def refresh() -> None:
    """延长信任目录的有效期 / Publish the next edition of the trust folder with the same keys, fresh for another year.

    It brings witnesses of the settings in, and the list of revoked certificates (root.crl) up to date. It needs keys/root.
    """
    with output.installation() as here:
        settings = here.settings
        change: TrustEdition = open_edition(
            settings.data, here.trust, settings.passphrase, settings.root_passphrase, _log_terms(here)
        )
        change.publish(now=now(), passphrase=settings.passphrase, root_passphrase=settings.root_passphrase)
        _show_edition(here.read_trust())


@trust_app.command(epilog="Example: zhengzhao trust show --trust trust")
def show(trust: _Trust = None) -> None:
    """显示信任目录的版次、有效期与根证书指纹 / Show the edition, its freshness and the root's fingerprint."""
    with output.installation() as here:
        _show_edition(here.read_trust(trust))


@trust_app.command(epilog="Example: zhengzhao trust update https://licences.example.cn --trust trust")
def update(
    place: Annotated[
        str,
        typer.Argument(
            metavar="URL|DIR", help="发证机关的网址，或信任目录 / the office's address, or a trust folder"
        ),
    ],
    trust: _Trust = None,
    root: Annotated[
        str,
        typer.Option(metavar="SHA256", help="根证书应有的指纹 / the fingerprint that the root has to have"),
    ] = "",
) -> None:
    """更新信任目录 / Bring a trust folder to the published edition. Exit 1 where that goes back or has another root.

    The first time it takes the folder: compare the root's fingerprint with what the office says of it, or give --root.
    """
    with output.installation() as here:
        change: TrustChange = update_trust(
            trust or here.settings.trust, trust_place(place), here.read_trust, root
        )
    if output.as_json():
        output.print_json(msgspec.to_builtins(change))
        return
    shown = msgspec.to_builtins(change) | {"added": len(change.added), "revoked": ", ".join(change.revoked)}
    output.print_fields(shown.items())
    if change.state == "created" and not root:
        output.warn(
            "首次取得：请向发证机关核对根证书的 SHA-256 / the first time: compare the root's SHA-256 with the office",
            "zhengzhao trust update … --root SHA256",
        )


def _show_edition(trust: TrustStore) -> None:
    listing = trust.listing
    report = {
        "sequence": listing.sequence,
        "issued": listing.issued,
        "fresh_until": listing.fresh_until or None,
        "keys": len(listing.keys),
        "root": trust.root.fingerprint(SHA256()).hex(),
    }
    if output.as_json():
        output.print_json(report)
    else:
        output.print_fields(report.items())


def _log_terms(here: Installation) -> LogTerms:
    log = here.settings.log
    keys = tuple(str(witness.key) for witness in log.witnesses)
    terms: LogTerms = log_terms(log.origin or log_origin(here.catalogue), keys, log.needed)
    return terms


def _report(here: Installation, made: bool) -> None:
    trust = here.read_trust()
    report: dict[str, Any] = {
        "state": "created" if made else "unchanged",
        "trust": str(here.settings.trust),
        "sequence": trust.listing.sequence,
        "keys": len(trust.keys),
        "signs_from": min(key.signs_from for key in trust.listing.keys),
    }
    if output.as_json():
        output.print_json(report)
    else:
        output.print_fields(report.items())
        output.line(
            "把 trust/ 交给核验者；keys/ 与 secret/ 请备份；keys/root 移到别处保管 / give trust/ to verifiers; "
            "back up keys/ and secret/; take keys/root away to a safe place"
            if made
            else "已有密钥，未作更改 / there are keys already; nothing is changed"
        )


def _show(keys: tuple[TrustKey, ...]) -> None:
    if output.as_json():
        output.print_rows(msgspec.to_builtins(key) for key in keys)
        return
    columns = ("kid", "use", "authority", "signs_from", "signs_until", "revoked_since")
    output.print_table(columns, ([getattr(key, column) for column in columns] for key in keys))


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0)
