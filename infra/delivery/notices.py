"""Letters to holders: listed from facts, and sealed when they are first asked for.

A letter is a function of facts, so nothing is kept of it but its sealed file. Replay builds that file again from the
facts and the signature in its seal.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from infra.issue_worker import seal_signature
from infra.parts import Parts
from infra.persons.keys import DATABASE as PERSONS
from infra.persons.keys import SECRET
from infra.readmodel.lists import EmbeddedRegister
from issuance.letters import FILE, LetterSealer, made_with
from processors.letters import TYPES, letters_of
from processors.queries.listings import WholeRegister
from schemas.errors import LintError, NotFound, ObjectDiffers, VerificationError
from schemas.item_types import ServiceItem
from schemas.letters import Letter, letter_key
from schemas.persons import is_pseudonym, open_parts
from schemas.ports import Store
from verification.pdf import attachments, read_layout

OpenRegister = Callable[[], AbstractContextManager[WholeRegister]]


class Notices:
    """The letters of an installation. `open_register` opens the register for one question."""

    def __init__(self, parts: Parts, open_register: OpenRegister) -> None:
        self._parts = parts
        self._open_register = open_register
        self._lock = threading.Lock()
        self._sealer: LetterSealer | None = None

    def of_holder(self, holder: str) -> list[Letter]:
        """Return the letters to a holder (ledger key), the newest first."""
        with self._open_register() as register:
            return self._of(register, holder)[::-1]

    def of_case(self, holder: str, case: str) -> list[Letter]:
        """Return the letters about a case, the newest first."""
        return [letter for letter in self.of_holder(holder) if letter.case == case]

    def own(self, holder: str, letter_id: str) -> Letter:
        """Return a letter to a holder. Raises NotFound for any other one."""
        for letter in self.of_holder(holder):
            if letter.id == letter_id:
                return letter
        raise _unknown(letter_id)

    def everything(self) -> Iterator[Letter]:
        """Yield every letter, those of one holder after another."""
        with self._open_register() as register:
            for holder in dict.fromkeys(fact.holder for fact in register.facts(TYPES)):
                yield from self._of(register, holder)

    def find(self, letter_id: str) -> Letter:
        """Return a letter by its id or number. Raises NotFound for an unknown one."""
        for letter in self.everything():
            if letter_id in (letter.id, letter.number):
                return letter
        raise _unknown(letter_id)

    def _of(self, register: WholeRegister, holder: str) -> list[Letter]:
        def item_of(digest: str, code: str) -> ServiceItem | None:
            return register.recorded_item(digest) or self._parts.catalogue.get(code)

        return list(letters_of(register.facts_of(holder), item_of))

    def addressee(self, letter: Letter) -> str:
        """Return the addressee's name in clear. Raises NotFound where the person was erased."""
        opened = self._parts.persons.open(letter.holder, letter.to)
        if opened is None:
            raise NotFound("持证人信息已删除 / the holder was erased", where=letter.id)
        return opened or letter.display

    def in_clear(self, letter: Letter) -> Letter:
        """Return a letter with what is sealed in its texts opened."""

        def opened(texts: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(
                open_parts(text, partial(self._parts.persons.open, letter.holder), "***") for text in texts
            )

        return replace(letter, paragraphs=opened(letter.paragraphs), listed=opened(letter.listed))

    def content(self, letter: Letter) -> bytes:
        """Return a letter's sealed PDF, which is made and stored when it is first asked for.

        Raises NotFound where the person was erased, LintError where the authority had no key that seals at that time.
        """
        key, to = letter_key(letter.id), self.addressee(letter)
        try:
            return self._opened(letter, self._parts.store.get(key))
        except NotFound:
            pass
        with self._lock:  # compilers and fonts serve one thread at a time
            made = self._seals().sealed(self.in_clear(letter), to, self._parts.signer())
        personal = is_pseudonym(letter.holder)
        stored = self._parts.persons.seal_object(letter.holder, made) if personal else made
        try:
            self._parts.store.put(key, stored)
        except ObjectDiffers:  # a signer with random signatures was here before: the first file counts
            return self._opened(letter, self._parts.store.get(key))
        return made

    def rebuilt(self, letter: Letter, stored: bytes) -> bytes:
        """Return what a letter's stored file has to be, with the signature in it. Raises VerificationError."""
        opened = self._opened(letter, stored)
        with self._lock:
            signature = seal_signature(read_layout(opened).cms)
            made = self._seals().rebuild(self.in_clear(letter), self.addressee(letter), signature)
            if made != opened and self.in_clear(letter) != letter:
                # An earlier release printed what was sealed in a text as it was.
                earlier = self._seals().rebuild(letter, self.addressee(letter), signature)
                made = earlier if earlier == opened else made
        return self._parts.persons.seal_object(letter.holder, made) if opened is not stored else made

    def made_here(self, letter: Letter, stored: bytes) -> bool:
        """Tell whether the renderer, template and fonts of a stored letter are those of this installation."""
        content = attachments(self._opened(letter, stored)).get(FILE, b"{}")
        return bool(json.loads(content).get("made_with") == made_with())

    def _seals(self) -> LetterSealer:
        if self._sealer is None:
            self._sealer = LetterSealer(self._parts.trust)
        return self._sealer

    def _opened(self, letter: Letter, stored: bytes) -> bytes:
        opened = self._parts.persons.open_object(letter.holder, stored)
        if opened is None:
            raise NotFound("持证人信息已删除 / the holder was erased", where=letter.id)
        return opened


def _unknown(letter_id: str) -> NotFound:
    return NotFound("未找到这份文书 / no such letter", where=letter_id[:80], hint="zhengzhao notice list")


class CheckedLetter(NamedTuple):
    """A stored letter as replay finds it: what is wrong, or why it could not be proved."""

    key: str
    problem: str = ""
    unproved: bool = False


def check_letters(parts: Parts, target: Store) -> Iterator[CheckedLetter]:
    """Build each stored letter again from facts and the signature in its seal; put it into `target`, and compare it."""
    keys = list(parts.store.list("letters/"))
    if not keys:
        return
    settings = parts.settings
    opens = settings.on_kafka or ((settings.data / PERSONS).is_file() and (settings.data / SECRET).is_file())
    register = EmbeddedRegister(settings.database)
    notices = Notices(parts, lambda: nullcontext(register))
    try:
        for key in keys:
            stored = parts.store.get(key)
            holder = register.holder_of_fact(_id_of(key))
            if holder is None:
                yield CheckedLetter(key, "too many: no fact accounts for it / 多出")
            elif not opens:
                target.put(key, stored)
                yield CheckedLetter(key, "the installation's secret is not here / 缺少安装密钥", True)
            else:
                yield _checked(notices, holder, key, stored, target)
    finally:
        register.close()


def _checked(notices: Notices, holder: str, key: str, stored: bytes, target: Store) -> CheckedLetter:
    try:
        letter = notices.own(holder, _id_of(key))
        if not notices.made_here(letter, stored):
            target.put(key, stored)
            return CheckedLetter(key, "made with another renderer / 渲染环境不同", True)
        built = notices.rebuilt(letter, stored)
    except (NotFound, VerificationError, LintError) as error:
        return CheckedLetter(key, f"cannot be rebuilt: {error}")
    target.put(key, built)
    return CheckedLetter(key, "" if built == stored else "differs: what is rebuilt has other bytes")


def _id_of(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".pdf")
