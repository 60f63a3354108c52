"""`zhengzhao holder show`: everything about one holder. (`infra.cli.persons` adds what concerns persons.)"""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli import output
from infra.cli.case import queries

app = typer.Typer(
    no_args_is_help=True, help="持证人 / holders", epilog="Example: zhengzhao holder show 9163000071040638XJ"
)


@app.callback()
def holder() -> None:
    """持证人 / holders."""


@app.command(epilog="Example: zhengzhao holder show 9163000071040638XJ --json")
def show(
    number: Annotated[str, typer.Argument(metavar="ID", help="USCC, or a person's number in clear")],
) -> None:
    """查持证人 / A holder's licences, cases, filings, checks and refused events. Exit 1 for an unknown one."""
    with queries() as ask:
        row = ask.holder(number)
    if output.as_json():
        output.print_json(row)
        return
    output.print_fields(
        [
            ("代码 / holder_id", row["holder_id"]),
            ("名称 / name", row["name"]),
            ("信用分类 / credit_class", row["credit_class"]),
            *((f"{x['label']} / {x['name']}", x["value"]) for x in row["particulars"]),
        ]
    )
    for part, title, columns in (
        ("licences", "证照", ("number", "version", "status", "item", "issued_on", "valid_until")),
        ("cases", "办件", ("application_id", "state", "item", "licence_number", "reason")),
        ("filings", "备案", ("filing_id", "item", "department", "state", "overdue", "reason")),
        ("checks", "核查", ("inspection_id", "licence_number", "kind", "due", "state")),
        ("refused", "未生效的事件", ("time", "event", "reason")),
    ):
        if row[part]:
            output.print_table(
                columns, [[line[c] for c in columns] for line in row[part]], title=f"{title} / {part}"
            )
