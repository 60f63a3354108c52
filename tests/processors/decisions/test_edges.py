"""Edges of the rules, by hand: late materials, limits, clocks, bars, who is asked again. Dates counted on a calendar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from story import PROVINCE, Events, ric, uscc
from world import World

H = uscc(1)
DAY = "2018-03-01T10:00:00+08:00"  # a Thursday
HALL = "urn:agency:630225:service-hall"
PREFECTURE = "urn:agency:630200"
CLOCK = "urn:agency:630000:clock"
FORM = {"kind": "application-form"}
TWO = [{"id": "a", "department": "market-regulation"}, {"id": "b", "department": "market-regulation"}]


def at(day: str, clock: str = "10:00:00") -> str:
    """A moment of 2018, or of a full date."""
    return f"{day if len(day) == 10 else '2018-' + day}T{clock}+08:00"


def letter(day: str) -> dict[str, Any]:
    return {"kind": "commitment-letter", "signed_on": day if len(day) == 10 else f"2018-{day}"}


def who(**over: Any) -> dict[str, Any]:
    applicant = {"kind": "enterprise", "id": H, "name": "青海一厂", "address": "积石镇", "division": "630225"}
    return {k: v for k, v in {**applicant, **over}.items() if v is not ...}


def new(e: Events, time: str = DAY, app: str = "N", **over: Any) -> None:
    materials = [FORM, letter(time[:10]), {"kind": "business-licence"}]
    e.apply(time, app, H, **{"applicant": who(), "materials": materials, **over})


def act(e: Events, time: str, action: str, app: str = "A", **over: Any) -> None:
    base: dict[str, Any] = {"materials": [FORM, letter(time[:10])], "products": ..., "granted_by": "N"}
    e.apply(time, app, H, action=action, **{"applicant": who(), **base, **over})


def supply(e: Events, time: str, app: str = "N", source: str = HALL, **data: Any) -> None:
    e.add("application.materials-supplied", time, {"application_id": app, "holder_id": H, **data}, source)


def tick(e: Events, time: str) -> None:
    e.add("clock.ticked", time, {}, CLOCK)


def order(e: Events, kind: str, time: str, source: str = PROVINCE, **over: Any) -> None:
    data = {"granted_by": "N", "holder_id": H, "ground": "依法", "decided_on": time[:10], **over}
    e.add(f"licence.{kind}", time, data, source)


def annul(e: Events, time: str, **over: Any) -> None:
    data = {"granted_by": "N", "holder_id": H, "ground": "复议", "decided_on": time[:10], **over}
    e.add("decision.annulled", time, data, PROVINCE)


def hazardous(e: Events, time: str = DAY, app: str = "N", plan: str | None = None, **over: Any) -> None:
    """A joint review by two departments of the prefecture; the emergency plan may come late."""
    late = {"kind": "emergency-plan", **({"deferred_until": plan} if plan else {})}
    kinds = [FORM, {"kind": "safety-system"}, {"kind": "business-licence"}, late]
    e.apply(time, app, H, item="hazardous-chemicals-operation", applicant=who(), products=...,
            **{"materials": kinds, "source": HALL, **over})  # fmt: skip


def review(e: Events, time: str, department: str, app: str = "N", **over: Any) -> None:
    data = {"application_id": app, "holder_id": H, "department": department, "officer": "o", "decision": "approve", **over}  # fmt: skip
    e.add("application.reviewed", time, data, f"{PREFECTURE}:{department}")


def clock(e: Events, kind: str, time: str, cause: str = "testing", app: str = "N") -> None:
    data = {"application_id": app, "holder_id": H, "cause": cause}
    e.add(f"application.clock-{kind}", time, data, f"{PREFECTURE}:fire-rescue")


def told(*steps: Callable[[Events], Any]) -> World:
    e = Events()
    for step in steps:
        step(e)
    return World().tell(e.lines)


def row(world: World, app: str = "N") -> dict[str, Any]:
    return world.case(H, app)


# ---- late materials (容缺) ----------------------------------------------------------------------------------


def test_limits_run_from_the_late_material() -> None:
    """Accepted without limits; the plan's arrival makes the application complete: ten working days from there."""
    before = told(lambda e: hazardous(e, plan="2018-03-20"))
    assert (row(before)["state"], row(before)["due"]["promised"]) == ("accepted", None)
    after = told(
        lambda e: hazardous(e, plan="2018-03-20"),
        lambda e: supply(e, at("03-12"), materials=[{"kind": "emergency-plan"}]),
    )
    assert row(after)["due"]["promised"] == "2018-03-26"


def test_a_stop_before_the_late_material() -> None:
    """Days of a stop do not count, wherever the application became complete in it."""
    world = told(
        lambda e: hazardous(e, plan="2018-03-20"),
        lambda e: clock(e, "stopped", at("03-09")),
        lambda e: supply(e, at("03-12"), materials=[{"kind": "emergency-plan"}]),
        lambda e: clock(e, "resumed", at("03-14")),
    )
    assert row(world)["due"]["promised"] == "2018-03-28"


def test_a_late_material_is_promised_while_papers_are_corrected() -> None:
    """Its day is settled at intake: where it passes during the correction, the case lapses."""
    steps = (
        lambda e: hazardous(e, plan="2018-03-12", materials=[FORM, {"kind": "business-licence"},
                            {"kind": "emergency-plan", "deferred_until": "2018-03-12"}]),
        lambda e: supply(e, at("03-15"), materials=[{"kind": "safety-system"}]),
    )  # fmt: skip
    assert row(told(steps[0]))["missing"] == ["safety-system"]
    assert row(told(*steps))["state"] == "lapsed"


def test_a_worse_class_later_does_not_undo_a_promise() -> None:
    """Nothing is added to what was asked for, and nothing is forgotten."""
    world = told(
        lambda e: hazardous(e, materials=[FORM, {"kind": "business-licence"},
                            {"kind": "emergency-plan", "deferred_until": "2018-03-20"}]),
        lambda e: e.add("holder.classified", at("03-02"), {"holder_id": H, "credit_class": "D"}),
        lambda e: supply(e, at("03-05"), materials=[{"kind": "safety-system"}]),
    )  # fmt: skip
    assert (row(world)["state"], row(world)["deferred"]) == ("accepted", {"emergency-plan": "2018-03-20"})


def test_approvals_before_a_late_material() -> None:
    """Both departments approve, the plan comes, the licence is granted that day."""
    world = told(
        lambda e: hazardous(e, plan="2018-03-20"),
        lambda e: review(e, at("03-05"), "emergency-management"),
        lambda e: review(e, at("03-06"), "fire-rescue"),
        lambda e: supply(e, at("03-12"), materials=[{"kind": "emergency-plan"}]),
    )
    assert [x["issued_on"] for x in world.licences(H)] == ["2018-03-12"]


# ---- corrections --------------------------------------------------------------------------------------------


def test_a_letter_signed_in_the_future_stays_missing() -> None:
    """The day that counts is that of the event which brought it."""
    materials = [FORM, letter("03-05")]
    world = told(
        lambda e: new(e, materials=materials),
        lambda e: supply(e, at("03-06"), materials=[{"kind": "business-licence"}]),
    )
    assert (row(world)["state"], row(world)["missing"]) == ("correction-requested", ["commitment-letter"])


def test_a_source_that_is_not_competent_for_the_division_supplied() -> None:
    """The case is refused as it would have been at intake."""
    world = told(
        lambda e: new(e, applicant=who(division=...), source="urn:agency:632801:service-hall"),
        lambda e: supply(e, at("03-02"), applicant={"division": "630225"}),
    )
    assert (row(world)["state"], row(world)["due"]["promised"]) == ("refused", None)
    assert "632801" in row(world)["reason"]


def test_the_reason_of_a_correction_goes_with_it() -> None:
    """Once what contradicted the register is put right, the case has no reason any more."""
    world = told(
        new,
        lambda e: act(e, at("03-05"), "reissue", applicant=who(name="别厂"), materials=[FORM]),
        lambda e: supply(e, at("03-06"), "A", applicant={"name": "青海一厂"}),
    )
    assert (row(world, "A")["state"], row(world, "A")["reason"]) == ("issued", None)


def test_the_due_day_of_a_correction_over_the_spring_festival() -> None:
    """Twenty working days from 9 February 2018: the 11th and 24th are worked, 15 to 21 are not."""
    assert row(told(lambda e: new(e, at("02-09"), materials=[])))["due"]["correction"] == "2018-03-14"


def test_a_correction_can_be_met_on_its_last_day_and_not_later() -> None:
    """Until 23:59:59; at 00:00 of the next day the case has lapsed."""
    for day, state in (("2018-03-29T23:59:59+08:00", "issued"), ("2018-03-30T00:00:00+08:00", "lapsed")):
        world = told(
            lambda e: new(e, materials=[FORM, letter("03-01")]),
            lambda e, day=day: supply(e, day, materials=[{"kind": "business-licence"}]),
        )
        assert (row(world)["state"], row(world)["due"]["correction"]) == (state, "2018-03-29")


# ---- the same application again -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "over",
    [
        {"window": "630222"},
        {"channel": "window"},
        {"source": HALL},
        {"applicant": who(id=f" {H.lower()}")},
        {"app": "n"},
        {"app": " Ｎ "},
    ],
)
def test_the_same_application_in_another_guise(over: dict[str, Any]) -> None:
    """Another channel, window, source or spelling is no other application."""
    world = told(new, lambda e: new(e, **over))
    assert (row(world)["state"], world.holder(H)["refused"], len(world.licences(H))) == ("issued", [], 1)


# ---- who may, and where -------------------------------------------------------------------------------------


def test_a_division_above_the_level_of_the_item() -> None:
    """There is no authority that could issue it: refused, not a crash."""
    world = told(lambda e: new(e, item="food-workshop-licence", applicant=who(division="630000")))
    assert row(world)["state"] == "refused"
    assert "630000" in row(world)["reason"]


def test_a_bar_stands_against_every_action() -> None:
    """False material in a renewal: no application for the item for a year, to the day before the anniversary."""
    data = {"decision": "reject", "grounds": "假", "false_material": True}

    def life(e: Events) -> None:
        hazardous(e)
        review(e, at("03-05"), "emergency-management")
        review(e, at("03-05", "11:00:00"), "fire-rescue")
        over = {"item": "hazardous-chemicals-operation", "source": HALL, "materials": [FORM]}
        act(e, at("04-02"), "change", change={"name": "新名"}, **over)
        review(e, at("04-03"), "fire-rescue", "A", **data)
        act(e, at("2019-04-02"), "reissue", "B", **over)
        act(e, at("2019-04-03"), "reissue", "C", **over)

    world = told(life)
    assert [row(world, app)["state"] for app in "ABC"] == ["refused", "refused", "issued"]


def test_a_class_for_a_holder_of_whom_nothing_is_known() -> None:
    """Only the province; a person stands there with the mask."""
    person = ric(7)
    world = told(
        lambda e: e.add("holder.classified", DAY, {"holder_id": person, "credit_class": "C"}, HALL.replace("service-hall", "market-regulation")),
        lambda e: e.add("holder.classified", DAY, {"holder_id": person, "credit_class": "B"}),
    )  # fmt: skip
    shown = world.holder(person)
    assert (shown["credit_class"], len(shown["refused"])) == ("B", 1)
    assert shown["holder_id"] == person[:3] + "*" * 11 + person[-4:]


# ---- limits and the clock -----------------------------------------------------------------------------------


def test_a_limit_that_passed_before_the_clock_stopped_alarms() -> None:
    """Its last day was the day of the stop: that day counted."""
    world = told(
        hazardous, lambda e: clock(e, "stopped", at("03-15")), lambda e: tick(e, at("03-16", "00:00:00"))
    )
    assert [h["event"] for h in row(world)["history"]].count("overdue") == 1


def test_two_stops_that_overlap_count_once() -> None:
    """Testing 5 to 8 March, hearing 7 to 12 March: working days 6, 7, 8, 9, 12 do not count."""
    world = told(
        hazardous,
        lambda e: clock(e, "stopped", at("03-05")),
        lambda e: clock(e, "stopped", at("03-07"), "hearing"),
        lambda e: clock(e, "resumed", at("03-08")),
        lambda e: clock(e, "resumed", at("03-12"), "hearing"),
    )
    assert row(world)["due"]["promised"] == "2018-03-22"


def test_a_stop_over_a_weekend_costs_nothing() -> None:
    """Friday to Sunday: no working day lies in it."""
    world = told(
        hazardous, lambda e: clock(e, "stopped", at("03-02")), lambda e: clock(e, "resumed", at("03-04"))
    )
    assert row(world)["due"]["promised"] == "2018-03-15"


# ---- endings and what follows -------------------------------------------------------------------------------


def test_granted_by_any_version_after_an_annulled_decision() -> None:
    """It names the licence that makes the annulled one good."""
    world = told(
        new,
        lambda e: act(e, at("04-02"), "extend", products=[{"category": "人造板", "site": "二厂"}]),
        lambda e: order(e, "revoked", at("05-02")),
        lambda e: annul(e, at("06-04")),
        lambda e: order(e, "suspended", at("06-05"), until="2018-07-01"),
    )
    old, again = world.licences(H)
    assert (old["status"], again["status"], again["application_id"]) == ("revoked", "suspended", "A")
    assert len(again["products"]) == 2


def test_a_decision_is_annulled_after_its_entry_was_closed() -> None:
    """注销 closes the entry; the decision before it can still be lifted."""
    world = told(
        new,
        lambda e: order(e, "rescinded", at("04-02"), deceit=True),
        lambda e: order(e, "cancelled", at("04-03")),
        lambda e: annul(e, at("04-04")),
    )
    assert [x["status"] for x in world.licences(H)] == ["cancelled", "valid"]


def test_a_decision_is_annulled_on_the_last_day() -> None:
    """The day of the old end still lies before it; the new licence ends with it."""
    world = told(
        new, lambda e: order(e, "revoked", at("04-02")), lambda e: annul(e, at("2023-02-28", "23:59:59"))
    )
    assert [(x["valid_from"], x["valid_until"]) for x in world.licences(H)][1] == ("2023-02-28", "2023-02-28")


def test_an_annulment_stands_against_an_open_application() -> None:
    """一企一证: who got a licence back needs no other; the open `new` is refused when it is complete."""
    world = told(
        new,
        lambda e: order(e, "withdrawn", at("04-02")),
        lambda e: new(e, at("04-03"), "M", materials=[FORM, letter("04-03")]),
        lambda e: annul(e, at("04-04")),
        lambda e: supply(e, at("04-09"), "M", materials=[{"kind": "business-licence"}]),
    )
    assert (row(world, "M")["state"], len(world.licences(H))) == ("refused", 2)
    assert "extend" in row(world, "M")["reason"]


@pytest.mark.parametrize("sites", ["", "积石镇工业园", " 积石镇工业园 "])
def test_no_check_for_a_site_that_is_known(sites: str) -> None:
    """A further product at a known site, or at none, calls for no visit."""
    world = told(
        new, lambda e: act(e, at("04-02"), "extend", products=[{"category": "人造板", "site": sites}])
    )
    assert len(world.holder(H)["checks"]) == 1


def test_reasons_do_not_depend_on_when_a_number_comes() -> None:
    """Whether the number is known when a second application comes in: the same words."""
    e = Events()
    new(e)
    new(e, at("03-02"), "N2")
    order(e, "resumed", at("03-05"))
    prompt, slow = World().tell(e.lines), World(prompt=False).tell(e.lines)
    slow.settle()
    assert row(prompt, "N2")["reason"] == row(slow, "N2")["reason"]
    assert prompt.holder(H)["refused"] == slow.holder(H)["refused"]
    assert row(prompt) == row(slow)


def test_a_check_date_of_an_extension() -> None:
    """Thirty days after the extension, beside the first."""
    world = told(
        new, lambda e: act(e, at("04-02"), "extend", products=[{"category": "人造板", "site": "二厂"}])
    )
    assert [c["due"] for c in world.holder(H)["checks"]] == ["2018-03-31", "2018-05-02"]


def test_a_repeat_moves_no_moment() -> None:
    """The same application again, weeks later, does not make what comes after it late."""
    world = told(new, lambda e: new(e, at("05-02"), materials=[FORM, letter("03-01"), {"kind": "business-licence"}]),
                 lambda e: act(e, at("04-02"), "reissue"))  # fmt: skip
    assert [x["issued_on"] for x in world.licences(H)] == ["2018-04-02"]


def test_renewing_an_imported_licence_of_an_item_without_end() -> None:
    """A business licence that came with an end has none in its next version."""
    number = "(青)630225YZ0000007"
    data = {
        "holder": who(), "licence_number": number, "item": "business-licence", "issued_on": "2014-01-01",
        "valid_from": "2014-01-01", "valid_until": "2018-12-31",
    }  # fmt: skip
    world = told(
        lambda e: e.add("licence.imported", DAY, data),
        lambda e: act(
            e, at("04-02"), "renew", item="business-licence", granted_by=..., licence_number=number
        ),
    )
    assert [(x["version"], x["valid_until"]) for x in world.licences(H)] == [(1, None)]


def test_a_filing_that_was_pushed_is_not_asked_about_again() -> None:
    """A further registration that names it again need not answer for it."""
    base = {"applicant": who(), "materials": [FORM]}
    shared = {"recycled-goods": "废钢", "site-address": "积石镇"}
    world = told(
        lambda e: e.add("registration.submitted", DAY, {**base, "application_id": "R", "items": [{"item": "recycling-filing"}], "shared": shared}),
        lambda e: e.add("registration.submitted", at("04-02"), {**base, "application_id": "R2", "items": [{"item": "recycling-filing"}]}),
    )  # fmt: skip
    assert (row(world, "R2")["state"], world.licences(H)[0]["version"]) == ("issued", 2)


def test_the_name_of_a_holder_with_several_licences() -> None:
    """What one licence changed is not changed back by another one's next version."""
    world = told(
        new,
        lambda e: hazardous(e, app="M"),
        lambda e: review(e, at("03-05"), "emergency-management", "M"),
        lambda e: review(e, at("03-05"), "fire-rescue", "M"),
        lambda e: act(e, at("04-02"), "change", change={"name": "青海二厂"}),
        lambda e: act(e, at("04-03"), "reissue", "B", item="hazardous-chemicals-operation", source=HALL, granted_by="M"),
    )  # fmt: skip
    assert (row(world, "B")["state"], world.holder(H)["name"]) == ("issued", "青海二厂")
