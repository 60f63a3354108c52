"""The plan of a draw (抽查计划): TOML by hand, and part of the announcement as it stands.

A plan says from which strata how many targets are drawn, by what weights, for which period, and who brings
the chance. It says nothing about single targets: strata are made by columns of the register, never by id
or name.

The annual plan (年度抽查计划): what an authority inspects in a year, and the plans of its draws that follow.

A draw's plan has no room for anything but the draw. So the year is a file of its own: for each item the population,
how many of it, how often, when, and which departments come together. `plans_of` makes the draws' plans.
"""

from __future__ import annotations

import calendar
import json
import re
import tomllib
from datetime import date, datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from schemas.draw.encoding import canonical_json, convert, is_text
from schemas.errors import DrawError, UsageError

CreditClass = Literal["A", "B", "C", "D"]
_RATIO = re.compile(r"0(\.[0-9]{1,30})?|1(\.0{1,30})?")
_AUTHORITY = re.compile(r"urn:agency:[0-9]{6}:[a-z0-9][a-z0-9-]{0,63}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MAX_WEIGHT = 65_536  # a ticket is hashed once per unit of weight
MAX_INSPECTORS = 100  # per target
NEVER_BY = ("id", "name")  # a stratum by these would single out targets


class StratumPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stratum: the targets whose columns equal `where`; how many of them in `ratio` or `count`, or neither."""

    name: str
    where: dict[str, str | int | bool] = {}
    ratio: str | UnsetType = UNSET
    count: int | UnsetType = UNSET

    def conditions(self) -> dict[str, str]:
        """`where` as the register writes it: whole numbers in decimal, booleans `true` and `false`."""
        return {column: as_text(value) for column, value in self.where.items()}


class PublicSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public number (a lottery's, say) that does not exist before `at`."""

    source: str
    at: str


class SeedPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who brings the chance: at least two parties, each with a secret, and perhaps a public number."""

    parties: list[str]
    reveal_by: str | UnsetType = UNSET
    public: PublicSource | UnsetType = UNSET


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan that keeps the rules of `read_plan`; `period` is the first and last day of the inspections."""

    plan: str
    item: str
    title: str
    authority: str
    period: list[str]
    inspectors_per_target: int
    strata: list[StratumPlan]
    seed: SeedPlan
    qualification: str | UnsetType = UNSET
    weights: dict[CreditClass, int] | UnsetType = UNSET
    total: int | UnsetType = UNSET
    publish_after: str | UnsetType = UNSET

    def weight(self, credit_class: str) -> int:
        """Tickets of a target of this class: 1 where the plan says nothing, or the target has no class."""
        if isinstance(self.weights, UnsetType):
            return 1
        return next((w for c, w in self.weights.items() if c == credit_class), 1)

    @property
    def needs(self) -> str | None:
        """The qualification that one inspector of each target must have, if any."""
        return None if isinstance(self.qualification, UnsetType) else self.qualification


def as_text(value: str | int | bool) -> str:
    """A plan's value as a register's text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def parse_toml(data: bytes, where: str = "") -> dict[str, Any]:
    """The plan file's content, unchecked; UsageError where it is no TOML."""
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"不是 TOML 文件 / not a TOML file: {error}", where=where, hint="see docs/draw.md for a plan"
        ) from None


def read_plan(content: dict[str, Any], where: str = "") -> Plan:
    """The plan in a TOML's (or an announcement's) content; DrawError names the key that breaks a rule."""
    plan = convert(content, Plan, where)
    canonical_json(content, where)  # numbers that JSON cannot carry
    _texts(plan, where)
    _period(plan, where)
    _numbers(plan, where)
    _strata(plan, where)
    _seed(plan.seed, where)
    return plan


def refuse(message: str, where: str, key: str, hint: str = "") -> DrawError:
    """The error that names a key of a plan."""
    return DrawError(f"`{key}`: {message}", where=where, hint=hint)


def _texts(plan: Plan, where: str) -> None:
    for key in ("plan", "item", "title", "authority"):
        if not is_text(getattr(plan, key)):
            raise refuse("is blank or has control characters", where, key)
    if not _AUTHORITY.fullmatch(plan.authority):
        raise refuse("is no agency", where, "authority", "urn:agency:<six digits>:<department>")
    if plan.needs is not None and (
        not is_text(plan.needs) or ";" in plan.needs or plan.needs != plan.needs.strip()
    ):
        raise refuse("is one qualification, without `;` or spaces around it", where, "qualification")


def days_of(period: list[str], key: str, where: str) -> tuple[date, date]:
    """First and last day of a period; DrawError where these are no two days in order."""
    if len(period) != 2:
        raise refuse("has a first and a last day", where, key, 'period = ["2018-04-01", "2018-06-30"]')
    first, last = (day(text, key, where) for text in period)
    if last < first:
        raise refuse("ends before it begins", where, key)
    return first, last


def _period(plan: Plan, where: str) -> None:
    days_of(plan.period, "period", where)
    if not isinstance(plan.publish_after, UnsetType):
        day(plan.publish_after, "publish_after", where)


def _numbers(plan: Plan, where: str) -> None:
    if not 2 <= plan.inspectors_per_target <= MAX_INSPECTORS:
        raise refuse(
            f"from 2 to {MAX_INSPECTORS}",
            where,
            "inspectors_per_target",
            "at least two inspectors per target",
        )
    if not isinstance(plan.weights, UnsetType):
        for credit_class, weight in plan.weights.items():
            if not 1 <= weight <= MAX_WEIGHT:
                raise refuse(f"a whole number from 1 to {MAX_WEIGHT}", where, f"weights.{credit_class}")
    if not isinstance(plan.total, UnsetType) and plan.total < 1:
        raise refuse("at least 1", where, "total")


def _strata(plan: Plan, where: str) -> None:
    if not plan.strata:
        raise refuse("at least one", where, "strata")
    names = set()
    for stratum in plan.strata:
        key = f"strata.{stratum.name}"
        if not is_text(stratum.name) or ":" in stratum.name or stratum.name == "inspector":
            raise refuse("a name is a line of text without `:`, and not `inspector`", where, key)
        if stratum.name in names:
            raise refuse("two strata have this name", where, key)
        names.add(stratum.name)
        _stratum(stratum, plan, where, key)


def _stratum(stratum: StratumPlan, plan: Plan, where: str, key: str) -> None:
    has_ratio, has_count = stratum.ratio is not UNSET, stratum.count is not UNSET
    if has_ratio and has_count:
        raise refuse("`ratio` or `count`, not both", where, key)
    if not has_ratio and not has_count and plan.total is UNSET:
        raise refuse("needs `ratio` or `count`, since the plan has no `total`", where, key)
    if isinstance(stratum.ratio, str) and not is_ratio(stratum.ratio):
        raise refuse("an exact decimal from 0 to 1 as text", where, f"{key}.ratio", 'ratio = "0.20"')
    if isinstance(stratum.count, int) and stratum.count < 0:
        raise refuse("is negative", where, f"{key}.count")
    for column, value in stratum.where.items():
        if column in NEVER_BY:
            raise refuse(f"never by {column}: that would single out targets", where, f"{key}.where")
        if not is_text(column, blank=True) or not is_text(as_text(value), blank=True):
            raise refuse("has control characters", where, f"{key}.where")


def _seed(seed: SeedPlan, where: str) -> None:
    if len(seed.parties) < 2:
        raise refuse("at least two", where, "seed.parties", "one party alone could choose the seed")
    if len(set(seed.parties)) != len(seed.parties):
        raise refuse("a party twice", where, "seed.parties")
    if not all(is_text(party) for party in seed.parties):
        raise refuse("a name is blank or has control characters", where, "seed.parties")
    by = None if isinstance(seed.reveal_by, UnsetType) else moment(seed.reveal_by, "seed.reveal_by", where)
    if isinstance(seed.public, UnsetType):
        return
    if not is_text(seed.public.source):
        raise refuse("is blank or has control characters", where, "seed.public.source")
    at = moment(seed.public.at, "seed.public.at", where)
    if by is None:
        raise refuse("is required with a public number", where, "seed.reveal_by")
    if at <= by:
        raise refuse(
            "must be after `reveal_by`", where, "seed.public.at", "whoever reveals must not know it yet"
        )


def is_ratio(text: str) -> bool:
    """Whether the text is an exact decimal from 0 to 1."""
    return _RATIO.fullmatch(text) is not None


def day(text: str, key: str, where: str = "") -> date:
    """An ISO date (`2018-04-01`); DrawError where it is none."""
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise refuse(f"{text!r} is no date", where, key, "YYYY-MM-DD") from None


def moment(text: str, key: str, where: str = "") -> datetime:
    """An RFC 3339 time with zone; DrawError where it is none."""
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text)
    except ValueError:
        raise refuse(f"{text!r} is no time with a zone", where, key, "2018-03-29T18:00:00+08:00") from None


_DEPARTMENT = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_YEARS = range(1990, 2101)
_MOST = 12  # draws a year


class AnnualItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the year: `frequency` draws, spread evenly over `period`.

    `population` are the columns that a target must equal (none: everyone); `departments` come to a visit together.
    """

    plan: str
    item: str
    title: str
    period: list[str]
    departments: list[str]
    frequency: int = 1
    population: dict[str, str | int | bool] = {}
    ratio: str | UnsetType = UNSET
    count: int | UnsetType = UNSET
    inspectors_per_target: int = 2
    qualification: str | UnsetType = UNSET
    weights: dict[CreditClass, int] | UnsetType = UNSET
    publish_after_days: int | UnsetType = UNSET


class AnnualPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A year of one authority."""

    year: int
    authority: str
    items: list[AnnualItem]
    seed: SeedPlan


class DrawOfYear(msgspec.Struct, frozen=True):
    """One draw that a year asks for: its plan, also as TOML, and who comes to its visits."""

    plan: Plan
    departments: list[str]
    toml: str


def is_annual(content: dict[str, Any]) -> bool:
    """Whether a TOML file is a year's plan rather than a draw's."""
    return "year" in content or "items" in content


def read_annual(content: dict[str, Any], where: str = "") -> AnnualPlan:
    """A year's plan from its TOML; DrawError names the key that breaks a rule."""
    annual = convert(content, AnnualPlan, where)
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
    """The draws of a year by their first day; several of one item are numbered."""
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
    if isinstance(item.publish_after_days, int) and not 0 <= item.publish_after_days <= 366:
        raise refuse("from 0 to 366 days after the period", where, f"{key}.publish_after_days")
    first, last = _days(item, where)
    if first.year != annual.year or last.year != annual.year:
        raise refuse(f"is not within {annual.year}", where, f"{key}.period")
    if (last - first).days + 1 < item.frequency:
        raise refuse("is shorter than its draws are many", where, f"{key}.period")


def _days(item: AnnualItem, where: str) -> tuple[date, date]:
    return days_of(item.period, f"items.{item.plan}.period", where)


def _periods(item: AnnualItem, where: str) -> list[tuple[date, date]]:
    """The period in equal parts: by whole months where that comes out even, else by days."""
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
    if isinstance(item.publish_after_days, int):
        content["publish_after"] = (period[1] + timedelta(item.publish_after_days)).isoformat()
    share = {"ratio": item.ratio} if isinstance(item.ratio, str) else {"count": item.count}
    content["strata"] = [{"name": "all", "where": item.population, **share}]
    content["seed"] = msgspec.to_builtins(annual.seed)
    return {key: value for key, value in content.items() if value is not UNSET}


def toml(content: dict[str, Any]) -> str:
    """A draw's plan as TOML."""
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
    return json.dumps(value, ensure_ascii=False)  # text without controls, numbers, booleans: as in TOML
