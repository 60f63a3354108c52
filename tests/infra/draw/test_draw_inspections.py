"""From issued licences to a draw, its inspections, and the end of a licence whose check failed."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.draw import results_page
from tests.infra.draw.conftest import PLAN, Office
from tests.infra.draw.test_draw_annual import YEAR

USCCS = ("9163000071040638XJ", "914403001922038216")
PLAN_OF_LICENCES = (
    PLAN.replace(
        'where = { category = "auction" }\nratio = "0.20"',
        'where = { item = "industrial-product-licence" }\nratio = "1"',
    )
    .replace('[[strata]]\nname = "rest"\nwhere = {}\ncount = 9\n', "")
    .replace('"auction"', '"products"')
    .replace('period = ["2018-04-01", "2018-06-30"]', 'period = ["2018-10-01", "2018-12-31"]')
)


def applied(uscc: str, number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"E{number}",
        "source": "urn:agency:630000:market-regulation",
        "type": "zhengzhao.application.submitted.v1",
        "time": "2018-09-10T09:12:00+08:00",
        "data": {
            "application_id": f"QH-2018-{number:06d}",
            "item": "industrial-product-licence",
            "action": "new",
            "applicant": {
                "kind": "enterprise",
                "id": uscc,
                "name": f"化肥厂{number}",
                "address": "街 1 号",
                "division": "630225",
            },
            "products": [{"category": "化肥", "site": "街 1 号", "detail": "复合肥"}],
            "materials": [
                {"kind": "application-form"},
                {"kind": "commitment-letter", "signed_on": "2018-09-09"},
                {"kind": "business-licence"},
            ],
            "channel": "online",
            "window": "630225",
        },
    }


@pytest.fixture
def transcript(issuing_office: Office) -> Path:
    """Two licences issued, snapshot taken, both drawn."""
    events = [applied(uscc, n) for n, uscc in enumerate(USCCS, 1)]
    issuing_office.path("events.jsonl").write_text(
        "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in events)
    )
    issuing_office.ok("submit", issuing_office.path("events.jsonl"))
    issuing_office.ok("drain")
    issuing_office.ok("register", "snapshot", "-o", issuing_office.path("R.csv"))
    issuing_office.inspectors = [
        {
            "id": f"I{n}",
            "name": "x",
            "department": "market-regulation",
            "division": "630000",
            "qualifications": "market",
        }
        for n in range(3)
    ]
    issuing_office.write("I.csv", issuing_office.inspectors)
    issuing_office.path("C.csv").write_text("inspector_id,target_id,reason\n")
    return issuing_office.draw(plan=issuing_office.plan(PLAN_OF_LICENCES))


def numbers(issuing_office: Office) -> list[str]:
    return [
        json.loads(line)["number"] for line in issuing_office.ok("licence", "list", "--json").splitlines()
    ]


def test_snapshot_is_a_register_of_the_licences(issuing_office: Office, transcript: Path) -> None:
    """Each living licence is a target under its number, with its holder's division and class."""
    shown = json.loads(issuing_office.ok("register", "show", issuing_office.path("R.csv"), "--json"))
    assert (shown["count"], shown["columns"][:4]) == (2, ["id", "name", "division", "credit_class"])
    drawn = [d["id"] for s in json.loads(transcript.read_bytes())["strata"] for d in s["drawn"]]
    assert sorted(drawn) == sorted(numbers(issuing_office))
    assert issuing_office.failed(transcript) == []


def test_failed_inspection_ends_the_licence(issuing_office: Office, transcript: Path) -> None:
    """A drawn licence whose commitment proves false is rescinded, and `verify` refuses it from then on."""
    number, other = numbers(issuing_office)
    issuing_office.ok("licence", "get", number, "--format", "pdf", "-o", issuing_office.path("licence.pdf"))
    assert issuing_office("verify", issuing_office.path("licence.pdf"), "--at", "2018-10-10")[0] in (0, 3)
    issuing_office.ok(
        "inspect", "record", transcript, "--target", number, "--result", "公示信息隐瞒真实情况弄虚作假",
        "--failed", "--commitment-false", "--at", "2018-10-15T10:00:00+08:00",
    )  # fmt: skip
    issuing_office.ok(
        "inspect", "record", transcript, "--target", other, "--result", "未发现问题", "--passed",
        "--at", "2018-10-15T11:00:00+08:00",
    )  # fmt: skip
    issuing_office.ok("drain")
    shown = json.loads(issuing_office.ok("licence", "show", number, "--json"))
    assert shown["status"] == "rescinded"
    assert (
        issuing_office("verify", issuing_office.path("licence.pdf"), "--at", "2018-10-16T00:00:00+08:00")[0]
        == 1
    )
    rows = [
        json.loads(line) for line in issuing_office.ok("inspect", "list", transcript, "--json").splitlines()
    ]
    assert {"done"} == {row["state"] for row in rows}
    answer = json.loads(
        issuing_office.ok("inspect", "publish", transcript, "-o", issuing_office.path("out"), "--json")
    )
    assert (answer["published"], answer["to_come"], answer["late"]) == (2, 0, 2)
    table = (issuing_office.path("out") / "results.csv").read_text()
    assert "2018-11-12" in table  # twenty working days after 15 October 2018
    assert "未发现问题" in (issuing_office.path("out") / "index.html").read_text()


def test_result_needs_an_official_text(issuing_office: Office, transcript: Path) -> None:
    """A result that is no official text is refused; so is a target that was not drawn."""
    number = numbers(issuing_office)[0]
    words = [
        "inspect",
        "record",
        transcript,
        "--target",
        number,
        "--passed",
        "--at",
        "2018-10-15T10:00:00+08:00",
    ]
    assert issuing_office(*words, "--result", "挺好")[0] == 1
    words[4] = "T1"
    assert issuing_office(*words, "--result", "未发现问题")[0] == 1


def test_visits_of_several_departments_are_joint(issuing_office: Office, transcript: Path) -> None:
    """Two draws of one target by two authorities make one visit; unrecorded ones past the period are overdue."""
    text = PLAN_OF_LICENCES.replace("market-regulation", "fire-rescue").replace(
        "publicity-check", "fire-safety"
    )
    second = issuing_office.draw("2", issuing_office.plan(text, "fire.toml"))
    code, out, err = issuing_office("inspect", "list", transcript, second, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, len(rows), "overdue" in err) == (0, 2, True)
    assert [(True, 2, "overdue")] * 2 == [(r["joint"], len(r["departments"]), r["state"]) for r in rows]


def test_register_is_kept_under_its_digest(office: Office) -> None:
    """An imported register is found by its digest; an unknown digest is told so."""
    kept = json.loads(office.ok("register", "import", office.path("R.csv"), "--json"))
    shown = json.loads(office.ok("register", "show", kept["digest"], "--json"))
    assert kept == shown
    assert office("register", "show", "0" * 64)[0] == 1
    assert office("register", "show", office.path("none.csv"))[0] == 2
    assert office("register", "show", office.path("R.csv"), "--kind", "inspectors")[0] == 1


def test_pages_have_no_network_and_no_persons(office: Office) -> None:
    """Pages load nothing, mask persons, show conflicts as digests, and wait for `publish_after`."""
    person = "632801199001011236"
    for row in office.rows:
        if row["id"] == "T001":
            row |= {"id": person, "name": "王小明", "category": "auction", "credit_class": "D"}
    for conflict in office.conflicts:
        conflict["target_id"] = person if conflict["target_id"] == "T001" else conflict["target_id"]
    office.write_all()
    text = PLAN.replace('ratio = "0.20"', 'ratio = "1"')
    transcript = office.draw(plan=office.plan(text))
    words = [
        "draw",
        "show",
        transcript,
        "--page",
        office.path("page.html"),
        "--register",
        office.path("R.csv"),
    ]
    office.ok(*words, "--before", office.path("R.csv"))
    page = office.path("page.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert person not in page
    assert "632***********1236" in page
    assert "王小明" not in page
    assert "亲属" not in page
    closed = office.draw(
        "2", office.plan('publish_after = "2999-01-01"\n' + text.replace("QH-1", "QH-2"), "p2.toml")
    )
    office.ok("draw", "show", closed, "--page", office.path("page.html"))
    assert "T004" not in office.path("page.html").read_text()
    office.ok("draw", "show", office.path("A2.json"), "--page", office.path("page.html"))


def test_page_of_an_announcement(office: Office) -> None:
    """The page of an announcement has chances by class, the smallest choice of inspectors, and what changed."""
    office.write("before.csv", [*office.rows[5:], {**office.rows[0], "id": "T900"}])
    for row in office.rows[:7]:
        row["credit_class"] = "C"
    office.write_all()
    words = office.announce_words(
        more=["--page", office.path("a.html"), "--before", office.path("before.csv")]
    )
    office.ok(*words)
    page = office.path("a.html").read_text()
    assert "smallest choice of inspectors" in page
    assert '<dt>新增<small lang="en">added</small></dt><dd>5</dd>' in page
    assert '<dt>移出<small lang="en">removed</small></dt><dd>1</dd>' in page
    assert '<dt>等级变化<small lang="en">reclassified</small></dt><dd>1</dd>' in page
    assert "chance by credit class" in page
    assert "青海省市场监督管理局" in page
    assert re.search(r"3 / 15 户", page)


def test_changes_since_the_imported_register(office: Office) -> None:
    """Without being told, the page compares with the register of the draw before, where that was imported."""
    office.ok("register", "import", office.path("R.csv"))
    office.announce("1")
    office.rows = office.rows[1:]
    office.conflicts = [c for c in office.conflicts if c["target_id"] != "T000"]
    office.write_all()
    second = office.plan(PLAN.replace("QH-1", "QH-2"), "second.toml")
    office.announce("2", second, ["--page", office.path("a.html")])
    assert '<dt>移出<small lang="en">removed</small></dt><dd>1</dd>' in office.path("a.html").read_text()


def test_labels_of_a_result(office: Office) -> None:
    """Bars say what they count: targets by the name of their division, inspectors by their visits."""
    transcript = office.draw()
    office.ok("draw", "show", transcript, "--page", office.path("t.html"), "--register", office.path("R.csv"))
    page = office.path("t.html").read_text()
    assert re.search(r"城东区 630102</span>.*?\d 户 / \d targets</span>", page)
    assert re.search(r"\d 户 / \d visits</span>.*?\d 人 / \d+ inspectors</span>", page)


def test_a_year_says_who_comes_together(office: Office) -> None:
    """With the year's plan `inspect list` makes a joint visit of what one department has drawn for several."""
    year = office.plan(YEAR, "year.toml")
    office.ok("draw", "plan", year, "-o", office.path("plans"))
    transcript = office.draw(plan=office.path("plans") / "QH-2018-auction-1.toml")
    rows = [
        json.loads(line)
        for line in office.ok("inspect", "list", transcript, "--annual", year, "--json").splitlines()
    ]
    both = ["urn:agency:630000:market-regulation", "urn:agency:630000:commerce"]
    assert [(True, both)] * 3 == [(row["joint"], row["departments"]) for row in rows]
    alone = json.loads(office.ok("inspect", "list", transcript, "--json").splitlines()[0])
    assert (False, both[:1]) == (alone["joint"], alone["departments"])


def test_only_drawn_inspectors_are_recorded(issuing_office: Office, transcript: Path) -> None:
    """Somebody who was not drawn for a target is refused; departments come from the announced register."""
    visit = json.loads(transcript.read_bytes())["assignments"][0]
    words = [
        "inspect", "record", transcript, "--target", visit["target"], "--result", "未发现问题", "--passed",
        "--at", "2018-10-15T10:00:00+08:00", "--source", "urn:agency:630000:market-regulation", "--event-only",
    ]  # fmt: skip
    (other,) = {f"I{n}" for n in range(3)} - set(visit["inspectors"])
    assert issuing_office(*words, "--inspector", visit["inspectors"][0], "--inspector", other)[0] == 1
    assert issuing_office(*words, "--inspectors", issuing_office.path("R.csv"))[0] == 1
    event = json.loads(issuing_office.ok(*words, "--inspectors", issuing_office.path("I.csv")))
    assert {"market-regulation"} == {i["department"] for i in event["data"]["inspectors"]}


def test_results_hold_no_formula() -> None:
    """A cell that a spreadsheet would compute is quoted in CSV, and text in the workbook."""
    row = dict.fromkeys(results_page._COLUMNS, "x") | {"target": "=1+1", "late": True}
    assert "'=1+1" in results_page.results_csv([row])
    assert results_page.results_xlsx([row])[:2] == b"PK"


@pytest.fixture
def plain(issuing_office: Office) -> Path:
    """A draw among targets that hold no licence here."""
    return issuing_office.draw()


def recorded(office: Office, transcript: Path, target: str, day: str, *more: str) -> dict[str, Any]:
    """The event by which the visit of a target is recorded."""
    said = office.ok(
        "inspect", "record", transcript, "--target", target, "--result", "未发现问题", "--passed",
        "--at", f"{day}T10:00:00+08:00", "--event-only", *more,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(said)
    return found


def submitted(office: Office, *events: dict[str, Any]) -> None:
    path = office.path("events.jsonl")
    path.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events))
    office.ok("submit", path)
    office.ok("drain")


def refusals(office: Office, holder: str) -> list[str]:
    shown = json.loads(office.ok("holder", "show", holder, "--json"))
    return [one["reason"] for one in shown["refused"]]


def test_any_drawn_target_is_recorded(issuing_office: Office, plain: Path) -> None:
    """A target without a licence stands under its own id; departments come from the register that was announced."""
    visit = json.loads(plain.read_bytes())["assignments"][0]
    event = recorded(issuing_office, plain, visit["target"], "2018-05-02")
    data = event["data"]
    digest = json.loads(plain.read_bytes())["announcement_digest"]
    department = {row["id"]: row["department"] for row in issuing_office.inspectors}
    assert (digest, visit["target"]) == (data["draw"], data["target"])
    assert not data.keys() & {"licence_number", "holder_id"}
    assert [{"id": i, "department": department[i]} for i in visit["inspectors"]] == data["inspectors"]
    submitted(issuing_office, event)
    rows = map(json.loads, issuing_office.ok("inspect", "list", plain, "--json").splitlines())
    states = {row["target"]: row["state"] for row in rows}
    assert {"done"} == {state for target, state in states.items() if target == visit["target"]}
    assert {"overdue"} == {state for target, state in states.items() if target != visit["target"]}
    (check,) = json.loads(issuing_office.ok("holder", "show", visit["target"], "--json"))["checks"]
    assert ("passed", None) == (check["state"], check["licence_number"])


def test_events_of_other_inspectors_have_no_effect(issuing_office: Office, plain: Path) -> None:
    """Whoever was not drawn, another target, an unknown draw and another agency are refused by an event."""
    visits = json.loads(plain.read_bytes())["assignments"]
    first, second = visits[0], visits[1]
    event = recorded(issuing_office, plain, first["target"], "2018-05-02")
    stranger = next(i["id"] for i in issuing_office.inspectors if i["id"] not in first["inspectors"])

    def other(number: int, **changed: Any) -> dict[str, Any]:
        data = event["data"] | {"inspection_id": f"X-{number}"} | changed.pop("data", {})
        return event | {"id": f"X{number}"} | changed | {"data": data}

    submitted(
        issuing_office,
        other(1, data={"inspectors": [*event["data"]["inspectors"][:1], {"id": stranger, "department": "d0"}]}),
        other(2, data={"draw": "0" * 64}),
        other(3, source="urn:agency:440000:market-regulation"),
        other(4, source="urn:agency:630000:fire-rescue"),
        other(5, data={"inspectors": event["data"]["inspectors"][:1]}),
        other(6, data={"target": "T999"}),
        other(7, data={"target": second["target"]}),
        event,
        other(8),
    )  # fmt: skip
    told = refusals(issuing_office, first["target"])
    assert [stranger in told[0], "0" * 64 in told[1]] == [True, True]
    assert ["440000" in told[2], "fire-rescue" in told[3], "two" in told[4]] == [True, True, True]
    assert ("recorded already" in told[5], len(told)) == (True, 6)
    assert "not drawn" in refusals(issuing_office, "T999")[0]
    assert "neither drawn" in refusals(issuing_office, second["target"])[0]


def test_replaced_inspector_is_the_one_who_may_record(issuing_office: Office, plain: Path) -> None:
    """After a replacement the newcomer's record counts, and that of the one who was replaced does not."""
    visit = json.loads(plain.read_bytes())["assignments"][0]
    old = recorded(issuing_office, plain, visit["target"], "2018-05-02")
    issuing_office.ok(
        "draw", "replace", plain, *issuing_office.registers, "--unavailable", visit["inspectors"][0],
        "--target", visit["target"], "--reason", "病假",
    )  # fmt: skip
    submitted(issuing_office, old)
    assert visit["inspectors"][0] in refusals(issuing_office, visit["target"])[0]
    submitted(issuing_office, recorded(issuing_office, plain, visit["target"], "2018-05-03"))
    assert len(refusals(issuing_office, visit["target"])) == 1


def test_publication_is_an_event_and_late_for_good(issuing_office: Office, plain: Path) -> None:
    """Each first publication is told with digest and day; what came after its last day stays late, and `doctor` alarms."""
    visits = json.loads(plain.read_bytes())["assignments"]
    for n, day in enumerate(("2018-05-02", "2018-05-31")):
        submitted(issuing_office, recorded(issuing_office, plain, visits[n]["target"], day))
    told = issuing_office("doctor", "--json")[1]
    assert "2 results" in told
    words = [
        "inspect",
        "publish",
        plain,
        "-o",
        issuing_office.path("out"),
        "--register",
        issuing_office.path("R.csv"),
    ]
    day = "2018-06-04T09:00:00+08:00"
    nowhere = issuing_office("inspect", "publish", plain, "-o", issuing_office.path("R.csv"), "--at", day)
    assert nowhere[0] == 2
    issuing_office.ok("drain")
    event = json.loads(issuing_office.ok(*words, "--at", day, "--event-only"))
    answer = json.loads(issuing_office.ok(*words, "--at", day, "--json"))
    assert ("zhengzhao.inspections.published.v1", answer["digest"]) == (
        event["type"],
        event["data"]["digest"],
    )
    assert (2, len(visits) - 2, 1, 0) == tuple(answer[k] for k in ("published", "to_come", "late", "overdue"))
    table = (issuing_office.path("out") / "results.csv").read_bytes()
    assert hashlib.sha256(table).hexdigest() == answer["digest"]
    page = (issuing_office.path("out") / "index.html").read_text()
    name = {row["id"]: row["name"] for row in issuing_office.rows}[visits[0]["target"]]
    assert name in page
    assert "青海省市场监督管理局" in page
    assert "逾期 / late" in page
    issuing_office.ok("drain")
    again = json.loads(issuing_office.ok(*words, "--at", "2018-08-01T09:00:00+08:00", "--json"))
    assert ([], 1, len(visits) - 2) == (again["events"], again["late"], again["overdue"])
    rows = map(json.loads, issuing_office.ok("inspect", "list", plain, "--json").splitlines())
    inspections = {row["target"]: row["inspections"][0] for row in rows}
    first, second = (inspections[visit["target"]] for visit in visits[:2])
    assert [("2018-06-04", True), ("2018-06-04", False)] == [
        (i["published_on"], i["late"]) for i in (first, second)
    ]
    told = issuing_office("doctor", "--json")[1]
    assert ("not published" in told, f"{len(visits) - 2} visits" in told) == (False, True)


def test_only_the_authority_publishes(issuing_office: Office, plain: Path) -> None:
    """Another agency, another day than the event's, and an unknown draw are refused by an event."""
    digest = json.loads(plain.read_bytes())["announcement_digest"]

    def told(number: int, **changed: Any) -> dict[str, Any]:
        data = {"draw": digest, "digest": "1" * 64, "published_on": "2018-06-04"} | changed.pop("data", {})
        return {
            "specversion": "1.0", "id": f"P{number}", "source": "urn:agency:630000:market-regulation",
            "type": "zhengzhao.inspections.published.v1", "time": "2018-06-04T09:00:00+08:00", "data": data,
        } | changed  # fmt: skip

    submitted(
        issuing_office, told(1), told(2, source="urn:agency:630000:fire-rescue"),
        told(3, data={"published_on": "2018-06-01"}), told(4, data={"draw": "2" * 64}),
    )  # fmt: skip
    assert ["fire-rescue" in one for one in refusals(issuing_office, digest)] == [True, False]
    assert len(refusals(issuing_office, "2" * 64)) == 1
    issuing_office.path("bad.jsonl").write_text(json.dumps(told(5, data={"digest": "x"})) + "\n")
    assert issuing_office("submit", issuing_office.path("bad.jsonl"))[0] == 1
