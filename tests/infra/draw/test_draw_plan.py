"""Plans: what is refused before anything is announced, and how counts come about."""

from __future__ import annotations

import tomllib
from fractions import Fraction
from math import ceil
from typing import Any

import naive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.draw.plan import read_plan
from schemas.draw.strata import allocate, largest_remainder, of_ratio
from schemas.errors import DrawError
from tests.infra.draw.conftest import PLAN, Office

REFUSED = {
    "unknown key": PLAN + "x = 1\n[y]\n",
    "unknown key of a stratum": PLAN.replace('ratio = "0.20"', 'ratio = "0.20"\nquota = 1'),
    "one inspector": PLAN.replace("inspectors_per_target = 2", "inspectors_per_target = 1"),
    "one party": PLAN.replace(', "discipline"', ""),
    "a party twice": PLAN.replace('"discipline"', '"regulator"'),
    "colon": PLAN.replace('"auction"\nwhere', '"a:b"\nwhere'),
    "inspector": PLAN.replace('"auction"\nwhere', '"inspector"\nwhere'),
    "a stratum twice": PLAN.replace('name = "rest"', 'name = "auction"'),
    "by id": PLAN.replace("where = {}", 'where = { id = "T001" }'),
    "by name": PLAN.replace("where = {}", 'where = { name = "企业1" }'),
    "no such column": PLAN.replace("where = {}", 'where = { colour = "red" }'),
    "ratio as number": PLAN.replace('"0.20"', "0.20"),
    "ratio over 1": PLAN.replace('"0.20"', '"1.01"'),
    "ratio below 0": PLAN.replace('"0.20"', '"-0.1"'),
    "ratio in per cent": PLAN.replace('"0.20"', '"20%"'),
    "ratio with exponent": PLAN.replace('"0.20"', '"2e-1"'),
    "ratio 0 of targets": PLAN.replace('"0.20"', '"0.00"'),
    "ratio and count": PLAN.replace('ratio = "0.20"', 'ratio = "0.20"\ncount = 3'),
    "neither, no total": PLAN.replace('ratio = "0.20"', ""),
    "count over population": PLAN.replace("count = 9", "count = 46"),
    "count 0": PLAN.replace("count = 9", "count = 0"),
    "count -1": PLAN.replace("count = 9", "count = -1"),
    "count as text": PLAN.replace("count = 9", 'count = "9"'),
    "count as float": PLAN.replace("count = 9", "count = 9.0"),
    "weight 0": PLAN.replace("A = 1", "A = 0"),
    "weight 1.5": PLAN.replace("A = 1", "A = 1.5"),
    "weight true": PLAN.replace("A = 1", "A = true"),
    "weight of E": PLAN.replace("A = 1", "E = 1"),
    "total under fixed counts": "total = 11\n" + PLAN,
    "total nobody may fill": "total = 13\n" + PLAN,
    "total over all": "total = 70\n" + PLAN.replace("count = 9", ""),
    "period backwards": PLAN.replace("2018-06-30", "2018-03-30"),
    "period of no date": PLAN.replace("2018-06-30", "2018-06-31"),
    "authority": PLAN.replace("urn:agency:630000:market-regulation", "market-regulation"),
    "no title": PLAN.replace('title = "抽查"', ""),
    "blank plan": PLAN.replace('"QH-1"', '" "'),
    "control character": PLAN.replace('"抽查"', '"抽\\t查"'),
    "public without reveal_by": PLAN + 'public = { source = "x", at = "2018-03-29T21:15:00+08:00" }\n',
    "public before all revealed": PLAN
    + 'reveal_by = "2018-03-29T21:15:00+08:00"\npublic = { source = "x", at = "2018-03-29T13:15:00Z" }\n',
    "public without zone": PLAN
    + 'reveal_by = "2018-03-29T18:00:00+08:00"\npublic = { source = "x", at = "2018-03-29T21:15:00" }\n',
    "qualification that is two": PLAN.replace('"market"\n', '"market;food"\n'),
    "qualification that nobody has": PLAN.replace('"market"\n', '"pilot"\n'),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_refused(office: Office, text: str) -> None:
    """A plan that breaks a rule is refused with exit 1, and nothing is announced."""
    code, _, err = office(*office.announce_words(plan=office.plan(text)))
    assert (code, "error: " in err, office.path("A.json").exists()) == (1, True, False)
    assert not list((office.data / "draws").rglob("*.announcement.json"))


def test_no_toml_is_unusable(office: Office) -> None:
    """A plan that is no TOML, or absent, is a wrong use (exit 2)."""
    assert office(*office.announce_words(plan=office.plan("plan = ")))[0] == 2
    assert office(*office.announce_words("x", plan=office.path("none.toml")))[0] == 2


def test_real_figures_of_jiangsu() -> None:
    """Jiangsu, 30 March 2018: 20 % and 5 % of the populations that its figures imply, rounded up."""
    assert [1624, 1233, 181] == [of_ratio("0.20", 8_120), of_ratio("0.05", 24_660), of_ratio("0.05", 3_620)]
    assert [1624, 1233, 181] == [of_ratio("0.20", 8_116), of_ratio("0.05", 24_641), of_ratio("0.05", 3_601)]


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 6))
def test_ratio_is_rounded_up_exactly(population: int, numerator: int, places: int) -> None:
    """A ratio's count is the exact product, rounded up, however many decimals it has."""
    numerator = min(numerator, 10**places)
    text = f"{numerator // 10**places}" + (f".{numerator % 10**places:0{places}d}" if places else "")
    assert ceil(Fraction(numerator, 10**places) * population) == of_ratio(text, population)


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 1000), min_size=1, max_size=6), st.data()
)
def test_largest_remainder(populations: dict[str, int], data: st.DataObject) -> None:
    """Shares sum up, stay within one of their quota and within the population."""
    seats = data.draw(st.integers(0, sum(populations.values())))
    shares = largest_remainder(seats, populations)
    whole = sum(populations.values())
    assert seats == sum(shares.values())
    for name, share in shares.items():
        assert share <= populations[name]
        assert not whole or abs(Fraction(seats * populations[name], whole) - share) < 1


def test_largest_remainder_by_hand() -> None:
    """Ties of remainders go by name, in bytes."""
    assert {"b": 2, "a": 2, "c": 1} == largest_remainder(5, {"b": 10, "a": 10, "c": 10})
    assert {"乙": 1, "Z": 1, "a": 1, "甲": 0} == largest_remainder(3, {"乙": 5, "甲": 5, "Z": 5, "a": 5})
    assert {"x": 0, "y": 0} == largest_remainder(0, {"x": 0, "y": 0})


def plan_of(strata: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = tomllib.loads(PLAN)
    return base | {"strata": strata} | more


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.sampled_from(["ratio", "count", "free"])), min_size=1, max_size=5
    ),
    st.data(),
)
def test_allocation_is_the_contracts(kinds: list[tuple[int, str]], data: st.DataObject) -> None:
    """Whatever mixture of ratio, count and rest: the counts are those of the slow rule."""
    strata: list[dict[str, Any]] = []
    size: dict[str, int] = {}
    for n, (population, kind) in enumerate(kinds):
        name = f"s{n}"
        size[name] = population
        rule: dict[str, Any] = {"name": name, "where": {"category": name}}
        if kind == "ratio":
            rule["ratio"] = data.draw(st.sampled_from(["0.05", "0.333", "1", "0.5"]))
        elif kind == "count":
            rule["count"] = data.draw(st.integers(1, population))
        strata.append(rule)
    fixed = naive.counts({"strata": [s for s in strata if len(s) > 2]}, size)
    free = sum(size[s["name"]] for s in strata if len(s) == 2)
    content = plan_of(strata)
    if free:
        content["total"] = sum(fixed.values()) + data.draw(st.integers(0, free))
        if not content["total"]:
            content["total"] = 1
    expected = naive.counts(content, size)
    if 0 in expected.values():
        with pytest.raises(DrawError):
            allocate(read_plan(content), size)
    else:
        assert expected == allocate(read_plan(content), size)


def test_where_compares_as_text(office: Office) -> None:
    """Numbers and booleans in `where` equal the register's text."""
    for row in office.rows:
        row["year"], row["exporter"] = ("2018", "true") if row["category"] == "auction" else ("2017", "false")
    office.write_all()
    text = PLAN.replace('where = { category = "auction" }', "where = { year = 2018, exporter = true }")
    transcript = office.draw(plan=office.plan(text))
    assert office.failed(transcript) == []
    assert b'"population":15' in transcript.read_bytes()


def test_preview_announces_nothing(office: Office) -> None:
    """`draw plan` shows populations, counts and chances, and leaves no trace."""
    out = office.ok("draw", "plan", office.plan(), "--register", office.path("R.csv"), "--json")
    assert '{"stratum":"auction","population":15,"drawn":3,' in out
    assert not (office.data / "draws").exists()
