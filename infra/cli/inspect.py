"""`zhengzhao inspect`: the visits that draws order, their results, and the publication of these."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli import acting, inspection, output
from infra.cli.inspection import Inspection
from infra.cli.moments import now
from infra.cli.options import spread
from schemas.errors import NotFound, UsageError
from schemas.times import china_date

if TYPE_CHECKING:
    from infra.draw_pages import Shown

app = typer.Typer(
    no_args_is_help=True,
    help="抽查之后：任务、结果、公示 / after a draw: visits, results, publication",
    epilog="Example: zhengzhao inspect list TRANSCRIPT.json",
)
Transcripts = Annotated[
    list[Path],
    typer.Argument(metavar="TRANSCRIPT.json…", help="抽取记录 / transcripts; several make joint visits"),
]
_SHOWN = ("target", "state", "joint", "items", "inspectors", "until")


@app.command("list", epilog="Example: zhengzhao inspect list market.json fire.json --state overdue --json")
def list_(
    transcripts: Transcripts,
    state: Annotated[str | None, typer.Option(help="状态 / open, overdue or done")] = None,
    annual: Annotated[
        Path | None,
        typer.Option(
            metavar="YEAR.toml", help="年度计划，联合部门由此合并 / the year's plan: who comes together"
        ),
    ] = None,
) -> None:
    """列出任务，多部门合并为一次 / Visits, one for each target; what several departments want is one joint visit."""
    from infra import inspections

    if state not in (None, "open", "overdue", "done"):
        raise UsageError(f"没有此状态 / no such state: {state}", where="--state", hint="open, overdue, done")
    with acting.register() as (register, _):
        found = inspections.tasks(_draws(transcripts), inspections.records(register))
    joined = _together(annual) if annual else {}
    rows = [
        row for row in inspections.visits(found, china_date(now()), joined) if state in (None, row["state"])
    ]
    if output.as_json():
        output.print_rows(rows)
    else:
        output.print_table(_SHOWN, [[row[c] for c in _SHOWN] for row in rows])
    if late := sum(1 for row in rows if row["state"] == "overdue"):
        output.warn(f"{late} visits are overdue / {late} 户逾期未检查", "zhengzhao inspect record")


@app.command(
    epilog="Example: zhengzhao inspect record T.json --target '(青)XK13-001-00001' --result 未发现问题 --passed"
)
@spread
def record(
    said: Inspection,
    transcript: Annotated[Path, typer.Argument(metavar="TRANSCRIPT.json", help="抽取记录 / the transcript")],
    target: Annotated[str, typer.Option(metavar="ID", help="检查对象编号 / the target's id, as drawn")],
    number: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="证照编号 / the licence [default: the target's id]")
    ] = None,
    inspector: Annotated[
        list[str] | None,
        typer.Option(metavar="ID[@DEPARTMENT]", help="实际检查人员 / who came [default: as drawn]"),
    ] = None,
) -> None:
    """记录抽查结果 / Records what an inspection found, as an event; a false commitment ends the licence."""
    from infra import inspections
    from schemas.draw.encoding import shown_id

    (shown,) = _draws([transcript])
    drawn = dict(shown.visits())
    if target not in drawn:
        raise NotFound(f"not drawn: {shown_id(target)} / 未抽中该对象", where=str(transcript))
    licence = acting.named(number or target, None, None)
    own = inspections.inspection_id(shown.announcement.digest, target)
    inspection.record(said, licence, "random", inspector or drawn[target], own)


@app.command(epilog="Example: zhengzhao inspect publish TRANSCRIPT.json -o results")
def publish(
    transcripts: Transcripts,
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="where to write index.html, results.csv")
    ],
) -> None:
    """公示结果 / Publishes results as a page and as CSV; warns of those past their twenty working days."""
    from infra import inspections
    from infra.draw_store import write_whole

    draws = _draws(transcripts)
    with acting.register() as (register, _):
        found = inspections.tasks(draws, inspections.records(register))
    rows = inspections.published(found, china_date(now()))
    out.mkdir(parents=True, exist_ok=True)
    title = " · ".join(dict.fromkeys(d.announcement.plan.title for d in draws))
    write_whole(out / "index.html", inspections.results_page(title, rows, len(found)).encode())
    write_whole(out / "results.csv", inspections.results_csv(rows).encode())
    late = sum(1 for row in rows if row["late"])
    answer = {"published": len(rows), "to_come": len(found) - len(rows), "late": late, "folder": str(out)}
    if output.as_json():
        output.print_json(answer)
    else:
        output.print_fields(answer.items())
    if late:
        output.warn(f"{late} results were due for publication earlier / {late} 条结果逾期公示")


def _together(path: Path) -> dict[str, list[str]]:
    """By a plan's name the authorities that a year's plan sends together."""
    from schemas.draw.annual import plans_of, read_annual
    from schemas.draw.encoding import read_file
    from schemas.draw.plan import parse_toml

    year = read_annual(parse_toml(read_file(path), str(path)), str(path))
    at = year.authority.rpartition(":")[0]
    return {draw.plan.plan: [f"{at}:{d}" for d in draw.departments] for draw in plans_of(year)}


def _draws(paths: list[Path]) -> list[Shown]:
    from infra import draw_pages

    found = [draw_pages.read(path, output.settings().data / "draws") for path in paths]
    for path, shown in zip(paths, found, strict=True):
        if shown.transcript is None:
            raise UsageError("not a transcript / 不是抽取记录", where=str(path), hint="zhengzhao draw run")
    return found
