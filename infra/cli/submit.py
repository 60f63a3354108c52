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
    source: Annotated[
        str, typer.Option(help="PDF 材料的来源 / source URN of PDF packets [default: hall of the window]")
    ] = "",
    at: Annotated[str, typer.Option("--at", help="PDF 材料的时间 / time of PDF packets [default: now]")] = "",
    key: Annotated[
        Path | None,
        typer.Option(
            "--sign", metavar="KEY.pem", help="以机构私钥签署每个事件 / sign each event as its agency"
        ),
    ] = None,
) -> None:
    """收件 / Takes events in, one a line; `drain` decides. Exit 1 if any line was rejected, 2 if a file is absent or empty."""
    from infra.agencies import event_signer
    from infra.bootstrap import Installation
    from infra.cli.output import now, read_moment
    from producers.files import Summary, sort_out, submit_file, submit_papers
    from schemas.errors import UsageError

    moment = read_moment(at, "--at") if at else now()
    sign = event_signer(key) if key is not None else lambda raw: raw
    given, summary = sort_out(files), Summary()
    if not given.lines and not given.pdfs:
        raise next(iter(given.faults.values()))
    settings = output.settings()
    with (
        Installation(settings) as installation,
        installation.inbox() as inbox,
        output.progress("submit", _size(given.lines)) as bar,
    ):
        for name in given.lines:
            try:
                submit_file(name, inbox, summary, progress=bar.advance, sign=sign)
            except UsageError as error:  # nothing on standard input, say: its neighbours are taken in
                given.faults[name] = error
        if given.pdfs:
            submit_papers(given.pdfs, inbox, summary, installation.packets(source, moment), sign=sign)
    if set(given.faults) == set(files):
        raise given.faults[files[0]]
    for name, fault in given.faults.items():
        summary.refuse(name, 0, fault)
    _show(msgspec.to_builtins(summary))
    raise typer.Exit(2 if given.faults else 1 if summary.rejected else 0)


def _size(names: list[str]) -> int | None:
    """Bytes to read, for the bar; None where nobody can know."""
    sizes = [Path(name).stat().st_size if Path(name).is_file() else None for name in names]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _show(summary: dict[str, object]) -> None:
    if output.as_json():
        output.print_json(summary)
        return
    rejected: list[dict[str, object]] = summary["rejected"]  # type: ignore[assignment]
    for one in rejected:
        place = f"{one['file']}:{one['line']}" if one["line"] else one["file"]
        output.note(f"error: {place}: {one['error']}\nhint: {one['hint']}")
    output.line(
        f"收下 / accepted {summary['accepted']} · 重复 / duplicates {summary['duplicates']} · "
        f"拒收 / rejected {len(rejected)}"
    )
