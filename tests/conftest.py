"""The limit of recursion and the language of the test process, and what tests have to tell at the end of a run."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator

_RECURSION_LIMIT = sys.getrecursionlimit()

import py_ecc  # noqa: E402, F401
import pytest  # noqa: E402

# The import of py_ecc raises the limit to 100,000 for the whole process. A body of a hundred thousand brackets, which
# the service refuses at the usual limit, would then overflow the stack of the thread that reads it.
sys.setrecursionlimit(_RECURSION_LIMIT)

# Messages of the command line are in both languages, whatever the machine's own is (`infra.cli.words`).
os.environ["LANG"] = "C.UTF-8"
for _name in ("LC_ALL", "LC_MESSAGES"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session", autouse=True)
def _state() -> Iterator[None]:
    """Let commands remember nothing beyond the run."""
    with tempfile.TemporaryDirectory(prefix="zhengzhao-state-") as folder:
        os.environ["XDG_STATE_HOME"] = folder
        yield
        del os.environ["XDG_STATE_HOME"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests recorded as `told`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))
