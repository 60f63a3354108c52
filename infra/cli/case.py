"""`zhengzhao case`: an application on its way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli import output

if TYPE_CHECKING:
    from infra.queries import Queries

app = typer.Typer(
    no_args_is_help=True, help="办件 / cases", epilog="Example: zhengzhao case show QH-2018-000001"
)


@contextmanager
def queries() -> Iterator[Queries]:
    """The answers of this data folder; each look at a person's record is itself recorded."""
    from infra.accesses import Accesses
    from infra.bootstrap import open_register
    from infra.persons_store import open_persons
    from infra.queries import Queries

    settings = output.settings()
    with open_register(settings) as register:
        persons = open_persons(settings.data, settings.shared_persons)
        try:
            yield Queries(register, persons, Accesses(settings.data).look)
        finally:
            persons.close()


def show_history(history: list[dict[str, Any]]) -> None:
    """A history as a table."""
    output.print_table(
        ("time", "event", "detail"), [(h["time"], h["event"], h["detail"]) for h in history], title="history"
    )


@app.callback()
def case() -> None:
    """办件 / cases."""


@app.command(epilog="Example: zhengzhao case show QH-2018-000001 --json")
def show(
    application: Annotated[str, typer.Argument(metavar="ID", help="办件编号 / the application's id")],
    holder: Annotated[
        str | None,
        typer.Option(metavar="H", help="同号时指明持证人 / the holder, where several share the id"),
    ] = None,
) -> None:
    """查办件 / Where an application stands, what is missing, when it is due. Exit 1 for an unknown id."""
    with queries() as ask:
        row = ask.case(application, holder)
    if output.as_json():
        output.print_json(row)
        return
    output.print_fields((name, value) for name, value in row.items() if name != "history")
    show_history(row["history"])
