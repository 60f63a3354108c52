"""`zhengzhao verify`: the independent check of licences, offline, from a trust folder and a status list."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli import output
from infra.cli.moments import now, read_moment
from schemas.errors import UsageError

if TYPE_CHECKING:
    from verification.verdict import Verdict

app = typer.Typer()
_CODES = {"valid": 0, "invalid": 1, "unknown": 3}
_WORDS = {"valid": "有效 / valid", "invalid": "无效 / invalid", "unknown": "状态未知 / unknown"}


@app.command(epilog="Example: zhengzhao verify licence.pdf --at 2018-09-12T12:00:00+08:00")
def verify(
    files: Annotated[
        list[str],
        typer.Argument(
            help="PDF, CWT, QR 图片或文本 / PDF, CWT, QR picture (PNG, JPEG) or text, licence.json; - for stdin"
        ),
    ],
    credential: Annotated[
        Path | None,
        typer.Option(
            metavar="CWT", help="凭证，配合 licence.json / the credential that goes with licence.json"
        ),
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(metavar="DIR", help="trust folder [default: the data folder's]")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|DIR|URL",
            help="status list, or a folder of lists [default: those that the data folder has published]",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="核验时间 / the moment asked for; a date means its end in China [default: now]",
        ),
    ] = None,
) -> None:
    """核验证照 / Is this a genuine licence, and was it in force? Exit 0 valid, 1 invalid, 3 unknown."""
    from infra.published import published_lists
    from schemas.trust import load_trust
    from verification.status_sources import status_source
    from verification.verify import verify_bytes

    moment = now() if at is None else read_moment(at, "--at")
    store = load_trust(trust or output.settings().trust)
    source = status_source(status) if status is not None else published_lists(output.settings())
    proof = None if credential is None else _content(str(credential))
    codes = []
    for name in files:
        try:
            verdict = verify_bytes(
                _content(name), name=name, trust=store, status=source, at=moment, credential=proof
            )
        except UsageError as error:
            codes.append(output.fail(error))
            continue
        codes.append(_CODES[verdict.verdict])
        _show(verdict)
    raise typer.Exit(output.worst(codes))


def _content(name: str) -> bytes:
    from verification.verify import MAX_INPUT

    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_INPUT + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MAX_INPUT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"cannot be read: {reason} / 无法读取", where=name, hint="check the path") from None
    if not data:
        raise UsageError("the file is empty / 文件为空", where=name, hint="a licence has more than no bytes")
    return data


def _show(verdict: Verdict) -> None:
    if output.as_json():
        output.print_json(verdict.to_json())
        return
    genuine = "真 / genuine" if verdict.genuine else "非真 / not genuine"
    output.line(f"{verdict.file}: {_WORDS[verdict.verdict]} ({genuine})")
    for check in verdict.checks:
        output.line(f"  {'✓' if check.ok else '✗'} {check.name}: {check.detail}")
    shown = (
        "number",
        "version",
        "status",
        "holder_name",
        "holder_id",
        "authority_name",
        "valid_from",
        "valid_until",
    )
    if verdict.licence:
        output.print_fields((name, verdict.licence[name]) for name in shown)
