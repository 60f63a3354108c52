"""Six years of some forty holders in one file, in the order of their times; every end worked out by hand.

Each story is one holder's: events, and what the contract says must come of them. Working days are those of the
State Council's notices for 2018 to 2020, counted on the fingers.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from story import Office, ric, uscc

from infra.cli import main

PROVINCE, COUNTY = "urn:agency:630000:market-regulation", "urn:agency:630225:market-regulation"
CITY, HALL = "urn:agency:630100:market-regulation", "urn:agency:630100:service-hall"
EMERGENCY, FIRE = "urn:agency:630200:emergency-management", "urn:agency:630200:fire-rescue"
FORM = [{"kind": "application-form"}]
HAZARDOUS = "hazardous-chemicals-operation"
Shown = dict[str, Any]
Expect = Callable[[Shown, Callable[[str], Shown]], None]


class Holder:
    """What one holder lives through."""

    def __init__(self, events: list[dict[str, Any]], number: str, tag: str, division: str) -> None:
        self._events, self.id, self._tag, self.division = events, number, tag, division
        self._n = 0

    def add(self, kind: str, time: str, data: dict[str, Any], source: str = PROVINCE) -> None:
        self._n += 1
        time = time if "T" in time else f"{time}T10:00:00+08:00"
        self._events.append(
            {"specversion": "1.0", "id": f"{self._tag}-{self._n}", "source": source,
             "type": f"zhengzhao.{kind}.v1", "time": time, "data": data}
        )  # fmt: skip

    def who(self, **over: Any) -> dict[str, Any]:
        kind = "person" if self.id.startswith(("630225", "６")) else "enterprise"
        return {
            "kind": kind,
            "id": self.id,
            "name": f"甲{self._tag}厂",
            "address": "积石镇",
            "division": self.division,
            **over,
        }

    def new(self, app: str, time: str, item: str = "industrial-product-licence", **over: Any) -> None:
        source, applicant = over.pop("source", PROVINCE), over.pop("applicant", self.who())
        day = time[:10]
        kinds = {
            "industrial-product-licence": ["application-form", "commitment-letter", "business-licence"],
            HAZARDOUS: ["application-form", "safety-system", "emergency-plan"],
            "special-equipment-operator": ["application-form", "examination-record"],
        }[item]
        made = [
            {"kind": kind, **({"signed_on": day} if kind == "commitment-letter" else {})} for kind in kinds
        ]
        goods = (
            [{"category": "化肥", "site": "一号厂", "detail": "甲"}]
            if item == "industrial-product-licence"
            else []
        )
        data = {"application_id": app, "item": item, "action": "new", "applicant": applicant, "products": goods,
                "materials": made, "channel": "online", "window": "630225", **over}  # fmt: skip
        self.add("application.submitted", time, data, source)

    def act(self, app: str, action: str, time: str, **over: Any) -> None:
        letter = {"kind": "commitment-letter", "signed_on": time[:10]}
        materials = [*FORM, letter] if action in ("extend", "renew", "merge") else FORM
        over = {"granted_by": "A", **over}
        self.new(app, time, over.pop("item", "industrial-product-licence"), action=action,
                 **{"products": [], "materials": materials, **over})  # fmt: skip

    def order(self, kind: str, time: str, source: str = PROVINCE, **over: Any) -> None:
        named = {"granted_by": "A", "holder_id": self.id, "ground": "依法", "decided_on": time[:10]}
        event = "decision.annulled" if kind == "annulled" else f"licence.{kind}"
        self.add(event, time, {k: v for k, v in {**named, **over}.items() if v is not ...}, source)

    def inspect(self, app: str, time: str, passed: bool = True, false: bool = False, **over: Any) -> None:
        who = [{"id": n, "department": "market-regulation"} for n in ("i-1", "i-2")]
        self.add("inspection.recorded", time,
                 {"inspection_id": app, "kind": "post-issuance", "holder_id": self.id, "granted_by": "A",
                  "inspectors": who, "inspected_on": time[:10], "result": "如实", "passed": passed,
                  "commitment_false": false, **over}, over.pop("source", COUNTY))  # fmt: skip

    def review(self, app: str, time: str, source: str, decision: str = "approve", **over: Any) -> None:
        self.add("application.reviewed", time,
                 {"application_id": app, "holder_id": self.id, "department": source.rsplit(":", 1)[1],
                  "officer": "o", "decision": decision, **over}, source)  # fmt: skip

    def clock(self, what: str, app: str, time: str, cause: str = "testing", source: str = EMERGENCY) -> None:
        self.add(f"application.clock-{what}", time,
                 {"application_id": app, "holder_id": self.id, "cause": cause}, source)  # fmt: skip

    def supply(self, app: str, time: str, source: str = PROVINCE, **data: Any) -> None:
        self.add("application.materials-supplied", time,
                 {"application_id": app, "holder_id": self.id, **data}, source)  # fmt: skip

    def import_(self, number: str, until: str, issued: str, time: str, **over: Any) -> None:
        self.add("licence.imported", time,
                 {"holder": self.who(), "licence_number": number, "item": "industrial-product-licence",
                  "products": [{"category": "人造板", "site": number}], "issued_on": issued, "valid_from": issued,
                  "valid_until": until, **over}, over.pop("source", PROVINCE))  # fmt: skip


STORIES: dict[str, tuple[Callable[[Holder], None], Expect]] = {}


def story(expect: Expect) -> Callable[[Callable[[Holder], None]], Callable[[Holder], None]]:
    def keep(tell: Callable[[Holder], None]) -> Callable[[Holder], None]:
        STORIES[tell.__name__] = (tell, expect)
        return tell

    return keep


def states(shown: Shown) -> dict[str, str]:
    return {row["application_id"]: row["state"] for row in shown["cases"]}


def licences(shown: Shown) -> list[tuple[Any, ...]]:
    return [(x["version"], x["status"], x["issued_on"], x["valid_until"]) for x in shown["licences"]]


def refused(shown: Shown) -> list[tuple[str, str]]:
    return [(row["time"][:10], row["event"]) for row in shown["refused"]]


def ends(cases: str, *wanted: tuple[Any, ...], refusals: list[tuple[str, str]] | None = None) -> Expect:
    """`cases`: `A=issued B=refused`; then licences as (version, status, issued on, valid until)."""

    def check(shown: Shown, case: Callable[[str], Shown]) -> None:
        assert states(shown) == dict(part.split("=") for part in cases.split())
        assert licences(shown) == list(wanted)
        assert refused(shown) == (refusals or [])

    return check


def also(first: Expect, *more: Expect) -> Expect:
    def check(shown: Shown, case: Callable[[str], Shown]) -> None:
        for one in (first, *more):
            one(shown, case)

    return check


def reason(app: str, *words: str) -> Expect:
    def check(shown: Shown, case: Callable[[str], Shown]) -> None:
        assert [w for w in words if w not in (case(app)["reason"] or "")] == [], case(app)["reason"]

    return check


def refusal(n: int, *words: str) -> Expect:
    def check(shown: Shown, case: Callable[[str], Shown]) -> None:
        why = shown["refused"][n]["reason"]
        assert [w for w in words if w not in why] == [], why

    return check


def due(app: str, **wanted: str | None) -> Expect:
    def check(shown: Shown, case: Callable[[str], Shown]) -> None:
        found = case(app)["due"]
        assert {key: found[key] for key in wanted} == wanted

    return check


# ---- renewal --------------------------------------------------------------------------------------------------


@story(
    also(
        ends("A=issued E=refused R=issued", (2, "valid", "2022-02-28", "2028-02-29")),
        reason("E", "2022-02-28"),
    )
)
def renewed_on_the_first_day(h: Holder) -> None:
    h.new("A", "2018-03-01")  # until 2023-02-28
    h.act("E", "renew", "2022-02-27T23:59:59+08:00")
    h.act("R", "renew", "2022-02-28T00:00:00+08:00")


@story(ends("A=issued R=issued", (2, "valid", "2023-02-27", "2028-02-27")))
def renewed_on_the_last_day(h: Holder) -> None:
    h.new("A", "2018-02-28")
    h.act("R", "renew", "2023-02-27T23:59:00+08:00")


@story(also(ends("A=issued R=refused", (1, "expired", "2018-02-28", "2023-02-27")), reason("R", "new")))
def renewed_a_day_too_late(h: Holder) -> None:
    h.new("A", "2018-02-28")
    h.act("R", "renew", "2023-02-28T00:00:00+08:00")


@story(ends("A=issued", (1, "valid", "2020-02-29", "2025-02-28")))
def granted_on_the_29th_of_february(h: Holder) -> None:
    h.new("A", "2020-02-29")


@story(ends("A=issued R=issued", (2, "valid", "2023-09-01", "2026-08-31")))
def deemed_renewed_filed_on_the_last_day_of_a_short_month(h: Holder) -> None:
    hazardous(h, "2020-09-01")  # until 2023-08-31: six months before is 28 February
    h.act("R", "renew", "2023-02-28T23:00:00+08:00", item=HAZARDOUS, source=EMERGENCY, materials=FORM)


@story(also(ends("A=issued R=refused", (1, "expired", "2020-09-01", "2023-08-31")), reason("R", "new")))
def not_deemed_filed_a_day_later(h: Holder) -> None:
    hazardous(h, "2020-09-01")
    h.act("R", "renew", "2023-03-01T00:00:00+08:00", item=HAZARDOUS, source=EMERGENCY, materials=FORM)


@story(ends("A=issued R=refused", (1, "expired", "2020-09-01", "2023-08-31")))
def not_deemed_where_something_is_missing(h: Holder) -> None:
    hazardous(h, "2020-09-01")
    h.act("R", "renew", "2023-08-20", item=HAZARDOUS, source=EMERGENCY, materials=[])


@story(ends("A=issued R=issued", (2, "valid", "2023-09-01", "2026-08-31")))
def deemed_renewed_while_suspended(h: Holder) -> None:
    hazardous(h, "2020-09-01")
    h.act("R", "renew", "2023-01-10", item=HAZARDOUS, source=EMERGENCY, materials=FORM)
    h.order("suspended", "2023-06-01", EMERGENCY, until="2023-10-31")


@story(ends("A=issued R=issued", (2, "valid", "2023-08-31", "2026-08-31")))
def approved_on_the_day_of_the_end(h: Holder) -> None:
    hazardous(h, "2020-09-01")
    h.act("R", "renew", "2023-05-10", item=HAZARDOUS, source=EMERGENCY, materials=FORM)
    h.review("R", "2023-08-30", EMERGENCY)
    h.review("R", "2023-08-31T23:59:59+08:00", FIRE)


def hazardous(h: Holder, day: str, app: str = "A", **over: Any) -> None:
    h.new(app, f"{day}T08:00:00+08:00", HAZARDOUS, source=EMERGENCY, **over)
    h.review(app, f"{day}T09:00:00+08:00", FIRE)
    h.review(app, f"{day}T09:30:00+08:00", EMERGENCY)


# ---- clocks, corrections, late materials -------------------------------------------------------------------------


@story(also(ends("A=issued", (1, "expired", "2019-10-17", "2022-10-16")), due("A", promised="2019-10-17")))
def a_clock_stop_across_the_national_holiday(h: Holder) -> None:
    """20 September 2019; 29 September and 12 October are worked, 1 to 7 October are not."""
    h.new("A", "2019-09-20", HAZARDOUS, source=EMERGENCY)
    h.clock("stopped", "A", "2019-09-25")
    h.clock("resumed", "A", "2019-10-09")
    h.review("A", "2019-10-16", EMERGENCY)
    h.review("A", "2019-10-17", FIRE)


@story(also(ends("A=issued", (1, "expired", "2019-10-18", "2022-10-17"), refusals=[("2019-10-11", "application.clock-resumed")]),
            due("A", promised="2019-10-18")))  # fmt: skip
def two_causes_overlap(h: Holder) -> None:
    """24 September to 8 October and 26 September to 10 October: seven working days do not count."""
    h.new("A", "2019-09-20", HAZARDOUS, source=EMERGENCY)
    h.clock("stopped", "A", "2019-09-25", "hearing")
    h.clock("stopped", "A", "2019-09-26", "testing")
    h.clock("resumed", "A", "2019-10-08", "hearing")
    h.clock("resumed", "A", "2019-10-10", "testing", FIRE)
    h.clock("resumed", "A", "2019-10-11", "expert-review")
    h.review("A", "2019-10-18T08:00:00+08:00", EMERGENCY)
    h.review("A", "2019-10-18T09:00:00+08:00", FIRE)


@story(
    also(
        ends("A=issued", (1, "expired", "2018-10-24", "2023-10-23")),
        due("A", correction="2018-10-24", promised="2018-10-29"),
    )
)
def corrected_at_the_last_second(h: Holder) -> None:
    """20 working days from 20 September 2018: Mid-Autumn, the make-up weekend, the national holiday."""
    h.new("A", "2018-09-20", materials=FORM, products=[])
    h.supply("A", "2018-09-21", materials=[{"kind": "business-licence"}])
    h.supply("A", "2018-10-24T23:59:59+08:00", products=[{"category": "化肥"}],
             materials=[{"kind": "commitment-letter", "signed_on": "2018-09-20"}])  # fmt: skip


@story(also(ends("A=lapsed", refusals=[("2018-10-25", "application.materials-supplied")]),
            lambda shown, case: missing(case("A"), ["commitment-letter", "products"])))  # fmt: skip
def lapsed_at_midnight(h: Holder) -> None:
    h.new("A", "2018-09-20", materials=FORM, products=[])
    h.supply("A", "2018-09-21", materials=[{"kind": "business-licence"}])
    h.supply("A", "2018-10-25T00:00:00+08:00", products=[{"category": "化肥"}])


def missing(case: Shown, wanted: list[str]) -> None:
    assert sorted(case["missing"]) == wanted


@story(also(ends("A=lapsed B=correction-requested"),
            lambda shown, case: missing(case("B"), ["emergency-plan"])))  # fmt: skip
def class_c_may_not_defer(h: Holder) -> None:
    """The same paper as another's that was accepted; before the class it was, and lapsed."""
    late = [*FORM, {"kind": "safety-system"}, {"kind": "emergency-plan", "deferred_until": "2019-03-15"}]
    h.new("A", "2019-03-01", HAZARDOUS, source=EMERGENCY, materials=late)
    h.add("holder.classified", "2019-04-01", {"holder_id": h.id, "credit_class": "C"})
    again = [*late[:2], {**late[2], "deferred_until": "2024-02-01"}]
    h.new("B", "2023-12-20", HAZARDOUS, source=EMERGENCY, materials=again)


@story(also(ends("A=issued", (1, "expired", "2019-03-15", "2022-03-14")), due("A", promised="2019-03-29")))
def class_b_brings_it_on_the_last_day(h: Holder) -> None:
    late = [*FORM, {"kind": "safety-system"}, {"kind": "emergency-plan", "deferred_until": "2019-03-15"}]
    h.add("holder.classified", "2019-02-01", {"holder_id": h.id, "credit_class": "B"})
    h.new("A", "2019-03-01", HAZARDOUS, source=EMERGENCY, materials=late)
    h.review("A", "2019-03-05", EMERGENCY)
    h.review("A", "2019-03-06", FIRE)
    h.supply("A", "2019-03-15T23:59:59+08:00", EMERGENCY, materials=[{"kind": "emergency-plan"}])


@story(also(ends("A=refused B=refused C=issued", (1, "expired", "2020-05-11", "2023-05-10")), reason("A", "fire-rescue"),
            reason("B", "2020-05-10")))  # fmt: skip
def false_material_bars_a_year_to_the_day(h: Holder) -> None:
    """Rejected on 11 May in China, the 10th in UTC."""
    h.new("A", "2019-05-06", HAZARDOUS, source=EMERGENCY)
    h.review("A", "2019-05-07", EMERGENCY)
    h.review("A", "2019-05-10T16:30:00Z", FIRE, "reject", grounds="虚假", false_material=True)
    h.new("B", "2020-05-10T23:59:59+08:00", HAZARDOUS, source=EMERGENCY)
    hazardous(h, "2020-05-11", "C")


# ---- orders, bars, annulments -------------------------------------------------------------------------------------


@story(
    ends(
        "A=issued B=refused C=issued",
        (1, "revoked", "2018-03-01", "2023-02-28"),
        (1, "valid", "2021-05-10", "2026-05-09"),
    )
)
def a_bar_to_the_day(h: Holder) -> None:
    h.new("A", "2018-03-01")
    h.order("revoked", "2018-06-01", decided_on="2018-05-10")
    h.new("B", "2021-05-09T23:59:59+08:00")
    h.new("C", "2021-05-10T00:00:00+08:00", source=COUNTY)


@story(ends("A=issued B=refused", (1, "rescinded", "2018-03-01", "2023-02-28")))
def a_bar_through_another_window_and_spelling(h: Holder) -> None:
    h.new("A", "2018-03-01")
    h.order("rescinded", "2018-06-01", deceit=True)
    h.new(
        "B", "2019-06-01", source="urn:agency:630225:service-hall", applicant=h.who(id=f"  {h.id.lower()} ")
    )


@story(
    ends(
        "A=issued B=issued",
        (1, "rescinded", "2018-03-01", "2023-02-28"),
        (1, "expired", "2018-06-01", "2023-05-31"),
    )
)
def an_error_of_ones_own_bars_nobody(h: Holder) -> None:
    h.new("A", "2018-03-01")
    h.order("rescinded", "2018-06-01T09:00:00+08:00", deceit=False)
    h.new("B", "2018-06-01T10:00:00+08:00")


@story(ends("A=issued B=refused", (1, "revoked", "2018-03-01", "2023-02-28"), (1, "expired", "2018-08-01", "2023-02-28"),
            refusals=[("2018-08-02", "decision.annulled"), ("2018-08-03", "decision.annulled")]))  # fmt: skip
def annulled_once(h: Holder) -> None:
    """The new licence has the application; nothing is left to annul on it, and the old one's was annulled."""
    h.new("A", "2018-03-01")
    h.order("revoked", "2018-06-01")
    h.order("annulled", "2018-08-01")
    h.order("annulled", "2018-08-02")
    h.order("annulled", "2018-08-03", granted_by=..., licence_number="(青)XK13-001-99999")
    h.new("B", "2018-08-04")


@story(ends("A=issued", (1, "revoked", "2018-03-01", "2023-02-28"), (1, "revoked", "2018-08-01", "2023-02-28"),
            (1, "expired", "2018-10-01", "2023-02-28")))  # fmt: skip
def annulled_twice_each_time_for_another_licence(h: Holder) -> None:
    h.new("A", "2018-03-01")
    h.order("revoked", "2018-06-01")
    h.order("annulled", "2018-08-01")
    h.order("revoked", "2018-09-01")
    h.order("annulled", "2018-10-01")


@story(
    ends(
        "A=issued", (1, "revoked", "2018-03-01", "2023-02-28"), refusals=[("2023-03-01", "decision.annulled")]
    )
)
def annulled_after_the_old_end(h: Holder) -> None:
    h.new("A", "2018-03-01")
    h.order("revoked", "2022-06-01")
    h.order("annulled", "2023-03-01T00:00:00+08:00")


@story(ends("A=issued", (1, "expired", "2018-03-01", "2023-02-28"),
            refusals=[("2018-05-01", "licence.revoked"), ("2018-05-02", "licence.revoked"), ("2018-05-03", "licence.suspended"),
                      ("2018-05-04", "licence.revoked"), ("2018-05-05", "licence.resumed"), ("2018-05-06", "licence.revoked")]))  # fmt: skip
def orders_that_nobody_may_give(h: Holder) -> None:
    """The county below, another department, `until` before the day, decided tomorrow, not suspended, not the holder's."""
    h.new("A", "2018-03-01")
    h.order("revoked", "2018-05-01", COUNTY)
    h.order("revoked", "2018-05-02", "urn:agency:630000:commerce")
    h.order("suspended", "2018-05-03", until="2018-05-02")
    h.order("revoked", "2018-05-04", decided_on="2018-05-05")
    h.order("resumed", "2018-05-05")
    h.order("revoked", "2018-05-06", granted_by="a-of-nobody")


@story(ends("A=issued X=issued", (2, "cancelled", "2018-05-02", "2023-02-28"),
            refusals=[("2018-07-20", "licence.resumed"), ("2018-08-02", "licence.cancelled")]))  # fmt: skip
def suspended_reissued_resumed_cancelled(h: Holder) -> None:
    """The second suspension replaces the first; a new version stays suspended; 注销 closes once."""
    h.new("A", "2018-03-01")
    h.order("suspended", "2018-05-01", until="2018-12-31")
    h.act("X", "reissue", "2018-05-02")
    h.order("suspended", "2018-06-01", until="2018-06-30", granted_by="X")
    h.order("resumed", "2018-07-20")
    h.order("cancelled", "2018-08-01")
    h.order("cancelled", "2018-08-02")


@story(
    also(ends("A=issued X=refused", (1, "withdrawn", "2018-03-01", "2021-02-28")), reason("X", "withdrawn"))
)
def an_open_case_falls_with_its_licence(h: Holder) -> None:
    hazardous(h, "2018-03-01")
    h.act("X", "change", "2018-04-01", item=HAZARDOUS, source=EMERGENCY, change={"name": "新名"})
    h.order("withdrawn", "2018-04-02", EMERGENCY)


@story(
    ends(
        "A=issued S=granted B=issued",
        (1, "cancelled", "2018-03-01", "2023-02-28"),
        (1, "expired", "2018-04-02", "2023-04-01"),
    )
)
def surrendered_and_again(h: Holder) -> None:
    h.new("A", "2018-03-01")
    h.act("S", "surrender", "2018-04-02T09:00:00+08:00")
    h.new("B", "2018-04-02T10:00:00+08:00")


# ---- versions, checks ---------------------------------------------------------------------------------------------


@story(also(
    ends("A=issued X=issued", (2, "rescinded", "2018-06-01", "2023-02-28")),
    lambda shown, case: checks(shown, ("post-issuance", "2018-03-31", "passed"), ("post-issuance", "2018-07-01", "failed")),
))  # fmt: skip
def extended_to_a_new_site_and_the_check_failed(h: Holder) -> None:
    h.new("A", "2018-03-01")
    h.inspect("J1", "2018-03-20")
    h.act("X", "extend", "2018-06-01", products=[{"category": "人造板", "site": "二号厂"}])
    h.inspect("J2", "2018-06-20", passed=False)


def checks(shown: Shown, *wanted: tuple[str, str, str]) -> None:
    assert [(c["kind"], c["due"], c["state"]) for c in shown["checks"]] == list(wanted)


@story(also(
    ends("A=issued", (1, "expired", "2018-03-01", "2023-02-28"), refusals=[("2018-03-05", "inspection.recorded")]),
    lambda shown, case: checks(shown, ("complaint", "2018-05-01", "failed"), ("random", "2018-05-02", "failed")),
))  # fmt: skip
def inspections_without_consequence(h: Holder) -> None:
    """One inspector in two spellings; a complaint and a random one that failed. The undone check goes with the licence."""
    h.new("A", "2018-03-01")
    same = [{"id": n, "department": "market-regulation"} for n in ("Ｉ-1", " i-1")]
    h.inspect("J0", "2018-03-05", inspectors=same)
    h.inspect("J1", "2018-05-01", passed=False, kind="complaint")
    h.inspect("J2", "2018-05-02", passed=False, kind="random", result="不配合检查情节严重")


@story(ends("A=issued B=refused", (1, "rescinded", "2018-03-01", "2023-02-28")))
def a_false_commitment_found_by_chance_bars(h: Holder) -> None:
    h.new("A", "2018-03-01")
    h.inspect("J1", "2018-05-01", passed=True, false=True, kind="random", result="未发现问题")
    h.new("B", "2021-04-30")


@story(ends("A=issued C=issued X=lapsed Y=issued", (3, "expired", "2018-06-01", "2023-02-28")))
def renamed_and_the_old_name_again(h: Holder) -> None:
    h.new("A", "2018-03-01")
    h.act("C", "change", "2018-04-01", change={"name": " 新名厂 ", "address": "西街"})
    h.act("X", "reissue", "2018-04-10")
    h.act("Y", "reissue", "2018-06-01", applicant=h.who(name="新名厂", address="西街"), granted_by="C")


@story(also(
    ends("M=issued", (0, "cancelled", "2017-07-01", "2024-06-30"), (1, "expired", "2018-03-01", "2021-12-31")),
    lambda shown, case: merged(shown),
))  # fmt: skip
def merged_of_imported_ones(h: Holder) -> None:
    h.import_("XK71-001-00007", "2024-06-30", "2017-07-01", "2018-01-02")
    h.import_("xk72-001-00009", "2021-12-31", "2017-01-01", "2018-01-03")
    numbers = ["XK71-001-00007", "ＸＫ72-001-00009"]
    h.act("M", "merge", "2018-03-01", granted_by=None, licence_numbers=numbers)


def merged(shown: Shown) -> None:
    assert [x["number"] for x in shown["licences"]] == ["XK71-001-00007", "XK72-001-00009"]


@story(
    ends(
        "A=issued M=issued R=issued",
        (1, "cancelled", "2018-03-01", "2023-02-28"),
        (2, "valid", "2022-03-01", "2028-02-29"),
    )
)
def an_imported_one_merged_with_ours_then_renewed(h: Holder) -> None:
    """The imported one was issued first; named by `granted_by` after the merge."""
    h.new("A", "2018-03-01", products=[{"category": "人造板"}])  # nobody else's series
    h.import_("XK73-001-00001", "2026-04-30", "2016-05-01", "2018-04-01")
    h.act(
        "M",
        "merge",
        "2018-05-01",
        granted_by=None,
        licence_numbers=["XK73-001-00001", "（青）xk03-002-00001"],
    )
    h.act("R", "renew", "2022-03-01", granted_by="M")


# ---- identity -----------------------------------------------------------------------------------------------------


@story(
    ends(
        "A=withdrawn B=refused C=issued",
        (1, "expired", "2018-03-06", "2021-03-05"),
        refusals=[("2018-03-03", "application.submitted")],
    )
)
def one_open_case_and_an_id_used_again(h: Holder) -> None:
    h.new("A", "2018-03-01", HAZARDOUS, source=EMERGENCY)
    h.new(" a ", "2018-03-01T12:00:00+08:00", HAZARDOUS, source=EMERGENCY, materials=[
        {"kind": "application-form"}, {"kind": "safety-system"}, {"kind": "emergency-plan"}])  # fmt: skip
    h.new("B", "2018-03-02", HAZARDOUS, source=EMERGENCY)
    h.new("Ａ", "2018-03-03", HAZARDOUS, source=EMERGENCY, materials=FORM)
    h.add("application.withdrawn", "2018-03-05", {"application_id": "ａ", "holder_id": h.id}, EMERGENCY)
    hazardous(h, "2018-03-06", "C")


@story(
    also(
        ends(
            "A=refused B=refused",
            refusals=[("2018-03-03", "application.submitted"), ("2018-03-04", "application.submitted")],
        ),
        reason("A", "elsewhere"),
        reason("B", "999999"),
        refusal(0, "commerce"),
        refusal(1, "630100"),
    )
)
def refused_for_every_reason(h: Holder) -> None:
    """What comes from a source that is not competent leaves the refusal alone, and no case."""
    h.new("A", "2018-03-01", products=[{"category": "elsewhere"}])
    h.new("B", "2018-03-02", applicant=h.who(division="999999"))
    h.new("C", "2018-03-03", source="urn:agency:630000:commerce")
    h.new("D", "2018-03-04", source=CITY)


@story(also(ends("A=issued", (1, "expired", "2018-03-01", "2022-02-28")), lambda shown, case: masked(shown)))
def person_of_the_same_day(h: Holder) -> None:
    """当日审核、当日办理、当日发证."""
    h.new("A", "2018-03-01T09:00:00+08:00", "special-equipment-operator", source=HALL)
    h.review("A", "2018-03-01T16:00:00+08:00", CITY)
    h.order(
        "suspended", "2018-06-01", PROVINCE, until="2018-07-01"
    )  # the same department above the authority


def masked(shown: Shown) -> None:
    number = shown["holder_id"]
    assert number[3:14] == "*" * 11
    assert {x["holder_id"] for x in shown["licences"]} == {number}


@story(
    also(
        ends(
            "A=issued",
            (1, "expired", "2018-03-01", "2023-02-28"),
            refusals=[("2019-06-01", "licence.suspended")],
        )
    )
)
def suspended_until_a_day_before(h: Holder) -> None:
    """`until` may be the event's own day, not one before it."""
    h.new("A", "2018-03-01")
    h.order("suspended", "2019-06-01", until="2019-05-01")
    h.order("suspended", "2019-06-02", until="2019-06-02")


# ---- the run ------------------------------------------------------------------------------------------------------


PERSONS = ("person_of_the_same_day",)


def holder(events: list[dict[str, Any]], name: str, n: int) -> Holder:
    if name in PERSONS:
        return Holder(events, ric(300 + n), f"P{n}", "630102")
    return Holder(events, uscc(300 + n), f"H{n}", "630225")


def everything() -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for n, (name, (tell, _)) in enumerate(STORIES.items()):
        tell(holder(events, name, n))
    clock = "urn:agency:630000:clock"
    for month in range(72):
        time = f"{2018 + month // 12}-{month % 12 + 1:02d}-01T00:00:00+08:00"
        events.append({"specversion": "1.0", "id": f"tick-{month}", "source": clock,
                       "type": "zhengzhao.clock.ticked.v1", "time": time, "data": {}})  # fmt: skip
    return sorted(events, key=lambda event: datetime.datetime.fromisoformat(event["time"]))


class Desk(Office):
    """Queries run in this process."""

    def run(
        self, *args: str | Path, code: int | None = 0, env: dict[str, str] | None = None, stdin: bytes = b""
    ) -> str:
        if args[0] not in ("holder", "case", "licence"):
            return super().run(*args, code=code, env=env, stdin=stdin)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            self.code = main([*map(str, args), "--data", str(self.data)])
        assert code in (None, self.code), (args, self.code, out.getvalue()[-1000:])
        return out.getvalue()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    office = Desk(tmp_path_factory.mktemp("six-years"))
    office.init()
    lines = everything()
    assert len(lines) > 200
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    answer = office.submit(text)
    assert (answer["accepted"], answer["rejected"]) == (len(lines), [])
    office.run("drain")
    return office


@pytest.mark.parametrize(("n", "name"), list(enumerate(STORIES)))
def test_every_story_ends_as_the_contract_demands(office: Desk, n: int, name: str) -> None:
    """States, versions, ends, refusals, due dates, reasons. Everybody's first application is called A."""
    one = holder([], name, n)
    STORIES[name][1](
        office.json("holder", "show", one.id),
        lambda app: office.json("case", "show", app, "--holder", one.id),
    )


def test_many_holders_share_an_id(office: Desk) -> None:
    """Neither touches another; without `--holder` the command asks whose."""
    office.run("case", "show", "A", code=2)


def test_numbers_have_no_gaps_and_belong_to_one(office: Desk) -> None:
    """Each series counts from one; no number twice."""
    numbers = sorted(row["number"] for row in office.rows("licence", "list"))
    assert len(numbers) == len(set(numbers))
    series = [int(number[-5:]) for number in numbers if number.startswith("(青)XK13-001-")]
    assert series == list(range(1, len(series) + 1))


def test_replay_gives_the_same_and_so_does_deciding_again(office: Desk, tmp_path: Path) -> None:
    """Byte for byte; and after a person is erased everything else still adds up (exit 3)."""
    report = office.json("replay", "--into", tmp_path / "again", "--decide")
    assert (report["findings"], report["unproved"]) == ([], [])
    person = holder([], "person_of_the_same_day", list(STORIES).index("person_of_the_same_day")).id
    office.run("holder", "erase", person, "--ground", "期满")
    report = office.json("replay", "--into", tmp_path / "erased", "--decide", code=3)
    assert (report["findings"], len(report["unproved"])) == ([], 1)
    assert office.json("holder", "show", person)["name"] == "erased"
