"""The life of a holder's licences as a state machine, against a model of the contract written down a second time.

The model knows no code of the product: statuses, ends, bars and who may do what are told again here, in days.
"""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from story import PROVINCE, Events, uscc
from world import World

from schemas.facts import LicenceGranted, LicenceStatusChanged

H = uscc(1)
DAY = datetime.timedelta(days=1)
LIVING = ("valid", "suspended")
LAST = datetime.date(2039, 6, 1)  # the test receives everything in 2040
DECISIONS = ("withdrawn", "rescinded", "revoked")


def years_on(day: datetime.date, years: int) -> datetime.date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return datetime.date(day.year + years, 3, 1)


def months_back(day: datetime.date, months: int) -> datetime.date:
    index = day.year * 12 + day.month - 1 - months
    for number in range(day.day, 0, -1):
        try:
            return datetime.date(index // 12, index % 12 + 1, number)
        except ValueError:
            continue
    raise AssertionError


class Told:
    """A licence as the model sees it."""

    def __init__(self, end: datetime.date) -> None:
        self.status, self.end, self.version, self.until = "valid", end, 1, end
        self.decision, self.annulled = "", False

    @property
    def living(self) -> bool:
        return self.status in LIVING


class Life(RuleBasedStateMachine):
    """One holder, one item, years of it."""

    @initialize(start=st.dates(datetime.date(2016, 1, 1), datetime.date(2020, 12, 31)))
    def begin(self, start: datetime.date) -> None:
        self.world, self.events, self.day, self.second = World(), Events(), start, 0
        self.told: list[Told] = []
        self.named: list[int] = []  # first application n → index of the licence that it names now
        self.bars: list[tuple[datetime.date, datetime.date, int]] = []
        self.refused = 0
        self.applications = 0

    # ---- the model's clock ------------------------------------------------------------------------------

    def now(self) -> str:
        self.second += 1
        return f"{self.day}T{10 + self.second // 3600:02d}:{self.second // 60 % 60:02d}:{self.second % 60:02d}+08:00"

    def pass_days(self) -> None:
        for one in self.told:
            if one.status == "suspended" and self.day > one.until:
                one.status = "valid"
            if one.living and self.day > one.end:
                one.status = "expired"

    def send(self) -> None:
        self.world.send(self.events.lines[-1])

    @rule(days=st.one_of(st.integers(0, 40), st.integers(41, 900)), ticks=st.booleans())
    def wait(self, days: int, ticks: bool) -> None:
        self.day = min(self.day + days * DAY, LAST)
        self.second = 0
        if ticks:
            self.events.add("clock.ticked", self.now(), {}, "urn:agency:630000:clock")
            self.pass_days()
            self.send()
            before = len(self.world.facts)
            self.events.add("clock.ticked", self.now(), {}, "urn:agency:630000:clock")
            self.send()
            assert before == len(self.world.facts)

    @precondition(lambda self: self.told)
    @rule(pick=st.integers(0, 99), off=st.integers(-1, 1))
    def come_to_an_edge(self, pick: int, off: int) -> None:
        """To a day on which something changes, the one before or the one after."""
        edges = [last for _, last, _ in self.bars] * 3
        edges += [day for one in self.told if one.living for day in (one.end, months_back(one.end, 12))]
        edges += [one.until for one in self.told if one.status == "suspended"]
        days = [day + off * DAY for day in edges if self.day < day + off * DAY <= LAST]
        if days:
            self.day, self.second = days[pick % len(days)], 0

    # ---- applications -----------------------------------------------------------------------------------

    def apply(self, action: str, good: bool, **over: Any) -> None:
        self.applications += 1
        app = f"A{self.applications}" if action != "new" else f"N{len(self.named)}-{self.applications}"
        time = self.now()
        materials = [
            {"kind": "application-form"},
            {"kind": "commitment-letter", "signed_on": time[:10]},
            {"kind": "business-licence"},
        ]
        applicant = {"kind": "enterprise", "id": H, "name": "一厂", "address": "一号", "division": "630225"}
        self.events.apply(
            time,
            app,
            H,
            action=action,
            materials=materials,
            **{"applicant": applicant, "products": ..., **over},
        )
        self.send()
        self.app = app
        expected = "refused" if not good else "granted" if action == "surrender" else "issued"
        assert expected == self.world.case(H, app)["state"]

    def barred(self) -> bool:
        return any(since <= self.day <= until for since, until, _ in self.bars)

    @rule()
    def new(self) -> None:
        self.pass_days()
        good = not self.barred() and not any(one.living for one in self.told)
        self.apply("new", good, products=[{"category": "化肥", "site": "一厂"}])
        if good:
            self.told.append(Told(years_on(self.day, 5) - DAY))
            self.named.append(len(self.told) - 1)
            self.names = [*getattr(self, "names", []), self.app] if len(self.named) > 1 else [self.app]

    @precondition(lambda self: self.named)
    @rule(
        which=st.integers(0, 9), action=st.sampled_from(["extend", "change", "reissue", "surrender", "renew"])
    )
    def act(self, which: int, action: str) -> None:
        self.pass_days()
        n = which % len(self.named)
        one = self.told[self.named[n]]
        good = one.living and not self.barred()
        if action == "renew":
            good = good and self.day >= months_back(one.end, 12)
        over: dict[str, Any] = {"granted_by": self.names[n]}
        if action == "extend":
            over["products"] = [{"category": "人造板", "site": f"{self.applications}厂"}]
        if action == "change":
            over["change"] = {"products": [{"category": "砂轮"}]}
        self.apply(action, good, **over)
        if good and action == "surrender":
            one.status = "cancelled"
        elif good:
            one.version += 1
            if action == "renew":
                one.end = years_on(one.end + DAY, 5) - DAY

    # ---- orders -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.named)
    @rule(
        which=st.integers(0, 9),
        kind=st.sampled_from(["withdrawn", "rescinded", "revoked", "cancelled", "suspended", "resumed"]),
        deceit=st.booleans(),
        back=st.integers(0, 30),
        ahead=st.integers(0, 60),
        source=st.sampled_from([PROVINCE, PROVINCE, PROVINCE, "urn:agency:630225:market-regulation"]),
    )
    def order(self, which: int, kind: str, deceit: bool, back: int, ahead: int, source: str) -> None:
        self.pass_days()
        n = which % len(self.named)
        index = self.named[n]
        one = self.told[index]
        decided = self.day - back * DAY
        data: dict[str, Any] = {
            "granted_by": self.names[n],
            "holder_id": H,
            "ground": "依法",
            "decided_on": str(decided),
        }
        if kind == "rescinded":
            data["deceit"] = deceit
        if kind == "suspended":
            data["until"] = str(self.day + ahead * DAY)
        self.events.add(f"licence.{kind}", self.now(), data, source)
        self.send()
        fits = one.living
        if kind == "resumed":
            fits = one.status == "suspended"
        elif kind == "cancelled":
            fits = one.status != "cancelled"
        if not fits or source != PROVINCE:
            self.refused += 1
            return
        one.status = {"resumed": "valid"}.get(kind, kind)
        if kind == "suspended":
            one.until = self.day + ahead * DAY
        if kind in DECISIONS:
            one.decision = kind
        if kind == "revoked" or (kind == "rescinded" and deceit):
            self.bars.append((decided, years_on(decided, 3) - DAY, index))

    @precondition(lambda self: self.named)
    @rule(which=st.integers(0, 9))
    def annul(self, which: int) -> None:
        self.pass_days()
        n = which % len(self.named)
        index = self.named[n]
        one = self.told[index]
        data = {"granted_by": self.names[n], "holder_id": H, "ground": "复议", "decided_on": str(self.day)}
        self.events.add("decision.annulled", self.now(), data)
        self.send()
        if not one.decision or one.annulled or self.day > one.end:
            self.refused += 1
            return
        one.annulled = True
        self.bars = [bar for bar in self.bars if bar[2] != index]
        self.told.append(Told(one.end))
        self.named[n] = len(self.told) - 1

    @precondition(lambda self: self.named)
    @rule(which=st.integers(0, 9), false=st.booleans(), passed=st.booleans(), inspectors=st.integers(1, 2))
    def inspect(self, which: int, false: bool, passed: bool, inspectors: int) -> None:
        self.pass_days()
        n = which % len(self.named)
        index = self.named[n]
        one = self.told[index]
        self.applications += 1
        data = {
            "inspection_id": f"I{self.applications}", "kind": "post-issuance", "holder_id": H, "granted_by": self.names[n],
            "inspectors": [{"id": f"i{k}", "department": "x"} for k in range(inspectors)], "inspected_on": str(self.day),
            "result": "r", "passed": passed, "commitment_false": false,
        }  # fmt: skip
        self.events.add("inspection.recorded", self.now(), data)
        self.send()
        if inspectors < 2:
            self.refused += 1
        elif one.living and (false or not passed):
            one.status = one.decision = "rescinded"
            if false:
                self.bars.append((self.day, years_on(self.day, 3) - DAY, index))

    # ---- what holds at every moment ---------------------------------------------------------------------

    @invariant()
    def the_model_agrees(self) -> None:
        if not getattr(self, "told", None):
            return
        shown = self.world.licences(H)
        assert [(one.version, str(one.end)) for one in self.told] == [
            (x["version"], x["valid_until"]) for x in shown
        ]
        assert self.refused == len(self.world.holder(H)["refused"])
        late = [
            one.status for one in self.told
        ]  # queries show what was decided: what only fell due comes later
        for model, row in zip(late, shown, strict=True):
            assert model == row["status"]

    @invariant()
    def laws_hold(self) -> None:
        if not getattr(self, "told", None):
            return
        shown = self.world.licences(H)
        assert len(shown) == len({x["number"] for x in shown})
        ended: set[str] = set()
        for fact in self.world.facts:
            if isinstance(fact.body, LicenceStatusChanged):
                assert fact.body.licence not in ended or fact.body.status == "cancelled"
                if fact.body.status not in LIVING:
                    ended.add(fact.body.licence)
            elif isinstance(fact.body, LicenceGranted):
                assert fact.body.grant.licence_id not in ended
        assert len(self.world.facts) == len({fact.id for fact in self.world.facts})


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
