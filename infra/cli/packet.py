"""`zhengzhao packet`: the documents of an application as PDFs.

`zhengzhao material`: uploaded files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli import later, output
from infra.cli.output import now, read_moment
from processors.queries.find import find_case
from processors.queries.listings import window_of
from schemas.errors import NotFound, UsageError
from schemas.persons import is_pseudonym

if TYPE_CHECKING:
    from infra.bootstrap import Installation

app = typer.Typer(
    help="PDF 申请材料 / the documents of an application as PDFs",
    no_args_is_help=True,
    epilog="Example: zhengzhao packet new industrial-product-licence -o forms",
)


read_file = later("producers.packet_events:read_file")
packet_row = later("producers.packet_events:packet_row")
case_needs = later("producers.packet_events:CaseNeeds")
read_told = later("producers.printed:read_told")


@app.callback()
def group() -> None:
    """PDF 申请材料 / The documents of an application as PDFs."""


@app.command(epilog="Example: zhengzhao packet new industrial-product-licence -o forms")
def new(
    item: Annotated[
        str, typer.Argument(metavar="[ITEM]", help="事项代码 / code of the item", show_default=False)
    ] = "",
    folder: Annotated[Path, typer.Option("-o", "--output", help="目录 / folder")] = Path("."),
    case: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="ID",
            help="补正此申请：只列所缺内容 / for this case: a form that lists just what is missing",
        ),
    ] = "",
    withdrawal: Annotated[
        bool,
        typer.Option("--withdrawal", help="撤回 --for 的申请 / the form that withdraws the case of --for"),
    ] = False,
    holder: Annotated[
        str | None,
        typer.Option(
            "--holder", metavar="H", help="同号时指明持证人 / the holder, where several share the id"
        ),
    ] = None,
) -> None:
    """写出空白申请单与承诺书，或补正单 / Write the blank forms of an item, or those that a case still needs."""
    if bool(item) is bool(case) or (withdrawal and not case):
        raise UsageError(
            "指明事项，或以 --for 指明申请 / name an item, or a case with --for",
            hint="zhengzhao packet new ITEM -o DIR; zhengzhao packet new --for ID [--withdrawal] -o DIR",
        )
    with output.installation() as here:
        forms = here.packet_forms
        if case:
            needs = _needs(here, case, holder)
            made = forms.withdrawal_form(needs) if withdrawal else forms.correction_forms(needs)
        else:
            made = forms.blank_forms(forms.item(item))
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, pdf in made.items():
        (folder / name).write_bytes(pdf)
        written.append(str(folder / name))
    if output.as_json():
        output.print_json({"written": written})
    else:
        for path in written:
            output.line(path)


def _needs(here: Installation, application: str, holder: str | None) -> Any:
    """Return what a case asks for. Raises NotFound for an unknown one, or one that is decided."""
    with here.register() as register:
        state, case = find_case(register, here.persons, application, holder)
    here.accesses.record(state.holder, "form prepared", case.application_id)
    if not case.open:
        raise NotFound(
            "此申请已办结 / this application is decided",
            where=case.application_id,
            hint=f"zhengzhao case show {case.application_id}",
        )
    missing = dict.fromkeys((*case.missing, *case.deferred))
    number = "" if is_pseudonym(state.holder) else state.holder
    return case_needs(case.application_id, case.item, number, window_of(case), tuple(missing))


@app.command(epilog="Example: zhengzhao packet fill forms/application-form.pdf values.json -o filled.pdf")
def fill(
    form: Annotated[Path, typer.Argument(help="空白表格 / the blank form")],
    values: Annotated[Path, typer.Argument(help='JSON：{"applicant.name": …}')],
    target: Annotated[Path, typer.Option("-o", "--output", help="写到 / file to write")],
) -> None:
    """用 JSON 填表 / Fill a form from JSON: names of fields → texts."""
    try:
        given = json.loads(read_file(values)[1])
    except ValueError as error:
        raise UsageError(
            f"不是 JSON / not JSON: {error}", where=str(values), hint='{"applicant.name": "…"}'
        ) from None
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise UsageError(
            "须为字段名到文本的对象 / it must be an object of texts",
            where=str(values),
            hint='{"applicant.name": "…"}',
        )
    with output.installation() as here:
        target.write_bytes(here.packet_forms.fill(read_file(form)[1], given))
    if output.as_json():
        output.print_json({"written": str(target)})
    else:
        output.line(str(target))


@app.command(epilog="Example: zhengzhao packet read application-form.pdf commitment-letter.pdf --json")
def read(
    files: Annotated[list[Path], typer.Argument(help="一份申请的各张材料 / the papers of one application")],
    source: Annotated[str, typer.Option(help="来源 / source URN [default: service hall of the window]")] = "",
    at: Annotated[str, typer.Option("--at", help="事件时间 / time of the event [default: now]")] = "",
    application: Annotated[
        str,
        typer.Option(
            "--application", metavar="ID", help="补正此申请 / the papers supplement this application"
        ),
    ] = "",
    values: Annotated[
        Path | None,
        typer.Option(
            "--values", metavar="FILE.json", help="扫描件、照片的内容 / what stands on scans and photographs"
        ),
    ] = None,
) -> None:
    """读出事件 / Read papers into an event: application, supplement or withdrawal. Exit 1 where they contradict."""
    told = read_told(*reversed(read_file(values))) if values is not None else None
    with output.installation() as here:
        forms = here.packet_forms
    packet = forms.read([read_file(path) for path in files], whole=not application, told=told)
    event = (
        None
        if packet.contradictions
        else forms.event(
            packet, source=source, at=read_moment(at, "--at") if at else now(), application_id=application
        )
    )
    if output.as_json():
        output.print_json({"event": event, **packet_row(packet)})
    else:
        for value in packet.values:
            output.line(f"{value.name}\t{value.value}\t{value.file} p.{value.page} {value.box}")
        for one in packet.contradictions:
            output.note(
                f"error: {one.field}: {one.detail}\n"
                "hint: 更正材料后重新提交 / correct the documents and resubmit"
            )
        if event is not None:
            output.line(json.dumps(event, ensure_ascii=False))
    raise typer.Exit(1 if packet.contradictions else 0)


material_app = typer.Typer(
    help="上传的材料 / uploaded files",
    no_args_is_help=True,
    epilog="Example: zhengzhao material put plan.pdf",
)


@material_app.callback()
def material_group() -> None:
    """上传的材料 / Uploaded files."""


@material_app.command(epilog="Example: zhengzhao material put plan.pdf")
def put(file: Annotated[Path, typer.Argument(help="文件 / the file")]) -> None:
    """存入一份材料 / Keep a file, encrypted, under its hash; print the `uri` by which a material names it."""
    _, content = read_file(file)
    with output.installation() as here:
        uri = here.keep_upload(content)
    if output.as_json():
        output.print_json({"uri": uri, "sha256": uri.rpartition("/")[2], "size": len(content)})
    else:
        output.line(uri)
