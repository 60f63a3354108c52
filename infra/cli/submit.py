"""`zhengzhao submit`: take in events, PDF packets and tables of applications."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from infra.bootstrap import Installation, event_signer
from infra.cli import later, output
from infra.cli.output import now, read_moment
from infra.cli.words import one_language
from producers.files import (
    Inbox,
    Sorted,
    Summary,
    read_table_file,
    sort_out,
    submit_file,
    submit_papers,
    submit_rows,
)
from producers.tables import Submission, first_time, read_applications
from schemas.errors import UsageError
from schemas.item_types import ServiceItem

app = typer.Typer()
_Sign = Callable[[bytes], bytes]
read_file = later("producers.packet_events:read_file")
read_told = later("producers.printed:read_told")
_TABLE_HINT = "zhengzhao submit TABLE --item ITEM --source urn:agency:630000:market-regulation"


_Files = Annotated[
    list[str],
    typer.Argument(
        help="事件（每行一个）、PDF 材料、申请表格 / CloudEvents one a line, PDF packets, .xlsx or .csv; - 标准输入 / standard input"
    ),
]
_Source = Annotated[
    str,
    typer.Option(
        help="表格与 PDF 材料的来源 / source URN of tables and PDF packets [default for packets: hall of the window]"
    ),
]
_At = Annotated[
    str,
    typer.Option(
        "--at",
        help="表格与 PDF 材料的时间 / time of tables and PDF packets [default: now; for a table its first submission]",
    ),
]
_Application = Annotated[
    str,
    typer.Option(
        "--application",
        metavar="ID",
        help="PDF 材料补正此申请 / the PDF papers supplement this application",
    ),
]
_Values = Annotated[
    Path | None,
    typer.Option(
        "--values",
        metavar="FILE.json",
        help="扫描件、照片的内容；所列文件为一份申请 / what stands on scans and photographs; the files are one application",
    ),
]


@app.command(epilog="Example: zhengzhao submit events.jsonl --json")
def submit(
    files: _Files,
    source: _Source = "",
    item: Annotated[str, typer.Option(help="表格所申请的事项 / item that a table applies for")] = "",
    at: _At = "",
    application: _Application = "",
    values: _Values = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--sign", metavar="KEY.pem", help="以机构私钥签署每个事件 / sign each event as its agency"
        ),
    ] = None,
) -> None:
    """收件 / Take in events, PDF packets and tables of applications; `drain` decides.

    Exit 1 if a line or row was rejected, 2 if a file is absent, empty or of another form.
    """
    moment = read_moment(at, "--at") if at else now()
    sign = event_signer(key) if key is not None else _unsigned
    told = read_told(*reversed(read_file(values))) if values is not None else None
    given, summary = sort_out(files) if told is None else Sorted([], list(files), [], {}), Summary()
    if len(given.faults) == len(set(files)):
        raise next(iter(given.faults.values()))
    with output.installation() as installation, ExitStack() as opened:
        tables = _Tables(installation, item, source, moment, fixed=bool(at))
        inbox = opened.enter_context(installation.inbox())
        _take_in(given, tables, inbox, summary, sign)
        if given.pdfs:
            papers = installation.packets(source, moment, application, told)
            at_door = sign if key is not None else installation.sign_at_intake
            submit_papers(given.pdfs, inbox, summary, papers, sign=at_door)
    if set(given.faults) == set(files):
        raise given.faults[files[0]]
    for name, fault in given.faults.items():
        summary.refuse(name, 0, fault)
    _show(msgspec.to_builtins(summary))
    if summary.accepted and not output.as_json():
        output.note(f"hint: {installation.next_step()}")
    raise typer.Exit(2 if given.faults else 1 if summary.rejected else 0)


def _unsigned(raw: bytes) -> bytes:
    return raw


class _Tables:
    """The tables of one call: their item, their sender, and the moment of their events."""

    def __init__(
        self, installation: Installation, item: str, source: str, at: datetime, *, fixed: bool
    ) -> None:
        self._installation = installation
        self._code, self._source = item, source
        self._at, self._fixed = at, fixed

    def take_in(self, name: str, inbox: Inbox, summary: Summary, sign: _Sign) -> None:
        """Take one table in. Raise UsageError for a file that is no table of the item."""
        if not self._code or not self._source:
            raise UsageError(
                "申请表格须指明事项和来源 / a table of applications needs --item and --source",
                where=name,
                hint=_TABLE_HINT,
            )
        raw = read_table_file(name)
        item = self._item()
        digest = hashlib.sha256(raw).hexdigest()
        at = first_time(self._installation.settings.data, digest, self._at, fixed=self._fixed)
        found = read_applications(raw, item, Submission(self._source, at), name)
        if found.others:
            output.note(f"{name}: 未读取的工作表 / sheets that were not read: {', '.join(found.others)}")
        submit_rows(name, found.outcomes, inbox, summary, sign=sign)

    def _item(self) -> ServiceItem:
        item = self._installation.catalogue.get(self._code)
        if item is None:
            raise UsageError(
                f"未找到该事项 / no such item: {self._code}",
                where="--item",
                hint="zhengzhao items list",
            )
        return item


def _take_in(given: Sorted, tables: _Tables, inbox: Inbox, summary: Summary, sign: _Sign) -> None:
    """Take in files of events and tables. A file that proves unusable becomes a fault; the others are taken in."""
    with output.progress("submit", _size(given.lines)) as bar:
        for name in given.lines:
            try:
                submit_file(name, inbox, summary, progress=bar.advance, sign=sign)
            except UsageError as error:
                given.faults[name] = error
        for name in given.tables:
            try:
                tables.take_in(name, inbox, summary, sign)
            except UsageError as error:
                given.faults[name] = error


def _size(names: list[str]) -> int | None:
    """Return the number of bytes to read, for the progress bar; None where a pipe is among the inputs."""
    sizes = [Path(name).stat().st_size if Path(name).is_file() else None for name in names]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _show(summary: dict[str, object]) -> None:
    if output.as_json():
        output.print_json(summary)
        return
    rejected: list[dict[str, object]] = summary["rejected"]  # type: ignore[assignment]
    for one in rejected:
        place = f"{one['file']}:{one['line']}" if one["line"] else one["file"]
        output.note(f"error: {place}: {one_language(str(one['error']))}\nhint: {one['hint']}")
    output.line(
        f"收下 / accepted {summary['accepted']} · 重复 / duplicates {summary['duplicates']} · "
        f"拒收 / rejected {len(rejected)}"
    )
