"""How the whole run is shared out over two processes, and what tests have to tell at its end.

A file's tests stay together. Those on real servers make one group, which comes first: two stacks at once would be
too much for two processors, and nothing takes longer.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Names the group of each test for `--dist loadgroup`."""
    for item in items:
        group = "servers" if _on_servers(item) else f"{item.path.parent.name}-{item.path.name}"
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_on_servers, reverse=True)


def _on_servers(item: pytest.Item) -> bool:
    return item.get_closest_marker("servers") is not None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests recorded as `told`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))
