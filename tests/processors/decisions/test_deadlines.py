"""Every limit alarms exactly once, dated by its moment, whatever the cadence of ticks and whatever an engine is late with."""

import datetime
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import Events, ric, uscc
from world import World

from processors.queries import views

CLOCK = "urn:agency:630000:clock"
FORM = [{"kind": "application-form"}]
START = "2018-03-01T10:00:00+08:00"  # a Thursday
ALARMS = (
    "case.overdue", "case.lapsed", "check.overdue", "filing.overdue", "licence.certificate-overdue", "licence.status",
)  # fmt: skip


def tick(day: str) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"t-{day}", "source": CLOCK, "type": "zhengzhao.clock.ticked.v1",
        "time": f"{day}T00:00:00+08:00", "data": {},
    }  # fmt: skip


def told() -> list[dict[str, Any]]:
    """One holder for each limit, all on one day: what has to come never comes."""
    e = Events()
    e.apply(START, "CORRECTION", uscc(1), materials=FORM)
    person = {"kind": "person", "id": ric(2), "name": "甲", "address": "乙", "division": "630102"}
    kinds = [{"kind": "application-form"}, {"kind": "examination-record"}]
    e.apply(
        START,
        "REVIEW",
        ric(2),
        item="special-equipment-operator",
        applicant=person,
        products=...,
        materials=kinds,
    )
    e.apply(START, "CHECK", uscc(3))
    late = [*FORM, {"kind": "safety-system"}, {"kind": "emergency-plan", "deferred_until": "2018-03-20"}]
    hall = "urn:agency:630000:service-hall"
    hazardous = {"item": "hazardous-chemicals-operation", "products": ..., "source": hall}
    e.apply(START, "LATE", uscc(4), materials=late, **hazardous)
    e.add(
        "registration.submitted", START,
        {
            "application_id": "FILING", "materials": FORM, "items": [{"item": "recycling-filing"}],
            "applicant": {"kind": "enterprise", "id": uscc(5), "name": "甲", "address": "乙", "division": "630225"},
            "shared": {"legal-representative": "丙", "registered-capital": "1", "business-scope": "丁",
                       "recycled-goods": "废金属", "site-address": "东街"},
        },
        "urn:agency:630225:service-hall",
    )  # fmt: skip
    e.apply(START, "CERTIFICATE", uscc(6))
    return e.lines


def alarms(world: World) -> Counter[tuple[str, str, str]]:
    return Counter((fact.type, fact.time, fact.cause) for fact in world.facts if fact.type in ALARMS)


def run(ticks: list[str], prompt: bool = True) -> World:
    world = World(prompt=prompt)
    world.unissuable = {"CERTIFICATE"}
    world.tell(told())
    for n, day in enumerate(ticks):
        world.send(tick(day))
        if n % 3 == 2:
            world.settle()
    world.settle()
    return world


def days(*numbers: int) -> list[str]:
    return [(datetime.date(2018, 3, 2) + datetime.timedelta(days=n)).isoformat() for n in numbers]


DAILY = run(days(*range(260)))


def test_each_limit_by_hand() -> None:
    """Working days by the calendar of 2018: 5, 6 and 7 April and 29 April to 1 May are holidays."""
    found = {(kind, time[:10]) for kind, time, _ in alarms(DAILY)}
    expected = {
        ("case.lapsed", "2018-03-21"),  # the late material
        ("check.overdue", "2018-04-01"),  # 30 days after 1 March
        ("licence.certificate-overdue", "2018-03-16"),  # ten working days: 15 March
    }
    assert expected <= found
    due = DAILY.case(uscc(1), "CORRECTION")["due"]["correction"]
    assert (
        "case.lapsed",
        (datetime.date.fromisoformat(due) + datetime.timedelta(days=1)).isoformat(),
    ) in found
    assert Counter(kind for kind, _, _ in alarms(DAILY)) == {
        "case.lapsed": 2, "case.overdue": 2, "check.overdue": 2, "filing.overdue": 2, "licence.certificate-overdue": 1,
    }  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 258), max_size=25), st.booleans())
def test_law_a_deadline_fires_exactly_once(ticks: list[int], prompt: bool) -> None:
    """Any cadence, any delay of what comes back: each alarm once, and the same ones as with a tick a day."""
    world = run(days(*sorted(ticks), 259), prompt)
    assert alarms(world) == alarms(DAILY)
    assert max(alarms(world).values()) == 1


@pytest.mark.parametrize("prompt", [True, False])
def test_a_certificate_that_cannot_be_issued(prompt: bool) -> None:
    """Granted, then overdue from the moment on, then issued; the alarm stays in the history and is not told again."""
    world = World(prompt=prompt)
    world.unissuable = {"N"}
    e = Events()
    e.apply(START, "N", uscc(1))
    world.tell(e.lines)
    world.tell([tick("2018-03-15")])
    world.settle()
    case = world.case(uscc(1), "N")
    assert (case["state"], case["certificate_due"]) == ("granted", "2018-03-15")
    assert "issue-failed" in [h["event"] for h in case["history"]]
    assert "could not be made" in case["reason"]
    assert late(world) == ()
    assert "unissued" == world.licences(uscc(1))[0]["status"]
    world.tell([tick("2018-03-16"), tick("2018-03-17")])
    world.settle()
    assert late(world) == ("certificate",)
    history = [(h["time"][:10], h["event"], h["detail"]) for h in world.case(uscc(1), "N")["history"]]
    assert history[-1] == ("2018-03-16", "overdue", "certificate 2018-03-15")
    assert ("certificate-overdue", "v1 2018-03-15") in [
        (h["event"], h["detail"]) for h in world.licences(uscc(1))[0]["history"]
    ]
    world.retry()
    world.tell([tick("2018-04-17")])
    assert (world.case(uscc(1), "N")["state"], late(world)) == ("issued", ())
    assert "valid" == world.licences(uscc(1))[0]["status"]
    assert [f.type for f in world.facts].count("licence.certificate-overdue") == 1


def late(world: World) -> tuple[str, ...]:
    state = world.state(uscc(1))
    return views.late(state, state.cases["N"])


def test_a_certificate_issued_in_time_raises_no_alarm() -> None:
    """What was mended within ten working days was no delay."""
    world = World()
    world.unissuable = {"N"}
    e = Events()
    e.apply(START, "N", uscc(1))
    world.tell([*e.lines, tick("2018-03-15")])
    world.retry()
    world.tell([tick("2018-05-15")])
    assert [f for f in world.facts if f.type == "licence.certificate-overdue"] == []


def test_a_failure_that_is_heard_of_late_tells_the_same() -> None:
    """The alarm has its own time and cause, and moves no later decision, however much was decided before."""
    e = Events()
    e.apply(START, "N", uscc(1))
    e.add(
        "licence.suspended", "2018-06-01T10:00:00+08:00",
        {"granted_by": "N", "holder_id": uscc(1), "ground": "g", "decided_on": "2018-06-01", "until": "2018-07-01"},
    )  # fmt: skip
    worlds = []
    for prompt in (True, False):
        world = World(prompt=prompt)
        world.unissuable = {"N"}
        world.tell(e.lines)
        world.settle()
        worlds.append({(f.id, f.time, f.cause) for f in world.facts})
    assert worlds[0] == worlds[1]
    assert any(cause.startswith("due:8-certificate") for _, _, cause in worlds[0])


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "item": st.sampled_from(["industrial-product-licence", "business-licence", "no-such-item"]),
            "action": st.sampled_from(["new", "extend", "change", "renew", "reissue", "merge", "surrender"]),
            "materials": st.lists(
                st.sampled_from(["application-form", "commitment-letter", "business-licence"]).map(
                    lambda kind: {"kind": kind, "signed_on": "2018-03-01"}
                ),
                max_size=3,
            ),
            "products": st.sampled_from([[], [{"category": "化肥"}], [{"category": "?"}]]),
        }
    ),
    st.booleans(),
)
def test_law_acceptance_is_answered_in_the_very_event(data: dict[str, Any], licensed: bool) -> None:
    """Refused, asked for more, or accepted at once (许可法 art 32: within five working days): no limit can pass."""
    named = {
        "extend": {"granted_by": "N"}, "renew": {"granted_by": "N"}, "reissue": {"granted_by": "N"},
        "surrender": {"granted_by": "N"}, "merge": {"granted_by": ["N", "N"]},
        "change": {"granted_by": "N", "change": {"name": "新名"}},
    }.get(data["action"], {})  # fmt: skip
    e = Events()
    if licensed:
        e.apply("2018-02-01T10:00:00+08:00", "N", uscc(1))
    e.apply(START, "Q", uscc(1), **data, **named)
    world = World().tell(e.lines)
    answer = [h["event"] for h in world.case(uscc(1), "Q")["history"] if h["time"] == START][1]
    assert answer in ("refused", "correction-requested", "accepted")
