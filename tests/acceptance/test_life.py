"""Lives of licences from outside, by the contract's table; dates worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from story import PROVINCE, Events, Office, ric, uscc

FORM = [{"kind": "application-form"}]
CLOCK = "urn:agency:630000:clock"


def both(day: str) -> list[dict[str, str]]:
    """The two materials of an extension or a renewal."""
    return [{"kind": "application-form"}, {"kind": "commitment-letter", "signed_on": day}]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """Many holders, one each per rule; licences are named by `granted_by`."""
    office = Office(tmp_path_factory.mktemp("life"))
    office.init()
    e = Events()
    day = "2018-03-01T10:00:00+08:00"
    for n in range(1, 16):
        e.apply(day, f"N-{n}", uscc(n))

    def order(kind: str, n: int, time: str, **data: object) -> None:
        e.add(
            f"licence.{kind}", time, {"granted_by": f"N-{n}", "holder_id": uscc(n), "ground": "依法", **data}
        )

    def act(n: int, time: str, action: str, **more: object) -> None:
        materials = both(time[:10]) if action in ("extend", "renew", "merge") else FORM
        e.apply(
            time,
            str(more.pop("application_id", f"A-{n}-{action}")),
            uscc(n),
            action=action,
            granted_by=f"N-{n}",
            **{"materials": materials, "products": ..., **more},
        )

    act(
        1,
        "2018-04-02T10:00:00+08:00",
        "extend",
        products=[{"category": "人造板", "site": "新厂", "detail": "胶合板"}],
    )
    act(2, "2018-04-02T10:00:00+08:00", "change", change={"name": "青海新名化工有限公司"})
    act(3, "2018-04-02T10:00:00+08:00", "surrender")
    order("rescinded", 4, "2018-05-02T10:00:00+08:00", decided_on="2018-05-01", deceit=True)
    order("revoked", 5, "2018-05-02T10:00:00+08:00", decided_on="2018-05-02")
    order("suspended", 6, "2018-05-02T10:00:00+08:00", decided_on="2018-05-02", until="2018-06-01")
    order("withdrawn", 7, "2018-05-02T10:00:00+08:00", decided_on="2018-05-02")
    order("cancelled", 8, "2018-05-02T10:00:00+08:00", decided_on="2018-05-02")
    e.add(
        "inspection.recorded",
        "2018-03-20T10:00:00+08:00",
        {
            "inspection_id": "I-9",
            "kind": "post-issuance",
            "holder_id": uscc(9),
            "granted_by": "N-9",
            "inspectors": [
                {"id": "i1", "department": "market-regulation"},
                {"id": "i2", "department": "market-regulation"},
            ],
            "inspected_on": "2018-03-19",
            "result": "不合格",
            "passed": False,
            "commitment_false": True,
        },
    )
    e.add("clock.ticked", "2018-06-15T00:00:00+08:00", {}, CLOCK)
    # bars: 3 years from decided_on to the day before the anniversary
    e.apply("2021-04-30T10:00:00+08:00", "B-4-early", uscc(4))
    e.apply("2021-05-01T10:00:00+08:00", "B-4-late", uscc(4))
    e.apply("2021-05-01T10:00:00+08:00", "B-5-early", uscc(5))
    act(10, "2022-02-27T10:00:00+08:00", "renew", application_id="R-10-early")
    act(10, "2022-08-28T10:00:00+08:00", "renew", application_id="R-10")
    e.add("clock.ticked", "2023-03-05T00:00:00+08:00", {}, CLOCK)
    e.apply("2023-03-05T11:00:00+08:00", "N-11-again", uscc(11))
    office.tell(e)
    return office


def row(office: Office, application_id: str) -> dict[str, object]:
    return office.licence(office.case(application_id)["licence_number"])  # type: ignore[no-any-return]


def test_extension_is_the_next_version(told: Office) -> None:
    """Same number, end unchanged, both versions in the history."""
    one = row(told, "N-1")
    assert one["version"] == 2
    assert row(told, "N-1")["valid_until"] == "2023-02-28"
    assert told.case("A-1-extend")["licence_number"] == one["number"]
    pdf = told.folder / "v1.pdf"
    told.run("licence", "get", str(one["number"]), "--format", "pdf", "--version", "1", "-o", pdf)
    verdict = told.json("verify", pdf, "--at", "2023-03-05T00:30:00+08:00", code=1)
    assert (verdict["verdict"], verdict["genuine"]) == ("invalid", True)


def test_surrender_cancels(told: Office) -> None:
    """The licence is cancelled, the case ends as granted."""
    assert row(told, "N-3")["status"] == "cancelled"
    assert told.case("A-3-surrender")["state"] == "granted"


@pytest.mark.parametrize(
    ("n", "status"), [(4, "rescinded"), (5, "revoked"), (7, "withdrawn"), (8, "cancelled"), (9, "rescinded")]
)
def test_endings(told: Office, n: int, status: str) -> None:
    """撤销, 吊销, 撤回, 注销, and 撤销 after a false commitment."""
    assert status == row(told, f"N-{n}")["status"]


def test_a_suspension_ends_after_its_last_day(told: Office) -> None:
    """Valid again by itself; then expired like every other licence of that day."""
    assert row(told, "N-6")["status"] == "expired"
    events = [h["event"] for h in told.case("N-6")["history"]]
    assert events


def test_bars_end_on_the_day_before_the_anniversary(told: Office) -> None:
    """Three years after 撤销 for deceit and after 吊销."""
    assert told.case("B-4-early")["state"] == "refused"
    assert told.case("B-4-late")["state"] == "issued"
    assert told.case("B-5-early")["state"] == "refused"


def test_renewal_opens_twelve_months_before_the_end(told: Office) -> None:
    """Earlier is refused, naming the first day; within it the end moves five years on."""
    early = told.case("R-10-early")
    assert early["state"] == "refused"
    assert "2022-02-28" in early["reason"]
    assert told.case("R-10")["state"] == "issued"
    assert (row(told, "N-10")["valid_until"], row(told, "N-10")["version"]) == ("2028-02-29", 2)


def test_a_new_application_after_expiry_gets_a_new_number(told: Office) -> None:
    """An ended licence bars nobody."""
    assert told.case("N-11-again")["state"] == "issued"
    assert row(told, "N-11-again")["number"] != row(told, "N-11")["number"]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A special-equipment operator: reviewed, granted and issued the same day."""
    office = Office(tmp_path_factory.mktemp("person"))
    office.init()
    items = {r["code"]: r for r in office.rows("items", "list")}
    item = items["special-equipment-operator"]
    e = Events()
    source = "urn:agency:630225:service-hall"
    signed = set(item["signed"])
    materials = [
        {"kind": k, **({"signed_on": "2018-09-12"} if k in signed else {})} for k in item["materials"]
    ]
    e.apply(
        "2018-09-12T09:00:00+08:00",
        "P-1",
        ric(7),
        item="special-equipment-operator",
        applicant={
            "kind": "person",
            "id": ric(7),
            "name": "演示甲",
            "address": "循化县",
            "division": "630225",
        },
        products=...,
        materials=materials,
        source=source,
        **({"fields": {f["name"]: f["example"] for f in item["fields"]}} if item["fields"] else {}),
    )
    for department in item["departments"]:
        e.add(
            "application.reviewed",
            "2018-09-12T15:00:00+08:00",
            {
                "application_id": "P-1",
                "holder_id": ric(7),
                "department": department,
                "officer": "officer-1",
                "decision": "approve",
            },
            f"urn:agency:630000:{department}",
        )
    office.tell(e)
    return office


def test_a_person_gets_a_licence_the_same_day(person: Office) -> None:
    """当日审核、当日办理、当日发证; the number is masked in every output."""
    case = person.case("P-1")
    assert case["state"] == "issued"
    mask = ric(7)[:3] + "*" * 11 + ric(7)[-4:]
    assert mask == case["holder_id"]
    holder = person.json("holder", "show", ric(7))
    assert mask == holder["holder_id"]
    assert [r["issued_on"] for r in holder["licences"]] == ["2018-09-12"]


def test_a_persons_number_is_nowhere(person: Office) -> None:
    """Not in the database, the objects, the trust folder or a log."""
    number = ric(7).encode()
    for path in person.data.rglob("*"):
        assert ric(7) not in path.name
        if path.is_file():
            assert number not in path.read_bytes(), path


def test_orders_from_the_wrong_source_change_nothing(tmp_path: Path) -> None:
    """Refused, and they stand in the history and in the holder's refused."""
    office = Office(tmp_path)
    office.init()
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    e.add(
        "licence.revoked",
        "2018-03-02T10:00:00+08:00",
        {"granted_by": "N-1", "holder_id": uscc(1), "ground": "无权", "decided_on": "2018-03-02"},
        "urn:agency:630225:market-regulation",
    )
    office.tell(e)
    one = row(office, "N-1")
    assert one["status"] == "valid"
    assert any("revoked" in str(h) for h in one["history"])
    assert [r["event"] for r in office.json("holder", "show", uscc(1))["refused"]] == ["licence.revoked"]


def test_a_province_orders_its_own_licences(tmp_path: Path) -> None:
    """A suspension is visible to a verifier at once, and so is its end."""
    office = Office(tmp_path)
    office.init()
    e = Events()
    e.apply("2018-03-01T10:00:00+08:00", "N-1", uscc(1))
    e.add(
        "licence.suspended",
        "2018-03-02T10:00:00+08:00",
        {
            "granted_by": "N-1",
            "holder_id": uscc(1),
            "ground": "整改",
            "decided_on": "2018-03-02",
            "until": "2018-03-10",
        },
        PROVINCE,
    )
    office.tell(e)
    number = office.case("N-1")["licence_number"]
    pdf = office.folder / "l.pdf"
    office.run("licence", "get", number, "--format", "pdf", "-o", pdf)
    assert office.licence(number)["status"] == "suspended"
    assert office.json("verify", pdf, "--at", "2018-03-02T11:00:00+08:00", code=1)["verdict"] == "invalid"
    office.run("tick", "--at", "2018-03-11T00:00:00+08:00", "--confirm")
    office.run("drain")
    assert office.licence(number)["status"] == "valid"
    assert office.json("verify", pdf, "--at", "2018-03-11T00:00:01+08:00")["verdict"] == "valid"
