"""The limit of recursion of the test process, and what tests have to tell at the end of a run."""

from __future__ import annotations

import sys

_RECURSION_LIMIT = sys.getrecursionlimit()

import py_ecc  # noqa: E402, F401
import pytest  # noqa: E402

# The import of py_ecc raises the limit to 100,000 for the whole process. A body of a hundred thousand brackets, which
# the service refuses at the usual limit, would then overflow the stack of the thread that reads it.
sys.setrecursionlimit(_RECURSION_LIMIT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests recorded as `told`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))
