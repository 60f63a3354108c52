"""Packets from outside: blank forms, filling, reading, submitting, and the licence that comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from story import Office, uscc

FORM = {
    "applicant.name": "青海示范化工有限公司",
    "applicant.id": uscc(1),
    "applicant.address": "积石镇一号",
    "applicant.division": "630225",
    "window": "630225",
    "products.1.category": "化肥",
    "products.1.site": "积石镇",
}
LETTER = {
    "applicant.name": "青海示范化工有限公司",
    "applicant.id": uscc(1),
    "signed_on": "2018-09-09",
    "signatory": "法定代表人",
}


def filled(office: Office, kind: str, values: dict[str, str], name: str) -> Path:
    (office.folder / "values.json").write_text(json.dumps(values, ensure_ascii=False))
    office.run("packet", "fill", f"forms/{kind}.pdf", "values.json", "-o", name)
    return office.folder / name


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.init()
    office.run("packet", "new", "industrial-product-licence", "-o", "forms")
    return office


def test_papers_become_a_licence_case_with_its_evidence(office: Office) -> None:
    """Form and letter are one application; the letter's digest and signatory stay with the case."""
    form = filled(office, "application-form", FORM, "a.pdf")
    letter = filled(office, "commitment-letter", LETTER, "b.pdf")
    other = filled(office, "application-form", {**FORM, "applicant.id": uscc(2)}, "c.pdf")
    at = "2018-09-10T09:00:00+08:00"
    answer = office.json("submit", form, letter, other, "--at", at)
    assert (answer["accepted"], answer["rejected"]) == (2, [])
    office.run("drain")
    cases = office.json("holder", "show", uscc(1))["cases"]
    assert cases[0]["missing"] == ["business-licence"]
    assert tuple(cases[0]["commitment"][k] for k in ("signatory", "signed_on")) == (
        "法定代表人",
        "2018-09-09",
    )
    assert len(cases[0]["commitment"]["text_sha256"]) == 64
    assert sorted(office.json("holder", "show", uscc(2))["cases"][0]["missing"]) == [
        "business-licence",
        "commitment-letter",
    ]


def test_contradicting_papers_are_not_taken_in(office: Office) -> None:
    """`read` names the field and exits with 1; `submit` rejects, and takes its good neighbours."""
    form = filled(office, "application-form", FORM, "a.pdf")
    letter = filled(office, "commitment-letter", {**LETTER, "applicant.name": "别家"}, "b.pdf")
    read = office.json("packet", "read", form, letter, code=1)
    assert [c["field"] for c in read["contradictions"]] == ["applicant.name"]
    assert read["event"] is None
    (office.folder / "bad.pdf").write_bytes(b"%PDF-1.7 nothing")
    answer = office.json("submit", form, letter, office.folder / "bad.pdf", code=1)
    assert {"a.pdf", "bad.pdf"} == {Path(r["file"]).name for r in answer["rejected"]}


def test_a_material_is_kept_sealed_under_its_hash(office: Office) -> None:
    """Its uri names it; its text is not to be found in the store."""
    (office.folder / "plan.txt").write_bytes(b"a plan that nobody reads" * 10)
    put = office.json("material", "put", "plan.txt")
    stored = office.data / "objects" / "uploads" / put["sha256"]
    assert f"store:uploads/{put['sha256']}" == put["uri"]
    assert b"nobody reads" not in stored.read_bytes()
    assert put == office.json("material", "put", "plan.txt")


def test_a_missing_paper_is_supplied_alone(office: Office) -> None:
    """`--application ID` makes the paper a supplement to that case, and no second application."""
    at = ("--at", "2018-09-10T09:00:00+08:00")
    office.json("submit", filled(office, "application-form", FORM, "a.pdf"), *at)
    office.run("drain")
    (case,) = office.json("holder", "show", uscc(1))["cases"]
    assert ["business-licence", "commitment-letter"] == sorted(case["missing"])
    letter = filled(office, "commitment-letter", LETTER, "b.pdf")
    later = ("--application", case["application_id"], "--at", "2018-09-10T10:00:00+08:00")
    source = ("--source", "urn:agency:630225:service-hall")
    event = office.json("packet", "read", letter, *later, *source)["event"]
    assert "zhengzhao.application.materials-supplied.v1" == event["type"]
    assert 1 == office.json("submit", letter, *later, *source)["accepted"]
    office.run("drain")
    (case,) = office.json("holder", "show", uscc(1))["cases"]
    assert ["business-licence"] == case["missing"]


def test_a_form_made_for_a_case_completes_it(office: Office) -> None:
    """It lists just what is missing; with its letter it needs no `--application`, and the case is not asked twice."""
    at = ("--at", "2018-09-10T09:00:00+08:00")
    little = {name: value for name, value in FORM.items() if name != "applicant.address"}
    office.json("submit", filled(office, "application-form", little, "a.pdf"), *at)
    office.run("drain")
    (case,) = office.json("holder", "show", uscc(1))["cases"]
    made = office.json("packet", "new", "--for", case["application_id"], "-o", "forms")["written"]
    assert ["correction-form.pdf", "commitment-letter.pdf"] == [Path(name).name for name in made]
    form = filled(office, "correction-form", {"applicant.address": "积石镇一号"}, "c.pdf")
    letter = {name: value for name, value in LETTER.items() if name != "applicant.id"}
    later = ("--at", "2018-09-10T10:00:00+08:00")
    assert (
        1
        == office.json("submit", form, filled(office, "commitment-letter", letter, "l.pdf"), *later)[
            "accepted"
        ]
    )
    office.run("drain")
    (case,) = office.json("holder", "show", uscc(1))["cases"]
    assert ["business-licence"] == case["missing"]
    office.run("packet", "new", "--for", case["application_id"], "--withdrawal", "-o", "forms")
    gone = filled(office, "withdrawal-form", {"reason": "停产"}, "w.pdf")
    assert 1 == office.json("submit", gone, "--at", "2018-09-10T11:00:00+08:00")["accepted"]
    office.run("drain")
    assert "withdrawn" == office.case(case["application_id"])["state"]
    office.run("packet", "new", "--for", case["application_id"], code=1)
    assert "decided" in office.err


def test_scans_with_their_values_are_one_application(office: Office) -> None:
    """What stands on photographs is told in JSON beside them; they are kept as materials."""
    scans = {"form.jpg": b"\xff\xd8\xff\xe0 form", "letter.png": b"\x89PNG\r\n\x1a\n letter"}
    for name, raw in scans.items():
        (office.folder / name).write_bytes(raw)
    kinds = {"form.jpg": "application-form", "letter.png": "commitment-letter"}
    told = {"item": "industrial-product-licence", "papers": kinds, **LETTER, **FORM}
    (office.folder / "values.json").write_text(json.dumps(told, ensure_ascii=False), "utf-8")
    values = ("--values", "values.json", "--at", "2018-09-10T09:00:00+08:00")
    event = office.json("packet", "read", *scans, *values)["event"]
    assert ["application-form", "commitment-letter"] == [m["kind"] for m in event["data"]["materials"]]
    assert 1 == office.json("submit", *scans, *values)["accepted"]
    office.run("drain")
    (case,) = office.json("holder", "show", uscc(1))["cases"]
    assert ["business-licence"] == case["missing"]
    assert "2018-09-09" == case["commitment"]["signed_on"]
    office.run("packet", "read", "form.jpg", code=2)
    assert "--values" in office.err
