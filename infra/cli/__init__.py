"""The command `zhengzhao`: a tree of small modules, loaded one at a time.

The two tables say which module has a command: the first word of a call chooses it, within a group of several
modules the second word. A call therefore loads one module of commands. Every command gets `--data DIR` and
`--json` here (`infra.cli.output.settings()` and `as_json()` return what they said), so that both may stand before
a command and after it. A command raises a `ZhengzhaoError`, or ends with a code other than 0 by `raise typer.Exit(code)`.

What takes long to load, such as the HTTP service, is called through `later`: help texts and errors of use appear
at once.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer
import typer.main

from infra.cli import output
from schemas.errors import ZhengzhaoError

_COMMANDS: Mapping[str, str] = {
    "demo": "demo:app",
    "submit": "submit:app",
    "drain": "pipeline:app",
    "tick": "pipeline:app",
    "run": "pipeline:run_app",
    "worker": "pipeline:worker_app",
    "verify": "verify:app",
    "verifier": "verifier:app",
    "replay": "recovery:replay_app",
    "doctor": "doctor:app",
    "bench": "doctor:bench_app",
    "promises": "published:promises_app",
    "guide": "published:guide_app",
}
"""Command → module and Typer app."""

_GROUPS: Mapping[str, Mapping[str, str]] = {
    "keys": {"keys:app": ""},
    "trust": {"keys:trust_app": ""},
    "items": {"catalogue:items_app": ""},
    "schema": {"catalogue:schema_app": ""},
    "packet": {"packet:app": ""},
    "material": {"packet:material_app": ""},
    "case": {"case:app": ""},
    "window": {"case:window_app": ""},
    "licence": {
        "licence:app": "list show get",
        "licence_events:app": "extend change renew reissue surrender merge",
        "licence_events:orders_app": "suspend resume withdraw rescind revoke cancel annul import",
    },
    "holder": {"holder:app": ""},
    "filing": {"filing:app": ""},
    "registration": {"filing:registration_app": ""},
    "status": {"status:app": ""},
    "agency": {"agency:app": ""},
    "token": {"agency:token_app": ""},
    "account": {"account:app": ""},
    "notice": {"notice:app": ""},
    "draw": {"draw:app": ""},
    "register": {"register:app": ""},
    "inspect": {"inspection:inspect_app": ""},
    "check": {"inspection:check_app": ""},
    "letters": {"recovery:letters_app": ""},
    "log": {"recovery:app": ""},
    "stack": {"pipeline:stack_app": ""},
    "transparency": {"transparency:app": ""},
    "witness": {"transparency:witness_commands": ""},
}
"""Group → its Typer apps; where there are several, the commands of each."""

_SERVING = frozenset({"run", "worker", "witness"})
"""Commands whose silence is no wait."""

_ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_INTERRUPTED = (
    "error: 已中断 / interrupted\nhint: 没有丢失，再次执行即继续 / nothing is lost; the same command goes on"
)


def later(place: str) -> Callable[..., Any]:
    """Return a function that loads `module:function` when it is called and passes its arguments on."""
    module, _, name = place.partition(":")

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments, **named)

    call.__doc__ = place
    return call


def build(words: Sequence[str] = ()) -> Any:
    """Build the command tree with the common options; of the commands that `words` name, only their modules."""
    app = typer.Typer(
        name="zhengzhao",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        help="证照：从申请事件到可验证的电子证照 / from an application event to a verifiable licence",
        epilog="Example: zhengzhao demo",
    )

    @app.callback()
    def root(
        _version: bool = typer.Option(
            False, "--version", help="版本 / the version", is_eager=True, callback=_print_version
        ),
    ) -> None:
        pass

    group, command = _named(words)
    for place in dict.fromkeys(place for name, place in _COMMANDS.items() if group in (None, name)):
        app.add_typer(_app(place))
    for name, places in _GROUPS.items():
        if group in (None, name):
            app.add_typer(_joined(places, command), name=name)
    tree = typer.main.get_command(app)
    _common_options(tree)
    return tree


def _named(words: Sequence[str]) -> tuple[str | None, str]:
    """Return the command or group that a call names, and the word after it; None where none is known."""
    plain = [w for n, w in enumerate(words) if w[:1] != "-" and (n == 0 or words[n - 1] != "--data")]
    first, second = [*plain, "", ""][:2]
    return (first if first in _COMMANDS or first in _GROUPS else None), second


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code (contract, section 1)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    output.CALL.data, output.CALL.json = None, False
    os.umask(0o077)  # whatever a command writes is its user's alone: events and licences name persons
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with nullcontext() if _named(words)[0] in _SERVING else output.signs_of_life():
            code = build(words).main(args=words, prog_name="zhengzhao", standalone_mode=False)
    except Exception as error:
        return _failed(error)
    except KeyboardInterrupt:
        output.note(_INTERRUPTED)
        return 130
    return code if isinstance(code, int) else 0


def _failed(error: Exception) -> int:
    """Print an error that ended a command; return the exit code."""
    if isinstance(error, ZhengzhaoError):
        return output.fail(error)
    if isinstance(error, BrokenPipeError):
        # The reader left early (`| head`), so nobody is there to read an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, _ClickException):
        return _misused(error)
    if isinstance(error, typer.Abort):
        output.note("error: 已取消 / aborted")
        return 2
    if os.environ.get("ZHENGZHAO_DEBUG"):
        raise error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        output.note(
            f"error: {where}{error.strerror or error}\n"
            "hint: 检查路径、权限和剩余空间 / check the path, its permissions and the free space"
        )
        return output.TRY_AGAIN if error.errno in _FULL else 2
    output.note(
        f"error: 内部错误 / unexpected {type(error).__name__}: {error}\n"
        "hint: 这是本程序的缺陷；设 ZHENGZHAO_DEBUG=1 显示出错位置 / "
        "this is a defect of zhengzhao; ZHENGZHAO_DEBUG=1 shows where it happened"
    )
    return 2


def _misused(error: Any) -> int:
    """Print what is wrong with the words of a call, in one line and a hint."""
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


def _joined(places: Mapping[str, str], command: str) -> typer.Typer:
    """Return the app of a group: the one that has `command`, else all of them joined."""
    wanted = [place for place, commands in places.items() if command in commands.split()] or list(places)
    apps = [_app(place) for place in wanted]
    if len(apps) == 1:
        return apps[0]
    group = typer.Typer()
    group.info, group.registered_callback = apps[0].info, apps[0].registered_callback
    group.registered_commands = [one for app in apps for one in app.registered_commands]
    return group


def _common_options(tree: Any) -> None:
    template = typer.Typer(add_completion=False)

    @template.command()
    def common(
        data: str = typer.Option(
            "", "--data", metavar="DIR", expose_value=False, callback=_data, show_default=False,
            help="数据目录 / data folder [default: $ZHENGZHAO_DATA or ./zhengzhao-data]",
        ),
        json: bool = typer.Option(
            False, "--json", expose_value=False, callback=_json, show_default=False,
            help="向标准输出写 JSON / JSON on standard output, for machines",
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


def _print_version(wanted: bool) -> None:
    if wanted:
        output.line(f"zhengzhao {version('zhengzhao')}")
        raise typer.Exit
