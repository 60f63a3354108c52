"""The plan of a draw (抽查计划): TOML by hand, and part of the announcement as it stands.

A plan gives the strata and the number of targets drawn from each, the weights, the period, and the parties whose
secrets make the seed. It says nothing about single targets: strata are defined by columns of the register, never by
id or name.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from schemas.draw.encoding import HEX64, canonical_json, convert, is_text
from schemas.errors import DrawError, UsageError

CreditClass = Literal["A", "B", "C", "D"]
_RATIO = re.compile(r"0(\.[0-9]{1,30})?|1(\.0{1,30})?")
_AUTHORITY = re.compile(r"urn:agency:[0-9]{6}:[a-z0-9][a-z0-9-]{0,63}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MAX_WEIGHT = 65_536  # A ticket costs one hash per unit of weight.
MAX_ROUND = 2**53 - 1
_LONGEST_WAIT = 30 * 86_400  # seconds
_LATER = 'replacements = { beacon = "quicknet", wait = 60 }'
MAX_INSPECTORS = 100  # The limit per target.
NEVER_BY = ("id", "name")  # A stratum by these columns would single out targets.


class StratumPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stratum: the targets whose columns equal `where`, and their number as `ratio` or `count`, or neither."""

    name: str
    where: dict[str, str | int | bool] = {}
    ratio: str | UnsetType = UNSET
    count: int | UnsetType = UNSET

    def conditions(self) -> dict[str, str]:
        """Return `where` as the register writes it: whole numbers in decimal, booleans `true` and `false`."""
        return {column: as_text(value) for column, value in self.where.items()}


class PublicSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public value: `round` of `beacon`, or numbers from `source` (a lottery, say) that do not exist before `at`."""

    source: str | UnsetType = UNSET
    at: str | UnsetType = UNSET
    beacon: str | UnsetType = UNSET
    round: int | UnsetType = UNSET


class SeedPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sources of the seed: at least two parties, each with a secret, and optionally a public number."""

    parties: list[str]
    reveal_by: str | UnsetType = UNSET
    public: PublicSource | UnsetType = UNSET
    deposits: bool | UnsetType = UNSET  # True refuses commitments without a deposit


class Department(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A department of a joint draw, and the number of its inspectors at each target."""

    name: str
    inspectors: int = 1


class LaterOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The beacon whose later round gives the order of a replacement, `wait` seconds or more after its absence."""

    beacon: str
    wait: int = 60


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
    single: bool | UnsetType = UNSET  # True allows strata of one target
    departments: list[Department] | UnsetType = UNSET  # 部门联合; the first one leads
    annual: str | UnsetType = UNSET  # digest of the year's plan from which this draw comes
    row_proofs: bool | UnsetType = (
        UNSET  # True puts a salted Merkle root of the targets into the announcement
    )
    replacements: LaterOrder | UnsetType = UNSET  # who comes next follows from a later round
    limit: str | UnsetType = (
        UNSET  # the highest share of each stratum that may be drawn, from the class of its item
    )

    def weight(self, credit_class: str) -> int:
        """Return the tickets of a target of this class: 1 where the plan has no weight for it or the class is empty."""
        if isinstance(self.weights, UnsetType):
            return 1
        return next((w for c, w in self.weights.items() if c == credit_class), 1)

    @property
    def groups(self) -> list[tuple[str | None, int]]:
        """The departments with the number of inspectors of each; one group of any department without them."""
        if isinstance(self.departments, UnsetType):
            return [(None, self.inspectors_per_target)]
        return [(one.name, one.inspectors) for one in self.departments]

    @property
    def needs(self) -> str | None:
        """The qualification that one inspector of each target must have, if any."""
        return None if isinstance(self.qualification, UnsetType) else self.qualification


def as_text(value: str | int | bool) -> str:
    """Return a plan's value as the text that a register has."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def parse_toml(data: bytes, where: str = "") -> dict[str, Any]:
    """Return the content of a plan file, unchecked. Raise UsageError where it is not TOML."""
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"不是 TOML 文件 / not a TOML file: {error}", where=where, hint="see docs/draw.md for a plan"
        ) from None


def read_plan(content: dict[str, Any], where: str = "") -> Plan:
    """Read a plan from the content of a TOML file or an announcement. Raise DrawError naming the key that breaks a rule."""
    plan = convert(content, Plan, where)
    canonical_json(content, where)  # Refuses numbers that JSON cannot carry.
    _texts(plan, where)
    _period(plan, where)
    _numbers(plan, where)
    _strata(plan, where)
    _seed(plan.seed, where)
    return plan


def refuse(message: str, where: str, key: str, hint: str = "") -> DrawError:
    """Build the error that names a key of a plan."""
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
    """Return the first and last day of a period. Raise DrawError where these are not two days in order."""
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
    if not isinstance(plan.departments, UnsetType):
        _departments(plan.departments, plan.inspectors_per_target, where)
    if not isinstance(plan.weights, UnsetType):
        for credit_class, weight in plan.weights.items():
            if not 1 <= weight <= MAX_WEIGHT:
                raise refuse(f"a whole number from 1 to {MAX_WEIGHT}", where, f"weights.{credit_class}")
    if not isinstance(plan.total, UnsetType) and plan.total < 1:
        raise refuse("at least 1", where, "total")
    if isinstance(plan.limit, str) and not is_ratio(plan.limit):
        raise refuse("an exact decimal from 0 to 1 as text", where, "limit", 'limit = "0.05"')
    if isinstance(plan.replacements, LaterOrder) and (
        not is_text(plan.replacements.beacon) or not 1 <= plan.replacements.wait <= _LONGEST_WAIT
    ):
        raise refuse("names a beacon, and from 1 second to 30 days", where, "replacements", _LATER)
    if isinstance(plan.annual, str) and not HEX64.fullmatch(plan.annual):
        raise refuse("is the SHA-256 of the year's plan", where, "annual", "zhengzhao draw announce --annual")


def _departments(departments: list[Department], whole: int, where: str) -> None:
    names = [one.name for one in departments]
    if not names or len(set(names)) != len(names) or not all(is_text(name) for name in names):
        raise refuse("each department once, at least one, by its name", where, "departments")
    if any(one.inspectors < 1 for one in departments):
        raise refuse("at least one inspector of each", where, "departments")
    if sum(one.inspectors for one in departments) != whole:
        raise refuse(
            "each department's inspectors do not add up to `inspectors_per_target`", where, "departments"
        )


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
    if by is None:
        raise refuse("is required with a public value", where, "seed.reveal_by")
    _public(seed.public, by, where)


def _public(public: PublicSource, by: datetime, where: str) -> None:
    hint = 'public = { beacon = "quicknet", round = 12345678 } or { source = "…", at = "…" }'
    if isinstance(public.beacon, str) and isinstance(public.round, int):
        if public.source is not UNSET or public.at is not UNSET:
            raise refuse("a beacon's round or a source, not both", where, "seed.public", hint)
        if not is_text(public.beacon) or not 1 <= public.round <= MAX_ROUND:
            raise refuse("names a beacon and a round from 1 on", where, "seed.public", hint)
        return
    if not isinstance(public.source, str) or not isinstance(public.at, str) or public.beacon is not UNSET:
        raise refuse("needs a beacon and a round, or a source and a time", where, "seed.public", hint)
    if not is_text(public.source):
        raise refuse("is blank or has control characters", where, "seed.public.source")
    if moment(public.at, "seed.public.at", where) <= by:
        raise refuse(
            "must be after `reveal_by`", where, "seed.public.at", "whoever reveals must not know it yet"
        )


def is_ratio(text: str) -> bool:
    """Return True for an exact decimal from 0 to 1 as text."""
    return _RATIO.fullmatch(text) is not None


def day(text: str, key: str, where: str = "") -> date:
    """Read an ISO date (`2018-04-01`). Raise DrawError for anything else."""
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise refuse(f"{text!r} is no date", where, key, "YYYY-MM-DD") from None


def moment(text: str, key: str, where: str = "") -> datetime:
    """Read an RFC 3339 time with a zone. Raise DrawError for anything else."""
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        return datetime.fromisoformat(text)
    except ValueError:
        raise refuse(f"{text!r} is no time with a zone", where, key, "2018-03-29T18:00:00+08:00") from None
