"""Tickets: a target's ticket is the lowest hash of seed, stratum, id and number; the lowest tickets are drawn.

A ticket depends on nothing but its own target. So the order and the partition of the register change nothing,
and parts of a draw can be computed anywhere and merged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

import polars as pl
import polars_hash as plh

from schemas.draw.documents import Drawn
from schemas.draw.plan import Plan
from schemas.errors import DrawError

_CANDIDATES = pl.Schema({"stratum": pl.UInt32, "id": pl.String, "division": pl.String, "ticket": pl.String})


def ticket(seed: str, stratum: str, target: str, weight: int) -> str:
    """The ticket of one target: hex SHA-256 of `<seed>:<stratum>:<id>:<j>`, the lowest for j below the weight."""
    return min(hashlib.sha256(f"{seed}:{stratum}:{target}:{j}".encode()).hexdigest() for j in range(weight))


def bounds(plan: Plan, classes: Mapping[tuple[str, str], int], counts: Mapping[str, int]) -> list[str]:
    """Of each stratum a ticket above which hardly any is drawn: what lies above need not be sorted.

    A guess that `lowest` checks; a wrong one costs time and nothing else.
    """
    found = []
    for stratum in plan.strata:
        sizes = {plan.weight(c): 0 for (name, c) in classes if name == stratum.name}
        for (name, credit_class), size in classes.items():
            if name == stratum.name:
                sizes[plan.weight(credit_class)] += size
        wanted = counts[stratum.name] * 1.02 + 6 * counts[stratum.name] ** 0.5 + 32
        found.append(_bound(sizes, wanted))
    return found


def _bound(sizes: Mapping[int, int], wanted: float) -> str:
    """The ticket below which about `wanted` targets fall; `sizes` are their numbers by weight."""
    if wanted >= sum(sizes.values()):
        return "g"  # above every hex digit: all pass
    low, high = 0.0, 1.0
    for _ in range(48):
        middle = (low + high) / 2
        if sum(n * (1 - (1 - middle) ** weight) for weight, n in sizes.items()) < wanted:
            low = middle
        else:
            high = middle
    return f"{int(high * 2**48):012x}"


def candidates(plan: Plan, seed: str, targets: pl.DataFrame, below: list[str]) -> pl.DataFrame:
    """The targets (columns as `frame.placed` gives them) whose ticket is below their stratum's bound."""
    found = [pl.DataFrame(schema=_CANDIDATES)]
    weights = {c: plan.weight(c) for c in ("A", "B", "C", "D", "")}
    for n, stratum in enumerate(plan.strata):
        own = targets.filter(pl.col("stratum") == n) if len(plan.strata) > 1 else targets
        for j in range(max(weights.values())):
            heavy = [c for c, weight in weights.items() if weight > j]
            if len(heavy) < len(weights):  # who has no ticket j has none after it
                own = own.filter(pl.col("credit_class").is_in(heavy))
            text = pl.lit(f"{seed}:{stratum.name}:") + pl.col("id") + pl.lit(f":{j}")
            hashed = own.lazy().select("stratum", "id", "division", ticket=_sha256(text))
            found.append(hashed.filter(pl.col("ticket") < below[n]).collect())
    several = pl.concat(found)
    return several.group_by("stratum", "id").agg(pl.col("division").first(), pl.col("ticket").min())


def _sha256(text: pl.Expr) -> pl.Expr:
    return plh.CryptographicHashingNameSpace(text).sha2_256()


def lowest(plan: Plan, counts: Mapping[str, int], parts: Iterable[pl.DataFrame]) -> pl.DataFrame | None:
    """The drawn targets in the transcript's order, from the candidates of all parts.

    None where some stratum has fewer candidates than it draws: the bounds were too low.
    """
    merged = pl.concat([pl.DataFrame(schema=_CANDIDATES), *(p.select(_CANDIDATES.names()) for p in parts)])
    drawn = []
    for n, stratum in enumerate(plan.strata):
        own = merged.filter(pl.col("stratum") == n).sort("ticket", "id").head(counts[stratum.name])
        if len(own) < counts[stratum.name]:
            return None
        drawn.append(own)
    return pl.concat(drawn)


def draw(
    plan: Plan,
    seed: str,
    classes: Mapping[tuple[str, str], int],
    counts: Mapping[str, int],
    parts: Callable[[], Iterable[pl.DataFrame]],
) -> pl.DataFrame:
    """Draws from targets that come in parts; they are asked for a second time where the bounds were too low."""
    below = bounds(plan, classes, counts)
    found = lowest(plan, counts, (candidates(plan, seed, part, below) for part in parts()))
    if found is None:
        everyone = ["g"] * len(below)
        found = lowest(plan, counts, (candidates(plan, seed, part, everyone) for part in parts()))
    if found is None:
        raise DrawError("the register has fewer targets than the announcement says")
    return found


def per_stratum(plan: Plan, drawn: pl.DataFrame) -> list[list[Drawn]]:
    """The drawn targets of each stratum as the transcript lists them."""
    lists: list[list[Drawn]] = []
    for n in range(len(plan.strata)):
        own = drawn.filter(pl.col("stratum") == n)
        lists.append([Drawn(i, t) for i, t in zip(own["id"].to_list(), own["ticket"].to_list(), strict=True)])
    return lists
