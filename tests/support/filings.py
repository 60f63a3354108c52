"""A registration with all filings of the national list, answered in any order; and what must come of it.

The model reads no line of the product: it is §2 of the contract, written again. `story` makes events by a seed: every
department answers its filings in its own time, some answer others', some from the wrong division, some twice.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from story import Events

Event = dict[str, Any]
HALL = "urn:agency:630225:service-hall"
ELSEWHERE = "630102"  # a county of another prefecture
_START = datetime.fromisoformat("2018-03-05T09:00:00+08:00")
_MOVES = {
    "received": ({"pushed"}, "received"),
    "claimed": ({"pushed", "received"}, "claimed"),
    "returned": ({"pushed", "received"}, "returned"),
    "corrected": ({"returned"}, "pushed"),
}


class Model:
    """What the contract demands of the filings of one registration."""

    def __init__(self, application: str, departments: dict[str, str]) -> None:
        self.departments = {f"{application}:{item}": name for item, name in departments.items()}
        self.states = dict.fromkeys(self.departments, "pushed")
        self.rounds = dict.fromkeys(self.departments, 1)
        self.pushed = {(f, 1, name) for f, name in self.departments.items()}
        self.refused: list[str] = []
        self.alarms: set[tuple[str, int, str]] = set()
        self._seen: set[tuple[str, str]] = set()

    def take(self, event: Event) -> None:
        """One event; the same one again is none."""
        if (event["source"], event["id"]) in self._seen:
            return
        self._seen.add((event["source"], event["id"]))
        kind = event["type"].removeprefix("zhengzhao.").removesuffix(".v1")
        if kind == "clock.ticked":
            late = [f for f, state in self.states.items() if state in ("pushed", "received")]
            self.alarms |= {(f, self.rounds[f], colour) for f in late for colour in ("yellow", "red")}
        elif kind.startswith("filing."):
            self._answer(kind, event["source"], event["data"])

    def _answer(self, kind: str, source: str, data: Event) -> None:
        filing, verb = data["filing_id"], kind.removeprefix("filing.")
        _, _, division, sender = source.split(":")
        before, after = _MOVES[verb]
        own = verb == "corrected" or data["department"] == sender == self.departments[filing]
        if not own or division not in ("630225", "630200", "630000") or self.states[filing] not in before:
            self.refused.append(kind)
            return
        self.states[filing] = after
        if verb == "corrected":
            self.rounds[filing] += 1
            self.pushed.add((filing, self.rounds[filing], self.departments[filing]))


class Told(NamedTuple):
    """A registration's events in the order of their telling, and the model that has taken them."""

    events: list[Event]
    model: Model


def story(
    seed: int, holder: str, items: dict[str, str], fields: dict[str, str], application: str = "MULTI"
) -> Told:
    """A story by chance: `items` are filings with their departments, `fields` what they ask for."""
    chance = random.Random(seed)
    model = Model(application, items)
    scripts = [_script(chance, f"{application}:{item}", holder, name, items) for item, name in items.items()]
    told = Events()
    told.add(
        "registration.submitted", _START.isoformat(), _registration(application, holder, items, fields), HALL
    )
    clock = _START
    while scripts := [s for s in scripts if s]:
        clock += timedelta(minutes=chance.randint(1, 12))
        kind, source, data = chance.choice(scripts).pop(0)
        told.add(kind, clock.isoformat(), data, source)
    for event in told.lines:
        event["id"] = f"{application}-{event['id']}"
    events = _repeated(chance, told.lines)
    again = copy.deepcopy(events[0])  # the same application under another id changes nothing
    events.insert(chance.randrange(1, len(events)), {**again, "id": f"{application}-again"})
    told.lines = events
    told.add("clock.ticked", "2018-06-01T00:00:00+08:00", {}, "urn:agency:630000:clock")
    for event in told.lines:
        model.take(event)
    return Told(told.lines, model)


def _registration(application: str, holder: str, items: dict[str, str], fields: dict[str, str]) -> Event:
    return {
        "application_id": application,
        "applicant": {
            "kind": "enterprise", "id": holder, "name": "青海多证合一有限公司", "address": "积石镇一号",
            "division": "630225",
        },
        "items": [{"item": item} for item in items],
        "shared": fields,
        "materials": [{"kind": "application-form"}],
    }  # fmt: skip


def _script(
    chance: random.Random, filing: str, holder: str, department: str, items: dict[str, str]
) -> list[tuple[str, str, Event]]:
    """What is said about one filing, in its order."""
    found: list[tuple[str, str, Event]] = []

    def say(verb: str, division: str = "630225", sender: str = department, **more: Any) -> None:
        data = {"filing_id": filing, "holder_id": holder, "department": sender, **more}
        found.append(
            (f"filing.{verb}", HALL if verb == "corrected" else f"urn:agency:{division}:{sender}", data)
        )

    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        if chance.random() < 0.5:
            say("received")
        say("returned", reason="内容不全")
        if chance.random() < 0.3:
            say("claimed")  # too early: it waits for the correction
        say("corrected", answers={"contact": f"更正{len(found)}"})
    if chance.random() < 0.5:
        say("received", chance.choice(("630225", "630200")))
    if chance.random() < 0.4:
        say("claimed", sender=chance.choice([d for d in items.values() if d != department]))
    if chance.random() < 0.3:
        say("claimed", division=ELSEWHERE)
    if chance.random() < 0.85:
        say("claimed", chance.choice(("630225", "630000")))
        if chance.random() < 0.3:
            say(chance.choice(("claimed", "returned", "received", "corrected")))
    return found


def _repeated(chance: random.Random, events: list[Event]) -> list[Event]:
    """Some events come again later, as they were."""
    found = list(events)
    for event in chance.sample(events, len(events) // 4):
        found.insert(chance.randrange(found.index(event) + 1, len(found) + 1), event)
    return found


def cut(seed: int, events: list[Event], parts: int) -> list[list[Event]]:
    """The events in portions of different sizes, in their order."""
    places = sorted(random.Random(seed).sample(range(1, len(events)), parts - 1))
    return [events[a:b] for a, b in zip([0, *places], [*places, len(events)], strict=True)]


def each_once(told: list[tuple[str, str, int, str]]) -> set[tuple[str, int, str]]:
    """Pushes as (event id, filing, round, department) → without ids; asserts that each has one id, however often told."""
    ids = Counter((filing, number) for _, filing, number, _ in set(told))
    assert [push for push, count in ids.items() if count > 1] == []
    return {(filing, number, department) for _, filing, number, department in told}
