"""The laws of a fair draw: chances, partitions, independence, competence, loads."""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import naive
import polars as pl
import polars_hash as plh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.draw import tickets
from schemas.draw.inspectors import DrawInspector, Roster, assign
from schemas.draw.plan import Plan, read_plan
from schemas.draw.tickets import chances, enumerated
from schemas.errors import DrawError
from tests.infra.draw.conftest import PLAN, Office

SEED = hashlib.sha256(b"seed").hexdigest()
CLASSES = ("A", "B", "C", "D", "")


def plan(count: int, **more: Any) -> Plan:
    content = tomllib.loads(PLAN) | {"strata": [{"name": "all", "where": {}, "count": count}]} | more
    return read_plan(content)


def targets(classes: list[str], name: str = "T") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"{name}{n}" for n in range(len(classes))],
            "division": ["630102"] * len(classes),
            "credit_class": classes,
            "stratum": [0] * len(classes),
        },
        schema={"id": pl.String, "division": pl.String, "credit_class": pl.String, "stratum": pl.UInt32},
    )


def drawn(how: Plan, seed: str, count: int, parts: list[pl.DataFrame]) -> list[tuple[str, str]]:
    classes = Counter(("all", c) for part in parts for c in part["credit_class"])
    found = tickets.draw(how, seed, classes, {"all": count}, lambda: parts)
    return list(found.select("id", "ticket").iter_rows())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=60), st.data())
def test_parts_make_the_whole(classes: list[str], data: st.DataObject) -> None:
    """Drawn in any order and any partition, and by the slow rule, the same targets win with the same tickets."""
    count = data.draw(st.integers(1, len(classes)))
    how, frame = plan(count), targets(classes)
    rows = [{"id": i, "credit_class": c} for i, c in frame.select("id", "credit_class").iter_rows()]
    rule = {"strata": [{"name": "all", "where": {}}], "weights": {"A": 1, "B": 2, "C": 4, "D": 8}}
    expected = [(i, t) for t, i in naive.tickets(rule, SEED, rows, set())["all"][:count]]
    shuffled = frame.sample(fraction=1, shuffle=True, seed=data.draw(st.integers(0, 99)))
    cut = data.draw(st.integers(0, len(classes)))
    assert expected == drawn(how, SEED, count, [frame])
    assert expected == drawn(how, SEED, count, [shuffled[:cut], shuffled[cut:]])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(CLASSES), min_size=2, max_size=40), st.data())
def test_a_newcomer_changes_no_other(classes: list[str], data: st.DataObject) -> None:
    """Adding a target that is not drawn changes nothing; one that is drawn takes the last one's place."""
    count = data.draw(st.integers(1, len(classes)))
    frame, newcomer = targets(classes), targets([data.draw(st.sampled_from(CLASSES))], "new")
    before = drawn(plan(count), SEED, count, [frame])
    after = drawn(plan(count), SEED, count, [frame, newcomer])
    if any(i == "new0" for i, _ in after):
        assert before[:-1] == [pair for pair in after if pair[0] != "new0"]
    else:
        assert before == after


@pytest.mark.parametrize("wrong", [0.0, 0.5])
def test_bounds_are_only_a_guess(wrong: float) -> None:
    """With bounds that are far too low the draw is the same: it is computed again without them."""
    classes = ["A"] * 300
    how = plan(40)
    below = [f"{int(wrong * 0.1 * 2**48):012x}"]
    frame = targets(classes)
    assert tickets.lowest(how, {"all": 40}, [tickets.candidates(how, SEED, frame, below)]) is None
    every = tickets.lowest(how, {"all": 40}, [tickets.candidates(how, SEED, frame, ["g"])])
    assert every is not None
    assert drawn(how, SEED, 40, [frame]) == list(every.select("id", "ticket").iter_rows())


def test_chances_by_enumeration() -> None:
    """The chance by integration is the exact one of a few targets, for any weights and counts."""
    for weights, count in itertools.product(([1, 1, 1], [1, 2, 4, 8], [1, 1, 2, 8, 8]), (1, 2, 3)):
        exact = enumerated(weights, count)
        by_weight = chances(Counter(weights), count)
        assert [float(e) for e in exact] == pytest.approx([by_weight[w] for w in weights], abs=2e-4)


def simulated(weights: list[int], count: int, draws: int) -> list[int]:
    """How often each of a few targets is drawn, over many seeds, with the tickets of the contract."""
    seeds = pl.DataFrame({"seed": [f"{n:064x}" for n in range(draws)]})
    lowest = []
    for n, weight in enumerate(weights):
        hashed = [
            plh.CryptographicHashingNameSpace(pl.col("seed") + f":all:T{n}:{j}").sha2_256()
            for j in range(weight)
        ]
        lowest.append(pl.min_horizontal(hashed).alias(str(n)))
    made = seeds.select(lowest)
    ranks = made.with_columns(pl.concat_list(pl.all()).list.sort().list.get(count - 1).alias("limit"))
    return [int((ranks[str(n)] <= ranks["limit"]).sum()) for n in range(len(weights))]


@pytest.mark.parametrize(
    ("weights", "count"), [([1] * 6, 2), ([1, 1, 2, 4, 8], 2), ([1, 2, 4, 8], 1), ([1, 1, 1, 8], 3)]
)
def test_inclusion_over_100_000_draws(weights: list[int], count: int) -> None:
    """Over 100,000 seeds each target is drawn as often as enumeration says (a fair draw fails 1 in 10⁵)."""
    draws = 100_000
    exact = [float(p) for p in enumerated(weights, count)]
    for often, chance in zip(simulated(weights, count, draws), exact, strict=True):
        spread = (draws * chance * (1 - chance)) ** 0.5
        assert abs(often - draws * chance) < 5 * spread + 1


def test_simulation_is_the_draw() -> None:
    """The vectorised simulation above draws what the product draws."""
    often = simulated([1, 2, 4], 2, 20)
    found: Counter[str] = Counter()
    for n in range(20):
        found.update(i for i, _ in drawn(plan(2), f"{n:064x}", 2, [targets(["A", "B", "C"])]))
    assert often == [found[f"T{n}"] for n in range(3)]


DIVISIONS = ("630102", "630103", "630100", "630200", "630000", "630202")


@st.composite
def staffs(
    draw: st.DrawFn,
) -> tuple[list[DrawInspector], list[tuple[str, str]], dict[str, dict[str, str]], str | None]:
    inspectors = [
        DrawInspector(
            f"I{n}",
            draw(st.sampled_from(DIVISIONS)),
            frozenset(draw(st.sets(st.sampled_from(["market", "food"]), max_size=2))),
        )
        for n in range(draw(st.integers(2, 9)))
    ]
    visited = [(f"T{n}", draw(st.sampled_from(DIVISIONS))) for n in range(draw(st.integers(1, 15)))]
    pairs = draw(st.sets(st.tuples(st.sampled_from(inspectors), st.sampled_from(visited)), max_size=20))
    conflicts: dict[str, dict[str, str]] = {}
    for inspector, (target, _) in pairs:
        conflicts.setdefault(target, {})[inspector.id] = f"r{inspector.id}"
    return inspectors, visited, conflicts, draw(st.sampled_from([None, "market"]))


@settings(max_examples=100, deadline=None)
@given(staffs(), st.integers(2, 3))
def test_inspectors_are_the_slow_rules(
    case: tuple[list[DrawInspector], list[tuple[str, str]], dict[str, dict[str, str]], str | None],
    places: int,
) -> None:
    """Heaps give the inspectors and the skipped of the rule read literally, whoever is competent for what."""
    inspectors, visited, conflicts, need = case
    plain = [
        {"id": i.id, "division": i.division, "qualifications": " ; ".join(i.qualifications)}
        for i in inspectors
    ]
    rows = [{"id": i, "division": d} for i, d in visited]
    pairs = [
        {"inspector_id": i, "target_id": t, "reason": r}
        for t, own in conflicts.items()
        for i, r in own.items()
    ]
    assignments, skipped = naive.visits(SEED, rows, plain, pairs, places, need)
    roster = Roster(SEED, inspectors, need)
    if any(len(a["inspectors"]) < places for a in assignments):
        with pytest.raises(DrawError):
            assign(roster, visited, conflicts, [(None, places)])
        return
    ours = assign(roster, visited, conflicts, [(None, places)])
    assert assignments == [{"target": a.target, "inspectors": a.inspectors} for a in ours[0]]
    assert skipped == [{"target": s.target, "inspector": s.inspector, "reason": s.reason} for s in ours[1]]
    for assignment in ours[0]:
        assert len(set(assignment.inspectors)) == places
        assert not set(assignment.inspectors) & conflicts.get(assignment.target, {}).keys()


def test_loads_are_level() -> None:
    """Without conflicts and with one division, loads differ by at most one."""
    inspectors = [DrawInspector(f"I{n}", "630100", frozenset()) for n in range(7)]
    roster = Roster(SEED, inspectors, None)
    assign(roster, [(f"T{n}", "630102") for n in range(50)], {}, [(None, 2)])
    assert {14, 15} == set(roster.loads.values())


def few(office: Office) -> None:
    office.inspectors = [
        {"id": f"I{n}", "name": "x", "department": "d", "division": "630100", "qualifications": q}
        for n, q in enumerate(("market", "food", "food"))
    ]
    office.conflicts = [{"inspector_id": "I1", "target_id": "T003", "reason": "亲属"}]


def test_who_cannot_be_visited_is_named(office: Office) -> None:
    """A target with too few inspectors is named at the announcement, and nothing is announced."""
    few(office)
    office.conflicts += [{"inspector_id": "I2", "target_id": "T003", "reason": "持股"}]
    office.write_all()
    code, _, err = office(*office.announce_words())
    assert code == 1
    assert "T003" in err
    assert "T004" not in err
    assert not list((office.data / "draws").rglob("*.json"))


def test_who_cannot_be_visited_with_the_qualification(office: Office) -> None:
    """Enough inspectors, but the only qualified one has a conflict: named too."""
    few(office)
    office.conflicts = [{"inspector_id": "I0", "target_id": "T005", "reason": "亲属"}]
    office.write_all()
    code, _, err = office(*office.announce_words())
    assert (code, "T005" in err) == (1, True)


def test_division_without_inspectors(office: Office) -> None:
    """All targets of a division that nobody is competent for are named, up to a limit, with their number."""
    few(office)
    for row in office.rows[:30]:
        row["division"] = "630202"
    office.write_all()
    code, _, err = office(*office.announce_words())
    assert (code, "T000" in err, "30 targets" in err, "and 10 more" in err) == (1, True, True, True)


def test_who_cannot_be_drawn_need_not_be_visited(office: Office) -> None:
    """A target outside all strata, or left out, may lack inspectors."""
    few(office)
    office.rows[1]["division"] = "630202"
    office.write_all()
    text = PLAN.replace("where = {}", 'where = { category = "other", division = "630102" }')
    office.ok(*office.announce_words(plan=office.plan(text)))


def test_just_enough_is_enough(office: Office) -> None:
    """Two inspectors left of three, one of them qualified: whatever is drawn can be visited."""
    few(office)
    office.conflicts = [
        {"inspector_id": f"I{1 + n % 2}", "target_id": row["id"], "reason": "亲属"}
        for n, row in enumerate(office.rows)
    ]
    office.write_all()
    assert office.failed(office.draw()) == []


@pytest.mark.parametrize("who", ["inspector_id", "target_id"])
def test_conflict_of_somebody_unknown(office: Office, who: str) -> None:
    """A conflict that names an unknown inspector or target is refused; so is a pair that stands twice."""
    office.conflicts.append({**office.conflicts[0], who: "X1"})
    office.write_all()
    assert office(*office.announce_words())[0] == 1
    office.conflicts[-1] = {**office.conflicts[0], "reason": "again"}
    office.write_all()
    assert office(*office.announce_words("b"))[0] == 1


def test_simulate(office: Office) -> None:
    """`draw simulate` finds a fair draw fair, class by class."""
    out = office.ok(
        "draw", "simulate", office.plan(), "--register", office.path("R.csv"), "--times", "300", "--json"
    )
    assert out.count('"fair":true') == 2


def simulated_rows(office: Office, times: int) -> dict[str, dict[str, Any]]:
    """The rows of `draw simulate` for six alike inspectors and twelve targets, two of whom one inspector may not visit."""
    office.rows = [row | {"division": "630102"} for row in office.rows[:12]]
    office.inspectors = [row | {"division": "630000"} for row in office.inspectors[:6]]
    office.conflicts = [
        {"inspector_id": "I1", "target_id": target, "reason": "亲属"} for target in ("T000", "T004")
    ]
    office.write_all()
    plan = office.plan(PLAN.replace('qualification = "market"\n', "").replace("count = 9", "count = 4"))
    words: list[str | Path] = ["draw", "simulate", plan, *office.registers, "--times", str(times), "--json"]
    rows = [json.loads(line) for line in office.ok(*words).splitlines()]
    assert all(row["fair"] for row in rows)
    return {f"{row['stratum']} {row['targets']}": row for row in rows}


def test_simulate_tests_inspectors(office: Office) -> None:
    """Who comes first and which pair comes are judged too, for each choice of inspectors."""
    rows = simulated_rows(office, 400)
    assert {"630102: inspectors 6", "630102: pairs 15"} <= rows.keys()


@pytest.mark.slow
def test_targets_pairs_and_inspectors_over_thirty_thousand_draws(office: Office) -> None:
    """Targets by class, inspectors and pairs come as often as their chance says, with and without a conflict."""
    rows = simulated_rows(office, 30_000)
    counted = sum(row["draws"] for name, row in rows.items() if "inspectors" in name)
    assert counted == 30_000
    assert max(row["largest_difference"] for row in rows.values()) < 0.02
