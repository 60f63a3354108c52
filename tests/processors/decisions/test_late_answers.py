"""How late `number` and `issue` answer changes nothing that anybody sees, whatever a holder lives through."""

import datetime
import json
import random
from typing import Any

import pytest
from story import Events, uscc
from world import World

from processors.decisions.reasons import naming

HOLDERS = {uscc(1): "化肥", uscc(2): "人造板"}  # each the only one in its series
NUMBERS = {
    uscc(n): [f"(青)XK{series}-{i:05d}" for i in range(1, 5)] + [f"XK9{n}-001-0000{i}" for i in (1, 2)]
    for n, series in ((1, "13-001"), (2, "03-002"))
}
ACTIONS = ("new", "new", "extend", "change", "renew", "reissue", "surrender", "merge")
ORDERS = ("suspended", "resumed", "revoked", "withdrawn", "rescinded", "cancelled", "annulled")
CHECKERS = [{"id": n, "department": "market-regulation"} for n in "12"]


class Story:
    """A random life of two holders."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.e, self.day, self.applications = Events(), datetime.date(2018, 1, 2), ["A-0"]
        for n in range(self.chance.randrange(4, 20)):
            self.day += datetime.timedelta(days=self.chance.choice([0, 1, 3, 30, 200, 370]))
            self.step(n, f"{self.day}T08:{n:02d}:00+08:00")
        self.e.add(
            "clock.ticked",
            f"{self.day + datetime.timedelta(2)}T00:00:00+08:00",
            {},
            "urn:agency:630000:clock",
        )

    def step(self, n: int, time: str) -> None:
        holder = self.chance.choice(list(HOLDERS))
        what = self.chance.choice(
            [self.applies, self.applies, self.applies, self.imports, self.orders, self.inspects]
        )
        if self.chance.random() < 0.1:
            self.e.add("clock.ticked", f"{self.day}T23:59:00+08:00", {}, "urn:agency:630000:clock")
        else:
            what(n, time, holder)

    def named(self, holder: str) -> dict[str, Any]:
        if self.chance.random() < 0.5:
            return {"granted_by": self.chance.choice(self.applications)}
        return {"licence_number": self.chance.choice(NUMBERS[holder])}

    def applies(self, n: int, time: str, holder: str) -> None:
        action, goods = self.chance.choice(ACTIONS), [{"category": HOLDERS[holder], "site": "甲"}]
        over: dict[str, Any] = {"products": goods if action in ("new", "extend") else ...}
        if action == "merge":
            over["licence_numbers"] = self.chance.sample(NUMBERS[holder], 2)
        elif action != "new":
            over |= self.named(holder)
        if action == "change":
            over["change"] = {"name": f"新名{n}"}
        self.e.apply(time, f"A-{n}", holder, action=action, **over)
        self.applications.append(f"A-{n}")

    def imports(self, n: int, time: str, holder: str) -> None:
        until = self.day + datetime.timedelta(days=self.chance.choice([10, 400, 1500]))
        name, address = f"青海示范{holder[8:16]}化工有限公司", "青海省循化撒拉族自治县积石镇一号"
        self.e.add(
            "licence.imported", time,
            {"holder": {"kind": "enterprise", "id": holder, "name": name, "address": address, "division": "630225"},
             "licence_number": self.chance.choice(NUMBERS[holder][-2:]), "item": "industrial-product-licence",
             "products": [{"category": "化肥"}], "issued_on": "2017-01-01", "valid_from": "2017-01-01",
             "valid_until": str(until)},
        )  # fmt: skip

    def orders(self, n: int, time: str, holder: str) -> None:
        kind, data = (
            self.chance.choice(ORDERS),
            {"holder_id": holder, "ground": "g", "decided_on": str(self.day)},
        )
        if kind == "suspended":
            data["until"] = str(self.day + datetime.timedelta(days=self.chance.choice([0, 20, 300])))
        elif kind == "rescinded":
            data["deceit"] = self.chance.random() < 0.5
        event = "decision.annulled" if kind == "annulled" else f"licence.{kind}"
        self.e.add(event, time, {**self.named(holder), **data})

    def inspects(self, n: int, time: str, holder: str) -> None:
        self.e.add(
            "inspection.recorded", time,
            {**self.named(holder), "inspection_id": f"J-{n}", "kind": "post-issuance", "holder_id": holder,
             "inspectors": CHECKERS, "inspected_on": str(self.day), "result": "x",
             "passed": self.chance.random() < 0.5, "commitment_false": self.chance.random() < 0.3},
        )  # fmt: skip


def told(story: Story, answers: float) -> dict[str, Any]:
    """Everything that queries show; after each event what is pending is answered with this chance."""
    chance, world = random.Random(1), World(prompt=False)
    for event in story.e.lines:
        world.send(event)
        if chance.random() < answers:
            world.settle()
    world.settle()
    assert not any(state.waiting for state in world.states.values())
    return {holder: shown(world, holder) for holder in HOLDERS if holder in world.states}


def shown(world: World, holder: str) -> Any:
    rows = world.holder(holder)
    histories = [
        sorted(json.dumps(h, ensure_ascii=False) for h in x.pop("history")) for x in world.licences(holder)
    ]
    return {**rows, "licences": world.licences(holder) and rows["licences"], "histories": histories}


@pytest.mark.parametrize("seed", range(0, 400, 40))
def test_law_late_answers_change_nothing(seed: int) -> None:
    """At once, at the very end, or now and then."""
    for n in range(seed, seed + 40):
        story = Story(n)
        at_once = told(story, 1.0)
        assert told(story, 0.0) == at_once, n
        assert told(story, 0.3) == at_once, n


def annulled_import() -> Events:
    e = Events()
    holder = {"kind": "enterprise", "id": uscc(1), "name": "甲", "address": "乙", "division": "630225"}
    e.add(
        "licence.imported", "2018-03-01T10:00:00+08:00",
        {"holder": holder, "licence_number": "XK91-001-00001", "item": "industrial-product-licence",
         "issued_on": "2017-01-01", "valid_from": "2017-01-01", "valid_until": "2021-12-31"},
    )  # fmt: skip
    named = {"licence_number": "XK91-001-00001", "holder_id": uscc(1), "ground": "g"}
    e.add("licence.revoked", "2018-04-01T10:00:00+08:00", {**named, "decided_on": "2018-04-01"})
    e.add("decision.annulled", "2018-05-01T10:00:00+08:00", {**named, "decided_on": "2018-05-01"})
    return e


@pytest.mark.parametrize("prompt", [True, False])
def test_a_reason_names_what_made_an_import_good_by_its_day(prompt: bool) -> None:
    """It has no application, and its number may not be known yet."""
    world = World(prompt=prompt).tell(annulled_import().lines)
    world.settle()
    made = list(world.state(uscc(1)).licences.values())[1]
    assert str(naming(made)) == (
        "2018-05-01 因原决定被撤销而颁发的证照 / the licence granted on 2018-05-01 for an annulled decision"
    )


@pytest.mark.parametrize("prompt", [True, False])
def test_a_case_is_issued_by_its_own_licence(prompt: bool) -> None:
    """Not by the one that made it good since, whichever a worker comes to first."""
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N", uscc(1))
    named = {"granted_by": "N", "holder_id": uscc(1), "ground": "g"}
    e.add("licence.revoked", "2018-04-01T10:00:00+08:00", {**named, "decided_on": "2018-04-01"})
    e.add("decision.annulled", "2018-05-01T10:00:00+08:00", {**named, "decided_on": "2018-05-01"})
    world = World(prompt=prompt).tell(e.lines)
    world.pending.reverse()
    world.pending.sort(key=lambda entry: entry.kind == "issued")
    world.settle()
    case = world.case(uscc(1), "N")
    line = next(h for h in case["history"] if h["event"] == "issued")
    assert (line["time"][:10], line["detail"]) == ("2018-03-01", "(青)XK13-001-00001")
    assert case["licence_number"] == "(青)XK13-001-00002"


def test_an_extension_of_what_made_good_is_issued() -> None:
    """Its later versions are those of their own applications."""
    e = annulled_import()
    world = World().tell(e.lines)
    applicant = {"kind": "enterprise", "id": uscc(1), "name": "甲", "address": "乙", "division": "630225"}
    number = world.licences(uscc(1))[1]["number"]
    e.apply(
        "2018-06-01T10:00:00+08:00", "X", uscc(1), action="reissue", licence_number=number, products=...,
        applicant=applicant,
    )  # fmt: skip
    world.send(e.lines[-1])
    assert world.case(uscc(1), "X")["state"] == "issued"
