"""Laws of decisions, over stories made at random: cadence of ticks, other holders, duplicates, terminal statuses."""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from story import PROVINCE, Events, uscc
from world import World

from processors.decisions.orders import TRANSITIONS
from schemas.facts import LicenceGranted, LicenceStatusChanged

CLOCK = "urn:agency:630000:clock"
START = datetime.date(2018, 1, 2)
ACTIONS = (
    "new", "new", "new", "extend", "change", "renew", "reissue", "surrender", "suspended", "resumed", "withdrawn",
    "rescinded", "revoked", "cancelled", "annulled", "inspected", "incomplete", "supplied", "classified",
)  # fmt: skip

Step = tuple[int, str, int]  # days on, what, holder
steps = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(ACTIONS), st.integers(1, 3)), min_size=1, max_size=25
)
modest = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def story(plan: list[Step]) -> list[dict[str, Any]]:
    """Events of a plan, in the order of time; licences are named by the application that led to them."""
    e = Events()
    day = START
    for n, (days, what, who) in enumerate(plan):
        day += datetime.timedelta(days=days)
        _event(e, f"{day.isoformat()}T10:00:{n:02d}+08:00", what, who, n, plan)
    return e.lines


def _event(e: Events, time: str, what: str, who: int, n: int, plan: list[Step]) -> None:
    holder, day = uscc(who), time[:10]
    firsts = [i for i, (_, w, h) in enumerate(plan[:n]) if h == who and w in ("new", "incomplete")]
    first = f"N-{who}-{firsts[-1] if firsts else 'none'}"
    name = {"granted_by": first, "holder_id": holder, "ground": "依法"}
    both = [{"kind": "application-form"}, {"kind": "commitment-letter", "signed_on": day}]
    if what in ("new", "incomplete"):
        over = {"materials": both} if what == "incomplete" else {}
        e.apply(time, f"N-{who}-{n}", holder, **over)
    elif what in ("extend", "change", "renew", "reissue", "surrender"):
        over = (
            {"products": [{"category": "人造板", "site": f"厂{n}"}]}
            if what == "extend"
            else {"products": ...}
        )
        if what == "change":
            over["change"] = {"products": [{"category": "砂轮"}]}
        e.apply(time, f"A-{who}-{n}", holder, action=what, granted_by=first, materials=both, **over)
    elif what == "supplied":
        data = {"application_id": first, "holder_id": holder, "materials": [{"kind": "business-licence"}]}
        e.add("application.materials-supplied", time, data)
    elif what == "inspected":
        e.add("inspection.recorded", time, {
            "inspection_id": f"I-{who}-{n}", "kind": "post-issuance", "holder_id": holder, "granted_by": first,
            "inspectors": [{"id": "a", "department": "x"}, {"id": "b", "department": "x"}], "inspected_on": day,
            "result": "合格", "passed": n % 3 > 0, "commitment_false": False})  # fmt: skip
    elif what == "classified":
        e.add("holder.classified", time, {"holder_id": holder, "credit_class": "ABCD"[n % 4]})
    elif what == "annulled":
        e.add("decision.annulled", time, {**name, "decided_on": day})
    else:
        until = (datetime.date.fromisoformat(day) + datetime.timedelta(days=60)).isoformat()
        extra: dict[str, Any] = {"suspended": {"until": until}, "rescinded": {"deceit": n % 2 == 0}}.get(
            what, {}
        )
        e.add(f"licence.{what}", time, {**name, "decided_on": day, **extra}, PROVINCE)


def tick(day: datetime.date) -> dict[str, Any]:
    return Events().add("clock.ticked", f"{day.isoformat()}T00:30:00+08:00", {}, CLOCK)


def with_ticks(events: list[dict[str, Any]], every: int) -> list[dict[str, Any]]:
    """The same story with a tick every so many days, and one at the very end."""
    told: list[dict[str, Any]] = []
    day = START
    for event in events:
        while day.isoformat() < event["time"][:10]:
            told.append(tick(day))
            day += datetime.timedelta(days=every)
        told.append(event)
    return [*told, tick(datetime.date(2039, 1, 1))]


def outcome(world: World) -> list[tuple[Any, ...]]:
    """What was decided, without serials: facts by holder, in their order."""
    return sorted(
        (holder, i, fact.id, fact.time)
        for holder in world.states
        for i, fact in enumerate(f for f in world.facts if f.holder == holder)
    )


@modest
@given(steps, st.sampled_from([1, 7, 30, 365]))
def test_the_cadence_of_ticks_changes_nothing(plan: list[Step], every: int) -> None:
    """The same facts with the same dates, however often the clock ticks."""
    events = story(plan)
    rare = World().tell([*events, tick(datetime.date(2039, 1, 1))])
    assert outcome(rare) == outcome(World().tell(with_ticks(events, every)))


@modest
@given(steps)
def test_other_holders_change_nothing(plan: list[Step]) -> None:
    """Every holder alone has the same facts as among others."""
    events = story(plan)
    together = World().tell(events)
    for who in (1, 2, 3):
        own = [e for e in events if uscc(who) in str(e["data"])]
        alone = World().tell(own)
        assert [f.id for f in together.facts if f.holder == uscc(who)] == [f.id for f in alone.facts]


HALLS = ("630225:service-hall", "630200:service-hall", "630225:market-regulation", "630000:service-hall")


def another_way(event: dict[str, Any], rng: Any) -> dict[str, Any]:
    """The same application by another window, channel and spelling of the holder's id."""
    data = event["data"]
    if not event["type"].startswith("zhengzhao.application."):
        return event
    spelt = rng.choice((str.lower, lambda t: f" {t} ", lambda t: "".join(chr(ord(c) + 0xFEE0) for c in t)))
    if "applicant" in data:
        applicant = {**data["applicant"], "id": spelt(data["applicant"]["id"])}
        data = {
            **data,
            "applicant": applicant,
            "window": "632801123456",
            "channel": rng.choice(("agent", "hall")),
        }
    else:
        data = {**data, "holder_id": spelt(data["holder_id"])}
    return {**event, "source": f"urn:agency:{rng.choice(HALLS)}", "data": data}


@modest
@given(steps, st.randoms(use_true_random=False))
def test_the_way_in_changes_nothing(plan: list[Step], rng: Any) -> None:
    """Window, channel, competent source and spelling: the same states, reasons and dates; no bar is evaded."""
    events = story(plan)
    one, two = World().tell(events), World().tell([another_way(event, rng) for event in events])
    assert one.states.keys() == two.states.keys()
    for holder in one.states:
        assert one.licences(holder) == two.licences(holder)
        for first, second in zip(one.holder(holder)["cases"], two.holder(holder)["cases"], strict=True):
            ways = {"source": "", "window": "", "history": []}
            assert {**first, **ways} == {**second, **ways}


@modest
@given(steps, st.randoms(use_true_random=False))
def test_duplicates_change_nothing(plan: list[Step], rng: Any) -> None:
    """Each event once more, anywhere after its first time."""
    events = story(plan)
    twice = list(events)
    for event in events:
        twice.insert(rng.randint(twice.index(event) + 1, len(twice)), event)
    assert outcome(World().tell(events)) == outcome(World().tell(twice))


@modest
@given(steps)
def test_the_life_of_a_licence_keeps_its_laws(plan: list[Step]) -> None:
    """No way back from the end, one chain of versions, no number twice, no gap in a series."""
    world = World().tell(with_ticks(story(plan), 90))
    numbers: list[str] = []
    for state in world.states.values():
        for licence in state.licences.values():
            numbers.append(licence.number)
            versions = [v.grant.version for v in licence.versions]
            assert list(range(versions[0], versions[0] + len(versions))) == versions
            seen = [
                f.body.status
                for f in world.facts
                if isinstance(f.body, LicenceStatusChanged) and f.body.licence == licence.key
            ]
            ended = next((i for i, s in enumerate(seen) if s not in ("valid", "suspended")), len(seen))
            assert {"cancelled"} >= set(seen[ended + 1 :])
    assert len(numbers) == len(set(numbers))
    granted = {f.body.grant.licence_id for f in world.facts if isinstance(f.body, LicenceGranted)}
    assert len(granted) == sum(s.next_serial - 1 for s in world.book.of_series.values())
    places = [
        (v.status_list, v.status_index)
        for s in world.states.values()
        for x in s.licences.values()
        for v in x.versions
    ]
    assert len(places) == len(set(places))


@modest
@given(steps)
def test_late_numbers_change_nothing(plan: list[Step]) -> None:
    """Whether numbers come at once or at the very end, the same is decided."""
    events = story(plan)
    prompt, slow = World(), World(prompt=False)
    prompt.tell(events)
    slow.tell(events)
    slow.settle()
    first, second = (
        {f.id for f in w.facts if f.type not in ("licence.numbered", "licence.issued")}
        for w in (prompt, slow)
    )
    assert first == second


def test_no_transition_leaves_an_end() -> None:
    """The table itself: from an end only the closing of the entry."""
    for (status, _), then in TRANSITIONS.items():
        assert status in ("valid", "suspended") or then == "cancelled"


def test_an_event_that_names_a_number_waits_for_it() -> None:
    """And everything of that holder waits behind it, in order."""
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N", uscc(1))
    number = "(青)XK13-001-00001"
    for kind, day, more in (
        ("suspended", "02", {"until": "2018-03-10"}),
        ("resumed", "03", {}),
        ("revoked", "04", {}),
    ):
        data = {
            "licence_number": number,
            "holder_id": uscc(1),
            "ground": "g",
            "decided_on": f"2018-03-{day}",
            **more,
        }
        e.add(f"licence.{kind}", f"2018-03-{day}T10:00:00+08:00", data)
    e.lines.append(tick(datetime.date(2018, 3, 20)))
    prompt, slow = World(), World(prompt=False)
    prompt.tell(e.lines)
    slow.tell(e.lines)
    assert len(slow.state(uscc(1)).waiting) == 4
    slow.settle()
    assert [x["status"] for x in slow.licences(uscc(1))] == ["revoked"]
    decided = [
        [f.id for f in w.facts if not f.cause.startswith(("waits:", "released:", "numbered:", "issued:"))]
        for w in (prompt, slow)
    ]
    assert decided[0] == decided[1]
