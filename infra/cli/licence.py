"""`zhengzhao licence list|show|get`: licences in force and ended, and their artefacts."""

from __future__ import annotations

import hashlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from infra.cli import output
from schemas.errors import UsageError

if TYPE_CHECKING:
    from infra.stores.uploads import Form

app = typer.Typer(
    no_args_is_help=True, help="证照 / licences", epilog="Example: zhengzhao licence list --json"
)
STATUSES = ("valid", "suspended", "withdrawn", "rescinded", "revoked", "cancelled", "expired", "unissued")
_COLUMNS = ("number", "version", "status", "item", "holder_name", "issued_on", "valid_until")


class Format(StrEnum):
    """The artefacts of a licence that `get` writes."""

    PDF = "pdf"
    CWT = "cwt"
    JSON = "json"
    MANIFEST = "manifest"
    PROOF = "proof"
    TSR = "tsr"


@app.callback()
def licence() -> None:
    """证照 / Licences."""


@app.command("list", epilog="Example: zhengzhao licence list --json")
def list_licences(
    name: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="名称的一部分，含曾用名 / part of a name, former ones too"),
    ] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help=f"状态 / one of {', '.join(STATUSES)}")
    ] = None,
    item: Annotated[str | None, typer.Option(metavar="CODE", help="事项 / of this item")] = None,
    holder: Annotated[
        str | None, typer.Option(metavar="ID", help="持证人号码 / USCC, or a person's number in clear")
    ] = None,
) -> None:
    """列出证照 / List licences in their newest versions, as of the last event or tick."""
    output.check_choice(status, STATUSES, "--status")
    with output.installation() as here:
        output.check_choice(item, tuple(here.catalogue.items), "--item")
        with here.queries() as ask:
            rows = ask.licences(item=item, status=status, holder=holder, name=name)
            if output.as_json():
                output.print_rows(rows)
            else:
                output.print_table(_COLUMNS, ([row[c] for c in _COLUMNS] for row in rows))
        output.note_as_of(here)


@app.command(epilog="Example: zhengzhao licence show '(青)XK16-204-00001' --json")
def show(number: Annotated[str, typer.Argument(metavar="NUMBER", help="证照编号 / its number")]) -> None:
    """查证照 / Show a licence with its versions and its history. Exit 1 for an unknown number."""
    with output.installation() as here, here.queries() as ask:
        row = ask.licence(number)
    if output.as_json():
        output.print_json(row)
        return
    output.print_fields((name, value) for name, value in row.items() if name != "history")
    output.print_history(row["history"])


@app.command(epilog="Example: zhengzhao licence get '(青)XK16-204-00001' --format pdf -o licence.pdf")
def get(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="证照编号 / its number")],
    form: Annotated[
        Format, typer.Option("--format", help="格式 / pdf, cwt, json, manifest, proof or tsr")
    ] = Format.PDF,
    target: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="写到 / file; - 标准输出 / standard output")
    ] = "-",
    version: Annotated[
        int | None, typer.Option(metavar="N", help="版本 / the version [default: the newest]")
    ] = None,
) -> None:
    """取证照 / Write the PDF, the credential, licence.json, a manifest, a proof (C2SP tlog-proof) of the public log, or the
    timestamp (RFC 3161) of a licence without end.
    """
    with output.installation() as here:
        if form is Format.PROOF:
            content = here.proof(number, version)
        elif form is Format.TSR:
            content = here.timestamp(number, version)
        else:
            content = here.artefact(number, version, cast("Form", form.value))
    if target == "-":
        _to_stdout(content, form)
        return
    Path(target).write_bytes(content)
    if output.as_json():
        digest = hashlib.sha256(content).hexdigest()
        output.print_json({"file": target, "format": form.value, "sha256": digest, "size": len(content)})
    else:
        output.note(f"{target}: 已写 {len(content)} 字节 / {len(content)} bytes written")


def _to_stdout(content: bytes, form: Format) -> None:
    if form in (Format.PDF, Format.CWT, Format.TSR) and sys.stdout.isatty():
        raise UsageError("终端不显示二进制 / binary data on a terminal", hint="-o FILE")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
