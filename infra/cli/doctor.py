"""`zhengzhao doctor`: what is wrong with this set-up."""

from __future__ import annotations

import msgspec
import typer

from infra.cli import output

app = typer.Typer()
_MARKS = {True: "✓", False: "✗", None: "!"}


@app.command(epilog="Example: zhengzhao doctor --json")
def doctor() -> None:
    """检查环境 / Fonts, keys, storage, clock, proofs, and what lies waiting. Exit 1 where something is wrong."""
    from infra.doctor import examine

    findings = examine(output.settings())
    if output.as_json():
        output.print_rows(msgspec.to_builtins(f) for f in findings)
    else:
        for finding in findings:
            output.line(f"{_MARKS[finding.ok]} {finding.name}: {finding.detail}")
            if finding.hint:
                output.line(f"    hint: {finding.hint}")
    raise typer.Exit(1 if any(f.ok is False for f in findings) else 0)
