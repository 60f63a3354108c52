"""`zhengzhao letters`: dead letters, and their return after a fix."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from infra.cli import output

app = typer.Typer(no_args_is_help=True, help="死信 / dead letters", epilog="Example: zhengzhao letters list")


@app.callback()
def letters() -> None:
    """死信 / dead letters."""


@app.command("list", epilog="Example: zhengzhao letters list --json")
def list_letters() -> None:
    """列出死信 / What failed by itself: where, why, and what to do."""
    from infra.bootstrap import open_letters

    with open_letters(output.settings()) as box:
        rows = list(box.letters())
    if output.as_json():
        output.print_rows(rows)
        return
    columns = ("letter", "time", "place", "error", "hint")
    output.print_table(columns, [[row[c] for c in columns] for row in rows])


@app.command(epilog="Example: zhengzhao letters show 1")
def show(
    letter: Annotated[int, typer.Argument(metavar="N", help="编号 / as `letters list` numbers it")],
) -> None:
    """原文 / The original bytes of a letter, on standard output."""
    from infra.bootstrap import open_letters

    with open_letters(output.settings()) as box:
        raw = box.content(letter)
    sys.stdout.buffer.write(raw + b"\n")


@app.command(epilog="Example: zhengzhao letters retry")
def retry(
    letter: Annotated[
        list[int] | None, typer.Argument(metavar="N", help="编号 / some of them [default: all]")
    ] = None,
) -> None:
    """重投 / Sends letters back after a fix; `drain` tries them again."""
    from infra.bootstrap import open_letters

    with open_letters(output.settings()) as box:
        count = box.retry(letter or ())
    if output.as_json():
        output.print_json({"returned": count})
    else:
        output.line(f"重投 / returned {count}" + ("" if not count else " · zhengzhao drain"))
