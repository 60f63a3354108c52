"""As much of a worker's application as a stage's loop needs to be made."""

from __future__ import annotations

from typing import Any


class FakeStageApp:
    """An application that runs nothing: agents and timers are called by the test."""

    started = False

    def topic(self, *_: Any, **__: Any) -> None:
        """Return no channel."""

    def agent(self, *_: Any, **__: Any) -> Any:
        """Return a decorator that leaves the agent alone."""
        return lambda run: run

    def timer(self, **_: Any) -> Any:
        """Return a decorator that leaves the act alone."""
        return lambda act: act
