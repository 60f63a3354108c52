"""`zhengzhao packet`: the papers of an application as PDFs.

`zhengzhao material`: uploaded files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from infra.cli import output

app = typer.Typer(
    help="PDF 申请材料 / the papers of an application as PDFs",
    no_args_is_help=True,
    epilog="Example: zhengzhao packet new industrial-product-licence -o forms",
)


@app.callback()
def group() -> None:
    """PDF 申请材料 / The papers of an application as PDFs."""


@app.command(epilog="Example: zhengzhao packet new industrial-product-licence -o forms")
def new(
    item: Annotated[str, typer.Argument(help="事项代码 / code of the item")],
    folder: Annotated[Path, typer.Option("-o", "--output", help="目录 / folder")] = Path("."),
) -> None:
    """写出空白申请单与承诺书 / Writes the blank application form and commitment letter, with fields to fill."""
    from infra.bootstrap import Installation

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    forms = Installation(output.settings()).packet_forms
    for name, pdf in forms.blank_forms(forms.item(item)).items():
        (folder / name).write_bytes(pdf)
        written.append(str(folder / name))
    if output.as_json():
        output.print_json({"written": written})
    else:
        for path in written:
            output.line(path)


@app.command(epilog="Example: zhengzhao packet fill forms/application-form.pdf values.json -o filled.pdf")
def fill(
    form: Annotated[Path, typer.Argument(help="空白表格 / the blank form")],
    values: Annotated[Path, typer.Argument(help='JSON：{"applicant.name": …}')],
    target: Annotated[Path, typer.Option("-o", "--output", help="写到 / file to write")],
) -> None:
    """用 JSON 填表 / Fills a form from JSON: names of fields → texts."""
    from producers.forms import fill as fill_form
    from producers.packet_events import read_file
    from schemas.errors import UsageError

    try:
        given = json.loads(read_file(values)[1])
    except ValueError as error:
        raise UsageError(
            f"不是 JSON / no JSON: {error}", where=str(values), hint='{"applicant.name": "…"}'
        ) from None
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise UsageError(
            "须为名称到文本的对象 / an object of texts", where=str(values), hint='{"applicant.name": "…"}'
        )
    target.write_bytes(fill_form(read_file(form)[1], given))
    if output.as_json():
        output.print_json({"written": str(target)})
    else:
        output.line(str(target))


@app.command(epilog="Example: zhengzhao packet read application-form.pdf commitment-letter.pdf --json")
def read(
    files: Annotated[list[Path], typer.Argument(help="一份申请的各张材料 / the papers of one application")],
    source: Annotated[str, typer.Option(help="来源 / source URN [default: service hall of the window]")] = "",
    at: Annotated[str, typer.Option("--at", help="事件时间 / time of the event [default: now]")] = "",
) -> None:
    """读出申请事件 / Reads papers into an application event; each field with page and box. Exit 1 if they contradict."""
    from infra.bootstrap import Installation
    from infra.cli.output import now, read_moment
    from producers.packet_events import packet_row, read_file

    forms = Installation(output.settings()).packet_forms
    packet = forms.read([read_file(path) for path in files])
    event = (
        None
        if packet.contradictions
        else forms.event(packet, source=source, at=read_moment(at, "--at") if at else now())
    )
    if output.as_json():
        output.print_json({"event": event, **packet_row(packet)})
    else:
        for value in packet.values:
            output.line(f"{value.name}\t{value.value}\t{value.file} p.{value.page} {value.box}")
        for one in packet.contradictions:
            output.note(
                f"error: {one.field}: {one.detail}\nhint: 改正后重交 / mend the papers and hand them in anew"
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
    """存入一份材料，返回其 uri / Keeps a file, encrypted, under its hash; prints the `uri` that a material names."""
    from infra.persons import open_persons
    from infra.stores import open_store
    from infra.stores.uploads import put_upload
    from producers.packet_events import read_file

    settings = output.settings()
    _, content = read_file(file)
    persons = open_persons(settings.data, settings.shared_persons)
    try:
        uri = put_upload(open_store(settings.store, settings.objects), persons, content)
    finally:
        persons.close()
    if output.as_json():
        output.print_json({"uri": uri, "sha256": uri.rpartition("/")[2], "size": len(content)})
    else:
        output.line(uri)
