"""A number is one licence's for ever: imports against imports and against the numbers that series give."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import PROVINCE, Events, ric, uscc
from world import World

from processors.number import is_free
from schemas.items import load_catalogue, place_of
from schemas.licence import object_key

ITEM = "industrial-product-licence"
FORM = [{"kind": "application-form"}]
DAY = "2018-03-01T10:00:00+08:00"


def holder(n: int, **over: Any) -> dict[str, Any]:
    return {
        "kind": "enterprise",
        "id": uscc(n),
        "name": f"旧证{n}厂",
        "address": "循化县",
        "division": "630225",
        **over,
    }


def imports(e: Events, who: int | dict[str, Any], number: str, time: str = DAY, **over: Any) -> None:
    source = over.pop("source", PROVINCE)
    data = {
        "holder": holder(who) if isinstance(who, int) else who, "licence_number": number, "item": ITEM,
        "products": [{"category": "化肥", "site": "老厂"}], "issued_on": "2016-01-01", "valid_from": "2016-01-01",
        "valid_until": "2020-12-31", **over,
    }  # fmt: skip
    e.add("licence.imported", time, data, source)


def told(*steps: Any, prompt: bool = True) -> World:
    events = Events()
    for step in steps:
        step(events)
    world = World(prompt=prompt).tell(events.lines)
    world.settle()
    return world


def refusals(world: World, n: int) -> list[tuple[str, str]]:
    return [(row["event"], row["reason"]) for row in world.holder(uscc(n))["refused"]]


OTHERS = "证照编号 {0} 已属于他人 / the number {0} belongs to another holder"


@pytest.mark.parametrize("prompt", [True, False])
def test_a_number_that_another_holder_imported_is_refused(prompt: bool) -> None:
    """The second import has no effect and says why, however the number is spelt and however late the answer."""
    world = told(
        lambda e: imports(e, 1, "XK99-001-00007"), lambda e: imports(e, 2, " ｘk99-001-00007"), prompt=prompt
    )
    assert [row["number"] for row in world.licences(uscc(1))] == ["XK99-001-00007"]
    assert world.licences(uscc(2)) == []
    assert refusals(world, 2) == [("licence.imported", OTHERS.format("XK99-001-00007"))]


@pytest.mark.parametrize("prompt", [True, False])
def test_a_number_that_our_series_gave_is_refused(prompt: bool) -> None:
    """Another holder's licence has it, whether its holder knows by now or not."""
    number = "(青)XK13-001-00001"
    world = told(lambda e: e.apply(DAY, "N", uscc(1)), lambda e: imports(e, 2, number), prompt=prompt)
    assert (world.licences(uscc(1))[0]["number"], world.licences(uscc(2))) == (number, [])
    assert refusals(world, 2) == [("licence.imported", OTHERS.format(number))]


def test_an_import_for_another_item_does_not_take_a_number_either() -> None:
    """The object of a licence lies under its number: items share them, whatever the length of their serials."""
    person = holder(2, kind="person", id=ric(2))
    number = "(青)XK13-001-00001"
    world = told(
        lambda e: e.apply(DAY, "N", uscc(1)),
        lambda e: imports(e, person, number, item="special-equipment-operator", products=[]),
        lambda e: imports(e, 3, "ABC123456"),
        lambda e: imports(e, person, "ABC123456", item="special-equipment-operator", products=[]),
    )
    assert [row["event"] for row in world.holder(ric(2))["refused"]] == ["licence.imported"] * 2
    assert world.licences(ric(2)) == []


def test_the_reason_names_no_holder() -> None:
    """Neither a person's number nor the pseudonym of who has the number."""
    person = holder(1, kind="person", id=ric(1))
    one = {"item": "special-equipment-operator", "products": []}
    world = told(
        lambda e: imports(e, person, "TS630225000007", **one),
        lambda e: imports(e, holder(2, kind="person", id=ric(2)), "TS630225000007", **one),
    )
    reason = world.holder(ric(2))["refused"][0]["reason"]
    assert reason == OTHERS.format("TS630225000007")
    assert world.key(ric(1), "person") not in json.dumps(world.holder(ric(2)), ensure_ascii=False)


def test_the_same_holder_again_is_told_as_before() -> None:
    """Its own licence has the number, imported or given."""
    number = "(青)XK13-001-00001"
    world = told(
        lambda e: imports(e, 1, "XK99-001-00007"),
        lambda e: imports(e, 1, "XK99-001-00007"),
        lambda e: e.apply(DAY, "N", uscc(2)),
        lambda e: imports(e, 2, number),
    )
    assert [reason for n in (1, 2) for _, reason in refusals(world, n)] == [
        f"证照 {name} 已在册 / the licence {name} is in the register already"
        for name in ("XK99-001-00007", number)
    ]


def test_an_import_that_is_refused_takes_no_number() -> None:
    """Who may not import it keeps nobody else from it."""
    world = told(
        lambda e: imports(e, 1, "XK99-001-00007", source="urn:agency:630000:commerce"),
        lambda e: imports(e, 2, "XK99-001-00007"),
    )
    assert [row["number"] for row in world.licences(uscc(2))] == ["XK99-001-00007"]


def test_what_follows_an_import_waits_for_the_answer() -> None:
    """Orders, applications and ticks of the holder are decided in their order, as of their own time."""
    number = "XK99-001-00007"

    def tell(e: Events) -> None:
        imports(e, 1, number, valid_until="2018-03-20")
        e.add("licence.suspended", "2018-03-02T10:00:00+08:00",
              {"licence_number": number, "holder_id": uscc(1), "ground": "g", "decided_on": "2018-03-02",
               "until": "2018-03-10"})  # fmt: skip
        e.apply("2018-03-05T10:00:00+08:00", "R", uscc(1), action="reissue", licence_number=number, materials=FORM,
                products=..., applicant=holder(1))  # fmt: skip
        e.add("clock.ticked", "2018-04-01T00:00:00+08:00", {}, "urn:agency:630000:clock")

    prompt, slow = told(tell), told(tell, prompt=False)
    events = [(row["time"][:10], row["event"]) for row in slow.licences(uscc(1))[0]["history"]]
    assert events == [(row["time"][:10], row["event"]) for row in prompt.licences(uscc(1))[0]["history"]]
    assert ("2018-03-11", "suspension.ended") in events
    assert ("2018-03-21", "licence.expired") in events
    assert slow.case(uscc(1), "R")["state"] == "issued"


def test_a_merge_waits_until_its_licences_have_numbers() -> None:
    """Which one is kept and what the others say of it hang on no engine."""

    def tell(e: Events) -> None:
        e.apply(DAY, "N", uscc(1))
        imports(e, 1, "(青)XK13-001-00001", issued_on="2018-03-01", valid_from="2018-03-01")
        imports(e, 1, "(青)XK13-001-00009", issued_on="2018-03-01", valid_from="2018-03-01")
        named = {"licence_numbers": ["(青)XK13-001-00009", "(青)XK13-001-00001"], "products": ...}
        e.apply("2018-03-02T10:00:00+08:00", "M", uscc(1), action="merge", **named)

    shown = [
        [
            (row["number"], row["status"], row["merged_into"])
            for row in told(tell, prompt=one).licences(uscc(1))
        ]
        for one in (True, False)
    ]
    assert shown[0] == shown[1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["import", "new"]), st.integers(1, 6), st.integers(1, 8)), max_size=24)
)
def test_law_no_two_licences_claim_one_object(steps: list[tuple[str, int, int]]) -> None:
    """Whatever is imported and granted, in whatever order: each number is one licence's, and so is each object."""
    events = Events()
    for n, (kind, who, serial) in enumerate(steps):
        if kind == "import":
            imports(events, who, f"(青)XK13-001-{serial:05d}")
        else:
            events.apply(DAY, f"N-{n}", uscc(who))
    for prompt in (True, False):
        world = World(prompt=prompt).tell(events.lines)
        world.settle()
        found = [licence.number for state in world.states.values() for licence in state.licences.values()]
        assert all(found)
        assert len({object_key(number, 1) for number in found}) == len(found)
        assert not any(state.waiting for state in world.states.values())


def test_the_series_of_a_number() -> None:
    """One series answers for a number, whatever item it is imported for."""
    catalogue = load_catalogue()
    assert tuple(place_of("(青)XK13-001-00041", catalogue)) == ("(青)XK13-001-", 41)
    assert tuple(place_of("TS630225000007", catalogue)) == ("TS630225", 7)
    assert tuple(place_of("XK99-001-00007", catalogue)) == ("XK99-001-", None)
    assert tuple(place_of("2018", catalogue)) == ("2018", None)


def test_a_number_is_free_for_who_asked_first() -> None:
    """The same question again has the same answer."""
    assert [is_free(owner, "H") for owner in (None, "H", "G", "")] == [True, True, False, False]


def test_a_tick_that_comes_while_something_waits_is_not_lost() -> None:
    """What is late with its answer lets happen what fell due by that tick, without another one."""
    e = Events()
    imports(e, 1, "XK99-001-00007", valid_until="2018-03-20")
    ticks = [f"2018-{day}T00:00:00+08:00" for day in ("02-01", "03-15", "03-21", "03-21")]
    for n, time in enumerate(ticks):
        e.add("clock.ticked", time, {}, "urn:agency:630000:clock", id=f"tick-{n}")
    slow = World(prompt=False).tell(e.lines)
    assert len(slow.state(uscc(1)).waiting) == 3  # the import, and a tick of each later day
    slow.settle()
    assert [row["status"] for row in slow.licences(uscc(1))] == ["expired"]
