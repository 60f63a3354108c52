"""The command `zhengzhao`: a tree of small modules, one for each command or group of commands.

How a module is mounted: it has `app = typer.Typer()`; a module in `_GROUPS` becomes `zhengzhao NAME …`,
those in `_MORE` add commands to a group, the commands of a module in `_COMMANDS` stand at the top. Every command gets `--data DIR` and `--json` here
(`infra.cli.output.settings()` and `as_json()` tell what they said), so that both work after any command and
before it. Commands import what is heavy inside the function, raise `ZhengzhaoError`s, and end with another
code than 0 by `raise typer.Exit(code)`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
import typer.main

from infra.cli import output
from schemas.errors import ZhengzhaoError

# the first word of a call → the module that has it, and the Typer app in it
_COMMANDS = {
    "demo": "demo:app",
    "submit": "submit:app",
    "drain": "pipeline:app",
    "tick": "pipeline:app",
    "run": "pipeline:run_app",
    "verify": "verify:app",
    "replay": "recovery:replay_app",
    "worker": "pipeline:worker_app",
    "doctor": "doctor:app",
    "bench": "doctor:bench_app",
    "status": "verify:status_app",
    "promises": "catalogue:app",
    "guide": "catalogue:guide_app",
    "registration": "filing:registration_app",
}
_GROUPS = {
    "keys": ("keys:app",),
    "items": ("catalogue:items_app",),
    "schema": ("catalogue:schema_app",),
    "packet": ("packet:app",),
    "material": ("packet:material_app",),
    "case": ("case:app", "case:cases_app"),
    "licence": ("licence:app", "licence_events:orders_app", "licence_events:app"),
    "holder": ("holder:app", "holder:persons_app", "holder:holder_page_app"),
    "agency": ("agency:app",),
    "draw": ("draw:app",),
    "register": ("register:app",),
    "inspect": ("inspection:inspect_app",),
    "letters": ("recovery:letters_app",),
    "stack": ("pipeline:stack_app",),
    "log": ("recovery:app",),
    "check": ("inspection:check_app",),
    "window": ("case:window_app",),
    "filing": ("filing:app",),
    "token": ("agency:token_app",),
}
_ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def build(group: str = "") -> Any:
    """Build the command tree with the common options on every command; with `group`, only that command or group."""
    app = typer.Typer(
        name="zhengzhao",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        help="证照：从申请事件到可验证的电子证照 / from an application event to a verifiable licence",
        epilog="Example: zhengzhao demo",
    )

    @app.callback()
    def root() -> None:  # an app with a callback stays a group, however few commands it has
        pass

    known = group in _GROUPS or group in _COMMANDS
    for place in dict.fromkeys(place for name, place in _COMMANDS.items() if not known or name == group):
        app.add_typer(_app(place))
    for name, places in _GROUPS.items():
        if not known or name == group:
            app.add_typer(_joined(places), name=name)
    tree = typer.main.get_command(app)
    _common_options(tree)
    return tree


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    output.CALL.data, output.CALL.json = None, False
    try:
        words = list(sys.argv[1:] if argv is None else argv)
        code = build(words[0] if words else "").main(args=words, prog_name="zhengzhao", standalone_mode=False)
    except Exception as error:
        return _failed(error)
    except KeyboardInterrupt:
        output.note("error: interrupted\nhint: nothing is lost; call `zhengzhao drain` to go on")
        return 130
    return code if isinstance(code, int) else 0


def _failed(error: Exception) -> int:
    if isinstance(error, ZhengzhaoError):
        return output.fail(error)
    if isinstance(error, BrokenPipeError):
        # the reader left early (`| head`): nobody is there to read an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, _ClickException):
        return _misused(error)
    if isinstance(error, typer.Abort):
        output.note("error: aborted")
        return 2
    if os.environ.get("ZHENGZHAO_DEBUG"):
        raise error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        output.note(
            f"error: {where}{error.strerror or error}\nhint: check the path, its rights and the room on it"
        )
        return 2
    output.note(
        f"error: unexpected {type(error).__name__}: {error}\n"
        "hint: this is a fault of zhengzhao; ZHENGZHAO_DEBUG=1 shows where it happened"
    )
    return 2


def _misused(error: Any) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        output.note(error.format_message())
        return 2
    path = context.command_path if context is not None else "zhengzhao"
    message = str(error.format_message()).rstrip(".")
    output.note(f"error: {message[:1].lower()}{message[1:]}\nhint: {path} --help")
    return 2


def _app(place: str) -> typer.Typer:
    """Return the Typer app that `module:attribute` names."""
    module, _, name = place.partition(":")
    app: typer.Typer = getattr(importlib.import_module(f"infra.cli.{module}"), name)
    return app


def _joined(places: Sequence[str]) -> typer.Typer:
    """Return the app of a group, with the commands that further apps add to it."""
    group = _app(places[0])
    for place in places[1:]:
        added = [c for c in _app(place).registered_commands if c not in group.registered_commands]
        group.registered_commands.extend(added)
    return group


def _common_options(tree: Any) -> None:
    template = typer.Typer(add_completion=False)

    @template.command()
    def common(
        data: str = typer.Option(
            "", "--data", metavar="DIR", expose_value=False, callback=_data, show_default=False,
            help="data folder [default: $ZHENGZHAO_DATA or ./zhengzhao-data]",
        ),
        json: bool = typer.Option(
            False, "--json", expose_value=False, callback=_json, show_default=False,
            help="JSON on standard output, for machines",
        ),
    ) -> None:  # fmt: skip
        pass

    _add(tree, [p for p in typer.main.get_command(template).params if {"--data", "--json"} & set(p.opts)])


def _add(command: Any, options: list[Any]) -> None:
    for child in getattr(command, "commands", {}).values():
        _add(child, options)
    taken = {opt for param in command.params for opt in param.opts}
    command.params.extend(option for option in options if not taken & set(option.opts))


def _data(value: str) -> None:
    if value:
        output.CALL.data = Path(value)


def _json(value: bool) -> None:
    output.CALL.json = output.CALL.json or value
