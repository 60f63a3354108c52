"""The report of a draw's verification: its checks, their verdict, and the parts that nothing given could show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from schemas.errors import DrawError

Unchecked = Literal["assignments", "earlier", "order", "parties", "public", "publication", "replacements"]


class DrawCheck(msgspec.Struct, frozen=True):
    """One check: its name, its result, and the details found."""

    name: str
    ok: bool
    detail: str


class DrawReport(msgspec.Struct, frozen=True):
    """The report on one transcript; `unchecked` names what the files given could not show."""

    verdict: Literal["valid", "invalid"]
    unchecked: list[Unchecked]
    checks: list[DrawCheck]


class Checklist:
    """The checks of one verification; each is made even after one failed."""

    def __init__(self) -> None:
        self._done: list[DrawCheck] = []

    def run(self, name: str, check: Callable[[], Any], detail: str = "") -> Any:
        """Run a check; return its result, or None where it failed. A text it returns is the detail."""
        try:
            found = check()
        except DrawError as error:
            self._done.append(DrawCheck(name, False, str(error)))
            return None
        self._done.append(DrawCheck(name, True, found if isinstance(found, str) else detail))
        return found

    def report(self, unchecked: list[Unchecked]) -> DrawReport:
        """Return the report over all checks so far."""
        verdict: Literal["valid", "invalid"] = "valid" if all(c.ok for c in self._done) else "invalid"
        return DrawReport(verdict, sorted(unchecked), self._done)
