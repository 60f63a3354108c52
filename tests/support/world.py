"""A whole pipeline in memory: events in, facts and rows out, with nothing but the pure functions."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from processors.decisions import due
from processors.number import Series
from processors.queries import views
from processors.route import route
from processors.stages import NumberClaimed, decide_step, failed_step, issued_step, number_step, refold
from processors.state import HolderState, initial
from schemas.errors import NotFound
from schemas.events import parse_event
from schemas.facts import Fact
from schemas.items import Catalogue, load_catalogue
from schemas.ledger import CorrectedEntry, Entry, TickEntry
from schemas.licence import Grant, Issued, Numbered, object_key
from schemas.persons import Sealer, holder_key, keys_of, pseudonym
from schemas.rows import as_json

RECEIVED = datetime(2040, 1, 1, tzinfo=UTC)
SECRET = b"s" * 32


class FakePersons:
    """Persons whose keys are made of their pseudonym."""

    def __init__(self) -> None:
        self._sealer = Sealer(lambda p, _: (p.encode() * 2)[:64], SECRET * 2)
        self._names: dict[str, set[str]] = {}

    def pseudonym(self, compared_id: str) -> str:
        return pseudonym(SECRET, compared_id)

    def seal(self, p: str, text: str) -> str:
        return self._sealer.seal(p, text)

    def seal_evidence(self, p: str, text: str) -> str:
        return self._sealer.seal_evidence(p, text)

    def seal_name(self, holder: str, name: str) -> str:
        return self._sealer.seal_name(holder, name)

    def names_given(self, holder: str, names: Collection[str]) -> Collection[str]:
        self._names.setdefault(holder, set()).update(names)
        return self._names[holder]

    def open(self, p: str, sealed: str) -> str | None:
        return self._sealer.open(p, sealed)

    def open_object(self, p: str, stored: bytes) -> bytes | None:
        return self._sealer.open_object(p, stored)


class MemoryBook:
    """Series, numbers given and claimed, in memory."""

    def __init__(self) -> None:
        self.of_series: dict[str, Series] = {}
        self.numbers: dict[str, str] = {}
        self.owners: dict[str, str] = {}  # number → the holder who imported it, empty where it was given here
        self.grants: set[str] = set()

    def series(self, name: str) -> Series:
        return self.of_series.get(name, Series(name))

    def number_of(self, licence_id: str) -> str | None:
        return self.numbers.get(licence_id)

    def is_numbered(self, grant: Grant) -> bool:
        return grant.grant_id in self.grants

    def owner(self, number: str) -> str | None:
        return self.owners.get(number)

    def put_series(self, series: Series) -> None:
        self.of_series[series.series] = series

    def put_numbered(self, numbered: Numbered) -> None:
        self.grants.add(numbered.grant.grant_id)
        self.numbers[numbered.grant.licence_id] = numbered.number
        if numbered.serial:
            self.owners[numbered.number] = ""

    def put_claim(self, claimed: NumberClaimed) -> None:
        self.owners[claimed.number] = claimed.holder


class World:
    """Decides entries one after another; numbers and issues at once, or when `settle` is called."""

    def __init__(self, *, prompt: bool = True, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or load_catalogue()
        self.persons = FakePersons()
        self.states: dict[str, HolderState] = {}
        self.book = MemoryBook()
        self.facts: list[Fact] = []
        self.unissuable: set[str] = set()  # applications whose versions fail when they are to be issued
        self.letters: list[Numbered] = []
        self.prompt = prompt
        self.pending: list[Entry] = []
        self.ledger: list[Entry] = []

    def send(self, event: dict[str, Any]) -> Entry:
        raw = json.dumps(event, ensure_ascii=False).encode()
        entry = route(parse_event(raw, RECEIVED), RECEIVED, event["source"], "none", self.persons)
        self.take(entry)
        return entry

    def tell(self, events: list[dict[str, Any]]) -> World:
        for event in events:
            self.send(event)
        return self

    def take(self, entry: Entry) -> None:
        self.ledger.append(entry)
        if isinstance(entry, TickEntry):
            for holder, state in sorted(self.states.items()):
                when = due.next_due(state)
                if when and when <= entry.payload.time:
                    self._decide(holder, entry)
        elif isinstance(entry, CorrectedEntry):
            for holder in sorted(self.states):
                self._decide(holder, entry)
        else:
            self._decide(entry.holder, entry)
        if self.prompt:
            self.settle()

    def settle(self) -> None:
        while self.pending:
            entry = self.pending.pop(0)
            self.ledger.append(entry)
            self._decide(entry.holder, entry)

    def _decide(self, holder: str, entry: Entry) -> None:
        before = self.states.get(holder) or initial(holder)
        self.states[holder], produced = decide_step(before, entry, self.catalogue, lambda _: b"")
        self.facts += produced.facts
        for _, error in produced.failed:
            raise error
        for question in produced.grants:
            answered = number_step(self.book, question)
            self.pending += answered.ledger
            for job in answered.numbered:
                self._issue(job.numbered)

    def _issue(self, numbered: Numbered) -> None:
        grant = numbered.grant
        if grant.application_id in self.unissuable:
            self.letters.append(numbered)
            self.pending += failed_step(grant).ledger
        else:
            self._issued(numbered)

    def _issued(self, numbered: Numbered) -> None:
        grant = numbered.grant
        issued = Issued(
            grant.grant_id, grant.licence_id, grant.version, numbered.number, numbered.identifier,
            object_key(numbered.number, grant.version), "", "", "", "", "", "", "", "",
        )  # fmt: skip
        self.pending += issued_step(grant, issued).ledger

    def retry(self) -> None:
        """What failed is issued."""
        for numbered in self.letters:
            self._issued(numbered)
        self.letters.clear()
        self.settle()

    def state(self, number: str) -> HolderState:
        for key in keys_of(number, self.persons):
            if key in self.states:
                return self.states[key]
        raise NotFound(number)

    def key(self, number: str, kind: str = "enterprise") -> str:
        return holder_key(number, kind, self.persons)

    def case(self, holder: str, application_id: str) -> dict[str, Any]:
        state = self.state(holder)
        return as_json(views.case_row(state, state.cases[application_id.upper()], self.persons.open))

    def holder(self, number: str) -> dict[str, Any]:
        state = self.state(number)
        if state.pruned:  # queries read from the facts what the state left out
            state = refold((one for one in self.facts if one.holder == state.holder), whole=True)[
                state.holder
            ]
        return as_json(views.holder_row(state, self.persons.open))

    def licences(self, number: str) -> list[dict[str, Any]]:
        state = self.state(number)
        return [as_json(views.licence_record(x, self.persons.open)) for x in state.licences.values()]
