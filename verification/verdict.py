"""What a verification says: a verdict, the checks that led to it, and the licence, once it is genuine."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Answer = Literal["valid", "invalid", "unknown"]


class Check(msgspec.Struct, frozen=True):
    """One check; `detail` says in Chinese and English what was found."""

    name: str
    ok: bool
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """The answer for one file.

    `genuine`: exactly these bytes were signed by an authority of the trust folder, whatever their status.
    `valid` is said only when the status could be checked; `unknown` means genuine, but no status in force.
    `licence` is empty for what is not genuine: nothing unsigned is repeated.
    """

    file: str
    verdict: Answer
    genuine: bool
    checks: tuple[Check, ...]
    licence: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The object that `verify --json` prints."""
        value: dict[str, Any] = msgspec.to_builtins(self)
        return value


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The object that `verify --json` prints."""
    return verdict.to_json()
