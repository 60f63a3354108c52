"""`zhengzhao licence`: licences in force and before, and their artefacts."""

from __future__ import annotations

import hashlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli import output
from infra.cli.case import queries, show_history
from schemas.errors import NotFound, UsageError

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
    from verification.pdf import attachments

    with queries() as ask:
        row = ask.version(number, version)
    key = row["objects"].get("licence.pdf")
    if key is None:
        raise NotFound(
            "这一版没有证照文件 / this version has no artefacts", where=number,
            hint="not issued yet: `zhengzhao drain`; an imported licence has none before its next version",
        )  # fmt: skip
    settings = output.settings()
    pdf = open_store(settings.store, settings.objects).get(key)
    parts = {"licence.pdf": pdf, **attachments(pdf)}
    content = {
        Format.PDF: parts["licence.pdf"],
        Format.CWT: parts["credential.cwt"],
        Format.JSON: parts["licence.json"],
        Format.MANIFEST: _manifest(row, key, parts),
    }[form]
    _write(target, content, form)


def _manifest(row: dict[str, Any], key: str, parts: dict[str, bytes]) -> bytes:
    import json

    manifest = {
        **{name: row[name] for name in ("number", "version", "identifier", "status")},
        "objects": [{"name": "licence.pdf", "key": key, **_digest(parts["licence.pdf"])}],
        "attached": [
            {"name": n, "in": "licence.pdf", **_digest(d)} for n, d in parts.items() if n != "licence.pdf"
        ],
    }
    return (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode()


def _digest(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def _write(target: str, content: bytes, form: Format) -> None:
    if target != "-":
        path = Path(target)
        path.write_bytes(content)
        if output.as_json():
            output.print_json({"file": target, "format": form.value, **_digest(content)})
        else:
            output.note(f"{target}: {len(content)} bytes")
        return
    if form in (Format.PDF, Format.CWT) and sys.stdout.isatty():
        raise UsageError("binary data on a terminal / 终端不宜输出二进制", hint="-o FILE")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
