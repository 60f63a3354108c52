"""`zhengzhao holder show`: everything about one holder. (`infra.cli.holder` adds what concerns persons.)

`zhengzhao holder page`: everything about one holder, as a page for people.

`zhengzhao holder erase|accesses`: a person's record comes to its end; who looked at it.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli import output, sending
from infra.cli.case import queries
from schemas.errors import TransientError, UsageError, ZhengzhaoError

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


holder_page_app = typer.Typer()


@holder_page_app.command(epilog="Example: zhengzhao holder page 9163000071040638XJ -o holder.html")
def page(
    number: Annotated[str, typer.Argument(metavar="ID", help="USCC, or a person's number in clear")],
    file: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="网页 / the page")] = Path(
        "holder.html"
    ),
) -> None:
    """证照档案 / Writes a page with one holder's licences, filings, cases and checks. Exit 1 for an unknown one."""
    from infra.pages.holder import holder_page
    from schemas.items import load_catalogue

    with queries() as ask:
        found = ask.holder(number)
    file.write_text(holder_page(found, load_catalogue(output.settings().items)), "utf-8")
    if output.as_json():
        output.print_json({"file": str(file)})
    else:
        output.line(f"{file}: 已写 / written")


if TYPE_CHECKING:
    from infra.persons.keys import PersonsStore
    from infra.settings import Settings
    from processors.state import HolderState

persons_app = typer.Typer()
_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:[0-9]{17}[0-9Xx]|[0-9]{15})(?![0-9A-Za-z])")
_TRIES, _PAUSE = 10, 0.3


class StillKept(ZhengzhaoError):
    """The record may not be erased yet: exit 1."""


@persons_app.command(epilog="Example: zhengzhao holder erase 63010219900101001X --ground 保存期届满")
def erase(
    number: Annotated[str, typer.Argument(metavar="ID", help="个人证件号码 / the person's number in clear")],
    ground: Annotated[str, typer.Option(help="理由 / why")],
) -> None:
    """删除个人信息 / Destroys a person's key for good: what was sealed with it is erased wherever it stands.

    Only after the retention period (`retention_years` in settings.toml, 3 by default, from the day on which the last
    case or licence came to its end), and with nothing in force or under way; else exit 1, saying until when it is
    kept. Queries then say `erased`, and `replay` compares the person's licences with their digests (exit 3).
    """
    from infra.cli.output import now
    from infra.persons.access_log import Accesses
    from processors.queries.find import find_holder
    from processors.queries.retention import reasons_to_keep, today_of, uploads_of_one
    from schemas.persons import is_pseudonym

    if not ground.strip():
        raise UsageError("理由不能为空 / the ground must not be blank", where="--ground")
    settings = output.settings()
    _settle(settings)
    with sending.register() as (register, persons):
        state = find_holder(register, persons, number)
        if not is_pseudonym(state.holder):
            raise UsageError(
                "不是个人：单位的登记是公开的 / no person: an enterprise's entry is public",
                where=state.display,
            )
        uploads = uploads_of_one(register, state.holder)
        kept = reasons_to_keep(state, settings.retention_years, today_of(now()))
        if kept or _pending(settings, state.holder):
            raise _still_kept(state, [k.reason + (f" → {k.until}" if k.until else "") for k in kept])
        log = Accesses(settings.data)
        log.record(state.holder, "holder erase", _NUMBER.sub("***", ground))
        fresh = _destroyed(persons, state.holder)
        files = _forget(settings, uploads)
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


@persons_app.command(epilog="Example: zhengzhao holder accesses 63010219900101001X --json")
def accesses(
    number: Annotated[str, typer.Argument(metavar="ID", help="个人证件号码 / the person's number in clear")],
) -> None:
    """谁查过 / Every look at a person's record, this one included: when, by whom, which command."""
    from infra.persons.access_log import Accesses
    from processors.queries.find import find_holder

    with sending.register() as (register, persons):
        state = find_holder(register, persons, number)
    log = Accesses(output.settings().data)
    log.record(state.holder, "holder accesses")
    rows = log.of(state.holder)
    if output.as_json():
        output.print_rows(row._asdict() for row in rows)
        return
    output.print_table(("time", "by", "what", "detail"), rows, title=state.display)


def _still_kept(state: HolderState, reasons: list[str]) -> StillKept:
    return StillKept(
        "尚不得删除 / the record is still kept: "
        + "；".join(reasons or ["有未裁决的事件 / entries that are not decided yet"]),
        where=state.display,
        hint="之后再来 / come back after that; an end that is past is told by `zhengzhao tick`, what is under way by `drain`",
    )


def _settle(settings: Settings) -> None:
    """On Kafka an event of this person may be on its way through inbox and ledger: it is waited for."""
    if not settings.on_kafka:
        return
    from infra.kafka.projection import unsettled

    if left := unsettled(settings):
        raise StillKept(
            f"尚有 {left} 条事件未裁决 / {left} events on the broker are not decided yet",
            hint="启动工作进程后再试 / is there a worker for each stage? then: zhengzhao drain, and again",
        )


def _pending(settings: Settings, holder: str) -> bool:
    """Whether the ledger holds entries of this person that are not decided yet. (On Kafka that was waited for.)"""
    from infra.readmodel.database import Database

    if settings.on_kafka:
        return False
    with Database(settings.database) as db:
        sql = "SELECT count(*) FROM ledger WHERE seq > ? AND holder = ?"
        return bool(db.db.execute(sql, (int(db.meta("position", "0")), holder)).fetchone()[0])


def _destroyed(persons: PersonsStore, holder: str) -> bool:
    """Destroys the key; another process that reads just then is waited for. True where there was a key."""
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


def _forget(settings: Settings, keys: list[str]) -> int:
    from infra.stores import Erasing, open_store

    store = open_store(settings.store, settings.objects)
    return sum(isinstance(store, Erasing) and store.erase(key) for key in keys)
