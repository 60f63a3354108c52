"""`zhengzhao log`: everything that one machine knows as one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli import output

app = typer.Typer(
    no_args_is_help=True, help="存档 / backup", epilog="Example: zhengzhao log export backup.tar"
)


@app.callback()
def log() -> None:
    """存档 / backup, and the way to another machine."""


@app.command("export", epilog="Example: zhengzhao log export backup.tar")
def export_file(file: Annotated[Path, typer.Argument(metavar="FILE", help="新文件 / a new file")]) -> None:
    """导出 / Ledger, facts, objects and trust folder in one file; never keys/ and secret/: keep those apart."""
    from infra.bootstrap import export_log

    with output.progress("export") as bar:
        header = export_log(output.settings(), file, lambda _, done, of: bar.at(done, of))
    if output.as_json():
        output.print_json({"file": str(file), **header})
    else:
        output.line(
            f"{file}: {header['entries']} entries, {header['facts']} facts, {header['objects']} objects"
        )
        output.note("keys/ and secret/ are not in it: keep copies of them elsewhere / 密钥另行保管")


@app.command("import", epilog="Example: zhengzhao log import backup.tar --data ./restored")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="`log export` 的文件 / as exported")],
) -> None:
    """导入 / Into a data folder without data, verified by replay. Exit 1: it differs, and nothing was taken over."""
    import msgspec

    from infra.bootstrap import import_log

    if not file.is_file() or file.stat().st_size == 0:
        from schemas.errors import UsageError

        raise UsageError(
            "文件不存在或为空 / absent or empty", where=str(file), hint="zhengzhao log export FILE"
        )
    with output.progress("import") as bar:
        report = import_log(output.settings(), file, lambda _, done, of: bar.at(done, of))
    if output.as_json():
        output.print_json(msgspec.to_builtins(report))
    else:
        for finding in report.findings:
            output.note(f"error: {finding.what} {finding.subject}: {finding.problem}")
        output.line(
            f"事实 / facts {report.facts} · 证照 / licences {report.objects} · "
            f"不符 / differences {len(report.findings)} · 无法证明 / not provable {len(report.unproved)}"
        )
    from infra.persons_store import DATABASE, SECRET

    data = output.settings().data
    if (data / DATABASE).exists() and not (data / SECRET).exists():
        output.warn(
            "the persons in it stay sealed / 个人信息仍为密文", f"copy {SECRET} from the other machine"
        )
    raise typer.Exit(report.code)
