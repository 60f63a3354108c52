"""One registration with several filings (多证合一), as events: what the window sends and what departments answer."""

from __future__ import annotations

from infra.samples.writing import Event, event, uscc

HOLDER = uscc(20_220_920, "630102")
NAME = "青海河湟远达国际贸易有限公司"
APPLICATION = "QH-2022-R00001"
AT = "2022-09-23T18:00:00+08:00"
HALL = "urn:agency:630102:service-hall"
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
    """From the one form to the answers; one department answers what is another's, and is refused."""
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
