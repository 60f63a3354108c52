"""`zhengzhao submit`: events in, from files or standard input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from infra.cli import output

app = typer.Typer()


@app.command(epilog="Example: zhengzhao submit events.jsonl --json")
def submit(
    files: Annotated[
        list[str],
        typer.Argument(help="JSON Lines of CloudEvents, or PDF packets; - 标准输入 / standard input"),
    ],
) -> None:
    """收件 / Takes events in, one a line; `drain` decides. Exit 1 if any line was rejected, 2 for no input."""
    from infra.bootstrap import open_inbox, packet_reader
    from infra.intake import STDIN, Summary, check_files, submit_file

    check_files(files)
    summary = Summary()
    size = None if STDIN in files else sum(Path(name).stat().st_size for name in files)
    settings = output.settings()
    with open_inbox(settings) as inbox, output.progress("submit", size) as bar:
        for name in files:
            submit_file(name, inbox, summary, packets=packet_reader(settings), progress=bar.advance)
    _show(msgspec.to_builtins(summary))
    raise typer.Exit(1 if summary.rejected else 0)


def _show(summary: dict[str, object]) -> None:
    if output.as_json():
        output.print_json(summary)
        return
    rejected: list[dict[str, object]] = summary["rejected"]  # type: ignore[assignment]
    for one in rejected:
        output.note(f"error: {one['file']}:{one['line']}: {one['error']}\nhint: {one['hint']}")
    output.line(
        f"收下 / accepted {summary['accepted']} · 重复 / duplicates {summary['duplicates']} · "
        f"拒收 / rejected {len(rejected)}"
    )
