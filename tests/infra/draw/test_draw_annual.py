"""The plan of a year: what it refuses, and the plans of draws that it makes."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from schemas.draw import annual, plan
from schemas.draw.plan import read_plan
from schemas.errors import DrawError
from tests.infra.draw.conftest import Office
from verification import verify_draw

YEAR = """
year = 2018
authority = "urn:agency:630000:market-regulation"
[[items]]
plan = "QH-2018-auction"
item = "auction-check"
title = "拍卖企业\\"检查\\""
period = ["2018-01-01", "2018-12-31"]
departments = ["market-regulation", "commerce"]
frequency = 4
population = { category = "auction" }
ratio = "0.20"
[[items]]
plan = "QH-2018-rest"
item = "publicity-check"
title = "公示信息抽查"
period = ["2018-04-02", "2018-04-30"]
departments = ["market-regulation"]
count = 9
inspectors_per_target = 3
qualification = "market"
weights = { A = 1, D = 8 }
publish_after_days = 20
[seed]
parties = ["regulator", "discipline"]
"""


def draws(text: str = YEAR) -> list[plan.DrawOfYear]:
    return annual.plans_of(annual.read_annual(tomllib.loads(text)))


def test_draws_of_a_year() -> None:
    """Four draws a year are four plans of three months each; a single one keeps its name and days."""
    found = {draw.plan.plan: draw for draw in draws()}
    quarters = [("01-01", "03-31"), ("04-01", "06-30"), ("07-01", "09-30"), ("10-01", "12-31")]
    for number, (first, last) in enumerate(quarters, 1):
        own = found[f"QH-2018-auction-{number}"]
        assert [f"2018-{first}", f"2018-{last}"] == own.plan.period
        assert ["market-regulation", "commerce"] == own.departments
    rest = found["QH-2018-rest"].plan
    assert (["2018-04-02", "2018-04-30"], 3, "market", 8) == (
        rest.period,
        rest.inspectors_per_target,
        rest.needs,
        rest.weight("D"),
    )
    assert rest.publish_after == "2018-05-20"


def test_a_year_that_does_not_come_out_even_is_parted_by_days() -> None:
    """Parts of a period that whole months do not give differ by a day at most and leave none out."""
    text = YEAR.replace('["2018-01-01", "2018-12-31"]', '["2018-01-03", "2018-01-12"]')
    parts = [d.plan.period for d in draws(text) if d.plan.item == "auction-check"]
    expected = [["03", "04"], ["05", "07"], ["08", "09"], ["10", "12"]]
    assert expected == [[day[-2:] for day in part] for part in parts]


def test_written_plan_says_the_same() -> None:
    """What is written as TOML is read back as the same plan, quotes in its title too."""
    for draw in draws():
        assert draw.plan == read_plan(tomllib.loads(draw.toml))


WRONG: dict[str, tuple[str, str, str]] = {
    "unknown key": ("frequency = 4", "often = 4", "often"),
    "neither": ('ratio = "0.20"', "", "ratio"),
    "both": ('ratio = "0.20"', 'ratio = "0.20"\ncount = 3', "ratio"),
    "ratio": ('"0.20"', '"1.20"', "ratio"),
    "too often": ("frequency = 4", "frequency = 13", "frequency"),
    "never": ("frequency = 4", "frequency = 0", "frequency"),
    "another year": ('"2018-12-31"', '"2019-01-31"', "period"),
    "backwards": ('"2018-12-31"', '"2017-12-31"', "period"),
    "no date": ('"2018-12-31"', '"2018-12-32"', "period"),
    "shorter than its draws": ('["2018-01-01", "2018-12-31"]', '["2018-01-01", "2018-01-03"]', "period"),
    "no department": ('["market-regulation", "commerce"]', "[]", "departments"),
    "a department twice": ('"commerce"', '"market-regulation"', "departments"),
    "not the own department": ('["market-regulation", "commerce"]', '["commerce"]', "departments"),
    "no department's code": ('"commerce"', '"商务"', "departments"),
    "by name": ('category = "auction"', 'name = "某公司"', "where"),
    "one inspector": ("inspectors_per_target = 3", "inspectors_per_target = 1", "inspectors_per_target"),
    "two items of a name": ('"QH-2018-rest"', '"QH-2018-auction"', "items.QH-2018-auction"),
    "one party": ('["regulator", "discipline"]', '["regulator"]', "parties"),
    "no authority": ('"urn:agency:630000:market-regulation"', '"market-regulation"', "authority"),
    "no year": ("year = 2018", "year = 18", "year"),
    "nothing to do": ("[[items]]", "[[others]]", "others"),
}


@pytest.mark.parametrize(("old", "new", "named"), WRONG.values(), ids=WRONG.keys())
def test_refused(old: str, new: str, named: str) -> None:
    """What a year may not say is refused, and the message names the key."""
    assert old in YEAR
    with pytest.raises(DrawError) as refused:
        draws(YEAR.replace(old, new) if new != "[[others]]" else YEAR.replace(old, new, 1))
    assert named in str(refused.value)


def test_a_year_by_the_command(office: Office) -> None:
    """`draw plan` writes a plan for each draw, tries them on a register, and each can be announced."""
    year = office.plan(YEAR, "year.toml")
    out = office.ok(
        "draw", "plan", year, "--register", office.path("R.csv"), "-o", office.path("plans"), "--json"
    )
    rows: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert ["QH-2018-auction-1", "QH-2018-auction-2", "QH-2018-rest"] == [row["plan"] for row in rows][:3]
    assert [{"stratum": "all", "population": 15, "drawn": 3, "chance": {"": 0.2, "A": 0.2}}] == rows[0][
        "strata"
    ]
    announced = office.announce(plan=office.path("plans") / "QH-2018-auction-1.toml")
    assert "QH-2018-auction-1" == json.loads(announced.read_bytes())["plan"]
    assert office("draw", "plan", year, "-o", office.path("plans"))[0] == 0
    (office.path("plans") / "QH-2018-rest.toml").write_text("other = 1\n")
    code, _, err = office("draw", "plan", year, "-o", office.path("plans"))
    assert (code, "another plan" in err) == (2, True)
    assert office("draw", "plan", office.plan())[0] == 2


CLASSES = (
    YEAR.replace('plan = "QH-2018-auction"', 'plan = "QH-2018-auction"\nitem_class = "key"').replace(
        'plan = "QH-2018-rest"', 'plan = "QH-2018-rest"\nitem_class = "一般"'
    )
    + '[classes.key]\n[classes."一般"]\nratio = "0.20"\nfrequency = 1\n'
)


def test_classes_of_items_have_limits() -> None:
    """A general item above its ratio or frequency is refused, a key item is free; each class needs its limits."""
    found = {draw.plan.plan: draw.plan for draw in draws(CLASSES)}
    assert "0.20" == found["QH-2018-rest"].limit
    assert plan.UNSET == found["QH-2018-auction-1"].limit
    for old, new, named in (
        ("count = 9", 'ratio = "0.21"', "ratio"),
        ("count = 9", "count = 9\nfrequency = 2", "frequency"),
        ("[classes.key]\n", "", "classes.key"),
    ):
        with pytest.raises(DrawError) as refused:
            draws(CLASSES.replace(old, new))
        assert named in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "named"), [({"limit": "0.29"}, None), ({"limit": "0.20"}, "limit"), ({}, None)]
)
def test_one_file_program_knows_the_limit(changed: dict[str, str], named: str | None) -> None:
    """`verify_draw.py` refuses counts above the limit that the plan carries from the item's class."""
    content = {"strata": [{"name": "rest", "count": 3}], **changed}
    if named is None:
        assert {"rest": 3} == verify_draw.share(content, {"rest": 10})
        return
    with pytest.raises(ValueError, match=named):
        verify_draw.share(content, {"rest": 10})


def test_announcement_cites_the_year(office: Office) -> None:
    """What `draw plan` wrote names the year's plan; `verify --annual` compares, and the class's limit holds for counts."""
    year = office.plan(CLASSES, "year.toml")
    office.ok("draw", "plan", year, "-o", office.path("plans"))
    first = office.path("plans") / "QH-2018-auction-1.toml"
    transcript = office.draw(plan=first)
    announced = json.loads(transcript.read_bytes())["announcement"]
    assert annual.read_annual(tomllib.loads(CLASSES)).digest == announced["annual"]
    assert office.failed(transcript, "--annual", year) == []
    other = office.plan(
        CLASSES.replace('ratio = "0.20"\n[[items]]', 'ratio = "0.30"\n[[items]]'), "other.toml"
    )
    assert office.failed(transcript, "--annual", other) == ["annual"]
    words = office.announce_words("2", office.path("plans") / "QH-2018-rest.toml")
    assert office(*words)[0] == 0
    many = office.plan(CLASSES.replace("count = 9", "count = 40"), "many.toml")
    office.ok("draw", "plan", many, "-o", office.path("more"))
    code, _, err = office(*office.announce_words("3", office.path("more") / "QH-2018-rest.toml"))
    assert (code, "0.20" in err) == (1, True)
    changed = office.path("plans") / "QH-2018-auction-2.toml"
    changed.write_text(changed.read_text().replace("0.20", "0.40"))
    assert office(*office.announce_words("4", changed, ["--annual", year]))[0] == 1
