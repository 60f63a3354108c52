"""The steps of a draw's parties and of the supervisor: commit, reveal, open. All print JSON, to be saved."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import UNSET, UnsetType

from infra.bootstrap import Installation
from infra.cli import output
from infra.cli.output import now
from infra.draw import files
from infra.draw.files import MEMORY_FILE, Secret, remembering, write_whole
from schemas.draw import seed
from schemas.draw.documents import Announcement, Commitment, Deposit
from schemas.draw.encoding import is_text, parse_json, read_file
from schemas.draw.plan import moment
from schemas.draw.public import quicknet
from schemas.errors import DrawError, UsageError

app = typer.Typer()


@app.command(
    epilog="Example: zhengzhao draw commit --party discipline-inspection -o SECRET.json > COMMITMENT.json"
)
def commit(
    party: Annotated[
        str, typer.Option(metavar="NAME", help="本方名称，同抽查计划 / the party, as in the plan")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="SECRET.json", help="秘密，勿外传 / keep it to yourself")
    ],
    key: Annotated[
        Path | None,
        typer.Option(metavar="PARTY-KEY.pem", help="本方私钥 / your P-256 key [default: a fresh one]"),
    ] = None,
    deposit: Annotated[
        Path | None,
        typer.Option(metavar="SUPERVISOR.pem", help="监督方公钥 / seal a copy to this supervisor's key"),
    ] = None,
) -> None:
    """承诺：生成秘密并公布其摘要 / Make a secret and commit to it by its SHA-256. Prints the commitment."""
    if not is_text(party):
        raise UsageError(
            "参与方名称不得含控制字符 / a party has a name without control characters", where="--party"
        )
    if os.path.lexists(out):
        raise UsageError(
            "文件已存在，秘密文件不予覆盖 / the file exists; a secret is never overwritten",
            where=str(out),
        )
    own = seed.private_key(read_file(key), str(key)) if key else ec.generate_private_key(ec.SECP256R1())
    supervisor = seed.public_pem(seed.public_key(read_file(deposit), str(deposit))) if deposit else None
    made = secrets.token_bytes(seed.SECRET_BYTES)
    sealed = seed.deposit(made, party, supervisor) if supervisor else UNSET
    promise = Commitment(party, seed.commitment_of(made), seed.public_pem(own.public_key()), sealed)
    kept = Secret(party, made.hex(), promise.commitment, seed.private_pem(own), deposit=sealed or None)
    _write_new(out, msgspec.json.encode(kept))
    output.print_json(msgspec.to_builtins(promise))


@app.command(epilog="Example: zhengzhao draw seal SECRET.json --round 38000000 > COMMITMENT.json")
def seal(
    secret: Annotated[Path, typer.Argument(metavar="SECRET.json", help="本方秘密 / your secret")],
    round_: Annotated[
        int, typer.Option("--round", min=1, metavar="N", help="quicknet 轮次 / a round of quicknet")
    ],
) -> None:
    """按轮次封存 / Seal the secret to a round of drand's quicknet, as a deposit. Prints the commitment.

    Nobody can open it before the round exists, and nobody can stay silent after it. The library (bittensor-drand) is
    unaudited.
    """
    kept = files.secret(secret)
    if (
        isinstance(kept.deposit, Deposit)
        or kept.revealed is not UNSET
        or isinstance(kept.private_key, UnsetType)
    ):
        raise DrawError(
            "该秘密已托管或已公开 / the secret was deposited or revealed already", where=str(secret),
            hint="zhengzhao draw commit, without --deposit",
        )  # fmt: skip
    if (at := quicknet().time_of(round_)) <= now():
        raise DrawError(
            f"第 {round_} 轮已产生，封存即公开 / round {round_} exists since {at.isoformat()}: everybody could open it",
            where="--round",
            hint="a round after `reveal_by`, within the period",
        )
    sealed = seed.seal_to_round(_bytes(kept.secret, secret), round_)
    own = seed.private_key(kept.private_key, str(secret))
    write_whole(secret, msgspec.json.encode(msgspec.structs.replace(kept, deposit=sealed)), private=True)
    promise = Commitment(kept.party, kept.commitment, seed.public_pem(own.public_key()), sealed)
    output.print_json(msgspec.to_builtins(promise))


TrustFolder = Annotated[
    Path | None,
    typer.Option("--trust", metavar="DIR", help="信任文件夹 / trust folder [default: the data folder's]"),
]
MemoryFile = Annotated[
    Path | None,
    typer.Option(
        "--memory",
        metavar="FILE",
        help=f"已签公告的记忆 / announcements signed before [default: {MEMORY_FILE} beside the secret or key]",
    ),
]


@app.command(
    epilog="Example: zhengzhao draw reveal SECRET.json --announcement ANNOUNCEMENT.json > REVEAL.json"
)
def reveal(
    secret: Annotated[Path, typer.Argument(metavar="SECRET.json", help="本方秘密 / your secret")],
    announcement: Annotated[
        Path, typer.Option(metavar="ANNOUNCEMENT.json", help="已发布的公告 / as published")
    ],
    trust: TrustFolder = None,
    memory: MemoryFile = None,
) -> None:
    """公开秘密，仅用于该公告 / Reveal a secret for this one announcement, and sign that. Prints the reveal.

    Refused without a good signature of the authority, after `reveal_by`, and for a fork of the authority's chain.
    SECRET.json remembers the announcement, so that no second one can be signed with the same secret.
    """
    kept = files.secret(secret)
    announced = _genuine(announcement, trust)
    commitment = _commitment(announced, kept.party)
    if isinstance(kept.private_key, UnsetType):
        raise UsageError(
            "秘密文件中没有私钥 / the secret has no private key",
            where=str(secret),
            hint="zhengzhao draw commit --key",
        )
    if isinstance(kept.revealed, str) and kept.revealed != announced.digest:
        raise DrawError(
            f"该秘密已用于另一公告 / this secret was revealed for another announcement ({kept.revealed})",
            where=str(secret),
            hint="do not sign; ask why there are two announcements, and tell the other parties",
        )
    key = seed.private_key(kept.private_key, str(secret))
    if seed.public_pem(key.public_key()) != seed.public_pem(seed.public_key(commitment.key)):
        raise DrawError(
            f"密钥与公告中的不符 / the key of {kept.party} is not the one in the announcement",
            where=str(secret),
        )
    if not isinstance(kept.deposit, UnsetType) and (kept.deposit or UNSET) != commitment.deposit:
        raise DrawError(
            f"托管与公告中的不符 / the deposit of {kept.party} is not the one in the announcement",
            where=str(secret),
        )
    shown = seed.reveal(_bytes(kept.secret, secret), commitment, announced, key, opened=False)
    with remembering(memory or secret.with_name(MEMORY_FILE), announced):
        if isinstance(kept.revealed, UnsetType):
            marked = msgspec.structs.replace(kept, revealed=announced.digest)
            write_whole(secret, msgspec.json.encode(marked), private=True)
    output.print_json(msgspec.to_builtins(shown))


@app.command(
    "open",
    epilog="Example: zhengzhao draw open ANNOUNCEMENT.json --party NAME --key SUPERVISOR-KEY.pem > REVEAL.json",
)
def open_(
    announcement: Annotated[
        Path, typer.Argument(metavar="ANNOUNCEMENT.json", help="公告 / the announcement")
    ],
    party: Annotated[str, typer.Option(metavar="NAME", help="未公开的一方 / who stays silent")],
    key: Annotated[
        Path | None, typer.Option(metavar="SUPERVISOR-KEY.pem", help="监督方私钥 / the supervisor's key")
    ] = None,
    round_: Annotated[
        str | None,
        typer.Option("--round", metavar="FILE|TEXT", help="封存所指轮次 / the round to which it was sealed"),
    ] = None,
    trust: TrustFolder = None,
    memory: MemoryFile = None,
) -> None:
    """代为公开 / Open the deposit of a party that stays silent, as its supervisor. Prints the reveal.

    What was sealed to a round of a beacon everybody opens with `--round`, once the round exists.
    Refused without a good signature of the authority; a supervisor is refused after `reveal_by` too, and for a fork of
    the authority's chain.
    """
    announced = _genuine(announcement, trust, sealed=round_ is not None)
    commitment = _commitment(announced, party)
    if round_ is not None:
        opened = seed.open_sealed(commitment, _signature(files.text_or_file(round_)))
        output.print_json(msgspec.to_builtins(opened))
        return
    if key is None:
        raise UsageError(
            "请给出监督方私钥或轮次 / the supervisor's key or a round is needed", where="--key, --round"
        )
    supervisor = seed.private_key(read_file(key), str(key))
    made = seed.open_deposit(commitment, supervisor)
    shown = seed.reveal(made, commitment, announced, supervisor, opened=True)
    with remembering(memory or key.with_name(MEMORY_FILE), announced):
        pass
    output.print_json(msgspec.to_builtins(shown))


def _signature(shown: str) -> str:
    """Return the signature (hex) of a round, given as drand's HTTP API gives it or as the signature alone."""
    if not shown.startswith("{"):
        return shown.lower()
    found = parse_json(shown.encode(), "--round")
    return str(found.get("signature", "")).lower()


def _genuine(path: Path, trust: Path | None, *, sealed: bool = False) -> Announcement:
    """Read an announcement that a draw key of its authority signed and whose `reveal_by` is not past.

    What is `sealed` to a round opens after that time. Raise DrawError otherwise, TrustError where there is no trust
    folder.
    """
    store = Installation(output.settings()).read_trust(trust)
    announced = files.announcement(path)
    seed.check_signature(announced.signature, announced.to_be_signed, announced.plan.authority, store)
    by = announced.plan.seed.reveal_by
    if not sealed and isinstance(by, str) and moment(by, "seed.reveal_by") < now():
        raise DrawError(
            f"公开截止时间已过 / the time for revealing is past ({by})",
            where=str(path),
            hint="the authority voids the announcement: zhengzhao draw void",
        )
    return announced


def _commitment(announced: Announcement, party: str) -> Commitment:
    for commitment in announced.commitments:
        if commitment.party == party:
            return commitment
    raise DrawError(f"不是该公告的参与方 / {party} is not a party of this announcement")


def _bytes(text: str, where: Path) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError("秘密不是十六进制 / the secret is not hexadecimal", where=str(where)) from None


def _write_new(path: Path, data: bytes) -> None:
    """Write a private file that must not exist yet."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise UsageError(
            "文件已存在，秘密文件不予覆盖 / the file exists; a secret is never overwritten", where=str(path)
        ) from None
