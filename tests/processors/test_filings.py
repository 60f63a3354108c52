"""Filings by chance against a model written from the contract: whatever the order of answers, repeats and intruders."""

from __future__ import annotations

from typing import Any

from filings import Told, each_once, story
from hypothesis import given, settings
from hypothesis import strategies as st
from story import Events, uscc
from world import World

from processors.outbound import outbound
from schemas import facts as f
from schemas.items import load_catalogue

CATALOGUE = load_catalogue()
FILINGS = [item for item in CATALOGUE.items.values() if item.mode == "filing"]
ITEMS = {item.code: item.department for item in FILINGS}
FIELDS = {rule.name: rule.example for item in FILINGS for rule in item.fields}


def told_outside(world: World) -> list[tuple[str, dict[str, Any]]]:
    """What the topics of departments hear: department and event."""
    found = [told for fact in world.facts if (told := outbound(fact, "urn:x"))]
    before = "zhengzhao.filings."
    return [(topic.removeprefix(before), event) for topic, event in found if topic.startswith(before)]


def as_demanded(world: World, told: Told, holder: str) -> None:
    """States, rounds, refusals, alarms, and what each department's topic hears: as the model has them."""
    model = told.model
    filings = world.state(holder).filings.values()
    assert {x.ref.filing_id: (x.state, x.round, x.ref.department) for x in filings} == {
        key: (state, model.rounds[key], model.departments[key]) for key, state in model.states.items()
    }
    assert model.refused == [refusal["event"] for refusal in world.holder(holder)["refused"]]
    pushes, alarms = [], set()
    for department, event in told_outside(world):
        filing, number = event["data"]["filing"], event["data"].get("round", 1)
        assert department == filing["department"]
        if event["type"] == "zhengzhao.filing.pushed.v1":
            pushes.append((event["id"], filing["filing_id"], number, department))
        else:
            alarms.add((filing["filing_id"], number, event["data"]["colour"]))
    assert len(pushes) == len(model.pushed)
    assert model.pushed == each_once(pushes)
    assert model.alarms == alarms


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_filings_in_any_order(seed: int) -> None:
    """Nineteen filings of nineteen items; also where ticks come in between, as often as they like."""
    told = story(seed, uscc(1), ITEMS, FIELDS)
    world = World().tell(told.events)
    as_demanded(world, told, uscc(1))
    (licence,) = world.licences(uscc(1))
    assert (licence["version"], len(licence["filings"])) == (1, 19)
    ticked = World()
    for event in told.events:
        tick = Events()
        tick.add(
            "clock.ticked", event["time"], {}, "urn:agency:630000:clock", id=f"tick-{len(ticked.ledger)}"
        )
        ticked.tell([event, *tick.lines])
    assert world.facts == ticked.facts


def test_a_fact_of_before_is_told_where_it_was_told_before() -> None:
    """An alarm that does not name its filing goes to the cases, as in the release that wrote it."""
    fact = f.Fact("i", "c", "h", "2018-03-05T10:00:00+08:00", f.FilingOverdue("R:X", "red", "2018-03-05"))
    told = outbound(fact, "urn:x")
    assert told is not None
    assert told[0] == "zhengzhao.cases"
