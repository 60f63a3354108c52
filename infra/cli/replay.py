"""`zhengzhao replay`: state and objects again, from the recorded facts alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from infra.cli import output

if TYPE_CHECKING:
    from infra.replay import Report

app = typer.Typer()


@app.command(epilog="Example: zhengzhao replay --into ./again")
def replay(
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="新目录 / a new folder")],
    decide: Annotated[bool, typer.Option("--decide", help="重新裁决 / decide the ledger again")] = False,
) -> None:
    """重放 / Rebuilds without private keys, compares every byte. Exit 1: something differs; 3: not provable here."""
    from infra.bootstrap import replay as run

    with output.progress("replay") as bar:
        report = run(output.settings(), into, decide=decide, say=lambda _, done, of: bar.at(done, of))
    _show(report)
    raise typer.Exit(report.code)


def _show(report: Report) -> None:
    if output.as_json():
        output.print_json(msgspec.to_builtins(report))
        return
    for finding in report.findings:
        output.note(f"error: {finding.what} {finding.subject}: {finding.problem}")
    for finding in report.unproved:
        output.note(f"unknown: {finding.subject}: only its digest was compared: {finding.problem}")
    output.line(
        f"事实 / facts {report.facts} · 证照 / licences {report.objects} · 状态列表 / editions {report.editions} · "
        f"不符 / differences {len(report.findings)} · 无法证明 / not provable {len(report.unproved)}"
    )
