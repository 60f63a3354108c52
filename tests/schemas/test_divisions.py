"""Divisions: names, parents, former codes, what lies above what."""

from __future__ import annotations

import pytest

from schemas.authorities import (
    at_level,
    chain,
    everything,
    find,
    full_name,
    is_at_or_above,
    level,
    proper_name,
)


def test_every_division_leads_to_its_province() -> None:
    """Each code's chain ends at the province, one level at a time."""
    for division in everything():
        steps = chain(division.code)
        assert steps[0] == division.code
        assert steps[-1] == "630000"
        assert [level(code) for code in steps] == ["county", "prefecture", "province"][-len(steps) :]


@pytest.mark.parametrize(("former", "now"), [("630122", "630106"), ("632321", "632301")])
def test_former_codes_count(former: str, now: str) -> None:
    """A code of 2018 is the division of today, as an applicant's and as a source's."""
    division = find(former)
    assert division is not None
    assert division.code == now
    assert is_at_or_above(former, now)
    assert is_at_or_above(now, former)
    assert chain(former) == chain(now)


@pytest.mark.parametrize("code", ["", "110000", "999999", "63022", "6302250", "630225 ", "６３０２２５"])
def test_unknown_codes(code: str) -> None:
    """What is not in the list is unknown at every question."""
    assert find(code) is None
    assert chain(code) == ()
    assert level(code) is None
    assert at_level(code, "province") is None
    assert not is_at_or_above("630000", code)
    assert not is_at_or_above(code, "630225")


@pytest.mark.parametrize(
    ("upper", "lower", "expected"),
    [
        ("630000", "630225", True),
        ("630200", "630225", True),
        ("630225", "630225", True),
        ("630100", "630225", False),
        ("630225", "630200", False),
        ("630222", "630225", False),
        ("632800", "632857", True),
    ],
)
def test_above(upper: str, lower: str, expected: bool) -> None:
    """A division is at or above itself and those under it, no neighbour and nothing above."""
    assert is_at_or_above(upper, lower) == expected


def test_at_level() -> None:
    """The division at a level above; none where the level lies below the division."""
    assert [at_level("630225", wanted) for wanted in ("province", "prefecture", "county")] == [
        "630000",
        "630200",
        "630225",
    ]
    assert at_level("630000", "county") is None
    assert full_name("630225") == "青海省海东市循化撒拉族自治县"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("630102", "西宁市城东区"),
        ("630122", "西宁市湟中区"),
        ("630225", "循化撒拉族自治县"),
        ("630200", "海东市"),
        ("630000", "青海省"),
        ("999999", ""),
    ],
)
def test_what_a_division_calls_itself(code: str, name: str) -> None:
    """A district has its city's name before its own: there is a 城东区 in many cities."""
    assert name == proper_name(code)
