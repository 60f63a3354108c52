"""Sending an event as an agency: the options, the subject and the sending that several commands share.

The source is the licence's issuing authority unless an option names another, the holder is the licence's. The
register has no person's number in clear, so for a person `--holder` gives it. `--event-only` prints the event and
sends nothing. An event enters as everyone's does (`submit`). Options that several commands share are declared once,
in a frozen dataclass.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, fields
from datetime import UTC, datetime
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from infra.bootstrap import event_signer
from infra.cli import output
from infra.cli.output import now, read_day, read_moment
from processors.queries.find import Subject, subject_of_case, subject_of_licence
from producers.agency_events import Named, Sender
from producers.files import Accepted
from schemas.errors import Rejected, UsageError
from schemas.events import parse_event

if TYPE_CHECKING:
    from infra.persons.keys import PersonsStore
    from processors.queries.listings import Register

__all__ = ["read_day"]
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

Number = Annotated[str | None, typer.Argument(metavar="[NUMBER]", help="证照编号 / the licence's number")]
NumberOption = Annotated[
    str | None, typer.Option("--number", metavar="NUMBER", help="同上 / the same, as an option")
]
GrantedBy = Annotated[
    str | None,
    typer.Option(
        "--granted-by", metavar="APPLICATION", help="或：由哪个申请取得 / or: the application that led to it"
    ),
]
Holder = Annotated[
    str | None,
    typer.Option(
        "--holder", metavar="ID", help="持证人号码，个人必填 / the holder's number; needed for a person"
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--source", metavar="URN", help="来源 / who sends [default: the licence's issuing authority]"
    ),
]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="事件时间 / time of the event [default: now]")
]
EventId = Annotated[
    str | None,
    typer.Option("--event-id", metavar="ID", help="事件编号 / id of the event [default: a new one]"),
]
EventOnly = Annotated[
    bool, typer.Option("--event-only", help="只输出事件，不提交 / print the event, submit nothing")
]
ProofKey = Annotated[
    str | None,
    typer.Option(
        "--proof-key", metavar="PEM", envvar="ZHENGZHAO_PROOF_KEY", show_envvar=False,
        help="以此私钥签署事件 / sign the event with this private P-256 key [default: $ZHENGZHAO_PROOF_KEY]",
    ),
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sending:
    """The sender of an event, its time, and whether it is sent at all."""

    source: Source = None
    at: At = None
    event_id: EventId = None
    event_only: EventOnly = False
    proof_key: ProofKey = None


@dataclass(frozen=True, kw_only=True)
class OnLicence(Sending):
    """The sending of an event about one licence."""

    number: Number = None
    number_option: NumberOption = None
    granted_by: GrantedBy = None
    holder: Holder = None


def fresh_id(now: datetime) -> str:
    """Return a ULID: 48 bits of time, 80 random bits, 26 characters of Crockford's base 32, in the order of time."""
    number = (int(now.timestamp() * 1000) << 80) | int.from_bytes(os.urandom(10))
    return "".join(_BASE32[(number >> shift) & 31] for shift in range(125, -1, -5))


@contextmanager
def register() -> Iterator[tuple[Register, PersonsStore]]:
    """Open the register and the persons of this data folder."""
    with output.installation() as here, here.register() as found:
        yield found, here.persons


def send(event: dict[str, Any]) -> Accepted:
    """Take the event in. Raises Rejected with field and hint where it breaks a rule. `drain` decides it."""
    received_at = datetime.now(UTC)
    parsed = parse_event(json.dumps(event, ensure_ascii=False).encode(), received_at)
    with output.installation() as here, here.inbox() as inbox:
        outcome = inbox.take([parsed], received_at)[0]
    if isinstance(outcome, Rejected):
        raise outcome
    return outcome


def named(number: str | None, option: str | None, granted_by: str | None) -> Named:
    """Return how the event names the licence. Raises UsageError where it is named in no way or in two."""
    number = number or option
    if (number is None) is (granted_by is None):
        raise UsageError(
            "请指明一个证照 / name one licence",
            hint="NUMBER，或 / or --granted-by APPLICATION",
        )
    return Named(number, granted_by)


def subject_of(licence: Named, holder: str | None) -> Subject:
    """Look up a licence and its holder in the register; the access to a person's record is recorded."""
    with output.installation() as here:
        with here.register() as found:
            if licence.number is not None:
                subject = subject_of_licence(found, here.persons, licence.number)
            else:
                subject = subject_of_case(found, here.persons, licence.granted_by or "", holder)
        here.accesses.record(subject.holder, "event prepared", subject.number)
    return subject


def holder_of(subject: Subject, holder: str | None) -> str:
    """Return the holder's number for the event. Raises UsageError for a person without `--holder`."""
    number = holder or subject.holder_id
    if number is None:
        raise UsageError(
            "登记簿中没有个人号码的明文 / the register has no person's number in clear",
            where=subject.number or subject.display,
            hint="--holder ID",
        )
    return number


def about(licence: Named, holder: str | None, source: str | None) -> tuple[str, str]:
    """Return holder and source; they are looked up where one of them is not given."""
    if holder is not None and source is not None:
        return holder, source
    subject = subject_of(licence, holder)
    return holder_of(subject, holder), source or subject.authority


def sender(source: str, at: str | None, event_id: str | None) -> Sender:
    """Return the sender of an event, its time (default: now) and id (default: a new one)."""
    moment = now()
    return Sender(source, read_moment(at, "--at") if at else moment, event_id or fresh_id(moment))


def signed(event: dict[str, Any], proof_key: str | None) -> dict[str, Any]:
    """Return the event with its proof where there is a key."""
    if proof_key is None:
        return event
    found: dict[str, Any] = json.loads(event_signer(Path(proof_key))(json.dumps(event).encode()))
    return found


def finish(event: dict[str, Any], *, event_only: bool, proof_key: str | None, **ids: str) -> None:
    """Sign the event where there is a key, then print or submit it; `ids` are printed with the answer."""
    event = signed(event, proof_key)
    if event_only:
        output.print_json(event)
        return
    accepted = send(event)
    answer = {
        "id": event["id"],
        "type": event["type"],
        **ids,
        "accepted": int(not accepted.duplicate),
        "duplicates": int(accepted.duplicate),
    }
    if output.as_json():
        output.print_json(answer)
        return
    said = "重复 / duplicate" if accepted.duplicate else "收下 / accepted"
    output.line(f"{said}: " + " · ".join([event["type"], event["id"], *ids.values()]))
    with output.installation() as here:
        output.note(f"hint: {here.next_step()}")


def read_json(path: str | None, option: str, kind: type) -> Any:
    """Read the JSON value of a file (`-`: standard input). Raises UsageError for another type, or no JSON."""
    if path is None:
        return None
    try:
        text = typer.get_text_stream("stdin").read() if path == "-" else Path(path).read_text("utf-8-sig")
        value = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: 不是 JSON / no JSON: {reason}", where=option) from None
    if not isinstance(value, kind):
        wanted = "须为数组 / must be an array" if kind is list else "须为对象 / must be an object"
        raise UsageError(f"{path}: {wanted}", where=option)
    return value


def _parameter(field: Field[Any], annotation: Any) -> Parameter:
    default = Parameter.empty if field.default is MISSING else field.default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command whose first parameter is such a dataclass take its fields one by one on the command line."""
    whole = signature(command, eval_str=True)
    shared, *own = whole.parameters.values()
    kind = shared.annotation
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    listed = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in own]
    listed += [_parameter(field, hints[field.name]) for field in fields(kind)]

    @wraps(command)
    def run(**words: Any) -> None:
        options = kind(**{name: words.pop(name) for name in names})
        command(options, **words)

    run.__signature__ = whole.replace(parameters=listed)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in listed}
    return run
