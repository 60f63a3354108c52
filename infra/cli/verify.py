"""`zhengzhao verify`: the independent check of licences, offline, from a trust folder and a status list.

`zhengzhao status`: the status lists that tell strangers which licences are in force.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from infra.cli import output
from infra.cli.output import now, read_moment
from schemas.errors import NotFound, UsageError

if TYPE_CHECKING:
    from verification.verify import Verdict

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
    from infra.stores.uploads import published_lists
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


if TYPE_CHECKING:
    from verification.status import Candidate
    from verification.status_sources import Stored

status_app = typer.Typer()
_NEVER = 1 << 40  # seconds since 1970: after every edition
status = typer.Typer(
    no_args_is_help=True,
    help="状态列表 / status lists",
    epilog="Example: zhengzhao status show",
)
status_app.add_typer(status, name="status")


@status.command(epilog="Example: zhengzhao status publish")
def publish() -> None:
    """发布有变化的状态列表 / Publishes the lists that changed, or whose last edition is a day old.

    `drain` and `tick` do so by themselves.
    """
    settings = output.settings()
    if settings.on_kafka:
        raise UsageError(
            "在 Kafka 上由 worker 发布 / on Kafka the workers publish", hint="zhengzhao tick wakes them"
        )
    from infra.embedded.engine import holding
    from infra.embedded.status import publish as publish_due

    with holding(settings, "status publish", say=output.note) as engine:
        clock = engine.clock()
        keys = publish_due(engine.db, engine.store, engine.trust, engine.signer, clock) if clock else []
    if output.as_json():
        output.print_rows({"key": key} for key in keys)
    else:
        for key in keys:
            output.line(key)
        output.note(f"{len(keys)} lists published / 已发布 {len(keys)} 份")


@status.command(epilog="Example: zhengzhao status show 630000-1 --at 2018-09-12T12:00:00+08:00")
def show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="LIST", help="name of a list; without one: the latest edition of each"),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="the edition in force at that time [default: the latest]"),
    ] = None,
    editions: Annotated[bool, typer.Option("--editions", help="every edition")] = False,
) -> None:
    """显示已发布的列表 / What is published: editions, or one list's places that are not valid."""
    from infra.stores.uploads import published_lists
    from schemas.trust import load_trust
    from verification.status import entries, summary

    settings = output.settings()
    trust = load_trust(settings.trust)
    moment = _NEVER if at is None else int(read_moment(at, "--at").timestamp())
    found = _editions(published_lists(settings), name, moment, every=editions)
    if not found:
        raise NotFound(
            f"no edition of {name or 'any list'} is published / 没有已发布的状态列表",
            hint="zhengzhao drain publishes them",
        )
    if name is None or editions:
        _show_status([summary(candidate, trust) for candidate in found], "")
    else:
        output.note(found[0].where)
        rows = [msgspec.to_builtins(entry) for entry in entries(found[0], trust)]
        _show_status(rows, "全部有效 / every licence of this list is valid")


def _editions(stored: Stored | None, name: str | None, at: int, *, every: bool) -> list[Candidate]:
    from schemas.status_list import read_edition_name
    from verification.status_sources import latest

    found = []
    for each in [] if stored is None else stored.names() if name is None else [name]:
        assert stored is not None  # else there was nothing to go through
        names = stored.editions(each)
        chosen = sorted(filter(None, map(read_edition_name, names))) if every else [latest(names, at)]
        found += [
            stored.candidate(each, edition) for edition in chosen if edition and edition.issued_at <= at
        ]
    return found


def _show_status(rows: list[dict[str, Any]], nothing: str) -> None:
    if output.as_json():
        output.print_rows(rows)
    elif rows:
        output.print_table(list(rows[0]), (list(row.values()) for row in rows))
    else:
        output.line(nothing)
