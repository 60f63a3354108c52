"""`zhengzhao log`: everything that one machine knows as one file, and back.

`zhengzhao replay`: state and objects again, from the recorded facts alone.

`zhengzhao letters`: dead letters, and their return after a fix.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
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
    from infra.bootstrap import Installation

    with output.progress("export") as bar, Installation(output.settings()) as installation:
        header = installation.export_log(file, lambda _, done, of: bar.at(done, of))
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

    from infra.bootstrap import Installation

    if not file.is_file() or file.stat().st_size == 0:
        from schemas.errors import UsageError

        raise UsageError(
            "文件不存在或为空 / absent or empty", where=str(file), hint="zhengzhao log export FILE"
        )
    with output.progress("import") as bar, Installation(output.settings()) as installation:
        report = installation.import_log(file, lambda _, done, of: bar.at(done, of))
    if output.as_json():
        output.print_json(msgspec.to_builtins(report))
    else:
        for finding in report.findings:
            output.note(f"error: {finding.what} {finding.subject}: {finding.problem}")
        output.line(
            f"事实 / facts {report.facts} · 证照 / licences {report.objects} · "
            f"不符 / differences {len(report.findings)} · 无法证明 / not provable {len(report.unproved)}"
        )
    from infra.persons.keys import DATABASE, SECRET

    data = output.settings().data
    if (data / DATABASE).exists() and not (data / SECRET).exists():
        output.warn(
            "the persons in it stay sealed / 个人信息仍为密文", f"copy {SECRET} from the other machine"
        )
    raise typer.Exit(report.code)


if TYPE_CHECKING:
    from infra.recovery.replay import ReplayReport

replay_app = typer.Typer()


@replay_app.command(epilog="Example: zhengzhao replay --into ./again")
def replay(
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="新目录 / a new folder")],
    decide: Annotated[bool, typer.Option("--decide", help="重新裁决 / decide the ledger again")] = False,
) -> None:
    """重放 / Rebuilds without private keys, compares every byte. Exit 1: something differs; 3: not provable here."""
    from infra.bootstrap import Installation

    with output.progress("replay") as bar, Installation(output.settings()) as installation:
        report = installation.replay(into, decide=decide, say=lambda _, done, of: bar.at(done, of))
    _show(report)
    raise typer.Exit(report.code)


def _show(report: ReplayReport) -> None:
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


letters_app = typer.Typer(
    no_args_is_help=True, help="死信 / dead letters", epilog="Example: zhengzhao letters list"
)


@letters_app.callback()
def letters() -> None:
    """死信 / dead letters."""


@letters_app.command("list", epilog="Example: zhengzhao letters list --json")
def list_letters() -> None:
    """列出死信 / What failed by itself: where, why, and what to do."""
    from infra.bootstrap import Installation

    with Installation(output.settings()) as installation, installation.letters() as box:
        rows = list(box.letters())
    if output.as_json():
        output.print_rows(rows)
        return
    columns = ("letter", "time", "place", "error", "hint")
    output.print_table(columns, [[row[c] for c in columns] for row in rows])


@letters_app.command(epilog="Example: zhengzhao letters show 1")
def show(
    letter: Annotated[int, typer.Argument(metavar="N", help="编号 / as `letters list` numbers it")],
) -> None:
    """原文 / The original bytes of a letter, on standard output."""
    from infra.bootstrap import Installation

    with Installation(output.settings()) as installation, installation.letters() as box:
        raw = box.content(letter)
    sys.stdout.buffer.write(raw + b"\n")


@letters_app.command(epilog="Example: zhengzhao letters retry")
def retry(
    letter: Annotated[
        list[int] | None, typer.Argument(metavar="N", help="编号 / some of them [default: all]")
    ] = None,
) -> None:
    """重投 / Sends letters back after a fix; `drain` tries them again."""
    from infra.bootstrap import Installation

    with Installation(output.settings()) as installation, installation.letters() as box:
        count = box.retry(letter or ())
    if output.as_json():
        output.print_json({"returned": count})
    else:
        output.line(f"重投 / returned {count}" + ("" if not count else " · zhengzhao drain"))
