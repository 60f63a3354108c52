"""How many targets each stratum gives: exact whole-number arithmetic, nothing rounded but by rule."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from schemas.draw.plan import Plan
from schemas.errors import DrawError


def of_ratio(ratio: str, population: int) -> int:
    """`ratio` × `population`, rounded up; `ratio` is a decimal text such as `0.20`."""
    whole, _, decimals = ratio.partition(".")
    unit: int = 10 ** len(decimals)
    return -(-int(whole + decimals) * population // unit)


def largest_remainder(seats: int, populations: Mapping[str, int]) -> dict[str, int]:
    """`seats` shared out in proportion to `populations`; what is left goes to the largest remainders.

    Ties go by name, in bytes. The sum of the populations must not be 0 unless `seats` is.
    """
    whole = sum(populations.values())
    if not whole:
        return dict.fromkeys(populations, 0)
    shares = {name: seats * population // whole for name, population in populations.items()}
    left = seats - sum(shares.values())
    by_remainder = sorted(populations, key=lambda name: (-(seats * populations[name] % whole), name.encode()))
    for name in by_remainder[:left]:
        shares[name] += 1
    return shares


def allocate(plan: Plan, populations: Mapping[str, int]) -> dict[str, int]:
    """The number to draw of each stratum (by name); DrawError where the plan asks for what cannot be."""
    counts: dict[str, int] = {}
    for stratum in plan.strata:
        if isinstance(stratum.count, int):
            counts[stratum.name] = stratum.count
        elif isinstance(stratum.ratio, str):
            counts[stratum.name] = of_ratio(stratum.ratio, populations[stratum.name])
    if not isinstance(plan.total, UnsetType):
        counts |= _rest(plan, plan.total, sum(counts.values()), populations)
    for stratum in plan.strata:
        _possible(stratum.name, counts[stratum.name], populations[stratum.name])
    return {stratum.name: counts[stratum.name] for stratum in plan.strata}


def _rest(plan: Plan, total: int, fixed: int, populations: Mapping[str, int]) -> dict[str, int]:
    left = total - fixed
    if left < 0:
        raise DrawError(f"总数小于已定数量 / `total` is {total}, but ratios and counts already make {fixed}")
    shares = {s.name: populations[s.name] for s in plan.strata if s.ratio is UNSET and s.count is UNSET}
    if left > sum(shares.values()):
        raise DrawError(
            f"总数的余额无层可分 / `total` is {total}, but no stratum may fill the {left} that ratios and counts leave of it",
            hint="a stratum without ratio and count takes the rest",
        )
    return largest_remainder(left, shares)


def _possible(name: str, count: int, population: int) -> None:
    if count > population:
        raise DrawError(f"该层数量超过总体 / stratum {name}: {count} of {population} targets cannot be drawn")
    if population and not count:
        raise DrawError(
            f"该层抽取数为零 / stratum {name}: 0 of its {population} targets would be drawn",
            hint="give it a higher ratio or count, or leave the stratum out",
        )
