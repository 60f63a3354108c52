"""Outcomes by hand, from the contract: what is sent, and what must come of it. Dates were counted on a calendar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from story import PROVINCE, Events, ric, uscc
from world import World

H = uscc(1)
DAY = "2018-03-01T10:00:00+08:00"  # a Thursday
COUNTY_HALL = "urn:agency:630225:service-hall"
CLOCK = "urn:agency:630000:clock"
FORM = [{"kind": "application-form"}]


def full(day: str = "2018-03-01") -> list[dict[str, Any]]:
    return [
        {"kind": "application-form"},
        {"kind": "commitment-letter", "signed_on": day},
        {"kind": "business-licence"},
    ]


def who(**over: Any) -> dict[str, Any]:
    applicant = {"kind": "enterprise", "id": H, "name": "青海一厂", "address": "积石镇", "division": "630225"}
    return {k: v for k, v in {**applicant, **over}.items() if v is not ...}


def new(e: Events, time: str = DAY, app: str = "N", **over: Any) -> None:
    e.apply(time, app, H, **{"applicant": who(), "materials": full(time[:10]), **over})


def act(e: Events, time: str, action: str, app: str = "A", **over: Any) -> None:
    signed = {"kind": "commitment-letter", "signed_on": time[:10]}
    materials = [*FORM, signed] if action in ("extend", "renew", "merge") else FORM
    base: dict[str, Any] = {"applicant": who(), "materials": materials, "products": ..., "granted_by": "N"}
    if action == "merge":
        base["granted_by"] = ["N"]
    e.apply(time, app, H, action=action, **{**base, **over})


def order(e: Events, kind: str, time: str, source: str = PROVINCE, **over: Any) -> None:
    data = {"granted_by": "N", "holder_id": H, "ground": "依法", "decided_on": time[:10], **over}
    e.add(f"licence.{kind}", time, data, source)


def supply(e: Events, time: str, app: str = "N", source: str = COUNTY_HALL, **data: Any) -> None:
    e.add("application.materials-supplied", time, {"application_id": app, "holder_id": H, **data}, source)


def tick(e: Events, time: str) -> None:
    e.add("clock.ticked", time, {}, CLOCK)


def told(tell: Callable[[Events], None]) -> World:
    e = Events()
    tell(e)
    return World().tell(e.lines)


def case(tell: Callable[[Events], None], app: str = "N") -> dict[str, Any]:
    return told(tell).case(H, app)


# ---- intake: refused ----------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown item": ({"item": "no-such-item"}, "no-such-item"),
    "a filing is not applied for": ({"item": "recycling-filing"}, "registration.submitted"),
    "a consolidated item is not applied for": (
        {"item": "business-licence", "products": ...},
        "registration.submitted",
    ),
    "unknown category": ({"products": [{"category": "火箭"}]}, "火箭"),
    "one of two categories unknown": ({"products": [{"category": "化肥"}, {"category": "火箭"}]}, "火箭"),
    "wrong check digit": ({"applicant": who(id=H[:-1] + "0")}, "check digit"),
    "a person for an enterprise's item": ({"applicant": who(kind="person", id=ric(3))}, "enterprises only"),
    "unknown division": ({"applicant": who(division="999999")}, "999999"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """Refused, with a reason that names the matter."""
    over, word = REFUSED[name]
    holder = over.get("applicant", {}).get("id", H)
    e = Events()
    new(e, **over)
    row = World().tell(e.lines).case(holder, "N")
    assert (row["state"], row["due"]["promised"]) == ("refused", None)
    assert word in row["reason"]


INCOMPETENT: dict[str, dict[str, Any]] = {
    "department not competent": {"source": "urn:agency:630000:tax"},
    "division beside": {"source": "urn:agency:630222:market-regulation"},
    "division below": {"applicant": who(division="630200"), "source": COUNTY_HALL},
    "another province": {"source": "urn:agency:620000:market-regulation"},
    "an unknown item, and a division beside": {"item": "no-such-item", "source": "urn:agency:630222:tax"},
}


@pytest.mark.parametrize("name", INCOMPETENT)
def test_without_competence_nothing_but_the_refusal_is_left(name: str) -> None:
    """No case, no record and no bar: the application id stays free, and the real application comes through."""
    e = Events()
    new(e, **INCOMPETENT[name])
    world = World().tell(e.lines)
    row = world.holder(H)
    assert ([], None) == (row["cases"], row["name"])
    assert "not competent" in row["refused"][0]["reason"]
    new(e, "2018-03-01T11:00:00+08:00")
    assert "issued" == World().tell(e.lines).case(H, "N")["state"]


ACCEPTED: dict[str, dict[str, Any]] = {
    "the province": {},
    "the prefecture": {"source": "urn:agency:630200:market-regulation"},
    "the county": {"source": "urn:agency:630225:market-regulation"},
    "a county hall": {"source": COUNTY_HALL},
    "a former code of the division": {
        "applicant": who(division="630122"),
        "source": "urn:agency:630106:service-hall",
    },
    "a source of a former code": {
        "applicant": who(division="630106"),
        "source": "urn:agency:630122:service-hall",
    },
    "a window elsewhere": {"window": "632801123456"},
    "full-width id": {"applicant": who(id="".join(chr(ord(c) + 0xFEE0) for c in H))},
    "lower-case id with spaces": {"applicant": who(id=f" {H.lower()} ")},
    "more materials than needed": {"materials": [*full(), {"kind": "tax-receipt"}]},
    "a letter signed earlier": {"materials": full("2017-12-31")},
    "markup in the name": {"applicant": who(name='#read("x") $1$ \\ <b>')},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_issued(name: str) -> None:
    """Granted and issued at once; promised and statutory days counted from the day after."""
    e = Events()
    new(e, **ACCEPTED[name])
    row = World().tell(e.lines).case(H, "N")
    assert row["state"] == "issued"
    assert row["due"] == {"promised": "2018-03-06", "statutory": "2018-05-28", "correction": None}


# ---- intake: correction -------------------------------------------------------------------------------------

MISSING: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no materials": ({"materials": []}, ["application-form", "commitment-letter", "business-licence"]),
    "a letter without date": ({"materials": [*FORM, {"kind": "commitment-letter"}, {"kind": "business-licence"}]}, ["commitment-letter"]),
    "a letter signed tomorrow": ({"materials": full("2018-03-02")}, ["commitment-letter"]),
    "an absent file": (
        {"materials": [{"kind": "application-form", "uri": "store:uploads/" + "0" * 64}, *full()[1:]]},
        ["application-form"],
    ),
    "no products": ({"products": []}, ["products"]),
    "products absent": ({"products": ...}, ["products"]),
    "name blank": ({"applicant": who(name="  ")}, ["applicant.name"]),
    "name and address absent": ({"applicant": who(name=..., address=None)}, ["applicant.name", "applicant.address"]),
    "division absent": ({"applicant": who(division=...)}, ["applicant.division"]),
    "everything at once": (
        {"materials": [], "products": [], "applicant": who(name="", address="", division="")},
        ["application-form", "commitment-letter", "business-licence", "products", "applicant.name", "applicant.address", "applicant.division"],
    ),
    "a secondary paper cannot be deferred here": (
        {"materials": [*full()[:2], {"kind": "business-licence", "deferred_until": "2018-04-01"}]},
        ["business-licence"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_correction(name: str) -> None:
    """One notice that names everything; 20 working days; no other date runs."""
    over, missing = MISSING[name]
    row = case(lambda e: new(e, **over))
    assert ("correction-requested", missing) == (row["state"], row["missing"])
    assert row["due"] == {"promised": None, "statutory": None, "correction": "2018-03-29"}


def test_parts_shorten_the_list_and_add_nothing() -> None:
    """The second notice may not add to the first (一次性告知)."""

    def tell(e: Events) -> None:
        new(e, materials=FORM, products=[])
        supply(
            e,
            "2018-03-05T10:00:00+08:00",
            materials=[{"kind": "business-licence"}, {"kind": "commitment-letter"}],
        )

    row = case(tell)
    assert row["missing"] == ["commitment-letter", "products"]


def test_complete_after_a_correction() -> None:
    """Limits run from the event that made it complete; the correction's date stays."""

    def tell(e: Events) -> None:
        new(e, materials=full()[:2])
        supply(e, "2018-03-05T10:00:00+08:00", materials=[{"kind": "business-licence"}])

    row = case(tell)
    assert row["state"] == "issued"
    assert row["due"] == {"promised": "2018-03-08", "statutory": "2018-05-30", "correction": "2018-03-29"}


def test_a_correction_that_is_not_met_lapses() -> None:
    """On the day after its last day."""
    late: dict[str, Any] = {"materials": [{"kind": "business-licence"}]}

    def tell(e: Events) -> None:
        new(e, materials=full()[:2])
        tick(e, "2018-03-29T23:59:59+08:00")
        tick(e, "2018-03-30T00:00:00+08:00")
        supply(e, "2018-03-30T10:00:00+08:00", **late)

    world = told(tell)
    assert world.case(H, "N")["state"] == "lapsed"
    assert [r["event"] for r in world.holder(H)["refused"]] == ["application.materials-supplied"]


def test_a_supplement_on_the_last_day_counts() -> None:
    """The last day is counted."""

    def tell(e: Events) -> None:
        new(e, materials=full()[:2])
        supply(e, "2018-03-29T23:59:59+08:00", materials=[{"kind": "business-licence"}])

    assert case(tell)["state"] == "issued"


def test_a_supplement_from_a_stranger_is_refused() -> None:
    """Only a window may hand papers in."""

    def tell(e: Events) -> None:
        new(e, materials=full()[:2])
        supply(
            e,
            "2018-03-05T10:00:00+08:00",
            source="urn:agency:630222:service-hall",
            materials=[{"kind": "business-licence"}],
        )

    assert case(tell)["state"] == "correction-requested"


def test_supplied_name_and_products() -> None:
    """What was missing of applicant and products can be supplied."""

    def tell(e: Events) -> None:
        new(e, applicant=who(name=""), products=[])
        supply(
            e, "2018-03-05T10:00:00+08:00", applicant={"name": "青海一厂"}, products=[{"category": "化肥"}]
        )

    world = told(tell)
    assert world.case(H, "N")["state"] == "issued"
    assert world.licences(H)[0]["holder_name"] == "青海一厂"


# ---- the same application, other applications ---------------------------------------------------------------


def test_the_same_application_again_changes_nothing() -> None:
    """Any event id, any window."""

    def tell(e: Events) -> None:
        new(e)
        new(e, "2018-03-05T10:00:00+08:00", materials=full(), window="632801", channel="agent")

    world = told(tell)
    assert len(world.licences(H)) == 1
    assert world.holder(H)["refused"] == []


def test_a_used_id_is_refused_without_touching_the_first() -> None:
    """Another application under a used id."""

    def tell(e: Events) -> None:
        new(e)
        new(e, "2018-03-05T10:00:00+08:00", products=[{"category": "人造板"}])

    world = told(tell)
    assert world.case(H, "N")["state"] == "issued"
    assert [r["event"] for r in world.holder(H)["refused"]] == ["application.submitted"]


def test_a_second_open_case_is_refused() -> None:
    """One open case for a holder and an item."""
    row = case(lambda e: (new(e, materials=FORM), new(e, "2018-03-02T10:00:00+08:00", "N2"))[0], "N2")
    assert row["state"] == "refused"
    assert "N" in row["reason"]


def test_new_with_a_living_licence_names_extend() -> None:
    """一企一证: a further category is an extension."""
    row = case(lambda e: (new(e), new(e, "2018-03-02T10:00:00+08:00", "N2"))[0], "N2")
    assert row["state"] == "refused"
    assert "extend" in row["reason"]


def test_a_withdrawn_case_frees_the_way() -> None:
    """Withdrawn before a decision, then applied for anew."""

    def tell(e: Events) -> None:
        new(e, materials=FORM)
        e.add(
            "application.withdrawn",
            "2018-03-02T10:00:00+08:00",
            {"application_id": "N", "holder_id": H},
            COUNTY_HALL,
        )
        new(e, "2018-03-05T10:00:00+08:00", "N2", materials=full("2018-03-05"))

    world = told(tell)
    assert (world.case(H, "N")["state"], world.case(H, "N2")["state"]) == ("withdrawn", "issued")


def test_ids_of_applications_are_compared() -> None:
    """NFKC, trimmed, upper case."""

    def tell(e: Events) -> None:
        new(e, app="n-1", materials=full()[:2])
        supply(e, "2018-03-05T10:00:00+08:00", app="Ｎ-1 ", materials=[{"kind": "business-licence"}])

    world = told(tell)
    assert (world.case(H, "N-1")["state"], world.case(H, "N-1")["application_id"]) == ("issued", "n-1")


# ---- validity and numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "end"),
    [
        ("2018-03-01T10:00:00+08:00", "2023-02-28"),
        ("2020-02-29T10:00:00+08:00", "2025-02-28"),
        ("2019-03-01T10:00:00+08:00", "2024-02-29"),
        ("2018-02-28T16:00:00Z", "2023-02-28"),
        ("2018-02-28T15:59:59Z", "2023-02-27"),
    ],
)
def test_validity(time: str, end: str) -> None:
    """The day before the fifth anniversary; dates are dates in China."""
    world = told(
        lambda e: new(e, time, materials=full(time[:10] if time.endswith("+08:00") else "2018-02-01"))
    )
    assert end == world.licences(H)[0]["valid_until"]


def test_numbers_have_no_gap_in_their_series() -> None:
    """The first product's category names the series."""
    e = Events()
    for n, category in enumerate(["化肥", "人造板", "化肥", "化肥"]):
        e.apply(DAY, f"N{n}", uscc(n), products=[{"category": category}])
    world = World().tell(e.lines)
    numbers = [world.licences(uscc(n))[0]["number"][-9:] for n in range(4)]
    assert numbers == ["001-00001", "002-00001", "001-00002", "001-00003"]


# ---- versions -----------------------------------------------------------------------------------------------


def test_extend() -> None:
    """Next version, same number, end unchanged, a check for the new site."""

    def tell(e: Events) -> None:
        new(e)
        act(e, "2018-05-02T10:00:00+08:00", "extend", products=[{"category": "人造板", "site": "新厂"}])

    world = told(tell)
    one = world.licences(H)[0]
    assert (one["version"], one["issued_on"], one["valid_until"]) == (2, "2018-05-02", "2023-02-28")
    assert [p["category"] for p in one["products"]] == ["化肥", "人造板"]
    assert [c["due"] for c in world.holder(H)["checks"]] == ["2018-03-31", "2018-06-01"]


def test_extend_at_a_known_site_schedules_nothing() -> None:
    """Only a new site is checked."""

    def tell(e: Events) -> None:
        new(e)
        act(
            e,
            "2018-05-02T10:00:00+08:00",
            "extend",
            products=[{"category": "人造板", "site": "积石镇工业园"}],
        )

    assert len(told(tell).holder(H)["checks"]) == 1


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"name": "青海二厂"}, "holder_name", "青海二厂"),
        ({"address": "新址"}, "address", "新址"),
        (
            {"products": [{"category": "人造板"}]},
            "products",
            [{"category": "人造板", "site": "", "detail": ""}],
        ),
    ],
)
def test_change(change: dict[str, Any], field: str, value: Any) -> None:
    """What is named becomes what was asked; number and end stay."""
    world = told(lambda e: (new(e), act(e, "2018-05-02T10:00:00+08:00", "change", change=change))[0])
    one = world.licences(H)[0]
    assert (2, "2023-02-28", value) == (one["version"], one["valid_until"], one[field])


def test_a_contradicting_name_is_a_correction_that_names_change() -> None:
    """For an action on a licence the register counts."""

    def tell(e: Events) -> None:
        new(e)
        act(e, "2018-05-02T10:00:00+08:00", "reissue", applicant=who(name="别的名字"))

    row = case(tell, "A")
    assert (row["state"], row["missing"]) == ("correction-requested", ["applicant.name"])
    assert "change" in row["reason"]


@pytest.mark.parametrize(
    ("action", "over"),
    [
        ("extend", {"products": [{"category": "化肥", "site": "新厂"}]}),
        ("renew", {}),
        ("reissue", {}),
        ("surrender", {}),
        ("change", {"change": {"name": "新"}}),
    ],
)
def test_an_action_on_nothing_is_refused(action: str, over: dict[str, Any]) -> None:
    """The licence must be the holder's."""
    row = case(lambda e: act(e, DAY, action, granted_by="NOTHING", **over), "A")
    assert row["state"] == "refused"


def test_surrender() -> None:
    """Cancelled; the case ends as granted; a new application gets a new number."""

    def tell(e: Events) -> None:
        new(e)
        act(e, "2018-05-02T10:00:00+08:00", "surrender")
        new(e, "2018-05-03T10:00:00+08:00", "N2", materials=full("2018-05-03"))

    world = told(tell)
    assert tuple(x["status"] for x in world.licences(H)) == ("cancelled", "valid")
    assert world.case(H, "A")["state"] == "granted"
    assert world.case(H, "A")["licence_number"] == world.licences(H)[0]["number"]


# ---- renewal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "state"),
    [
        ("2022-02-27T23:59:59+08:00", "refused"),
        ("2022-02-28T00:00:00+08:00", "issued"),
        ("2022-08-28T10:00:00+08:00", "issued"),
        ("2023-02-28T23:59:59+08:00", "issued"),
        ("2023-03-01T00:00:00+08:00", "refused"),
    ],
)
def test_when_a_renewal_is_heard(time: str, state: str) -> None:
    """From twelve months before the end to its last day; after it the reason names `new`."""
    row = case(lambda e: (new(e), act(e, time, "renew"))[0], "A")
    assert state == row["state"]
    if state == "refused":
        assert ("new" if time > "2023" else "2022-02-28") in row["reason"]


def test_a_renewal_moves_the_end() -> None:
    """By five years from the day after the old end."""
    world = told(lambda e: (new(e), act(e, "2022-06-01T10:00:00+08:00", "renew"))[0])
    one = world.licences(H)[0]
    assert (one["version"], one["issued_on"], one["valid_until"]) == (2, "2022-06-01", "2028-02-29")


def test_incomplete_at_expiry_is_refused() -> None:
    """And the reason names `new`."""

    def tell(e: Events) -> None:
        new(e)
        act(e, "2023-02-20T10:00:00+08:00", "renew", materials=FORM)
        tick(e, "2023-03-01T00:00:00+08:00")

    world = told(tell)
    assert (world.case(H, "A")["state"], world.licences(H)[0]["status"]) == ("refused", "expired")
    assert "new" in world.case(H, "A")["reason"]


# ---- review -------------------------------------------------------------------------------------------------

JOINT = "hazardous-chemicals-operation"


def reviewed(
    e: Events, time: str, department: str, decision: str = "approve", division: str = "630200", **over: Any
) -> None:
    data = {
        "application_id": "N",
        "holder_id": H,
        "department": department,
        "officer": "o1",
        "decision": decision,
        **over,
    }
    e.add("application.reviewed", time, data, f"urn:agency:{division}:{department}")


def joint(e: Events, time: str = DAY) -> None:
    kinds = ("application-form", "safety-system", "emergency-plan")
    new(e, time, item=JOINT, products=..., materials=[{"kind": k} for k in kinds], source=COUNTY_HALL)


def test_joint_review_waits_for_everyone() -> None:
    """Granted when the last department has approved."""

    def tell(e: Events) -> None:
        joint(e)
        reviewed(e, "2018-03-05T10:00:00+08:00", "emergency-management")

    assert case(tell)["state"] == "accepted"

    def whole(e: Events) -> None:
        tell(e)
        reviewed(e, "2018-03-06T10:00:00+08:00", "fire-rescue")

    world = told(whole)
    assert world.case(H, "N")["state"] == "issued"
    assert [x["issued_on"] for x in world.licences(H)] == ["2018-03-06"]


def test_the_first_rejection_refuses_and_false_material_bars_a_year() -> None:
    """From the China date of the event to the day before its anniversary."""

    def tell(e: Events) -> None:
        joint(e)
        reviewed(
            e, "2018-03-05T10:00:00+08:00", "fire-rescue", "reject", grounds="材料虚假", false_material=True
        )
        for n, day in enumerate(("2019-03-04", "2019-03-05")):
            kinds = ("application-form", "safety-system", "emergency-plan")
            new(
                e,
                f"{day}T10:00:00+08:00",
                f"B{n}",
                source=COUNTY_HALL,
                item=JOINT,
                products=...,
                materials=[{"kind": k} for k in kinds],
            )

    world = told(tell)
    assert tuple(world.case(H, a)["state"] for a in ("N", "B0", "B1")) == ("refused", "refused", "accepted")


@pytest.mark.parametrize(
    ("department", "division"),
    [
        ("market-regulation", "630200"),
        ("fire-rescue", "630225"),
        ("fire-rescue", "630100"),
        ("service-hall", "630200"),
    ],
)
def test_a_review_from_the_wrong_place_is_refused(department: str, division: str) -> None:
    """One of the item's departments, at the authority or above."""
    world = told(
        lambda e: (joint(e), reviewed(e, "2018-03-05T10:00:00+08:00", department, division=division))[0]
    )
    assert world.case(H, "N")["state"] == "accepted"
    assert [r["event"] for r in world.holder(H)["refused"]] == ["application.reviewed"]


def test_a_clock_stop_moves_the_dates() -> None:
    """Days from the day after the stop to the day of its end do not count: 6, 7, 8 March and no more."""

    def tell(e: Events) -> None:
        joint(e)
        for kind, day in (("stopped", "05"), ("resumed", "08")):
            data = {"application_id": "N", "holder_id": H, "cause": "testing"}
            e.add(
                f"application.clock-{kind}",
                f"2018-03-{day}T10:00:00+08:00",
                data,
                "urn:agency:630200:fire-rescue",
            )

    assert case(tell)["due"]["promised"] == "2018-03-20"  # the 15th, and three more working days


def test_overdue_once() -> None:
    """One alarm for each limit, whatever the cadence of ticks."""

    def tell(e: Events) -> None:
        joint(e)
        for day in range(10, 31):
            tick(e, f"2018-03-{day}T00:00:00+08:00")

    events = [h["event"] for h in case(tell)["history"]]
    assert events.count("overdue") == 1


# ---- late materials (容缺) ----------------------------------------------------------------------------------


def workshop(e: Events, until: str = "2018-03-20", time: str = DAY, app: str = "N") -> None:
    new(e, time, app, item="food-workshop-licence", products=[{"category": "糕点"}],
        materials=[*full(time[:10]), {"kind": "layout-plan", "deferred_until": until}])  # fmt: skip


def test_a_deferred_paper_is_waited_for() -> None:
    """Accepted, decided when it arrives."""
    assert case(workshop)["state"] == "accepted"
    world = told(
        lambda e: (workshop(e), supply(e, "2018-03-20T10:00:00+08:00", materials=[{"kind": "layout-plan"}]))[
            0
        ]
    )
    assert world.case(H, "N")["state"] == "issued"


def test_a_deferred_paper_that_does_not_come_lapses() -> None:
    """After its day."""
    assert case(lambda e: (workshop(e), tick(e, "2018-03-21T00:00:00+08:00"))[0])["state"] == "lapsed"


@pytest.mark.parametrize(
    ("credit", "state"),
    [("A", "accepted"), ("B", "accepted"), ("C", "correction-requested"), ("D", "correction-requested")],
)
def test_who_may_defer(credit: str, state: str) -> None:
    """Classes A and B, and holders without one."""

    def tell(e: Events) -> None:
        e.add("holder.classified", DAY, {"holder_id": H, "credit_class": credit}, PROVINCE)
        workshop(e)

    assert state == case(tell)["state"]


def test_a_deferral_in_the_past_is_missing() -> None:
    """The promise must lie ahead."""
    assert case(lambda e: workshop(e, "2018-02-28"))["missing"] == ["layout-plan"]


# ---- orders -------------------------------------------------------------------------------------------------

ENDINGS = [
    ("withdrawn", {}),
    ("rescinded", {"deceit": False}),
    ("rescinded", {"deceit": True}),
    ("revoked", {}),
    ("cancelled", {}),
]


@pytest.mark.parametrize(("kind", "over"), ENDINGS)
def test_an_ending_is_for_good(kind: str, over: dict[str, Any]) -> None:
    """No later order brings the licence back."""

    def tell(e: Events) -> None:
        new(e)
        order(e, kind, "2018-04-02T10:00:00+08:00", **over)
        order(e, "suspended", "2018-04-03T10:00:00+08:00", until="2018-05-01")
        order(e, "resumed", "2018-04-04T10:00:00+08:00")
        order(e, "rescinded", "2018-04-05T10:00:00+08:00", deceit=True)

    world = told(tell)
    assert kind == world.licences(H)[0]["status"]
    assert len(world.holder(H)["refused"]) == 3
    assert sum(h["event"].startswith("refused:") for h in world.licences(H)[0]["history"]) == 3


@pytest.mark.parametrize(
    ("kind", "over", "last"),
    [
        ("rescinded", {"deceit": True}, "2021-04-01"),
        ("revoked", {}, "2021-04-01"),
        ("rescinded", {"deceit": False}, None),
        ("withdrawn", {}, None),
        ("cancelled", {}, None),
    ],
)
def test_bars(kind: str, over: dict[str, Any], last: str | None) -> None:
    """Three years from decided_on to the day before the anniversary, or none."""

    def tell(e: Events) -> None:
        new(e)
        order(e, kind, "2018-04-10T10:00:00+08:00", decided_on="2018-04-02", **over)
        new(e, "2018-04-11T10:00:00+08:00", "B0", materials=full())
        if last:
            new(e, f"{last}T23:59:59+08:00", "B1")
            new(e, "2021-04-02T00:00:00+08:00", "B2")

    world = told(tell)
    assert ("refused" if last else "issued") == world.case(H, "B0")["state"]
    if last:
        assert (world.case(H, "B1")["state"], world.case(H, "B2")["state"]) == ("refused", "issued")
        assert last in world.case(H, "B1")["reason"]


@pytest.mark.parametrize(
    ("over", "source"),
    [
        ({}, "urn:agency:630225:market-regulation"),
        ({}, "urn:agency:630000:service-hall"),
        ({"decided_on": "2018-04-03"}, PROVINCE),
        ({"granted_by": "NOTHING"}, PROVINCE),
    ],
)
def test_an_order_without_effect(over: dict[str, Any], source: str) -> None:
    """Wrong source, decided in the future, no such licence."""
    world = told(lambda e: (new(e), order(e, "revoked", "2018-04-02T10:00:00+08:00", source, **over))[0])
    assert world.licences(H)[0]["status"] == "valid"
    assert [r["event"] for r in world.holder(H)["refused"]] == ["licence.revoked"]


def test_suspension_ends_after_its_last_day() -> None:
    """Its last day still counts; then the licence is valid by itself."""

    def tell(e: Events) -> None:
        new(e)
        order(e, "suspended", "2018-04-02T10:00:00+08:00", until="2018-04-10")
        tick(e, "2018-04-10T23:59:59+08:00")

    assert told(tell).licences(H)[0]["status"] == "suspended"
    assert (
        told(lambda e: (tell(e), tick(e, "2018-04-11T00:00:00+08:00"))[0]).licences(H)[0]["status"] == "valid"
    )


def test_a_second_suspension_replaces_the_first() -> None:
    """Shorter or longer."""

    def tell(e: Events) -> None:
        new(e)
        order(e, "suspended", "2018-04-02T10:00:00+08:00", until="2018-06-10")
        order(e, "suspended", "2018-04-03T10:00:00+08:00", until="2018-04-10")
        tick(e, "2018-04-11T00:00:00+08:00")

    assert told(tell).licences(H)[0]["status"] == "valid"


def test_until_before_the_event_is_refused() -> None:
    """A suspension that is over before it begins."""
    world = told(
        lambda e: (new(e), order(e, "suspended", "2018-04-02T10:00:00+08:00", until="2018-04-01"))[0]
    )
    assert world.licences(H)[0]["status"] == "valid"


def test_a_suspended_licence_stays_suspended_in_its_next_version() -> None:
    """Suspended licences live: they can be changed."""

    def tell(e: Events) -> None:
        new(e)
        order(e, "suspended", "2018-04-02T10:00:00+08:00", until="2018-06-10")
        act(e, "2018-05-02T10:00:00+08:00", "change", change={"address": "新址"})

    one = told(tell).licences(H)[0]
    assert (one["version"], one["status"]) == (2, "suspended")


def test_cancelling_closes_an_ended_entry_once() -> None:
    """注销 after 吊销; a second one is refused."""

    def tell(e: Events) -> None:
        new(e)
        order(e, "revoked", "2018-04-02T10:00:00+08:00")
        order(e, "cancelled", "2018-04-03T10:00:00+08:00")
        order(e, "cancelled", "2018-04-04T10:00:00+08:00")

    world = told(tell)
    assert (world.licences(H)[0]["status"], len(world.holder(H)["refused"])) == ("cancelled", 1)


def test_an_open_case_on_a_licence_that_ends_is_refused() -> None:
    """At once."""

    def tell(e: Events) -> None:
        new(e)
        act(e, "2018-04-02T10:00:00+08:00", "extend", materials=[], products=[{"category": "人造板"}])
        order(e, "withdrawn", "2018-04-03T10:00:00+08:00")

    assert case(tell, "A")["state"] == "refused"


def annul(e: Events, time: str, decided_on: str | None = None) -> None:
    data = {"granted_by": "N", "holder_id": H, "ground": "复议", "decided_on": decided_on or time[:10]}
    e.add("decision.annulled", time, data, PROVINCE)


def test_an_annulled_decision_makes_the_holder_whole() -> None:
    """A new licence with content and end of the old one, the bar lifted; once only."""

    def tell(e: Events) -> None:
        new(e)
        order(e, "revoked", "2018-04-02T10:00:00+08:00")
        annul(e, "2018-06-04T10:00:00+08:00")
        annul(e, "2018-06-05T10:00:00+08:00")

    world = told(tell)
    old, again = world.licences(H)
    assert (old["status"], again["status"]) == ("revoked", "valid")
    assert tuple(again[k] for k in ("version", "valid_from", "valid_until", "application_id")) == (
        1,
        "2018-06-04",
        "2023-02-28",
        "N",
    )
    assert old["number"] != again["number"]
    assert [r["event"] for r in world.holder(H)["refused"]] == ["decision.annulled"]
    assert world.state(H).bars == ()


@pytest.mark.parametrize("kind", ["cancelled", "suspended"])
def test_only_decisions_are_annulled(kind: str) -> None:
    """撤回, 撤销 and 吊销; nothing else."""
    over = {"until": "2018-05-01"} if kind == "suspended" else {}
    world = told(
        lambda e: (
            new(e),
            order(e, kind, "2018-04-02T10:00:00+08:00", **over),
            annul(e, "2018-04-03T10:00:00+08:00"),
        )[0]
    )
    assert len(world.licences(H)) == 1


def test_nothing_is_annulled_after_the_old_end() -> None:
    """The holder would have nothing to get back."""
    world = told(
        lambda e: (
            new(e),
            order(e, "revoked", "2018-04-02T10:00:00+08:00"),
            annul(e, "2023-03-01T10:00:00+08:00"),
        )[0]
    )
    assert len(world.licences(H)) == 1


# ---- inspections --------------------------------------------------------------------------------------------


def inspected(e: Events, time: str = "2018-03-20T10:00:00+08:00", **over: Any) -> None:
    data = {
        "inspection_id": "I", "kind": "post-issuance", "holder_id": H, "granted_by": "N",
        "inspectors": [{"id": "a", "department": "market-regulation"}, {"id": "b", "department": "market-regulation"}],
        "inspected_on": time[:10], "result": "合格", "passed": True, "commitment_false": False, **over,
    }  # fmt: skip
    e.add("inspection.recorded", time, data, "urn:agency:630225:market-regulation")


@pytest.mark.parametrize(
    ("over", "status", "check"),
    [
        ({}, "valid", "passed"),
        ({"passed": False}, "rescinded", "failed"),
        ({"passed": True, "commitment_false": True}, "rescinded", "failed"),
        ({"kind": "complaint", "passed": False}, "valid", "failed"),
        ({"kind": "complaint", "passed": False, "commitment_false": True}, "rescinded", "failed"),
        ({"kind": "random", "passed": False, "result": "未按规定公示即时信息"}, "valid", "failed"),
    ],
)
def test_inspections(over: dict[str, Any], status: str, check: str) -> None:
    """A failed check after issue or a false commitment ends the licence; others are orders to correct."""
    world = told(lambda e: (new(e), inspected(e, **over))[0])
    assert status == world.licences(H)[0]["status"]
    assert check in [c["state"] for c in world.holder(H)["checks"]]


def test_a_false_commitment_bars_a_failed_check_does_not() -> None:
    """Deceit as `commitment_false` says; the bar from the China date of the event."""
    false = told(lambda e: (new(e), inspected(e, commitment_false=True, passed=False))[0])
    assert [(b.since, b.until) for b in false.state(H).bars] == [("2018-03-20", "2021-03-19")]
    failed = told(lambda e: (new(e), inspected(e, passed=False))[0])
    assert failed.state(H).bars == ()


def test_two_distinct_inspectors_are_needed() -> None:
    """One name twice is one inspector."""
    same = [{"id": "a", "department": "x"}, {"id": "Ａ", "department": "x"}]
    world = told(lambda e: (new(e), inspected(e, passed=False, inspectors=same))[0])
    assert world.licences(H)[0]["status"] == "valid"
    assert [c["state"] for c in world.holder(H)["checks"]] == ["scheduled"]


def test_a_check_that_is_not_made_alarms_and_can_still_be_made() -> None:
    """Overdue the day after; then recorded."""
    world = told(lambda e: (new(e), tick(e, "2018-04-01T00:00:00+08:00"))[0])
    assert [c["state"] for c in world.holder(H)["checks"]] == ["overdue"]
    late = told(
        lambda e: (new(e), tick(e, "2018-04-01T00:00:00+08:00"), inspected(e, "2018-04-02T10:00:00+08:00"))[0]
    )
    assert [c["state"] for c in late.holder(H)["checks"]] == ["passed"]


# ---- import and merge ---------------------------------------------------------------------------------------


def imports(
    e: Events, number: str, until: str = "2022-06-30", issued: str = "2017-07-01", **over: Any
) -> None:
    data = {
        "holder": who(), "licence_number": number, "item": "industrial-product-licence",
        "products": [{"category": "人造板", "site": number}], "issued_on": issued, "valid_from": issued,
        "valid_until": until, **over,
    }  # fmt: skip
    e.add("licence.imported", "2018-01-02T10:00:00+08:00", data, PROVINCE)


def test_an_imported_licence_is_version_0() -> None:
    """Without artefacts; its series goes on after the highest serial known."""

    def tell(e: Events) -> None:
        imports(e, "（青）xk13-001-00041")
        e.apply(DAY, "Q", uscc(2))

    world = told(tell)
    one = world.licences(H)[0]
    assert tuple(one[k] for k in ("number", "version", "identifier", "application_id", "objects")) == (
        "(青)XK13-001-00041",
        0,
        None,
        None,
        {},
    )
    assert world.licences(uscc(2))[0]["number"] == "(青)XK13-001-00042"


def test_merge() -> None:
    """The one issued first goes on with all products and the earliest end; the others are cancelled, naming it."""

    def tell(e: Events) -> None:
        imports(e, "(青)XK03-002-00007", "2022-06-30", "2017-07-01")
        imports(e, "(青)XK06-001-00009", "2021-12-31", "2017-01-01")
        act(e, DAY, "merge", granted_by=..., licence_numbers=["(青)XK03-002-00007", "(青)XK06-001-00009"])

    one, two = told(tell).licences(H)
    assert (one["status"], one["merged_into"]) == ("cancelled", "(青)XK06-001-00009")
    assert (two["status"], two["version"], two["valid_until"], len(two["products"])) == (
        "valid",
        1,
        "2021-12-31",
        2,
    )


def test_merge_needs_several() -> None:
    """One licence is no merge."""
    assert (
        case(lambda e: (new(e), act(e, "2018-04-02T10:00:00+08:00", "merge"))[0], "A")["state"] == "refused"
    )


def test_an_import_that_has_ended_expires_at_once() -> None:
    """Dated by its due moment."""
    world = told(lambda e: imports(e, "(青)XK03-002-00007", "2017-12-31", "2013-01-01"))
    assert world.licences(H)[0]["status"] == "expired"


def test_the_authority_has_the_name_of_the_day() -> None:
    """质量技术监督局 before the reform of 2018, 市场监督管理局 in a version after it; the code stays."""

    def tells(e: Events) -> None:
        e.apply("2018-09-12T10:00:00+08:00", "N", H)
        e.apply(
            "2019-01-10T10:00:00+08:00",
            "X",
            H,
            action="reissue",
            granted_by="N",
            products=...,
            materials=FORM,
        )

    licences = told(tells).state(H).licences.values()
    found = [version.grant.authority for licence in licences for version in licence.versions]
    assert [a.name for a in found] == ["青海省质量技术监督局", "青海省市场监督管理局"]
    assert len({a.code for a in found}) == 1


# ---- registrations and filings ------------------------------------------------------------------------------


def registers(
    e: Events, app: str = "R", items: tuple[Any, ...] = ("recycling-filing",), time: str = DAY, **over: Any
) -> None:
    data = {
        "application_id": app, "applicant": who(), "items": [i if isinstance(i, dict) else {"item": i} for i in items],
        "shared": {"recycled-goods": "废钢", "site-address": "积石镇", "publication-kinds": "图书"},
        "materials": FORM, **over,
    }  # fmt: skip
    e.add("registration.submitted", time, data, COUNTY_HALL)


def filing(
    e: Events,
    event: str,
    time: str,
    department: str = "commerce",
    item: str = "recycling-filing",
    **over: Any,
) -> None:
    data = {"filing_id": f"R:{item}", "holder_id": H, "department": department, **over}
    e.add(f"filing.{event}", time, data, f"urn:agency:630225:{department}")


def test_a_registration_pushes_its_filings() -> None:
    """One consolidated certificate without end, one filing for each item, each once."""
    world = told(
        lambda e: registers(e, items=("recycling-filing", "publication-rental-filing", "recycling-filing"))
    )
    assert world.case(H, "R")["state"] == "issued"
    assert [(f["filing_id"], f["department"], f["state"]) for f in world.holder(H)["filings"]] == [
        ("R:recycling-filing", "commerce", "pushed"),
        ("R:publication-rental-filing", "press", "pushed"),
    ]
    assert tuple(world.licences(H)[0][k] for k in ("item", "valid_until")) == ("business-licence", None)


def test_no_items_is_a_registration_too() -> None:
    """`items` may be empty."""
    assert case(lambda e: registers(e, items=()), "R")["state"] == "issued"


@pytest.mark.parametrize(
    ("over", "missing"),
    [
        ({"shared": {"recycled-goods": "废钢"}}, ["fields.site-address"]),
        ({"shared": {}}, ["fields.recycled-goods", "fields.site-address"]),
        (
            {"items": [{"item": "recycling-filing", "answers": {"site-address": "别处"}}]},
            ["fields.site-address"],
        ),
        ({"materials": []}, ["application-form"]),
    ],
)
def test_fields_of_a_registration(over: dict[str, Any], missing: list[str]) -> None:
    """Every required field once; two different values are a correction."""
    assert missing == case(lambda e: registers(e, **over), "R")["missing"]


def test_the_value_supplied_later_counts() -> None:
    """A contradiction is settled by a supplement."""

    def tell(e: Events) -> None:
        registers(e, items=({"item": "recycling-filing", "answers": {"site-address": "别处"}},))
        supply(e, "2018-03-05T10:00:00+08:00", "R", shared={"site-address": "定处"})

    world = told(tell)
    assert world.case(H, "R")["state"] == "issued"
    assert world.state(H).filings["R:RECYCLING-FILING"].answers["site-address"] == "定处"


def test_a_further_registration_is_the_next_version() -> None:
    """With the further filings; the same item is pushed once."""

    def tell(e: Events) -> None:
        registers(e)
        registers(e, "R2", ("recycling-filing", "publication-rental-filing"), "2018-06-01T10:00:00+08:00")

    world = told(tell)
    one = world.licences(H)[0]
    assert (one["version"], len(one["filings"])) == (2, 2)
    assert [f["filing_id"] for f in world.holder(H)["filings"]] == [
        "R:recycling-filing",
        "R2:publication-rental-filing",
    ]


CERTIFICATE = {
    "legal-representative": " 马木沙 ",
    "registered-capital": 500,
    "enterprise-type": "有限责任公司",
    "established-on": "2018-03-01",
    "business-scope": "化肥销售、农产品收购",
}


def test_particulars_of_the_certificate() -> None:
    """What the registration says of the enterprise stands on it, from wherever it was collected; what a further one
    says anew replaces it, the rest stays."""

    def tells(e: Events) -> None:
        shared = {"recycled-goods": "废钢铁", "site-address": "积石镇二号", **CERTIFICATE}
        registers(e, shared=shared)
        registers(e, "R2", (), "2018-06-01T10:00:00+08:00", shared={"legal-representative": "韩某"})

    shown = told(tells).licences(H)[0]
    expected = {
        "enterprise-type": "有限责任公司", "legal-representative": "韩某", "registered-capital": "500",
        "established-on": "2018-03-01", "business-scope": "化肥销售、农产品收购",
    }  # fmt: skip
    assert (shown["version"], expected) == (2, shown["particulars"])


@pytest.mark.parametrize("value", ["长" * 4001, True])
def test_what_no_certificate_can_show_is_a_correction(value: Any) -> None:
    """It is asked for once more, and the value supplied counts."""
    shared = {"recycled-goods": "废钢铁", "site-address": "积石镇二号", "business-scope": value}

    def tells(e: Events) -> None:
        registers(e, shared=shared)

    case = told(tells).case(H, "R")
    assert (case["state"], case["missing"]) == ("correction-requested", ["fields.business-scope"])

    def supplies(e: Events) -> None:
        registers(e, shared=shared)
        data = {"application_id": "R", "holder_id": H, "shared": {"business-scope": "化肥销售"}}
        e.add("application.materials-supplied", "2018-03-02T10:00:00+08:00", data, COUNTY_HALL)

    assert told(supplies).licences(H)[0]["particulars"] == {"business-scope": "化肥销售"}


def test_a_filing_goes_its_way() -> None:
    """Returned, corrected, pushed again, claimed."""

    def tell(e: Events) -> None:
        registers(e)
        filing(e, "returned", "2018-03-02T10:00:00+08:00", reason="地址不详")
        e.add("filing.corrected", "2018-03-05T10:00:00+08:00",
              {"filing_id": "R:recycling-filing", "holder_id": H, "department": "commerce", "answers": {"site-address": "积石镇二号"}}, COUNTY_HALL)  # fmt: skip
        filing(e, "received", "2018-03-06T10:00:00+08:00")
        filing(e, "claimed", "2018-03-07T10:00:00+08:00")
        filing(e, "claimed", "2018-03-08T10:00:00+08:00")

    world = told(tell)
    assert [f["state"] for f in world.holder(H)["filings"]] == ["claimed"]
    assert [r["event"] for r in world.holder(H)["refused"]] == ["filing.claimed"]


def test_anothers_filing_is_not_answered() -> None:
    """A department's answer to another's filing is refused."""
    world = told(lambda e: (registers(e), filing(e, "claimed", "2018-03-02T10:00:00+08:00", "press"))[0])
    assert [f["state"] for f in world.holder(H)["filings"]] == ["pushed"]


# ---- time ---------------------------------------------------------------------------------------------------


def test_an_event_that_comes_late_is_decided_as_of_what_was_decided_before() -> None:
    """An order dated before the last decision takes effect at that decision's moment."""

    def tell(e: Events) -> None:
        new(e)
        act(e, "2018-05-02T10:00:00+08:00", "reissue")
        act(e, "2018-04-02T10:00:00+08:00", "reissue", "A2")

    assert [h["version"] for h in told(tell).licences(H)[0]["history"] if h["event"] == "version"] + [
        told(tell).licences(H)[0]["version"]
    ] == [1, 2, 3]
    assert told(tell).licences(H)[0]["issued_on"] == "2018-05-02"


def test_what_fell_due_happens_first() -> None:
    """A licence that expired before an order came cannot be revoked."""
    world = told(lambda e: (new(e), order(e, "revoked", "2023-03-01T00:00:00+08:00"))[0])
    assert world.licences(H)[0]["status"] == "expired"


def test_a_persons_new_name_is_sealed_too() -> None:
    """What a change makes of a person's name stands nowhere in clear."""
    e = Events()
    person = {"kind": "person", "id": ric(3), "name": "演示甲", "address": "积石镇", "division": "630225"}
    kinds = [{"kind": "application-form"}, {"kind": "examination-record"}]
    over = {"item": "special-equipment-operator", "applicant": person, "products": ..., "materials": kinds}
    e.apply(DAY, "N", ric(3), source=COUNTY_HALL, **over)
    e.add(
        "application.reviewed", "2018-03-01T11:00:00+08:00",
        {"application_id": "N", "holder_id": ric(3), "department": "market-regulation", "officer": ric(4), "decision": "approve"},
        PROVINCE,
    )  # fmt: skip
    change = {"action": "change", "granted_by": "N", "change": {"name": "演示乙"}, "materials": FORM}
    e.apply("2018-05-02T10:00:00+08:00", "A", ric(3), source=COUNTY_HALL, **{**over, **change})
    e.add(
        "application.reviewed", "2018-05-02T11:00:00+08:00",
        {"application_id": "A", "holder_id": ric(3), "department": "market-regulation", "officer": ric(4), "decision": "approve"},
        PROVINCE,
    )  # fmt: skip
    world = World().tell(e.lines)
    assert "演示乙" == world.holder(ric(3))["name"]
    everything = f"{world.facts} {world.ledger} {world.states}"
    assert not [word for word in ("演示甲", "演示乙", ric(3), ric(4)) if word in everything]
