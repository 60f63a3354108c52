"""`zhengzhao holder erase|accesses`: a person's record comes to its end; who looked at it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli import acting, output
from schemas.errors import SurroundingsError, UsageError, ZhengzhaoError

if TYPE_CHECKING:
    from infra.persons_store import PersonsStore
    from infra.settings import Settings
    from processors.state import HolderState

app = typer.Typer()
_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:[0-9]{17}[0-9Xx]|[0-9]{15})(?![0-9A-Za-z])")
_TRIES, _PAUSE = 10, 0.3


class StillKept(ZhengzhaoError):
    """The record may not be erased yet: exit 1."""


@app.command(epilog="Example: zhengzhao holder erase 63010219900101001X --ground 保存期届满")
def erase(
    number: Annotated[str, typer.Argument(metavar="ID", help="个人证件号码 / the person's number in clear")],
    ground: Annotated[str, typer.Option(help="理由 / why")],
) -> None:
    """删除个人信息 / Destroys a person's key for good: what was sealed with it is erased wherever it stands.

    Only after the retention period (`retention_years` in settings.toml, 3 by default, from the day on which the last
    case or licence came to its end), and with nothing in force or under way; else exit 1, saying until when it is
    kept. Queries then say `erased`, and `replay` compares the person's licences with their digests (exit 3).
    """
    from infra.accesses import Accesses
    from infra.cli.moments import now
    from infra.erasure import reasons_to_keep, today_of, uploads_of_one
    from infra.subjects import PERSONAL, holder_state

    if not ground.strip():
        raise UsageError("理由不能为空 / the ground must not be blank", where="--ground")
    settings = output.settings()
    _settle(settings)
    with acting.register() as (register, persons):
        state = holder_state(register, persons, number)
        if not state.holder.startswith(PERSONAL):
            raise UsageError(
                "不是个人：单位的登记是公开的 / no person: an enterprise's entry is public",
                where=state.display,
            )
        uploads = uploads_of_one(register, state.holder)
        kept = reasons_to_keep(state, settings.retention_years, today_of(now()))
        if kept or _pending(settings, state.holder):
            raise _still_kept(state, [k.reason + (f" → {k.until}" if k.until else "") for k in kept])
        log = Accesses(settings.data)
        log.look(state.holder, "holder erase", _NUMBER.sub("***", ground))
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


@app.command(epilog="Example: zhengzhao holder accesses 63010219900101001X --json")
def accesses(
    number: Annotated[str, typer.Argument(metavar="ID", help="个人证件号码 / the person's number in clear")],
) -> None:
    """谁查过 / Every look at a person's record, this one included: when, by whom, which command."""
    from infra.accesses import Accesses
    from infra.subjects import holder_state

    with acting.register() as (register, persons):
        state = holder_state(register, persons, number)
    log = Accesses(output.settings().data)
    log.look(state.holder, "holder accesses")
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
    from infra.kafka.register import unsettled

    if left := unsettled(settings):
        raise StillKept(
            f"尚有 {left} 条事件未裁决 / {left} events on the broker are not decided yet",
            hint="启动工作进程后再试 / is there a worker for each stage? then: zhengzhao drain, and again",
        )


def _pending(settings: Settings, holder: str) -> bool:
    """Whether the ledger holds entries of this person that are not decided yet. (On Kafka that was waited for.)"""
    from infra.engines.database import Database

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
        except SurroundingsError:
            if not left:
                raise
            time.sleep(_PAUSE)
    return fresh


def _forget(settings: Settings, keys: list[str]) -> int:
    from infra.stores import Erasing, open_store

    store = open_store(settings.store, settings.objects)
    return sum(isinstance(store, Erasing) and store.erase(key) for key in keys)
