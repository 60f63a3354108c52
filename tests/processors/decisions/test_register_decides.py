"""The register decides, not the sender: competence by the division on record, and no trace of who has none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import PROVINCE, Events, ric, uscc
from world import World

from processors.queries.access import Principal, Restricted
from processors.state import HolderState

H = uscc(1)
DAY = "2018-03-01T10:00:00+08:00"
HALL = "urn:agency:630225:service-hall"
STRANGER = "urn:agency:632801:service-hall"  # a hall of another prefecture
STRANGERS = "urn:agency:632801:market-regulation"
FORM = [{"kind": "application-form"}]
LETTER = {"kind": "commitment-letter", "signed_on": "2018-03-01"}
FULL = [*FORM, LETTER, {"kind": "business-licence"}]


def who(**over: Any) -> dict[str, Any]:
    return {
        "kind": "enterprise",
        "id": H,
        "name": "青海一厂",
        "address": "积石镇",
        "division": "630225",
        **over,
    }


def granted() -> Events:
    """A holder of 630225 with the licence of application N."""
    e = Events()
    e.apply(DAY, "N", H, applicant=who(), materials=FULL, source=HALL)
    return e


def act(
    e: Events, action: str, source: str, app: str = "A", time: str = "2018-03-02T10:00:00+08:00", **over: Any
) -> None:
    data = {"granted_by": "N", "applicant": who(), "materials": FORM, "products": ..., **over}
    e.apply(time, app, H, action=action, source=source, **data)


def imported(e: Events, source: str, time: str = "2018-03-02T10:00:00+08:00", **holder: Any) -> None:
    data = {
        "holder": who(**holder), "licence_number": "(青)XK99-009-00001", "item": "industrial-product-licence",
        "products": [{"category": "化肥"}], "issued_on": "2016-01-01", "valid_from": "2016-01-01",
        "valid_until": "2020-12-31",
    }  # fmt: skip
    e.add("licence.imported", time, data, source)


@pytest.mark.parametrize(
    "action",
    [
        ("surrender", {}),
        ("change", {"change": {"name": "别人的厂"}}),
        ("reissue", {}),
        ("extend", {"products": [{"category": "化肥", "site": "新址"}], "materials": [*FORM, LETTER]}),
    ],
    ids=lambda action: action[0],
)
@pytest.mark.parametrize("division", ["632801", "630225", ""])
def test_a_stranger_does_nothing_to_a_licence(action: tuple[str, dict[str, Any]], division: str) -> None:
    """Whatever division an event states, the licence's own decides who is competent, and nothing but a refusal is left."""
    e = granted()
    before = World().tell(e.lines)
    act(e, action[0], STRANGER, applicant=who(division=division), **action[1])
    after = World().tell(e.lines)
    assert before.licences(H) == after.licences(H)
    assert ["N"] == [case["application_id"] for case in after.holder(H)["cases"]]
    assert "not competent" in after.holder(H)["refused"][0]["reason"]


def test_a_division_that_differs_is_a_correction() -> None:
    """A competent hall that states another division is asked to correct it, and the reason names `change`."""
    e = granted()
    act(e, "reissue", HALL, applicant=who(division="630200"))
    row = World().tell(e.lines).case(H, "A")
    assert ("correction-requested", ["applicant.division"]) == (row["state"], row["missing"])
    assert "change" in row["reason"]


def test_a_new_application_of_a_known_holder_is_judged_by_the_record() -> None:
    """A stranger cannot apply for a known holder by stating its own division; the hall on record can."""
    e = granted()
    for n, source in enumerate((STRANGER, HALL)):
        e.add(
            "registration.submitted",
            f"2018-03-0{2 + n}T10:00:00+08:00",
            {
                "application_id": f"R{n}",
                "applicant": who(division="632801"),
                "items": [],
                "shared": {},
                "materials": FORM,
            },
            source,
        )
    world = World().tell(e.lines)
    assert ["N", "R1"] == [case["application_id"] for case in world.holder(H)["cases"]]
    assert "applicant.division" in world.case(H, "R1")["missing"]


@pytest.mark.parametrize(
    ("source", "holder", "taken"),
    [
        (STRANGERS, {"division": "632801"}, False),  # re-homed to its own division
        ("urn:agency:632800:market-regulation", {"division": "632801", "name": "改名厂"}, False),
        (PROVINCE, {}, True),
        (PROVINCE, {"name": "改名厂"}, True),
    ],
)
def test_an_import_never_changes_a_known_holder(source: str, holder: dict[str, Any], taken: bool) -> None:
    """An import that contradicts the record needs the authority of the recorded division, and changes nothing of it."""
    e = granted()
    imported(e, source, **holder)
    world = World().tell(e.lines)
    row = world.holder(H)
    assert ("青海一厂", taken) == (row["name"], len(row["licences"]) == 2)
    assert "630225" == world.state(H).division
    assert bool(row["refused"]) is not taken


def test_a_merge_takes_licences_within_the_competence_of_the_sender() -> None:
    """Of licences in two divisions a hall of one of them merges none; the province merges both."""
    for source, outcome in ((HALL, None), (PROVINCE, "granted")):
        e = granted()
        imported(e, PROVINCE, division="632801")
        act(e, "merge", source, granted_by=..., licence_numbers=["(青)XK16-001-00001", "(青)XK99-009-00001"],
            materials=[*FORM, LETTER], time="2018-03-05T10:00:00+08:00")  # fmt: skip
        world = World()
        world.tell(e.lines)
        numbers = [x["number"] for x in world.licences(H)]
        e2 = granted()
        imported(e2, PROVINCE, division="632801")
        act(e2, "merge", source, granted_by=..., licence_numbers=numbers, materials=[*FORM, LETTER],
            time="2018-03-05T10:00:00+08:00")  # fmt: skip
        world = World().tell(e2.lines)
        cases = {case["application_id"]: case["state"] for case in world.holder(H)["cases"]}
        assert outcome == ("granted" if cases.get("A") in ("granted", "issued") else None)


def test_a_refused_application_renames_and_moves_nobody() -> None:
    """What a stranger's application says of an unlicensed holder counts for nothing once it is refused or incomplete."""
    e = Events()
    e.apply(DAY, "REAL", H, applicant=who(), materials=[], source=HALL)
    e.apply("2018-03-02T10:00:00+08:00", "FALSE", H, applicant=who(name="假名", division="632801"),
            materials=[], source=STRANGER)  # fmt: skip
    state = World().tell(e.lines).state(H)
    assert ("青海一厂", "") == (state.name, state.division)


class _Register:
    def __init__(self, state: HolderState) -> None:
        self._state = state

    def state(self, holder: str) -> HolderState | None:
        return self._state if holder == self._state.holder else None


P = ric(7)


def operator(e: Events, app: str, source: str, time: str = DAY, **over: Any) -> None:
    applicant = {"kind": "person", "id": P, "name": "真名", "address": "积石镇", "division": "630225", **over}
    materials = [
        {"kind": kind}
        for kind in ("application-form", "identity-document", "training-certificate", "medical-certificate")
    ]
    e.apply(time, app, P, item="special-equipment-operator", applicant=applicant, products=..., materials=materials,
            source=source)  # fmt: skip


def test_a_stranger_reads_no_name_by_a_refused_application() -> None:
    """An application that is refused for want of competence gives no right to read the person's record."""
    e = Events()
    operator(e, "REAL", "urn:agency:630225:service-hall")
    operator(e, "FALSE", STRANGER, "2018-03-02T10:00:00+08:00")
    world = World().tell(e.lines)
    state = world.state(P)
    reader = Restricted(_Register(state), Principal("agency", STRANGER), world.catalogue)  # type: ignore[arg-type]
    assert reader.state(state.holder) is None
    assert ["REAL"] == [case["application_id"] for case in world.holder(P)["cases"]]


def test_a_reader_by_an_own_case_reads_what_that_case_says() -> None:
    """A case of its own shows an agency its own words, and not the name that others have registered."""
    e = Events()
    operator(e, "REAL", "urn:agency:630225:service-hall")
    operator(e, "OWN", STRANGER, "2018-03-02T10:00:00+08:00", name="另一名", division="632801")
    world = World().tell(e.lines)
    state = world.state(P)
    reader = Restricted(_Register(state), Principal("agency", STRANGER), world.catalogue)  # type: ignore[arg-type]
    part = reader.state(state.holder)
    assert part is not None
    assert ("另一名", ["OWN"]) == (
        world.persons.open(part.holder, part.name),
        [case.application_id for case in part.cases.values()],
    )


ACTIONS = st.sampled_from(["new", "extend", "change", "renew", "reissue", "merge", "surrender"])
DIVISIONS = st.sampled_from(["632801", "630225", "630200", "630000", "632800", "620100", ""])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ACTIONS, DIVISIONS, st.booleans()), min_size=1, max_size=4))
def test_want_of_competence_changes_nothing_but_the_refusals(sent: list[tuple[str, str, bool]]) -> None:
    """Property: strangers' applications and imports leave the state as it was, but for refusals and seen events."""
    e = granted()
    before = World().tell(e.lines).state(H)
    for n, (action, division, imports) in enumerate(sent):
        time = f"2018-03-02T10:0{n}:00+08:00"
        if imports:
            imported(e, STRANGERS, time, division=division or "632801", name="改名厂")
            continue
        over: dict[str, Any] = {"change": {"division": "632801"}} if action == "change" else {}
        over |= {"granted_by": ["N"]} if action == "merge" else {}
        over |= {"granted_by": ..., "products": [{"category": "化肥"}]} if action == "new" else {}
        act(e, action, STRANGER, f"A{n}", time, applicant=who(division=division, name="改名厂"), **over)
    after = World().tell(e.lines).state(H)
    after.refused, after.seen, after.upto = before.refused, before.seen, before.upto
    after.seen_refused = before.seen_refused
    assert before == after
