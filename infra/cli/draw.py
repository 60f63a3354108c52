"""`zhengzhao draw`: a random draw of inspection targets and inspectors that nobody can steer.

This module has the authority's steps. `draw_parties` has those of the parties, `draw_reading` the public commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import typer
from msgspec import UnsetType

from infra.bootstrap import Installation
from infra.cli import draw_parties, draw_reading, output
from infra.cli.output import Several, now
from infra.draw import files, pages
from infra.draw.files import write_whole
from infra.draw.store import DrawStore, draw_key
from processors.draw.compute import Prepared, check_given, check_public, compute, prepare
from schemas.calendar import china_date
from schemas.draw.aftermath import Aftermath
from schemas.draw.documents import Announcement, Transcript
from schemas.draw.encoding import read_file
from schemas.draw.inspectors import read_conflicts, read_inspectors
from schemas.draw.plan import Plan, moment, parse_toml, read_plan
from schemas.draw.replacement import PublishedDraw, Replacement
from schemas.draw.seed import DrawSigner, in_order
from schemas.errors import DrawError

app = typer.Typer(
    no_args_is_help=True,
    help="双随机抽查：公告、承诺、抽取、复核 / the random draw: plan, commit, announce, reveal, run, verify",
    epilog="Example: zhengzhao draw verify T.json --register R.csv --inspectors I.csv",
)
app.add_typer(draw_parties.app)
app.add_typer(draw_reading.app)

RegisterFile = Annotated[Path, typer.Option("--register", help="检查对象名录 / targets, CSV or Parquet")]
InspectorsFile = Annotated[
    Path, typer.Option("--inspectors", help="检查人员名录 / inspectors, CSV or Parquet")
]
ConflictsFile = Annotated[Path | None, typer.Option("--conflicts", help="回避名单 / conflicts of interest")]
EarlierFiles = Annotated[
    list[Path] | None,
    typer.Option("--earlier", metavar="T.json", help="以往抽取记录，可重复 / earlier transcripts"),
]


@app.command(
    cls=Several,
    epilog="Example: zhengzhao draw announce plan.toml --register R.csv --inspectors I.csv "
    "--commitment A.json --commitment B.json -o ANNOUNCEMENT.json",
)
def announce(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="抽查计划 / the plan, TOML")],
    register: RegisterFile,
    inspectors: InspectorsFile,
    commitment: Annotated[list[Path], typer.Option(help="各方承诺 / a party's commitment, each party one")],
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="ANNOUNCEMENT.json", help="公告 / where to write it")
    ],
    conflicts: ConflictsFile = None,
    earlier: EarlierFiles = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="公告网页 / a page: chances, choice of inspectors, changes"),
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(
            metavar="REGISTER",
            help="上次抽取的名录 / the register of the draw before, for --page [default: the imported one]",
        ),
    ] = None,
) -> None:
    """公告一次抽查 / Check plan and registers, and announce the draw: from now on nothing in it can change."""
    installation = Installation(output.settings())
    store = DrawStore(installation.settings.data)
    content = parse_toml(read_file(plan), str(plan))
    checked = read_plan(content, str(plan))
    signer = _key(installation, checked)
    promised = files.commitments(commitment)
    _writable(out)
    with (
        _watched(register) as progress,
        files.opened(register, inspectors, conflicts, earlier or [], installation.trust, progress) as given,
    ):
        prepared = prepare(content, given, promised, str(plan))
        announced = store.announce(prepared.content, checked, signer)
    write_whole(out, announced.bytes)
    if page:
        shown = PublishedDraw(announced, None)
        before = before or store.register_before(announced)
        text = pages.html(shown, register, before, china_date(now()), prepared.smallest_choice)
        write_whole(page, text.encode())
    _announced(announced, prepared, out)


def _key(installation: Installation, plan: Plan) -> DrawSigner:
    return draw_key(installation.signer(), installation.trust, plan, now())


def _announced(announced: Announcement, prepared: Prepared, out: Path) -> None:
    summary: dict[str, Any] = {
        "announcement_digest": announced.digest,
        "sequence": announced.sequence,
        "previous": announced.previous,
        **({"replaces": announced.replaces} if announced.replaces else {}),
        "strata": [{"name": s.name, "population": s.population, "drawn": s.drawn} for s in announced.strata],
        "excluded": len(prepared.frame.excluded),
        "smallest_choice": prepared.smallest_choice,
    }
    if output.as_json():
        output.print_json(summary)
        return
    rows = [(s["name"], s["population"], s["drawn"]) for s in summary["strata"]]
    output.print_table(("分层 / stratum", "总体 / population", "抽取 / drawn"), rows)
    output.print_fields((k, v) for k, v in summary.items() if k != "strata")
    output.line(f"已公告 / announced: {out}")


@app.command(epilog='Example: zhengzhao draw void ANNOUNCEMENT.json --reason "名录有误" -o VOID.json')
def void(
    announcement: Annotated[
        Path, typer.Argument(metavar="ANNOUNCEMENT.json", help="公告 / the announcement")
    ],
    reason: Annotated[str, typer.Option(help="理由 / why, for everybody to read")],
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="VOID.json", help="where to write it")
    ] = None,
) -> None:
    """作废一份未抽取的公告 / End an announcement that was not drawn: the only way to announce its plan again."""
    installation = Installation(output.settings())
    announced = files.announcement(announcement)
    signer = _key(installation, announced.plan)
    if out:
        _writable(out)
    data = DrawStore(installation.settings.data).void(announced, reason, signer)
    if out:
        write_whole(out, data)
        if not output.as_json():
            output.line(f"已作废 / voided: {out}")
            return
    output.line(data.decode())


@app.command(
    cls=Several,
    epilog="Example: zhengzhao draw run ANNOUNCEMENT.json --register R.csv --inspectors I.csv "
    "--reveal A.json --reveal B.json -o TRANSCRIPT.json",
)
def run(
    announcement: Annotated[
        Path, typer.Argument(metavar="ANNOUNCEMENT.json", help="公告 / the announcement")
    ],
    register: RegisterFile,
    inspectors: InspectorsFile,
    reveal: Annotated[list[Path], typer.Option(help="各方公开的秘密 / a party's reveal, each party one")],
    out: Annotated[
        Path, typer.Option("-o", "--output", metavar="TRANSCRIPT.json", help="抽取记录 / where to write it")
    ],
    conflicts: ConflictsFile = None,
    earlier: EarlierFiles = None,
    public: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="公开随机数 / the public number, where the plan has one"),
    ] = None,
) -> None:
    """抽取 / Draw targets and inspectors, once; the transcript lets everybody repeat it."""
    installation = Installation(output.settings())
    store = DrawStore(installation.settings.data)
    announced = files.announcement(announcement)
    signer = _key(installation, announced.plan)
    store.refuse_voided(store.find(announced))
    shown = files.reveals(reveal)
    in_order(shown, announced, announced.digest)
    check_public(announced, public)
    _not_too_early(announced)
    _writable(out)
    with (
        _watched(register) as progress,
        files.opened(register, inspectors, conflicts, earlier or [], installation.trust, progress) as given,
    ):
        transcript = compute(announced, given, shown, public)
        data = store.record(announced, transcript, signer)
        write_whole(out, data)
        _drawn(transcript, out)


@app.command(
    cls=Several,
    epilog="Example: zhengzhao draw replace TRANSCRIPT.json --unavailable ID --reason 已迁出 "
    "--register R.csv --inspectors I.csv -o REPLACEMENT.json",
)
def replace(
    transcript: Annotated[Path, typer.Argument(metavar="TRANSCRIPT.json", help="抽取记录 / the transcript")],
    register: RegisterFile,
    inspectors: InspectorsFile,
    unavailable: Annotated[
        str, typer.Option(metavar="ID", help="无法检查的对象或人员 / who is not available")
    ],
    reason: Annotated[str, typer.Option(help="理由 / why, for everybody to read")],
    target: Annotated[
        str | None,
        typer.Option(metavar="ID", help="人员缺席的检查对象 / the visit that an inspector cannot make"),
    ] = None,
    conflicts: ConflictsFile = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="REPLACEMENT.json", help="where to write it")
    ] = None,
) -> None:
    """顺位递补 / Record the next in order for a target, or for an inspector at one target, with the reason."""
    installation = Installation(output.settings())
    store, shown = DrawStore(installation.settings.data), files.published(transcript)
    announced, drawn = shown.announcement, shown.transcript
    if drawn is None or store.transcript(announced) != transcript.read_bytes():
        raise DrawError("this transcript is not on record in the data folder / 该记录未在本数据目录备案")
    signer = _key(installation, announced.plan)
    if out:
        _writable(out)
    with (
        _watched(register) as progress,
        files.opened(register, inspectors, conflicts, [], installation.trust, progress) as given,
    ):
        check_given(announced, given, earlier=False)
        staff, apart = read_inspectors(given.inspectors), read_conflicts(given.conflicts)
        after = Aftermath(drawn, announced, given.targets, staff, apart)

        def next_() -> Replacement:
            for done in store.replacements(announced):
                after.apply(done)
            return after.next(unavailable, reason, target)

        data = store.replace(announced, next_, signer)
    if out:
        write_whole(out, data)
    output.line(data.decode())


def _not_too_early(announced: Announcement) -> None:

    source = announced.plan.seed.public
    if not isinstance(source, UnsetType) and now() < moment(source.at, "seed.public.at"):
        raise DrawError(
            f"公开随机数尚未产生 / the public number does not exist before {source.at}",
            hint=f"wait for {source.source}",
        )


def _drawn(transcript: Transcript, out: Path) -> None:
    summary: dict[str, Any] = {
        "announcement_digest": transcript.announcement_digest,
        "seed": transcript.seed,
        "strata": [{"name": s.name, "population": s.population, "drawn": s.count} for s in transcript.strata],
        "assignments": len(transcript.assignments),
        "skipped": len(transcript.skipped),
        "excluded": len(transcript.excluded),
    }
    if output.as_json():
        output.print_json(summary)
        return
    rows = [(s["name"], s["population"], s["drawn"]) for s in summary["strata"]]
    output.print_table(("分层 / stratum", "总体 / population", "抽取 / drawn"), rows)
    output.print_fields((k, v) for k, v in summary.items() if k != "strata")
    output.line(f"已抽取 / drawn: {out}")


def _writable(path: Path) -> None:
    """Raise OSError before anything is recorded where the output cannot be written."""
    with TemporaryFile(dir=path.resolve().parent):
        pass


@contextmanager
def _watched(register: Path) -> Iterator[Any]:
    """Show a progress bar over the rows of a register: each is read once and digested once."""
    with output.progress(f"名录 / register {register.name}") as bar:
        yield lambda what, rows: bar.advance(rows)
