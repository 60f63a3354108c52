"""Keyset paging over holders: a page begins where the one before ended, whatever was added meanwhile.

A cursor names a ledger key, which for a person is a pseudonym. It leaves this machine sealed, so that nobody can tell
pseudonyms from it or make one up. A page looks at a bounded number of holders, so that a caller who may read little
or nothing costs no more than anybody else; it may therefore be short, or empty, and still have a next one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from infra.http.problems import Problem
from processors.queries.register import Register
from processors.state import HolderState
from schemas.facts import Fact
from schemas.persons import subkey

EXAMINED: Final = 2000  # holders that one page looks at


class Cursor(NamedTuple):
    """The begin of a page: a ledger key, and how many of its holder's licences came before."""

    holder: str = ""
    skip: int = 0


class Cursors:
    """Cursors sealed with a key derived from the installation's secret."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(subkey(secret, "cursors"))

    def seal(self, cursor: Cursor) -> str:
        """Return a cursor as it stands in an address."""
        sealed = self._cipher.encrypt(msgspec.json.encode(tuple(cursor)), None)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open(self, text: str) -> Cursor:
        """Return the cursor of a text, the first one for an empty text. Raises Problem 400."""
        if not text:
            return Cursor()
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            return Cursor(*msgspec.json.decode(self._cipher.decrypt(sealed, None), type=tuple[str, int]))
        except (binascii.Error, ValueError, InvalidTag):
            raise Problem(
                400,
                "翻页标记无效 / the cursor is not valid",
                where="after",
                hint="使用上一页给出的 next 链接 / follow the next link of the page before",
            ) from None


class Window:
    """The port `Register`, of which `states` shows `most` holders from `start` on. `next_holder` is the one after."""

    def __init__(self, register: Register, start: str, most: int = EXAMINED) -> None:
        self._register = register
        self._start = start
        self._most = most
        self.next_holder: str | None = None

    def states(self, start: str = "") -> Iterator[HolderState]:
        for n, state in enumerate(self._register.states(max(start, self._start))):
            if n == self._most:
                self.next_holder = state.holder
                return
            yield state

    def state(self, holder: str) -> HolderState | None:
        return self._register.state(holder)

    def holders_of_case(self, application: str) -> list[str]:
        return self._register.holders_of_case(application)

    def holder_of_licence(self, number: str) -> str | None:
        return self._register.holder_of_licence(number)

    def facts(self, types: Sequence[str]) -> Iterator[Fact]:
        return self._register.facts(types)

    def moment(self) -> AbstractContextManager[None]:
        return self._register.moment()
