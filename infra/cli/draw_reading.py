"""The public commands of a draw: plan (before it), show, verify, lookup, simulate, and the one-file verifier."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from infra.bootstrap import Installation
from infra.cli import output
from infra.cli.output import Several, now
from infra.draw import files, pages
from infra.draw.files import write_whole
from infra.draw.register import TargetRegister
from infra.draw.store import DrawStore
from processors.draw.lookup import Staffed, lookup_by_proof, preview
from processors.draw.lookup import lookup as look_up
from processors.draw.lookup import simulate as repeat
from schemas.calendar import china_date
from schemas.draw.annual import DrawOfYear, is_annual, plans_of, read_annual
from schemas.draw.documents import Transcript, read_announcement, read_transcript
from schemas.draw.encoding import convert, parse_json, read_file
from schemas.draw.inspectors import read_conflicts, read_inspectors
from schemas.draw.plan import Plan, parse_toml, read_plan
from schemas.draw.tickets import RowProof, prove_row
from schemas.errors import DrawError, UsageError
from verification import draw as verification
from verification.draw import Files
from verification.draw_result import DrawCheck, DrawReport

app = typer.Typer()
RegisterFile = Annotated[Path, typer.Option("--register", help="检查对象名录 / targets, CSV or Parquet")]
EarlierFiles = Annotated[
    list[Path] | None,
    typer.Option("--earlier", metavar="T.json", help="以往抽取记录，可重复 / earlier transcripts"),
]
TranscriptFile = Annotated[Path, typer.Argument(metavar="TRANSCRIPT.json", help="抽取记录 / the transcript")]


@app.command(
    cls=Several,
    epilog="Example: zhengzhao draw verify TRANSCRIPT.json --register R.csv --inspectors I.csv --chain DIR",
)
def verify(
    transcript: TranscriptFile,
    register: RegisterFile,
    inspectors: Annotated[Path | None, typer.Option(help="检查人员名录 / inspectors")] = None,
    conflicts: Annotated[Path | None, typer.Option(help="回避名单 / conflicts of interest")] = None,
    earlier: EarlierFiles = None,
    chain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="该机关全部公告所在目录 / all of the authority's announcements"),
    ] = None,
    annual: Annotated[
        Path | None,
        typer.Option(metavar="YEAR.toml", help="年度抽查计划，逐项比对 / the year's plan, to be compared"),
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(metavar="DIR", help="trust folder [default: the data folder's]")
    ] = None,
) -> None:
    """复核一次抽取 / Repeat the draw and compare everything. Exit 0 valid, 1 invalid, 2 unreadable."""
    gc.disable()  # The half million small objects of a transcript have no cycles.
    store = Installation(output.settings()).read_trust(trust)
    data = read_file(transcript)
    _readable(register, inspectors, conflicts, *(earlier or ()))
    if chain and not chain.is_dir():
        raise UsageError(
            "没有这个目录 / there is no such folder",
            where=str(chain),
            hint="the folder with all announcements",
        )
    try:
        read = read_transcript(data, str(transcript))
    except DrawError as error:
        report = DrawReport("invalid", [], [DrawCheck("form", False, error.message)])
    else:
        salt = _salt(read)
        given = _files(register, inspectors, conflicts, earlier or [], chain, annual, salt)
        report = verification.verify(read, given, store, now())
    _report(transcript, report)
    raise typer.Exit(0 if report.verdict == "valid" else 1)


def _files(
    register: Path,
    inspectors: Path | None,
    conflicts: Path | None,
    earlier: list[Path],
    chain: Path | None,
    annual: Path | None,
    salt: str | None,
) -> Files:
    year = read_annual(parse_toml(read_file(annual), str(annual)), str(annual)) if annual else None
    return Files(
        partial(TargetRegister, register, "targets"),
        partial(TargetRegister, inspectors, "inspectors") if inspectors else None,
        partial(TargetRegister, conflicts, "conflicts") if conflicts else None,
        [partial(files.earlier_file, path) for path in earlier],
        chain,
        year,
        salt,
    )


def _salt(transcript: Transcript) -> str | None:
    """Return the salt of the announced Merkle root; None where this data folder did not make the announcement."""
    try:
        announced = read_announcement(bytes(transcript.announcement))
    except DrawError:
        return None
    return DrawStore(output.settings().data).salt(announced)


def _readable(*paths: Path | None) -> None:
    """Raise UsageError for a file that is absent or empty."""
    for path in paths:
        if path is not None:
            try:
                with path.open("rb") as file:
                    if not file.read(1):
                        raise UsageError("the file is empty / 文件为空", where=str(path))
            except OSError as error:
                raise UsageError(f"无法读取 / cannot read it: {error.strerror}", where=str(path)) from None


def _report(transcript: Path, report: DrawReport) -> None:
    if output.as_json():
        output.print_json(msgspec.to_builtins(report))
        return
    word = "有效 / valid" if report.verdict == "valid" else "无效 / invalid"
    output.line(f"{transcript}: {word}")
    for check in report.checks:
        output.line(f"  {'✓' if check.ok else '✗'} {check.name}: {check.detail}".rstrip(": "))
    if report.unchecked:
        output.line(f"  未核 / unchecked: {', '.join(report.unchecked)}")


@app.command(epilog="Example: zhengzhao draw show TRANSCRIPT.json --page transcript.html")
def show(
    document: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="公告或抽取记录 / announcement or transcript [default: all draws]"
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="网页，无需网络 / a page for people, without network"),
    ] = None,
    register: Annotated[
        Path | None, typer.Option(help="检查对象名录 / targets: chances by class, and names on the page")
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(metavar="REGISTER", help="上次抽取的名录 / the register of the draw before: changes"),
    ] = None,
    chain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="递补所在目录 / where replacements lie [default: the data folder]"),
    ] = None,
) -> None:
    """查看公告、抽取记录，或本目录的全部抽取 / Show an announcement, a transcript, or all draws of the data folder."""
    if document is None:
        _all_draws()
        return
    shown = files.published(document, chain or output.settings().data / "draws")
    if page:
        write_whole(page, pages.html(shown, register, before, china_date(now())).encode())
    fields = pages.summary(shown)
    if output.as_json():
        output.print_json(fields)
    else:
        output.print_fields(fields.items())


def _all_draws() -> None:
    rows = [
        {
            "authority": link.announcement.plan.authority,
            "sequence": link.announcement.sequence,
            "plan": link.announcement.plan.plan,
            "announcement_digest": link.announcement.digest,
            "state": "overdue" if link.overdue(now()) else link.state,
        }
        for link in DrawStore(output.settings().data).every()
    ]
    if output.as_json():
        output.print_rows(rows)
    else:
        output.print_table(
            ("authority", "sequence", "plan", "announcement_digest", "state"),
            [tuple(r.values()) for r in rows],
        )
    for row in rows:
        if row["state"] == "overdue":
            output.warn(
                f"announcement {row['sequence']} of {row['authority']} is neither drawn nor voided, "
                "and its period has begun / 公告逾期未抽取",
                "draw run, or draw void with the reason",
            )


@app.command(epilog="Example: zhengzhao draw lookup TRANSCRIPT.json --register R.csv --id 91320000134750820C")
def lookup(
    transcript: TranscriptFile,
    register: Annotated[
        Path | None, typer.Option("--register", help="检查对象名录 / targets, CSV or Parquet")
    ] = None,
    id: Annotated[
        str, typer.Option("--id", metavar="ID", help="检查对象编号 / the target's id, as in the register")
    ] = "",
    proof: Annotated[
        Path | None,
        typer.Option(
            metavar="PROOF.json", help="本行的证明，代替名录 / the proof of a row, in place of the register"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PROOF.json",
            help="写出本行的证明，由公告机关 / write the proof of the row, at the authority",
        ),
    ] = None,
) -> None:
    """查询一个检查对象的概率与结果 / Show one target's stratum, chance, ticket and rank. Exit 1 for an unknown id.

    Where the plan has `row_proofs`, `-o` writes the proof of a row, and `--proof` checks it without the register.
    """
    if (register is None) == (proof is None) or (register is None) == bool(id) or (proof and out):
        raise UsageError(
            "请给出名录与编号，或仅给出证明 / a register and an id are needed, or a proof alone",
            hint="--register R.csv --id ID [-o PROOF.json], or --proof PROOF.json",
        )
    shown = files.published(transcript)
    if shown.transcript is None:
        raise UsageError("不是抽取记录 / not a transcript", where=str(transcript), hint="zhengzhao draw run")
    if proof is not None:
        row = convert(parse_json(read_file(proof), str(proof)), RowProof, str(proof))
        found = lookup_by_proof(shown.transcript, shown.announcement, row)
    elif register is not None:
        with TargetRegister(register, "targets") as targets:
            found = look_up(shown.transcript, shown.announcement, targets, id)
            if out:
                salt = DrawStore(output.settings().data).salt(shown.announcement)
                if salt is None:
                    raise DrawError(
                        "本目录没有该公告的盐值 / this data folder has no salt of that announcement",
                        hint="row_proofs = true in the plan; the authority that announced writes proofs",
                    )
                write_whole(out, msgspec.json.encode(prove_row(targets, salt, id)))
    if output.as_json():
        output.print_json(found)
    else:
        output.print_fields(found.items())


@app.command(cls=Several, epilog="Example: zhengzhao draw plan plan.toml --register R.csv")
def plan(
    plan: Annotated[
        Path, typer.Argument(metavar="PLAN", help="抽查计划或年度计划 / a draw's plan or a year's, TOML")
    ],
    register: Annotated[
        Path | None, typer.Option(help="检查对象名录 / targets: populations, counts and chances")
    ] = None,
    earlier: EarlierFiles = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="写出各次抽查的计划 / a year's plans, a file each"
        ),
    ] = None,
) -> None:
    """试算一份抽查计划，或由年度计划生成各次计划 / Show the figures of a plan, or derive the draws of a year. Announces nothing."""
    content = parse_toml(read_file(plan), str(plan))
    if is_annual(content):
        draws = plans_of(read_annual(content, str(plan)), str(plan))
        _year(
            draws,
            out,
            _previews((d.plan for d in draws), register, earlier or []) if register else {},
        )
        return
    checked = read_plan(content, str(plan))
    if out:
        raise UsageError(
            "-o 只用于年度计划 / -o is for the plan of a year",
            where=str(plan),
            hint="a file with `year` and `items`",
        )
    if register is None:
        raise UsageError(
            "抽查计划须对照名录试算 / a draw's plan is tried on a register",
            where=str(plan),
            hint="--register R.csv",
        )
    rows = _previews([checked], register, earlier or [])[checked.plan]
    if output.as_json():
        output.print_rows(rows)
        return
    for row in rows:
        row["chance"] = ", ".join(f"{c or '—'} {p:.4%}" for c, p in row["chance"].items())
    columns = ("分层 / stratum", "总体 / population", "抽取 / drawn", "概率 / chance by class")
    output.print_table(columns, [tuple(row.values()) for row in rows])


def _previews(plans: Iterable[Plan], register: Path, earlier: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of some plans on one register, by the plan's name."""
    past = [files.earlier_file(path) for path in earlier]
    with TargetRegister(register, "targets") as targets:
        return {plan.plan: preview(plan, targets, past) for plan in plans}


def _year(draws: list[DrawOfYear], out: Path | None, strata: dict[str, list[dict[str, Any]]]) -> None:
    """Show the draws of a year; with `out` write each as a plan, which another one never overwrites."""
    rows = []
    for draw in draws:
        file = out / f"{draw.plan.plan}.toml" if out else None
        rows.append(
            {
                "plan": draw.plan.plan,
                "item": draw.plan.item,
                "period": draw.plan.period,
                "departments": draw.departments,
                "file": str(file) if file else None,
                **({"strata": strata[draw.plan.plan]} if strata else {}),
            }
        )
        if file is not None:
            _write_plan(file, draw.toml.encode())
    if output.as_json():
        output.print_rows(rows)
        return
    columns = ("计划 / plan", "事项 / item", "时间 / period", "部门 / departments", "文件 / file")
    output.print_table(
        columns, [[row[c] for c in ("plan", "item", "period", "departments", "file")] for row in rows]
    )
    for plan_name, own in strata.items():
        for stratum in own:
            output.line(f"{plan_name}: {stratum['drawn']} / {stratum['population']}")


def _write_plan(file: Path, data: bytes) -> None:
    if "/" in file.stem or file.name.startswith("."):
        raise UsageError(
            "计划名称不能用作文件名 / a plan's name cannot be a file's",
            where=file.name,
            hint="`plan` without / or a dot first",
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.read_bytes() != data:
        raise UsageError("文件中已有不同的计划 / the file has another plan", where=str(file), hint="-o DIR")
    write_whole(file, data)


@app.command(epilog="Example: zhengzhao draw simulate plan.toml --register R.csv --times 10000")
def simulate(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="抽查计划 / the plan, TOML")],
    register: RegisterFile,
    times: Annotated[int, typer.Option(min=10, max=1_000_000, help="次数 / how many draws")] = 10_000,
    inspectors: Annotated[Path | None, typer.Option(help="检查人员名录 / inspectors, tested too")] = None,
    conflicts: Annotated[Path | None, typer.Option(help="回避名单 / conflicts of interest")] = None,
) -> None:
    """以多个种子反复抽取 / Repeat a draw over many seeds; compare frequencies with chances. Exit 1 if they differ.

    Chi-square per stratum and, with inspectors, per division for who comes and for the pairs; a fair draw fails one time in a hundred thousand.
    """
    checked = read_plan(parse_toml(read_file(plan), str(plan)), str(plan))
    staffing = _staffed(checked, inspectors, conflicts) if inspectors else None
    with (
        output.progress("抽取 / draws", total=times) as bar,
        TargetRegister(register, "targets") as targets,
    ):
        rows = repeat(checked, targets, times, bar.advance, staffing)
    if output.as_json():
        output.print_rows(rows)
    else:
        output.print_table(tuple(rows[0]), [tuple(row.values()) for row in rows])
    raise typer.Exit(0 if all(row["fair"] for row in rows) else 1)


def _staffed(plan: Plan, inspectors: Path, conflicts: Path | None) -> Staffed:
    with TargetRegister(inspectors, "inspectors") as register:
        people = read_inspectors(register, plan.period)
    if conflicts is None:
        return Staffed(people, {})
    with TargetRegister(conflicts, "conflicts") as apart:
        return Staffed(people, read_conflicts(apart))
