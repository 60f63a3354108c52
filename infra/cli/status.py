"""`zhengzhao status`: the published status lists, which tell strangers which licences are in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from infra.cli import output
from infra.cli.output import read_moment
from schemas.errors import NotFound
from schemas.status_list import read_edition_name
from verification.status import Candidate, entries, summary
from verification.status_sources import latest

if TYPE_CHECKING:
    from verification.status_sources import Stored

app = typer.Typer(
    no_args_is_help=True, help="状态列表 / status lists", epilog="Example: zhengzhao status show"
)
_NEVER: Final = 1 << 40  # seconds since 1970: after every edition


@app.command(epilog="Example: zhengzhao status publish")
def publish() -> None:
    """发布有变化的状态列表 / Publish the lists that changed, or whose last edition is a day old.

    `drain` and `tick` do so as well.
    """
    with output.installation() as here:
        here.require_one_machine(
            "在 Kafka 上由工作进程发布 / on Kafka the workers publish",
            "zhengzhao tick 使其发布 / makes them publish",
        )
        keys = here.publish_status_lists(output.note)
    if output.as_json():
        output.print_rows({"key": key} for key in keys)
        return
    for key in keys:
        output.line(key)
    output.note(f"已发布 {len(keys)} 份 / {len(keys)} lists published")


@app.command(epilog="Example: zhengzhao status show 630000-1 --at 2018-09-12T12:00:00+08:00")
def show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="LIST", help="列表名 / name of a list [default: the latest edition of each]"),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="当时有效的版次 / the edition in force then [default: the latest]"),
    ] = None,
    editions: Annotated[bool, typer.Option("--editions", help="全部版次 / every edition")] = False,
) -> None:
    """显示已发布的列表 / Show editions, or the entries of one list that are not valid."""
    moment = _NEVER if at is None else int(read_moment(at, "--at").timestamp())
    with output.installation() as here:
        found = _editions(here.published_lists(), name, moment, every=editions)
        trust, waits = here.trust, here.next_step()
    if not found:
        raise NotFound(
            "没有已发布的状态列表 / no status list is published" if name is None
            else f"没有已发布的状态列表 / no edition of this list is published: {name}",
            hint=f"有变化时发布 / they are published when something changed\nhint: {waits}",
        )  # fmt: skip
    if name is None or editions:
        _show([summary(candidate, trust) for candidate in found], "")
    else:
        output.note(found[0].where)
        rows = [msgspec.to_builtins(entry) for entry in entries(found[0], trust)]
        _show(rows, "全部有效 / every licence of this list is valid")


def _editions(stored: Stored | None, name: str | None, at: int, *, every: bool) -> list[Candidate]:
    if stored is None:
        return []
    found = []
    for each in stored.names() if name is None else [name]:
        names = stored.editions(each)
        chosen = sorted(filter(None, map(read_edition_name, names))) if every else [latest(names, at)]
        found += [
            stored.candidate(each, edition) for edition in chosen if edition and edition.issued_at <= at
        ]
    return found


def _show(rows: list[dict[str, Any]], nothing: str) -> None:
    if rows or output.as_json():
        output.print_list(list(rows[0]) if rows else (), rows)
    else:
        output.line(nothing)
