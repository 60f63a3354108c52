"""`zhengzhao status`: the status lists that tell strangers which licences are in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from infra.cli import output
from infra.cli.moments import read_moment
from schemas.errors import NotFound, UsageError

if TYPE_CHECKING:
    from verification.status import Candidate
    from verification.status_sources import Stored

app = typer.Typer()
_NEVER = 1 << 40  # seconds since 1970: after every edition
status = typer.Typer(
    no_args_is_help=True,
    help="状态列表 / status lists",
    epilog="Example: zhengzhao status show",
)
app.add_typer(status, name="status")


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
    from infra.engines.embedded import holding
    from infra.publishing import publish as publish_due

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
    from infra.published import published_lists
    from schemas.trust import load_trust
    from verification.published import entries, summary

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
        _show([summary(candidate, trust) for candidate in found], "")
    else:
        output.note(found[0].where)
        rows = [msgspec.to_builtins(entry) for entry in entries(found[0], trust)]
        _show(rows, "全部有效 / every licence of this list is valid")


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


def _show(rows: list[dict[str, Any]], nothing: str) -> None:
    if output.as_json():
        output.print_rows(rows)
    elif rows:
        output.print_table(list(rows[0]), (list(row.values()) for row in rows))
    else:
        output.line(nothing)
