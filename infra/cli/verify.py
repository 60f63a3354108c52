"""`zhengzhao verify`: the independent check of licences, offline, with a trust folder and a status list."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from infra.cli import later, output
from infra.cli.output import now, read_moment
from schemas.errors import UsageError

if TYPE_CHECKING:
    from schemas.trust import TrustStore
    from verification.verify import Verdict

app = typer.Typer()
verify_bytes = later("verification.verify:verify_bytes")
status_source = later("verification.status_sources:status_source")
seen_back = later("infra.transparency.trust_folder:seen_back")
remember_edition = later("infra.transparency.trust_folder:remember_edition")
open_proofs = later("infra.transparency.client:open_proofs")
_CODES = {"valid": 0, "invalid": 1, "unknown": 3}
_WORDS = {"valid": "有效 / valid", "invalid": "无效 / invalid", "unknown": "状态未知 / unknown"}
_SHOWN = (
    "number",
    "version",
    "status",
    "holder_name",
    "holder_id",
    "authority_name",
    "valid_from",
    "valid_until",
)
_MAX_INPUT: Final = 64 * 1024 * 1024  # bytes; the verifier refuses more than its own, smaller limit


_Files = Annotated[
    list[str],
    typer.Argument(
        help="PDF、CWT、二维码图片或文本 / PDF, CWT, QR picture (PNG, JPEG) or text, licence.json; - 标准输入 / stdin"
    ),
]
_Credential = Annotated[
    Path | None,
    typer.Option(metavar="CWT", help="凭证，配合 licence.json / the credential that goes with licence.json"),
]
_Status = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|DIR|URL",
        help="状态列表 / status list, or a folder of lists [default: those that the data folder has published]",
    ),
]
_Log = Annotated[
    str | None,
    typer.Option(
        metavar="DIR|URL|PROOF",
        help="透明日志或收录证明 / the transparency log, or a proof of it: a licence that is not in it is not valid",
    ),
]
_Timestamp = Annotated[
    Path | None,
    typer.Option(
        metavar="TSR",
        help="RFC 3161 时间戳 / timestamp over the PDF [default: the .tsr of the same name beside it]",
    ),
]


@app.command(epilog="Example: zhengzhao verify licence.pdf --at 2018-09-12T12:00:00+08:00")
def verify(
    files: _Files,
    credential: _Credential = None,
    trust: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="信任文件夹 / trust folder [default: the data folder's]"),
    ] = None,
    status: _Status = None,
    log: _Log = None,
    timestamp: _Timestamp = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="核验时间 / the moment asked for; a date means its end in China [default: now]",
        ),
    ] = None,
) -> None:
    """核验证照 / Check that a licence is genuine and was in force. Exit 0 valid, 1 invalid, 3 unknown."""
    moment = now() if at is None else read_moment(at, "--at")
    with output.installation() as here:
        store = here.read_trust(trust)
        _look_at_edition(here.settings.data, store)
        source = status_source(status) if status is not None else here.published_lists()
        beside = None if credential is None else _content(str(credential))
        proofs = None if log is None else open_proofs(log)
        codes = []
        for name in files:
            try:
                verdict: Verdict = verify_bytes(
                    _content(name),
                    name=name,
                    trust=store,
                    status=source,
                    at=moment,
                    credential=beside,
                    log=proofs,
                    timestamp=_beside(name, timestamp),
                )
            except UsageError as error:
                codes.append(output.fail(error))
                continue
            codes.append(_CODES[verdict.verdict])
            _show(verdict)
    raise typer.Exit(output.worst(codes))


def _look_at_edition(data: Path, store: TrustStore) -> None:
    """Say on standard error where the trust folder is stale today or went back, and remember its edition."""
    hint = "zhengzhao trust update URL|DIR"
    if store.listing.stale_at(now()):
        until = store.listing.fresh_until
        output.warn(f"信任目录的有效期至 {until} / the trust folder was fresh until {until}", hint)
    if said := seen_back(data, store):
        output.warn(said, hint)
    remember_edition(data, store)


def _beside(name: str, given: Path | None) -> bytes | None:
    """Return the timestamp that was given, or that lies beside a PDF; None without one."""
    beside = Path(name).with_suffix(".tsr") if name.lower().endswith(".pdf") else None
    path = given or (beside if beside is not None and beside.is_file() else None)
    return None if path is None else _content(str(path))


def _content(name: str) -> bytes:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_MAX_INPUT + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_MAX_INPUT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"无法读取 / cannot be read: {reason}", where=name, hint="检查路径 / check the path"
        ) from None
    if not data:
        raise UsageError(
            "文件为空 / the file is empty", where=name, hint="重新取得证照文件 / fetch the licence again"
        )
    return data


def _show(verdict: Verdict) -> None:
    if output.as_json():
        output.print_json(verdict.to_json())
        return
    genuine = "真 / genuine" if verdict.genuine else "非真 / not genuine"
    output.line(f"{verdict.file}: {_WORDS[verdict.verdict]} ({genuine})")
    for check in verdict.checks:
        output.line(f"  {'✓' if check.ok else '✗'} {check.name}: {check.detail}")
    if verdict.licence:
        output.print_fields((name, verdict.licence[name]) for name in _SHOWN)
