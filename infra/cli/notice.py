"""`zhengzhao notice`: official letters to applicants and holders, as sealed PDFs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli import output
from schemas.errors import UsageError
from schemas.letters import Letter
from schemas.persons import keys_of

app = typer.Typer(
    no_args_is_help=True, help="文书 / official letters", epilog="Example: zhengzhao notice list"
)
_COLUMNS = ("id", "number", "title", "holder_id", "application_id", "licence_number", "dated")


@app.callback()
def notice() -> None:
    """文书 / Official letters to applicants: acceptance, correction, grant, refusal, endings."""


@app.command("list", epilog="Example: zhengzhao notice list --holder 9163000071040638XJ --json")
def list_notices(
    holder: Annotated[
        str | None, typer.Option(metavar="ID", help="持证人号码 / letters to this holder")
    ] = None,
    application: Annotated[
        str | None, typer.Option(metavar="ID", help="申请编号 / letters about this application")
    ] = None,
) -> None:
    """列出文书 / List the letters that the decisions led to."""
    with output.installation() as here:
        notices = here.notices
        if holder is None:
            found = list(notices.everything())
        else:
            found = [one for key in keys_of(holder, here.persons) for one in notices.of_holder(key)[::-1]]
        if any("*" in one.display for one in found):
            here.accesses.record("*", "notice list", "")
    rows = [_row(one) for one in found if application in (None, one.application_id)]
    output.print_list(_COLUMNS, rows)


@app.command(epilog="Example: zhengzhao notice get 3f1c… -o letter.pdf")
def get(
    letter: Annotated[str, typer.Argument(metavar="ID", help="文书编号或文号 / the letter's id or number")],
    target: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="写入 / the file to write")],
) -> None:
    """取文书 / Write a letter's sealed PDF. Exit 1 for an unknown letter."""
    with output.installation() as here:
        found = here.notices.find(letter)
        here.accesses.record(found.holder, "notice get", found.number)
        content = here.notices.content(found)
    try:
        target.write_bytes(content)
    except OSError as error:
        raise UsageError(
            f"无法写入 / cannot be written: {error.strerror}", where=str(target), hint="-o FILE"
        ) from None
    row = {**_row(found), "file": str(target)}
    if output.as_json():
        output.print_json(row)
    else:
        output.print_fields(row.items())


def _row(one: Letter) -> dict[str, Any]:
    return {
        "id": one.id,
        "number": one.number,
        "kind": one.kind,
        "title": one.title,
        "holder_id": one.display,
        "application_id": one.application_id or None,
        "licence_number": one.licence or None,
        "authority": one.authority.name,
        "dated": one.dated,
    }
