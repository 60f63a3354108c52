"""Later events of the day's licences: from the week after to four years on.

Enterprises are those of `day`; the person's number belongs to nobody. Licences are named by the application that led
to them: whoever writes the event need not know the number.

One registration with several filings (多证合一), as events: what the window sends and what departments answer.

A small random draw (双随机) over the licences of the story: classes of holders, plan, inspectors, conflicts.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from infra.demo import samples_day
from infra.demo.samples_day import PROVINCE, Event, citizen_id, event, uscc

CLOCK = "urn:agency:630000:clock"
HALL = "urn:agency:630102:service-hall"
CITY = "urn:agency:630100:market-regulation"
NEW_NAME = "青海河湟新程化肥有限公司"
PERSON = citizen_id("630102")
PERSON_NAME = "扎西措"
CERTIFICATE, RENEWAL = "QH-2018-P00001", "QH-2022-P00001"
_FORM = [{"kind": "application-form"}]
_EXAMINED = [*_FORM, {"kind": "examination-record"}]
_INSPECTORS = [
    {"id": "J001", "department": "market-regulation"},
    {"id": "J002", "department": "market-regulation"},
]


class Cast(NamedTuple):
    """The licences of the story by their fate: the data of an application of the day each."""

    extended: dict[str, Any]
    renamed: dict[str, Any]
    suspended: dict[str, Any]
    deceived: dict[str, Any]
    wronged: dict[str, Any]


class Act(NamedTuple):
    """Events up to a moment at which somebody looks."""

    name: str
    at: str
    events: list[Event]


def cast() -> Cast:
    """Five enterprises of those whose applications were complete."""
    return Cast(*samples_day.applications_of("complete")[1:6])


def visited() -> list[dict[str, Any]]:
    """Return the holders who await the on-site check: they got a licence on the day and have it still."""
    issued = [scene.name for scene in samples_day.SCENES if scene.becomes == "issued"]
    wronged = cast().wronged["application_id"]
    return [d for name in issued for d in samples_day.applications_of(name) if d["application_id"] != wronged]


def acts() -> list[Act]:
    """Return the life in its order."""
    who = cast()
    return [
        Act("week-after", "2018-09-20T18:00:00+08:00", _week_after(who)),
        Act("on-site", "2018-10-09T18:00:00+08:00", _on_site(who)),
        Act("october", "2018-10-20T18:00:00+08:00", _october(who)),
        Act("four-years-on", "2022-09-15T18:00:00+08:00", _four_years_on()),
    ]


def _week_after(who: Cast) -> list[Event]:
    on = "2018-09-20"
    letter = {"kind": "commitment-letter", "signed_on": on}
    further = [{"category": "人造板", "site": "八一路工业园新厂房", "detail": "胶合板"}]
    return [
        _certificate("life-01", CERTIFICATE, "2018-09-13T09:05:00+08:00", "new"),
        _approval("life-02", CERTIFICATE, "2018-09-13T14:40:00+08:00"),
        _action(
            "life-03", f"{on}T09:00:00+08:00", who.extended, "extend", [*_FORM, letter], products=further
        ),
        _action("life-04", f"{on}T09:30:00+08:00", who.renamed, "change", _FORM, change={"name": NEW_NAME}),
        _order("life-05", "suspended", f"{on}T10:00:00+08:00", who.suspended, "责令整改", until="2018-10-19"),
        _order("life-06", "rescinded", f"{on}T10:30:00+08:00", who.wronged, "认定申请材料虚假", deceit=True),
    ]


def _on_site(who: Cast) -> list[Event]:
    first = [
        _visit(f"HC-{n:03d}", n, data, false=data["application_id"] == who.deceived["application_id"])
        for n, data in enumerate(visited(), 1)
    ]
    return [*first, _visit("HC-NEW-SITE", len(first) + 1, who.extended, false=False)]


def _visit(own: str, n: int, data: dict[str, Any], *, false: bool) -> Event:
    found = {"findings": "厂房内没有承诺书所列的生产设备"} if false else {}
    record = {
        "inspection_id": own,
        "kind": "post-issuance",
        "holder_id": data["applicant"]["id"],
        "granted_by": data["application_id"],
        "inspectors": _INSPECTORS,
        "inspected_on": "2018-10-09",
        "result": "现场与承诺不符" if false else "与承诺一致",
        "passed": not false,
        "commitment_false": false,
        **found,
    }
    time = f"2018-10-09T{9 + n // 60:02d}:{n % 60:02d}:00+08:00"
    return event(f"check-{n:03d}", "inspection.recorded", time, record)


def _october(who: Cast) -> list[Event]:
    again = {
        **who.deceived,
        "application_id": "QH-2018-900001",
        "materials": [
            *_FORM,
            {"kind": "commitment-letter", "signed_on": "2018-10-12"},
            {"kind": "business-licence"},
        ],
    }
    return [
        event("life-07", "application.submitted", "2018-10-12T09:00:00+08:00", again),
        _order("life-08", "annulled", "2018-10-15T15:00:00+08:00", who.wronged, "行政复议决定撤销原决定"),
        event("tick-01", "clock.ticked", "2018-10-20T00:00:00+08:00", {}, CLOCK),
    ]


def _four_years_on() -> list[Event]:
    return [
        _certificate("life-09", RENEWAL, "2022-03-01T09:00:00+08:00", "renew", granted_by=CERTIFICATE),
        event("tick-02", "clock.ticked", "2022-09-15T00:00:00+08:00", {}, CLOCK),
    ]


def _certificate(own: str, application: str, time: str, action: str, **more: str) -> Event:
    applicant = {
        "kind": "person", "id": PERSON, "name": PERSON_NAME, "address": "西宁市城东区八一路", "division": "630102",
    }  # fmt: skip
    data = {
        "application_id": application, "item": "special-equipment-operator", "action": action,
        "applicant": applicant, "materials": _EXAMINED if action == "new" else _FORM,
        "channel": "window", "window": "630102", **more,
    }  # fmt: skip
    return event(own, "application.submitted", time, data, HALL)


def _approval(own: str, application: str, time: str) -> Event:
    data = {
        "application_id": application, "holder_id": PERSON, "department": "market-regulation",
        "officer": "S017", "decision": "approve",
    }  # fmt: skip
    return event(own, "application.reviewed", time, data, CITY)


def _action(
    own: str, time: str, was: dict[str, Any], action: str, materials: list[dict[str, str]], **more: Any
) -> Event:
    data = {
        "application_id": f"{was['application_id']}-{action}", "item": samples_day.ITEM, "action": action,
        "granted_by": was["application_id"], "applicant": was["applicant"], "materials": materials,
        "channel": "online", "window": was["window"], **more,
    }  # fmt: skip
    return event(own, "application.submitted", time, data)


def _order(own: str, kind: str, time: str, was: dict[str, Any], ground: str, **more: Any) -> Event:
    data = {
        "granted_by": was["application_id"], "holder_id": was["applicant"]["id"], "ground": ground,
        "decided_on": time[:10], **more,
    }  # fmt: skip
    name = "decision.annulled" if kind == "annulled" else f"licence.{kind}"
    return event(own, name, time, data, PROVINCE)


HOLDER = uscc(20_220_920, "630102")
NAME = "青海河湟远达国际贸易有限公司"
APPLICATION = "QH-2022-R00001"
AT = "2022-09-23T18:00:00+08:00"
# the filings chosen, with their departments
FILINGS = {
    "seal-engraving-filing": "public-security",
    "customs-registration": "customs",
    "freight-forwarder-filing": "commerce",
    "recycling-filing": "commerce",
}
RETURNED = "freight-forwarder-filing"
WAITING = "recycling-filing"  # received, and not answered yet
_SHARED = {
    "enterprise-type": "有限责任公司(自然人独资)",
    "legal-representative": "韩某某",
    "registered-capital": "500",
    "established-on": "2022-09-20",
    "business-scope": "货物进出口；再生资源回收；矿产品、建筑材料、五金交电、日用百货、农副产品销售；国际货运代理",
    "seal-kinds": "公章、财务章",
    "english-name": "Qinghai Yuanda Co., Ltd.",
    "customs-code": "9701",
    "recycled-goods": "废钢铁",
    "site-address": "西宁市城东区八一路9号",
}


def events() -> list[Event]:
    """Return the events from the one form to the answers; one department answers for another and is refused."""
    applicant = {
        "kind": "enterprise", "id": HOLDER, "name": NAME, "address": "青海省西宁市城东区八一路9号", "division": "630102",
    }  # fmt: skip
    data = {
        "application_id": APPLICATION, "applicant": applicant, "items": [{"item": item} for item in FILINGS],
        "shared": _SHARED, "materials": [{"kind": "application-form"}],
    }  # fmt: skip
    return [
        event("reg-01", "registration.submitted", "2022-09-20T09:00:00+08:00", data, HALL),
        _answer("reg-02", "claimed", "2022-09-21T09:00:00+08:00", "seal-engraving-filing"),
        _answer("reg-03", "claimed", "2022-09-21T10:00:00+08:00", "customs-registration"),
        _answer("reg-04", "claimed", "2022-09-21T11:00:00+08:00", RETURNED, department="customs"),
        _answer("reg-05", "returned", "2022-09-21T15:00:00+08:00", RETURNED, reason="英文名称与章程不一致"),
        _answer(
            "reg-06", "corrected", "2022-09-22T09:00:00+08:00", RETURNED, source=HALL,
            answers={"english-name": "Qinghai Yuanda International Trade Co., Ltd."},
        ),
        _answer("reg-07", "received", "2022-09-22T10:00:00+08:00", WAITING),
        _answer("reg-08", "claimed", "2022-09-23T09:00:00+08:00", RETURNED),
    ]  # fmt: skip


def _answer(
    own: str, kind: str, time: str, item: str, *, department: str = "", source: str = "", **more: object
) -> Event:
    department = department or FILINGS[item]
    data = {
        "filing_id": f"{APPLICATION}:{item}",
        "holder_id": HOLDER,
        "department": department,
        **more,
    }
    return event(own, f"filing.{kind}", time, data, source or f"urn:agency:630102:{department}")


ANNOUNCED, INSPECTED = "2022-10-10T18:00:00+08:00", "2022-10-20T18:00:00+08:00"
PARTIES = ("market-regulation", "discipline-inspection")
SMALL = "fertiliser"  # the stratum that the recipe draws again by hand
CATEGORY = "化肥"
RATIO, REST = "0.20", 8
PLAN = f"""\
plan = "QH-2022-10"
item = "industrial-product-licence"
title = "工业产品生产许可证获证企业双随机抽查"
authority = "urn:agency:630000:market-regulation"
period = ["2022-10-17", "2022-11-30"]
inspectors_per_target = 2
qualification = "market"
weights = {{ A = 1, B = 2, C = 4, D = 8 }}

[[strata]]
name = "{SMALL}"
where = {{ categories = "{CATEGORY}" }}
ratio = "{RATIO}"

[[strata]]
name = "rest"
where = {{}}
count = {REST}

[seed]
parties = ["{PARTIES[0]}", "{PARTIES[1]}"]
"""
_DIVISIONS = ("630000", "630000", "630100", "630200")
_INSPECTION_STAFF = 16


def classifications(holders: Iterable[str]) -> list[Event]:
    """Return a credit class (信用风险分类) for every holder, by a hash of its code."""
    return [
        event(
            f"class-{n:03d}",
            "holder.classified",
            "2022-10-08T09:00:00+08:00",
            {
                "holder_id": holder,
                "credit_class": "AABBBBCD"[hashlib.sha256(holder.encode()).digest()[0] % 8],
            },
        )
        for n, holder in enumerate(sorted(holders), 1)
    ]


def inspectors() -> list[tuple[str, ...]]:
    """Return the register of inspectors, its header first."""
    return [
        ("id", "name", "department", "division", "qualifications"),
        *(
            (f"J{n:03d}", f"检查员{n}", "market-regulation", _DIVISIONS[n % 4], "market" if n % 2 else "market;measurement")
            for n in range(1, _INSPECTION_STAFF + 1)
        ),
    ]  # fmt: skip


def conflicts(targets: Sequence[str]) -> list[tuple[str, ...]]:
    """Conflicts of interest: some inspectors may not visit some of the targets."""
    return [
        ("inspector_id", "target_id", "reason"),
        *((f"J{n % _INSPECTION_STAFF + 1:03d}", target, "亲属任职") for n, target in enumerate(targets[::9])),
    ]


def result(inspection_id: str, holder: str, number: str, who: Sequence[str]) -> Event:
    """Return the event of a visit to a drawn target at which the promised condition is missing."""
    data = {
        "inspection_id": inspection_id,
        "kind": "random",
        "holder_id": holder,
        "licence_number": number,
        "inspectors": [{"id": one, "department": "market-regulation"} for one in who],
        "inspected_on": INSPECTED[:10],
        "result": "违反质量技术监督相关规定",
        "passed": False,
        "commitment_false": True,
        "findings": "承诺的出厂检验从未开展",
    }
    return event("draw-01", "inspection.recorded", "2022-10-20T15:00:00+08:00", data)


def write(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Return a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
