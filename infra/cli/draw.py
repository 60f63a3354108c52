"""`zhengzhao draw`: a random draw of inspection targets and inspectors that nobody can steer.

This module has the authority's steps. `draw_parties` has those of the parties, `draw_reading` the public commands.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import UNSET, UnsetType

from infra.bootstrap import Installation
from infra.cli import draw_parties, draw_party, draw_reading, output, verifier
from infra.cli.draw_reading import EarlierFiles, RegisterFile
from infra.cli.output import Several, now
from infra.draw import files, pages
from infra.draw.files import check_writable, write_whole
from infra.draw.results_page import DrawChange
from infra.draw.store import DrawStore, draw_key
from processors.draw.compute import Prepared, check_given, compute, prepare
from schemas.calendar import china_date
from schemas.draw.aftermath import Aftermath, PublishedDraw
from schemas.draw.annual import compare_annual, read_annual
from schemas.draw.documents import Announcement, Reveal, Transcript
from schemas.draw.encoding import read_file
from schemas.draw.inspectors import read_conflicts, read_inspectors
from schemas.draw.plan import Plan, parse_toml, read_plan
from schemas.draw.public import PublicValue, read_value, time_of
from schemas.draw.seed import DrawSigner, in_order
from schemas.errors import DrawError
from schemas.trust import TrustStore
from verification import publication

app = typer.Typer(
    no_args_is_help=True,
    help="双随机抽查：公告、承诺、抽取、复核 / the random draw: plan, commit, announce, reveal, run, verify",
    epilog="Example: zhengzhao draw verify T.json --register R.csv --inspectors I.csv",
)
app.add_typer(draw_parties.app)
app.add_typer(draw_reading.app)
app.add_typer(verifier.drawing)
app.add_typer(draw_party.app, name="party")

InspectorsFile = Annotated[
    Path, typer.Option("--inspectors", help="检查人员名录 / inspectors, CSV or Parquet")
]
ConflictsFile = Annotated[Path | None, typer.Option("--conflicts", help="回避名单 / conflicts of interest")]
PublicOption = Annotated[
    str | None,
    typer.Option(
        "--public",
        metavar="FILE|TEXT",
        help="公开随机数：信标轮次或数字 / the public value, where the plan has one: a beacon's round, or numbers",
    ),
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
    annual: Annotated[
        Path | None,
        typer.Option(metavar="YEAR.toml", help="年度抽查计划，公告引用之 / the year's plan, which is cited"),
    ] = None,
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
    content, checked = _read_plan(plan, annual)
    signer = _key(installation, checked)
    promised = files.commitments(commitment)
    check_writable(out)
    recorded = store.earlier(checked)
    _warn_of_undrawn(store, checked)
    with (
        _watched(register) as progress,
        files.opened(
            register, inspectors, conflicts, earlier or [], installation.trust, progress, recorded
        ) as given,
    ):
        salt = secrets.token_hex(32) if checked.row_proofs is True else ""
        prepared = prepare(content, given, promised, installation.trust, now(), str(plan), salt)
        announced = store.announce(prepared.content, checked, signer, salt)
    kept = announced.registers.inspectors.digest
    files.keep_register(installation.settings.data / "registers", "inspectors", kept, inspectors)
    installation.log_papers()
    write_whole(out, announced.bytes)
    if page:
        shown = PublishedDraw(announced, None)
        before = before or store.register_before(announced)
        text = pages.html(shown, register, before, china_date(now()), prepared.smallest_choice)
        write_whole(page, text.encode())
    _announced(announced, prepared, out)


def _read_plan(plan: Path, annual: Path | None) -> tuple[dict[str, Any], Plan]:
    """Read a plan, as written and checked; with the year's plan it cites that, and must be covered by it."""
    content = parse_toml(read_file(plan), str(plan))
    if annual is None:
        return content, read_plan(content, str(plan))
    year = read_annual(parse_toml(read_file(annual), str(annual)), str(annual))
    content = {"annual": year.digest} | content
    checked = read_plan(content, str(plan))
    compare_annual(year, checked)
    return content, checked


def _warn_of_undrawn(store: DrawStore, plan: Plan) -> None:
    for waiting in store.undrawn(plan):
        output.warn(
            f"同一事项第 {waiting.announcement.sequence} 号公告尚未抽取 / announcement {waiting.announcement.sequence} of this "
            "item is not drawn yet; this draw cannot leave out its targets",
            "先抽取或作废 / draw or void it first",
        )


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
        **({"unavailable": announced.unavailable} if announced.unavailable is not None else {}),
    }
    if output.as_json():
        output.print_json(summary)
        return
    rows = [(s["name"], s["population"], s["drawn"]) for s in summary["strata"]]
    output.print_table(("分层 / stratum", "总体 / population", "抽取 / drawn"), rows)
    output.print_fields((k, v) for k, v in summary.items() if k != "strata")
    output.line(f"已公告 / announced: {out}")


@app.command(
    cls=Several, epilog='Example: zhengzhao draw void ANNOUNCEMENT.json --reason "名录有误" -o VOID.json'
)
def void(
    announcement: Annotated[
        Path, typer.Argument(metavar="ANNOUNCEMENT.json", help="公告 / the announcement")
    ],
    reason: Annotated[str, typer.Option(help="理由 / why, for everybody to read")],
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="VOID.json", help="where to write it")
    ] = None,
    reveal: Annotated[
        list[Path] | None,
        typer.Option(help="已公开的秘密 / the reveals, each party's, once any party has revealed"),
    ] = None,
    public: PublicOption = None,
) -> None:
    """作废一份未抽取的公告 / End an announcement that was not drawn: the only way to announce its plan again.

    After the time of the public value, and after any reveal, the void carries all reveals and the value, so that
    everybody can compute the discarded draw.
    """
    installation = Installation(output.settings())
    announced = files.announcement(announcement)
    signer = _key(installation, announced.plan)
    if out:
        check_writable(out)
    shown, value = _discarded(announced, files.reveals(reveal or []), public, installation.trust)
    data = DrawStore(installation.settings.data).void(announced, reason, signer, shown, value)
    installation.log_papers()
    if out:
        write_whole(out, data)
        if not output.as_json():
            output.line(f"已作废 / voided: {out}")
            return
    output.line(data.decode())


def _discarded(
    announced: Announcement, reveals: list[Reveal], public: str | None, trust: TrustStore
) -> tuple[list[Reveal], PublicValue | None]:
    """Return the reveals and the public value that a void has to carry. Raise DrawError where one is missing."""
    source = announced.plan.seed.public
    known = not isinstance(source, UnsetType) and time_of(source, trust) <= now()
    if not reveals and not known:
        if public is not None:
            raise DrawError(
                "公开随机数须与公开的秘密一并给出 / a public value goes with the reveals", where="--public"
            )
        return [], None
    ordered = in_order(reveals, announced, announced.digest)
    return ordered, _public_value(announced, public, trust) if known else None


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
    public: PublicOption = None,
    proof: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="公告发布的证明：RFC 3161 时间戳 / proofs that the announcement was published: timestamps",
        ),
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
    value = _public_value(announced, public, installation.trust)
    proofs = publication.read(proof or [], announced, installation.trust)
    check_writable(out)
    recorded = [path for path in store.earlier(announced.plan) if _digest(path) in announced.earlier]
    with (
        _watched(register) as progress,
        files.opened(
            register, inspectors, conflicts, earlier or [], installation.trust, progress, recorded
        ) as given,
    ):
        transcript = compute(announced, given, shown, value)
        transcript = msgspec.structs.replace(transcript, proofs=proofs or UNSET)
        data = store.record(announced, transcript, signer)
        installation.log_papers()
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
    ] = "",
    reason: Annotated[str, typer.Option(help="理由 / why, for everybody to read")] = "",
    target: Annotated[
        str | None,
        typer.Option(metavar="ID", help="人员缺席的检查对象 / the visit that an inspector cannot make"),
    ] = None,
    conflicts: ConflictsFile = None,
    public: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|TEXT",
            help="缺席公告所指轮次 / the round of the announced absence, where the plan has a beacon for it",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="REPLACEMENT.json", help="where to write it")
    ] = None,
) -> None:
    """顺位递补 / Record the next in order for a target, or for an inspector at one target, with the reason.

    In a plan with `replacements = { beacon }` there are two steps: the first one prints the absence, which names a
    later round and is to be published with a timestamp; the second one (`--public`) takes the next by that round.
    """
    installation = Installation(output.settings())
    store, shown = DrawStore(installation.settings.data), files.published(transcript)
    announced, drawn = shown.announcement, shown.transcript
    if drawn is None or store.transcript(announced) != transcript.read_bytes():
        raise DrawError("this transcript is not on record in the data folder / 该记录未在本数据目录备案")
    signer = _key(installation, announced.plan)
    if out:
        check_writable(out)
    with (
        _watched(register) as progress,
        files.opened(register, inspectors, conflicts, [], installation.trust, progress) as given,
    ):
        check_given(announced, given, earlier=False)
        staff = read_inspectors(given.inspectors, announced.leave_period)
        after = Aftermath(drawn, announced, given.targets, staff, read_conflicts(given.conflicts))
        change = DrawChange(store, after, announced, installation.trust, now())
        if public is not None:
            data = store.replace(announced, partial(change.by_round, public), signer)
        elif announced.plan.replacements is not UNSET:
            data = store.announce_absence(
                announced, partial(change.absent, unavailable, reason, target), signer
            )
        else:
            data = store.replace(announced, partial(change.next, unavailable, reason, target), signer)
    installation.log_papers()
    if out:
        write_whole(out, data)
    output.line(data.decode())


def _digest(path: Path) -> str:
    return sha256(read_file(path)).hexdigest()


def _public_value(announced: Announcement, public: str | None, trust: TrustStore) -> PublicValue | None:
    """Read the public value of a draw, from a file where there is one of this name. Raise DrawError where it is wrong."""
    source = announced.plan.seed.public
    if isinstance(source, UnsetType):
        if public is not None:
            raise DrawError(
                "抽查计划没有公开随机数 / the plan has no public number", hint="leave --public out"
            )
        return None
    at = time_of(source, trust)
    if now() < at:
        raise DrawError(
            f"公开随机数尚未产生 / the public number does not exist before {at.isoformat()}",
            hint="wait for it",
        )
    if not public:
        raise DrawError(
            "抽查计划要求公开随机数 / the plan requires a public number", hint="--public FILE|TEXT"
        )
    return read_value(files.text_or_file(public), source, trust)


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


@contextmanager
def _watched(register: Path) -> Iterator[Any]:
    """Show a progress bar over the rows of a register: each is read once and digested once."""
    with output.progress(f"名录 / register {register.name}") as bar:
        yield lambda what, rows: bar.advance(rows)
