"""A person's number in every free text and id that an agency could put it into: it is found nowhere afterwards."""

from __future__ import annotations

import contextlib
import io
import itertools
import tarfile
from pathlib import Path
from typing import Any

import pytest
from story import Events, Office, ric

from infra.cli import main

NUMBER, OTHER = ric(21), ric(22)
MASK = NUMBER[:3] + "*" * 11 + NUMBER[-4:]
SPACED = f"{NUMBER[:6]} {NUMBER[6:14]} {NUMBER[14:]}"
TEXT = f"证件{NUMBER}，又作（{SPACED}）、ID{NUMBER}；2018{NUMBER}"
CITY = "urn:agency:630100:market-regulation"
SITE, DETAIL = "城东区个人作坊七号", "手工雪茄"
ITEM = """
code = "personal-trade"
name = { zh = "个人制品许可", en = "Personal trade licence" }
mode = "review"
department = "market-regulation"
level = "prefecture"
holder = "person"
type_code = "11100000MB0143028R009"
validity_years = 4
template = "general"
handling = "马上办"
materials_before = 6
legal_basis = "示例"
limits = { promised = 1, statutory = 20, correction = 20 }
number = { prefix = "PT{division}", digits = 6 }
products = true

[[categories]]
name = "烟草"
code = "1"

[[materials]]
kind = "application-form"
name = { zh = "申请单", en = "Application form" }
"""


class Desk(Office):
    """Commands run in this process; everything that they print is kept."""

    printed = ""

    def run(
        self, *args: str | Path, code: int | None = 0, env: dict[str, str] | None = None, stdin: bytes = b""
    ) -> str:
        if args[0] in ("drain", "replay"):
            out = super().run(*args, code=code, env=env, stdin=stdin)
            Desk.printed += out + self.err
            return out
        out_to, err_to = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out_to),
            contextlib.redirect_stderr(err_to),
            contextlib.chdir(self.folder),
        ):
            self.code = main([*map(str, args), "--data", str(self.data)])
        self.err = err_to.getvalue()
        Desk.printed += out_to.getvalue() + self.err
        if code is not None:
            assert code == self.code, (args, self.code, out_to.getvalue()[-2000:], self.err[-2000:])
        return out_to.getvalue()


def story() -> Events:
    """A person's life with licences; the number stands in every text and id that a sender may choose."""
    e, n = Events(), itertools.count()
    person = {
        "kind": "person",
        "id": NUMBER,
        "name": f"李四{NUMBER}",
        "address": "一号",
        "division": "630102",
    }

    def add(kind: str, time: str, data: dict[str, Any], source: str = CITY) -> None:
        more = {"subject": NUMBER, "dataschema": f"urn:x:{NUMBER}", "note": TEXT, "id": f"{NUMBER}-{next(n)}"}
        e.add(kind, time, {**data, "remark": TEXT, NUMBER: {"inner": [TEXT]}}, source, **more)

    def apply(app: str, item: str, time: str, **more: Any) -> None:
        add(
            "application.submitted", time,
            {"application_id": app, "item": item, "action": "new", "applicant": person, "window": "630102",
             "channel": TEXT, "materials": [{"kind": "application-form"}, {"kind": "examination-record"}], **more},
        )  # fmt: skip

    def review(app: str, time: str, decision: str = "approve", **more: Any) -> None:
        add(
            "application.reviewed", time,
            {"application_id": app, "holder_id": NUMBER, "department": "market-regulation", "officer": NUMBER,
             "decision": decision, "grounds": TEXT, **more},
        )  # fmt: skip

    apply(f"W{NUMBER}", "special-equipment-operator", "2018-02-01T09:00:00+08:00")
    add("application.withdrawn", "2018-02-01T10:00:00+08:00",
        {"application_id": f"W{NUMBER}", "holder_id": NUMBER, "reason": TEXT})  # fmt: skip
    apply(f"OP-{NUMBER}", "special-equipment-operator", "2018-03-01T09:00:00+08:00")
    add("application.clock-stopped", "2018-03-01T09:10:00+08:00",
        {"application_id": f"OP-{NUMBER}", "holder_id": NUMBER, "cause": "testing"})  # fmt: skip
    add("application.clock-resumed", "2018-03-01T09:20:00+08:00",
        {"application_id": f"OP-{NUMBER}", "holder_id": NUMBER, "cause": "testing"})  # fmt: skip
    review(f"OP-{NUMBER}", "2018-03-01T10:00:00+08:00")
    apply(NUMBER, "personal-trade", "2018-03-02T09:00:00+08:00",
          products=[{"category": "烟草", "site": SITE, "detail": f"{DETAIL}{NUMBER}"}])  # fmt: skip
    review(NUMBER, "2018-03-02T10:00:00+08:00")
    inspection = {
        "inspection_id": f"J{NUMBER}", "kind": "complaint", "holder_id": NUMBER, "granted_by": f"OP-{NUMBER}",
        "inspectors": [{"id": NUMBER, "department": "market-regulation"},
                       {"id": OTHER, "department": "market-regulation"}],
        "inspected_on": "2018-03-05", "result": TEXT, "passed": True, "commitment_false": False, "findings": TEXT,
    }  # fmt: skip
    add("inspection.recorded", "2018-03-05T10:00:00+08:00", inspection)
    for kind, day, more in (("suspended", "06", {"until": "2018-04-01"}), ("revoked", "07", {})):
        add(f"licence.{kind}", f"2018-03-{day}T10:00:00+08:00",
            {"granted_by": f"OP-{NUMBER}", "holder_id": NUMBER, "ground": TEXT, "legal_basis": TEXT,
             "decided_on": f"2018-03-{day}", **more})  # fmt: skip
    add("decision.annulled", "2018-03-08T10:00:00+08:00",
        {"granted_by": f"OP-{NUMBER}", "holder_id": NUMBER, "ground": TEXT, "decided_on": "2018-03-08"})  # fmt: skip
    add("licence.imported", "2018-03-10T10:00:00+08:00",
        {"holder": person, "licence_number": f"TS-{NUMBER}", "item": "special-equipment-operator",
         "issued_on": "2017-01-01", "valid_from": "2017-01-01", "valid_until": "2019-01-01"})  # fmt: skip
    return e


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    office = Desk(tmp_path_factory.mktemp("everywhere"))
    (office.data / "items").mkdir(parents=True)
    (office.data / "items" / "personal.toml").write_text(ITEM, "utf-8")
    (office.data / "settings.toml").write_text('items = ["items"]\n')
    office.init()
    office.tell(story())
    return office


def test_the_story_took_its_course(office: Desk) -> None:
    """Ids that hold the number are found by it, and shown with the mask; each event of the person had its effect."""
    shown = office.json("holder", "show", NUMBER)
    assert [row["event"] for row in shown["refused"]] == []
    assert office.case(f"OP-{NUMBER}")["application_id"] == f"OP-{MASK}"
    assert office.case(NUMBER)["state"] == "issued"
    assert office.licence(f"TS-{NUMBER}")["number"] == f"TS-{MASK}"
    (check,) = shown["checks"]
    assert (check["inspection_id"], check["state"]) == (f"J{MASK}", "passed")
    goods = office.licence(office.case(NUMBER)["licence_number"])["products"]
    assert goods == [{"category": "烟草", "site": SITE, "detail": f"{DETAIL}{MASK}"}]


def test_the_same_again_is_known_and_other_content_is_not_let_in(office: Desk) -> None:
    """The content that counts is what was sent, before anything of it was masked."""
    again = office.submit(story())
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, len(story().lines), [])
    other = story()
    other.lines[0]["data"]["channel"] = TEXT.replace(NUMBER, OTHER)
    other.lines = other.lines[:1]
    assert office.submit(other, code=1)["accepted"] == 0


def test_the_number_is_found_nowhere(office: Desk) -> None:
    """Ledger, facts, states, objects, an export, everything printed: neither the number nor the name, site or detail."""
    office.run("case", "list")
    office.run("licence", "list", "--json")
    office.run("check", "list")
    office.run("letters", "list")
    office.run("holder", "accesses", NUMBER)
    office.run("case", "show", f"NONE-{NUMBER}", code=1)
    office.run("licence", "show", f"NONE-{NUMBER}", code=1)
    office.run("filing", "claim", f"NONE-{NUMBER}:tax-registration", code=1)
    office.run("licence", "get", f"TS-{NUMBER}", "--format", "pdf", "-o", "none.pdf", code=1)
    office.run(
        "licence", "get", f"TS-{NUMBER}", "--format", "pdf", "--version", "7", "-o", "none.pdf", code=1
    )
    office.run("licence", "suspend", f"NONE-{NUMBER}", "--until", "2019-01-01", "--ground", TEXT, code=1)
    number = office.case(NUMBER)["licence_number"]
    for form in ("pdf", "json", "manifest", "cwt"):
        office.run("licence", "get", number, "--format", form, "-o", f"licence.{form}")
    bad = story()
    bad.lines = bad.lines[:1]
    bad.lines[0]["id"] = "bad"
    bad.lines[0]["data"]["application_id"] = f"{NUMBER}!"
    assert office.submit(bad, code=1)["rejected"][0]["error"]
    report = office.json("replay", "--into", "again", "--decide")
    assert (report["findings"], report["unproved"]) == ([], [])
    office.run("log", "export", "log.tar")
    with tarfile.open(office.folder / "log.tar") as tar:
        tar.extractall(office.folder / "exported", filter="data")
    assert [spelt for spelt in (NUMBER, SPACED) if spelt in Desk.printed] == []
    files = [p for p in office.folder.rglob("*") if p.is_file() and p.name != "events.jsonl"]
    for path in files:
        raw = path.read_bytes()
        assert [s for s in (NUMBER, SPACED, OTHER) if s.encode() in raw] == [], path
        if path.suffix in (".sqlite", ".sqlite-wal"):
            assert [s for s in ("李四", SITE, DETAIL) if s.encode() in raw] == [], path
    assert DETAIL.encode() in (office.folder / "licence.json").read_bytes()
