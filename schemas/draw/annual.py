"""The annual plan (年度抽查计划): the inspections of an authority in a year, and the plans of its draws.

A draw's plan has no room for anything but the draw. So the year is a file of its own: for each item the population,
the number or ratio to draw, the frequency, the period, and the departments that visit together. `plans_of` derives the
draws' plans.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import re
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from schemas.draw.encoding import canonical_json, convert
from schemas.draw.plan import CreditClass, Plan, SeedPlan, days_of, is_ratio, read_plan, refuse
from schemas.errors import DrawError

_DEPARTMENT = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_YEARS = range(1990, 2101)
_OF_THE_YEAR = (
    "item", "authority", "period", "inspectors_per_target", "qualification", "weights", "strata", "total",
    "publish_after", "limit",
)  # fmt: skip
_MOST = 12  # The limit of draws a year.


ItemClass = Literal["general", "key", "一般", "重点"]


class ClassLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of a class of items: the highest ratio of one draw, the most draws in the year; none where absent."""

    ratio: str | UnsetType = UNSET
    frequency: int | UnsetType = UNSET


class AnnualItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One item of the year: `frequency` draws, spread evenly over `period`.

    `population` gives the columns that a target must equal (none: all targets); `departments` visit together, and
    `inspectors` says how many each of them sends to a target.
    """

    plan: str
    item: str
    title: str
    period: list[str]
    departments: list[str]
    inspectors: dict[str, int] | UnsetType = UNSET
    frequency: int = 1
    population: dict[str, str | int | bool] = {}
    ratio: str | UnsetType = UNSET
    count: int | UnsetType = UNSET
    inspectors_per_target: int = 2
    qualification: str | UnsetType = UNSET
    weights: dict[CreditClass, int] | UnsetType = UNSET
    publish_after_days: int | UnsetType = UNSET
    item_class: ItemClass | UnsetType = UNSET  # 一般检查事项, 重点检查事项


class AnnualPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inspections of one authority in one year."""

    year: int
    authority: str
    items: list[AnnualItem]
    seed: SeedPlan
    classes: dict[ItemClass, ClassLimit] = {}
    digest: str | UnsetType = UNSET  # of the file's content; never written in it

    def limit(self, item: AnnualItem) -> ClassLimit:
        """Return the limits of an item's class."""
        return next((limit for name, limit in self.classes.items() if name == item.item_class), ClassLimit())


class DrawOfYear(msgspec.Struct, frozen=True):
    """One draw of a year: its plan, also as TOML, and the departments of its visits."""

    plan: Plan
    departments: list[str]
    toml: str


def is_annual(content: dict[str, Any]) -> bool:
    """Return True for the content of a year's plan, False for a single draw's."""
    return "year" in content or "items" in content


def read_annual(content: dict[str, Any], where: str = "") -> AnnualPlan:
    """Read a year's plan from its TOML content. Raise DrawError naming the key that breaks a rule."""
    annual = convert(content, AnnualPlan, where)
    if annual.digest is not UNSET:
        raise refuse("is computed, not written", where, "digest")
    annual = msgspec.structs.replace(
        annual, digest=hashlib.sha256(canonical_json(content, where)).hexdigest()
    )
    if annual.year not in _YEARS:
        raise refuse("is no year", where, "year")
    if not annual.items:
        raise refuse("at least one", where, "items")
    if annual.seed.public is not UNSET or annual.seed.reveal_by is not UNSET:
        raise refuse(
            "has `parties` alone: the moments are each draw's own", where, "seed", "write them into its plan"
        )
    names = [item.plan for item in annual.items]
    for item in annual.items:
        if names.count(item.plan) > 1:
            raise refuse("two items have this name", where, f"items.{item.plan}")
        _check(item, annual, where)
    plans_of(annual, where)
    return annual


def plans_of(annual: AnnualPlan, where: str = "") -> list[DrawOfYear]:
    """Return the draws of a year in the order of their first day; several draws of one item are numbered."""
    found = []
    for item in annual.items:
        for number, period in enumerate(_periods(item, where), 1):
            content = _content(annual, item, number, period)
            plan = read_plan(content, f"{where} ({content['plan']})".strip())
            found.append(DrawOfYear(plan, item.departments, toml(content)))
    return sorted(found, key=lambda draw: (draw.plan.period, draw.plan.plan))


def _check(item: AnnualItem, annual: AnnualPlan, where: str) -> None:
    key = f"items.{item.plan}"
    if not 1 <= item.frequency <= _MOST:
        raise refuse(f"from 1 to {_MOST} draws a year", where, f"{key}.frequency")
    _check_limits(item, annual, where)
    if (item.ratio is UNSET) == (item.count is UNSET):
        raise refuse("needs `ratio` or `count`, one of them", where, key)
    if not item.departments or len(set(item.departments)) != len(item.departments):
        raise refuse("each department once, at least one", where, f"{key}.departments")
    for department in item.departments:
        if not _DEPARTMENT.fullmatch(department):
            raise refuse(f"{department!r} is no department's code", where, f"{key}.departments")
    own = annual.authority.rpartition(":")[2]
    if own not in item.departments:
        raise refuse(
            f"{own}, which draws, is not among them", where, f"{key}.departments", "the authority comes too"
        )
    if isinstance(item.inspectors, dict) and set(item.inspectors) != set(item.departments):
        raise refuse("names each of `departments` and no other", where, f"{key}.inspectors")
    if isinstance(item.publish_after_days, int) and not 0 <= item.publish_after_days <= 366:
        raise refuse("from 0 to 366 days after the period", where, f"{key}.publish_after_days")
    first, last = _days(item, where)
    if first.year != annual.year or last.year != annual.year:
        raise refuse(f"is not within {annual.year}", where, f"{key}.period")
    if (last - first).days + 1 < item.frequency:
        raise refuse("is shorter than its draws are many", where, f"{key}.period")


def _check_limits(item: AnnualItem, annual: AnnualPlan, where: str) -> None:
    """Raise DrawError where an item has no limits for its class, or is above them."""
    key, limit = f"items.{item.plan}", annual.limit(item)
    if isinstance(item.item_class, str) and item.item_class not in annual.classes:
        raise refuse(
            f"年度计划未规定该类事项的上限 / the year has no [classes.{item.item_class}]",
            where,
            f"{key}.item_class",
        )
    if isinstance(limit.frequency, int) and item.frequency > limit.frequency:
        raise refuse(
            f"超过该类事项的频次上限 / above the {limit.frequency} draws a year of its class",
            where,
            f"{key}.frequency",
        )
    if isinstance(limit.ratio, str):
        if not is_ratio(limit.ratio):
            raise refuse("an exact decimal from 0 to 1 as text", where, f"classes.{item.item_class}.ratio")
        if (
            isinstance(item.ratio, str)
            and is_ratio(item.ratio)
            and Fraction(item.ratio) > Fraction(limit.ratio)
        ):
            raise refuse(
                f"超过该类事项的比例上限 / above the ratio {limit.ratio} of its class", where, f"{key}.ratio"
            )


def compare_annual(annual: AnnualPlan, plan: Plan) -> str:
    """Return the name of the draw in a year's plan. Raise DrawError where the announced plan is not the year's."""
    if plan.annual != annual.digest:
        raise DrawError(
            "公告引用的年度计划不是这一份 / the announcement does not cite this plan of the year "
            f"({plan.annual or 'none'}, given {annual.digest})"
        )
    found = next((draw.plan for draw in plans_of(annual) if draw.plan.plan == plan.plan), None)
    if found is None:
        raise DrawError(f"年度计划中没有此次抽查 / the year has no draw {plan.plan!r}")
    for key in _OF_THE_YEAR:
        if getattr(found, key) != getattr(plan, key):
            raise DrawError(f"与年度计划不符 / `{key}` is not as the year's plan says")
    if found.departments is not UNSET and found.departments != plan.departments:
        raise DrawError("与年度计划不符 / `departments` is not as the year's plan says")
    return plan.plan


def _days(item: AnnualItem, where: str) -> tuple[date, date]:
    return days_of(item.period, f"items.{item.plan}.period", where)


def _periods(item: AnnualItem, where: str) -> list[tuple[date, date]]:
    """Divide the period into equal parts: by whole months where that comes out even, else by days."""
    first, last = _days(item, where)
    parts = item.frequency
    months = last.month - first.month + 1
    whole = first.day == 1 and last.day == calendar.monthrange(last.year, last.month)[1]
    if whole and months % parts == 0:
        starts = [first.replace(month=first.month + n * months // parts) for n in range(parts)]
    else:
        days = (last - first).days + 1
        starts = [first + timedelta(days * n // parts) for n in range(parts)]
    ends = [start - timedelta(1) for start in starts[1:]] + [last]
    return list(zip(starts, ends, strict=True))


def _content(annual: AnnualPlan, item: AnnualItem, number: int, period: tuple[date, date]) -> dict[str, Any]:
    several = item.frequency > 1
    content: dict[str, Any] = {
        "plan": f"{item.plan}-{number}" if several else item.plan,
        "item": item.item,
        "title": f"{item.title}（第 {number} 次）" if several else item.title,
        "authority": annual.authority,
        "period": [each.isoformat() for each in period],
        "inspectors_per_target": item.inspectors_per_target,
        "qualification": item.qualification,
        "weights": item.weights,
    }
    if isinstance(item.inspectors, dict):
        sent = item.inspectors
        content["departments"] = [{"name": name, "inspectors": sent[name]} for name in item.departments]
    content["annual"] = annual.digest
    content["limit"] = annual.limit(item).ratio
    if isinstance(item.publish_after_days, int):
        content["publish_after"] = (period[1] + timedelta(item.publish_after_days)).isoformat()
    share = {"ratio": item.ratio} if isinstance(item.ratio, str) else {"count": item.count}
    content["strata"] = [{"name": "all", "where": item.population, **share}]
    content["seed"] = msgspec.to_builtins(annual.seed)
    return {key: value for key, value in content.items() if value is not UNSET}


def toml(content: dict[str, Any]) -> str:
    """Write a draw's plan as TOML."""
    lines = [f"{key} = {_value(value)}" for key, value in content.items() if key not in ("strata", "seed")]
    for stratum in content["strata"]:
        lines += ["", "[[strata]]", *(f"{key} = {_value(value)}" for key, value in stratum.items())]
    lines += ["", "[seed]", *(f"{key} = {_value(value)}" for key, value in content["seed"].items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(
        value, ensure_ascii=False
    )  # Text without control characters, numbers and booleans are written alike in JSON and TOML.
