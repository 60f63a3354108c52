"""Ids that were made here of a long application id can be named by those who got them."""

from story import Events, uscc
from world import World

LONG = "申" * 64
DAY = "2018-03-01T10:00:00+08:00"


def test_a_filing_of_a_long_application_can_be_claimed() -> None:
    """`<application_id>:<item>` may be longer than any id that a sender makes."""
    e = Events()
    hall = "urn:agency:630225:service-hall"
    shared = {
        "legal-representative": "丙", "registered-capital": "1", "business-scope": "丁", "recycled-goods": "废金属",
        "site-address": "东街",
    }  # fmt: skip
    applicant = {"kind": "enterprise", "id": uscc(1), "name": "甲", "address": "乙", "division": "630225"}
    e.add(
        "registration.submitted", DAY,
        {"application_id": LONG, "applicant": applicant, "items": [{"item": "recycling-filing"}],
         "materials": [{"kind": "application-form"}], "shared": shared},
        hall,
    )  # fmt: skip
    e.add(
        "filing.claimed", "2018-03-02T10:00:00+08:00",
        {"filing_id": f" {LONG}:Recycling-filing", "holder_id": uscc(1), "department": "commerce"},
        "urn:agency:630225:commerce",
    )  # fmt: skip
    (filing,) = World().tell(e.lines).holder(uscc(1))["filings"]
    assert (filing["filing_id"], filing["state"]) == (f"{LONG}:recycling-filing", "claimed")


def test_a_check_of_a_long_application_can_be_recorded_under_its_id() -> None:
    """`<application_id>:check`, as `check list` shows it."""
    e = Events()
    e.apply(DAY, LONG, uscc(1))
    e.add(
        "inspection.recorded", "2018-03-05T10:00:00+08:00",
        {"inspection_id": f"{LONG}:check", "kind": "post-issuance", "holder_id": uscc(1), "granted_by": LONG,
         "inspectors": [{"id": n, "department": "market-regulation"} for n in ("1", "2")],
         "inspected_on": "2018-03-05", "result": "符合", "passed": True, "commitment_false": False},
    )  # fmt: skip
    (check,) = World().tell(e.lines).holder(uscc(1))["checks"]
    assert (check["inspection_id"], check["state"]) == (f"{LONG}:check", "passed")
