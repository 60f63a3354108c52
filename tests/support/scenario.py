"""One scenario with every type of event, for many holders; it names licences by `granted_by`.

Phases follow each other; inside a phase only the order of each holder's events counts. A tick stands alone between
two phases, since what it brings due for one holder must not depend on when another partition hears of it.
"""

from __future__ import annotations

import itertools
from typing import Any

from story import Events, ric, uscc

CATEGORIES = ("化肥", "人造板", "电线电缆", "砂轮", "钢丝绳")
FORM = [{"kind": "application-form"}]
Phase = list[dict[str, Any]]


def _both(day: str) -> list[dict[str, str]]:
    return [{"kind": "application-form"}, {"kind": "commitment-letter", "signed_on": day}]


class _Story:
    """The events of one enterprise with an industrial-product licence."""

    def __init__(self, events: Events, n: int) -> None:
        self.e, self.n, self.holder = events, n, uscc(n)
        self.case = f"N-{n}"
        self.category = CATEGORIES[n % len(CATEGORIES)]

    def apply(self, time: str, **over: Any) -> None:
        products = [{"category": self.category, "site": f"工业园{self.n % 7}号", "detail": "一般"}]
        self.e.apply(time, self.case, self.holder, **{"products": products, **over})

    def act(self, time: str, action: str, **more: Any) -> None:
        materials = _both(time[:10]) if action in ("extend", "renew", "merge") else FORM
        what = {"materials": materials, "products": ..., "granted_by": self.case, **more}
        self.e.apply(time, f"{self.case}-{action}", self.holder, action=action, **what)

    def order(self, kind: str, time: str, **data: Any) -> None:
        named = {"granted_by": self.case, "holder_id": self.holder, "ground": "依法"}
        self.e.add(f"licence.{kind}", time, {**named, "decided_on": time[:10], **data})

    def inspect(
        self, time: str, *, passed: bool = True, false: bool = False, kind: str = "post-issuance"
    ) -> None:
        self.e.add(
            "inspection.recorded", time,
            {
                "inspection_id": f"J-{self.n}", "kind": kind, "holder_id": self.holder, "granted_by": self.case,
                "inspectors": [{"id": "I1", "department": "market-regulation"},
                               {"id": "I2", "department": "market-regulation"}],
                "inspected_on": time[:10], "result": "未发现问题" if kind == "random" else "符合",
                "passed": passed, "commitment_false": false,
            },
        )  # fmt: skip


def _first(story: _Story) -> None:
    """Phase one: applications, and what completes or ends them."""
    n, day = story.n, "2018-03-01T10:00:00+08:00"
    kind = n % 26
    if kind == 0:
        story.apply(day, materials=FORM)
        story.e.add(
            "application.materials-supplied", "2018-03-02T10:00:00+08:00",
            {"application_id": story.case, "holder_id": story.holder,
             "materials": [{"kind": "commitment-letter", "signed_on": "2018-03-01"}, {"kind": "business-licence"}]},
        )  # fmt: skip
    elif kind == 1:
        story.apply(day, materials=FORM)
        story.e.add("application.withdrawn", "2018-03-02T10:00:00+08:00",
                    {"application_id": story.case, "holder_id": story.holder, "reason": "另行申请"})  # fmt: skip
    elif kind == 2:
        story.apply(day, products=[{"category": "不存在", "site": "", "detail": ""}])
    elif kind == 3:
        story.e.add("holder.classified", "2018-02-01T10:00:00+08:00",
                    {"holder_id": story.holder, "credit_class": "ABCD"[n // 26 % 4]})  # fmt: skip
        story.apply(
            day,
            materials=[*_both("2018-03-01"), {"kind": "business-licence", "deferred_until": "2018-03-20"}],
        )
    elif kind == 4:
        _registration(story, day)
    elif kind == 5:
        _imported(story, day)
    elif kind == 6:
        _person(story, day)
    elif kind == 7:
        _review(story, day)
    else:
        story.apply(day)


def _registration(story: _Story, day: str) -> None:
    story.e.add(
        "registration.submitted", day,
        {
            "application_id": story.case, "materials": FORM,
            "applicant": {"kind": "enterprise", "id": story.holder, "name": f"青海登记{story.n}有限公司",
                          "address": "循化县积石镇", "division": "630225"},
            "items": [{"item": "seal-engraving-filing", "answers": {"seal-kinds": "公章"}},
                      {"item": "recycling-filing", "answers": {"recycled-goods": "废金属", "site-address": "东街"}}],
            "shared": {"legal-representative": "测试人", "registered-capital": "100", "business-scope": "制造"},
        },
        "urn:agency:630225:service-hall",
    )  # fmt: skip
    steps = [("seal-engraving-filing", "public-security", k) for k in ("received", "claimed")]
    steps += [("recycling-filing", "commerce", k) for k in ("returned", "corrected", "claimed")]
    for hour, (item, department, kind) in enumerate(steps, 11):
        who = "market-regulation" if kind == "corrected" else department
        data = {"filing_id": f"{story.case}:{item}", "holder_id": story.holder, "department": department}
        if kind == "returned":
            data["reason"] = "地址不详"
        story.e.add(f"filing.{kind}", f"2018-03-01T{hour}:30:00+08:00", data, f"urn:agency:630225:{who}")


def _import(story: _Story, time: str, number: str) -> None:
    story.e.add(
        "licence.imported", time,
        {
            "holder": {"kind": "enterprise", "id": story.holder, "name": f"青海旧证{story.n}有限公司",
                       "address": "循化县积石镇", "division": "630225"},
            "licence_number": number, "item": "industrial-product-licence",
            "products": [{"category": story.category, "site": "老厂", "detail": "一般"}],
            "issued_on": "2015-06-01", "valid_from": "2015-06-01", "valid_until": "2020-05-31",
        },
    )  # fmt: skip


def _imported(story: _Story, day: str) -> None:
    _import(story, day, f"XK99-{story.n:03d}-00001")
    story.e.apply(
        "2018-03-02T10:00:00+08:00", f"{story.case}-x", story.holder, action="reissue",
        licence_number=f"XK99-{story.n:03d}-00001", products=..., materials=FORM,
        applicant={"kind": "enterprise", "id": story.holder, "name": f"青海旧证{story.n}有限公司",
                   "address": "循化县积石镇", "division": "630225"},
    )  # fmt: skip


def _person(story: _Story, day: str) -> None:
    person = ric(story.n)
    story.e.apply(
        day, story.case, person, item="special-equipment-operator", products=...,
        applicant={"kind": "person", "id": person, "name": f"测试{story.n}", "address": "西宁市城东区一号",
                   "division": "630102"},
        materials=[{"kind": "application-form"}, {"kind": "examination-record"}],
    )  # fmt: skip
    story.e.add(
        "application.reviewed", "2018-03-02T10:00:00+08:00",
        {"application_id": story.case, "holder_id": person, "department": "market-regulation", "officer": "O-1",
         "decision": "reject" if story.n % 52 == 6 else "approve", "grounds": "考核"},
    )  # fmt: skip


def _review(story: _Story, day: str) -> None:
    story.e.apply(
        day, story.case, story.holder, item="hazardous-chemicals-operation", products=...,
        source="urn:agency:630000:service-hall",
        materials=[{"kind": k} for k in ("application-form", "safety-system", "emergency-plan")],
    )  # fmt: skip
    named = {"application_id": story.case, "holder_id": story.holder}
    source = "urn:agency:630000:emergency-management"
    story.e.add(
        "application.clock-stopped", "2018-03-02T10:00:00+08:00", {**named, "cause": "expert-review"}, source
    )
    story.e.add(
        "application.clock-resumed", "2018-03-06T10:00:00+08:00", {**named, "cause": "expert-review"}, source
    )
    for department in ("emergency-management", "fire-rescue"):
        story.e.add(
            "application.reviewed", "2018-03-07T10:00:00+08:00",
            {**named, "department": department, "officer": "O-2", "decision": "approve", "grounds": "符合"},
            f"urn:agency:630000:{department}",
        )  # fmt: skip


def _second(story: _Story) -> None:
    """Phase two: what happens to licences."""
    time = "2018-04-02T10:00:00+08:00"
    kind = story.n % 26
    if kind == 8:
        story.act(time, "extend", products=[{"category": story.category, "site": "新厂", "detail": "另一种"}])
    elif kind == 9:
        story.act(time, "change", change={"name": f"青海新名{story.n}有限公司"})
    elif kind == 10:
        story.act(time, "surrender")
    elif kind == 11:
        story.order("rescinded", time, deceit=True)
        story.e.add("decision.annulled", "2018-04-20T10:00:00+08:00",
                    {"granted_by": story.case, "holder_id": story.holder, "ground": "复议决定",
                     "decided_on": "2018-04-20"})  # fmt: skip
    elif kind == 12:
        story.order("revoked", time)
        story.act("2018-04-03T10:00:00+08:00", "extend")
    elif kind == 13:
        story.order("suspended", time, until="2018-05-01")
    elif kind == 14:
        story.order("suspended", time, until="2018-12-31")
        story.order("resumed", "2018-04-10T10:00:00+08:00")
    elif kind == 15:
        story.order("withdrawn", time)
    elif kind == 16:
        story.order("cancelled", time)
    elif kind == 17:
        story.inspect(time)
    elif kind == 18:
        story.inspect(time, passed=False, false=True)
    elif kind == 19:
        story.inspect(time, kind="random")
    elif kind == 20:
        story.act(time, "reissue")
    elif kind == 21:
        story.act(time, "renew")  # too early: refused, with the first day
    elif kind == 22:
        _import(story, time, f"XK99-{story.n - 17:03d}-00001")  # another holder's since phase one: refused


def phases(holders: int = 520) -> list[Phase]:
    """The scenario: three phases, the second and fourth of one tick each."""
    events = Events()
    bounds = [0]
    stories = [_Story(events, n) for n in range(1, holders + 1)]
    for step in (_first, None, _second, None):
        if step is None:
            time = "2018-03-25T00:00:00+08:00" if len(bounds) == 2 else "2018-06-30T00:00:00+08:00"
            events.add("clock.ticked", time, {}, "urn:agency:630000:clock")
        else:
            for story in stories:
                step(story)
        bounds.append(len(events.lines))
    return [events.lines[a:b] for a, b in itertools.pairwise(bounds)]
