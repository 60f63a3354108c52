"""Filings by chance against a model written from the contract: whatever the order of answers, repeats and intruders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from filings import Told, each_once, story
from hypothesis import given, settings
from hypothesis import strategies as st
from story import Events, uscc
from world import World

from processors.stages import outbound
from schemas import facts as f
from schemas.item_types import ServiceItem
from schemas.items import load_catalogue

HAINAN = Path(__file__).parents[3] / "schemas" / "catalogues" / "hainan-41"
CATALOGUE = load_catalogue()
FILINGS = [item for item in CATALOGUE.items.values() if item.mode == "filing"]
ITEMS = {item.code: item.department for item in FILINGS}
FIELDS = {rule.name: rule.example for item in FILINGS for rule in item.fields}


def told_outside(world: World) -> list[tuple[str, dict[str, Any]]]:
    """What the topics of departments hear: department and event."""
    found = [told for fact in world.facts if (told := outbound(fact))]
    before = "zhengzhao.filings."
    return [(topic.removeprefix(before), event) for topic, _, event in found if topic.startswith(before)]


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


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_a_catalogue_of_41_needs_no_code(seed: int) -> None:
    """The items of a folder of files go the same way as those of the national list; each field is asked for once."""
    catalogue = load_catalogue((HAINAN,))
    filings = [item for item in catalogue.items.values() if item.mode == "filing"]
    fields = {rule.name: rule.example for item in filings for rule in item.fields}
    told = story(seed, uscc(1), {item.code: item.department for item in filings}, fields)
    assert (len(filings), len(told.model.states)) == (41, 41)
    world = World(catalogue=catalogue).tell(told.events)
    as_demanded(world, told, uscc(1))
    (licence,) = world.licences(uscc(1))
    assert len(licence["filings"]) == 41


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(FILINGS), unique_by=lambda item: item.code), st.randoms(use_true_random=False)
)
def test_each_field_is_asked_for_once(chosen: list[ServiceItem], chance: Any) -> None:
    """Whatever is chosen: nothing told, every required field is named once; all but one told, that one is named."""
    e = Events()
    required = {rule.name for item in chosen for rule in item.fields if rule.required}
    known = {name: FIELDS[name] for name in sorted(required)}
    left = chance.choice(sorted(required)) if required else None
    for n, shared in enumerate(({}, {k: v for k, v in known.items() if k != left})):
        data = {
            "application_id": f"R{n}",
            "applicant": {
                "kind": "enterprise", "id": uscc(n), "name": "青海一店", "address": "积石镇", "division": "630225",
            },
            "items": [{"item": item.code} for item in chosen],
            "shared": shared,
            "materials": [{"kind": "application-form"}],
        }  # fmt: skip
        e.add("registration.submitted", "2018-03-05T09:00:00+08:00", data, "urn:agency:630225:service-hall")
    world = World().tell(e.lines)
    asked = world.case(uscc(0), "R0")["missing"]
    assert sorted(f"fields.{name}" for name in required) == sorted(asked)
    assert world.case(uscc(1), "R1")["missing"] == ([f"fields.{left}"] if left else [])


WAYS = st.tuples(
    st.sampled_from(("630225", "630200", "630000")),  # county, prefecture, province
    st.sampled_from(("service-hall", "market-regulation")),
    st.sampled_from((None, "630225", "630225100", "630225100201", "630102")),  # township and village too
    st.sampled_from((None, "online", "window", "agent")),
)


@settings(max_examples=30, deadline=None)
@given(WAYS, WAYS, st.integers(0, 2**16))
def test_five_levels_and_agents_decide_the_same(one: Any, other: Any, seed: int) -> None:
    """一次登记 by any window of any level, or an agent (代办): the same decision, certificate, filings and dates."""
    found = []
    for division, department, window, channel in (one, other):
        told = story(seed, uscc(1), ITEMS, FIELDS)
        for event in told.events:
            if event["type"] == "zhengzhao.registration.submitted.v1":
                event["source"] = f"urn:agency:{division}:{department}"
                event["data"] |= {k: v for k, v in (("window", window), ("channel", channel)) if v}
        world = World().tell(told.events)
        holder = world.holder(uscc(1))
        for case in holder["cases"]:
            ways = {"source": "", "window": ""}
            case |= ways
            case["history"] = [line for line in case["history"] if line["event"] != "submitted"]
        found.append((holder, world.licences(uscc(1))))
    assert found[0] == found[1]


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
    told = outbound(fact)
    assert told is not None
    assert told[0] == "zhengzhao.cases"
