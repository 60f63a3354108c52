"""Terminal output, exit codes and moments of the command line, in one place.

Results go to standard output, everything else to standard error. With `--json` standard output carries JSON and
nothing else. Errors are lines `error: …`, lower case, no full stop; a `hint: …` line says what to do. Nothing
ends in a traceback. Names of columns, states and messages stand in the language of the environment
(`infra.cli.words`); where it asks for neither Chinese nor English, messages are in both.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time as time_module
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.status import Status
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from infra.bootstrap import Installation
from infra.cli.words import heading, one_language, value_word
from infra.settings import Settings, load
from schemas.calendar import CHINA
from schemas.errors import TransientError, UsageError, ZhengzhaoError

T = TypeVar("T")
TRY_AGAIN: Final = 75
"""Exit code where the surroundings failed (EX_TEMPFAIL of sysexits.h)."""


_LABEL: Final = re.compile(r"(\s*)(error|hint|warning): (.*)")
_PATIENCE: Final = 3.0  # seconds without a word, after which a terminal shows that something is done


class _Spinner:
    """The sign of life of a silent command on a terminal; whatever is printed takes it away first."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._spoken = time_module.monotonic()
        self._shown: Status | None = None
        self.held = 0  # progress bars under way, which are signs of life of their own

    def speak(self) -> None:
        """Take the spinner away and begin to wait anew."""
        with self._lock:
            self._spoken = time_module.monotonic()
            if self._shown is not None:
                self._shown.stop()
                self._shown = None

    def look(self) -> None:
        """Show the spinner where nothing was said for a while."""
        with self._lock:
            silent = time_module.monotonic() - self._spoken > _PATIENCE
            if silent and self._shown is None and not self.held:
                self._shown = Console(stderr=True).status("处理中 / working …")
                self._shown.start()


_SPINNER: Final = _Spinner()


@contextmanager
def signs_of_life() -> Iterator[None]:
    """Show a spinner on standard error, where that is a terminal, whenever nothing was printed for three seconds."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            _SPINNER.look()

    _SPINNER.speak()
    watcher = threading.Thread(target=watch, name="spinner", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        _SPINNER.speak()


class _Call:
    """The common options of this call."""

    data: Path | None = None
    json: bool = False


CALL = _Call()


def settings() -> Settings:
    """Return the settings of this call (`--data`, environment, `settings.toml`)."""
    return load(CALL.data)


def installation() -> Installation:
    """Return the installation of this call; a context manager that closes what was opened."""
    return Installation(settings())


def as_json() -> bool:
    """Return whether this call shall print JSON."""
    return CALL.json


def print_json(value: Any) -> None:
    """Print one JSON value on one line of standard output."""
    _SPINNER.speak()
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def print_rows(rows: Iterable[Any]) -> None:
    """Print a list for machines: one JSON value a line."""
    for row in rows:
        _SPINNER.speak()
        sys.stdout.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """Print a table for people. Values are plain text: markup in them has no effect."""
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(heading(column), overflow="fold")
    for row in rows:
        cells = zip(columns, row, strict=True)
        table.add_row(*(Text(shown(value_word(column, value))) for column, value in cells))
    _console(sys.stdout).print(table)


def print_list(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a list as the caller wants it: one JSON value a line, or a table of these columns."""
    if as_json():
        print_rows(rows)
    else:
        print_table(columns, ([row[column] for column in columns] for row in rows))


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Print names and values below each other, for people."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in fields:
        table.add_row(Text(heading(name), style="bold"), Text(shown(value_word(name, value))))
    _console(sys.stdout).print(table)


def print_history(history: Iterable[dict[str, Any]]) -> None:
    """Print the events of a case or licence as a table."""
    columns = ("time", "event", "detail")
    rows = [[one[column] for column in columns] for one in history]
    print_table(columns, rows, title=heading("history"))


def shown(value: Any) -> str:
    """Return a value as people read it."""
    if value is None or value == "" or value == [] or value == {}:
        return "—"
    if isinstance(value, bool):
        return one_language("是 / yes" if value else "否 / no")
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{heading(k)}={shown(value_word(k, v))}" for k, v in value.items())
    return str(value)


def line(text: str = "") -> None:
    """Print a line of a result for people on standard output."""
    _SPINNER.speak()
    sys.stdout.write(_spoken(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a remark on standard error, such as what is being done."""
    _SPINNER.speak()
    sys.stderr.write(_spoken(text) + "\n")
    sys.stderr.flush()


def _spoken(text: str) -> str:
    """Return lines in the language of the environment; the word before the first colon may be `error` or the like."""
    found = [_LABEL.fullmatch(one) for one in text.split("\n")]
    lines = [
        f"{one[1]}{heading(one[2])}: {one_language(one[3])}" if one else one_language(plain)
        for one, plain in zip(found, text.split("\n"), strict=True)
    ]
    return "\n".join(lines)


def warn(message: str, hint: str = "") -> None:
    """Print a warning on standard error: something that somebody should do."""
    note(f"warning: {message}" + (f"\nhint: {hint}" if hint else ""))


def fail(error: ZhengzhaoError) -> int:
    """Print an error with its hint; return the exit code of its class."""
    message = one_language(error.message)
    where = f"{error.where}: " if error.where else ""
    note(f"error: {where}{message}" + (f"\nhint: {error.hint}" if error.hint else ""))
    return exit_code(error)


def exit_code(error: ZhengzhaoError) -> int:
    """Return the exit code of an error: 75 transient failure, 2 wrong use or unusable input, else 1 (the answer is no)."""
    if isinstance(error, TransientError):
        return TRY_AGAIN
    return 2 if isinstance(error, UsageError) else 1


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of several answers: 2 before 1 before 3 before 0."""
    return max(codes, key=(0, 3, 1, 2).index, default=0)


class ProgressBar:
    """A running progress display; `advance` adds units, the total may become known later."""

    def __init__(self, progress: Progress | None, task: Any) -> None:
        self._progress, self._task = progress, task

    def advance(self, n: float = 1) -> None:
        """Add `n` units."""
        if self._progress:
            self._progress.advance(self._task, n)

    def at(self, done: float, total: float | None = None) -> None:
        """Set how many units are done, of how many."""
        if self._progress:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def progress(label: str, total: float | None = None) -> Iterator[ProgressBar]:
    """Show a progress bar on standard error where that is a terminal; without a total it is a spinner."""
    if not sys.stderr.isatty():
        yield ProgressBar(None, None)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    _SPINNER.speak()
    _SPINNER.held += 1
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as display:
            yield ProgressBar(display, display.add_task(label, total=total))
    finally:
        _SPINNER.held -= 1


def _console(stream: Any) -> Console:
    _SPINNER.speak()
    # Outside a terminal no line is folded at 80 columns, so that files and pipes keep whole values.
    return Console(file=stream, highlight=False, width=None if stream.isatty() else 200)


_MOMENT_HINT = "2018-09-10T09:12:00+08:00 或 / or 2018-09-10；未写时区为北京时间 / without a zone: China time"
_DATE_LENGTH = len("2018-09-10")


def now() -> datetime:
    """Return the wall clock, in China time, in whole seconds."""
    return datetime.now(UTC).astimezone(CHINA).replace(microsecond=0)


def note_as_of(here: Installation) -> None:
    """Say on standard error as of when a list is: what falls due is found by an event or a tick."""
    moment = here.decided_until()
    if moment is not None:
        note(f"截至 / as of {moment.astimezone(CHINA).isoformat(timespec='seconds')}")


def check_choice(value: str | None, choices: Sequence[str], option: str) -> None:
    """Raise UsageError for a value that is none of the choices; None is no choice at all."""
    if value is not None and value not in choices:
        raise UsageError(f"没有此选项 / no such choice: {value}", where=option, hint=", ".join(choices))


def read_moment(text: str, option: str) -> datetime:
    """Read a moment; a date alone means its last second in China. Raises UsageError."""
    try:
        if len(text) == _DATE_LENGTH:
            return datetime.combine(date.fromisoformat(text), time(23, 59, 59), CHINA)
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=CHINA)
        return moment.astimezone(CHINA)
    except (ValueError, OverflowError):
        raise UsageError(f"不是时间 / no time: {text!r}", where=option, hint=_MOMENT_HINT) from None


def read_start(text: str, option: str) -> datetime:
    """Read a moment; a date alone means its first second in China. Raises UsageError."""
    moment = read_moment(text, option)
    return moment.replace(hour=0, minute=0, second=0) if len(text) == _DATE_LENGTH else moment


def read_day(text: str | None, option: str) -> date | None:
    """Read a date; None where none was given. Raises UsageError."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"不是日期 / no date: {text!r}", where=option, hint="2018-09-10") from None


class Several(TyperCommand):
    """A command with one argument before its options: after it, further values belong to the option before them.

    So `--reveal A.json B.json` means the same as `--reveal A.json --reveal B.json`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        multiple = {name for param in self.params if getattr(param, "multiple", False) for name in param.opts}
        return super().parse_args(ctx, repeated(args, multiple))


def repeated(args: list[str], multiple: set[str]) -> list[str]:
    """Repeat an option of `multiple` before each further value of it; before the argument nothing changes."""
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
