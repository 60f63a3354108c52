"""What the terminal shows, in one place.

Results go to standard output, everything else to standard error. With `--json` standard output carries JSON
and nothing else. Errors are lines `error: …`, lower case, no full stop; a `hint: …` line says what to do.
Nothing ever ends in a traceback.

Times and dates as people type them on the command line: RFC 3339, or less of it in China time.

Options that take several values at once: `--reveal A.json B.json` as well as `--reveal A.json --reveal B.json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from infra.settings import Settings, load
from schemas.calendar import CHINA
from schemas.errors import TransientError, UsageError, ZhengzhaoError

T = TypeVar("T")


class _Call:
    """What the common options of this call said."""

    data: Path | None = None
    json: bool = False


CALL = _Call()


def settings() -> Settings:
    """The settings of this call (`--data`, environment, `settings.toml`)."""
    return load(CALL.data)


def as_json() -> bool:
    """Whether this call shall print JSON."""
    return CALL.json


def print_json(value: Any) -> None:
    """One JSON value on one line of standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def print_rows(rows: Iterable[Any]) -> None:
    """A list for machines: one JSON value a line."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """A table for people. Values are text as it stands: no markup in them counts."""
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(value)) for value in row))
    _console(sys.stdout).print(table)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Names and values below each other, for people."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in fields:
        table.add_row(Text(name, style="bold"), Text(shown(value)))
    _console(sys.stdout).print(table)


def shown(value: Any) -> str:
    """A value as people read it."""
    if value is None or value == "" or value == [] or value == {}:
        return "—"
    if isinstance(value, bool):
        return "是 / yes" if value else "否 / no"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{k}={shown(v)}" for k, v in value.items())
    return str(value)


def line(text: str = "") -> None:
    """A line of result for people, on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A remark on standard error, such as what is being done."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def warn(message: str, hint: str = "") -> None:
    """A warning on standard error."""
    note(f"warning: {message}" + (f"\nhint: {hint}" if hint else ""))


def fail(error: ZhengzhaoError) -> int:
    """Prints an error with its hint; returns the exit code of its class."""
    note(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
    return exit_code(error)


def exit_code(error: ZhengzhaoError) -> int:
    """2 for wrong use, unusable input and surroundings that fail; else 1: the answer is no."""
    return 2 if isinstance(error, (UsageError, TransientError)) else 1


def worst(codes: Iterable[int]) -> int:
    """The exit code of several answers: 2 before 1 before 3 before 0."""
    return max(codes, key=(0, 3, 1, 2).index, default=0)


class Bar:
    """A running progress display; `advance` counts on, `total` may become known later."""

    def __init__(self, progress: Progress | None, task: Any) -> None:
        self._progress, self._task = progress, task

    def advance(self, n: float = 1) -> None:
        """Counts `n` further units."""
        if self._progress:
            self._progress.advance(self._task, n)

    def at(self, done: float, total: float | None = None) -> None:
        """Sets what is done, and of how much."""
        if self._progress:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def progress(label: str, total: float | None = None) -> Iterator[Bar]:
    """A progress bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield Bar(None, None)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        yield Bar(display, display.add_task(label, total=total))


def _console(stream: Any) -> Console:
    # outside a terminal no line is folded at 80 columns: files and pipes keep whole values
    return Console(file=stream, highlight=False, width=None if stream.isatty() else 200)


_HINT = "2018-09-10T09:12:00+08:00, or 2018-09-10; without a zone it is China time"


def now() -> datetime:
    """The wall clock, in China time, in whole seconds."""
    return datetime.now(UTC).astimezone(CHINA).replace(microsecond=0)


def read_moment(text: str, option: str) -> datetime:
    """A moment; a date alone means its last second in China. UsageError for anything else."""
    try:
        if len(text) == len("2018-09-10"):
            return datetime.combine(date.fromisoformat(text), time(23, 59, 59), CHINA)
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=CHINA)
        return moment.astimezone(CHINA)
    except (ValueError, OverflowError):
        raise UsageError(f"no time: {text!r} / 不是时间", where=option, hint=_HINT) from None


def read_start(text: str, option: str) -> datetime:
    """A moment; a date alone means its first second in China. UsageError for anything else."""
    moment = read_moment(text, option)
    return moment.replace(hour=0, minute=0, second=0) if len(text) == len("2018-09-10") else moment


class Several(TyperCommand):
    """A command with one argument before its options: behind it, further values belong to the option before."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        multiple = {name for param in self.params if getattr(param, "multiple", False) for name in param.opts}
        return super().parse_args(ctx, repeated(args, multiple))


def repeated(args: list[str], multiple: set[str]) -> list[str]:
    """Repeats an option of `multiple` before each further value of it; nothing changes before the argument is seen."""
    out: list[str] = []
    current, argument_seen = "", False
    for n, word in enumerate(args):
        after_option = n > 0 and args[n - 1].startswith("-") and "=" not in args[n - 1]
        if word.startswith("-") and word != "-":
            current = word if word in multiple else ""
        elif not after_option:
            if current and argument_seen:
                out.append(current)
            argument_seen = True
        out.append(word)
    return out
