"""A whole pipeline in memory: events in, facts and rows out, with nothing but the pure functions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from processors.decide import decide
from processors.decisions import due
from processors.number import Series, imported, is_free, number
from processors.queries import views
from processors.route import route
from processors.state import HolderState, initial
from schemas.errors import NotFound
from schemas.events import parse_event
from schemas.facts import Fact, ImportRecorded, LicenceGranted, NumberAsked
from schemas.items import Catalogue, load_catalogue
from schemas.ledger import Entry
from schemas.licence import Grant, Issued, Numbered, object_key
from schemas.persons import Sealer, holder_key, keys_of, pseudonym
from schemas.rows import as_json

RECEIVED = datetime(2040, 1, 1, tzinfo=UTC)
SECRET = b"s" * 32


class FakePersons:
    """Persons whose keys are made of their pseudonym."""

    def __init__(self) -> None:
        self._sealer = Sealer(lambda p, _: (p.encode() * 2)[:64])

    def pseudonym(self, compared_id: str) -> str:
        return pseudonym(SECRET, compared_id)

    def seal(self, p: str, text: str) -> str:
        return self._sealer.seal(p, text)

    def open(self, p: str, sealed: str) -> str | None:
        return self._sealer.open(p, sealed)


class World:
    """Decides entries one after another; numbers and issues at once, or when `settle` is called."""

    def __init__(self, *, prompt: bool = True, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or load_catalogue()
        self.persons = FakePersons()
        self.states: dict[str, HolderState] = {}
        self.series: dict[str, Series] = {}
        self.numbers: dict[str, str] = {}
        self.owners: dict[str, str] = {}  # number → the holder who imported it, empty where it was given here
        self.facts: list[Fact] = []
        self.unissuable: set[str] = set()  # applications whose versions fail when they are to be issued
        self.letters: list[tuple[Issued, Grant]] = []
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
        if entry.kind == "tick":
            for holder, state in sorted(self.states.items()):
                when = due.next_due(state)
                if when and when <= entry.payload["time"]:
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
        facts, after = decide(before, entry, self.catalogue)
        self.states[holder] = after
        self.facts += facts
        for fact in facts:
            if isinstance(fact.body, LicenceGranted):
                self._number(fact.body.grant)
            elif isinstance(fact.body, NumberAsked):
                self._claim(fact.body, holder)
            elif isinstance(fact.body, ImportRecorded):
                series = fact.body.grant.series
                self.series[series] = imported(self.series.get(series, Series(series)), fact.body.serial)

    def _claim(self, asked: NumberAsked, holder: str) -> None:
        free = is_free(self.owners.get(asked.number), holder)
        if free:
            self.owners[asked.number] = holder
            series = self.series.get(asked.series, Series(asked.series))
            self.series[asked.series] = imported(series, asked.serial)
        payload = {"number": asked.number, "free": free}
        self.pending.append(Entry(f"claimed:{holder}:{asked.number}", "claimed", holder, "", payload))

    def _number(self, grant: Grant) -> None:
        series = self.series.get(grant.series, Series(grant.series))
        self.series[grant.series], given = number(series, grant, self.numbers.get(grant.licence_id))
        self.numbers[grant.licence_id] = given.number
        if given.serial:
            self.owners[given.number] = ""
        self._back("numbered", given, grant)
        issued = Issued(
            grant.grant_id, grant.licence_id, grant.version, given.number, given.identifier,
            object_key(given.number, grant.version), "", "", "", "", "", "", "", "",
        )  # fmt: skip
        if grant.application_id in self.unissuable:
            self.letters.append((issued, grant))
            payload = {"licence_id": grant.licence_id, "version": grant.version}
            self.pending.append(Entry(f"failed:{grant.grant_id}", "failed", grant.holder, "", payload))
        else:
            self._back("issued", issued, grant)

    def retry(self) -> None:
        """What failed is issued."""
        for issued, grant in self.letters:
            self._back("issued", issued, grant)
        self.letters.clear()
        self.settle()

    def _back(self, kind: Any, what: Numbered | Issued, grant: Grant) -> None:
        payload = msgspec.to_builtins(what)
        self.pending.append(Entry(f"{kind}:{grant.grant_id}", kind, grant.holder, grant.decided_at, payload))

    def state(self, number: str) -> HolderState:
        for key in keys_of(number, self.persons):
            if key in self.states:
                return self.states[key]
        raise NotFound(number)

    def key(self, number: str, kind: str = "enterprise") -> str:
        return holder_key(number, kind, self.persons)

    def case(self, holder: str, application_id: str) -> dict[str, Any]:
        state = self.state(holder)
        return as_json(views.case_row(state, state.cases[application_id.upper()]))

    def holder(self, number: str) -> dict[str, Any]:
        return as_json(views.holder_row(self.state(number), self.persons.open))

    def licences(self, number: str) -> list[dict[str, Any]]:
        state = self.state(number)
        return [as_json(views.licence_record(x, self.persons.open)) for x in state.licences.values()]
