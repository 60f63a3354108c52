"""`zhengzhao licence`: licences in force and before, and their artefacts."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from infra.cli import output
from infra.cli.case import queries, show_history
from schemas.errors import UsageError

app = typer.Typer(
    no_args_is_help=True, help="证照 / licences", epilog="Example: zhengzhao licence list --json"
)
_COLUMNS = ("number", "version", "status", "item", "holder_name", "issued_on", "valid_until")


class Format(StrEnum):
    """What of a licence is wanted."""

    PDF = "pdf"
    CWT = "cwt"
    JSON = "json"
    MANIFEST = "manifest"


@app.callback()
def licence() -> None:
    """证照 / licences."""


@app.command("list", epilog="Example: zhengzhao licence list --json")
def list_licences() -> None:
    """列出证照 / Every licence, in its newest version."""
    with queries() as ask:
        if output.as_json():
            output.print_rows(ask.licences())
            return
        rows = [[row[c] for c in _COLUMNS] for row in ask.licences()]
    output.print_table(_COLUMNS, rows)


@app.command(epilog="Example: zhengzhao licence show '(青)XK16-204-00001' --json")
def show(number: Annotated[str, typer.Argument(metavar="NUMBER", help="证照编号 / its number")]) -> None:
    """查证照 / A licence with its versions and everything that happened to it. Exit 1 for an unknown number."""
    with queries() as ask:
        row = ask.licence(number)
    if output.as_json():
        output.print_json(row)
        return
    output.print_fields((name, value) for name, value in row.items() if name != "history")
    show_history(row["history"])


@app.command(epilog="Example: zhengzhao licence get '(青)XK16-204-00001' --format pdf -o licence.pdf")
def get(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="证照编号 / its number")],
    form: Annotated[Format, typer.Option("--format", help="pdf, cwt, json or manifest")] = Format.PDF,
    target: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="- 标准输出 / standard output")
    ] = "-",
    version: Annotated[
        int | None, typer.Option(metavar="N", help="版本 / the version [default: the newest]")
    ] = None,
) -> None:
    """取证照 / Fetches the PDF, the credential, licence.json, or a manifest of what lies where."""
    from infra.stores import open_store
    from infra.stores.uploads import artefact

    settings = output.settings()
    with queries() as ask:
        content = artefact(ask, open_store(settings.store, settings.objects), number, version, form.value)
    _write(target, content, form)


def _write(target: str, content: bytes, form: Format) -> None:
    if target != "-":
        from infra.stores.uploads import digest

        Path(target).write_bytes(content)
        if output.as_json():
            output.print_json({"file": target, "format": form.value, **digest(content)})
        else:
            output.note(f"{target}: {len(content)} bytes")
        return
    if form in (Format.PDF, Format.CWT) and sys.stdout.isatty():
        raise UsageError("binary data on a terminal / 终端不宜输出二进制", hint="-o FILE")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
