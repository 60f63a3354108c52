"""The chance of being drawn, by stratum and weight: exact by enumeration, by integration, or in the limit.

A target of weight w has the lowest of w uniform tickets; so its ticket is above t with probability (1 − t)^w,
and the lowest `count` of a stratum are drawn. With equal weights the chance is count / population.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import comb

EXACT_UP_TO = 120  # targets: above that the limit is exact to three digits
_NODES = 1_000  # of the integration


def chances(sizes: Mapping[int, int], count: int) -> dict[int, float]:
    """The chance of a target by weight; `sizes` are the numbers of targets by weight."""
    population = sum(sizes.values())
    if len(sizes) == 1 or count >= population:
        return dict.fromkeys(sizes, count / population if population else 0.0)
    if population <= EXACT_UP_TO:
        return {weight: _integrated(sizes, count, weight) for weight in sizes}
    return _limit(sizes, count)


def _limit(sizes: Mapping[int, int], count: int) -> dict[int, float]:
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        if sum(n * (1 - (1 - middle) ** weight) for weight, n in sizes.items()) < count:
            low = middle
        else:
            high = middle
    return {weight: 1 - (1 - low) ** weight for weight in sizes}


def _integrated(sizes: Mapping[int, int], count: int, weight: int) -> float:
    """∫ density of the own ticket × P(fewer than `count` others are lower); in s = (1 − t)^weight, by midpoints."""
    total = 0.0
    for node in range(_NODES):
        survive = (node + 0.5) / _NODES
        total += _fewer_lower(sizes, count, weight, survive ** (1 / weight))
    return total / _NODES


def _fewer_lower(sizes: Mapping[int, int], count: int, own: int, above: float) -> float:
    """P(fewer than `count` of the others have a ticket below the one that `above` is the chance to exceed)."""
    lower = [1.0]
    for weight, number in sizes.items():
        lower = _convolved(lower, _binomial(number - (weight == own), 1 - above**weight), count)
    return sum(lower[:count])


def _binomial(number: int, chance: float) -> list[float]:
    return [comb(number, k) * chance**k * (1 - chance) ** (number - k) for k in range(number + 1)]


def _convolved(left: Sequence[float], right: Sequence[float], length: int) -> list[float]:
    out = [0.0] * min(length, len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right[: max(0, len(out) - i)]):
            out[i + j] += a * b
    return out


def enumerated(weights: Sequence[int], count: int) -> list[Fraction]:
    """The exact chance of each of a few targets: the next one drawn is each remaining one in proportion to weight."""

    @cache
    def drawn(left: frozenset[int], places: int) -> tuple[Fraction, ...]:
        result = [Fraction(0)] * len(weights)
        if not places:
            return tuple(result)
        whole = sum(weights[i] for i in left)
        for first in left:
            chance = Fraction(weights[first], whole)
            result[first] += chance
            for i, later in enumerate(drawn(left - {first}, places - 1)):
                result[i] += chance * later
        return tuple(result)

    return list(drawn(frozenset(range(len(weights))), count))
