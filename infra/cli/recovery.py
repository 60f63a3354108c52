"""Ways back after a loss or a fault.

`zhengzhao log` writes a backup and brings one in, also from one machine to Kafka; `zhengzhao replay` rebuilds state
and artefacts from the recorded facts; `zhengzhao letters` shows dead letters and returns them after a fix.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from infra.cli import output
from infra.persons.keys import DATABASE, SECRET
from schemas.errors import UsageError

if TYPE_CHECKING:
    from infra.recovery.replay import ReplayReport

app = typer.Typer(
    no_args_is_help=True,
    help="存档 / backup, and the way to another machine",
    epilog="Example: zhengzhao log export backup.tar",
)


@app.callback()
def log() -> None:
    """存档 / Backup, and the way to another machine."""


@app.command("export", epilog="Example: zhengzhao log export backup.tar")
def export_file(file: Annotated[Path, typer.Argument(metavar="FILE", help="新文件 / a new file")]) -> None:
    """导出 / Write ledger, facts, objects and trust folder into one file, without keys/ and secret/."""
    with output.progress("export") as bar, output.installation() as here:
        header = here.export_log(file, lambda _, done, of: bar.at(done, of))
    if output.as_json():
        output.print_json({"file": str(file), **header})
        return
    output.line(
        f"{file}: 账目 / entries {header['entries']} · 事实 / facts {header['facts']} · 对象 / objects {header['objects']}"
    )
    output.note(
        "不含 keys/ 与 secret/，请另行保管 / keys/ and secret/ are not in it: keep copies of them elsewhere"
    )


@app.command("import", epilog="Example: zhengzhao log import backup.tar --data ./restored")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="`log export` 的文件 / as exported")],
) -> None:
    """导入 / Bring a backup into a data folder without data, verified by replay.

    Exit 1: it differs, and nothing stays; only a difference of the public log alone stays, and the next drain mends a
    log that lags behind. After a kill call it again: it goes on, and until then nothing works in the folder.
    """
    if not file.is_file() or file.stat().st_size == 0:
        raise UsageError(
            "文件不存在或为空 / the file is absent or empty",
            where=str(file),
            hint="zhengzhao log export FILE",
        )
    with output.progress("import") as bar, output.installation() as here:

        def say(what: str, done: int, of: int) -> None:
            if of >= 0:
                bar.at(done, of)
            else:
                output.note(f"前次导入中断，从其所写之后继续 / {what}: {done} records were written before")

        report = here.import_log(file, say)
    _show(report)
    data = output.settings().data
    if (data / DATABASE).exists() and not (data / SECRET).exists():
        output.warn(
            "个人信息仍为密文 / what is recorded of persons stays encrypted",
            f"从原机器复制 / copy from the other machine: {SECRET}",
        )
    raise typer.Exit(report.code)


replay_app = typer.Typer()


@replay_app.command(epilog="Example: zhengzhao replay --into ./again")
def replay(
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="新目录 / a new folder")],
    decide: Annotated[bool, typer.Option("--decide", help="重新作出决定 / decide the ledger again")] = False,
    proofs: Annotated[
        bool,
        typer.Option("--proofs", help="核对保存的签名 / check each kept proof against the agency register"),
    ] = False,
) -> None:
    """重放 / Rebuild without private keys and compare every byte. Exit 1: something differs; 3: not provable here."""
    with output.progress("replay") as bar, output.installation() as here:
        report = here.replay(into, decide=decide, proofs=proofs, say=lambda _, done, of: bar.at(done, of))
    _show(report)
    raise typer.Exit(report.code)


def _show(report: ReplayReport) -> None:
    if output.as_json():
        output.print_json(msgspec.to_builtins(report))
        return
    for finding in report.findings:
        output.note(f"error: {finding.what} {finding.subject}: {finding.problem}")
    for finding in report.unproved:
        output.note(
            f"unknown: {finding.subject}: 只比对了摘要 / only its digest was compared: {finding.problem}"
        )
    output.line(
        f"账目 / entries {report.entries} · 签名 / proofs {report.proofs} · "
        f"事实 / facts {report.facts} · 证照 / licences {report.objects} · 状态列表 / editions {report.editions} · "
        f"不符 / differences {len(report.findings)} · 无法证明 / not provable {len(report.unproved)}"
    )


letters_app = typer.Typer(
    no_args_is_help=True, help="死信 / dead letters", epilog="Example: zhengzhao letters list"
)


@letters_app.callback()
def letters() -> None:
    """死信 / Dead letters."""


@letters_app.command("list", epilog="Example: zhengzhao letters list --json")
def list_letters() -> None:
    """列出死信 / List what failed permanently: where, why, and what to do."""
    with output.installation() as here, here.letters() as box:
        rows = list(box.letters())
    output.print_list(("letter", "time", "place", "error", "hint"), rows)


@letters_app.command(epilog="Example: zhengzhao letters show 1")
def show(
    letter: Annotated[int, typer.Argument(metavar="N", help="编号 / as `letters list` numbers it")],
) -> None:
    """原文 / Write the original bytes of a letter to standard output."""
    with output.installation() as here, here.letters() as box:
        raw = box.content(letter)
    sys.stdout.buffer.write(raw + b"\n")


@letters_app.command(epilog="Example: zhengzhao letters close 1 --reason 重复提交，已由申请人撤回")
def close(
    letter: Annotated[int, typer.Argument(metavar="N", help="编号 / as `letters list` numbers it")],
    reason: Annotated[str, typer.Option(help="理由，记录在案 / the reason, which is recorded")],
) -> None:
    """关闭 / End a letter that nobody will retry, and record the reason."""
    if not reason.strip():
        raise UsageError("理由不能为空 / the reason must not be blank", where="--reason")
    with output.installation() as here, here.letters() as box:
        box.close(letter, reason.strip())
    if output.as_json():
        output.print_json({"closed": letter, "reason": reason.strip()})
    else:
        output.line(f"已关闭 / closed {letter}: {reason.strip()}")


@letters_app.command(epilog="Example: zhengzhao letters retry")
def retry(
    letter: Annotated[
        list[int] | None, typer.Argument(metavar="N", help="编号 / some of them [default: all]")
    ] = None,
) -> None:
    """重投 / Return letters to their stage after a fix; `drain` tries them again."""
    with output.installation() as here, here.letters() as box:
        count = box.retry(letter or ())
        step = here.next_step()
    if output.as_json():
        output.print_json({"returned": count})
        return
    output.line(f"重投 / returned {count}")
    if count:
        output.note(f"hint: {step}")
