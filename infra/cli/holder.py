"""`zhengzhao holder`: the record of one holder, as rows or as a page; the end of a person's record.

`zhengzhao holder erase` destroys a person's key, `zhengzhao holder accesses` lists the accesses to a person's record.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli import later, output
from infra.cli.output import now
from infra.stores import Erasing
from processors.queries.access import reasons_to_keep, today_of, uploads_of_one
from processors.queries.find import evidence_of, find_holder
from schemas.errors import TransientError, UsageError, ZhengzhaoError
from schemas.persons import is_pseudonym

if TYPE_CHECKING:
    from infra.bootstrap import Installation
    from infra.persons.keys import PersonsStore
    from processors.state import HolderState
    from schemas.ports import Store

app = typer.Typer(
    no_args_is_help=True, help="持证人 / holders", epilog="Example: zhengzhao holder show 9163000071040638XJ"
)
holder_page = later("infra.pages.holder:holder_page")
_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:[0-9]{17}[0-9Xx]|[0-9]{15})(?![0-9A-Za-z])")
_TRIES, _PAUSE = 10, 0.3


class StillKept(ZhengzhaoError):
    """The record may not be erased yet: exit 1."""


@app.callback()
def holder() -> None:
    """持证人 / Holders."""


@app.command(epilog="Example: zhengzhao holder show 9163000071040638XJ --json")
def show(
    number: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="统一社会信用代码，或个人证件号码 / USCC, or a person's number in clear"
        ),
    ],
) -> None:
    """查持证人 / Show a holder's licences, cases, filings, checks and refused events. Exit 1 for an unknown one."""
    with output.installation() as here, here.queries() as ask:
        row = ask.holder(number)
    if output.as_json():
        output.print_json(row)
        return
    output.print_fields(
        [
            ("holder_id", row["holder_id"]),
            ("name", row["name"]),
            ("credit_class", row["credit_class"]),
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


@app.command(epilog="Example: zhengzhao holder page 9163000071040638XJ -o holder.html")
def page(
    number: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="统一社会信用代码，或个人证件号码 / USCC, or a person's number in clear"
        ),
    ],
    file: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="网页 / the page")] = Path(
        "holder.html"
    ),
) -> None:
    """证照档案 / Write a page with one holder's licences, filings, cases and checks. Exit 1 for an unknown one."""
    with output.installation() as here:
        with here.queries() as ask:
            found = ask.holder(number)
        file.write_text(holder_page(found, here.catalogue), "utf-8")
    if output.as_json():
        output.print_json({"file": str(file)})
    else:
        output.line(f"{file}: 已写 / written")


@app.command(epilog="Example: zhengzhao holder erase 63010219900101001X --ground 保存期届满")
def erase(
    number: Annotated[str, typer.Argument(metavar="ID", help="个人证件号码 / the person's number in clear")],
    ground: Annotated[str, typer.Option(help="理由 / the ground")],
) -> None:
    """删除个人信息 / Destroy a person's key for good: what was sealed with it cannot be read anywhere.

    Only after the retention period (`retention_years` in settings.toml, 3 by default, from the day on which the last
    case or licence came to its end), and with nothing in force or under way; else exit 1, saying until when it is
    kept. Queries then say `erased`, and `replay` compares the person's licences with their digests (exit 3).
    """
    if not ground.strip():
        raise UsageError("理由不能为空 / the ground must not be blank", where="--ground")
    with output.installation() as here, _settled(here).register() as register:
        state = find_holder(register, here.persons, number)
        if not is_pseudonym(state.holder):
            raise UsageError(
                "不是个人：企业的登记信息公开 / no person: an enterprise's record is public",
                where=state.display,
            )
        uploads = uploads_of_one(register, state.holder)
        kept = reasons_to_keep(state, here.settings.retention_years, today_of(now()))
        if kept or here.undecided(state.holder):
            raise _still_kept(
                state, [k.reason + (f" → {k.until}" if k.until else "") for k in kept], here.next_step()
            )
        here.accesses.record(state.holder, "holder erase", _NUMBER.sub("***", ground))
        fresh = _destroyed(here.persons, state.holder)
        files = _erase_uploads(here.store, uploads)
    answer = {
        "holder_id": state.display,
        "state": "erased",
        "erased_now": fresh,
        "files": files,
        "ground": _NUMBER.sub("***", ground),
    }
    if output.as_json():
        output.print_json(answer)
    else:
        output.print_fields(answer.items())


@app.command(epilog="Example: zhengzhao holder evidence 63010219900101001X --ground 行政复议")
def evidence(
    number: Annotated[str, typer.Argument(metavar="ID", help="个人证件号码 / the person's number in clear")],
    ground: Annotated[str, typer.Option(help="理由，记录在案 / the ground, which is recorded")],
) -> None:
    """证据 / List grounds and findings about a person, also after an erasure: what must be kept of a decision.

    They are sealed under an evidence key of their own, and every look at them is recorded with its ground.
    """
    if not ground.strip():
        raise UsageError("理由不能为空 / the ground must not be blank", where="--ground")
    with output.installation() as here, here.register() as register:
        state = find_holder(register, here.persons, number)
        here.accesses.record(state.holder, "holder evidence", _NUMBER.sub("***", ground))
        rows = list(evidence_of(register, state.holder, here.persons.open_evidence))
    if output.as_json():
        output.print_rows({"time": row.time, "event": row.event, "detail": row.detail} for row in rows)
        return
    output.print_table(
        ("time", "event", "detail"), [(row.time, row.event, row.detail) for row in rows], title=state.display
    )


@app.command(epilog="Example: zhengzhao holder accesses 63010219900101001X --json")
def accesses(
    number: Annotated[str, typer.Argument(metavar="ID", help="个人证件号码 / the person's number in clear")],
) -> None:
    """查阅记录 / List every access to a person's record, this one included: when, by whom, which command."""
    with output.installation() as here:
        with here.register() as register:
            state = find_holder(register, here.persons, number)
        here.accesses.record(state.holder, "holder accesses")
        rows = here.accesses.of(state.holder)
    if output.as_json():
        output.print_rows(row._asdict() for row in rows)
        return
    output.print_table(("time", "by", "what", "detail"), rows, title=state.display)


def _still_kept(state: HolderState, reasons: list[str], step: str) -> StillKept:
    return StillKept(
        "尚在保存期，不得删除 / the record must still be kept: "
        + "；".join(reasons or ["有未决定的事件 / events that are not decided yet"]),
        where=state.display,
        hint=f"期满后再删除；到期事项须先处理 / erase it after that, and after what fell due was decided\nhint: {step}",
    )


def _settled(here: Installation) -> Installation:
    """Return the installation once the broker has no undecided events: one of them may be about this person."""
    if left := here.unsettled():
        raise StillKept(
            f"尚有 {left} 条事件未决定 / {left} events on the broker are not decided yet",
            hint="启动工作进程，执行 zhengzhao drain 后重试 / start a worker for each stage, then zhengzhao drain, and again",
        )
    return here


def _destroyed(persons: PersonsStore, holder: str) -> bool:
    """Destroy the key, waiting for another process that reads just then; return whether there was a key."""
    fresh = persons.knows(holder)
    for left in reversed(range(_TRIES)):
        try:
            persons.erase(holder)
            return fresh
        except TransientError:
            if not left:
                raise
            time.sleep(_PAUSE)
    return fresh


def _erase_uploads(store: Store, keys: list[str]) -> int:
    return sum(isinstance(store, Erasing) and store.erase(key) for key in keys)
