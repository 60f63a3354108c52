"""`zhengzhao check` and `zhengzhao inspect`: inspections, recorded and listed.

`check` is for on-site checks (后置现场核查) and other inspections, `inspect` for the visits that draws order, their
results, and the publication of these. `check record` and `inspect record` share their options and the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from infra.bootstrap import Installation
from infra.cli import output, sending
from infra.cli.output import now
from infra.cli.sending import Holder, OnLicence, Sending, spread
from infra.draw import files, results_page
from infra.draw.files import check_writable, write_whole
from infra.draw.pages import authority_name
from infra.draw.register import departments_in
from infra.draw.store import DrawStore
from infra.persons.access_log import Accesses
from processors.draw import visits
from processors.queries.listings import Listings
from producers import agency_events
from producers.agency_events import Named, Sender
from schemas.calendar import china_date
from schemas.draw.aftermath import PublishedDraw
from schemas.draw.annual import plans_of, read_annual
from schemas.draw.encoding import read_file, shown_id
from schemas.draw.plan import parse_toml
from schemas.errors import DrawError, NotFound, UsageError
from schemas.identifiers import compare

Result = Annotated[str, typer.Option(help="结果；随机抽查用规定用语 / result; official text where random")]
Passed = Annotated[bool, typer.Option("--passed/--failed", help="合格与否 / whether it passed")]
CommitmentFalse = Annotated[
    bool, typer.Option("--commitment-false", help="承诺不实 / the commitment was false")
]
Findings = Annotated[str | None, typer.Option(help="发现的问题 / what was found")]
On = Annotated[
    str | None, typer.Option("--on", metavar="DATE", help="检查日期 / day [default: of the event]")
]


@dataclass(frozen=True, kw_only=True)
class Inspection(Sending):
    """The options of an inspection's result."""

    result: Result
    passed: Passed
    commitment_false: CommitmentFalse = False
    findings: Findings = None
    on: On = None
    holder: Holder = None


class OrderedVisit(NamedTuple):
    """The visit of a draw: the announcement's digest, the target as drawn, and the authority that drew."""

    draw: str
    target: str
    authority: str


def send_inspection(
    said: Inspection,
    licence: Named | None,
    kind: str,
    inspectors: Sequence[str],
    inspection_id: str | None,
    drawn: OrderedVisit | None = None,
) -> None:
    """Send the event. An inspector is ID or ID@DEPARTMENT [default: the sender's]; None makes a new id.

    Without a licence it is about the drawn target itself.
    """
    if licence is None:
        assert drawn is not None  # The caller names a licence or a visit.
        holder_id, urn = None, said.source or drawn.authority
    else:
        holder_id, urn = sending.about(licence, said.holder, said.source)
    who = sending.sender(urn, said.at, said.event_id)
    own = inspection_id or f"I-{who.event_id}"
    day = sending.read_day(said.on, "--on") or china_date(who.at)
    data = {
        "inspection_id": own,
        "kind": kind,
        "holder_id": holder_id,
        "inspectors": [_inspector(text, urn) for text in inspectors],
        "inspected_on": day.isoformat(),
        "result": said.result,
        "passed": said.passed,
        "commitment_false": said.commitment_false,
        "findings": said.findings,
        "draw": drawn.draw if drawn else None,
        "target": drawn.target if drawn else None,
    }
    event = agency_events.inspection(who, licence, data)
    sending.finish(event, event_only=said.event_only, proof_key=said.proof_key, inspection_id=own)


def _inspector(text: str, source: str) -> dict[str, str]:
    own, _, department = text.partition("@")
    return {"id": own, "department": department or source.rpartition(":")[2]}


check_app = typer.Typer(
    no_args_is_help=True,
    help="现场核查与检查 / on-site checks and inspections",
    epilog="Example: zhengzhao check list --overdue",
)
KINDS = ("post-issuance", "random", "complaint")
STATES = ("scheduled", "overdue", "passed", "failed")
_COLUMNS = ("inspection_id", "licence_number", "holder_id", "item", "kind", "due", "state")


@check_app.callback()
def check() -> None:
    """现场核查与检查 / On-site checks and inspections."""


@check_app.command(
    "list", epilog="Example: zhengzhao check list --state scheduled --before 2018-10-12 --json"
)
def list_checks(
    overdue: Annotated[bool, typer.Option("--overdue", help="只列超期的 / only the overdue ones")] = False,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"状态 / one of {', '.join(STATES)}")
    ] = None,
    item: Annotated[str | None, typer.Option(metavar="CODE", help="事项 / of this item")] = None,
    before: Annotated[
        str | None, typer.Option(metavar="DATE", help="此日之前到期 / due before this day")
    ] = None,
) -> None:
    """列出核查 / List the checks of all licences: scheduled, overdue, passed, failed."""
    output.check_choice(state, STATES, "--state")
    day = sending.read_day(before, "--before")
    with Installation(output.settings()) as installation, installation.register() as register:
        rows = Listings(register, Accesses(output.settings().data).record).checks(
            item=item, state="overdue" if overdue else state, before=day.isoformat() if day else None
        )
        if output.as_json():
            output.print_rows(rows)
            return
        output.print_table(_COLUMNS, ([row[column] for column in _COLUMNS] for row in rows), title="checks")


@dataclass(frozen=True, kw_only=True)
class Checked(OnLicence, Inspection):
    """The options of an inspection of a named licence."""


@check_app.command(
    "record",
    epilog="Example: zhengzhao check record '(青)XK13-001-00001' --inspector 6301-01 --inspector 6301-02 "
    "--result 未发现问题 --passed",
)
@spread
def record_check(
    said: Checked,
    inspector: Annotated[
        list[str],
        typer.Option(
            metavar="ID[@DEPARTMENT]",
            help="检查人员，至少两名 / who inspected, at least two [department: the licence's]",
        ),
    ],
    kind: Annotated[str, typer.Option(help=f"种类 / one of {', '.join(KINDS)}")] = "post-issuance",
    inspection_id: Annotated[
        str | None,
        typer.Option("--inspection-id", metavar="ID", help="检查编号 / its id [default: a new one]"),
    ] = None,
) -> None:
    """记录检查 / Record an inspection. A failed check of a commitment item ends the licence (撤销)."""
    licence = sending.named(said.number, said.number_option, said.granted_by)
    send_inspection(said, licence, kind, inspector, inspection_id)


inspect_app = typer.Typer(
    no_args_is_help=True,
    help="抽查之后：任务、结果、公示 / after a draw: visits, results, publication",
    epilog="Example: zhengzhao inspect list TRANSCRIPT.json",
)
Transcripts = Annotated[
    list[Path],
    typer.Argument(metavar="TRANSCRIPT.json…", help="抽取记录 / transcripts; several make joint visits"),
]
_SHOWN = ("target", "state", "joint", "items", "inspectors", "until")


@inspect_app.command(
    "list", epilog="Example: zhengzhao inspect list market.json fire.json --state overdue --json"
)
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
    """列出任务，多部门合并为一次 / List the visits, one for each target; several departments make one joint visit."""
    output.check_choice(state, ("open", "overdue", "done"), "--state")
    with Installation(output.settings()) as installation, installation.register() as register:
        days = visits.published_days(
            register, results_page.published_tables(DrawStore(output.settings().data))
        )
        found = visits.tasks(_draws(transcripts), visits.records(register), days)
    joined = _together(annual) if annual else {}
    rows = [row for row in visits.visits(found, china_date(now()), joined) if state in (None, row["state"])]
    output.print_list(_SHOWN, rows)
    if late := sum(1 for row in rows if row["state"] == "overdue"):
        output.warn(f"{late} visits are overdue / {late} 户逾期未检查", "zhengzhao inspect record")


@inspect_app.command(
    "record",
    epilog="Example: zhengzhao inspect record T.json --target '(青)XK13-001-00001' --result 未发现问题 --passed",
)
@spread
def record_visit(
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
    inspectors: Annotated[
        Path | None,
        typer.Option(
            "--inspectors",
            metavar="REGISTER",
            help="检查人员名录，人员的部门以此为准 / the inspectors' register, which has their departments "
            "[default: the imported one]",
        ),
    ] = None,
) -> None:
    """记录抽查结果 / Record the result of the visit to a drawn target, as an event; a false commitment ends a licence.

    A target that holds no licence here is recorded all the same. Only inspectors who were drawn for the target, or
    who replaced them, are recorded; their departments come from the announced register.
    """
    (shown,) = _draws([transcript])
    drawn = dict(shown.visits())
    if target not in drawn:
        raise NotFound(f"not drawn: {shown_id(target)} / 未抽中该对象", where=str(transcript))
    licence = sending.named(number, None, None) if number else _licence(target)
    own = visits.inspection_id(shown.announcement.digest, target)
    came = inspector or drawn[target]
    _refuse_others(came, drawn[target], transcript)
    announced = shown.announcement.registers.inspectors
    departments = departments_in(output.settings().data / "registers", announced, inspectors)
    ids = [text.partition("@")[0] for text in came]
    known = [f"{i}@{departments[i]}" if i in departments else text for i, text in zip(ids, came, strict=True)]
    plan = shown.announcement.plan
    drawn_here = OrderedVisit(shown.announcement.digest, target, plan.authority)
    send_inspection(said, licence, "random", known, own, drawn_here)


def _licence(target: str) -> Named | None:
    """Return the licence whose number a drawn target is; None where the target holds none here under its id."""
    try:
        sending.subject_of(Named(target), None)
    except NotFound:
        return None
    return Named(target)


def _refuse_others(came: Sequence[str], drawn: Sequence[str], transcript: Path) -> None:
    """Raise DrawError for an inspector who was neither drawn for a target nor replaced one of them."""
    allowed = {compare(own) for own in drawn}
    for text in came:
        own = text.partition("@")[0]
        if compare(own) not in allowed:
            raise DrawError(
                f"{shown_id(own)} 未被抽派到该对象 / {shown_id(own)} was not drawn for this target",
                where=str(transcript),
                hint="zhengzhao draw replace, with the reason, for an inspector who cannot come",
            )


@inspect_app.command(epilog="Example: zhengzhao inspect publish TRANSCRIPT.json -o results")
@spread
def publish(
    said: Sending,
    transcripts: Transcripts,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="写入 index.html、results.csv、results.xlsx / where to write them",
        ),
    ],
    register: Annotated[
        Path | None,
        typer.Option(
            metavar="R.csv",
            help="检查对象名录，用于名称 / targets, for their names [default: the imported one]",
        ),
    ] = None,
) -> None:
    """公示结果 / Publish results as a page, as CSV and as a workbook, and record the day by an event for each draw.

    A result whose first publication comes after its twenty working days is late for good.
    """
    draws = _draws(transcripts)
    out.mkdir(parents=True, exist_ok=True)  # An event for a page that cannot be written would be untrue.
    check_writable(out / "results.csv")
    store = DrawStore(output.settings().data)
    who = sending.sender(said.source or "", said.at, said.event_id)
    day = china_date(who.at)
    with Installation(output.settings()) as installation, installation.register() as found:
        tasks = visits.tasks(
            draws, visits.records(found), visits.published_days(found, results_page.published_tables(store))
        )
    names = results_page.target_names(draws, register, output.settings().data)
    rows = visits.results(tasks, day, names, authority_name)
    overdue = visits.overdue(tasks, day, names)
    table = results_page.results_csv(rows).encode()
    events = _publish(said, draws, tasks, table, store, who)
    title = " · ".join(dict.fromkeys(d.announcement.plan.title for d in draws))
    page = results_page.results_page(title, rows, len(tasks), overdue)
    write_whole(out / "index.html", page.encode())
    write_whole(out / "results.csv", table)
    write_whole(out / "results.xlsx", results_page.results_xlsx(rows))
    late = sum(1 for row in rows if row["late"])
    answer = {
        "published": len(rows), "to_come": len(tasks) - len(rows), "late": late, "overdue": len(overdue),
        "digest": sha256(table).hexdigest(), "events": events, "folder": str(out),
    }  # fmt: skip
    if output.as_json():
        output.print_json(answer)
    elif not said.event_only:
        output.print_fields(answer.items())
    if late:
        output.warn(f"{late} results were due for publication earlier / {late} 条结果逾期公示")


def _publish(
    said: Sending,
    draws: Sequence[PublishedDraw],
    tasks: Sequence[visits.Task],
    table: bytes,
    store: DrawStore,
    who: Sender,
) -> list[str]:
    """Send an event for each draw with results that were not published before; return the ids of the events."""
    sent = []
    for number, shown in enumerate(draws):
        announced = shown.announcement
        own = {visits.inspection_id(announced.digest, target) for target, _ in shown.visits()}
        fresh = [t for t in tasks if t.inspection_id in own and t.record and not t.published_on]
        if not fresh:
            continue
        event_id = who.event_id if number == 0 else f"{who.event_id}-{number}"
        sender = Sender(said.source or announced.plan.authority, who.at, event_id)
        done = sum(1 for t in tasks if t.inspection_id in own and t.record)
        event = agency_events.results_published(sender, announced.digest, sha256(table).hexdigest(), done)
        event = sending.signed(event, said.proof_key)
        if said.event_only:
            output.print_json(event)
            continue
        store.keep_results(announced, table)
        sending.send(event)
        sent.append(event_id)
    return sent


def _together(path: Path) -> dict[str, list[str]]:
    """Return by a plan's name the authorities that a year's plan sends together."""
    year = read_annual(parse_toml(read_file(path), str(path)), str(path))
    at = year.authority.rpartition(":")[0]
    return {draw.plan.plan: [f"{at}:{d}" for d in draw.departments] for draw in plans_of(year)}


def _draws(paths: list[Path]) -> list[PublishedDraw]:
    """Read some transcripts with their replacements on record."""
    found = [files.published(path, output.settings().data / "draws") for path in paths]
    for path, shown in zip(paths, found, strict=True):
        if shown.transcript is None:
            raise UsageError("不是抽取记录 / not a transcript", where=str(path), hint="zhengzhao draw run")
    return found
