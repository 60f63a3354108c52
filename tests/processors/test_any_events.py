"""Any events in any order: each is decided or refused, none fails; and a holder's queries show the contract's keys."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from story import Events, ric, uscc
from world import World

from processors.evolve import fold
from processors.state import decode, encode, initial
from schemas import facts
from schemas.errors import Rejected

ITEMS = (
    "industrial-product-licence", "food-workshop-licence", "hazardous-chemicals-operation", "special-equipment-operator",
    "business-licence", "recycling-filing", "no-such-item",
)  # fmt: skip
HOLDERS = (uscc(1), uscc(2), uscc(1)[:-1] + "0", ric(3))
DIVISIONS = ("630225", "630200", "630000", "630122", "999999", "", None)
DEPARTMENTS = ("market-regulation", "service-hall", "emergency-management", "fire-rescue", "commerce", "tax")
KINDS = ("application-form", "commitment-letter", "business-licence", "layout-plan", "emergency-plan", "safety-system",
         "examination-record")  # fmt: skip
CASE_KEYS = {
    "application_id",
    "state",
    "item",
    "holder_id",
    "due",
    "history",
    "missing",
    "reason",
    "licence_number",
}
LICENCE_KEYS = {
    "number", "identifier", "version", "status", "item", "holder_id", "holder_name", "issued_on", "valid_from",
    "valid_until", "application_id", "objects", "history",
}  # fmt: skip
HOLDER_KEYS = {"holder_id", "name", "credit_class", "licences", "cases", "filings", "checks", "refused"}


class Teller:
    """Makes events up."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.day, self.department = rng, 0, ""

    def of(self, *values: Any) -> Any:
        return self.rng.choice(values)

    def mostly(self, usual: Any, *odd: Any) -> Any:
        return usual if self.rng.random() < 0.88 else self.rng.choice(odd)

    def today(self) -> str:
        return self.date(exact=True)

    def date(self, around: int = 0, *, exact: bool = False) -> str:
        total = self.day + (0 if exact else self.rng.randint(-60, 60)) + around
        year, rest = divmod(max(total, 0), 336)
        return f"{2018 + year}-{1 + rest // 28:02d}-{1 + rest % 28:02d}"

    def reviewer(self) -> str:
        self.department = str(self.of("market-regulation", "emergency-management", "fire-rescue"))
        return self.department

    def source(self, kind: str) -> str:
        if kind.endswith("reviewed"):
            return self.department
        usual = (
            "commerce"
            if kind in ("filing.received", "filing.claimed", "filing.returned")
            else "market-regulation"
        )
        return str(self.mostly(usual, *DEPARTMENTS))

    def app(self) -> str:
        return f"A{self.rng.randint(1, 8)}"

    def name(self) -> dict[str, Any]:
        return self.mostly({"granted_by": self.app()}, {"licence_number": self.number()})

    def number(self) -> str:
        return f"(青)XK{self.of('13-001', '03-002')}-0000{self.rng.randint(1, 4)}"

    def who(self, number: str) -> dict[str, Any]:
        kind = "person" if number == ric(3) else "enterprise"
        return {
            "kind": self.mostly(kind, "person", "enterprise"),
            "id": number,
            "name": self.mostly("一厂", "二厂", " ", None),
            "address": self.mostly("一号", "", None),
            "division": self.mostly("630225", *DIVISIONS),
        }

    def materials(self) -> list[dict[str, Any]]:
        kinds = self.mostly(KINDS, tuple(k for k in KINDS if self.rng.random() < 0.7))
        return [
            {
                "kind": k,
                "signed_on": self.mostly("2017-12-01", self.date()),
                **(self.mostly({}, {"deferred_until": self.date(20)}) if k.endswith("plan") else {}),
            }
            for k in kinds
        ]

    def products(self, usual: str = "化肥") -> list[dict[str, Any]]:
        return [
            {"category": self.mostly(usual, "人造板", "火箭", ""), "site": self.of("一", "二", "")}
            for _ in range(self.mostly(1, 0, 2))
        ]

    def data(self, kind: str, holder: str) -> dict[str, Any]:
        base: dict[str, Any] = {"holder_id": holder}
        order = {**base, **self.name(), "ground": "依法", "decided_on": self.date()}
        case = {**base, "application_id": self.app()}
        filing = {
            **base,
            "filing_id": f"{self.app()}:recycling-filing",
            "department": self.of("commerce", "press"),
        }
        return {
            "application.submitted": lambda: self.applied(holder),
            "application.materials-supplied": lambda: {
                **case, "materials": self.materials(), "products": self.products(), "applicant": self.who(holder),
                "shared": {"site-address": self.of("一", "二"), "recycled-goods": "废钢"},
            },
            "application.withdrawn": lambda: case,
            "application.reviewed": lambda: {
                **case, "department": self.reviewer(), "officer": self.of("o", ric(4)),
                "decision": self.of("approve", "approve", "reject"), "false_material": self.of(True, False),
            },
            "application.clock-stopped": lambda: {**case, "cause": self.of("hearing", "testing")},
            "application.clock-resumed": lambda: {**case, "cause": self.of("hearing", "testing")},
            "registration.submitted": lambda: {
                "application_id": self.app(), "applicant": self.who(holder), "materials": self.materials(),
                "items": [{"item": self.of("recycling-filing", "publication-rental-filing", "business-licence", "x")}],
                "shared": self.of({}, {"site-address": "一", "recycled-goods": "废钢", "publication-kinds": "图书"}),
            },
            "filing.received": lambda: filing, "filing.claimed": lambda: filing,
            "filing.returned": lambda: filing, "filing.corrected": lambda: filing,
            "inspection.recorded": lambda: {
                **base, **self.name(), "inspection_id": f"I{self.rng.randint(1, 9)}", "kind": self.of("post-issuance", "complaint"),
                "inspectors": [{"id": self.of("a", "b", ric(5)), "department": "x"} for _ in range(2)],
                "inspected_on": self.date(), "result": "r", "passed": self.of(True, False), "commitment_false": self.of(True, False),
            },
            "licence.withdrawn": lambda: order, "licence.revoked": lambda: order,
            "licence.cancelled": lambda: order, "licence.resumed": lambda: order,
            "licence.rescinded": lambda: {**order, "deceit": self.of(True, False)},
            "licence.suspended": lambda: {**order, "until": self.date(30)},
            "decision.annulled": lambda: order,
            "licence.imported": lambda: {
                "holder": {**self.who(holder), "name": "一厂", "address": "一号", "division": self.of("630225", "630000", "x")},
                "licence_number": self.number(), "item": self.of(*ITEMS), "issued_on": self.date(-400),
                "valid_from": self.date(-400), "valid_until": self.date(400), "products": self.products(),
            },
            "holder.classified": lambda: {**base, "credit_class": self.of("A", "C")},
        }[kind]()  # fmt: skip

    def applied(self, holder: str) -> dict[str, Any]:
        action = self.of(*["new"] * 8, "extend", "change", "renew", "reissue", "merge", "surrender")
        item = self.mostly(ITEMS[3] if holder == ric(3) else self.of(*ITEMS[:3]), *ITEMS)
        data: dict[str, Any] = {
            "application_id": self.app(),
            "item": item,
            "action": action,
            "applicant": self.who(holder),
            "products": self.products("糕点" if item == ITEMS[1] else "化肥"),
            "materials": self.materials(),
            "channel": "online",
            "window": "630225",
        }
        if item in ITEMS[2:4]:
            del data["products"]
        if action == "merge":
            data.update(
                self.of(
                    {"licence_numbers": [self.number(), self.number()]},
                    {"granted_by": [self.app(), self.app()]},
                )
            )
        elif action != "new":
            data.update(self.name())
        if action == "change":
            data["change"] = {
                "name": self.of("二厂", ""),
                "division": self.of("630222", "999999", None),
                "products": self.products(),
            }
        return data


TYPES = (
    ("application.submitted",) * 8 + ("application.materials-supplied",) * 4 + ("application.reviewed",) * 5
    + ("registration.submitted",) * 3 + (
        "application.withdrawn", "application.clock-stopped", "application.clock-resumed", "filing.received",
        "filing.claimed", "filing.returned", "filing.corrected", "inspection.recorded", "licence.withdrawn",
        "licence.revoked", "licence.cancelled", "licence.resumed", "licence.rescinded", "licence.suspended",
        "decision.annulled", "licence.imported", "holder.classified",
    )
)  # fmt: skip


def tell(seed: int, count: int, *, prompt: bool) -> World:
    """Some made-up events for a few holders."""
    rng = random.Random(seed)
    teller, world = Teller(rng), World(prompt=prompt)
    for n in range(count):
        teller.day += rng.choice((0, 0, 1, 1, 5, 30, 200))
        kind, holder = rng.choice(TYPES), rng.choice((HOLDERS[0], HOLDERS[0], *HOLDERS))
        data = teller.data(kind, holder)
        source = f"urn:agency:{teller.mostly('630000', '630200', '630225')}:{teller.source(kind)}"
        time = f"{teller.today() if n % 4 else teller.date()}T10:00:00+08:00"
        event = Events().add(kind, time, data, source)
        event["id"] = f"e{n}"
        if kind == "filing.claimed" or n % 5 == 0:
            world.send(
                {
                    **event,
                    "id": f"t{n}",
                    "type": "zhengzhao.clock.ticked.v1",
                    "source": "urn:agency:630000:clock",
                    "data": {},
                }
            )
        try:
            world.send(event)
        except Rejected:
            continue
    world.settle()
    return world


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_every_event_is_decided_or_refused(seed: int, prompt: bool) -> None:
    """Nothing fails; facts and states survive their encodings; state is the fold of facts; no number in clear."""
    world = tell(seed, 60, prompt=prompt)
    for holder, state in world.states.items():
        own = [fact for fact in world.facts if fact.holder == holder]
        again = [facts.decode(facts.encode(fact)) for fact in own]
        assert own == again
        assert encode(state) == encode(fold(initial(holder), again)) == encode(decode(encode(state)))
        assert len(own) == len({fact.id for fact in own})
        assert not state.waiting
    everything = f"{world.facts}{world.states}{world.ledger}"
    assert not [n for n in (ric(3), ric(4), ric(5)) if n in everything]
    _shown(world)


def _shown(world: World) -> None:
    for number in HOLDERS:
        if not any(key in world.states for key in (number, world.key(number, "person"))):
            continue
        shown = world.holder(number)
        assert HOLDER_KEYS <= set(shown)
        assert all(CASE_KEYS <= set(x) for x in shown["cases"])
        assert all(LICENCE_KEYS <= set(x) for x in world.licences(number))
        assert all(x["reason"] for x in shown["cases"] if x["state"] in ("refused", "lapsed"))
        assert all(x["missing"] for x in shown["cases"] if x["state"] == "correction-requested")
        for x in shown["cases"]:
            assert (x["due"]["promised"] is None) or x["state"] not in ("correction-requested",)
