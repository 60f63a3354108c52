"""Options that many commands share, said once: a command takes them as one frozen dataclass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields
from functools import wraps
from inspect import Parameter, signature
from typing import Any, get_type_hints

from infra.cli.acting import At, EventId, EventOnly, GrantedBy, Holder, Number, NumberOption, ProofKey, Source


@dataclass(frozen=True, kw_only=True)
class Sending:
    """Who sends an event, when, and whether it is sent at all."""

    source: Source = None
    at: At = None
    event_id: EventId = None
    event_only: EventOnly = False
    proof_key: ProofKey = None


@dataclass(frozen=True, kw_only=True)
class OnLicence(Sending):
    """The same, about one licence."""

    number: Number = None
    number_option: NumberOption = None
    granted_by: GrantedBy = None
    holder: Holder = None


def _parameter(field: Field[Any], annotation: Any) -> Parameter:
    default = Parameter.empty if field.default is MISSING else field.default
    return Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first parameter is such a dataclass takes its fields one by one on the command line."""
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
