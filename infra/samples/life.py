"""What becomes of the day's licences afterwards, as events: from the week after to four years on.

Enterprises are those of `day`; the person's number belongs to nobody. Licences are named by the application that led
to them: whoever writes the event need not know the number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from infra.samples import day
from infra.samples.writing import PROVINCE, Event, citizen_id, event

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
    """Whose licence has which fate: the data of an application of the day each."""

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
    return Cast(*day.applications_of("complete")[1:6])


def visited() -> list[dict[str, Any]]:
    """Who awaits the on-site check: whoever got a licence on the day and has it still."""
    issued = [scene.name for scene in day.SCENES if scene.becomes == "issued"]
    wronged = cast().wronged["application_id"]
    return [d for name in issued for d in day.applications_of(name) if d["application_id"] != wronged]


def acts() -> list[Act]:
    """The life in its order."""
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
        "application_id": f"{was['application_id']}-{action}", "item": day.ITEM, "action": action,
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
